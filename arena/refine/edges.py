"""The edge of a coarse matte: smoothed on its own (bilateral filter, Gaussian) or along the photo's (guided filter).

Pure functions; each takes a float32 matte of H x W in [0, 1] in any memory layout and returns a new array.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from arena.checks import checked_alpha, checked_kernel, checked_number, checked_photo
from arena.errors import OptionError
from arena.refine.guided import EPSILON, guided_upsample
from arena.refine.morphology import disc

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Alpha = NDArray[np.float32]

LARGEST_BILATERAL = 15
"""Pixels; time grows with the square of the diameter: this one takes 1.6 s for 12 megapixels on two cores."""

FITTED_RADIUS = 4
"""Half width in pixels to which the guided filter's window is reduced before the fit, whose cost is that of the
reduced picture; K. He and J. Sun take a quarter of the radius as the step, too."""

SURE = 0.02
"""Alpha within this of 0 or 1 is no part of the soft edge that the guided filter redraws."""

TRUST = 0.5
"""Share of a window by which the guided filter's say reaches beyond the soft edge: at 0.33 to 0.66 the error is smaller
with and without soft hair than at 0 and above 1."""

INVISIBLE = 1 / (4 * 255)
"""A share nearer than this to 0 or 1 moves no level by more than a quarter."""


def bilateral(alpha: Alpha, diameter: int = 5, sigma_alpha: float = 0.15, sigma_space: float = 2.0) -> Alpha:
    """Smooth the flat parts of a matte and keep its edge.

    C. Tomasi and R. Manduchi, "Bilateral Filtering for Gray and Color Images", ICCV 1998.

    Args:
        alpha: float32, H x W, 0 to 1.
        diameter: Window in pixels, odd, 1 to 15; 1 changes nothing.
        sigma_alpha: Difference of alpha at which two pixels hardly influence each other any more, above 0.
        sigma_space: Distance in pixels at which they hardly do, above 0.

    Returns:
        float32, H x W, within the range of ``alpha``; a new array.

    Raises:
        OptionError: A parameter is out of range, or ``alpha`` is no matte.
    """
    matte = checked_alpha(alpha)
    diameter = checked_kernel("diameter", diameter)
    if diameter > LARGEST_BILATERAL:
        raise OptionError(f"A bilateral window of {diameter} px is above {LARGEST_BILATERAL} px.")
    sigma_alpha = checked_number("sigma_alpha", sigma_alpha, above=0)
    sigma_space = checked_number("sigma_space", sigma_space, above=0)
    if diameter == 1:
        return matte.copy()
    return _like(matte, cv2.bilateralFilter(matte, diameter, sigma_alpha, sigma_space))


def soften(alpha: Alpha, sigma: float = 1.0) -> Alpha:
    """Soften a matte with a Gaussian.

    Args:
        alpha: float32, H x W, 0 to 1.
        sigma: Standard deviation in pixels, at least 0; 0 changes nothing.

    Returns:
        float32, H x W, within the range of ``alpha``; a new array.

    Raises:
        OptionError: ``sigma`` is negative or not finite, or ``alpha`` is no matte.
    """
    matte = checked_alpha(alpha)
    sigma = checked_number("sigma", sigma, 0)
    if sigma == 0:
        return matte.copy()
    # A replicated border keeps a body that leaves the frame opaque up to the frame.
    return _like(matte, cv2.GaussianBlur(matte, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE))


def guided(alpha: Alpha, rgb: NDArray[Any], radius: float = 6.0, epsilon: float = EPSILON) -> Alpha:
    """Make the edge of a matte follow the photo's.

    The fast guided filter: the linear model of colour is fitted at a reduced size and applied at full size, in and next
    to the soft edge. Pixels farther than about ``radius`` from it keep their alpha to the last bit.

    Args:
        alpha: float32, H x W, 0 to 1.
        rgb: The photo, uint8, H x W x 3.
        radius: Half width of the filter's window in pixels, at least 0; 0 changes nothing.
        epsilon: Colour variance, for values from 0 to 1, that is ignored, above 0: larger is smoother.

    Returns:
        float32, H x W, 0 to 1; a new array.

    Raises:
        OptionError: A parameter is out of range, an array has another layout, or the two differ in size.
    """
    matte = checked_alpha(alpha)
    photo = checked_photo(rgb, matte.shape)
    radius = checked_number("radius", radius, 0)
    epsilon = checked_number("epsilon", epsilon, above=0)
    if radius == 0:
        return matte.copy()
    reduction = max(1.0, radius / FITTED_RADIUS)
    height, width = (max(1, round(length / reduction)) for length in matte.shape)
    small = np.clip(_resized(matte, width, height), 0, 1)
    # The filter looks for edges in every difference, and a network's 0 and 1 are never quite that.
    flat = np.where(small > 1 - INVISIBLE, np.float32(1), np.where(small < INVISIBLE, np.float32(0), small))
    fitted_radius = max(1, round(radius / reduction))
    fine = guided_upsample(flat, photo, radius=fitted_radius, epsilon=epsilon)
    # Away from the soft edge the fit would lay a veil over what was right already.
    weight = cv2.resize(_trust(small, fitted_radius), matte.shape[::-1], interpolation=cv2.INTER_LINEAR)
    fine -= matte
    fine *= np.asarray(weight, np.float32).reshape(matte.shape)
    fine += matte
    return np.clip(fine, 0, 1, out=fine)


def _trust(small: Alpha, radius: int) -> Alpha:
    """How much of the guided filter's alpha to take: 1 in the soft edge, falling to 0 within ``TRUST`` of a window."""
    body = (small >= np.float32(0.5)).view(np.uint8)
    around = np.ones((3, 3), np.uint8)
    outline = np.asarray(cv2.dilate(body, around)) != np.asarray(cv2.erode(body, around))
    edge = outline.reshape(small.shape) | ((small > np.float32(SURE)) & (small < np.float32(1 - SURE)))
    reach = max(1, round(TRUST * radius))
    near = cv2.dilate(edge.view(np.uint8), disc(reach))
    side = 2 * max(1, reach // 2) + 1
    weight = cv2.blur(np.asarray(near, np.float32).reshape(small.shape), (side, side))
    # The box leaves a remainder of rounding where there is nothing.
    return np.where(np.asarray(weight).reshape(small.shape) < INVISIBLE, np.float32(0), weight).astype(np.float32)


def _like(matte: Alpha, filtered: NDArray[Any]) -> Alpha:
    """What OpenCV made of a matte, in the matte's shape and in its range, which rounding can leave."""
    smooth = np.asarray(filtered, np.float32).reshape(matte.shape)
    return np.clip(smooth, matte.min(), matte.max(), out=smooth)


def _resized(matte: Alpha, width: int, height: int) -> Alpha:
    small = cv2.resize(matte, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32).reshape(height, width)
