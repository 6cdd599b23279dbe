"""The metrics against published code's numbers, against slow definitions, and in what they promise for any matte."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from arena import metrics
from arena.errors import OptionError
from tests.conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    Levels = NDArray[np.uint8]
    Alpha = NDArray[np.float32]
    Mask = NDArray[np.bool_]

quick = settings(max_examples=25, deadline=None)

MATTE_ERRORS = (
    metrics.sad,
    metrics.mse,
    metrics.mad,
    metrics.gradient_error,
    metrics.connectivity_error,
)
MASK_SHARES = (metrics.iou, metrics.boundary_iou, metrics.pixel_accuracy, metrics.f_measure)


def scene(size: int) -> Levels:
    """A body with a soft edge and thin strands, 8-bit, reaching 0 and 255."""
    rows, columns = np.mgrid[:size, :size]
    distance = np.hypot(rows - 0.45 * size, columns - 0.5 * size) / size
    body = np.clip((0.34 - distance) * 12, 0, 1)
    strands = (columns % 7 == 0) * np.clip(1 - rows / size, 0, 1) * 0.7
    return np.asarray(np.rint(255 * np.maximum(body, strands)), dtype=np.uint8)


def shifted(levels: Levels) -> Levels:
    return np.roll(levels, 2, axis=1)


def veiled(levels: Levels) -> Levels:
    out = np.maximum(levels, np.uint8(40))
    # The published code stretches a matte to reach 0; with this pixel there is nothing to stretch.
    out[0, 0] = 0
    return out


def cut(levels: Levels) -> Levels:
    out = levels.copy()
    out[len(out) // 3] = 0
    return out


def coarse(levels: Levels) -> Levels:
    height, width = levels.shape
    return np.kron(levels[::4, ::4], np.ones((4, 4), np.uint8))[:height, :width]


def to_alpha(levels: Levels) -> Alpha:
    return levels.astype(np.float32) / np.float32(255)


def errors(levels: Levels, truth: Levels, *, whole: bool) -> tuple[float, ...]:
    """SAD, MSE, gradient and connectivity, over all pixels or over those that are not known to be 0 or 1."""
    known = (levels == truth) & ((truth == 0) | (truth == 255))
    region = None if whole else ~known
    alpha, true_alpha = to_alpha(levels), to_alpha(truth)
    return tuple(
        function(alpha, true_alpha, region)
        for function in (metrics.sad, metrics.mse, metrics.gradient_error, metrics.connectivity_error)
    )


PUBLISHED = [
    (16, shifted, True, (0.04906667, 0.1190565, 0.1696628, 0.04964902)),
    (16, veiled, True, (0.02127059, 0.01427228, 0.01944153, 0.02187451)),
    (16, cut, False, (0.00927451, 0.1002786, 0.01036607, 0.009274511)),
    (32, shifted, False, (0.1455373, 0.1652131, 0.2368267, 0.1447784)),
    (32, cut, True, (0.01803922, 0.0161929, 0.04721022, 0.01803922)),
    (32, coarse, False, (0.1855216, 0.1820066, 0.2936882, 0.1849588)),
    (64, shifted, True, (0.446, 0.04577814, 0.697457, 0.4359157)),
    (64, veiled, False, (0.3612314, 0.01726934, 0.1185267, 0.3693411)),
    (64, cut, True, (0.03676471, 0.008248672, 0.1315053, 0.0366549)),
    (64, coarse, True, (0.4446863, 0.04733751, 1.039421, 0.4388098)),
]
"""What ``sad``, ``mse``, ``gradient_error`` and ``connectivity`` of mmedit 0.16.1 (OpenMMLab, from PyPI) return."""


@pytest.mark.parametrize(("size", "worsen", "whole", "expected"), PUBLISHED)
def test_small_mattes_have_the_errors_of_the_published_code(
    size: int, worsen: Callable[[Levels], Levels], whole: bool, expected: tuple[float, ...]
) -> None:
    truth = scene(size)
    assert errors(worsen(truth), truth, whole=whole) == pytest.approx(expected, rel=2e-6)


PUBLISHED_REAL = [
    (shifted, True, (1.438478, 0.01658683, 9.197158, 1.444196)),
    (cut, False, (0.03922745, 0.007880046, 0.03080225, 0.03919216)),
    (coarse, False, (1.280784, 0.1781531, 5.657886, 1.284437)),
]
"""The same of a recorded matte, every fourth pixel."""


@pytest.mark.shared
@pytest.mark.parametrize(("worsen", "whole", "expected"), PUBLISHED_REAL)
def test_a_real_matte_has_the_errors_of_the_published_code(
    worsen: Callable[[Levels], Levels], whole: bool, expected: tuple[float, ...], shared: Path
) -> None:
    with Image.open(shared / "data" / "mattes" / "p_07141906.alpha.png") as picture:
        truth = np.asarray(picture.convert("L"))[::4, ::4]
    assert errors(worsen(truth), truth, whole=whole) == pytest.approx(expected, rel=2e-6)


PUBLISHED_BOUNDARY = [
    (16, shifted, 0.1392405),
    (32, coarse, 0.2279793),
    (64, shifted, 0.2010652),
    (64, cut, 0.7876106),
]
"""Erosion by 3 x 3, repeated, on a padded mask: the definition in Cheng et al.'s public code."""


@pytest.mark.parametrize(("size", "worsen", "expected"), PUBLISHED_BOUNDARY)
def test_small_masks_have_the_boundary_iou_of_the_published_code(
    size: int, worsen: Callable[[Levels], Levels], expected: float
) -> None:
    truth = scene(size)
    assert metrics.boundary_iou(worsen(truth) >= 128, truth >= 128) == pytest.approx(expected, rel=1e-6)


@st.composite
def mattes(draw: st.DrawFn, largest: int = 40) -> tuple[Levels, Levels]:
    """Two mattes of one size, 8-bit, from unrelated to nearly the same, with many pixels at 0 and 255."""
    height, width = draw(st.integers(1, largest)), draw(st.integers(1, largest))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    truth = rng.normal(draw(st.floats(-0.5, 1.5)), draw(st.floats(0.01, 2)), (height, width))
    other = truth + rng.normal(0, draw(st.floats(0, 1)), (height, width))
    first, second = (np.rint(255 * np.clip(values, 0, 1)).astype(np.uint8) for values in (truth, other))
    return first, second


@st.composite
def alphas(draw: st.DrawFn) -> tuple[Alpha, Alpha, Mask | None]:
    """Two mattes, and a region or none."""
    first, second = draw(mattes())
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    region = rng.random(first.shape) < draw(st.floats(0, 1))
    return to_alpha(first), to_alpha(second), draw(st.sampled_from([None, region]))


def inside(row: int, column: int, shape: tuple[int, ...]) -> bool:
    return 0 <= row < shape[0] and 0 <= column < shape[1]


def slow_gradient(levels: Levels) -> NDArray[np.float64]:
    """Every pixel's 9 x 9 neighbourhood against the two kernels, in double precision."""
    height, width = levels.shape
    offsets = range(-4, 5)
    bell = {offset: math.exp(-(offset**2) / (2 * 1.4**2)) for offset in offsets}
    norm = math.sqrt(sum((x * bell[x] * bell[y]) ** 2 for x in offsets for y in offsets))
    length = np.zeros(levels.shape)
    for row, column in np.ndindex(height, width):
        across = down = 0.0
        for y in offsets:
            for x in offsets:
                value = levels[min(max(row + y, 0), height - 1), min(max(column + x, 0), width - 1)] / 255
                across += x * bell[x] * bell[y] / norm * value
                down += y * bell[x] * bell[y] / norm * value
        length[row, column] = math.hypot(across, down)
    return length


def slow_largest_region(mask: Mask) -> set[tuple[int, int]]:
    left = {(int(row), int(column)) for row, column in np.argwhere(mask)}
    largest: set[tuple[int, int]] = set()
    for start in sorted(left):
        if start not in left:
            continue
        left.remove(start)
        found, border = {start}, [start]
        while border:
            row, column = border.pop()
            for pixel in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
                if pixel in left:
                    left.remove(pixel)
                    found.add(pixel)
                    border.append(pixel)
        if len(found) > len(largest):
            largest = found
    return largest


def slow_connectivity(levels: Levels, truth: Levels) -> NDArray[np.float64]:
    """Each pixel's error, with every comparison in whole numbers: alpha is k / 255 and a threshold i / 10."""
    regions = [
        slow_largest_region((10 * levels.astype(int) >= 255 * i) & (10 * truth.astype(int) >= 255 * i))
        for i in range(1, 11)
    ]
    error = np.zeros(levels.shape)
    for row, column in np.ndindex(*levels.shape):
        level = 0
        while level < 10 and (row, column) in regions[level]:
            level += 1
        rises = []
        for matte in (levels, truth):
            k = int(matte[row, column])
            rises.append(k / 255 - level / 10 if 20 * k - 510 * level >= 765 else 0.0)
        error[row, column] = abs(rises[0] - rises[1])
    return error


def slow_boundary(mask: Mask, width: int) -> Mask:
    boundary = np.zeros_like(mask)
    around = range(-width, width + 1)
    for row, column in np.argwhere(mask):
        boundary[row, column] = any(
            not inside(row + y, column + x, mask.shape) or not mask[row + y, column + x] for y in around for x in around
        )
    return boundary


@settings(max_examples=15, deadline=None)
@given(mattes(largest=9))
def test_the_gradient_error_is_the_sum_over_neighbourhoods(pair: tuple[Levels, Levels]) -> None:
    first, second = pair
    expected = ((slow_gradient(first) - slow_gradient(second)) ** 2).sum() / 1000
    assert metrics.gradient_error(to_alpha(first), to_alpha(second)) == pytest.approx(expected, rel=1e-4, abs=1e-9)


@quick
@given(mattes(largest=14))
def test_the_connectivity_error_is_what_flooding_finds(pair: tuple[Levels, Levels]) -> None:
    expected = slow_connectivity(*pair).sum() / 1000
    first, second = map(to_alpha, pair)
    assert metrics.connectivity_error(first, second) == pytest.approx(expected, rel=1e-5, abs=1e-9)


@quick
@given(mattes(largest=14))
def test_plain_errors_are_sums_over_pixels(pair: tuple[Levels, Levels]) -> None:
    differences = [abs(int(a) - int(b)) / 255 for a, b in zip(*(matte.ravel() for matte in pair), strict=True)]
    first, second = map(to_alpha, pair)
    assert metrics.sad(first, second) == pytest.approx(sum(differences) / 1000, rel=1e-5)
    assert metrics.mad(first, second) == pytest.approx(sum(differences) / len(differences), rel=1e-5)
    assert metrics.mse(first, second) == pytest.approx(sum(d * d for d in differences) / len(differences), rel=1e-5)


@quick
@given(mattes(largest=12), st.floats(0.001, 1))
def test_boundary_iou_is_what_looking_around_each_pixel_finds(pair: tuple[Levels, Levels], ratio: float) -> None:
    first, second = (matte >= 128 for matte in pair)
    width = max(1, round(ratio * math.hypot(*first.shape)))
    edges = slow_boundary(first, width), slow_boundary(second, width)
    union = np.count_nonzero(edges[0] | edges[1])
    expected = np.count_nonzero(edges[0] & edges[1]) / union if union else 1.0
    assert metrics.boundary_iou(first, second, dilation_ratio=ratio) == pytest.approx(expected)


@quick
@given(mattes(), st.floats(0.01, 10))
def test_mask_scores_are_those_of_sets(pair: tuple[Levels, Levels], beta_squared: float) -> None:
    mask, truth = (matte >= 128 for matte in pair)
    found, wanted = ({tuple(pixel) for pixel in np.argwhere(matte).tolist()} for matte in (mask, truth))
    assert metrics.iou(mask, truth) == pytest.approx(len(found & wanted) / len(found | wanted) if found | wanted else 1)
    assert metrics.pixel_accuracy(mask, truth) == pytest.approx(1 - len(found ^ wanted) / mask.size)
    if not found or not wanted:
        expected = float(found == wanted)
    elif not found & wanted:
        expected = 0.0
    else:
        precision, recall = len(found & wanted) / len(found), len(found & wanted) / len(wanted)
        expected = (1 + beta_squared) * precision * recall / (beta_squared * precision + recall)
    assert metrics.f_measure(mask, truth, beta_squared=beta_squared) == pytest.approx(expected)


@quick
@given(alphas())
def test_a_matte_has_no_error_against_itself(case: tuple[Alpha, Alpha, Mask | None]) -> None:
    alpha, _, region = case
    scores = metrics.evaluate(alpha, alpha.copy(), region)
    assert dataclasses.astuple(scores) == (0, 0, 0, 0, 0, 1, 1, 1, 1)


@quick
@given(alphas())
def test_matte_and_truth_can_change_places(case: tuple[Alpha, Alpha, Mask | None]) -> None:
    alpha, truth, region = case
    there, back = metrics.evaluate(alpha, truth, region), metrics.evaluate(truth, alpha, region)
    assert dataclasses.replace(there, f_measure=0) == dataclasses.replace(back, f_measure=0)


@quick
@given(alphas())
def test_scores_stay_in_their_range(case: tuple[Alpha, Alpha, Mask | None]) -> None:
    alpha, truth, region = case
    scores = metrics.evaluate(alpha, truth, region)
    pixels = alpha.size if region is None else np.count_nonzero(region)
    assert all(type(value) is float and math.isfinite(value) for value in dataclasses.astuple(scores))
    assert 0 <= scores.sad <= pixels / 1000 * (1 + 1e-6)
    assert 0 <= scores.connectivity <= pixels / 1000 * (1 + 1e-6)
    assert scores.gradient >= 0
    assert 0 <= scores.mse <= scores.mad <= 1
    assert 0 <= scores.iou <= scores.pixel_accuracy <= 1
    assert 0 <= scores.boundary_iou <= 1
    assert 0 <= scores.f_measure <= 1


@quick
@given(alphas())
def test_evaluate_is_every_metric_at_its_defaults(case: tuple[Alpha, Alpha, Mask | None]) -> None:
    alpha, truth, region = case
    masks = alpha >= 0.5, truth >= 0.5
    assert dataclasses.astuple(metrics.evaluate(alpha, truth, region)) == (
        *(function(alpha, truth, region) for function in MATTE_ERRORS),
        *(share(*masks, region) for share in MASK_SHARES),
    )


@quick
@given(alphas())
def test_the_memory_layout_changes_nothing(case: tuple[Alpha, Alpha, Mask | None]) -> None:
    alpha, truth, region = case
    wide = np.zeros((alpha.shape[0], 2 * alpha.shape[1]), np.float32)
    wide[:, ::2] = alpha
    turned = None if region is None else np.asfortranarray(region)
    expected = metrics.evaluate(alpha, truth, region)
    assert metrics.evaluate(wide[:, ::2], np.asfortranarray(truth), turned) == expected
    assert metrics.evaluate(alpha[::-1].copy()[::-1], truth, region) == expected


@quick
@given(alphas())
def test_arguments_are_read_only(case: tuple[Alpha, Alpha, Mask | None]) -> None:
    arrays = [array for array in case if array is not None]
    before = [array.copy() for array in arrays]
    for array in arrays:
        array.setflags(write=False)
    metrics.evaluate(*case)
    mask, truth = case[0] >= 0.5, case[1] >= 0.5
    kept = mask.copy(), truth.copy()
    for share in MASK_SHARES:
        share(mask, truth, case[2])
    for array, copy in zip([*arrays, mask, truth], [*before, *kept], strict=True):
        np.testing.assert_array_equal(array, copy)


@quick
@given(alphas())
def test_a_region_and_the_rest_add_up_to_the_whole(case: tuple[Alpha, Alpha, Mask | None]) -> None:
    alpha, truth, region = case
    region = np.ones(alpha.shape, np.bool_) if region is None else region
    for error in (metrics.sad, metrics.gradient_error, metrics.connectivity_error):
        parts = error(alpha, truth, region) + error(alpha, truth, ~region)
        assert parts == pytest.approx(error(alpha, truth), rel=1e-9, abs=1e-15)
    assert metrics.evaluate(alpha, truth, np.ones_like(region)) == metrics.evaluate(alpha, truth)


def test_a_region_without_pixels_has_no_error() -> None:
    alpha, truth = np.ones((3, 4), np.float32), np.zeros((3, 4), np.float32)
    scores = metrics.evaluate(alpha, truth, np.zeros((3, 4), np.bool_))
    assert dataclasses.astuple(scores) == (0, 0, 0, 0, 0, 1, 1, 1, 1)


@pytest.mark.parametrize("share", MASK_SHARES)
def test_two_empty_masks_agree_and_one_does_not(share: Callable[[Mask, Mask], float]) -> None:
    empty, full = np.zeros((5, 5), np.bool_), np.ones((5, 5), np.bool_)
    assert share(empty, empty) == 1
    assert share(empty, full) == share(full, empty) == 0


def test_only_the_f_measure_knows_which_mask_is_the_truth() -> None:
    half = np.zeros((4, 4), np.bool_)
    half[:2] = True
    full = np.ones((4, 4), np.bool_)
    # Precision 1 and recall 0.5, then the other way round.
    assert metrics.f_measure(half, full) == pytest.approx(1.3 * 0.5 / (0.3 + 0.5))
    assert metrics.f_measure(full, half) == pytest.approx(1.3 * 0.5 / (0.3 * 0.5 + 1))


def test_alpha_of_one_half_belongs_to_the_mask() -> None:
    half = np.full((2, 2), 0.5, np.float32)
    assert metrics.evaluate(half, np.ones((2, 2), np.float32)).iou == 1


@pytest.mark.parametrize(("island", "expected"), [(1.0, 1.0), (0.6, 0.6), (0.15, 0.15), (0.149, 0.0)])
def test_an_island_is_an_error_of_connectivity_unless_it_is_faint(island: float, expected: float) -> None:
    truth = np.array([[1, 1, 1, 0, 0, 0]], np.float32)
    alpha = np.array([[1, 1, 1, 0, island, 0]], np.float32)
    assert metrics.connectivity_error(alpha, truth) * 1000 == pytest.approx(expected)
    assert metrics.sad(alpha, truth) * 1000 == pytest.approx(island)


def test_regions_that_touch_at_a_corner_are_not_connected() -> None:
    truth = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]], np.float32)
    alpha = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 0.5]], np.float32)
    assert metrics.connectivity_error(alpha, truth) * 1000 == pytest.approx(0.5)
    joined = np.array([[1, 1, 0], [1, 1, 1], [0, 0, 1]], np.float32)
    weaker = np.array([[1, 1, 0], [1, 1, 1], [0, 0, 0.5]], np.float32)
    # Connected up to 0.5: the truth rises 0.5 above that level, the matte not at all.
    assert metrics.connectivity_error(weaker, joined) * 1000 == pytest.approx(0.5)
    nearly = np.array([[1, 1, 0], [1, 1, 1], [0, 0, 0.9]], np.float32)
    assert metrics.connectivity_error(nearly, joined) == 0


def test_a_paler_matte_has_a_gradient_error() -> None:
    truth = to_alpha(scene(32))
    error = metrics.gradient_error(truth / np.float32(2), truth)
    # Half of each gradient is missing, of which the flat matte misses all.
    assert error == pytest.approx(metrics.gradient_error(np.zeros_like(truth), truth) / 4, rel=1e-5)
    assert error > 0


def test_a_flat_veil_over_everything_has_no_gradient() -> None:
    flat = np.full((20, 30), 0.3, np.float32)
    assert metrics.gradient_error(flat, np.zeros_like(flat)) == pytest.approx(0, abs=1e-12)
    assert metrics.mad(flat, np.zeros_like(flat)) == pytest.approx(0.3)


def test_boundary_iou_sees_what_iou_does_not_in_a_large_mask() -> None:
    truth = np.zeros((300, 400), np.bool_)
    truth[50:250, 50:350] = True
    mask = np.roll(truth, 5, axis=1)
    # 500 pixels of diagonal give a boundary of 10; of its 9600 pixels each mask misses some the other has.
    assert metrics.iou(mask, truth) == pytest.approx(295 / 305)
    shared = 2 * 10 * 295 + 2 * 180 * 5
    assert metrics.boundary_iou(mask, truth) == pytest.approx(shared / (2 * 9600 - shared))


GOOD, MASK = np.zeros((4, 5), np.float32), np.zeros((4, 5), np.bool_)
BAD_MATTES: dict[str, tuple[Any, ...]] = {
    "double precision": (GOOD.astype(np.float64), GOOD),
    "8-bit": (GOOD.astype(np.uint8), GOOD),
    "truth of masks": (GOOD, MASK),
    "another shape": (GOOD, np.zeros((5, 4), np.float32)),
    "one row for all": (GOOD, np.zeros((1, 5), np.float32)),
    "three axes": (GOOD[..., None], GOOD[..., None]),
    "no pixel": (GOOD[:0], GOOD[:0]),
    "above 1": (GOOD + np.float32(1.01), GOOD),
    "below 0": (GOOD, GOOD - np.float32(0.01)),
    "not a number": (GOOD * np.float32(np.nan), GOOD),
    "a list": ([[0.0]], GOOD),
    "a region of another shape": (GOOD, GOOD, MASK[:2]),
    "a region of numbers": (GOOD, GOOD, np.zeros((4, 5), np.uint8)),
}
BAD_MASKS: dict[str, tuple[Any, ...]] = {
    "8-bit": (MASK.astype(np.uint8), MASK),
    "a matte": (MASK, GOOD),
    "another shape": (MASK, MASK[:3]),
    "no pixel": (MASK[:, :0], MASK[:, :0]),
    "one axis": (MASK[0], MASK[0]),
    "a region of another shape": (MASK, MASK, MASK[:2]),
    "a region of numbers": (MASK, MASK, GOOD),
}


@pytest.mark.parametrize("function", [*MATTE_ERRORS, metrics.evaluate])
@pytest.mark.parametrize("arguments", BAD_MATTES.values(), ids=BAD_MATTES)
def test_mattes_that_do_not_fit_are_refused(function: Callable[..., object], arguments: tuple[Any, ...]) -> None:
    with pytest.raises(OptionError):
        function(*arguments)


@pytest.mark.parametrize("function", MASK_SHARES)
@pytest.mark.parametrize("arguments", BAD_MASKS.values(), ids=BAD_MASKS)
def test_masks_that_do_not_fit_are_refused(function: Callable[..., object], arguments: tuple[Any, ...]) -> None:
    with pytest.raises(OptionError):
        function(*arguments)


@pytest.mark.parametrize("value", [0, -1, 1.5, math.nan])
def test_a_boundary_has_a_width(value: float) -> None:
    with pytest.raises(OptionError, match="dilation_ratio"):
        metrics.boundary_iou(MASK, MASK, dilation_ratio=value)


@pytest.mark.parametrize("value", [0, -1, math.inf, math.nan])
def test_recall_has_a_weight(value: float) -> None:
    with pytest.raises(OptionError, match="beta_squared"):
        metrics.f_measure(MASK, MASK, beta_squared=value)


def test_the_interval_of_many_values_is_that_of_the_normal_distribution() -> None:
    values = np.random.default_rng(1).gamma(2, 3, 400)
    # By the central limit theorem; 1.645 standard errors on either side hold nine tenths.
    reach = 1.645 * values.std() / math.sqrt(values.size)
    interval = metrics.bootstrap_interval(values, level=0.9)
    assert interval == pytest.approx((values.mean() - reach, values.mean() + reach), abs=0.1 * reach)


def test_the_interval_depends_on_its_seed_alone() -> None:
    values = [0.1, 0.5, 0.7, 0.2]
    assert metrics.bootstrap_interval(values) == metrics.bootstrap_interval(values)
    noisy = np.random.default_rng(3).random(30)
    assert metrics.bootstrap_interval(noisy, seed=1) != metrics.bootstrap_interval(noisy, seed=2)


@quick
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20))
def test_the_interval_lies_among_the_values(values: list[float]) -> None:
    low, high = metrics.bootstrap_interval(values, resamples=100)
    slack = 1e-9 * max(1.0, *map(abs, values))
    assert min(values) - slack <= low <= high <= max(values) + slack


def test_a_surer_interval_is_wider_and_more_photos_make_it_narrower() -> None:
    rng = np.random.default_rng(4)
    few, many = rng.normal(5, 1, 20), rng.normal(5, 1, 500)

    def width(values: NDArray[np.float64], level: float) -> float:
        low, high = metrics.bootstrap_interval(values, level=level, resamples=500)
        return high - low

    assert width(few, 0.99) > width(few, 0.9) > width(few, 0.5) > 0
    assert width(many, 0.95) < width(few, 0.95) / 2
    assert metrics.bootstrap_interval([3.5]) == (3.5, 3.5)


def test_nineteen_of_twenty_intervals_hold_the_mean() -> None:
    rng = np.random.default_rng(5)
    holds = 0
    for _ in range(200):
        low, high = metrics.bootstrap_interval(rng.normal(2, 1, 50), resamples=200)
        holds += low <= 2 <= high
    assert 0.88 <= holds / 200 <= 0.99


@pytest.mark.parametrize(
    ("values", "options"),
    [
        ([], {}),
        ([1.0, math.nan], {}),
        ([math.inf], {}),
        (np.zeros((2, 2)), {}),
        ([1.0], {"level": 0}),
        ([1.0], {"level": 1}),
        ([1.0], {"resamples": 0}),
        ([1.0], {"seed": -1}),
    ],
)
def test_an_interval_needs_values_and_a_level(values: Any, options: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        metrics.bootstrap_interval(values, **options)


def test_metrics_do_without_torch() -> None:
    code = "import sys, arena.metrics; print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert result.stdout.strip() == "False"
