"""The matte made visible on the photo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from arena.checks import checked_pair
from arena.compose.composite import composite

if TYPE_CHECKING:
    from numpy.typing import NDArray

PRESENCE = 0.5
"""Alpha above which a pixel is shown as the subject's."""

CLOSING = 5
"""Diameter in pixels of the ellipse that closes pinholes in the shown mask."""

GREEN = (0, 255, 0)
OPACITY = 0.5

LINE = 2
LINE_AT = 1000
"""Contours are 2 px wide on a picture whose longer side has this many pixels or fewer, and grow with it beyond:
pictures are looked at on a screen of about that size."""


def mask_overlay(rgb: NDArray[Any], alpha: NDArray[Any]) -> NDArray[np.uint8]:
    """The photo with the subject tinted green and outlined.

    Args:
        rgb: Photo, H x W x 3, uint8.
        alpha: Matte, H x W, float32 in [0, 1].

    Returns:
        H x W x 3, uint8: the photo's own pixels away from subject and outline.

    Raises:
        OptionError: An argument is of another type, size or range.
    """
    photo, matte = checked_pair(rgb, alpha)
    presence = (matte > PRESENCE).astype(np.uint8)
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (CLOSING, CLOSING))
    mask = cv2.morphologyEx(presence, cv2.MORPH_CLOSE, ellipse).reshape(presence.shape)
    tint = np.full_like(photo, GREEN)
    out = composite(tint, photo, mask * np.float32(OPACITY))
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(out, contours, -1, GREEN, line_width(*matte.shape), cv2.LINE_AA)
    return out


def line_width(height: int, width: int) -> int:
    """Width of the outline.

    Args:
        height: Rows of the picture.
        width: Columns of the picture.

    Returns:
        Pixels, at least 2.
    """
    return max(LINE, round(LINE * max(height, width) / LINE_AT))
