"""A soft edge for mattes that have none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from arena.checks import checked_alpha, checked_kernel, checked_number

if TYPE_CHECKING:
    from numpy.typing import NDArray


def feather(alpha: NDArray[Any], size: int = 15, sigma: float = 5.0) -> NDArray[np.float32]:
    """Soften the edge of a binary matte with one Gaussian.

    Args:
        alpha: Matte, H x W, float32 in [0, 1].
        size: Side of the kernel in pixels, odd; 1 changes nothing.
        sigma: Its standard deviation in pixels, above 0.

    Returns:
        H x W, float32 in [0, 1]; 0 and 1 stay exact at more than half a kernel from the edge.

    Raises:
        OptionError: An argument is of another type or range.
    """
    matte, side = checked_alpha(alpha), checked_kernel("size", size)
    spread = checked_number("sigma", sigma, above=0)
    soft: NDArray[Any] = cv2.GaussianBlur(matte, (side, side), spread).reshape(matte.shape)
    # The weights add up to 1 only to within rounding.
    return _snapped(soft)


def _snapped(alpha: NDArray[np.float32]) -> NDArray[np.float32]:
    """Bring values that rounding moved off 0 or 1 back onto them."""
    slack = 4 * np.finfo(np.float32).eps
    alpha[alpha >= 1.0 - slack] = 1.0
    alpha[alpha <= slack] = 0.0
    return alpha
