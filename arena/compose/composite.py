"""One picture over another through a matte."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from arena.checks import checked_pair, checked_rgb
from arena.compose._strips import for_each_strip
from arena.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    RowsOf = Callable[[int, int], NDArray[np.uint8]]
    """``rows(top, bottom)`` gives these rows of a picture, (bottom - top) x W x 3, uint8."""
    Mix = Callable[[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float32]], NDArray[np.uint8]]
    """``mix(foreground, background, alpha)`` gives what lies between the two."""

INVISIBLE = 1 / (4 * 255)
"""A share below this moves no level by more than a quarter, so it is as good as none."""

TILE_COLUMNS = 256
"""Width of the piece of a strip that is looked at as a whole: mostly all subject or all background."""


def composite(foreground: NDArray[Any], background: NDArray[Any], alpha: NDArray[Any]) -> NDArray[np.uint8]:
    """Lay a foreground over a background: ``alpha * foreground + (1 - alpha) * background``.

    Args:
        foreground: H x W x 3, uint8.
        background: H x W x 3, uint8.
        alpha: Matte, H x W, float32 in [0, 1].

    Returns:
        H x W x 3, uint8: exactly the foreground where alpha is 1, exactly the background where it is 0.

    Raises:
        OptionError: An argument is of another type or size.
    """
    front, matte = checked_pair(foreground, alpha)
    back = checked_rgb(background, "background")
    if back.shape != front.shape:
        raise OptionError(f"background is {back.shape} but foreground is {front.shape}; the two must agree.")
    return composite_rows(front, matte, lambda top, bottom: back[top:bottom])


def composite_rows(
    foreground: NDArray[np.uint8], alpha: NDArray[np.float32], background_rows: RowsOf, mix: Mix | None = None
) -> NDArray[np.uint8]:
    """Lay a foreground over a background that is made strip by strip, in one pass over memory.

    Args:
        foreground: H x W x 3, uint8, C-contiguous.
        alpha: Matte, H x W, float32 in [0, 1], C-contiguous.
        background_rows: Gives any rows of the background; called from several threads.
        mix: Makes one tile of foreground, background and alpha where they mix; by default the mean of sRGB levels.

    Returns:
        H x W x 3, uint8.
    """
    height, width = alpha.shape
    out = np.empty_like(foreground)

    def lay(top: int, bottom: int) -> None:
        background = background_rows(top, bottom)
        for left in range(0, width, TILE_COLUMNS):
            tile = (slice(top, bottom), slice(left, left + TILE_COLUMNS))
            out[tile] = _blended(foreground[tile], background[:, tile[1]], alpha[tile], mix or _mean_of_levels)

    for_each_strip(height, lay)
    return out


def _blended(
    front: NDArray[np.uint8], back: NDArray[np.uint8], alpha: NDArray[np.float32], mix: Mix
) -> NDArray[np.uint8]:
    """One tile; most of them are all foreground or all background."""
    lowest, highest, _, _ = cv2.minMaxLoc(alpha)
    if highest <= INVISIBLE:
        return back
    return front if lowest >= 1.0 - INVISIBLE else mix(front, back, alpha)


def _mean_of_levels(front: NDArray[np.uint8], back: NDArray[np.uint8], alpha: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.asarray(cv2.blendLinear(front, back, alpha, 1.0 - alpha), dtype=np.uint8)
