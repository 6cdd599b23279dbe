"""Blur as a lens makes it: every point of light becomes a picture of the aperture.

A Gaussian fades away; a lens out of focus spreads a point evenly over its circle of confusion (Potmesil and
Chakravarty, "A Lens and Aperture Camera Model for Synthetic Image Generation", SIGGRAPH 1981), or over the polygon of
its blades. It spreads light, not sRGB levels. And a lamp in the photo is white, however bright it was: bright points
that stand out from what is around them get some of the light back that was cut off (after Banterle et al., "Inverse
Tone Mapping", GRAPHITE 2006).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import cv2
import numpy as np

from arena.compose._cells import enlarged_rows
from arena.compose.light import CODES, LIGHT, levels_of
from arena.errors import OptionError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float32]

Bokeh = Literal["gaussian", "disc", "hexagon"]
BOKEHS: tuple[Bokeh, ...] = get_args(Bokeh)

SUBSTEPS = 8
"""Places to each side of a pixel at which the rim of an aperture is looked at."""

HEXAGON_REACH = math.sqrt(2 * math.pi / (3 * math.sqrt(3)))
"""Circumradius c of the hexagon with the area of a disc of radius 1; it has 3 sqrt(3) / 2 c^2."""

AROUND_SCALE = 16
"""Side in pixels of the cells by which the surroundings of a lamp are known."""

LAMP_REACH = 1 / 50
"""How far around a lamp it has to be dark, as a share of the picture's shorter side: what is larger is a window."""

HIGHLIGHT = 6.0
"""How many times its light a white point before black gets on top. It is a guess: lamps are hundreds of times as bright
as what they light, and a picture made of that would be of lamps alone."""

BRIGHT_FROM = 0.5
"""Linear light, of 1, from which on a point may be a lamp."""

LONELY_FROM = 0.5
"""By how much it is then brighter than the mean around it: the rim of a white wall before black is by one half."""


def checked_bokeh(bokeh: object) -> Bokeh:
    """See that there is such a shape.

    Args:
        bokeh: What was asked for.

    Returns:
        The same.

    Raises:
        OptionError: There is none.
    """
    if bokeh not in BOKEHS:
        raise OptionError(f"bokeh must be one of {', '.join(BOKEHS)}, but is {bokeh!r}.")
    return bokeh


def aperture_radius(variance: float) -> float:
    """Radius of the disc that blurs as much as a Gaussian: the one of the same variance.

    Args:
        variance: Of the Gaussian along each axis, in square pixels.

    Returns:
        Pixels.
    """
    return 2 * math.sqrt(variance)


def aperture(bokeh: Bokeh, radius: float) -> FloatArray:
    """What a point becomes.

    Args:
        bokeh: ``"disc"`` or ``"hexagon"``.
        radius: Of the disc, in pixels; the hexagon has the disc's area and a corner at the top.

    Returns:
        float32, n x n, n odd; the sum is 1.
    """
    reach = radius * (HEXAGON_REACH if bokeh == "hexagon" else 1.0)
    half = max(1, math.ceil(reach))
    at = (np.arange((2 * half + 1) * SUBSTEPS, dtype=np.float32) + 0.5) / SUBSTEPS - half - 0.5
    x, y = at[None], at[:, None]
    if bokeh == "disc":
        inside = x * x + y * y <= radius * radius
    else:
        # Between three pairs of parallel sides.
        apothem = reach * math.cos(math.pi / 6)
        turns = (0.0, math.pi / 3, 2 * math.pi / 3)
        inside = np.all([np.abs(x * math.cos(turn) + y * math.sin(turn)) <= apothem for turn in turns], axis=0)
    side = 2 * half + 1
    shares = inside.reshape(side, SUBSTEPS, side, SUBSTEPS).mean(axis=(1, 3), dtype=np.float64)
    return np.asarray(shares / shares.sum(), np.float32)


def spread_light(light: FloatArray, bokeh: Bokeh, radius: float) -> FloatArray:
    """Put a scene out of focus.

    Args:
        light: Linear light, H x W x 3, float32, 65535 is white; lamps are beyond it.
        bokeh: ``"disc"`` or ``"hexagon"``.
        radius: Of the disc, in cells of the array; see :func:`aperture`.

    Returns:
        sRGB levels, H x W x 3, float32 in [0, 255].
    """
    spread: NDArray[Any] = cv2.filter2D(light, -1, aperture(bokeh, radius), borderType=cv2.BORDER_REFLECT)
    return levels_of(spread.reshape(light.shape))


def to_light(rgb: NDArray[np.uint8]) -> FloatArray:
    """Linear light of sRGB levels.

    Args:
        rgb: H x W x 3, uint8.

    Returns:
        H x W x 3, float32 in [0, 65535].
    """
    return np.asarray(cv2.LUT(rgb, LIGHT), np.float32).reshape(rgb.shape)


@dataclass(frozen=True)
class Scene:
    """A picture as light, with some of what its white cut off.

    Whether a point is a lamp is decided pixel by pixel, before anything is reduced: it is one for every blur.
    """

    rgb: NDArray[np.uint8]
    """H x W x 3."""

    around: FloatArray
    """h x w, of 1: how bright it is around each cell of ``AROUND_SCALE`` pixels."""

    def rows(self, top: int, bottom: int) -> FloatArray:
        """Light of some rows.

        Args:
            top: First row; a multiple of ``AROUND_SCALE``.
            bottom: Row after the last.

        Returns:
            (bottom - top) x W x 3, float32, 65535 is white; lamps are beyond it.
        """
        levels = self.rgb[top:bottom]
        light = to_light(levels)
        red, green, blue = cv2.split(levels)
        brightest = cv2.LUT(np.asarray(cv2.max(cv2.max(red, green), blue)), LIGHT / np.float32(CODES))
        bright = np.clip((brightest - BRIGHT_FROM) / (1 - BRIGHT_FROM), 0, 1)
        if not bright.any():
            return light
        nearby = enlarged_rows(self.around, AROUND_SCALE, levels.shape[1], top, bottom)
        lonely = np.clip((brightest - nearby - LONELY_FROM) / (1 - LONELY_FROM), 0, 1)
        return np.asarray(light * (1 + HIGHLIGHT * bright * lonely**2)[..., None], np.float32)


def surroundings(means: FloatArray, shorter_side: int) -> FloatArray:
    """How bright it is around each cell of a picture.

    Args:
        means: Light of cells of ``AROUND_SCALE`` pixels, h x w x 3, float32 in [0, 65535].
        shorter_side: Of the picture, in pixels.

    Returns:
        h x w, float32, of 1.
    """
    side = 2 * max(1, round(LAMP_REACH * shorter_side / AROUND_SCALE)) + 1
    brightest = means.max(axis=2) / np.float32(CODES)
    around: NDArray[Any] = cv2.blur(brightest, (side, side), borderType=cv2.BORDER_REFLECT)
    return around.reshape(brightest.shape)
