"""Pictures at another size, strip by strip, from any window of the source.

Pillow's bicubic filter is widened when a picture shrinks, so that every source pixel counts and nothing aliases, and
takes windows with fractional edges; OpenCV's has neither. Strips need only the source rows below them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

from arena.compose._strips import for_each_strip

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

BICUBIC_REACH = 2
"""Pixels that the filter reaches to each side, times the reduction."""


class Window(NamedTuple):
    """A part of a picture, in pixels of it, edges included as positions between pixels."""

    top: float
    left: float
    bottom: float
    right: float


def resample(
    take: Callable[[int, int, int, int], list[NDArray[Any]]],
    source: tuple[int, int],
    window: Window,
    size: tuple[int, int],
    put: Callable[[int, int, list[NDArray[Any]]], None],
) -> None:
    """Bring a window of a picture to a size.

    Pixels outside the window count where the filter reaches them, so that neighbouring windows join without a seam.

    Args:
        take: ``take(top, bottom, left, right)`` gives these pixels of the source, as one or more arrays:
            h x w, float32; or h x w x 3 or h x w x 4, uint8, where a fourth channel is straight alpha. Called from
            several threads.
        source: Height and width of the source in pixels.
        window: The part that is wanted, within the source.
        size: Height and width to make of it.
        put: ``put(first, last, arrays)`` is given these rows of the result, of as many arrays, in any order, from
            several threads; the dtype is the source's, and float32 may overshoot its range.
    """
    height, width = size
    step = (window.bottom - window.top) / height
    left, right = _reached(window.left, window.right, (window.right - window.left) / width, source[1])

    def make_strip(first: int, last: int) -> None:
        from_row, to_row = window.top + first * step, min(window.top + last * step, source[0])
        top, bottom = _reached(from_row, to_row, step, source[0])
        arrays = take(top, bottom, left, right)
        box = (window.left - left, from_row - top, window.right - left, to_row - top)
        put(first, last, [_resized(pixels, (width, last - first), box) for pixels in arrays])

    for_each_strip(height, make_strip)


def _reached(low: float, high: float, step: float, length: int) -> tuple[int, int]:
    """The pixels that the filter reads for a stretch of one axis."""
    reach = BICUBIC_REACH * max(1.0, step) + 1
    return max(0, math.floor(low - reach)), min(length, math.ceil(high + reach))


def _resized(pixels: NDArray[Any], size: tuple[int, int], box: tuple[float, float, float, float]) -> NDArray[Any]:
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(picture.resize(size, Image.Resampling.BICUBIC, box=box))
