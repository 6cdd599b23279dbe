"""A blur that is not the same everywhere: what lies between pictures of several strengths."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class Rows(Protocol):
    """A picture that is made strip by strip."""

    def rows(self, top: int, bottom: int) -> NDArray[np.uint8]:
        """Rows ``top`` to ``bottom``, (bottom - top) x W x 3."""


@dataclass(frozen=True)
class Part:
    """A picture of which only some rows are known."""

    picture: Rows | None
    """None if no row is known."""
    first: int
    """Row of the whole picture at which this one begins; a multiple of the strips' height."""
    last: int
    """Row of the whole picture after its last one."""
    width: int

    def rows(self, top: int, bottom: int) -> NDArray[np.uint8]:
        """Rows of the whole picture; black where nothing is known."""
        start, end = max(top, self.first), min(bottom, self.last)
        if self.picture is not None and (start, end) == (top, bottom):
            return self.picture.rows(start - self.first, end - self.first)
        out = np.zeros((bottom - top, self.width, 3), np.uint8)
        if self.picture is not None and start < end:
            out[start - top : end - top] = self.picture.rows(start - self.first, end - self.first)
        return out


@dataclass(frozen=True)
class Layers:
    """Pictures of rising strength, and which of them is seen where."""

    pictures: Sequence[Rows]
    places: NDArray[np.float32]
    """H x W or H x 1: 0 is the first picture, 1 the second, 1.5 the mean of second and third."""

    def rows(self, top: int, bottom: int) -> NDArray[np.uint8]:
        """Rows ``top`` to ``bottom``, (bottom - top) x W x 3."""
        places = self.places[top:bottom]
        lowest, highest = math.floor(places.min()), math.ceil(places.max())
        mixed = self.pictures[lowest].rows(top, bottom)
        for below in range(lowest, highest):
            weight = np.ascontiguousarray(np.broadcast_to(np.clip(places - below, 0, 1), mixed.shape[:2]))
            mixed = np.asarray(cv2.blendLinear(mixed, self.pictures[below + 1].rows(top, bottom), 1 - weight, weight))
        return mixed


def rows_in_need(places: NDArray[np.float32], picture: int) -> tuple[int, int] | None:
    """The rows in which one of the pictures of :class:`Layers` is seen.

    Args:
        places: H x W or H x 1.
        picture: Its number.

    Returns:
        The first of them and the one after the last; None if there is none.
    """
    needed = np.flatnonzero((np.abs(places - picture) < 1).any(axis=1))
    return (int(needed[0]), int(needed[-1]) + 1) if needed.size else None
