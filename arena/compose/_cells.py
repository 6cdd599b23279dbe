"""Reduced pictures, and their way back to full size, strip by strip."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def enlarged_rows(cells: NDArray[Any], scale: int, width: int, top: int, bottom: int) -> NDArray[Any]:
    """Some rows of a reduced picture, enlarged bilinearly as if it were done in one piece.

    Args:
        cells: h x w or h x w x 3.
        scale: Side of a cell in pixels.
        width: Columns of the full-size picture.
        top: First row; a multiple of ``scale``.
        bottom: Row after the last.

    Returns:
        (bottom - top) x width or (bottom - top) x width x 3, of the dtype of ``cells``.
    """
    # One cell above and one below, so that strips meet without a seam.
    wanted = np.arange(top // scale - 1, -(-bottom // scale) + 1).clip(0, len(cells) - 1)
    size = (cells.shape[1] * scale, len(wanted) * scale)
    enlarged: NDArray[Any] = cv2.resize(cells[wanted], size, interpolation=cv2.INTER_LINEAR)
    return enlarged[scale : scale + bottom - top, :width].reshape(bottom - top, width, *cells.shape[2:])
