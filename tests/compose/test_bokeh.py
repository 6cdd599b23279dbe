"""What the blur of a lens promises: every point becomes the aperture, in light and not in levels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arena.compose import BOKEHS, blur_background, blur_plate, replace_background
from arena.compose import blur as blur_module
from arena.compose.blur import _kernel_variance, scene_light
from arena.compose.bokeh import Scene, aperture, aperture_radius, spread_light, to_light
from arena.compose.light import LEVEL, levels_of
from arena.errors import OptionError
from arena.finish import scaled_kernel
from tests.compose.scenes import matte, noise, portrait, quick

if TYPE_CHECKING:
    from numpy.typing import NDArray

LENSES = [bokeh for bokeh in BOKEHS if bokeh != "gaussian"]
lens = pytest.mark.parametrize("bokeh", LENSES)


def empty(height: int, width: int) -> NDArray[np.float32]:
    return np.zeros((height, width), np.float32)


def lamp(side: int, radius: int, level: int = 255) -> NDArray[np.uint8]:
    """One round light in the middle of a dark picture."""
    picture = np.zeros((side, side, 3), np.uint8)
    cv2.circle(picture, (side // 2, side // 2), radius, (level, level, level), -1)
    return picture


@lens
@pytest.mark.parametrize("radius", [0.7, 3.0, 12.4, 33.0])
def test_an_aperture_spreads_all_light_as_far_as_the_gaussian_does(bokeh: Any, radius: float) -> None:
    kernel = aperture(bokeh, radius)
    assert kernel.shape[0] == kernel.shape[1]
    assert kernel.shape[0] % 2 == 1
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(kernel, kernel[::-1, ::-1], atol=1e-7)
    if radius > 3:
        at = np.arange(len(kernel)) - len(kernel) // 2
        variance = float((kernel.sum(axis=0) * at**2).sum())
        assert aperture_radius(variance) == pytest.approx(radius, rel=0.02)
        assert (kernel > 0.5 * kernel.max()).sum() == pytest.approx(np.pi * radius**2, rel=0.02)


def test_a_hexagon_has_six_corners_one_of_them_at_the_top() -> None:
    full = (aperture("hexagon", 40.0) > 0).astype(np.uint8)
    outlines, _ = cv2.findContours(full, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    corners = cv2.approxPolyDP(outlines[0], 5, closed=True)[:, 0]
    assert len(corners) == 6
    assert abs(corners[corners[:, 1].argmin(), 0] - len(full) // 2) <= 2


@lens
@pytest.mark.parametrize("kernel", [9, 25, 61])
def test_a_lamp_becomes_an_even_disc_with_a_rim(bokeh: Any, kernel: int) -> None:
    radius = aperture_radius(3 * _kernel_variance(kernel))
    side = 2 * round(2 * radius) + 41
    plate = blur_plate(lamp(side, 2), empty(side, side), kernel, bokeh=bokeh)[..., 0].astype(int)
    rows, columns = np.mgrid[:side, :side] - side // 2
    away = np.hypot(rows, columns)
    soft = 3 + radius / 10
    inside = plate[away < 0.85 * radius - soft]
    assert plate[away > 1.1 * radius + soft].max() <= 1
    assert inside.min() > 0
    assert np.ptp(inside) <= max(3, 0.1 * inside.mean())


@lens
def test_a_lamp_shines_brighter_than_levels_can_say(bokeh: Any) -> None:
    picture, nobody = lamp(301, 4), empty(301, 301)
    soft, plate = (blur_plate(picture, nobody, 51, bokeh=shape) for shape in ("gaussian", bokeh))
    assert plate.max() > 3 * soft.max()
    # A lamp of half the light is no lamp, and gets none on top: its light is what its levels say.
    dim = lamp(301, 4, 180)
    light = to_light(blur_plate(dim, nobody, 51, bokeh=bokeh)).sum()
    assert light == pytest.approx(to_light(dim).sum(), rel=0.25)


@lens
@pytest.mark.parametrize("size", [3, 5, 9])
def test_a_lamp_has_its_light_whatever_the_strength(bokeh: Any, size: int) -> None:
    picture = np.full((700, 700, 3), 10, np.uint8)
    picture[353 : 353 + size, 347 : 347 + size] = 255
    dark = to_light(picture[:1, :1]).mean()
    added = []
    # Not with kernels so small that the disc is white, and the rest of its light is lost.
    for kernel in (35, 37, 75, 77, 151, 155, 255):
        # In the light of the plate, not of its levels: a large disc of a small lamp is less than a level.
        variance = 3 * _kernel_variance(kernel)
        style, nobody = blur_module._Style(1, "push-pull", bokeh), empty(700, 700)
        lens = blur_module._lens_of(picture, nobody)
        plate = blur_module._make_lens_plate(picture, nobody, variance, style, lens)
        added.append(float((_light_of(plate.cells) - dark).mean(axis=2).sum()) * plate.scale**2)
    assert max(added) < 1.25 * min(added)
    assert min(added) > 4 * 65535 * size**2


def _light_of(levels: NDArray[Any]) -> NDArray[np.float64]:
    share = levels.astype(np.float64) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4) * 65535


@lens
@pytest.mark.parametrize("kernel", [51, 101, 201])
def test_a_small_photo_with_the_light_of_the_large_one_is_blurred_as_that_is(bokeh: Any, kernel: int) -> None:
    large = np.full((1200, 1600, 3), 18, np.uint8)
    for number, x in enumerate(range(150, 1550, 150)):
        cv2.circle(large, (x, 500 + 7 * number), 2 + number, (255, 230, 180), -1, cv2.LINE_AA)
    small = np.asarray(cv2.resize(large, (400, 300), interpolation=cv2.INTER_AREA), np.uint8)
    plate = blur_plate(large, empty(1200, 1600), kernel, bokeh=bokeh)
    expected = np.asarray(cv2.resize(plate, (400, 300), interpolation=cv2.INTER_AREA), np.uint8).astype(int)
    near = scaled_kernel(kernel, 0.25)
    light = scene_light(large, empty(1200, 1600), 300, 400)
    off = np.abs(blur_background(small, empty(300, 400), near, bokeh=bokeh, light=light) - expected)
    without = np.abs(blur_background(small, empty(300, 400), near, bokeh=bokeh) - expected)
    assert off.mean() < 1.5
    assert off.mean() < without.mean()
    with pytest.raises(OptionError, match="light must be a float32 array"):
        blur_background(small, empty(300, 400), near, bokeh=bokeh, light=light[:-1])


@lens
@pytest.mark.parametrize("kernel", [5, 31, 101])
def test_a_white_wall_gets_no_brighter_at_its_rim(bokeh: Any, kernel: int) -> None:
    picture = np.zeros((400, 400, 3), np.uint8)
    picture[:, 200:] = 240
    assert blur_plate(picture, empty(400, 400), kernel, bokeh=bokeh).max() <= 241


@quick
@given(st.sampled_from(LENSES), st.integers(0, 255), st.sampled_from([3, 9, 51, 255]), st.integers(0, 2**31))
def test_a_plain_picture_stays_plain_to_its_border(bokeh: Any, level: int, kernel: int, seed: int) -> None:
    height, width = np.random.default_rng(seed).integers(1, 90, 2)
    picture = np.full((height, width, 3), level, np.uint8)
    off = blur_plate(picture, empty(height, width), kernel, bokeh=bokeh).astype(int) - level
    assert np.abs(off).max() <= 1


@quick
@given(st.sampled_from(LENSES), st.sampled_from([3, 17, 51, 101]), st.integers(0, 2**31))
def test_colours_of_the_subject_never_reach_the_plate(bokeh: Any, kernel: int, seed: int) -> None:
    rgb, alpha = noise(61, 131, seed), matte(61, 131, seed + 1)
    other = np.where(alpha[..., None] == 1, 255 - rgb, rgb)
    np.testing.assert_array_equal(
        blur_plate(rgb, alpha, kernel, bokeh=bokeh), blur_plate(other, alpha, kernel, bokeh=bokeh)
    )


@lens
@pytest.mark.parametrize("fill", ["push-pull", "telea"])
def test_subject_and_plate_lie_over_each_other_as_with_a_gaussian(bokeh: Any, fill: Any) -> None:
    rgb, alpha = portrait(140, 110)
    before = rgb.copy(), alpha.copy()
    out = blur_background(rgb, alpha, 31, fill=fill, bokeh=bokeh)
    plate = blur_plate(rgb, alpha, 31, fill=fill, bokeh=bokeh)
    np.testing.assert_array_equal(out[alpha == 1], rgb[alpha == 1])
    np.testing.assert_array_equal(out[alpha == 0], plate[alpha == 0])
    np.testing.assert_array_equal(rgb, before[0])
    np.testing.assert_array_equal(alpha, before[1])
    np.testing.assert_array_equal(blur_background(rgb, alpha, 1, bokeh=bokeh), rgb)


@lens
@pytest.mark.parametrize("kernel", [25, 61, 151])
def test_a_reduced_plate_looks_like_one_of_full_size(bokeh: Any, kernel: int, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = np.asarray(cv2.resize(noise(40, 60, 3), (600, 400), interpolation=cv2.INTER_CUBIC), np.uint8)
    nobody = empty(400, 600)
    reduced = blur_plate(scene, nobody, kernel, bokeh=bokeh).astype(int)
    monkeypatch.setattr(blur_module, "SCALES", ())
    off = np.abs(reduced - blur_plate(scene, nobody, kernel, bokeh=bokeh))
    assert off.mean() < 0.7
    assert off[20:-20, 20:-20].max() <= 6


@lens
@pytest.mark.parametrize("kernel", [3, 9, 15])
def test_strips_meet_without_a_seam(bokeh: Any, kernel: int, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = noise(401, 60, 4) // 4
    # Lamps on both sides of where strips meet, and at the border.
    for row in (0, 1, 126, 127, 128, 131, 255, 256, 400):
        scene[row, (7 * row) % 60] = 255
    around = np.zeros((26, 4), np.float32) + 0.05
    light = Scene(scene, around).rows(0, 401)
    monkeypatch.setattr(blur_module, "surroundings", lambda *_: around)
    plate = blur_plate(scene, empty(401, 60), kernel, bokeh=bokeh)
    whole = spread_light(light, bokeh, aperture_radius(3 * _kernel_variance(kernel)))
    np.testing.assert_allclose(plate, whole, atol=0.51)


@lens
def test_where_the_subject_is_everything_the_plate_is_grey(bokeh: Any) -> None:
    everything = np.ones((40, 50), np.float32)
    for kernel in (5, 101):
        assert np.ptp(blur_plate(noise(40, 50, 1), everything, kernel, bokeh=bokeh)) == 0
        assert blur_plate(noise(40, 50, 1), everything, kernel, bokeh=bokeh)[0, 0, 0] == 128


@lens
def test_a_new_background_is_blurred_alike(bokeh: Any) -> None:
    rgb, alpha = portrait()
    behind = noise(48, 36, 7)
    new = replace_background(rgb, alpha, behind, kernel=9, bokeh=bokeh)
    plate = blur_plate(behind, np.zeros_like(alpha), 9, bokeh=bokeh)
    np.testing.assert_array_equal(new[alpha == 0], plate[alpha == 0])


@pytest.mark.parametrize("kernel", [1, 31])
def test_a_shape_that_does_not_exist_is_named(kernel: int) -> None:
    rgb, alpha = portrait()
    wrong: Any = "star"
    said = "bokeh must be one of gaussian, disc, hexagon, but is 'star'"
    with pytest.raises(OptionError, match=said):
        blur_background(rgb, alpha, kernel, bokeh=wrong)
    with pytest.raises(OptionError, match=said):
        blur_plate(rgb, alpha, kernel, bokeh=wrong)
    with pytest.raises(OptionError, match=said):
        replace_background(rgb, alpha, rgb, kernel=kernel, bokeh=wrong)


def test_levels_of_light_are_those_that_it_was_made_of() -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)[..., None].repeat(3, axis=2)
    np.testing.assert_allclose(levels_of(to_light(ramp)), ramp, atol=2e-3)
    codes = np.arange(0, 65536, 97, dtype=np.float32)
    assert np.abs(levels_of(codes) - LEVEL[codes.astype(int)]).max() <= 0.51
    np.testing.assert_allclose(levels_of(np.array([-5.0, 1e6], np.float32)), [0, 255], atol=1e-4)
