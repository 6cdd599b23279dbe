"""A coarse matte's edge: each step does its one thing, and the chain is their sum."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arena.errors import OptionError
from arena.refine.edges import (
    LARGEST_BILATERAL,
    EdgeRefinement,
    bilateral,
    closing,
    opening,
    refine_edges,
    soften,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

OFF = EdgeRefinement(bilateral_diameter=1, opening=1, closing=1, feather_sigma=0)


def square(side: int = 60) -> NDArray[np.float32]:
    alpha = np.zeros((side, side), np.float32)
    alpha[side // 4 : -side // 4, side // 4 : -side // 4] = 1
    return alpha


def test_the_bilateral_filter_smooths_noise_and_keeps_the_edge() -> None:
    noise = np.random.default_rng(0).normal(0, 0.03, (60, 60)).astype(np.float32)
    noisy = np.clip(0.1 + 0.8 * square() + noise, 0, 1)
    smooth = bilateral(noisy, 7, 0.15, 3.0)
    flat = np.s_[2:12, 2:12]
    assert smooth[flat].std() < 0.5 * noisy[flat].std()
    # Across the edge, one pixel from dark to bright remains.
    assert (smooth[30, 16] - smooth[30, 13]) > 0.7
    blurred = soften(noisy, 3.0)
    assert (blurred[30, 16] - blurred[30, 13]) < 0.5


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


def test_a_feather_is_a_gaussian_and_stops_at_no_border() -> None:
    step = np.zeros((11, 201), np.float32)
    step[:, 100:] = 1
    soft = soften(step, 4.0)
    # A step seen through a Gaussian: 84 % one standard deviation inside.
    assert abs(soft[5, 104] - 0.8413) < 0.05
    assert soft[0, -1] == pytest.approx(1)
    assert soft[5, 0] == 0


def test_the_chain_is_its_steps_in_order() -> None:
    alpha = np.random.default_rng(1).random((40, 50)).astype(np.float32)
    expected = soften(closing(opening(bilateral(alpha, 5, 0.3, 2.0), 3), 5), 1.2)
    np.testing.assert_array_equal(refine_edges(alpha, EdgeRefinement(5, 0.3, 2.0, 3, 5, 1.2)), expected)


def test_each_step_can_be_left_out() -> None:
    alpha = np.random.default_rng(2).random((20, 20)).astype(np.float32)
    refined = refine_edges(alpha, OFF)
    np.testing.assert_array_equal(refined, alpha)
    assert refined is not alpha


@pytest.mark.parametrize("step", [refine_edges, bilateral, opening, closing, soften])
def test_the_matte_is_not_changed(step: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> None:
    alpha = np.random.default_rng(3).random((30, 20)).astype(np.float32)
    before = alpha.copy()
    refined = step(alpha)
    np.testing.assert_array_equal(alpha, before)
    assert refined.shape == alpha.shape
    assert refined.dtype == np.float32
    assert not np.array_equal(refined, alpha)


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    seed=st.integers(0, 1000),
    factor=st.floats(0.05, 12),
)
def test_any_matte_at_any_scale_stays_within_its_range(height: int, width: int, seed: int, factor: float) -> None:
    alpha = np.random.default_rng(seed).random((height, width)).astype(np.float32)
    refined = refine_edges(alpha, EdgeRefinement().scaled(factor))
    assert refined.shape == alpha.shape
    assert refined.min() >= alpha.min() - 1e-5
    assert refined.max() <= alpha.max() + 1e-5


def test_an_empty_matte_stays_empty_and_a_full_one_full() -> None:
    for value in (0.0, 1.0):
        alpha = np.full((30, 30), value, np.float32)
        np.testing.assert_allclose(refine_edges(alpha), alpha, atol=1e-6)


def test_lengths_scale_and_stay_odd() -> None:
    scaled = EdgeRefinement(5, 0.15, 2.0, 3, 5, 0.7).scaled(4)
    assert scaled == EdgeRefinement(LARGEST_BILATERAL, 0.15, 8.0, 13, 21, 2.8)
    off = OFF.scaled(4)
    assert (off.bilateral_diameter, off.opening, off.closing, off.feather_sigma) == (1, 1, 1, 0)
    small = EdgeRefinement().scaled(0.064)
    assert (small.bilateral_diameter, small.opening, small.closing) == (1, 1, 1)


@pytest.mark.parametrize(
    "call",
    [
        lambda alpha: bilateral(alpha, 4),
        lambda alpha: bilateral(alpha, LARGEST_BILATERAL + 2),
        lambda alpha: bilateral(alpha, 5, 0.0),
        lambda alpha: bilateral(alpha, 5, 0.1, -1.0),
        lambda alpha: opening(alpha, 2),
        lambda alpha: closing(alpha, 0),
        lambda alpha: soften(alpha, -0.1),
        lambda alpha: soften(alpha, float("nan")),
        lambda alpha: refine_edges(alpha.astype(np.float64)),
        lambda alpha: opening(alpha[..., None]),
        lambda alpha: closing(alpha[:0]),
        lambda alpha: refine_edges(alpha, EdgeRefinement().scaled(0)),
    ],
)
def test_values_that_make_no_sense_are_refused(call: Callable[[NDArray[np.float32]], object]) -> None:
    with pytest.raises(OptionError):
        call(square())
