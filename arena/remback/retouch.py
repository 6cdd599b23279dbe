"""What is done to a person who has been cut out: an unsharp mask, and contrast."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Alpha = NDArray[np.float32]
    Pixels = NDArray[np.uint8]

_NOTHING = 1e-4
"""Coverage below which there is no colour of the person to compare with."""


def retouch(rgb: Pixels, alpha: Alpha, *, sharp: float = 0.0, sigma: float = 1.0, contrast: float = 1.0) -> Pixels:
    """Sharpen the person and raise the contrast, whatever is or was behind.

    The unsharp mask compares a pixel with the person's own pixels around it, weighted by their alphas: neither the old
    background nor the white of the new one draws a rim along the outline.

    Args:
        rgb: uint8, H x W x 3, the photo.
        alpha: float32, H x W, 0 to 1: where the person is.
        sharp: How much of the difference to the blurred person is added, 0 (nothing) or more.
        sigma: Standard deviation of that blur in pixels, above 0.
        contrast: What the levels are multiplied by, above 0; they end at 255.

    Returns:
        uint8, H x W x 3: the person's colours; ``rgb`` itself if nothing is to be done. Where alpha is 0 they mean
        nothing.
    """
    if sharp == 0 and contrast == 1:
        return rgb
    levels = rgb.astype(np.float32)
    if sharp > 0:
        levels += np.float32(sharp) * (levels - _blurred(levels, alpha, sigma))
    return np.clip(np.rint(levels * np.float32(contrast)), 0, 255).astype(np.uint8)


def _blurred(levels: NDArray[np.float32], alpha: Alpha, sigma: float) -> NDArray[np.float32]:
    """The Gaussian mean of the person's colours; the colours themselves where nobody is near."""
    total = cv2.GaussianBlur(levels * alpha[..., None], (0, 0), sigma)
    coverage = cv2.GaussianBlur(alpha, (0, 0), sigma)
    near = coverage > _NOTHING
    mean = np.divide(total, coverage[..., None], out=levels.copy(), where=near[..., None])
    return np.asarray(mean, np.float32)
