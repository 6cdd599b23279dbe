"""What the networks in the box get to see of a photo: sharp, of full contrast, and of the size they were trained at.

They learned that the subject is what is sharp, and from photographs with both black and white in them: in a blurred
photo, in an enlarged thumbnail and in one through fog they would see nobody. Such a photo is shown to them clearer than
it is. Only they see it so: edges and colours of the result are the photo's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from arena.models.torch_base import normalise
from arena.nets.lite import MULTIPLE

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    FloatArray = NDArray[np.float32]
    Pixels = NDArray[np.uint8]

LONGEST = 1024
"""Largest side of the input in pixels."""
SIDE = 400
"""Square root of the area, in pixels, at which a photo's sharpness is measured and mended: a little more than the
networks see."""
GRAIN = 3
"""Side in pixels of the median that takes grain away before sharpness is measured: grain is sharp in any photo."""
BLURRED, SHARP = 0.14, 0.19
"""Acutances below which a photo is sharpened wholly, and from which on not at all. Measured: nine of ten upper bodies
that were never trained on have 0.23 to 0.46, the softest 0.13; blurred by a four-hundredth of their longer side about
0.17; by a two-hundredth, or 80 pixels wide, about 0.11, and up to 0.16 with grain on top."""
SHOCKS = 2
"""Steps of the shock filter: its edges reach two pixels further to each side."""
SHOCK_SIGMA = 1.0
"""Standard deviation, in pixels, of the smoothing before it asks to which side of an edge a pixel belongs."""
UNSHARP_AMOUNT, UNSHARP_SIGMA = 2.0, 2.0
"""Of the unsharp mask after it."""
FLAT, FULL = 100, 130
"""Differences of the brightest and the darkest samples, of 255, below which contrast is stretched wholly, and from
which on not at all. Measured: the flattest of the upper bodies, which loses by a stretch, has 129."""
TAILS = 1.0
"""Per cent of the samples that may be brighter, and darker."""
LEAST_RANGE = 16
"""What differs by less is noise, and not stretched any further."""


class Tone(NamedTuple):
    """How a photo's samples are stretched to full contrast."""

    black: float
    """Becomes 0, wholly stretched."""
    white: float
    """Becomes 255."""
    strength: float
    """From 0, not at all, to 1, wholly."""

    @property
    def gain(self) -> float:
        """How many times larger differences become; at least 1."""
        return 1 + self.strength * (255 / (self.white - self.black) - 1)

    def apply(self, rgb: Pixels) -> Pixels:
        """The stretched samples.

        Args:
            rgb: uint8, any shape.

        Returns:
            uint8, the same shape; ``rgb`` itself if there is nothing to do.
        """
        if self.strength == 0:
            return rgb
        samples = np.arange(256, dtype=np.float32)
        stretched = np.clip((samples - self.black) * (255 / (self.white - self.black)), 0, 255)
        table = samples + self.strength * (stretched - samples)
        return np.asarray(cv2.LUT(rgb, table.round().astype(np.uint8)), dtype=np.uint8)


def measure_tone(rgb: Pixels) -> Tone:
    """How a photo's contrast is to be stretched: one scale for all channels, so that hues stay.

    Args:
        rgb: uint8, H x W x 3, sRGB.

    Returns:
        Its tone.
    """
    counts = sum(cv2.calcHist([rgb], [channel], None, [256], [0, 256]) for channel in range(3))
    shares = np.cumsum(counts) / rgb.size
    black, white = (float(np.searchsorted(shares, share)) for share in (TAILS / 100, 1 - TAILS / 100))
    strength = _ramp(white - black, FLAT, FULL)
    missing = max(0.0, LEAST_RANGE - (white - black))
    return Tone(black - missing / 2, white + missing / 2, strength)


def acutance(rgb: Pixels) -> float:
    """How sharp a photo is: how much of its strong edges' contrast lies within a pixel or two.

    Args:
        rgb: uint8, H x W x 3, sRGB.

    Returns:
        Strongest differences from a neighbourhood of one pixel for those from one of four; 0 for a plain colour, about
        0.1 out of focus, above 0.2 in focus.
    """
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    fine, coarse = (
        # Edges are few: the mean would measure the plain walls.
        float(np.quantile(cv2.absdiff(grey, cv2.GaussianBlur(grey, (0, 0), sigma)), 0.98))
        for sigma in (1.0, 4.0)
    )
    return fine / max(1.0, coarse)


def sharpen(rgb: Pixels) -> Pixels:
    """A photo with hard edges: a shock filter, then an unsharp mask.

    Each sample becomes the largest or the smallest of its neighbours, by the side of the edge that it lies on (Osher
    and Rudin, "Feature-oriented image enhancement using shock filters", SIAM Journal on Numerical Analysis, 1990; the
    side is asked of a smoothed photo after Alvarez and Mazorra, in the same journal, 1994). No picture to look at, but
    the networks' idea of a picture in focus.

    Args:
        rgb: uint8, H x W x 3, sRGB.

    Returns:
        uint8, H x W x 3; a new array.
    """
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    shocked: NDArray[np.uint8] = rgb
    for _ in range(SHOCKS):
        grey = cv2.cvtColor(shocked, cv2.COLOR_RGB2GRAY).astype(np.float32)
        curvature = cv2.Laplacian(cv2.GaussianBlur(grey, (0, 0), SHOCK_SIGMA), cv2.CV_32F, ksize=3)
        bright = curvature[..., None] < 0
        shocked = np.where(bright, cv2.dilate(shocked, cross), cv2.erode(shocked, cross)).astype(np.uint8)
    soft = cv2.GaussianBlur(shocked, (0, 0), UNSHARP_SIGMA)
    return np.asarray(cv2.addWeighted(shocked, 1 + UNSHARP_AMOUNT, soft, -UNSHARP_AMOUNT, 0), dtype=np.uint8)


def clarify(rgb: Pixels) -> Pixels:
    """A photo as the networks are to see it: sharp, and from black to white.

    Args:
        rgb: uint8, H x W x 3, sRGB.

    Returns:
        uint8, h x w x 3 in about the same proportions; ``rgb`` itself if it is clear enough.
    """
    area = rgb.shape[0] * rgb.shape[1]
    # Sharpness is one of the size that the networks see. Large photos are judged by what is left of them there.
    small = _resize(rgb, SIDE / area**0.5)
    tone = measure_tone(small)
    smooth = np.asarray(cv2.medianBlur(small, GRAIN), dtype=np.uint8)
    strength = _ramp(acutance(smooth), BLURRED, SHARP)
    if strength == 0:
        return tone.apply(rgb)
    sharp = sharpen(tone.apply(smooth))
    return np.asarray(cv2.addWeighted(tone.apply(small), 1 - strength, sharp, strength, 0), dtype=np.uint8)


def to_input(rgb: Pixels, side: int) -> Tensor:
    """Resize a photo to about the area that the network was trained at, its proportions kept, and normalise it.

    Args:
        rgb: uint8, H x W x 3, sRGB.
        side: Square root of the area, in pixels.

    Returns:
        float32, 1 x 3 x h x w, -0.5 to 0.5; h and w are the multiples of 32 next to the photo's proportions.
    """
    height, width = rgb.shape[:2]
    scale = side / (height * width) ** 0.5
    size = [max(MULTIPLE, round(length * scale / MULTIPLE) * MULTIPLE) for length in (width, height)]
    # A panorama would have thousands of columns for its 32 rows.
    size = [min(length, LONGEST) for length in size]
    small = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return normalise(small)


def _ramp(value: float, full: float, none: float) -> float:
    """1 up to ``full``, falling to 0 at ``none``."""
    return float(np.clip((none - value) / (none - full), 0, 1))


def _resize(rgb: Pixels, factor: float) -> Pixels:
    height, width = rgb.shape[:2]
    size = [min(max(1, round(length * factor)), LONGEST) for length in (width, height)]
    way = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(rgb, size, interpolation=way), dtype=np.uint8)
