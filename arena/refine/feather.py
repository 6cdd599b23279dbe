"""A soft edge for mattes that have none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from arena.errors import OptionError

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
    if not isinstance(alpha, np.ndarray) or alpha.dtype != np.float32 or alpha.ndim != 2 or alpha.size == 0:
        raise OptionError("alpha must be a float32 array of the shape H x W.")
    if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1 or size % 2 == 0:
        raise OptionError(f"size must be an odd whole number of at least 1, but is {size!r}.")
    if not 0.0 < sigma < float("inf"):
        raise OptionError(f"sigma must be above 0, but is {sigma!r}.")
    soft: NDArray[Any] = cv2.GaussianBlur(np.ascontiguousarray(alpha), (size, size), sigma).reshape(alpha.shape)
    # The weights add up to 1 only to within rounding.
    return _snapped(soft)


def _snapped(alpha: NDArray[np.float32]) -> NDArray[np.float32]:
    """Bring values that rounding moved off 0 or 1 back onto them."""
    slack = 4 * np.finfo(np.float32).eps
    alpha[alpha >= 1.0 - slack] = 1.0
    alpha[alpha <= slack] = 0.0
    return alpha
