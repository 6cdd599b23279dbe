"""The blur of a lens from a depth map: the farther from the subject, the more, behind it and in front of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from arena.checks import checked_alpha, checked_depth
from arena.compose.fill import push_pull

if TYPE_CHECKING:
    from numpy.typing import NDArray

SURELY = 0.9
"""Alpha from which the depth of a pixel is the subject's."""

VISIBLE_UP_TO = 0.1
"""Alpha up to which it is the background's."""

MARGIN = 2
"""How far from the subject the background's depth is not believed, in pixels of the map: networks make edges that wide,
and what is taken for the subject's depth there would be a sharp rim around it."""

IN_FOCUS = (10.0, 90.0)
"""Percentiles of the subject's inverse depth between which everything is sharp: a body has a depth of its own, and
several people stand behind one another. What lies outside is mostly error of the map at the outline."""

FARTHEST = 2.0
"""Percentile of the background's inverse depth that gets all of the blur."""

FILL_SCALE = 4
"""Side of the cells, in pixels of the map, in which the amount behind the subject is filled in."""

LEAST_SPAN = 0.05
"""What lies between the subject and the farthest background is at least this share of the map's range: a wall right
behind the subject is near, and the map's noise on it is no depth."""

RANGE = (2.0, 98.0)
"""Percentiles of the map that its range lies between: single pixels may err by any amount."""


def depth_blur(depth: NDArray[Any], alpha: NDArray[Any]) -> NDArray[np.float32]:
    """How much of the blur each pixel gets if the subject is in focus.

    A thin lens makes a circle of confusion whose diameter grows evenly with the difference of the inverse distances of
    what is seen and of what is in focus (Potmesil and Chakravarty, "A Lens and Aperture Camera Model for Synthetic
    Image Generation", SIGGRAPH 1981). Relative inverse depth, which networks give, is that up to a factor and a
    constant; the constant cancels, and the factor is chosen so that the farthest background gets all of the blur,
    unless it is as good as no farther than the subject.

    Args:
        depth: Relative inverse depth, h x w, float32: larger is nearer, in any unit and from any zero.
        alpha: Matte, H x W, float32 in [0, 1], of the same view at any size.

    Returns:
        h x w, float32 in [0, 1]: 0 at the subject's depth, 1 at the farthest background and as much in front. Behind
        the subject it is what the surroundings suggest. 1 everywhere if there is no subject to be in focus.

    Raises:
        OptionError: An argument is of another type, or has values that are no numbers.
    """
    # In double precision, or the difference of two large numbers would be none.
    nearness, matte = checked_depth(depth).astype(np.float64), checked_alpha(alpha)
    height, width = nearness.shape
    if matte.shape != nearness.shape:
        shrinks = matte.shape[0] > height
        matte = np.asarray(
            cv2.resize(matte, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        )
    subject = matte >= SURELY
    if not subject.any():
        return np.ones(nearness.shape, np.float32)
    back, front = np.percentile(nearness[subject], IN_FOCUS)
    around = np.ones((2 * MARGIN + 1, 2 * MARGIN + 1), np.uint8)
    visible = np.asarray(cv2.erode((matte <= VISIBLE_UP_TO).astype(np.uint8), around)) > 0
    if not visible.any():
        # Nothing of the background is known, and next to nothing of it is seen.
        return np.ones(nearness.shape, np.float32)
    farthest, nearest = np.percentile(nearness, RANGE)
    span = max(float(back - np.percentile(nearness[visible], FARTHEST)), LEAST_SPAN * float(nearest - farthest))
    away = np.maximum(back - nearness, nearness - front)
    amount = np.clip(away / span, 0, 1) if span > 0 else np.ones_like(nearness)
    return _behind(amount.astype(np.float32), visible)


def _behind(amount: NDArray[np.float32], visible: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The amount with what the subject hides filled in from all around."""
    height, width = amount.shape
    # Smooth, and hidden for the most part: cells of a few pixels will do.
    size = (-(-width // FILL_SCALE), -(-height // FILL_SCALE))
    coverage = np.asarray(cv2.resize(visible.astype(np.float32), size, interpolation=cv2.INTER_AREA))
    seen = np.asarray(cv2.resize(amount * visible, size, interpolation=cv2.INTER_AREA))
    means = seen / np.maximum(coverage, np.finfo(np.float32).tiny)
    filled = push_pull(np.repeat(means[..., None], 3, axis=2), coverage.astype(np.float32), 1.0)[..., 0]
    enlarged = np.asarray(cv2.resize(filled, (width, height), interpolation=cv2.INTER_LINEAR))
    return np.where(visible, amount, np.clip(enlarged, 0, 1))
