"""The subject moved and scaled within its frame."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np

from arena.checks import checked_number, checked_pair
from arena.compose._numbers import rounded
from arena.compose._resample import Window, resample
from arena.errors import OptionError

if TYPE_CHECKING:
    from numpy.typing import NDArray

SMALLEST = 0.05
LARGEST = 20.0
"""Bounds of the subject's scale."""

CUT = 0.5
"""An edge row or column with an alpha above this cuts the subject."""

WHOLE = np.float32(1 / 1024)
"""Smallest alpha that a colour can be divided by; below, a resampled pixel has no colour."""

FRINGE = 2
"""Pixels around a scaled subject that the filter may still colour."""


@dataclass(frozen=True)
class Placement:
    """Where the subject stands and how large it is; shares of the frame, so that a preview and an export agree.

    Scaling keeps the middle of the subject's lowest row in place, so that it stays on its feet. Where the frame cuts
    the subject at the bottom, or at one side, it is that edge which stays in place, so that the cut never shows; a
    subject cut at both sides cannot be made smaller without showing one. Moving it away from a cut edge shows it too.
    """

    x: float = 0.0
    """To the right, as a share of the frame's width: -1 to 1."""

    y: float = 0.0
    """Downwards, as a share of the frame's height: -1 to 1."""

    scale: float = 1.0
    """Enlargement, 0.05 to 20; 1 keeps every pixel as it is."""

    def __post_init__(self) -> None:
        checked_number("x", self.x, -1, 1)
        checked_number("y", self.y, -1, 1)
        checked_number("scale", self.scale, SMALLEST, LARGEST)


AS_SHOT = Placement()
"""Where the photo has it."""


class _Box(NamedTuple):
    """Whole pixels, the last row and column not included."""

    top: int
    left: int
    bottom: int
    right: int


def place_subject(
    rgb: NDArray[Any], alpha: NDArray[Any], placement: Placement
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Move and scale a subject within its frame.

    A move alone is by whole pixels and exact. Scaling weights the colours by alpha, so that none from behind the
    subject comes along.

    Args:
        rgb: The subject's colours, H x W x 3, uint8.
        alpha: Matte, H x W, float32 in [0, 1].
        placement: Where to, and how large.

    Returns:
        Colours, H x W x 3, uint8, black where alpha is 0 unless nothing was asked for; and the matte, H x W, float32
        in [0, 1].

    Raises:
        OptionError: An argument is of another type, size or range.
    """
    photo, matte = checked_pair(rgb, alpha)
    if not isinstance(placement, Placement):
        raise OptionError(f"placement must be a Placement, but is {placement!r}.")
    if placement == AS_SHOT:
        return photo, matte
    colours, share = np.zeros_like(photo), np.zeros_like(matte)
    subject = _bounds(matte)
    if subject is not None:
        _draw(photo, matte, subject, placement, colours, share)
    return colours, share


def _draw(
    photo: NDArray[np.uint8],
    matte: NDArray[np.float32],
    subject: _Box,
    placement: Placement,
    colours: NDArray[np.uint8],
    share: NDArray[np.float32],
) -> None:
    height, width = matte.shape
    frame_height = max(1, rounded(height * placement.scale))
    frame_width = max(1, rounded(width * placement.scale))
    across, down = _pivot(matte, subject)
    top = rounded(down * (height - frame_height) + placement.y * height)
    left = rounded(across * (width - frame_width) + placement.x * width)
    per_row, per_column = height / frame_height, width / frame_width
    fringe = 0 if placement.scale == 1 else FRINGE
    # What of the scaled frame holds the subject and lies within the frame that is seen.
    shown = _Box(
        max(0, top, top + math.floor(subject.top / per_row) - fringe),
        max(0, left, left + math.floor(subject.left / per_column) - fringe),
        min(height, top + frame_height, top + math.ceil(subject.bottom / per_row) + fringe),
        min(width, left + frame_width, left + math.ceil(subject.right / per_column) + fringe),
    )
    if shown.top >= shown.bottom or shown.left >= shown.right:
        return
    target = (slice(shown.top, shown.bottom), slice(shown.left, shown.right))
    if placement.scale == 1:
        source = (slice(shown.top - top, shown.bottom - top), slice(shown.left - left, shown.right - left))
        share[target] = matte[source]
        visible = (matte[source] > 0).astype(np.uint8)
        colours[target] = cv2.multiply(photo[source], cv2.merge([visible] * 3)).reshape(*visible.shape, 3)
        return
    new_colours, new_share = colours[target], share[target]

    # Plane by plane: Pillow has floating-point pictures of one channel only.
    def take(above: int, below: int, before: int, after: int) -> list[NDArray[Any]]:
        weight = matte[above:below, before:after]
        return [*(plane * weight for plane in cv2.split(photo[above:below, before:after])), weight]

    def put(first: int, last: int, planes: list[NDArray[Any]]) -> None:
        weight = planes[3].clip(0, 1)
        weight[weight < WHOLE] = 0
        per_share = (weight > 0) / np.maximum(weight, WHOLE)
        levels = [(plane * per_share + np.float32(0.5)).clip(0, 255).astype(np.uint8) for plane in planes[:3]]
        new_colours[first:last] = cv2.merge(levels)
        new_share[first:last] = weight

    window = Window(
        (shown.top - top) * per_row,
        (shown.left - left) * per_column,
        min((shown.bottom - top) * per_row, height),
        min((shown.right - left) * per_column, width),
    )
    resample(take, matte.shape, window, (shown.bottom - shown.top, shown.right - shown.left), put)


def _bounds(matte: NDArray[np.float32]) -> _Box | None:
    """The smallest box that holds every pixel with any of the subject."""
    rows, columns = np.flatnonzero(matte.max(axis=1)), np.flatnonzero(matte.max(axis=0))
    if not len(rows):
        return None
    return _Box(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)


def _pivot(matte: NDArray[np.float32], subject: _Box) -> tuple[float, float]:
    """The point of the frame, x and y in [0, 1], that scaling leaves in place."""
    height, width = matte.shape
    cut_left, cut_right = matte[:, 0].max() > CUT, matte[:, -1].max() > CUT
    across = (subject.left + subject.right) / 2 / width
    if cut_left != cut_right:
        across = 1.0 if cut_right else 0.0
    cut_top, cut_bottom = matte[0].max() > CUT, matte[-1].max() > CUT
    if cut_bottom:
        return across, 1.0
    return across, 0.0 if cut_top else subject.bottom / height
