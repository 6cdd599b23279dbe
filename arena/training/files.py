"""Files of a run: whole or not at all, with errors that say what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safetensors import SafetensorError

from arena.errors import ArenaError, OptionError
from arena.paths import replacing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def make_folder(folder: Path) -> None:
    """Make a folder, with those around it, unless it is there.

    Args:
        folder: Its path.

    Raises:
        OptionError: It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OptionError(f"{folder} cannot be made: {error.strerror or error}.", "Name another folder.") from error


def write_whole(path: Path, write: Callable[[Path], object]) -> Path:
    """Have a file written whole or not at all.

    Args:
        path: Where it belongs; its folder is there.
        write: Writes to the path that it is given.

    Returns:
        ``path``.

    Raises:
        ArenaError: It cannot be written; what was there before still is.
    """
    try:
        with replacing(path) as partial:
            write(partial)
    # PyTorch says by a RuntimeError that a disk is full.
    except (OSError, RuntimeError, SafetensorError) as error:
        raise ArenaError(f"{path} cannot be written: {error}.", "Free some space, then run it again.") from error
    return path
