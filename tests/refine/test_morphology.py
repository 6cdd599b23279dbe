"""What belongs to the subject, and where its outline runs."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arena.errors import OptionError
from arena.refine.morphology import closing, disc, fill_holes, grow, largest_components, opening, threshold

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Alpha = NDArray[np.float32]
    Step = Callable[[Alpha], Alpha]

STEPS: list[Step] = [
    threshold,
    partial(threshold, softness=0.4),
    largest_components,
    partial(fill_holes, largest_share=0.1),
    partial(opening, kernel=5, iterations=2),
    partial(closing, kernel=3),
    partial(grow, pixels=1.6),
    partial(grow, pixels=-2),
]

SIZES = st.sampled_from([1, 2, 3, 7, 13, 31, 47])


def square(side: int = 60) -> Alpha:
    alpha = np.zeros((side, side), np.float32)
    alpha[side // 4 : -side // 4, side // 4 : -side // 4] = 1
    return alpha


def ramp(start: float, width: int = 80) -> Alpha:
    """An edge ten pixels wide, the same in every row."""
    return np.repeat(np.clip((np.arange(width, dtype=np.float32) - start) / 10, 0, 1)[None], 30, axis=0)


@pytest.mark.parametrize("step", STEPS)
@given(height=SIZES, width=SIZES, seed=st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_any_size_and_layout_gives_the_same_and_leaves_its_input(
    step: Step, height: int, width: int, seed: int
) -> None:
    alpha = np.round(np.random.default_rng(seed).random((height, width)) * 1.4 - 0.2, 2).clip(0, 1).astype(np.float32)
    alpha.flags.writeable = False
    before = alpha.copy()
    out = step(alpha)
    np.testing.assert_array_equal(alpha, before)
    assert out.shape == alpha.shape
    assert out.dtype == np.float32
    assert not np.may_share_memory(out, alpha)
    assert out.flags.writeable
    assert out.min() >= 0
    assert out.max() <= 1
    backwards = np.ascontiguousarray(alpha[::-1, ::-1])[::-1, ::-1]
    wide = np.repeat(alpha, 2, axis=1)[:, ::2]
    for layout in (np.asfortranarray(alpha), backwards, wide):
        np.testing.assert_array_equal(step(layout), out)


def test_a_threshold_makes_two_values_and_takes_the_level_in() -> None:
    alpha = np.array([[0, 0.29, 0.3, 0.31, 1]], np.float32)
    np.testing.assert_array_equal(threshold(alpha, 0.3), [[0, 0, 1, 1, 1]])


def test_a_soft_threshold_is_a_ramp_about_the_level() -> None:
    alpha = np.array([[0, 0.35, 0.4, 0.5, 0.6, 0.65, 1]], np.float32)
    np.testing.assert_allclose(threshold(alpha, 0.5, 0.2), [[0, 0, 0, 0.5, 1, 1, 1]], atol=1e-6)
    np.testing.assert_allclose(threshold(alpha, 0.5, 1.0), alpha, atol=1e-6)


@pytest.mark.parametrize("level", [0.01, 0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("softness", [0.0, 0.3, 1.0])
def test_whatever_the_ramp_nothing_stays_nothing_and_all_stays_all(level: float, softness: float) -> None:
    steeper = threshold(np.linspace(0, 1, 101, dtype=np.float32)[None], level, softness)
    assert steeper[0, 0] == 0
    assert steeper[0, -1] == 1
    assert (np.diff(steeper) >= 0).all()


def test_the_largest_part_stays_with_its_faint_fringe_and_the_others_go_with_theirs() -> None:
    alpha = square()
    alpha[14, 20:40] = 0.03
    alpha[2:6, 2:6] = 1
    alpha[6, 2:6] = 0.03
    kept = largest_components(alpha)
    expected = alpha.copy()
    expected[:7, :7] = 0
    np.testing.assert_array_equal(kept, expected)
    np.testing.assert_array_equal(largest_components(alpha, 2), alpha)


def test_a_strand_of_hair_stays_attached_by_faint_pixels() -> None:
    alpha = square()
    for step in range(12):
        alpha[14 - step, 20 + step] = 0.1
    alpha[55, 55] = 1
    kept = largest_components(alpha)
    assert kept[3, 31] == np.float32(0.1)
    assert kept[55, 55] == 0


def test_a_wide_veil_does_not_outweigh_a_person() -> None:
    alpha = np.zeros((60, 60), np.float32)
    alpha[:, :35] = 0.06
    alpha[20:40, 45:55] = 1
    assert largest_components(alpha)[30, 50] == 1
    assert largest_components(alpha)[30, 10] == 0


def test_an_empty_scene_keeps_its_haze() -> None:
    haze = np.full((9, 9), 0.01, np.float32)
    np.testing.assert_array_equal(largest_components(haze), haze)


def test_small_enclosed_holes_fill_and_large_ones_stay() -> None:
    alpha = square(100)
    alpha[30:33, 30:33] = 0.2
    alpha[31, 31] = 0
    alpha[50:70, 50:70] = 0
    filled = fill_holes(alpha, 0.002)
    assert (filled[30:33, 30:33] == 1).all()
    assert (filled[50:70, 50:70] == 0).all()
    assert (filled[:25] == 0).all()
    assert fill_holes(alpha, 0.05)[60, 60] == 1


def test_a_gap_that_is_open_to_the_background_is_no_hole() -> None:
    alpha = square()
    alpha[15:20, 30] = 0
    diagonal = square()
    for step in range(5):
        diagonal[15 + step, 20 + step] = 0.5
    at_the_frame = np.ones((20, 20), np.float32)
    at_the_frame[0, 5] = at_the_frame[7, -1] = 0
    for matte in (alpha, diagonal, at_the_frame):
        np.testing.assert_array_equal(fill_holes(matte, 0.1), matte)


def test_opening_removes_specks_and_keeps_the_shape() -> None:
    specked = square()
    specked[5, 5] = specked[50, 3] = 1
    opened = opening(specked, 3)
    assert opened[5, 5] == opened[50, 3] == 0
    # The disc does not reach into the four corners.
    assert np.count_nonzero(opened != square()) == 4


def test_closing_fills_holes_and_keeps_the_shape() -> None:
    holed = square()
    holed[30, 30] = holed[25, 40] = 0
    np.testing.assert_array_equal(closing(holed, 3), square())


def test_more_iterations_remove_larger_specks() -> None:
    specked = square()
    specked[4:7, 4:7] = 1
    assert opening(specked, 3, 1)[5, 5] == 1
    assert opening(specked, 3, 2)[5, 5] == 0
    np.testing.assert_array_equal(opening(specked, 3, 0), specked)
    np.testing.assert_array_equal(closing(1 - specked, 3, 2), 1 - opening(specked, 3, 2))


def test_large_specks_and_holes_are_measured_as_small_ones_are() -> None:
    alpha = np.zeros((400, 700), np.float32)
    rows, columns = np.mgrid[:400, :700]
    for number, radius in enumerate((14, 26, 40, 70)):
        alpha[np.hypot(rows - 200, columns - (80 + 160 * number)) <= radius] = 1
    for kernel, kept in ((25, 4), (41, 3), (71, 2), (101, 1), (151, 0)):
        opened = opening(alpha, kernel)
        assert cv2.connectedComponents((opened > 0.5).astype(np.uint8))[0] - 1 == kept
        # What stays is round within the corners of the octagon.
        assert (alpha[:, 480:] - opened[:, 480:]).sum() < (0.06 * np.pi * 70**2 if kept else np.inf)
        np.testing.assert_array_equal(closing(1 - alpha, kernel)[110:-110, 110:-110], 1 - opened[110:-110, 110:-110])


@given(
    st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 3, 5, 9, 33, 51]), st.integers(0, 3), st.integers(0, 99)
)
@settings(max_examples=40, deadline=None)
def test_opening_lies_below_and_closing_above(height: int, width: int, kernel: int, times: int, seed: int) -> None:
    alpha = np.random.default_rng(seed).random((height, width)).astype(np.float32)
    opened, closed = opening(alpha, kernel, times), closing(alpha, kernel, times)
    assert (opened <= alpha).all()
    assert (alpha <= closed).all()
    # Once opened, nothing is left to open.
    np.testing.assert_array_equal(opening(opened, kernel, times), opened)
    np.testing.assert_array_equal(closing(closed, kernel, times), closed)


@pytest.mark.parametrize("pixels", [-7.0, -2.5, -0.3, 0.4, 1.0, 3.75])
def test_a_soft_edge_moves_by_fractions_and_stays_as_soft(pixels: float) -> None:
    moved = grow(ramp(30), pixels)
    # What begins as a corner of the ramp is rounded by the fraction: half a pixel's worth of alpha at most.
    np.testing.assert_allclose(moved[15], ramp(30 - pixels)[15], atol=0.03)
    np.testing.assert_allclose(moved[15, 27:33], ramp(30 - pixels)[15, 27:33], atol=0.03)
    assert abs(float(moved[15].sum() - ramp(30)[15].sum()) - pixels) < 0.01


def test_growth_of_a_disc_is_round() -> None:
    y, x = np.mgrid[:101, :101] - 50
    alpha = (np.hypot(x, y) <= 20).astype(np.float32)
    grown = grow(alpha, 10.0)
    radius = np.sqrt(grown.sum() / np.pi)
    assert abs(radius - 30.3) < 0.5
    assert (grown == grown.T).all()
    assert (grown == grown[::-1]).all()


@given(st.integers(1, 30), st.integers(1, 30), st.floats(-6, 6), st.floats(-6, 6), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_more_growth_never_takes_away(height: int, width: int, one: float, other: float, seed: int) -> None:
    alpha = np.random.default_rng(seed).random((height, width)).astype(np.float32)
    less, more = grow(alpha, min(one, other)), grow(alpha, max(one, other))
    assert (less <= more + 1e-6).all()
    assert less.min() >= alpha.min()
    assert more.max() <= alpha.max()


def test_no_growth_changes_nothing_and_shrinking_mirrors_growing() -> None:
    alpha = np.random.default_rng(0).random((31, 17)).astype(np.float32)
    np.testing.assert_array_equal(grow(alpha, 0), alpha)
    np.testing.assert_allclose(grow(alpha, -1.5), 1 - grow(1 - alpha, 1.5), atol=1e-6)


@pytest.mark.parametrize("radius", range(9))
def test_discs_are_symmetric_and_nested(radius: int) -> None:
    shape = disc(radius)
    assert shape.shape == (2 * radius + 1, 2 * radius + 1)
    assert (shape == shape.T).all()
    assert (shape == shape[::-1]).all()
    assert shape[0, radius] == 1
    assert (np.pad(shape, 1) <= disc(radius + 1)).all()


@pytest.mark.parametrize(
    "call",
    [
        lambda alpha: threshold(alpha, 0.0),
        lambda alpha: threshold(alpha, 1.1),
        lambda alpha: threshold(alpha, 0.5, -0.1),
        lambda alpha: threshold(alpha, float("nan")),
        lambda alpha: largest_components(alpha, 0),
        lambda alpha: largest_components(alpha, 1.5),  # type: ignore[arg-type]
        lambda alpha: largest_components(alpha, True),
        lambda alpha: largest_components(alpha, 1, 1.0),
        lambda alpha: fill_holes(alpha, 1.5),
        lambda alpha: fill_holes(alpha, -0.1),
        lambda alpha: fill_holes(alpha, 0.1, 0.0),
        lambda alpha: opening(alpha, 2),
        lambda alpha: opening(alpha, 3, -1),
        lambda alpha: closing(alpha, 0),
        lambda alpha: closing(alpha, 3.0),  # type: ignore[arg-type]
        lambda alpha: grow(alpha, float("inf")),
        lambda alpha: grow(alpha, 101),
        lambda alpha: grow(alpha, "2"),  # type: ignore[arg-type]
        lambda alpha: grow(alpha.astype(np.float64), 1),
        lambda alpha: opening(alpha[..., None]),
        lambda alpha: closing(alpha[:0]),
        lambda alpha: threshold(alpha + 1),
        lambda alpha: threshold(alpha * np.float32("nan")),
        lambda alpha: largest_components(alpha.tolist()),
    ],
)
def test_values_that_make_no_sense_are_refused(call: Callable[[Alpha], object]) -> None:
    with pytest.raises(OptionError):
        call(square())
