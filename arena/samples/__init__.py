"""The bundled sample portraits, and where they come from: see ``README.md`` beside this file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from arena.errors import OptionError

_FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Sample:
    """A portrait in the public domain."""

    key: str
    """What it is called in code."""
    label: str
    """What it is called on the page."""
    description: str
    """What the picture shows, for those who do not see it."""
    path: Path
    """The picture file."""


SAMPLES = (
    Sample(
        "astronaut",
        "Astronaut",
        "Portrait of an astronaut with long curly hair in an orange suit, a flag and a shuttle model behind her",
        _FOLDER / "astronaut.png",
    ),
    Sample(
        "grace-hopper",
        "Officer",
        "Portrait of a naval officer with glasses and a cap, a flag behind her",
        _FOLDER / "grace_hopper.jpg",
    ),
)


def get_sample(key: str) -> Sample:
    """Look a sample up.

    Args:
        key: ``"astronaut"`` or ``"grace-hopper"``.

    Returns:
        The sample.

    Raises:
        OptionError: There is none of this name.
    """
    for sample in SAMPLES:
        if sample.key == key:
            return sample
    raise OptionError(f'There is no sample "{key}".', f"There are {', '.join(s.key for s in SAMPLES)}.")
