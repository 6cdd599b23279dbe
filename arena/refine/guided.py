"""Edge-aware upsampling: bring a small, coarse matte to a photo's full resolution along the photo's own edges.

The guided filter fits, in every small window, alpha as a linear function of colour. The fit is done at the size of the
small matte and only its coefficients are enlarged, so the cost at full resolution is one multiply-add for each pixel
near an edge. K. He, J. Sun and X. Tang, "Guided Image Filtering", ECCV 2010; K. He and J. Sun, "Fast Guided Filter",
arXiv:1505.00996 (2015).
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import cv2
import numpy as np

from arena.checks import checked_alpha, checked_number, checked_rgb, checked_whole
from arena.errors import OptionError
from arena.parallel import on_all_cores

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    FloatArray = NDArray[np.float32]

EPSILON = 1e-4
"""Colour variance (values 0 to 1) below which a window counts as flat."""

_FIT_TILE = 96
"""Side in pixels of the part of the small picture that one task fits: some thirty planes of it stay in the cache, and
what lies in no edge's reach is left out."""
_TILE_ROWS = 128
"""Rows of the full picture that one task handles: small enough for the cache, large enough to be worth a thread."""
_GAP = 16
"""Columns of the small picture between two edges that are not worth a start of their own."""


def guided_upsample(
    alpha_small: FloatArray,
    rgb_full: NDArray[np.uint8],
    *,
    radius: int = 6,
    epsilon: float = EPSILON,
    rgb_small: NDArray[np.uint8] | None = None,
) -> FloatArray:
    """Enlarge a matte so that its edge follows the photo's.

    Pixels farther than twice ``radius`` from any edge of the small matte keep its value: a linear model of colour has
    nothing to say in the middle of a shirt, and what it says there is a veil.

    Args:
        alpha_small: float32, h x w in [0, 1], of the same view as the photo at any size up to the photo's.
        rgb_full: uint8, H x W x 3, sRGB.
        radius: Half width of the filter's window in pixels of the small matte, at least 1.
        epsilon: Colour variance, for values from 0 to 1, that is ignored: larger is smoother.
        rgb_small: uint8, h x w x 3: the photo at the size of the small matte, for who has it at hand; None makes it.

    Returns:
        float32, H x W in [0, 1].

    Raises:
        OptionError: An array has another layout, or a setting is out of range.
    """
    _check(alpha_small, rgb_full, radius, epsilon)
    if rgb_small is not None and checked_rgb(rgb_small, "rgb_small").shape[:2] != alpha_small.shape:
        raise OptionError(f"rgb_small of {rgb_small.shape[:2]} is not of its matte's size, {alpha_small.shape}.")
    height, width = rgb_full.shape[:2]
    small_height, small_width = alpha_small.shape
    if rgb_small is None:
        reduced = cv2.resize(rgb_full, (small_width, small_height), interpolation=cv2.INTER_AREA)
        rgb_small = np.asarray(reduced, dtype=np.uint8)
    guide = [channel * np.float32(1 / 255) for channel in cv2.split(rgb_small)]
    nearness = _near_edges(alpha_small, radius)
    fitted = _coefficients(guide, alpha_small, nearness, radius, epsilon)
    # The photo's own samples are what the slopes will be multiplied by.
    fitted[:3] *= np.float32(1 / 255)
    planes = [*fitted, nearness]
    out = np.asarray(cv2.resize(alpha_small, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.float32)

    def fill(first: int) -> None:
        last = min(first + _TILE_ROWS, height)
        _apply(planes, rgb_full, out, first, last)

    on_all_cores(fill, range(0, height, _TILE_ROWS))
    return out


def _check(alpha_small: FloatArray, rgb_full: NDArray[np.uint8], radius: int, epsilon: float) -> None:
    checked_rgb(rgb_full, "rgb_full"), checked_alpha(alpha_small)
    if any(s > f for s, f in zip(alpha_small.shape, rgb_full.shape[:2], strict=True)):
        raise OptionError(f"A matte of {alpha_small.shape} is larger than its photo of {rgb_full.shape[:2]}.")
    checked_whole("radius", radius, 1), checked_number("epsilon", epsilon, above=0)


def _near_edges(alpha: FloatArray, radius: int) -> FloatArray:
    """How much of each pixel is taken from the filter: 1 at an edge, falling to 0 so that no seam shows."""
    around = np.ones((3, 3), np.uint8)
    edge = np.asarray(cv2.dilate(alpha, around)) > np.asarray(cv2.erode(alpha, around))
    reach = 4 * radius + 3
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    near = np.asarray(cv2.dilate(edge.astype(np.uint8), kernel), dtype=np.float32)
    return _mean(near, max(1, radius // 2))


def _mean(values: FloatArray, radius: int) -> FloatArray:
    window = (2 * radius + 1, 2 * radius + 1)
    return np.asarray(cv2.blur(values, window, borderType=cv2.BORDER_REPLICATE), dtype=np.float32)


def _coefficients(
    guide: Sequence[FloatArray], alpha: FloatArray, nearness: FloatArray, radius: int, epsilon: float
) -> FloatArray:
    """The locally best a and b in alpha = a . rgb + b, 4 x h x w (three of a, then b); 0 where none is near an edge."""
    height, width = alpha.shape
    out = np.zeros((4, height, width), np.float32)
    # Enlarging mixes each pixel with its neighbours.
    wanted = cv2.dilate((nearness > 0).astype(np.uint8), np.ones((3, 3), np.uint8)).reshape(alpha.shape)
    # Two means, one after the other, look so far beyond a tile.
    halo = 2 * radius

    def fit(corner: tuple[int, int]) -> None:
        top, left = corner
        first_row, first_column = max(0, top - halo), max(0, left - halo)
        around = slice(first_row, top + _FIT_TILE + halo), slice(first_column, left + _FIT_TILE + halo)
        parts = [np.ascontiguousarray(plane[around]) for plane in (*guide, alpha)]
        tile = slice(top, top + _FIT_TILE), slice(left, left + _FIT_TILE)
        for plane, fitted in zip(out, _fitted(parts[:3], parts[3], radius, epsilon), strict=True):
            plane[tile] = fitted[top - first_row :, left - first_column :][:_FIT_TILE, :_FIT_TILE]

    corners = itertools.product(range(0, height, _FIT_TILE), range(0, width, _FIT_TILE))
    on_all_cores(fit, [(y, x) for y, x in corners if wanted[y : y + _FIT_TILE, x : x + _FIT_TILE].any()])
    return out


def _fitted(guide: Sequence[FloatArray], alpha: FloatArray, radius: int, epsilon: float) -> list[FloatArray]:
    """The coefficients of one tile; those next to its cut borders are not right."""
    # Plane by plane: interleaved channels would take half as long again.
    r, g, b = guide
    mean_r, mean_g, mean_b, mean_alpha = (_mean(plane, radius) for plane in (r, g, b, alpha))
    x = _mean(r * alpha, radius) - mean_r * mean_alpha
    y = _mean(g * alpha, radius) - mean_g * mean_alpha
    z = _mean(b * alpha, radius) - mean_b * mean_alpha
    rr = _mean(r * r, radius) - mean_r * mean_r + epsilon
    gg = _mean(g * g, radius) - mean_g * mean_g + epsilon
    bb = _mean(b * b, radius) - mean_b * mean_b + epsilon
    rg = _mean(r * g, radius) - mean_r * mean_g
    rb = _mean(r * b, radius) - mean_r * mean_b
    gb = _mean(g * b, radius) - mean_g * mean_b
    # The inverse of a symmetric 3 x 3 matrix by its cofactors: a tenth of the time of a batched solver.
    of_rr, of_rg, of_rb = gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb
    of_gg, of_gb, of_bb = rr * bb - rb * rb, rb * rg - rr * gb, rr * gg - rg * rg
    # Positive but for rounding, which the third power of the smallest eigenvalue bounds from below.
    determinant = np.maximum(rr * of_rr + rg * of_rg + rb * of_rb, np.float32(epsilon) ** 3)
    slope_r = (of_rr * x + of_rg * y + of_rb * z) / determinant
    slope_g = (of_rg * x + of_gg * y + of_gb * z) / determinant
    slope_b = (of_rb * x + of_gb * y + of_bb * z) / determinant
    offset = mean_alpha - slope_r * mean_r - slope_g * mean_g - slope_b * mean_b
    return [_mean(plane, radius) for plane in (slope_r, slope_g, slope_b, offset)]


def _apply(planes: Sequence[FloatArray], rgb: NDArray[np.uint8], out: FloatArray, first: int, last: int) -> None:
    """Lay the fit over rows ``first`` to ``last`` of ``out`` from the small planes (three of a, b, nearness)."""
    height, width = out.shape
    small_height, small_width = planes[0].shape
    # Columns are interpolated by OpenCV and rows here, so that strips meet without a seam.
    at = np.clip((np.arange(first, last) + 0.5) * (small_height / height) - 0.5, 0, small_height - 1)
    low = np.floor(at).astype(np.intp)
    fraction = (at - low).astype(np.float32)[:, None]
    start = int(low[0])
    low -= start
    small_rows = slice(start, min(start + int(low[-1]) + 2, small_height))
    high = np.minimum(low + 1, small_rows.stop - start - 1)
    runs = _runs((planes[-1][small_rows] > 0).any(axis=0))
    if not runs:
        return
    size = (width, small_rows.stop - start)
    wide = [
        np.asarray(cv2.resize(plane[small_rows], size, interpolation=cv2.INTER_LINEAR), dtype=np.float32)
        for plane in planes
    ]
    scale = width / small_width
    for left, right in runs:
        # Half a small pixel beyond the last one that counts, and a pixel for rounding.
        columns = slice(max(0, int((left - 1) * scale)), min(width, int(np.ceil((right + 1) * scale))))
        enlarged = [_between(plane[:, columns], low, high, fraction) for plane in wide]
        *slopes, fitted, weight = enlarged
        target = out[first:last, columns]
        for slope, colour in zip(slopes, cv2.split(rgb[first:last, columns]), strict=True):
            fitted += np.multiply(slope, colour, out=slope)
        np.clip(fitted, 0, 1, out=fitted)
        fitted -= target
        fitted *= weight
        target += fitted


def _between(plane: FloatArray, low: NDArray[np.intp], high: NDArray[np.intp], fraction: FloatArray) -> FloatArray:
    """Rows between the rows of a plane: a new array."""
    below = plane[low]
    rising = plane[high]
    rising -= below
    rising *= fraction
    below += rising
    return below


def _runs(wanted: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First columns of the runs of wanted ones, each with the column after the last; runs that nearly meet are one."""
    at = np.flatnonzero(wanted)
    if at.size == 0:
        return []
    gaps = np.flatnonzero(np.diff(at) > _GAP)
    return list(zip(at[[0, *(gaps + 1)]].tolist(), (at[[*gaps, -1]] + 1).tolist(), strict=True))
