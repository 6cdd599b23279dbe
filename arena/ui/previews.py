"""Screen-sized pictures from kept mattes: what makes the slider answer at once. Knows nothing of Streamlit."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from arena.compose import mask_overlay
from arena.photo import encode, fit_within
from arena.render import DEFAULT_KERNEL, blur_over, compositing_alpha, subject_colours

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from arena.matte import Matte
    from arena.photo import Photo

PREVIEW_SIDE = 1080
"""Longest side of what is shown, in pixels: a sharp picture in the widest column, and quick to blur."""

PREVIEW_QUALITY = 88


def preview_kernel(kernel: int, scale: float) -> int:
    """The kernel that blurs a shrunk photo as ``kernel`` blurs the photo.

    Args:
        kernel: Odd size in pixels of the photo.
        scale: Side of the shrunk photo over that of the photo, at most 1.

    Returns:
        Odd size in pixels of the shrunk photo.
    """
    return 2 * round((kernel - 1) * scale / 2) + 1


class Preview:
    """One photo and its matte at screen size."""

    def __init__(self, photo: Photo, matte: Matte, side: int = PREVIEW_SIDE) -> None:
        """Shrink both once.

        Args:
            photo: The photo.
            matte: Its matte.
            side: Longest side of the pictures in pixels.
        """
        rgb = fit_within(photo.rgb, side)
        self._scale = rgb.shape[1] / photo.width
        height, width = rgb.shape[:2]
        self._rgb = rgb
        self._alpha = _shrunk(matte.alpha, height, width)
        # Softened at full size, so that the edge on the screen is that of the export.
        soft = compositing_alpha(matte)
        self._soft = self._alpha if soft is matte.alpha else _shrunk(soft, height, width)
        self._subject = subject_colours(rgb, self._soft, matte)
        self._blurred: tuple[int, bytes] | None = None

    @cached_property
    def overlay(self) -> bytes:
        """The photo with the mask drawn over it, as a JPEG file."""
        return encode(mask_overlay(self._rgb, self._alpha), "JPEG", quality=PREVIEW_QUALITY)

    def blurred(self, kernel: int = DEFAULT_KERNEL) -> bytes:
        """The photo with its background blurred, as a JPEG file.

        Args:
            kernel: Blur strength in pixels of the full-size photo, so that the value shown is the value exported.

        Returns:
            The file's bytes; the last one is kept for the reruns that change nothing.
        """
        if self._blurred is None or self._blurred[0] != kernel:
            picture = blur_over(self._subject, self._rgb, self._soft, preview_kernel(kernel, self._scale))
            self._blurred = kernel, encode(picture, "JPEG", quality=PREVIEW_QUALITY)
        return self._blurred[1]


def _shrunk(alpha: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    if alpha.shape == (height, width):
        return alpha
    shrunk = Image.fromarray(alpha).resize((width, height), Image.Resampling.BOX)
    return np.clip(np.asarray(shrunk, dtype=np.float32), 0, 1)
