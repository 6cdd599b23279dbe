"""Paths as users write them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from arena.errors import OptionError

if TYPE_CHECKING:
    import os


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
