"""How far a matte is from the truth, in the numbers that matting and segmentation papers print.

The four errors of matting come from C. Rhemann et al., "A Perceptually Motivated Online Benchmark for Image Matting",
CVPR 2009 (alphamatting.com). Papers since N. Xu et al., "Deep Image Matting", CVPR 2017, compute them with the
evaluation code published with that one, whose definitions are followed here so that numbers can be put beside theirs:

- The gradient comes from kernels of 9 x 9 with the Euclidean norm 1, not from true derivatives of a Gaussian. Where
  the code stretches each matte to reach 0 and 1 first, this module does not: a veil over the whole picture would be
  no error, and one stray pixel would scale all others. Mattes that reach both values, as nearly all do, are not
  touched by it. The code of P3M (J. Li et al., 2021) takes derivatives of a Gaussian, reflects the picture
  at its border and divides by 10: on portraits its numbers are some 3 to 5 percent larger.
- Connectivity: the 2009 paper connects a pixel to the largest region where both mattes are opaque. The published code
  takes the largest region anew at each threshold, and so does this module. Of regions of one size it takes the one
  whose first pixel comes first row by row, as the Python ports do; the original goes column by column.

A region, such as the unknown part of a trimap, selects the pixels that are counted. Gradients, connected regions and
boundaries are those of the whole mattes all the same. A region without pixels has no error: errors are 0, and shares
of agreement are 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from arena.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Alpha = NDArray[np.float32]
    Mask = NDArray[np.bool_]

THOUSAND = 1000.0
"""Sums over pixels are stated in thousands."""

GRADIENT_SIGMA = 1.4
"""Standard deviation of the gradient's Gaussian in pixels. Rhemann et al. 2009."""

_GRADIENT_TAIL = 0.01
"""The kernel ends where the Gaussian falls below this. Evaluation code of Xu et al. 2017."""

CONNECTIVITY_THETA = 0.15
"""A pixel counts as connected up to this distance from its level. Rhemann et al. 2009."""

CONNECTIVITY_STEPS = 10
"""Thresholds between 0 and 1, that is a step of 0.1. Rhemann et al. 2009."""

BOUNDARY_RATIO = 0.02
"""Width of the boundary as a share of the picture's diagonal. Cheng et al. 2021."""

F_BETA_SQUARED = 0.3
"""Weight of recall against precision. R. Achanta et al., "Frequency-tuned Salient Region Detection", CVPR 2009."""

MASK_THRESHOLD = 0.5
"""Alpha from which a pixel belongs to the subject where a matte is scored as a mask."""


@dataclass(frozen=True)
class Scores:
    """All metrics of one matte."""

    sad: float
    """Sum of absolute differences in thousands, 0 or more; 0 is best."""
    mse: float
    """Mean squared difference in [0, 1]; 0 is best. Tables often print it times 1000."""
    mad: float
    """Mean absolute difference in [0, 1]; 0 is best. Tables often print it times 1000."""
    gradient: float
    """Gradient error in thousands, 0 or more; 0 is best."""
    connectivity: float
    """Connectivity error in thousands, 0 or more; 0 is best."""
    iou: float
    """Intersection over union of the masks in [0, 1]; 1 is best."""
    boundary_iou: float
    """Intersection over union of the masks' inner boundaries in [0, 1]; 1 is best."""
    pixel_accuracy: float
    """Share of pixels that both masks call the same, in [0, 1]; 1 is best."""
    f_measure: float
    """Weighted harmonic mean of the masks' precision and recall in [0, 1]; 1 is best."""


def evaluate(alpha: Alpha, truth: Alpha, region: Mask | None = None) -> Scores:
    """Score a matte by every metric of this module, each with its default settings.

    Args:
        alpha: The matte, float32, H x W in [0, 1].
        truth: What it should be, float32, H x W in [0, 1].
        region: The pixels that count, bool, H x W; None counts all.

    Returns:
        The scores. Those of masks compare where each matte is at least ``MASK_THRESHOLD``.

    Raises:
        OptionError: An array has another dtype or shape, or a matte a value outside [0, 1].
    """
    alpha, truth, region = _checked_mattes(alpha, truth, region)
    mask, true_mask = alpha >= MASK_THRESHOLD, truth >= MASK_THRESHOLD
    return Scores(
        sad=sad(alpha, truth, region),
        mse=mse(alpha, truth, region),
        mad=mad(alpha, truth, region),
        gradient=gradient_error(alpha, truth, region),
        connectivity=connectivity_error(alpha, truth, region),
        iou=iou(mask, true_mask, region),
        boundary_iou=boundary_iou(mask, true_mask, region),
        pixel_accuracy=pixel_accuracy(mask, true_mask, region),
        f_measure=f_measure(mask, true_mask, region),
    )


def sad(alpha: Alpha, truth: Alpha, region: Mask | None = None) -> float:
    """The sum of absolute differences. Rhemann et al. 2009.

    Args:
        alpha: The matte, float32, H x W in [0, 1].
        truth: What it should be, float32, H x W in [0, 1].
        region: The pixels that count, bool, H x W; None counts all.

    Returns:
        The sum in thousands, from 0 to the number of pixels / 1000.

    Raises:
        OptionError: An array has another dtype or shape, or a matte a value outside [0, 1].
    """
    alpha, truth, region = _checked_mattes(alpha, truth, region)
    return _sum(np.abs(alpha - truth), region) / THOUSAND


def mad(alpha: Alpha, truth: Alpha, region: Mask | None = None) -> float:
    """The mean absolute difference.

    Args:
        alpha: The matte, float32, H x W in [0, 1].
        truth: What it should be, float32, H x W in [0, 1].
        region: The pixels that count, bool, H x W; None counts all.

    Returns:
        The mean in [0, 1].

    Raises:
        OptionError: An array has another dtype or shape, or a matte a value outside [0, 1].
    """
    alpha, truth, region = _checked_mattes(alpha, truth, region)
    return _mean(np.abs(alpha - truth), region)


def mse(alpha: Alpha, truth: Alpha, region: Mask | None = None) -> float:
    """The mean squared difference. Rhemann et al. 2009.

    Args:
        alpha: The matte, float32, H x W in [0, 1].
        truth: What it should be, float32, H x W in [0, 1].
        region: The pixels that count, bool, H x W; None counts all.

    Returns:
        The mean in [0, 1].

    Raises:
        OptionError: An array has another dtype or shape, or a matte a value outside [0, 1].
    """
    alpha, truth, region = _checked_mattes(alpha, truth, region)
    return _mean(np.square(alpha - truth), region)


def gradient_error(alpha: Alpha, truth: Alpha, region: Mask | None = None) -> float:
    """The sum of squared differences of the gradients' lengths. Rhemann et al. 2009, sigma 1.4 and q 2.

    Beyond the picture's border its outermost pixels go on.

    Args:
        alpha: The matte, float32, H x W in [0, 1].
        truth: What it should be, float32, H x W in [0, 1].
        region: The pixels that count, bool, H x W; None counts all.

    Returns:
        The sum in thousands, 0 or more.

    Raises:
        OptionError: An array has another dtype or shape, or a matte a value outside [0, 1].
    """
    alpha, truth, region = _checked_mattes(alpha, truth, region)
    return _sum(np.square(_gradient_length(alpha) - _gradient_length(truth)), region) / THOUSAND


def connectivity_error(alpha: Alpha, truth: Alpha, region: Mask | None = None) -> float:
    """The sum of differences in how connected pixels are. Rhemann et al. 2009, theta 0.15, step 0.1 and p 1.

    A pixel's level is the highest threshold up to which it belongs to the largest 4-connected region where both mattes
    reach the threshold. Alpha that rises above that level by at least theta is not connected, by as much as it rises.

    Args:
        alpha: The matte, float32, H x W in [0, 1].
        truth: What it should be, float32, H x W in [0, 1].
        region: The pixels that count, bool, H x W; None counts all.

    Returns:
        The sum in thousands, from 0 to the number of pixels / 1000.

    Raises:
        OptionError: An array has another dtype or shape, or a matte a value outside [0, 1].
    """
    alpha, truth, region = _checked_mattes(alpha, truth, region)
    level = _connected_level(np.minimum(alpha, truth))
    return _sum(np.abs(_disconnected(alpha, level) - _disconnected(truth, level)), region) / THOUSAND


def iou(mask: Mask, truth: Mask, region: Mask | None = None) -> float:
    """Intersection over union, also called the Jaccard index.

    Args:
        mask: The mask, bool, H x W.
        truth: What it should be, bool, H x W.
        region: The pixels that count, bool, H x W; None counts all.

    Returns:
        The share in [0, 1]; 1 if both masks are empty.

    Raises:
        OptionError: An array has another dtype or shape.
    """
    mask, truth, region = _checked_masks(mask, truth, region)
    return _share(_count(mask & truth, region), _count(mask | truth, region))


def boundary_iou(
    mask: Mask, truth: Mask, region: Mask | None = None, *, dilation_ratio: float = BOUNDARY_RATIO
) -> float:
    """Intersection over union of the masks' inner boundaries.

    A mask's inner boundary is the mask without what a square erosion leaves of it. The picture's border ends a mask,
    too. B. Cheng et al., "Boundary IoU: Improving Object-Centric Image Segmentation Evaluation", CVPR 2021.

    Args:
        mask: The mask, bool, H x W.
        truth: What it should be, bool, H x W.
        region: The pixels that count, bool, H x W; None counts all.
        dilation_ratio: Width of the boundary as a share of the picture's diagonal, above 0, at most 1. It is rounded
            to whole pixels and at least one.

    Returns:
        The share in [0, 1]; 1 if both masks are empty.

    Raises:
        OptionError: An array has another dtype or shape, or the ratio is out of range.
    """
    mask, truth, region = _checked_masks(mask, truth, region)
    if not 0 < dilation_ratio <= 1:
        raise OptionError(f"dilation_ratio is above 0 and at most 1, but is {dilation_ratio!r}.")
    width = max(1, round(dilation_ratio * math.hypot(*mask.shape)))
    edge, true_edge = _inner_boundary(mask, width), _inner_boundary(truth, width)
    return _share(_count(edge & true_edge, region), _count(edge | true_edge, region))


def pixel_accuracy(mask: Mask, truth: Mask, region: Mask | None = None) -> float:
    """The share of pixels that both masks call the same.

    Args:
        mask: The mask, bool, H x W.
        truth: What it should be, bool, H x W.
        region: The pixels that count, bool, H x W; None counts all.

    Returns:
        The share in [0, 1]; 1 if no pixel counts.

    Raises:
        OptionError: An array has another dtype or shape.
    """
    mask, truth, region = _checked_masks(mask, truth, region)
    return _share(_count(mask == truth, region), _pixels(mask, region))


def f_measure(mask: Mask, truth: Mask, region: Mask | None = None, *, beta_squared: float = F_BETA_SQUARED) -> float:
    """The weighted harmonic mean of precision and recall.

    Args:
        mask: The mask, bool, H x W.
        truth: What it should be, bool, H x W.
        region: The pixels that count, bool, H x W; None counts all.
        beta_squared: Weight of recall, above 0. 1 gives the Dice coefficient; the default is the one of salient
            object detection, Achanta et al. 2009, which favours precision.

    Returns:
        (1 + beta²) precision recall / (beta² precision + recall) in [0, 1]; 1 if both masks are empty, 0 if only one
        is.

    Raises:
        OptionError: An array has another dtype or shape, or the weight is not a number above 0.
    """
    mask, truth, region = _checked_masks(mask, truth, region)
    if not 0 < beta_squared < math.inf:
        raise OptionError(f"beta_squared is a number above 0, but is {beta_squared!r}.")
    both, found, wanted = _count(mask & truth, region), _count(mask, region), _count(truth, region)
    if not both:
        return 0.0 if found or wanted else 1.0
    # The definition with precision and recall multiplied out: a weighted mean of the two sizes, which rounding cannot
    # make smaller than what both have in common.
    return both / (wanted + (found - wanted) / (1 + beta_squared))


def bootstrap_interval(
    values: Sequence[float] | NDArray[np.floating[Any]], level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """How well the mean over photos is known: the percentile bootstrap's interval.

    B. Efron and R. Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.

    Args:
        values: One score for each photo, N finite numbers, at least one, any unit.
        level: Share of means inside the interval, between 0 and 1, both excluded.
        resamples: How many samples of N values are drawn with replacement, at least 1.
        seed: The same seed gives the same interval.

    Returns:
        The lower and the upper end, in the unit of the values. One value gives an interval without width, which says
        nothing about how sure it is.

    Raises:
        OptionError: There are no values, one of them is not a finite number, or a setting is out of range.
    """
    sample = np.asarray(values, np.float64)
    if sample.ndim != 1 or not sample.size or not np.isfinite(sample).all():
        raise OptionError(
            f"values are finite numbers, at least one, but have the shape {sample.shape}: {values!r:.80}."
        )
    if not 0 < level < 1 or resamples < 1 or seed < 0:
        raise OptionError(
            f"level lies between 0 and 1, resamples are at least 1 and the seed is not negative, "
            f"but they are {level!r}, {resamples!r} and {seed!r}."
        )
    rng = np.random.default_rng(seed)
    means = [sample[rng.integers(sample.size, size=sample.size)].mean() for _ in range(resamples)]
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _checked_mattes(alpha: Alpha, truth: Alpha, region: Mask | None) -> tuple[Alpha, Alpha, Mask | None]:
    """The arguments in C order, so that sums do not depend on the memory layout."""
    for name, matte in (("alpha", alpha), ("truth", truth)):
        _check_layout(name, matte, np.dtype(np.float32))
        lowest, highest = float(matte.min()), float(matte.max())
        # Written so that a NaN, which min and max hand on, fails the test.
        if not (lowest >= 0 and highest <= 1):
            raise OptionError(f"{name} must lie in [0, 1], but reaches from {lowest:g} to {highest:g}.")
    _check_shapes(alpha, truth, region)
    return np.ascontiguousarray(alpha), np.ascontiguousarray(truth), _in_order(region)


def _checked_masks(mask: Mask, truth: Mask, region: Mask | None) -> tuple[Mask, Mask, Mask | None]:
    for name, array in (("mask", mask), ("truth", truth)):
        _check_layout(name, array, np.dtype(np.bool_))
    _check_shapes(mask, truth, region)
    return np.ascontiguousarray(mask), np.ascontiguousarray(truth), _in_order(region)


def _check_layout(name: str, array: NDArray[Any], dtype: np.dtype[Any]) -> None:
    if not isinstance(array, np.ndarray) or array.dtype != dtype or array.ndim != 2 or not array.size:
        is_array = isinstance(array, np.ndarray)
        found = f"{array.dtype} of {array.shape}" if is_array else f"of type {type(array).__name__}"
        raise OptionError(f"{name} must be a {dtype} array of H x W with at least one pixel, but is {found}.")


def _check_shapes(array: NDArray[Any], truth: NDArray[Any], region: Mask | None) -> None:
    if array.shape != truth.shape:
        raise OptionError(f"The truth is {truth.shape}, but what it is compared with is {array.shape}.")
    if region is not None:
        _check_layout("region", region, np.dtype(np.bool_))
        if region.shape != truth.shape:
            raise OptionError(f"The truth is {truth.shape}, but the region is {region.shape}.")


def _in_order(region: Mask | None) -> Mask | None:
    return None if region is None else np.ascontiguousarray(region)


def _sum(error: Alpha, region: Mask | None) -> float:
    counted = error if region is None else error[region]
    # Millions of float32 do not add up in float32.
    return float(counted.sum(dtype=np.float64))


def _mean(error: Alpha, region: Mask | None) -> float:
    pixels = _pixels(error, region)
    return _sum(error, region) / pixels if pixels else 0.0


def _pixels(array: NDArray[Any], region: Mask | None) -> int:
    return array.size if region is None else int(np.count_nonzero(region))


def _count(mask: Mask, region: Mask | None) -> int:
    return int(np.count_nonzero(mask if region is None else mask & region))


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 1.0


def _gradient_kernels() -> tuple[Alpha, Alpha]:
    """A Gaussian and its derivative up to the sign, whose outer product has the Euclidean norm 1."""
    spread = math.sqrt(2 * math.pi) * GRADIENT_SIGMA
    radius = math.ceil(GRADIENT_SIGMA * math.sqrt(-2 * math.log(spread * _GRADIENT_TAIL)))
    offset = np.arange(-radius, radius + 1, dtype=np.float64)
    smooth = np.exp(-(offset**2) / (2 * GRADIENT_SIGMA**2))
    slope = offset * smooth
    return (smooth / np.linalg.norm(smooth)).astype(np.float32), (slope / np.linalg.norm(slope)).astype(np.float32)


def _gradient_length(alpha: Alpha) -> Alpha:
    smooth, slope = _gradient_kernels()
    across = cv2.sepFilter2D(alpha, cv2.CV_32F, slope, smooth, borderType=cv2.BORDER_REPLICATE)
    down = cv2.sepFilter2D(alpha, cv2.CV_32F, smooth, slope, borderType=cv2.BORDER_REPLICATE)
    # Not cv2.magnitude, whose last digit depends on where in memory its arguments lie.
    return np.asarray(np.sqrt(np.square(across) + np.square(down)), dtype=np.float32)


def _connected_level(common: Alpha) -> Alpha:
    """The threshold up to which each pixel stays in the largest region of what both mattes have in common."""
    thresholds = (np.arange(CONNECTIVITY_STEPS + 1) / CONNECTIVITY_STEPS).astype(np.float32)
    steps = np.zeros(common.shape, np.uint8)
    box = _bounding_box(common >= thresholds[1])
    inner, inner_steps = common[box], steps[box]
    connected = np.ones(inner.shape, np.bool_)
    for threshold in thresholds[1:]:
        connected &= _largest_region(inner >= threshold)
        if not connected.any():
            break
        inner_steps += connected
    return thresholds[steps]


def _bounding_box(mask: Mask) -> tuple[slice, slice]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return slice(0), slice(0)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _largest_region(mask: Mask) -> Mask:
    """The largest 4-connected region of a mask; empty if the mask is."""
    if not mask.any():
        return mask
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=4)
    largest = 1 + int(np.argmax(statistics[1:, cv2.CC_STAT_AREA]))
    return np.asarray(labels == largest, dtype=np.bool_)


def _disconnected(alpha: Alpha, level: Alpha) -> Alpha:
    """How far alpha rises above its connected level, 0 below theta: one minus the paper's degree of connectedness."""
    rise = alpha - level
    return np.where(rise >= np.float32(CONNECTIVITY_THETA), rise, np.float32(0))


def _inner_boundary(mask: Mask, width: int) -> Mask:
    # Beyond the picture's longer side nothing is left of any mask.
    side = 2 * min(width, max(mask.shape)) + 1
    kernel = np.ones((side, side), np.uint8)
    eroded = cv2.erode(mask.view(np.uint8), kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray(mask > np.asarray(eroded), dtype=np.bool_)
