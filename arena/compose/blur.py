"""The background blur: a filled and blurred background plate, and the subject laid over it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np

from arena.checks import LARGEST_KERNEL, checked_kernel, checked_pair, checked_rgb, checked_whole
from arena.compose._strips import for_each_strip
from arena.compose.bokeh import aperture_radius, checked_bokeh, reach_of, spread_light, to_light
from arena.compose.composite import composite_rows
from arena.compose.fill import NOTHING_VISIBLE, Visibility, push_pull, telea, visible_means
from arena.compose.light import LIGHT
from arena.errors import OptionError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from arena.compose.bokeh import Bokeh

Fill = Literal["push-pull", "telea"]
FILLS: tuple[Fill, ...] = ("push-pull", "telea")

SCALES = (16, 8, 4, 2)
"""Reductions that are tried, coarsest first."""

MIN_SIGMA_CELLS = 2.5
"""Standard deviation of the blur, in cells, from which its plate can be kept reduced.

Such a Gaussian passes no frequency that the cells cannot hold, and bilinear enlargement of what it leaves stays within
two levels of the blur at full size away from the picture's border (benchmarks/compositor.py)."""

MIN_RADIUS_CELLS = 10.0
"""Radius of the aperture, in cells, from which its plate can be kept reduced: its rim is then soft by a tenth of it."""

FINE_FILL_SCALE = 4
"""Cell of the fill for kernels so small that the blur itself runs at full size."""


def blur_background(
    rgb: NDArray[Any],
    alpha: NDArray[Any],
    kernel: int = 101,
    passes: int = 3,
    fill: Fill = "push-pull",
    *,
    foreground: NDArray[Any] | None = None,
    bokeh: Bokeh = "gaussian",
) -> NDArray[np.uint8]:
    """Blur what is behind the subject and leave the subject sharp.

    The subject is taken out of the background before it is blurred, so that its colours make no halo around it. The
    default fill works on a reduced picture, since the blur keeps no more than that of it; ``"telea"`` is the textbook
    method, at full size throughout, some hundred times slower.

    Args:
        rgb: Photo, H x W x 3, uint8, any size from 1 x 1.
        alpha: Matte, H x W, float32 in [0, 1]: the subject's share of each pixel.
        kernel: Size of the Gaussian kernel in pixels of this array, odd, 1 to 255; 1 gives back the photo. Its standard
            deviation is OpenCV's for that size, ``0.3 * ((kernel - 1) / 2 - 1) + 0.8``.
        passes: How often the kernel is applied, at least 1.
        fill: How the background behind the subject is made up: ``"push-pull"`` or ``"telea"``.
        foreground: The subject's colours, H x W x 3, uint8, without what they share with the old background, as
            ``arena.refine.foreground.estimate_foreground`` gives them; None takes the photo's.
        bokeh: What a point of light becomes: ``"gaussian"``; or as a lens has it ``"disc"`` or ``"hexagon"``, as wide
            as those passes of that kernel are, in linear light, bright points brightened. See ``arena.compose.bokeh``.

    Returns:
        H x W x 3, uint8: exactly the foreground where alpha is 1, exactly the blurred plate where it is 0; a copy of
        the photo for kernel 1.

    Raises:
        OptionError: An argument is of another type, size or range.
    """
    photo, matte = checked_pair(rgb, alpha)
    size, repeats = checked_kernel("kernel", kernel, LARGEST_KERNEL), checked_whole("passes", passes, 1)
    front = photo if foreground is None else checked_rgb(foreground, "foreground")
    if front.shape != photo.shape:
        raise OptionError(f"foreground is {front.shape} but rgb is {photo.shape}; the two must agree.")
    _checked_fill(fill), checked_bokeh(bokeh)
    if size == 1:
        return photo.copy()
    return composite_rows(front, matte, _make_plate(photo, matte, size, repeats, fill, bokeh).rows)


def blur_plate(
    rgb: NDArray[Any],
    alpha: NDArray[Any],
    kernel: int = 101,
    passes: int = 3,
    fill: Fill = "push-pull",
    *,
    bokeh: Bokeh = "gaussian",
) -> NDArray[np.uint8]:
    """The blurred background alone, without the subject: what ``blur_background`` lays the subject over.

    No pixel where alpha is 1 is read by the push-pull fill.

    Args:
        rgb: Photo, H x W x 3, uint8, any size from 1 x 1.
        alpha: Matte, H x W, float32 in [0, 1].
        kernel: Size of the Gaussian kernel in pixels, odd, 1 to 255; 1 fills without blur.
        passes: How often the kernel is applied, at least 1.
        fill: How the background behind the subject is made up: ``"push-pull"`` or ``"telea"``.
        bokeh: ``"gaussian"``, ``"disc"`` or ``"hexagon"``, as in ``blur_background``.

    Returns:
        H x W x 3, uint8. Mid-grey if the subject covers the whole picture.

    Raises:
        OptionError: An argument is of another type, size or range.
    """
    photo, matte = checked_pair(rgb, alpha)
    size, repeats = checked_kernel("kernel", kernel, LARGEST_KERNEL), checked_whole("passes", passes, 1)
    _checked_fill(fill), checked_bokeh(bokeh)
    plate = _make_plate(photo, matte, size, repeats, fill, bokeh)
    out = np.empty_like(photo)

    def copy_rows(top: int, bottom: int) -> None:
        out[top:bottom] = plate.rows(top, bottom)

    for_each_strip(len(out), copy_rows)
    return out


@dataclass(frozen=True)
class _Plate:
    """A blurred background, kept at the scale it was blurred at."""

    cells: NDArray[Any]
    """h x w x 3: float32 in [0, 255] if reduced, uint8 at scale 1."""

    scale: int
    """Side of a cell in pixels."""

    width: int
    """Columns of the full-size picture."""

    def rows(self, top: int, bottom: int) -> NDArray[np.uint8]:
        """Full-size rows ``top`` to ``bottom``; ``top`` is a multiple of the scale."""
        if self.scale == 1:
            pixels: NDArray[np.uint8] = self.cells[top:bottom]
            return pixels
        last_cell = len(self.cells) - 1
        # One cell above and one below, so that strips meet as if the plate had been enlarged in one piece.
        wanted = np.arange(top // self.scale - 1, -(-bottom // self.scale) + 1).clip(0, last_cell)
        size = (self.cells.shape[1] * self.scale, len(wanted) * self.scale)
        enlarged = cv2.resize(self.cells[wanted], size, interpolation=cv2.INTER_LINEAR)
        strip = enlarged[self.scale : self.scale + bottom - top, : self.width]
        levels: NDArray[Any] = cv2.convertScaleAbs(strip)
        return levels.reshape(bottom - top, self.width, 3)


def _make_plate(
    photo: NDArray[np.uint8], matte: NDArray[np.float32], kernel: int, passes: int, fill: Fill, bokeh: Bokeh
) -> _Plate:
    width = photo.shape[1]
    variance = passes * _kernel_variance(kernel)
    lens = bokeh != "gaussian" and kernel > 1
    if fill == "telea":
        sharp = telea(photo, matte)
        return _Plate(
            _lens_pixels(sharp, variance, bokeh) if lens else _gaussian_passes(sharp, kernel, passes), 1, width
        )
    scale = _lens_reduction(variance) if lens else _reduction(math.sqrt(variance))
    fill_scale = FINE_FILL_SCALE if scale == 1 else scale
    # A lens takes the mean of light: a cell with a lamp in it is brighter than its mean level.
    as_light = lens and scale > 1
    for visibility in Visibility.choices(*matte.shape):
        means, coverage = visible_means(photo, matte, visibility, fill_scale, to_light if as_light else None)
        if coverage.any():
            break
    nothing = float(LIGHT[round(NOTHING_VISIBLE)]) if as_light else NOTHING_VISIBLE
    filled = push_pull(means, coverage, nothing)
    if as_light:
        radius = aperture_radius(variance - _own_variance(scale)) / scale
        return _Plate(spread_light(filled, bokeh, radius), scale, width)
    if scale > 1:
        return _Plate(_blur_cells(filled, variance, scale), scale, width)
    sharp = _fill_pixels(photo, matte, visibility, _Plate(filled, fill_scale, width))
    return _Plate(_lens_pixels(sharp, variance, bokeh) if lens else _gaussian_passes(sharp, kernel, passes), 1, width)


def _lens_pixels(picture: NDArray[np.uint8], variance: float, bokeh: Bokeh) -> NDArray[np.uint8]:
    """A filled background out of focus, at its own size: strip by strip, for light takes four times the memory."""
    radius = aperture_radius(variance)
    reach = reach_of(radius)
    out = np.empty_like(picture)

    def spread_strip(top: int, bottom: int) -> None:
        first, last = max(0, top - reach), min(len(picture), bottom + reach)
        levels = spread_light(to_light(picture[first:last]), bokeh, radius)
        out[top:bottom] = np.rint(levels[top - first : bottom - first])

    for_each_strip(len(out), spread_strip)
    return out


def _lens_reduction(variance: float) -> int:
    """The coarsest scale at which an aperture that blurs so much keeps its rim."""
    radius = aperture_radius(variance)
    return next((scale for scale in SCALES if radius >= MIN_RADIUS_CELLS * scale), 1)


def _checked_fill(fill: str) -> str:
    if fill not in FILLS:
        raise OptionError(f"fill must be one of {', '.join(FILLS)}, but is {fill!r}.")
    return fill


def _kernel_variance(kernel: int) -> float:
    """Variance in square pixels of the kernel that OpenCV makes for this size, truncation included."""
    weights = cv2.getGaussianKernel(kernel, 0).ravel()
    offsets = np.arange(kernel) - kernel // 2
    return float((weights * offsets**2).sum())


def _reduction(sigma: float) -> int:
    """The coarsest scale at which a blur of this standard deviation, in pixels, keeps its look."""
    return next((scale for scale in SCALES if sigma >= MIN_SIGMA_CELLS * scale), 1)


def _blur_cells(cells: NDArray[np.float32], variance: float, scale: int) -> NDArray[np.float32]:
    """Blur a reduced plate so that, enlarged again, it has this variance in square pixels."""
    sigma = math.sqrt(variance - _own_variance(scale)) / scale
    blurred: NDArray[Any] = cv2.GaussianBlur(cells, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    return blurred.reshape(cells.shape)


def _own_variance(scale: int) -> float:
    """What reducing and enlarging blur by themselves, in square pixels.

    The mean over a cell has (s^2 - 1) / 12, the bilinear enlargement (s^2 - 1) / 6, and variances add.
    """
    return (scale**2 - 1) / 4


def _gaussian_passes(picture: NDArray[np.uint8], kernel: int, passes: int) -> NDArray[np.uint8]:
    blurred: NDArray[Any] = picture
    for _ in range(passes if kernel > 1 else 0):
        blurred = cv2.GaussianBlur(blurred, (kernel, kernel), 0).reshape(picture.shape)
    return blurred


def _fill_pixels(
    photo: NDArray[np.uint8], matte: NDArray[np.float32], visibility: Visibility, coarse: _Plate
) -> NDArray[np.uint8]:
    """The photo where it shows the background, the reduced fill, enlarged, in the rest."""
    out = np.empty_like(photo)

    def fill_strip(top: int, bottom: int) -> None:
        mask = visibility.rows(matte, top, bottom)
        if mask.all():
            out[top:bottom] = photo[top:bottom]
            return
        rows = coarse.rows(top, bottom)
        out[top:bottom] = cv2.copyTo(photo[top:bottom], mask, rows).reshape(rows.shape)

    for_each_strip(len(out), fill_strip)
    return out
