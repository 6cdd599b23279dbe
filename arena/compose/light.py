"""Compositing in linear light.

Levels of an sRGB picture are not proportional to light: 128 is a fifth of the light of 255. A lens mixes light. Mixed
in linear light, as a lens would, bright hair over a dark ground comes out lighter and wider, dark hair over a bright
ground thinner; mixed in sRGB, the other way about. Mattes that were made, or trained on composites that were made, in
sRGB, as nearly all are, hold alphas that suit sRGB: therefore it is an option and not the default.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from arena.checks import checked_pair, checked_rgb
from arena.compose.composite import composite_rows
from arena.errors import OptionError

if TYPE_CHECKING:
    from numpy.typing import NDArray

CODES = 65535
"""Steps of linear light in the table back to sRGB: level 1 is 20 of them, so all 256 levels come back as they were."""

MATTE_NOISE = 2 / 255
"""Alphas this near to 0 or 1 count as 0 or 1, and those between are stretched to meet them.

Mattes are made in 8 bits or worse and are seldom exactly 1 inside the subject. One part in 255 of white is 13 levels
over black, so that black hair before a white wall would show the matte's last step as a grey contour; in sRGB it is one
level, and nobody sees it."""


def _to_light(level: NDArray[np.float64]) -> NDArray[np.float64]:
    """IEC 61966-2-1: sRGB in [0, 1] to linear light in [0, 1]."""
    return np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)


def _from_light(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """The way back."""
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


LIGHT = (_to_light(np.arange(256) / 255) * CODES).astype(np.float32)
"""Linear light of each sRGB level, float32 in [0, 65535]."""

LEVEL = np.floor(_from_light(np.arange(CODES + 1) / CODES) * 255 + 0.5).astype(np.uint8)
"""sRGB level of each of 65536 steps of linear light."""


def levels_of(light: NDArray[np.float32]) -> NDArray[np.float32]:
    """The sRGB levels of linear light, in fractions of a level.

    Args:
        light: float32 of any shape, 65535 is white; what is beyond black or white becomes that.

    Returns:
        float32 of the same shape in [0, 255].
    """
    share = np.clip(light / np.float32(CODES), 0, 1)
    # As _from_light, in single precision.
    bright = np.float32(1.055) * share ** np.float32(1 / 2.4) - np.float32(0.055)
    levels: NDArray[np.float32] = np.where(share <= np.float32(0.0031308), share * np.float32(12.92), bright)
    return levels * np.float32(255)


def composite_linear(foreground: NDArray[Any], background: NDArray[Any], alpha: NDArray[Any]) -> NDArray[np.uint8]:
    """Lay a foreground over a background as a lens would: the mean is taken of light, not of sRGB levels.

    Args:
        foreground: H x W x 3, uint8, sRGB.
        background: H x W x 3, uint8, sRGB.
        alpha: Matte, H x W, float32 in [0, 1].

    Returns:
        H x W x 3, uint8, sRGB: exactly the foreground where alpha is 1, exactly the background where it is 0. In
        between never more than two levels darker than ``composite``, and mostly brighter.

    Raises:
        OptionError: An argument is of another type or size.
    """
    front, matte = checked_pair(foreground, alpha)
    back = checked_rgb(background, "background")
    if back.shape != front.shape:
        raise OptionError(f"background is {back.shape} but foreground is {front.shape}; the two must agree.")
    return composite_rows(front, matte, lambda top, bottom: back[top:bottom], _mean_of_light)


def _mean_of_light(front: NDArray[np.uint8], back: NDArray[np.uint8], alpha: NDArray[np.float32]) -> NDArray[np.uint8]:
    share = ((alpha - np.float32(MATTE_NOISE)) / np.float32(1 - 2 * MATTE_NOISE)).clip(0, 1)
    light = LIGHT[back]
    light += (LIGHT[front] - light) * share[..., None]
    light += np.float32(0.5)
    return LEVEL[light.astype(np.uint16)]
