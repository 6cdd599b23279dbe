"""What a subject can be laid over: a picture, a plain colour, a gradient, or nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np
from PIL import ImageColor

from arena.checks import checked_number
from arena.compose._strips import for_each_strip
from arena.errors import OptionError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Colour = tuple[int, int, int]
"""sRGB, 0 to 255 each."""

BLACK: Colour = (0, 0, 0)

Shape = Literal["linear", "radial"]
SHAPES: tuple[Shape, ...] = ("linear", "radial")

DOWNWARDS = 180.0
"""Direction of a gradient from top to bottom, in CSS's degrees."""

MAX_ANGLE = 360.0

SHADES = 4096
"""Steps of a gradient's table: 16 for every level of the widest one, so each level starts where it should."""

COLOUR_REMEDY = "Give a name such as white, a hex code such as #aabbcc or #abc, or rgb(170, 187, 204)."
GRADIENT_REMEDY = "Write gradient:#112233-#445566@90 or radial:white-navy."


@dataclass(frozen=True)
class Plain:
    """One colour everywhere."""

    colour: Colour
    """sRGB, 0 to 255 each."""

    def __post_init__(self) -> None:
        checked_colour(self.colour)


@dataclass(frozen=True)
class Gradient:
    """Colours that fade into each other, evenly spaced, mixed in sRGB as CSS does."""

    colours: tuple[Colour, ...]
    """Two or more, from the start of the gradient line to its end."""

    shape: Shape = "linear"
    """``"linear"`` along a direction, or ``"radial"`` from the frame's middle to its corners."""

    angle: float = DOWNWARDS
    """Direction of a linear gradient in degrees as in CSS: 0 goes up, 90 to the right, 180 down; -360 to 360."""

    def __post_init__(self) -> None:
        if not isinstance(self.colours, tuple) or len(self.colours) < 2:
            raise OptionError(f"A gradient needs two or more colours, but has {self.colours!r}.", GRADIENT_REMEDY)
        for colour in self.colours:
            checked_colour(colour)
        if self.shape not in SHAPES:
            raise OptionError(f"shape must be one of {', '.join(SHAPES)}, but is {self.shape!r}.")
        checked_number("angle", self.angle, -MAX_ANGLE, MAX_ANGLE)

    def render(self, height: int, width: int) -> NDArray[np.uint8]:
        """The gradient as a picture.

        A linear one begins and ends where the lines through the frame's corners meet the gradient line, a radial one
        at the corners (CSS Images Module Level 3, sections 3.1 and 3.2).

        Args:
            height: Rows, at least 1.
            width: Columns, at least 1.

        Returns:
            height x width x 3, uint8.
        """
        shades = self._shades()
        # Pixel centres, from the middle of the frame.
        down = np.arange(height, dtype=np.float32)[:, None] - np.float32((height - 1) / 2)
        right = np.arange(width, dtype=np.float32)[None, :] - np.float32((width - 1) / 2)
        towards = math.radians(self.angle)
        length = abs(width * math.sin(towards)) + abs(height * math.cos(towards))
        radius = math.hypot(height, width) / 2
        out = np.empty((height, width, 3), np.uint8)

        def render_strip(top: int, bottom: int) -> None:
            rows = down[top:bottom]
            if self.shape == "radial":
                way = np.hypot(rows, right) / np.float32(radius)
            else:
                way = (right * np.float32(math.sin(towards)) - rows * np.float32(math.cos(towards))) / np.float32(
                    length
                ) + np.float32(0.5)
            steps = (way * np.float32(SHADES - 1) + np.float32(0.5)).clip(0, SHADES - 1)
            pixels = shades.take(steps.astype(np.intp)).view(np.uint8).reshape(*steps.shape, 4)
            out[top:bottom] = cv2.cvtColor(pixels, cv2.COLOR_RGBA2RGB)

        for_each_strip(height, render_strip)
        return out

    def _shades(self) -> NDArray[np.uint32]:
        """The colours along the gradient line, R, G, B and 255 in one number each, which is quicker to look up."""
        stops = np.linspace(0.0, 1.0, len(self.colours))
        way = np.linspace(0.0, 1.0, SHADES)
        channels = [np.interp(way, stops, levels) for levels in zip(*self.colours, strict=True)]
        opaque = np.full(SHADES, 255.0)
        levels = np.floor(np.stack([*channels, opaque], axis=1) + 0.5).astype(np.uint8)
        return levels.view(np.uint32)[:, 0]


@dataclass(frozen=True)
class Transparent:
    """Nothing: the result has an alpha channel."""


type Background = NDArray[np.uint8] | Plain | Gradient | Transparent
"""A picture, h x w x 3 or h x w x 4 with straight alpha, uint8, of any size; or what is to be drawn."""


def parse_background(text: str) -> Plain | Gradient | Transparent:
    """Read a background that is written down, as on a command line.

    ==================================  ==================================================================
    ``transparent``                     nothing
    a colour                            plain, see ``parse_colour``
    ``gradient:COLOUR-COLOUR[@ANGLE]``  linear; more colours may follow; the angle is in CSS's degrees:
                                        0 goes up, 90 to the right, 180, the default, down
    ``radial:COLOUR-COLOUR``            from the middle to the corners; more colours may follow
    ==================================  ==================================================================

    Pictures are files and are opened by the caller.

    Args:
        text: The background; case and spaces around its parts do not matter.

    Returns:
        What it stands for.

    Raises:
        OptionError: It is none of these.
    """
    shape, colon, rest = text.strip().partition(":")
    if shape.lower() == "transparent" and not colon:
        return Transparent()
    if not colon:
        return Plain(parse_colour(text))
    if shape.lower() == "radial":
        return Gradient(_parse_stops(rest), "radial")
    if shape.lower() != "gradient":
        raise OptionError(f"{text!r} is no background.", f"{COLOUR_REMEDY} {GRADIENT_REMEDY}")
    stops, at, direction = rest.partition("@")
    return Gradient(_parse_stops(stops), "linear", _parse_angle(direction) if at else DOWNWARDS)


def parse_colour(text: str) -> Colour:
    """Read an opaque colour.

    Args:
        text: A CSS name (``white``), ``#aabbcc``, ``#abc``, ``rgb(1, 2, 3)``, ``hsl(120, 50%, 50%)`` or
            ``hsv(120, 50%, 50%)``: what Pillow's ``ImageColor`` reads.

    Returns:
        sRGB, 0 to 255 each.

    Raises:
        OptionError: It is no colour, or not an opaque one.
    """
    try:
        levels = ImageColor.getrgb(text.strip())
    except ValueError as error:
        raise OptionError(f"{text!r} is no colour.", COLOUR_REMEDY) from error
    if len(levels) == 4 and levels[3] != 255:
        raise OptionError(f"{text!r} is not opaque.", "Use an opaque colour, or the background transparent.")
    # Pillow lets rgb(300, 0, 0) pass.
    if max(levels) > 255:
        raise OptionError(f"{text!r} has a level above 255.", COLOUR_REMEDY)
    return levels[:3]


def checked_colour(colour: object, name: str = "colour") -> Colour:
    """A colour as numbers.

    Args:
        colour: Three whole numbers from 0 to 255.
        name: What the caller calls this argument.

    Returns:
        The same as a tuple of plain integers.

    Raises:
        OptionError: It is something else.
    """
    if isinstance(colour, tuple | list) and len(colour) == 3:
        levels = [int(level) for level in colour if isinstance(level, int | np.integer) and 0 <= level <= 255]
        if len(levels) == 3:
            return levels[0], levels[1], levels[2]
    raise OptionError(f"{name} must be three whole numbers from 0 to 255, but is {colour!r}.")


def checked_background(background: Any) -> Background:
    """A background, whose picture, if it is one, can be used.

    Args:
        background: See ``Background``.

    Returns:
        The same.

    Raises:
        OptionError: It is no background, or a picture of another type or shape.
    """
    if isinstance(background, Plain | Gradient | Transparent):
        return background
    return checked_picture(background, "background")


def checked_picture(picture: Any, name: str = "picture") -> NDArray[np.uint8]:
    """A picture with or without an alpha channel, in whatever memory layout it has.

    Args:
        picture: h x w x 3, or h x w x 4 with straight alpha; uint8, any size.
        name: What the caller calls this argument.

    Returns:
        The same.

    Raises:
        OptionError: It is another type or shape.
    """
    if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8:
        kind = (
            f"an array of {picture.dtype}" if isinstance(picture, np.ndarray) else f"of type {type(picture).__name__}"
        )
        raise OptionError(f"{name} must be a uint8 array, but is {kind}.")
    if picture.ndim != 3 or picture.shape[2] not in {3, 4} or picture.size == 0:
        raise OptionError(f"{name} must have the shape h x w x 3 or h x w x 4, but has {picture.shape}.")
    return picture


def _parse_stops(text: str) -> tuple[Colour, ...]:
    # No colour that Pillow reads has a hyphen in it.
    return tuple(parse_colour(part) for part in text.split("-"))


def _parse_angle(text: str) -> float:
    try:
        return checked_number("angle", float(text), -MAX_ANGLE, MAX_ANGLE)
    except ValueError as error:
        raise OptionError(f"{text!r} is no angle from -360 to 360 degrees.", GRADIENT_REMEDY) from error
