"""A coarse matte's edge, smoothed on its own or along the photo's."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arena.errors import OptionError
from arena.refine.edges import LARGEST_BILATERAL, bilateral, guided, soften

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Alpha = NDArray[np.float32]

SIZES = st.sampled_from([1, 2, 3, 7, 13, 31, 47])


def square(side: int = 60) -> Alpha:
    alpha = np.zeros((side, side), np.float32)
    alpha[side // 4 : -side // 4, side // 4 : -side // 4] = 1
    return alpha


def wobbly_disc(side: int = 400) -> tuple[Alpha, NDArray[np.uint8]]:
    """Coverage of a disc with a shaky outline, and its photo."""
    y, x = np.mgrid[:side, :side] - side / 2 + 0.5
    outline = 0.3 * side * (1 + 0.04 * np.sin(40 * np.arctan2(y, x)))
    alpha = np.clip(outline - np.hypot(x, y) + 0.5, 0, 1).astype(np.float32)
    noise = np.random.default_rng(0).normal(0, 4, (side, side, 3))
    rgb = alpha[..., None] * (200, 60, 40) + (1 - alpha[..., None]) * (40, 90, 160) + noise
    return alpha, np.clip(rgb, 0, 255).astype(np.uint8)


def halved(picture: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))


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


def test_a_feather_is_a_gaussian_and_stops_at_no_border() -> None:
    step = np.zeros((11, 201), np.float32)
    step[:, 100:] = 1
    soft = soften(step, 4.0)
    # A step seen through a Gaussian: 84 % one standard deviation inside.
    assert abs(soft[5, 104] - 0.8413) < 0.05
    assert soft[0, -1] == pytest.approx(1)
    assert soft[5, 0] == 0


@pytest.mark.parametrize("side", [400, 1500])
def test_the_guided_filter_finds_the_outline_that_a_coarse_matte_missed(side: int) -> None:
    truth, rgb = wobbly_disc(side)
    small = cv2.resize(truth, (160, 160), interpolation=cv2.INTER_AREA)
    coarse = np.clip(cv2.resize(small, (side, side), interpolation=cv2.INTER_LINEAR), 0, 1).astype(np.float32)
    fine = guided(coarse, rgb, side / 40, 1e-3)
    assert np.abs(fine - truth).mean() < 0.6 * np.abs(coarse - truth).mean()


def test_the_guided_filter_leaves_what_is_far_from_the_edge() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    alpha = np.zeros((300, 400), np.float32)
    alpha[:, :200] = 1
    # A network's certainty is never quite 0 or 1.
    alpha = np.clip(alpha + np.random.default_rng(1).normal(0, 0.003, alpha.shape), 0, 1).astype(np.float32)
    fine = guided(alpha, rgb, 6)
    far = np.abs(np.arange(400) - 199.5) > 12
    np.testing.assert_array_equal(fine[:, far], alpha[:, far])
    assert not np.array_equal(fine, alpha)


def test_the_guided_filter_does_the_same_to_a_photo_of_half_the_size() -> None:
    truth, rgb = wobbly_disc(600)
    half, coarse = halved(rgb).astype(np.uint8), soften(truth, 6.0)
    of_full = halved(guided(coarse, rgb, 12, 1e-3))
    of_half = guided(halved(coarse).astype(np.float32), half, 6, 1e-3)
    np.testing.assert_allclose(of_half, of_full, atol=0.25)
    assert np.abs(of_half - of_full).mean() < 0.003


STEPS: list[Callable[[Alpha, NDArray[np.uint8]], Alpha]] = [
    lambda alpha, _: bilateral(alpha),
    lambda alpha, _: soften(alpha, 1.3),
    lambda alpha, rgb: guided(alpha, rgb, 2.5),
    lambda alpha, rgb: guided(alpha, rgb, 14),
]


@pytest.mark.parametrize("step", STEPS)
@given(height=SIZES, width=SIZES, seed=st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_any_size_and_layout_gives_the_same_and_leaves_its_inputs(
    step: Callable[[Alpha, NDArray[np.uint8]], Alpha], height: int, width: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    alpha = random.random((height, width)).astype(np.float32)
    rgb = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
    alpha.flags.writeable = rgb.flags.writeable = False
    before = alpha.copy(), rgb.copy()
    out = step(alpha, rgb)
    np.testing.assert_array_equal(alpha, before[0])
    np.testing.assert_array_equal(rgb, before[1])
    assert out.shape == alpha.shape
    assert out.dtype == np.float32
    assert not np.may_share_memory(out, alpha)
    assert out.min() >= 0
    assert out.max() <= 1
    backwards = partial(np.flip, axis=(0, 1))
    np.testing.assert_array_equal(step(np.asfortranarray(alpha), np.asfortranarray(rgb)), out)
    np.testing.assert_array_equal(step(backwards(backwards(alpha).copy()), backwards(backwards(rgb).copy())), out)


def test_flat_mattes_stay_flat() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (30, 30, 3), dtype=np.uint8)
    for value in (0.0, 1.0):
        alpha = np.full((30, 30), value, np.float32)
        for step in STEPS:
            np.testing.assert_array_equal(step(alpha, rgb), alpha)


def test_each_can_be_left_out() -> None:
    alpha = np.random.default_rng(2).random((20, 20)).astype(np.float32)
    rgb = np.zeros((20, 20, 3), np.uint8)
    for out in (bilateral(alpha, 1), soften(alpha, 0), guided(alpha, rgb, 0)):
        np.testing.assert_array_equal(out, alpha)
        assert not np.may_share_memory(out, alpha)


@pytest.mark.parametrize(
    "call",
    [
        lambda alpha: bilateral(alpha, 4),
        lambda alpha: bilateral(alpha, LARGEST_BILATERAL + 2),
        lambda alpha: bilateral(alpha, 5, 0.0),
        lambda alpha: bilateral(alpha, 5, 0.1, -1.0),
        lambda alpha: bilateral(alpha.astype(np.float64)),
        lambda alpha: soften(alpha, -0.1),
        lambda alpha: soften(alpha, float("nan")),
        lambda alpha: soften(alpha[..., None]),
        lambda alpha: guided(alpha, np.zeros((60, 60, 3), np.uint8), -1),
        lambda alpha: guided(alpha, np.zeros((60, 60, 3), np.uint8), 5, 0),
        lambda alpha: guided(alpha, np.zeros((60, 59, 3), np.uint8)),
        lambda alpha: guided(alpha, np.zeros((60, 60, 4), np.uint8)),
        lambda alpha: guided(alpha, np.zeros((60, 60, 3), np.float32)),
    ],
)
def test_values_that_make_no_sense_are_refused(call: Callable[[Alpha], object]) -> None:
    with pytest.raises(OptionError):
        call(square())
