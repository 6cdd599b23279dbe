"""Files that a user gave: decoded once, and kept for as long as they are wanted. Knows nothing of Streamlit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from arena.errors import ArenaError
    from arena.photo import Photo


@dataclass(slots=True)
class PhotoEntry:
    """One photo of the page: decoded, or why it could not be."""

    identity: str
    """Tells two uploads apart even if they have the same name."""
    filename: str
    photo: Photo | None = None
    error: ArenaError | None = None
    thumbnail: bytes | None = None
    sample: str = ""
    """Key of the bundled sample that it is; empty for an upload."""


@dataclass(slots=True)
class Shelf:
    """The photos of one uploader.

    An uploader that is not drawn, because another page is or another choice was made, forgets its files. Those are
    kept here until somebody removes them.
    """

    entries: dict[str, PhotoEntry] = field(default_factory=dict)
    """By identity, in the order in which they came."""
    kept: set[str] = field(default_factory=set)
    """Identities that no uploader holds: samples, and uploads from before it was drawn anew."""

    def keep(self, entry: PhotoEntry, *, alone: bool = False) -> None:
        """Put a photo on the shelf that no uploader holds.

        Args:
            entry: The photo.
            alone: Whether it takes the place of the others.
        """
        if alone:
            self.entries.clear()
            self.kept.clear()
        self.entries[entry.identity] = entry
        self.kept.add(entry.identity)

    def keep_all(self) -> None:
        """Keep whatever is there, for its uploader has forgotten it."""
        self.kept = set(self.entries)

    def remove(self, identity: str) -> None:
        """Take a photo off the shelf; one that is not there is not missed."""
        self.entries.pop(identity, None)
        self.kept.discard(identity)

    def settle(self, held: Collection[str], *, alone: bool = False) -> None:
        """Forget what neither the uploader holds nor anybody kept.

        Args:
            held: Identities that the uploader has now.
            alone: Whether what it has takes the place of what was kept.
        """
        self.kept = set() if alone and held else self.kept.difference(held)
        self.entries = {
            identity: entry for identity, entry in self.entries.items() if identity in held or identity in self.kept
        }
