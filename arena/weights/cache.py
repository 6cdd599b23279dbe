"""Where weights lie on this machine: the user's own folder, and the hub's standard cache.

The environment is read at each call, unlike in ``huggingface_hub``, which freezes it at import; and without
importing it, since a page asks for every model of the catalog before its first paint.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from arena import catalog
from arena.paths import expanded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from arena.catalog import ModelCard

WEIGHTS_DIR_VARIABLE = "ARENA_WEIGHTS_DIR"
"""Names a folder of weights for machines that never reach the hub."""

DEFAULT_REVISION = "main"
"""What a card without a pinned revision means, as on the hub."""

SHA256 = re.compile(r"[0-9a-f]{64}")
COMMIT = re.compile(r"[0-9a-f]{40}")


def home() -> Path:
    """The hub's home folder: ``HF_HOME``, else below ``XDG_CACHE_HOME``, else below ``~/.cache``."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    return _expanded(os.environ.get("HF_HOME") or default)


def hub_folder() -> Path:
    """The hub's cache of repositories: ``HF_HUB_CACHE``, else below the home folder."""
    chosen = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    return _expanded(chosen) if chosen else home() / "hub"


def assets_folder() -> Path:
    """The hub's place for what other programs derive from its files: ``HF_ASSETS_CACHE``, else below home."""
    chosen = os.environ.get("HF_ASSETS_CACHE")
    return (_expanded(chosen) if chosen else home() / "assets") / "portrait-blur-arena"


def weights_folder() -> Path | None:
    """The folder that ``ARENA_WEIGHTS_DIR`` names; None if it names none."""
    chosen = os.environ.get(WEIGHTS_DIR_VARIABLE)
    return _expanded(chosen) if chosen else None


def _expanded(path: str | Path) -> Path:
    return expanded(os.path.expandvars(path)).absolute()


def repository_folder(card: ModelCard) -> Path:
    """The repository's folder in the hub's cache."""
    return hub_folder() / _folder_name(card)


def lock_path(card: ModelCard, etag: str) -> Path:
    """The lock that ``huggingface_hub`` itself takes while it writes this blob."""
    return hub_folder() / ".locks" / _folder_name(card) / f"{etag}.lock"


def blob_path(card: ModelCard, etag: str) -> Path:
    """Where the file's contents lie once they are complete."""
    return repository_folder(card) / "blobs" / etag


def partial_path(card: ModelCard, etag: str) -> Path:
    """Where an unfinished download waits to be continued; ``hf cache prune`` knows the name too."""
    return repository_folder(card) / "blobs" / f"{etag}.incomplete"


def pointer_path(card: ModelCard, commit: str) -> Path:
    """The name under which a commit has the file."""
    return repository_folder(card) / "snapshots" / commit / card.file


def cached_pointer(card: ModelCard) -> Path | None:
    """The card's file in the hub's cache, unverified; None if it is not there."""
    commit = card.revision or DEFAULT_REVISION
    if not COMMIT.fullmatch(commit):
        try:
            commit = (repository_folder(card) / "refs" / commit).read_text().strip()
        except OSError:
            return None
        if not COMMIT.fullmatch(commit):
            return None
    pointer = pointer_path(card, commit)
    return pointer if pointer.is_file() else None


def blob_digest(pointer: Path) -> str | None:
    """The SHA-256 after which the hub named a cached file's contents; None if links were not possible here."""
    if not pointer.is_symlink():
        return None
    name = pointer.readlink().name
    return name if SHA256.fullmatch(name) else None


def partial_bytes(card: ModelCard) -> int:
    """How much of an unfinished download waits to be continued."""
    if card.sha256:
        return size_of(partial_path(card, card.sha256))
    # Without a checksum the blob's name is not known; the longest is the likeliest.
    partials = (repository_folder(card) / "blobs").glob("*.incomplete")
    return max((size_of(path) for path in partials if SHA256.fullmatch(path.stem)), default=0)


def size_of(path: Path) -> int:
    """Bytes of a file; 0 if it is not there, or not any more."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _folder_name(card: ModelCard) -> str:
    return "--".join((f"{card.repo_type}s", *card.repository.split("/")))


def link(blob: Path, pointer: Path) -> Path:
    """Make a complete blob appear in its snapshot.

    Args:
        blob: The complete file.
        pointer: The name it gets; replaced if it exists.

    Returns:
        ``pointer``: a relative link to the blob, or where links are not possible the file itself, moved there.
    """
    pointer.parent.mkdir(parents=True, exist_ok=True)
    pointer.unlink(missing_ok=True)
    try:
        pointer.symlink_to(os.path.relpath(blob, pointer.parent))
    except OSError:
        blob.replace(pointer)
    return pointer


def record_revision(card: ModelCard, commit: str) -> None:
    """Remember which commit a branch name stood for, so that it is found without a connection."""
    revision = card.revision or DEFAULT_REVISION
    if revision != commit:
        reference = repository_folder(card) / "refs" / revision
        reference.parent.mkdir(parents=True, exist_ok=True)
        draft = reference.with_name(f"{reference.name}.{os.getpid()}.tmp")
        draft.write_text(commit)
        draft.replace(reference)


def remove(pointer: Path) -> bool:
    """Delete a cached file: its name in the snapshot, the blob, and what the blob itself may link to.

    Args:
        pointer: The file's name in a snapshot, or a blob.

    Returns:
        Whether all of it is gone.
    """
    folder = hub_folder().resolve()
    chain = [pointer]
    while chain[-1].is_symlink():
        chain.append(chain[-1].parent / chain[-1].readlink())
    for path in chain:
        # A link may lead out of the cache, to a file that somebody else keeps.
        if path.parent.resolve().is_relative_to(folder):
            with suppress(OSError):
                path.unlink(missing_ok=True)
    return not pointer.exists() and not pointer.is_symlink()


def named_candidates(card: ModelCard) -> Iterator[Path]:
    """Files of the user's folder whose name says that they belong to this card, best first."""
    folder = weights_folder()
    if folder is None:
        return
    name = Path(card.file)
    for path in (
        folder / card.key / name.name,
        folder / f"{card.key}{name.suffix}",
        folder / card.repository / card.file,
    ):
        if path.is_file():
            yield path


def unnamed_candidate(card: ModelCard) -> Path | None:
    """The file of the user's folder that has the name it has on the hub, which several cards may share."""
    folder = weights_folder()
    path = folder / Path(card.file).name if folder else None
    return path if path is not None and path.is_file() else None


def shares_file_name(card: ModelCard, *, of_same_size: bool = False) -> bool:
    """Whether another card of the catalog has a file of this name (and size)."""
    name = Path(card.file).name
    return any(
        other.key != card.key and Path(other.file).name == name and (not of_same_size or other.bytes == card.bytes)
        for other in catalog.CARDS
        if other.needs_download
    )
