"""The shape of a matte: what belongs to the subject, and where its outline runs.

Pure functions; each takes a float32 matte of H x W in [0, 1] in any memory layout and returns a new array. Those that
know of an edge's softness keep it: they are the grey-value forms of the binary operations.

J. Serra, "Image Analysis and Mathematical Morphology", Academic Press, 1982.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from arena.checks import checked_alpha, checked_kernel, checked_number, checked_whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Alpha = NDArray[np.float32]

PART_LEVEL = 0.05
"""Alpha above which pixels hold together as one part of the subject: low, so that strands of hair stay attached."""

HOLE_LEVEL = 0.95
"""Alpha below which a pixel can be part of a hole: high, so that a filled hole leaves no soft ring behind."""

LARGEST_DISC = 15
"""Radius in pixels up to which specks and holes are measured by a disc; time grows with its square."""

LARGEST_GROWTH = 100.0
"""Pixels; time grows with the square."""


def threshold(alpha: Alpha, level: float = 0.5, softness: float = 0.0) -> Alpha:
    """Make a matte binary, or steeper.

    Args:
        alpha: float32, H x W, 0 to 1.
        level: Alpha from which on a pixel is the subject, above 0 and at most 1.
        softness: Width of a straight ramp about ``level``, in alpha: 0 gives 0 and 1 alone, 1 about 1/2 leaves the
            matte as it is. The ramp is no wider than lets 0 stay 0 and 1 stay 1.

    Returns:
        float32, H x W, 0 to 1; a new array.

    Raises:
        OptionError: A parameter is out of range, or ``alpha`` is no matte.
    """
    matte = checked_alpha(alpha)
    level = checked_number("level", level, above=0, highest=1)
    softness = min(checked_number("softness", softness, 0, 1), 2 * level, 2 * (1 - level))
    if softness == 0:
        return (matte >= np.float32(level)).astype(np.float32)
    steeper = (matte - np.float32(level)) / np.float32(softness) + np.float32(0.5)
    return np.clip(steeper, 0, 1, out=steeper)


def largest_components(alpha: Alpha, count: int = 1, level: float = PART_LEVEL) -> Alpha:
    """Keep the largest connected parts of a matte and drop the others.

    A part's size is the sum of its alphas, so that a wide faint veil does not outweigh a person. Pixels fainter than
    ``level`` stay or go with the part that is nearest to them.

    Args:
        alpha: float32, H x W, 0 to 1.
        count: How many parts stay, at least 1.
        level: Alpha above which neighbouring pixels, diagonal ones too, hold together; 0 to below 1.

    Returns:
        float32, H x W: ``alpha`` where it stays, 0 where it was dropped; a new array. A matte of no more than ``count``
        parts, an empty one included, comes back as it is.

    Raises:
        OptionError: A parameter is out of range, or ``alpha`` is no matte.
    """
    matte = checked_alpha(alpha)
    count = checked_whole("count", count, 1)
    solid = (matte > np.float32(checked_number("level", level, 0, math.nextafter(1, 0)))).view(np.uint8)
    parts, labels = cv2.connectedComponents(solid, connectivity=8, ltype=cv2.CV_32S)
    if parts - 1 <= count:
        return matte.copy()
    labels = np.asarray(labels, np.int32).reshape(matte.shape)
    sizes = np.bincount(labels.ravel(), weights=matte.ravel(), minlength=parts)
    sizes[0] = -1
    stays = np.zeros(parts, np.uint8)
    stays[np.argsort(-sizes, kind="stable")[:count]] = 1
    kept = np.take(stays, labels)
    return np.where(_distance_to(kept) <= _distance_to(solid ^ kept), matte, np.float32(0))


def fill_holes(alpha: Alpha, largest_share: float = 0.002, level: float = HOLE_LEVEL) -> Alpha:
    """Make small islands of background inside the subject opaque.

    A hole is enclosed: no path over pixels below ``level`` leads from it to the picture's border, neither straight nor
    diagonal. Gaps between strands of hair, whose alphas are lower than that, therefore stay, and so does anything
    larger, such as what is seen through the crook of an arm.

    Args:
        alpha: float32, H x W, 0 to 1.
        largest_share: Area up to which a hole is filled, as a share of the picture, 0 to 1; 0 changes nothing.
        level: Alpha below which a pixel can belong to a hole, above 0 and at most 1.

    Returns:
        float32, H x W, nowhere below ``alpha``; a new array.

    Raises:
        OptionError: A parameter is out of range, or ``alpha`` is no matte.
    """
    matte = checked_alpha(alpha)
    largest = checked_number("largest_share", largest_share, 0, 1) * matte.size
    gaps = (matte < np.float32(checked_number("level", level, above=0, highest=1))).view(np.uint8)
    if largest < 1:
        return matte.copy()
    parts, labels, stats, _ = cv2.connectedComponentsWithStats(gaps, connectivity=8, ltype=cv2.CV_32S)
    labels = np.asarray(labels, np.int32).reshape(matte.shape)
    filled = np.asarray(stats)[:, cv2.CC_STAT_AREA] <= largest
    filled[0] = False
    for border in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        filled[border] = False
    out = matte.copy()
    if parts > 1 and filled.any():
        out[np.take(filled, labels)] = 1
    return out


def opening(alpha: Alpha, kernel: int = 3, iterations: int = 1) -> Alpha:
    """Erosion, then dilation: bright specks smaller than the kernel vanish, larger shapes keep their outline.

    Args:
        alpha: float32, H x W, 0 to 1.
        kernel: Diameter of the disc in pixels, odd; 1 changes nothing. Beyond ``LARGEST_DISC`` it is an octagon.
        iterations: How many erosions, and then how many dilations; 0 changes nothing.

    Returns:
        float32, H x W, nowhere above ``alpha``; a new array.

    Raises:
        OptionError: A parameter is out of range, or ``alpha`` is no matte.
    """
    return _twice(alpha, cv2.MORPH_OPEN, kernel, iterations)


def closing(alpha: Alpha, kernel: int = 3, iterations: int = 1) -> Alpha:
    """Dilation, then erosion: holes smaller than the kernel fill, larger shapes keep their outline.

    Args:
        alpha: float32, H x W, 0 to 1.
        kernel: Diameter of the disc in pixels, odd; 1 changes nothing. Beyond ``LARGEST_DISC`` it is an octagon.
        iterations: How many dilations, and then how many erosions; 0 changes nothing.

    Returns:
        float32, H x W, nowhere below ``alpha``; a new array.

    Raises:
        OptionError: A parameter is out of range, or ``alpha`` is no matte.
    """
    return _twice(alpha, cv2.MORPH_CLOSE, kernel, iterations)


def grow(alpha: Alpha, pixels: float) -> Alpha:
    """Move the outline outwards or inwards; a soft edge moves as it is and stays as soft.

    Fractions of a pixel lie between the two whole steps around them, which for the edge of a disc or a ramp is where
    the outline would run.

    Args:
        alpha: float32, H x W, 0 to 1.
        pixels: How far, -100 to 100: above 0 the subject grows, below it shrinks; 0 changes nothing.

    Returns:
        float32, H x W, within the range of ``alpha``; a new array.

    Raises:
        OptionError: A parameter is out of range, or ``alpha`` is no matte.
    """
    matte = checked_alpha(alpha)
    pixels = checked_number("pixels", pixels, -LARGEST_GROWTH, LARGEST_GROWTH)
    operation = cv2.MORPH_DILATE if pixels > 0 else cv2.MORPH_ERODE
    fraction, whole = math.modf(abs(pixels))
    near = _moved(matte, operation, int(whole))
    if fraction == 0:
        return near
    far = _moved(matte, operation, int(whole) + 1)
    # As a step from `near`, so that equal values stay equal to the last bit.
    far -= near
    far *= np.float32(fraction)
    far += near
    return np.clip(far, 0, 1, out=far)


def disc(radius: int) -> NDArray[np.uint8]:
    """The structuring element of this module: the pixels within a circle, the same when turned or mirrored.

    Args:
        radius: Half width in pixels beside the central one, at least 0.

    Returns:
        uint8, (2 radius + 1) squared, 1 inside; each disc contains the smaller ones.
    """
    steps = np.arange(-radius, radius + 1) ** 2
    # A quarter of a pixel more than the radius: a circle through the very last pixels would leave spikes of one.
    return (steps[:, None] + steps <= radius * radius + radius / 2).astype(np.uint8)


def _twice(alpha: Alpha, operation: int, kernel: int, iterations: int) -> Alpha:
    matte = checked_alpha(alpha)
    radius = checked_kernel("kernel", kernel) // 2
    iterations = checked_whole("iterations", iterations, 0)
    if radius == 0 or iterations == 0:
        return matte.copy()
    if radius <= LARGEST_DISC:
        return _like(matte, cv2.morphologyEx(matte, operation, disc(radius), iterations=iterations))
    first, second = (cv2.erode, cv2.dilate) if operation == cv2.MORPH_OPEN else (cv2.dilate, cv2.erode)
    out = matte
    for step in (first, second):
        for _ in range(iterations):
            out = _by_octagon(step, out, radius)
    return out


def _by_octagon(step: Callable[..., NDArray[Any]], matte: Alpha, radius: int) -> Alpha:
    """Erode or dilate by the octagon nearest to a disc.

    It is a square and then a diamond, whose cost grows with the radius and not with its square.
    """
    diamond = round((2 - math.sqrt(2)) * radius)
    side = 2 * (radius - diamond) + 1
    moved = step(matte, np.ones((side, side), np.uint8))
    return _like(matte, step(moved, cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3)), iterations=diamond))


def _moved(matte: Alpha, operation: int, radius: int) -> Alpha:
    if radius == 0:
        return matte.copy()
    return _like(matte, cv2.morphologyEx(matte, operation, disc(radius)))


def _like(matte: Alpha, moved: NDArray[Any]) -> Alpha:
    return np.asarray(moved, np.float32).reshape(matte.shape)


def _distance_to(mask: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Distance of every pixel to the nearest one of a mask."""
    distance = cv2.distanceTransform((mask == 0).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_3)
    return np.asarray(distance, np.float32).reshape(mask.shape)
