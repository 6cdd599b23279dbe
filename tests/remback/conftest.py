"""Every test here has Remback's card with a SAM that draws boxes, and finds the faces of a picture only once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from arena.faces import detect_faces
from arena.models import remback
from arena.models.pool import default_pool, unload
from arena.photo import encode
from tests.remback.fakes import BoxRemback, nobody, portrait, remback_card

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from arena.faces import Face

_found: dict[tuple[object, ...], list[Face]] = {}


@pytest.fixture(autouse=True)
def _remembered_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    """The detector's own answers, kept for the whole session: the same few pictures come again and again."""

    def detect(rgb: NDArray[np.uint8], **settings: float) -> list[Face]:
        key = rgb.tobytes(), rgb.shape, *settings.items()
        if key not in _found:
            _found[key] = detect_faces(rgb, **settings)
        return _found[key]

    monkeypatch.setattr(remback, "detect_faces", detect)


@pytest.fixture(autouse=True)
def _box_sam(use_cards: Callable[..., None]) -> Iterator[None]:
    use_cards(remback_card())
    BoxRemback.loads = 0
    yield
    # Giving memory back takes a third of a second.
    if default_pool().loaded():
        unload()


@pytest.fixture
def me(tmp_path: Path) -> Path:
    """A portrait's file."""
    path = tmp_path / "me.png"
    path.write_bytes(encode(portrait(side=128)))
    return path


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """A folder of two portraits, a landscape and a file that is no picture."""
    folder = tmp_path / "album"
    folder.mkdir()
    (folder / "ann.png").write_bytes(encode(portrait("astronaut", 128)))
    (folder / "broken.jpg").write_bytes(b"no picture")
    (folder / "grace.jpg").write_bytes(encode(portrait("grace-hopper", 128), "JPEG"))
    (folder / "hills.png").write_bytes(encode(nobody()))
    return folder
