"""A blur that goes by depth: how much of it there is where, and what covers what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arena.compose import BOKEHS, blur_background, depth_blur
from arena.errors import OptionError
from tests.compose.scenes import noise, quick

if TYPE_CHECKING:
    from numpy.typing import NDArray

every_bokeh = pytest.mark.parametrize("bokeh", BOKEHS)

SUBJECT = (slice(40, 90), slice(70, 90))
NEAR, MIDDLE, FAR = (slice(0, 30), slice(0, 20)), (slice(0, 30), slice(30, 50)), (slice(0, 30), slice(110, 160))


def scene() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Depth and matte: far at 1, a subject at 5, things at 3 and at 9, and as near as the subject at the right."""
    depth = np.full((100, 160), 1, np.float32)
    depth[NEAR], depth[MIDDLE], depth[SUBJECT], depth[60:, 150:] = 9, 3, 5, 5
    alpha = np.zeros((100, 160), np.float32)
    alpha[SUBJECT] = 1
    return depth, alpha


def test_the_blur_grows_with_the_difference_of_the_inverse_distances() -> None:
    depth, alpha = scene()
    amount = depth_blur(depth, alpha)
    assert amount.dtype == np.float32
    assert amount.shape == depth.shape
    assert amount[NEAR] == pytest.approx(1)
    assert amount[MIDDLE] == pytest.approx(0.5)
    assert amount[FAR] == pytest.approx(1)
    assert amount[60:, 150:] == pytest.approx(0)


def test_behind_the_subject_is_what_is_around_it_and_no_rim() -> None:
    depth, alpha = scene()
    # A network's edge is soft, and beside the subject there is some of its depth.
    soft = cv2.GaussianBlur(depth, (0, 0), 1.0)
    amount = depth_blur(soft, alpha)
    assert amount[30:95, 65:95].min() > 0.97


@quick
@given(st.floats(0.01, 1000), st.floats(-1000, 1000))
def test_unit_and_zero_of_the_map_mean_nothing(factor: float, offset: float) -> None:
    depth, alpha = scene()
    other = (depth.astype(np.float64) * factor + offset).astype(np.float32)
    np.testing.assert_allclose(depth_blur(other, alpha), depth_blur(depth, alpha), atol=0.02)


@pytest.mark.parametrize("scale", [0.5, 2.0, 3.5])
def test_the_matte_may_be_of_another_size(scale: float) -> None:
    depth, alpha = scene()
    resized = cv2.resize(alpha, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(depth_blur(depth, np.clip(resized, 0, 1)), depth_blur(depth, alpha), atol=0.02)


def test_what_the_map_errs_by_is_no_depth_of_a_wall_right_behind() -> None:
    depth, alpha = scene()
    rng = np.random.default_rng(1)
    # A wall whose distance cannot be told from the subject's, and one thing in front.
    wall = np.full_like(depth, 5) + rng.normal(0, 0.02, depth.shape).astype(np.float32)
    wall[NEAR] = 9
    amount = depth_blur(wall, alpha)
    assert np.median(amount[FAR]) < 0.1
    assert depth_blur(np.full_like(depth, 5), alpha).max() == 1


@pytest.mark.parametrize("wrong", [1e4, -1e4, 3e38, -3e38])
def test_a_few_samples_that_are_far_off_change_nothing_else(wrong: float) -> None:
    depth, alpha = scene()
    amount = depth_blur(depth, alpha)
    depth[50:55, 120:125] = wrong
    off = depth_blur(depth, alpha)
    assert np.isfinite(off).all()
    np.testing.assert_allclose(off[MIDDLE], amount[MIDDLE], atol=0.02)
    np.testing.assert_allclose(off[:30, 110:], amount[:30, 110:], atol=0.02)


def test_something_very_near_takes_none_of_the_blur_away() -> None:
    depth, alpha = scene()
    depth[NEAR] = 50
    np.testing.assert_allclose(depth_blur(depth, alpha), depth_blur(scene()[0], alpha), atol=0.02)


def test_without_a_subject_or_anything_else_there_is_nothing_to_go_by() -> None:
    depth, alpha = scene()
    assert depth_blur(depth, alpha * 0).min() == 1
    assert depth_blur(depth, np.ones_like(alpha)).min() == 1


@pytest.mark.parametrize(
    ("depth", "said"),
    [
        (np.zeros((4, 4)), "depth must be a float32 array of the shape H x W, but is float64"),
        (np.zeros((4, 4, 1), np.float32), "depth must be a float32 array"),
        (np.full((4, 4), np.inf, np.float32), "depth has values that are no finite numbers"),
    ],
)
def test_what_is_no_map_is_refused(depth: Any, said: str) -> None:
    with pytest.raises(OptionError, match=said):
        depth_blur(depth, np.zeros((4, 4), np.float32))


# What covers what


def two(amount_left: float, amount_right: float) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]:
    """A red left half and a blue right half, nobody, and how much of the blur each gets."""
    rgb = np.zeros((120, 400, 3), np.uint8)
    rgb[:, :200], rgb[:, 200:] = (230, 20, 20), (20, 20, 230)
    amount = np.full((120, 400), amount_left, np.float32)
    amount[:, 200:] = amount_right
    return rgb, np.zeros((120, 400), np.float32), amount


@every_bokeh
@pytest.mark.parametrize("kernel", [15, 61, 151])
def test_what_is_sharp_neither_takes_colour_from_what_is_blurred_nor_gives_any(bokeh: Any, kernel: int) -> None:
    rgb, nobody, amount = two(0, 1)
    out = blur_background(rgb, nobody, kernel, bokeh=bokeh, amount=amount)
    np.testing.assert_array_equal(out[:, :200], rgb[:, :200])
    assert np.abs(out[:, 200:].astype(int) - rgb[:, 200:]).max() <= 2
    # Blurred alike, the two mix.
    alike = blur_background(rgb, nobody, kernel, bokeh=bokeh)
    assert np.abs(alike[60, 201].astype(int) - rgb[60, 201]).max() > 60


@every_bokeh
def test_the_blur_of_what_is_in_between_goes_on_over_what_is_behind(bokeh: Any) -> None:
    rgb, nobody, amount = two(0.25, 1)
    out = blur_background(rgb, nobody, 121, bokeh=bokeh, amount=amount)[60].astype(int)
    half = blur_background(rgb, nobody, 31, bokeh=bokeh)[60].astype(int)
    # The edge is where it was, and about as wide as the blur of the nearer one.
    assert abs(np.argmin(np.abs(out[:, 0] - 125)) - 200) <= 3
    widths = [np.count_nonzero((row[:, 0] > 45) & (row[:, 0] < 205)) for row in (out, half)]
    assert widths[0] == pytest.approx(widths[1], rel=0.35)
    # Farther than that there is nothing of it, wide as the other blur is.
    assert np.abs(out[260:, 0] - 20).max() <= 4


@every_bokeh
@pytest.mark.parametrize("passes", [1, 2, 5])
@pytest.mark.parametrize("kernel", [3, 5, 51])
def test_any_number_of_passes_will_do(bokeh: Any, kernel: int, passes: int) -> None:
    rgb, nobody, amount = two(0, 1)
    out = blur_background(rgb, nobody, kernel, passes, bokeh=bokeh, amount=amount)
    np.testing.assert_array_equal(out[:, :200], rgb[:, :200])
    assert np.abs(out[:, 200:].astype(int) - rgb[:, 200:]).max() <= 2


@every_bokeh
@pytest.mark.parametrize("share", [0.1, 0.35, 0.5, 0.8, 1.0])
def test_the_same_amount_everywhere_is_the_same_whatever_its_shape(bokeh: Any, share: float) -> None:
    rgb, nobody = noise(150, 90, 4), np.zeros((150, 90), np.float32)
    everywhere = np.full((150, 90), share, np.float32)
    one = blur_background(rgb, nobody, 61, bokeh=bokeh, amount=everywhere)
    other = blur_background(rgb, nobody, 61, bokeh=bokeh, amount=everywhere[:, :1])
    assert np.abs(one.astype(int) - other).max() <= 1


def test_where_nothing_is_blurred_is_the_photo_before_all_else() -> None:
    rgb, subject = noise(60, 60, 1), np.ones((60, 60), np.float32)
    amount = np.zeros((60, 60), np.float32)
    amount[30:] = 1
    out = blur_background(rgb, subject, 31, amount=amount, foreground=np.full_like(rgb, 7))
    np.testing.assert_array_equal(out[:30], rgb[:30])
    assert (out[30:] == 7).all()


@quick
@given(st.sampled_from([5, 31, 101]), st.integers(0, 2**16))
def test_the_subject_colours_nothing_whatever_its_surroundings_depth(kernel: int, seed: int) -> None:
    rgb = noise(90, 70, seed)
    alpha = np.zeros((90, 70), np.float32)
    alpha[30:80, 20:50] = 1
    amount = np.random.default_rng(seed).random((9, 7), np.float32).repeat(10, axis=0).repeat(10, axis=1)
    other = rgb.copy()
    other[alpha == 1] = 255 - other[alpha == 1]
    one, two_ = (blur_background(picture, alpha, kernel, amount=amount) for picture in (rgb, other))
    np.testing.assert_array_equal(one[alpha == 0], two_[alpha == 0])
    np.testing.assert_array_equal(one[alpha == 1], rgb[alpha == 1])
