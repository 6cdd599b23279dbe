"""SHA-256 of files, computed once per file and remembered for as long as the file does not change."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from arena.weights import cache

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

READ_BYTES = 4 * 1024 * 1024
"""How much is hashed between two looks at a cancellation: some milliseconds' worth."""


class _State(NamedTuple):
    """What tells that a file has not changed since it was hashed."""

    path: str
    size: int
    mtime_ns: int


_known: dict[_State, str] = {}


def digest(path: Path, between: Callable[[], None] | None = None) -> str:
    """SHA-256 of a file, from memory if the file has not changed since.

    Args:
        path: The file.
        between: Called every few milliseconds while the file is read; may raise to stop.

    Returns:
        64 lower-case hexadecimal digits.

    Raises:
        OSError: The file cannot be read.
    """
    known = known_digest(path)
    if known is not None:
        return known
    hasher = hashlib.sha256()
    update_from(hasher, path, between)
    remember(path, hasher.hexdigest())
    return hasher.hexdigest()


def update_from(hasher: hashlib._Hash, path: Path, between: Callable[[], None] | None = None) -> int:
    """Feed a file to a hash.

    Args:
        hasher: The hash.
        path: The file.
        between: As in ``digest``.

    Returns:
        How many bytes were read.
    """
    total = 0
    with path.open("rb") as file:
        while chunk := file.read(READ_BYTES):
            if between is not None:
                between()
            hasher.update(chunk)
            total += len(chunk)
    return total


def known_digest(path: Path) -> str | None:
    """The remembered SHA-256 of a file, None if it was never computed or the file has changed since."""
    try:
        state = _state(path)
    except OSError:
        return None
    if state not in _known:
        try:
            record = json.loads(_record_path(state).read_text())
            recorded = _State(record["path"], record["size"], record["mtime_ns"])
            value = str(record["sha256"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        if recorded != state or not cache.SHA256.fullmatch(value):
            return None
        _known[state] = value
    return _known[state]


def remember(path: Path, sha256: str) -> None:
    """Keep the SHA-256 of a file, in memory and, where that is possible, on disk.

    Args:
        path: The file as it is now.
        sha256: Its SHA-256.
    """
    state = _state(path)
    _known[state] = sha256
    record = _record_path(state)
    draft = record.with_name(f"{record.name}.{os.getpid()}.tmp")
    # A cache that may only be read costs a new hash at each start, nothing more.
    with suppress(OSError):
        record.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps({**state._asdict(), "sha256": sha256}))
        draft.replace(record)


def _state(path: Path) -> _State:
    resolved = path.resolve()
    status = resolved.stat()
    return _State(str(resolved), status.st_size, status.st_mtime_ns)


def _record_path(state: _State) -> Path:
    name = hashlib.sha256(state.path.encode(errors="surrogateescape")).hexdigest()
    return cache.assets_folder() / "digests" / f"{name}.json"
