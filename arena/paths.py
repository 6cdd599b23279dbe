"""Paths as users write them, and files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from arena.errors import OptionError

if TYPE_CHECKING:
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


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file beside another one that takes its place once it is written: what goes wrong leaves the older one whole.

    Args:
        path: Where it belongs; its folder is there.

    Yields:
        The file to write to.
    """
    # Through a link, not over it.
    target = Path(os.path.realpath(path))
    # A name may be as long as names can be: nothing can be added to it.
    partial = target.with_name(f".{hashlib.blake2b(os.fsencode(target.name), digest_size=8).hexdigest()}.part")
    try:
        partial.unlink(missing_ok=True)
        partial.touch()
        mode = _mode(target if target.exists() else partial)
        yield partial
        # safetensors puts a file of its own there, which nobody but its owner may read. Not all disks know of modes.
        if _mode(partial) != mode:
            with contextlib.suppress(OSError):
                partial.chmod(mode)
        partial.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
