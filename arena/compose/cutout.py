"""The subject alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from arena.checks import checked_pair

if TYPE_CHECKING:
    from numpy.typing import NDArray


def cutout(rgb: NDArray[Any], alpha: NDArray[Any]) -> NDArray[np.uint8]:
    """The photo with the matte as its alpha channel.

    Args:
        rgb: Photo, H x W x 3, uint8.
        alpha: Matte, H x W, float32 in [0, 1].

    Returns:
        H x W x 4, uint8, RGBA, straight (not premultiplied) alpha: colours as they are in the photo, everywhere.

    Raises:
        OptionError: An argument is of another type, size or range.
    """
    photo, matte = checked_pair(rgb, alpha)
    out = np.empty((*matte.shape, 4), np.uint8)
    out[..., :3] = photo
    out[..., 3] = cv2.convertScaleAbs(matte, alpha=255).reshape(matte.shape)
    return out
