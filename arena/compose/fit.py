"""A background picture brought to the size of the frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np

from arena.checks import checked_number
from arena.compose._numbers import rounded
from arena.compose._resample import Window, resample
from arena.compose._strips import for_each_strip
from arena.compose.background import BLACK, Colour, checked_colour, checked_picture
from arena.errors import OptionError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Fit = Literal["cover", "contain", "stretch", "tile"]
FITS: tuple[Fit, ...] = ("cover", "contain", "stretch", "tile")

Anchor = str | tuple[float, float]
"""One of ``ANCHORS``, or x and y, each 0 (left, top) to 1 (right, bottom)."""

ANCHORS: dict[str, tuple[float, float]] = {
    "centre": (0.5, 0.5),
    "center": (0.5, 0.5),
    "top": (0.5, 0.0),
    "bottom": (0.5, 1.0),
    "left": (0.0, 0.5),
    "right": (1.0, 0.5),
    "top-left": (0.0, 0.0),
    "top-right": (1.0, 0.0),
    "bottom-left": (0.0, 1.0),
    "bottom-right": (1.0, 1.0),
}

SMALLEST_SCALE = 0.01
LARGEST_SCALE = 100.0


def fit_background(
    picture: NDArray[Any],
    size: tuple[int, int],
    fit: Fit = "cover",
    anchor: Anchor = "centre",
    scale: float = 1.0,
    fill: Colour = BLACK,
) -> NDArray[np.uint8]:
    """Bring a picture of any size to a frame.

    Shrinking averages every pixel that is seen, so that fine patterns do not alias; what the frame cuts off is never
    resampled.

    Args:
        picture: h x w x 3, or h x w x 4 with straight alpha, which is laid over ``fill``; uint8, any memory layout.
        size: Height and width of the frame in pixels.
        fit: ``"cover"``, the smallest size that leaves no gap; ``"contain"``, the largest that is seen whole;
            ``"stretch"``, the frame's own proportions; ``"tile"``, pixel by pixel, repeated.
        anchor: Which point of the picture lies on the same point of the frame: a name from ``ANCHORS``, or x and y
            from 0 to 1, as CSS's ``background-position`` has it.
        scale: Enlargement after the fit, 0.01 to 100.
        fill: Colour where the picture does not reach, and behind its transparent parts.

    Returns:
        H x W x 3, uint8, a new array.

    Raises:
        OptionError: An argument is of another type, size or range.
    """
    pixels = checked_picture(picture)
    height, width = _checked_size(size)
    x, y = checked_anchor(anchor)
    placed_height, placed_width = _placed_size(pixels.shape, (height, width), checked_fit(fit), checked_scale(scale))
    place = _Place(
        rounded(y * (height - placed_height)), rounded(x * (width - placed_width)), placed_height, placed_width
    )
    colour = checked_colour(fill, "fill")
    if fit != "tile":
        out = np.empty((height, width, 3), np.uint8)
        if not place.covers(height, width):
            out[...] = colour
        _draw(pixels, place, colour, out)
        return out
    return _tiled(pixels, place, colour, (height, width))


def checked_fit(fit: str) -> str:
    """How a picture comes to the frame's size.

    Args:
        fit: One of ``FITS``.

    Returns:
        The same.

    Raises:
        OptionError: It is none of them.
    """
    if fit not in FITS:
        raise OptionError(f"fit must be one of {', '.join(FITS)}, but is {fit!r}.")
    return fit


def checked_anchor(anchor: Any) -> tuple[float, float]:
    """A point of the frame.

    Args:
        anchor: A name from ``ANCHORS``, or x and y from 0 to 1.

    Returns:
        x and y.

    Raises:
        OptionError: It is neither.
    """
    if isinstance(anchor, str) and anchor in ANCHORS:
        return ANCHORS[anchor]
    if isinstance(anchor, tuple | list) and len(anchor) == 2:
        return checked_number("anchor's x", anchor[0], 0, 1), checked_number("anchor's y", anchor[1], 0, 1)
    raise OptionError(f"anchor must be x and y from 0 to 1 or one of {', '.join(ANCHORS)}, but is {anchor!r}.")


def checked_scale(scale: Any) -> float:
    """An enlargement of the background.

    Args:
        scale: 0.01 to 100.

    Returns:
        The same as a plain float.

    Raises:
        OptionError: It is something else.
    """
    return checked_number("scale", scale, SMALLEST_SCALE, LARGEST_SCALE)


@dataclass(frozen=True)
class _Place:
    """Where a picture lies in the frame, in whole pixels, so that its edges are sharp and nothing shows between two."""

    top: int
    left: int
    height: int
    width: int

    def covers(self, height: int, width: int) -> bool:
        bottom, right = self.top + self.height, self.left + self.width
        return self.top <= 0 and self.left <= 0 and bottom >= height and right >= width


def _checked_size(size: Any) -> tuple[int, int]:
    sides = tuple(size) if isinstance(size, tuple | list) else ()
    if len(sides) != 2 or any(not isinstance(side, int | np.integer) or side < 1 for side in sides):
        raise OptionError(f"size must be a height and a width of at least 1 pixel, but is {size!r}.")
    return int(sides[0]), int(sides[1])


def _placed_size(shape: tuple[int, ...], frame: tuple[int, int], fit: str, scale: float) -> tuple[int, int]:
    """Height and width of the picture in the frame, at least one pixel each."""
    rows, columns = frame[0] / shape[0], frame[1] / shape[1]
    if fit == "cover":
        rows = columns = max(rows, columns)
    elif fit == "contain":
        rows = columns = min(rows, columns)
    elif fit == "tile":
        rows = columns = 1.0
    return max(1, rounded(shape[0] * rows * scale)), max(1, rounded(shape[1] * columns * scale))


def _draw(picture: NDArray[np.uint8], place: _Place, fill: Colour, out: NDArray[np.uint8]) -> None:
    """Write the part of a placed picture that the frame shows."""
    top, bottom = max(0, place.top), min(out.shape[0], place.top + place.height)
    left, right = max(0, place.left), min(out.shape[1], place.left + place.width)
    if top >= bottom or left >= right:
        return
    shown = out[top:bottom, left:right]
    height, width = picture.shape[:2]
    if (height, width) == (place.height, place.width):
        # Copied, not resampled: exact, and as fast as memory.
        source = picture[top - place.top : bottom - place.top, left - place.left : right - place.left]

        def copy_rows(first: int, last: int) -> None:
            shown[first:last] = _flat(source[first:last], fill)

        for_each_strip(bottom - top, copy_rows)
        return

    def put(first: int, last: int, pictures: list[NDArray[Any]]) -> None:
        shown[first:last] = _flat(pictures[0], fill)

    per_row, per_column = height / place.height, width / place.width
    window = Window(
        (top - place.top) * per_row,
        (left - place.left) * per_column,
        min((bottom - place.top) * per_row, height),
        min((right - place.left) * per_column, width),
    )
    if picture.shape[2] == 3 and place.height <= height and place.width <= width:
        shown[...] = _averaged(picture, window, shown.shape[:2])
        return
    resample(
        lambda above, below, before, after: [picture[above:below, before:after]],
        (height, width),
        window,
        (bottom - top, right - left),
        put,
    )


def _averaged(picture: NDArray[np.uint8], window: Window, size: tuple[int, int]) -> NDArray[np.uint8]:
    """A window of a picture that is at least as large as it shall be, each pixel the mean of those below it.

    OpenCV's area filter is four times as fast as Pillow's bicubic one. It takes whole pixels of the source only: a
    shift by half of one at most, and no more than that in the result.
    """
    top, left = rounded(window.top), rounded(window.left)
    bottom, right = max(top + 1, rounded(window.bottom)), max(left + 1, rounded(window.right))
    source = np.ascontiguousarray(picture[top:bottom, left:right])
    shrunk: NDArray[Any] = cv2.resize(source, size[::-1], interpolation=cv2.INTER_AREA)
    return shrunk.reshape(*size, 3)


def _tiled(picture: NDArray[np.uint8], place: _Place, fill: Colour, frame: tuple[int, int]) -> NDArray[np.uint8]:
    """The frame filled with copies of a placed picture."""
    out = np.empty((*frame, 3), np.uint8)
    if place.height * place.width > frame[0] * frame[1]:
        # A tile larger than the frame is not made whole: it may not fit into memory.
        for top in range(place.top % place.height - place.height, frame[0], place.height):
            for left in range(place.left % place.width - place.width, frame[1], place.width):
                _draw(picture, _Place(top, left, place.height, place.width), fill, out)
        return out
    tile = np.empty((place.height, place.width, 3), np.uint8)
    _draw(picture, _Place(0, 0, place.height, place.width), fill, tile)
    rows = (np.arange(frame[0]) - place.top) % place.height
    columns = (np.arange(frame[1]) - place.left) % place.width

    def repeat_rows(first: int, last: int) -> None:
        out[first:last] = tile[rows[first:last, None], columns]

    for_each_strip(frame[0], repeat_rows)
    return out


def _flat(pixels: NDArray[np.uint8], fill: Colour) -> NDArray[np.uint8]:
    """A strip without its alpha channel, laid over a colour."""
    if pixels.shape[2] == 3:
        return pixels
    share = pixels[..., 3].astype(np.float32) / np.float32(255)
    colours = np.ascontiguousarray(pixels[..., :3])
    blended: NDArray[Any] = cv2.blendLinear(colours, np.full_like(colours, fill), share, 1 - share)
    return blended.reshape(colours.shape)
