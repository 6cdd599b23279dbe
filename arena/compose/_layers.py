"""A blur that is not the same everywhere: pictures of several strengths, and how they cover each other.

Every pixel belongs to the one or two pictures whose blur is next to its own. What belongs to a picture is spread as
that picture's blur spreads it, and the sharper lies over the softer: the blur of what is far stops where something
sharper begins, whose own blur goes on over it (after Kraus and Strengert, "Depth-of-Field Rendering by Pyramidal Image
Processing", Eurographics 2007).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

INVISIBLE = 1 / 255
"""A share of less is as good as none."""


class Rows(Protocol):
    """A picture that is made strip by strip."""

    def rows(self, top: int, bottom: int) -> NDArray[np.uint8]:
        """Rows ``top`` to ``bottom``, (bottom - top) x W x 3."""


class Shares(Protocol):
    """A map of shares that is made strip by strip."""

    def rows(self, top: int, bottom: int) -> NDArray[np.float32]:
        """Rows ``top`` to ``bottom``, (bottom - top) x W or (bottom - top) x 1, float32 in [0, 1]."""


@dataclass(frozen=True)
class Layer:
    """A picture of one strength, of which only some rows are known."""

    picture: Rows
    veil: Shares
    """How much light of this strength there is."""
    first: int
    """Row of the whole picture at which both begin; a multiple of the strips' height."""
    last: int
    """Row after their last one; a multiple, too, or the end of the picture."""

    def covers(self, top: int, bottom: int) -> bool:
        """Whether the rows of a strip are known."""
        return self.first <= top and bottom <= self.last


@dataclass(frozen=True)
class Layers:
    """Pictures of rising blur."""

    layers: Sequence[Layer]
    """From the sharpest on; where the whole picture is sharp, none."""
    width: int
    """Columns."""

    def rows(self, top: int, bottom: int) -> NDArray[np.uint8]:
        """Rows of a strip, (bottom - top) x W x 3; black where there are no layers."""
        seen: list[tuple[Layer, NDArray[np.float32]]] = []
        through = np.ones((bottom - top, 1), np.float32)
        for layer in self.layers:
            if layer.covers(top, bottom):
                # What two layers share is one surface: together they let nothing through.
                part = np.minimum(layer.veil.rows(top - layer.first, bottom - layer.first), through)
                through = through - part
                seen.append((layer, part))
                if through.max() <= INVISIBLE:
                    break
        mixed = np.zeros((bottom - top, self.width, 3), np.uint8)
        # What hides lets something through that nobody has seen: there the others are all that there is.
        total = np.full_like(through, np.finfo(np.float32).tiny)
        for layer, part in reversed(seen):
            total = total + part
            share = part / total
            lowest, highest, _, _ = cv2.minMaxLoc(share)
            if highest <= INVISIBLE:
                continue
            picture = layer.picture.rows(top - layer.first, bottom - layer.first)
            if lowest < 1 - INVISIBLE:
                weight = np.ascontiguousarray(np.broadcast_to(share, mixed.shape[:2]))
                picture = np.asarray(cv2.blendLinear(picture, mixed, weight, 1 - weight))
            mixed = picture
        return mixed


def rows_in_need(places: NDArray[np.float32], picture: int) -> tuple[int, int] | None:
    """The rows in which one of the pictures of :class:`Layers` has pixels of its own.

    Args:
        places: H x W or H x 1: 0 is the sharp photo, 1 the first picture, 1.5 lies between the first and the second.
        picture: Its number.

    Returns:
        The first of them and the one after the last; None if there is none.
    """
    needed = np.flatnonzero((np.abs(places - picture) < 1).any(axis=1))
    return (int(needed[0]), int(needed[-1]) + 1) if needed.size else None
