"""The new background's light on the subject's edge.

Behind a subject in a real photo the scenery shines around it: lens flare and translucent hair let some of it onto the
subject's rim. Compositors call it light wrap (R. Brinkmann, The Art and Science of Digital Compositing, 2008).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from arena.checks import checked_pair, checked_rgb, checked_share
from arena.compose._strips import for_each_strip
from arena.compose.composite import INVISIBLE, TILE_COLUMNS
from arena.errors import OptionError

if TYPE_CHECKING:
    from numpy.typing import NDArray

REACH = 1 / 80
"""Standard deviation of the light's fall-off, as a share of the picture's shorter side."""

SIGMA_CELLS = 4.0
"""The same in cells of the reduced picture that it is worked out on: enough for a smooth enlargement."""

FULL_STRENGTH = 0.6
"""Share of the light that strength 1 adds. All of it washes a rim out against a white ground."""


def wrap_light(
    rgb: NDArray[Any], alpha: NDArray[Any], background: NDArray[Any], strength: float = 0.5
) -> NDArray[np.uint8]:
    """Let the light of a background fall onto the subject's edge.

    The light is the blurred background, as far as the subject leaves it to be seen. It is screened onto the colours:
    never darker, never beyond white, and none from a dark background. Where the subject is cut by the picture's
    border, no light comes from beyond it.

    Args:
        rgb: The subject's colours, H x W x 3, uint8.
        alpha: Matte, H x W, float32 in [0, 1].
        background: What it will be laid over, H x W x 3, uint8.
        strength: 0, exactly ``rgb``, to 1.

    Returns:
        H x W x 3, uint8: the subject's colours, with light where alpha is above 0 and an edge is near.

    Raises:
        OptionError: An argument is of another type, size or range.
    """
    photo, matte = checked_pair(rgb, alpha)
    scenery = checked_rgb(background, "background")
    if scenery.shape != photo.shape:
        raise OptionError(f"background is {scenery.shape} but rgb is {photo.shape}; the two must agree.")
    amount = checked_share("strength", strength) * FULL_STRENGTH
    out = photo.copy()
    if amount == 0.0:
        return out
    light = _light(scenery, matte)

    def shine(top: int, bottom: int) -> None:
        for left in range(0, matte.shape[1], TILE_COLUMNS):
            tile = (slice(top, bottom), slice(left, left + TILE_COLUMNS))
            if cv2.minMaxLoc(matte[tile])[1] > INVISIBLE and light[tile].any():
                out[tile] = _screened(photo[tile], light[tile], matte[tile] * np.float32(amount))

    for_each_strip(len(out), shine)
    return out


def _light(background: NDArray[np.uint8], alpha: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The visible background's light around every pixel, H x W x 3."""
    height, width = alpha.shape
    sigma = REACH * min(height, width)
    reduction = max(1.0, sigma / SIGMA_CELLS)
    size = (max(1, round(width / reduction)), max(1, round(height / reduction)))
    cells: NDArray[Any] = cv2.resize(background, size, interpolation=cv2.INTER_AREA)
    covered: NDArray[Any] = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
    visible = cells.reshape(size[1], size[0], 3) * (1 - covered.reshape(size[1], size[0], 1))
    # Replicated borders, so that what the frame cuts counts as covered beyond it.
    around = cv2.GaussianBlur(visible, (0, 0), sigma / reduction, borderType=cv2.BORDER_REPLICATE)
    levels: NDArray[Any] = cv2.convertScaleAbs(around)
    enlarged: NDArray[Any] = cv2.resize(levels, (width, height), interpolation=cv2.INTER_LINEAR)
    return enlarged.reshape(background.shape)


def _screened(pixels: NDArray[np.uint8], light: NDArray[np.uint8], share: NDArray[np.float32]) -> NDArray[np.uint8]:
    """``p + share * light * (255 - p) / 255``, rounded."""
    weights = cv2.merge([share * np.float32(1 / 255)] * 3).reshape(pixels.shape)
    return (pixels + weights * light * (255 - pixels) + np.float32(0.5)).astype(np.uint8)
