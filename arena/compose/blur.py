"""The background blur: a filled and blurred background plate, and the subject laid over it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np

from arena.checks import LARGEST_KERNEL, checked_kernel, checked_pair, checked_rgb, checked_whole, described
from arena.compose._cells import enlarged_rows
from arena.compose._layers import Layer, Layers, rows_in_need
from arena.compose._strips import STRIP_ROWS, for_each_strip
from arena.compose.bokeh import (
    AROUND_SCALE,
    Scene,
    aperture,
    aperture_radius,
    checked_bokeh,
    spread_light,
    surroundings,
    to_light,
)
from arena.compose.composite import composite_rows
from arena.compose.fill import NOTHING_VISIBLE, Visibility, push_pull, telea, visible_means
from arena.compose.light import LIGHT
from arena.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from arena.compose.bokeh import Bokeh

    RowsOf = Callable[[int, int], NDArray[np.float32]]
    """``rows_of(top, bottom)`` gives the light of these rows, (bottom - top) x W x 3."""

Fill = Literal["push-pull", "telea"]
FILLS: tuple[Fill, ...] = ("push-pull", "telea")

SCALES = (16, 8, 4, 2)
"""Reductions that are tried, coarsest first."""

MIN_SIGMA_CELLS = 2.5
"""Standard deviation of the blur, in cells, from which its plate can be kept reduced.

Such a Gaussian passes no frequency that the cells cannot hold, and bilinear enlargement of what it leaves stays within
two levels of the blur at full size away from the picture's border (benchmarks/compositor.py)."""

LEAST_RADIUS = {16: 160.0, 8: 80.0, 4: 40.0, 2: 12.0}
"""Radius of an aperture in pixels, for each scale, from which its plate can be kept reduced: its rim is then soft by a
tenth of it, or by two pixels."""

AMOUNTS = 1 << 16
"""As many amounts of a blur are told apart."""

REACH_SIGMAS = 3.0
"""How far around the rows that are seen of a plate its background is looked at, in standard deviations of the blur."""

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
    light: NDArray[Any] | None = None,
    amount: NDArray[Any] | None = None,
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
        light: The light of the scene as ``scene_light`` gives it, of a larger version of this photo; for lenses alone.
            None takes this photo's.
        amount: How much of the blur each pixel of the background gets, H x W or, row by row, H x 1, float32 in [0, 1]:
            0 is sharp, 0.5 a blur half as wide, 1 all of it. What is sharper covers what is softer. Made of a matte by
            ``arena.compose.ground_blur``, of a depth map by ``arena.compose.depth_blur``. None blurs everything alike.

    Returns:
        H x W x 3, uint8: exactly the foreground where alpha is 1, exactly the blurred plate where it is 0; before both,
        exactly the photo where ``amount`` is 0, and a copy of it for kernel 1.

    Raises:
        OptionError: An argument is of another type, size or range.
    """
    photo, matte = checked_pair(rgb, alpha)
    size, repeats = checked_kernel("kernel", kernel, LARGEST_KERNEL), checked_whole("passes", passes, 1)
    front = photo if foreground is None else checked_rgb(foreground, "foreground")
    if front.shape != photo.shape:
        raise OptionError(f"foreground is {front.shape} but rgb is {photo.shape}; the two must agree.")
    style = _Style(repeats, _checked_fill(fill), checked_bokeh(bokeh))
    if size == 1:
        return photo.copy()
    lens = _lens(photo, matte, style, _checked_light(light, photo))
    if amount is None:
        return composite_rows(front, matte, _plate(photo, matte, size, style, lens).rows)
    share = _checked_amount(amount, photo)
    layers, places = _layers(photo, matte, size, style, lens, share)
    blurred = composite_rows(front, matte, layers.rows)
    return composite_rows(blurred, places, lambda top, bottom: photo[top:bottom])


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
    style = _Style(repeats, _checked_fill(fill), checked_bokeh(bokeh))
    plate = _plate(photo, matte, size, style, _lens(photo, matte, style))
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
        levels: NDArray[Any] = cv2.convertScaleAbs(enlarged_rows(self.cells, self.scale, self.width, top, bottom))
        return levels.reshape(bottom - top, self.width, 3)


@dataclass(frozen=True)
class _Style:
    """What is the same for every strength of a blur."""

    passes: int
    fill: Fill
    bokeh: Bokeh


@dataclass(frozen=True)
class _Lens:
    """What every strength of a lens's blur knows of the whole picture."""

    light: NDArray[np.float32] | None
    """H x W x 3, if it was given."""

    around: NDArray[np.float32]
    """h x w: how bright it is around each cell of ``AROUND_SCALE`` pixels; empty if the light was given."""

    def part(self, first: int, last: int) -> _Lens:
        """The same of some rows; the first is a multiple of ``AROUND_SCALE``."""
        cells = slice(first // AROUND_SCALE, -(-last // AROUND_SCALE))
        return _Lens(None if self.light is None else self.light[first:last], self.around[cells])

    def rows_of(self, photo: NDArray[np.uint8]) -> RowsOf:
        """The light of a photo, which is the whole picture or these rows of it."""
        light = self.light
        return Scene(photo, self.around).rows if light is None else lambda top, bottom: light[top:bottom]


def _lens(
    photo: NDArray[np.uint8], matte: NDArray[np.float32], style: _Style, light: NDArray[np.float32] | None = None
) -> _Lens | None:
    """The lens, if the blur is one's."""
    if style.bokeh == "gaussian":
        return None
    return _lens_of(photo, matte) if light is None else _Lens(light, np.empty((0, 0), np.float32))


def _lens_of(photo: NDArray[np.uint8], matte: NDArray[np.float32]) -> _Lens:
    """A lens before a scene; what is around its lamps is known of the background alone."""
    _, means, coverage = _seen(photo, matte, AROUND_SCALE, lambda top, bottom: to_light(photo[top:bottom]))
    return _Lens(None, surroundings(push_pull(means, coverage, 0.0), min(matte.shape)))


def _plate(
    photo: NDArray[np.uint8], matte: NDArray[np.float32], kernel: int, style: _Style, lens: _Lens | None
) -> _Plate:
    if lens is None or kernel == 1:
        return _make_plate(photo, matte, kernel, style.passes, style.fill)
    return _make_lens_plate(photo, matte, style.passes * _kernel_variance(kernel), style, lens)


def _layers(
    photo: NDArray[np.uint8],
    matte: NDArray[np.float32],
    kernel: int,
    style: _Style,
    lens: _Lens | None,
    amount: NDArray[np.float32],
) -> tuple[Layers, NDArray[np.float32]]:
    """Plates of rising blur, each made only where it is seen; and how much of them there is beside the photo itself."""
    kernels = sorted({2 * round((kernel - 1) / 2**halvings / 2) + 1 for halvings in range(8)} - {1})
    widths = np.sqrt([_kernel_variance(size) for size in (1, *kernels)])
    # 0 is the photo, 1 the plate of the smallest kernel.
    steps = np.interp(np.linspace(0, 1, AMOUNTS), widths / widths[-1], np.arange(len(widths))).astype(np.float32)
    places = steps[np.rint(amount * np.float32(AMOUNTS - 1)).astype(np.uint16)]
    height, width = matte.shape
    # What depends on the row alone has no edges, and nothing in it covers anything else.
    has_edges = places.shape[1] > 1
    layers: list[Layer] = []
    for number, size in enumerate(kernels, start=1):
        needed = rows_in_need(places, number)
        if needed is None:
            continue
        reach = math.ceil(REACH_SIGMAS * math.sqrt(style.passes) * widths[number])
        first = max(0, needed[0] - reach) // STRIP_ROWS * STRIP_ROWS
        last = min(height, -(-(needed[1] + reach) // STRIP_ROWS) * STRIP_ROWS)
        part = slice(first, last)
        apart = places[part] - number
        np.abs(apart, out=apart)
        hidden = np.maximum(matte[part], apart >= 1) if has_edges else matte[part]
        plate = _plate(photo[part], hidden, size, style, None if lens is None else lens.part(first, last))
        del hidden
        there = np.clip(np.subtract(1, apart, out=apart), 0, 1, out=apart)
        if has_edges:
            there *= 1 - matte[part]
        veil = _spread_share(there, size, style.passes) if has_edges else _Share(there, 1, width)
        layers.append(Layer(plate, veil, first, last))
    share = np.ascontiguousarray(np.broadcast_to(np.minimum(places, 1), matte.shape))
    return Layers(layers, width), share


@dataclass(frozen=True)
class _Share:
    """A map of shares, kept at the scale it was blurred at."""

    cells: NDArray[np.float32]
    """h x w; h x 1 of a map that has the picture's size and the same in every column."""

    scale: int
    """Side of a cell in pixels."""

    width: int
    """Columns of the full-size picture."""

    def rows(self, top: int, bottom: int) -> NDArray[np.float32]:
        """Full-size rows ``top`` to ``bottom``, of one column or of all; ``top`` is a multiple of the scale."""
        if self.scale == 1:
            return self.cells[top:bottom]
        return enlarged_rows(self.cells, self.scale, self.width, top, bottom)


def _spread_share(share: NDArray[np.float32], kernel: int, passes: int) -> _Share:
    """A map of shares, blurred as a picture of that kernel is."""
    height, width = share.shape
    variance = passes * _kernel_variance(kernel)
    # Never kept at full size: a share is smoother than a picture, and one of each strength is kept.
    scale = max(2, _reduction(math.sqrt(variance)))
    below, right = -height % scale, -width % scale
    whole = cv2.copyMakeBorder(share, 0, below, 0, right, cv2.BORDER_REPLICATE)
    size = ((width + right) // scale, (height + below) // scale)
    cells = np.asarray(cv2.resize(whole, size, interpolation=cv2.INTER_AREA), np.float32)
    blurred = _blur_cells(cells, variance, scale)
    return _Share(np.clip(blurred, 0, 1, out=blurred), scale, width)


def _make_plate(photo: NDArray[np.uint8], matte: NDArray[np.float32], kernel: int, passes: int, fill: Fill) -> _Plate:
    width = photo.shape[1]
    if fill == "telea":
        return _Plate(_gaussian_passes(telea(photo, matte), kernel, passes), 1, width)
    variance = passes * _kernel_variance(kernel)
    scale = _reduction(math.sqrt(variance))
    fill_scale = FINE_FILL_SCALE if scale == 1 else scale
    visibility, means, coverage = _seen(photo, matte, fill_scale)
    filled = push_pull(means, coverage)
    if scale > 1:
        return _Plate(_blur_cells(filled, variance, scale), scale, width)
    sharp = _fill_pixels(photo, matte, visibility, _Plate(filled, fill_scale, width))
    return _Plate(_gaussian_passes(sharp, kernel, passes), 1, width)


def _seen(
    photo: NDArray[np.uint8], matte: NDArray[np.float32], scale: int, rows_of: RowsOf | None = None
) -> tuple[Visibility, NDArray[np.float32], NDArray[np.float32]]:
    """Which pixels of the background may be read, and what :func:`visible_means` makes of them."""
    for visibility in Visibility.choices(*matte.shape):
        means, coverage = visible_means(photo, matte, visibility, scale, rows_of)
        if coverage.any():
            break
    return visibility, means, coverage


def _make_lens_plate(
    photo: NDArray[np.uint8], matte: NDArray[np.float32], variance: float, style: _Style, lens: _Lens
) -> _Plate:
    """What a lens sees: the mean is taken of light, in which lamps are brighter than white."""
    width, fill, bokeh = matte.shape[1], style.fill, style.bokeh
    scale = 1 if fill == "telea" else _lens_reduction(variance)
    if scale > 1:
        _, means, coverage = _seen(photo, matte, scale, lens.rows_of(photo))
        filled = push_pull(means, coverage, float(LIGHT[round(NOTHING_VISIBLE)]))
        radius = aperture_radius(variance - _own_variance(scale)) / scale
        return _Plate(spread_light(filled, bokeh, radius), scale, width)
    visibility, means, coverage = _seen(photo, matte, FINE_FILL_SCALE)
    if fill == "telea":
        sharp = telea(photo, matte)
    else:
        sharp = _fill_pixels(photo, matte, visibility, _Plate(push_pull(means, coverage), FINE_FILL_SCALE, width))
    light, filled_scene = lens.light, Scene(sharp, lens.around)

    def rows(top: int, bottom: int) -> NDArray[np.float32]:
        if light is None:
            return filled_scene.rows(top, bottom)
        seen = visibility.rows(matte, top, bottom)[..., None] > 0
        return np.where(seen, light[top:bottom], to_light(sharp[top:bottom]))

    return _Plate(_lens_pixels(rows, len(photo), width, aperture_radius(variance), bokeh), 1, width)


def _lens_pixels(rows_of: RowsOf, height: int, width: int, radius: float, bokeh: Bokeh) -> NDArray[np.uint8]:
    """A scene out of focus, at its own size: strip by strip, for light takes four times the memory of levels."""
    reach = aperture(bokeh, radius).shape[0] // 2
    out = np.empty((height, width, 3), np.uint8)

    def spread_strip(top: int, bottom: int) -> None:
        first = max(0, top - reach) // AROUND_SCALE * AROUND_SCALE
        levels = spread_light(rows_of(first, min(height, bottom + reach)), bokeh, radius)
        out[top:bottom] = np.rint(levels[top - first : bottom - first])

    for_each_strip(height, spread_strip)
    return out


def _lens_reduction(variance: float) -> int:
    """The coarsest scale at which an aperture that blurs so much keeps its rim."""
    radius = aperture_radius(variance)
    return next((scale for scale in SCALES if radius >= LEAST_RADIUS[scale]), 1)


def scene_light(rgb: NDArray[Any], alpha: NDArray[Any], height: int, width: int) -> NDArray[np.float32]:
    """The light of a photo at a smaller size, for ``blur_background`` to blur there as it would at full size.

    Shrunk in levels, small lamps would lose what makes them lamps.

    Args:
        rgb: Photo, H x W x 3, uint8.
        alpha: Matte, H x W, float32 in [0, 1].
        height: Of the result, at most H.
        width: Of the result, at most W.

    Returns:
        height x width x 3, float32, 65535 is white; lamps are beyond it.

    Raises:
        OptionError: An argument is of another type or size.
    """
    photo, matte = checked_pair(rgb, alpha)
    scale = next((scale for scale in SCALES if len(photo) >= scale * height), 1)
    everything = Visibility(np.float32(1), 0)
    cells, _ = visible_means(photo, matte, everything, scale, _lens_of(photo, matte).rows_of(photo))
    light: NDArray[Any] = cv2.resize(cells, (width, height), interpolation=cv2.INTER_AREA)
    return light.reshape(height, width, 3)


def _checked_fill(fill: Fill) -> Fill:
    if fill not in FILLS:
        raise OptionError(f"fill must be one of {', '.join(FILLS)}, but is {fill!r}.")
    return fill


def _checked_light(light: NDArray[Any] | None, photo: NDArray[np.uint8]) -> NDArray[np.float32] | None:
    if light is not None and (light.dtype != np.float32 or light.shape != photo.shape):
        raise OptionError(f"light must be a float32 array of {photo.shape}, but is {described(light)}.")
    return light


def _checked_amount(amount: NDArray[Any], photo: NDArray[np.uint8]) -> NDArray[np.float32]:
    height, width = photo.shape[:2]
    if (
        not isinstance(amount, np.ndarray)
        or amount.dtype != np.float32
        or amount.shape not in ((height, width), (height, 1))
    ):
        raise OptionError(
            f"amount must be a float32 array of {(height, width)} or {(height, 1)}, but is {described(amount)}."
        )
    if not (amount.min() >= 0 and amount.max() <= 1):
        raise OptionError(f"amount must lie in [0, 1], but reaches from {amount.min():g} to {amount.max():g}.")
    return amount


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
    left = variance - _own_variance(scale)
    if left <= 0:
        # The cells alone are as soft.
        return cells.copy()
    sigma = math.sqrt(left) / scale
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
