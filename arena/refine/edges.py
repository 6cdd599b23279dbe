"""The edge of a coarse matte, cleaned at the photo's full resolution: bilateral filter, opening, closing, feather.

This is the classical chain for networks that see the photo at a few hundred pixels, such as U²-Net: their outline comes
back as a soft staircase with specks in the background and holes in the subject.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from arena.errors import OptionError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Alpha = NDArray[np.float32]

LARGEST_BILATERAL = 15
"""Pixels; time grows with the square of the diameter: this one takes 1.6 s for 12 megapixels on two cores."""


@dataclass(frozen=True, slots=True)
class EdgeRefinement:
    """How a matte's edge is cleaned, step by step. Lengths are in pixels of the matte."""

    bilateral_diameter: int = 5
    """Window of the bilateral filter, odd; 1 leaves it out."""
    bilateral_sigma_alpha: float = 0.15
    """How different two alphas may be and still be averaged, 0 to 1: noise is smoothed, the edge stays."""
    bilateral_sigma_space: float = 2.0
    """How far apart two pixels may be and still be averaged."""
    opening: int = 3
    """Kernel of the opening, odd: smaller specks in the background vanish; 1 leaves it out."""
    closing: int = 5
    """Kernel of the closing, odd: smaller holes in the subject fill; 1 leaves it out."""
    feather_sigma: float = 0.7
    """Standard deviation of the Gaussian feather; 0 leaves it out."""

    def scaled(self, factor: float) -> EdgeRefinement:
        """The same refinement for a matte of another size.

        Args:
            factor: How many times larger the matte is, above 0.

        Returns:
            Settings whose lengths are multiplied and, where they must be, rounded to odd numbers. The bilateral window
            grows to 15 px at most, since its time grows with its area. What was left out stays out.
        """
        return replace(
            self,
            bilateral_diameter=min(_odd(self.bilateral_diameter, factor), LARGEST_BILATERAL),
            bilateral_sigma_space=self.bilateral_sigma_space * factor,
            opening=_odd(self.opening, factor),
            closing=_odd(self.closing, factor),
            feather_sigma=self.feather_sigma * factor,
        )


def refine_edges(alpha: Alpha, settings: EdgeRefinement | None = None) -> Alpha:
    """Run the whole chain: bilateral filter, opening, closing, feather.

    Args:
        alpha: float32, H x W, 0 to 1.
        settings: Each step's parameters; by default those for a matte of about 1000 pixels.

    Returns:
        float32, H x W, 0 to 1; a new array.

    Raises:
        OptionError: A parameter is out of range, or ``alpha`` is no matte.
    """
    settings = settings or EdgeRefinement()
    _check(alpha)
    smooth = bilateral(
        alpha, settings.bilateral_diameter, settings.bilateral_sigma_alpha, settings.bilateral_sigma_space
    )
    solid = closing(opening(smooth, settings.opening), settings.closing)
    return soften(solid, settings.feather_sigma)


def bilateral(alpha: Alpha, diameter: int = 5, sigma_alpha: float = 0.15, sigma_space: float = 2.0) -> Alpha:
    """Smooth the flat parts of a matte and keep its edge.

    C. Tomasi and R. Manduchi, "Bilateral Filtering for Gray and Color Images", ICCV 1998.

    Args:
        alpha: float32, H x W, 0 to 1.
        diameter: Window in pixels, odd, 1 to 15; 1 changes nothing.
        sigma_alpha: Difference of alpha at which two pixels hardly influence each other any more, above 0.
        sigma_space: Distance in pixels at which they hardly do, above 0.

    Returns:
        float32, H x W, within the range of ``alpha``; a new array.

    Raises:
        OptionError: A parameter is out of range.
    """
    _check(alpha)
    _check_kernel("bilateral filter", diameter)
    if diameter > LARGEST_BILATERAL:
        raise OptionError(f"A bilateral window of {diameter} px is above {LARGEST_BILATERAL} px.")
    if not (sigma_alpha > 0 and sigma_space > 0):
        raise OptionError("The bilateral filter's sigmas must be above 0.")
    if diameter == 1:
        return alpha.copy()
    smooth: Alpha = cv2.bilateralFilter(alpha, diameter, sigma_alpha, sigma_space).astype(np.float32, copy=False)
    return np.clip(smooth, 0.0, 1.0, out=smooth)


def opening(alpha: Alpha, kernel: int = 3) -> Alpha:
    """Erosion, then dilation: bright specks smaller than the kernel vanish, larger shapes keep their outline.

    Args:
        alpha: float32, H x W, 0 to 1.
        kernel: Diameter of the disc in pixels, odd; 1 changes nothing.

    Returns:
        float32, H x W, nowhere above ``alpha``; a new array.

    Raises:
        OptionError: An even kernel or one below 1.
    """
    return _morphology(alpha, cv2.MORPH_OPEN, "opening", kernel)


def closing(alpha: Alpha, kernel: int = 3) -> Alpha:
    """Dilation, then erosion: holes smaller than the kernel fill, larger shapes keep their outline.

    Args:
        alpha: float32, H x W, 0 to 1.
        kernel: Diameter of the disc in pixels, odd; 1 changes nothing.

    Returns:
        float32, H x W, nowhere below ``alpha``; a new array.

    Raises:
        OptionError: An even kernel or one below 1.
    """
    return _morphology(alpha, cv2.MORPH_CLOSE, "closing", kernel)


def soften(alpha: Alpha, sigma: float = 1.0) -> Alpha:
    """Soften a matte with a Gaussian.

    Args:
        alpha: float32, H x W, 0 to 1.
        sigma: Standard deviation in pixels, at least 0; 0 changes nothing.

    Returns:
        float32, H x W, within the range of ``alpha``; a new array.

    Raises:
        OptionError: A negative sigma.
    """
    _check(alpha)
    if not sigma >= 0:
        raise OptionError(f"A feather of {sigma:g} px is below 0.")
    if sigma == 0:
        return alpha.copy()
    # A replicated border keeps a body that leaves the frame opaque up to the frame.
    soft: Alpha = cv2.GaussianBlur(alpha, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE).astype(np.float32, copy=False)
    return np.clip(soft, 0.0, 1.0, out=soft)


def _morphology(alpha: Alpha, operation: int, name: str, kernel: int) -> Alpha:
    _check(alpha)
    _check_kernel(name, kernel)
    if kernel == 1:
        return alpha.copy()
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (kernel, kernel))
    return cv2.morphologyEx(alpha, operation, disc).astype(np.float32, copy=False)


def _odd(length: int, factor: float) -> int:
    """An odd length scaled to the nearest odd length, at least 1; 1 means "left out" and stays 1."""
    if not factor > 0:
        raise OptionError(f"A scale of {factor:g} is not above 0.")
    return 1 if length == 1 else 2 * round((length * factor - 1) / 2) + 1


def _check(alpha: Alpha) -> None:
    if alpha.ndim != 2 or alpha.dtype != np.float32 or not alpha.size:
        raise OptionError(f"A matte is a float32 array of H x W, not {alpha.dtype} of shape {alpha.shape}.")


def _check_kernel(name: str, kernel: int) -> None:
    if kernel < 1 or kernel % 2 == 0:
        raise OptionError(f"The kernel of the {name} is {kernel} px: it must be odd and at least 1.")
