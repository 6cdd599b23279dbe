"""From a model card to a verified local file.

A file is looked for in three places, in this order:

1. The folder that ``ARENA_WEIGHTS_DIR`` names, for machines that never reach the hub. A card's file may lie there as
   ``<key>/<file name>``, as ``<key>.<suffix>``, as ``<repository>/<path in the repository>``, or as plain
   ``<file name>`` where its size and checksum leave no doubt whose it is: many models name theirs
   ``model.safetensors``. Nothing in this folder is ever changed.
2. The hub's standard cache (``HF_HOME``, ``HF_HUB_CACHE``), shared with every other program that uses the hub.
3. The hub itself (``HF_ENDPOINT``, ``HF_TOKEN``), unless ``HF_HUB_OFFLINE`` forbids it.

Every file is compared with the SHA-256 of its card, or where the card has none with the one by which the hub names
it; the result is remembered for as long as the file does not change.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from arena.errors import ArenaError
from arena.weights import cache, digests, failures, transfer
from arena.weights.background import POLL_SECONDS
from arena.weights.progress import Meter, Progress, ProgressCallback
from arena.weights.tensors import load_tensors

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from arena.catalog import ModelCard
    from arena.weights.transfer import RemoteFile

__all__ = [
    "Progress",
    "ProgressCallback",
    "cached_bytes",
    "fetch",
    "is_cached",
    "load_tensors",
    "location",
]


def fetch(
    card: ModelCard,
    *,
    progress: ProgressCallback | None = None,
    cancel: threading.Event | None = None,
) -> Path | None:
    """Make sure that a model's weights are on this machine, and intact.

    Two threads or processes that ask for one file download it once: the second waits for the first.

    Args:
        card: The model.
        progress: Told how far a download is, at most ten times a second and in the calling thread. Never called for a
            file that is already here.
        cancel: Once set, a download stops within about a second; what has arrived is kept.

    Returns:
        The verified file; None for a model that needs none.

    Raises:
        OfflineError: Not on this machine, and the hub cannot or must not be reached.
        GatedError: The hub wants a licence accepted, or another token.
        WeightsNotFoundError: The hub has no such file, or ``ARENA_WEIGHTS_DIR`` is no folder.
        ChecksumError: The contents are not those that are expected. A file of the cache is deleted.
        DiskSpaceError: No room.
        DownloadError: The transfer broke off too often, or the cache cannot be written.
        DownloadCancelled: ``cancel`` was set.
    """
    if not card.needs_download:
        return None

    def check() -> None:
        transfer.check_cancelled(card, cancel, cache.partial_bytes(card))

    check()
    found = _supplied(card, check)
    if found is not None:
        return found
    pointer = cache.cached_pointer(card)
    if pointer is not None:
        return _verified(card, pointer, card.sha256 or cache.blob_digest(pointer), check)
    return _download(card, progress, cancel, check)


def location(card: ModelCard) -> Path | None:
    """Where a model's complete file is, as far as can be told without reading it or asking the hub.

    Args:
        card: The model.

    Returns:
        The file that ``fetch`` would verify and return; None if it would download, or for a model that needs none.
    """
    if not card.needs_download:
        return None
    for candidate in cache.named_candidates(card):
        return candidate if _plausible(card, candidate, card.sha256) else None
    unnamed = cache.unnamed_candidate(card)
    if unnamed is not None and _plausible(card, unnamed, card.sha256) and not _doubtful(card, unnamed):
        return unnamed
    pointer = cache.cached_pointer(card)
    if pointer is not None and _plausible(card, pointer, card.sha256 or cache.blob_digest(pointer)):
        return pointer
    return None


def is_cached(card: ModelCard) -> bool:
    """Whether a model runs without a download. Fast: no hashing, no network.

    Args:
        card: The model.

    Returns:
        True too for a model that needs no weights.
    """
    return not card.needs_download or location(card) is not None


def cached_bytes(card: ModelCard) -> int:
    """Bytes of a model's weights on this machine. Fast: no hashing, no network.

    Args:
        card: The model.

    Returns:
        Size of the file, or of what an unfinished download has left; 0 if there is nothing.
    """
    found = location(card)
    if found is not None:
        return cache.size_of(found)
    return cache.partial_bytes(card) if card.needs_download else 0


def has_checksum(card: ModelCard, path: Path) -> bool:
    """Whether there is a published checksum that :func:`fetch` has compared a file with.

    Args:
        card: The model.
        path: The file that ``fetch`` gave.

    Returns:
        False for a file of the user's own that the card knows no checksum of.
    """
    return card.sha256 is not None or cache.blob_digest(path) is not None


def _plausible(card: ModelCard, path: Path, expected: str | None) -> bool:
    known = digests.known_digest(path)
    if known is not None and expected is not None:
        return known == expected
    size = cache.size_of(path)
    return size == card.bytes if card.sha256 else size > 0


def _doubtful(card: ModelCard, path: Path) -> bool:
    """Whether a file without a telling name may belong to another card, before its checksum is known."""
    if card.sha256 is None:
        return cache.shares_file_name(card)
    return digests.known_digest(path) != card.sha256 and cache.shares_file_name(card, of_same_size=True)


def _supplied(card: ModelCard, check: Callable[[], None]) -> Path | None:
    """The card's file in the user's own folder, verified."""
    folder = cache.weights_folder()
    if folder is None:
        return None
    if not folder.is_dir():
        raise failures.no_weights_folder(folder)
    for candidate in cache.named_candidates(card):
        actual = _digest(card, candidate, check)
        if card.sha256 is not None and actual != card.sha256:
            raise _damaged_copy(card, candidate, card.sha256, actual)
        return candidate
    unnamed = cache.unnamed_candidate(card)
    return None if unnamed is None else _supplied_unnamed(card, unnamed, check)


def _supplied_unnamed(card: ModelCard, unnamed: Path, check: Callable[[], None]) -> Path | None:
    """The same, of a file whose name may be that of another card's."""
    if card.sha256 is None:
        return None if cache.shares_file_name(card) else unnamed
    if cache.size_of(unnamed) != card.bytes:
        return None
    actual = _digest(card, unnamed, check)
    if actual == card.sha256:
        return unnamed
    if cache.shares_file_name(card, of_same_size=True):
        return None
    # Nobody else's: the page has counted on it, and a download that was not announced would be a surprise.
    raise _damaged_copy(card, unnamed, card.sha256, actual)


def _damaged_copy(card: ModelCard, path: Path, expected: str, actual: str) -> ArenaError:
    return failures.checksum(
        card,
        path,
        expected,
        actual,
        done=f"It has {cache.size_of(path):,} bytes of {card.bytes:,}. It was left as it is.",
        remedy="Copy the file anew, or take it away so that it is downloaded.",
    )


def _digest(card: ModelCard, path: Path, check: Callable[[], None]) -> str:
    try:
        return digests.digest(path, check)
    except OSError as error:
        raise failures.unreadable(card, path, error) from error


def _verified(card: ModelCard, path: Path, expected: str | None, check: Callable[[], None]) -> Path:
    """A file of the hub's cache, once its contents are known to be right."""
    actual = _digest(card, path, check)
    if expected is None or actual == expected:
        return path
    size = cache.size_of(path)
    gone = cache.remove(path)
    raise failures.checksum(
        card,
        path,
        expected,
        actual,
        done=f"The file of {size:,} bytes was deleted." if gone else "It could not be deleted.",
        remedy=f"Run the model again, or `arena fetch {card.key}`: it is downloaded anew."
        if gone
        else "Delete it by hand and try again.",
    )


def _download(
    card: ModelCard,
    progress: ProgressCallback | None,
    cancel: threading.Event | None,
    check: Callable[[], None],
) -> Path:
    remote = transfer.inspect(card, cancel)
    transfer.refuse_other_contents(card, remote)
    try:
        with _lock(card, remote, progress, check):
            return _locked_download(card, remote, progress, cancel, check)
    except ArenaError:
        raise
    except OSError as error:
        folder = cache.repository_folder(card)
        arrived = cache.partial_bytes(card)
        raise failures.file_system(card, error, folder, transfer.free_bytes(folder), arrived) from error


def _locked_download(
    card: ModelCard,
    remote: RemoteFile,
    progress: ProgressCallback | None,
    cancel: threading.Event | None,
    check: Callable[[], None],
) -> Path:
    expected = card.sha256 or remote.etag
    blob = cache.blob_path(card, remote.etag)
    pointer = cache.pointer_path(card, remote.commit)
    if pointer.is_file():
        # Another process had the lock and has finished.
        return _verified(card, pointer, expected, check)
    if blob.is_file():
        # Another revision of the repository has the same file.
        _verified(card, blob, expected, check)
    else:
        partial = cache.partial_path(card, remote.etag)
        actual = transfer.download(card, remote, partial, progress, cancel)
        if actual != expected:
            partial.unlink()
            raise failures.checksum(
                card,
                partial,
                expected,
                actual,
                done="What arrived was deleted.",
                remedy="Try again; if it happens again, a proxy or the hub itself changes the file.",
            )
        partial.replace(blob)
        digests.remember(blob, actual)
    cache.record_revision(card, remote.commit)
    linked = cache.link(blob, pointer)
    digests.remember(linked, expected)
    return linked


@contextmanager
def _lock(
    card: ModelCard, remote: RemoteFile, progress: ProgressCallback | None, check: Callable[[], None]
) -> Iterator[None]:
    """Hold the file's lock, waiting for whoever downloads it already."""
    from filelock import FileLock, Timeout  # noqa: PLC0415 - light importing, see cache.py

    path = cache.lock_path(card, remote.etag)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = cache.partial_path(card, remote.etag)
    meter = Meter(progress, remote.size)
    # By itself it turns into a lock of another kind on network file systems that know none.
    lock = FileLock(path, mode=0o664)
    while True:
        check()
        try:
            lock.acquire(timeout=POLL_SECONDS)
        except Timeout:
            meter.report(cache.size_of(partial))
        else:
            break
    try:
        yield
    finally:
        lock.release()
