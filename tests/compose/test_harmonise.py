"""The subject's colours moved towards the new background's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arena.compose import harmonise_colours
from arena.errors import OptionError
from tests.compose.scenes import RELAID, matte, noise, portrait, quick, scenes

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEVELS = st.tuples(*[st.integers(0, 255)] * 3)
ALL = np.ones((16, 16), np.float32)


def lab(rgb: Any) -> Any:
    row = np.asarray(rgb, np.float32).reshape(1, -1, 3) / 255
    return cv2.cvtColor(row, cv2.COLOR_RGB2Lab).reshape(np.shape(rgb)).astype(float)


def plain(colour: Any, side: int = 16) -> Any:
    return np.full((side, side, 3), colour, np.uint8)


def ramp() -> Any:
    return np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)


@quick
@given(scenes())
def test_strength_0_is_off_and_pixels_without_subject_count_for_nothing(scene: Any) -> None:
    rgb, alpha, background = scene
    background = np.ascontiguousarray(background[..., :3])
    np.testing.assert_array_equal(harmonise_colours(rgb, alpha, background, 0.0), rgb)
    empty = np.zeros_like(alpha)
    np.testing.assert_array_equal(harmonise_colours(rgb, empty, background, 1.0), rgb)


@pytest.mark.parametrize("behind", [(0, 0, 0), (255, 0, 0), (255, 255, 255)])
@pytest.mark.parametrize("radius", [12, 30, 200])
def test_what_lies_behind_the_subject_counts_for_nothing(behind: Any, radius: int) -> None:
    rows, columns = np.mgrid[:512, :512]
    alpha = np.clip(radius + 0.5 - np.hypot(rows - 256, columns - 256), 0, 1).astype(np.float32)
    colour = np.array([160, 130, 110], np.uint8)
    rgb = np.where(alpha[..., None] > 0, colour, np.array(behind, np.uint8))
    # A subject of its background's colours has nothing to take on.
    out = harmonise_colours(rgb, alpha, plain(colour), 1.0)
    assert np.abs(out.astype(int) - rgb)[alpha > 0].max() <= 1


@quick
@given(LEVELS, LEVELS)
def test_a_subject_moves_towards_its_background_but_only_so_far(subject: Any, background: Any) -> None:
    before, target = lab(plain(subject))[0, 0], lab(plain(background))[0, 0]
    after = lab(harmonise_colours(plain(subject), ALL, plain(background), 1.0))[0, 0]
    moved = after - before
    # A unit or two for rounding to 8 bits, before and after, and for colours at the border of sRGB.
    assert abs(moved[0]) <= 15 + 1
    if 20 < before[0] < 80 and min(subject) > 30 and max(subject) < 200:
        assert abs(moved[1]) <= 4 + 3
        assert abs(moved[2]) <= 10 + 3
        assert np.linalg.norm(after - target) <= np.linalg.norm(before - target) + 1


@pytest.mark.parametrize("background", [(0, 0, 0), (255, 255, 255), (0, 255, 0), (0, 0, 255), (255, 0, 0)])
def test_skin_stays_skin(background: Any) -> None:
    skin = np.array([(90, 55, 40), (141, 85, 60), (205, 160, 135), (240, 205, 185)], np.uint8)
    tones = np.repeat(skin[:, None], 4, axis=1)
    out = harmonise_colours(tones, np.ones((4, 4), np.float32), plain(background), 1.0)[:, 0]
    assert (out[:, 0] > out[:, 1]).all()
    assert (np.diff(lab(out)[:, 0]) > 0).all()
    assert (lab(out)[:, 1] > 2).all()


@quick
@given(LEVELS, st.floats(0, 1))
def test_tones_keep_their_order_and_black_and_white_stay(background: Any, strength: float) -> None:
    out = harmonise_colours(ramp(), ALL, plain(background), strength)
    lightness = lab(out)[..., 0].ravel()
    assert np.diff(lightness).min() > -0.5
    assert out[0, 0].max() <= 1
    assert out[-1, -1].min() >= 254


def test_tones_keep_their_order_at_every_limit() -> None:
    dark = np.where(np.indices((16, 16)).sum(axis=0)[..., None] % 2, 60, 0).astype(np.uint8).repeat(3, axis=2)
    for rgb in (ramp(), ramp() // 4, 192 + ramp() // 4):
        for background in (dark, 255 - dark, plain(0), plain(255), 255 * (dark > 0).astype(np.uint8)):
            tones = np.sort(lab(harmonise_colours(rgb, ALL, background, 1.0))[..., 0].ravel())
            np.testing.assert_allclose(lab(harmonise_colours(rgb, ALL, background, 1.0))[..., 0].ravel(), tones, atol=1)


def test_warm_and_cold_light_show() -> None:
    rgb, alpha = portrait()
    head = (10, 15)
    warm = harmonise_colours(rgb, alpha, plain((255, 170, 80)), 1.0)
    cold = harmonise_colours(rgb, alpha, plain((60, 120, 255)), 1.0)
    assert lab(warm)[head][2] > lab(cold)[head][2] + 5
    half = harmonise_colours(rgb, alpha, plain((60, 120, 255)), 0.5)
    assert lab(rgb)[head][2] > lab(half)[head][2] > lab(cold)[head][2]


def test_a_blue_shirt_before_a_grey_wall_does_not_turn_the_face_yellow() -> None:
    rgb, alpha = portrait()
    out = harmonise_colours(rgb, alpha, plain((119, 119, 119)), 1.0)
    assert np.abs(out.astype(int) - rgb)[alpha == 1].max() <= 4
    bluish = harmonise_colours(rgb, alpha, plain((110, 119, 128)), 1.0)
    assert lab(bluish)[10, 15][2] <= lab(rgb)[10, 15][2] + 1


def test_contrast_follows_a_lively_background_and_not_a_wall() -> None:
    rgb = (ramp() // 4) + 96

    def spread(background: Any) -> float:
        return float(lab(harmonise_colours(rgb, ALL, background, 1.0))[..., 0].std())

    lively = np.where(np.indices((16, 16)).sum(axis=0)[..., None] % 2, 180, 40).astype(np.uint8).repeat(3, axis=2)
    before = float(lab(rgb)[..., 0].std())
    # Moving the mean changes the contrast a little as well, the same for both.
    assert 1.05 < spread(lively) / spread(plain(110)) < 1.12
    assert spread(plain(110)) == pytest.approx(before, rel=0.06)


def test_a_preview_and_an_export_look_alike() -> None:
    rgb, alpha = portrait(960, 720)
    grain = np.random.default_rng(1).normal(0, 15, rgb.shape)
    rgb = (rgb + grain).clip(0, 255).astype(np.uint8)
    lively = noise(150, 200, 3).repeat(4, axis=0).repeat(4, axis=1)

    def preview(picture: Any) -> Any:
        return cv2.resize(picture, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)

    full = preview(harmonise_colours(rgb, alpha, lively, 1.0)).astype(int)
    small = harmonise_colours(preview(rgb), preview(alpha), preview(lively), 1.0)
    off = np.abs(full - small)[preview(alpha) == 1]
    assert off.mean() < 0.5


@pytest.mark.parametrize("layout", RELAID)
def test_inputs_stay_and_the_memory_layout_changes_nothing(layout: str) -> None:
    arrays = noise(97, 61, 1), matte(97, 61, 3), noise(31, 47, 2)
    kept: list[NDArray[Any]] = [array.copy() for array in arrays]
    for array in map(np.asarray, arrays):
        array.flags.writeable = False
    expected = harmonise_colours(*arrays)
    relaid = [RELAID[layout](array) for array in arrays]
    np.testing.assert_array_equal(harmonise_colours(relaid[0], relaid[1], relaid[2]), expected)
    for array, before in zip(map(np.asarray, arrays), kept, strict=True):
        np.testing.assert_array_equal(array, before)


@pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan"), "1", True, None])
def test_a_strength_outside_0_to_1_is_named(strength: Any) -> None:
    with pytest.raises(OptionError, match=r"^strength"):
        harmonise_colours(plain(9), ALL, plain(9), strength)
