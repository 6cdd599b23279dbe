"""Paths as users write them, and files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from arena.errors import OptionError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator


def expanded(path: str | os.PathLike[str]) -> Path:
    """A path with the home folder that a leading ``~`` stands for.

    Args:
        path: The path.

    Returns:
        The same, without ``~``.

    Raises:
        OptionError: It begins with the home of a user whom nobody knows.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise OptionError(f"There is no home folder for {path}.", "Write the folder's name out.") from error


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file beside another one that takes its place once it is written: what goes wrong leaves the older one whole.

    Args:
        path: Where it belongs; its folder is there.

    Yields:
        The file to write to.
    """
    partial = path.with_name(f".{path.name}.part")
    try:
        partial.unlink(missing_ok=True)
        partial.touch()
        mode = stat.S_IMODE(partial.stat().st_mode)
        yield partial
        # safetensors puts a file of its own there, which nobody but its owner may read.
        partial.chmod(mode)
        partial.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
