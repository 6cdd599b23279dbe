"""What blur_background promises for any picture, matte and memory layout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arena.compose import blur_background, blur_plate, composite
from arena.errors import OptionError
from arena.refine import feather

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

SIDES = st.sampled_from([1, 2, 3, 7, 16, 31, 61, 131])
KERNELS = st.sampled_from([3, 5, 15, 17, 35, 51, 101, 151, 255])


@st.composite
def scenes(draw: st.DrawFn) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """A noisy photo, and a matte with many pixels at exactly 0 and 1."""
    height, width = draw(SIDES), draw(SIDES)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rgb = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    alpha = np.clip(rng.normal(draw(st.floats(-0.5, 1.5)), 1, (height, width)), 0, 1).astype(np.float32)
    return rgb, alpha


def disc(height: int, width: int, radius: int, at: tuple[int, int] | None = None) -> NDArray[np.float32]:
    alpha = np.zeros((height, width), np.float32)
    cv2.circle(alpha, at or (width // 2, height // 2), radius, 1.0, -1)
    return alpha


quick = settings(max_examples=40, deadline=None)


@quick
@given(scenes(), KERNELS)
def test_the_subject_is_the_photo_and_the_background_is_the_plate(
    scene: tuple[NDArray[np.uint8], NDArray[np.float32]], kernel: int
) -> None:
    rgb, alpha = scene
    out = blur_background(rgb, alpha, kernel)
    assert out.dtype == np.uint8
    assert out.shape == rgb.shape
    np.testing.assert_array_equal(out[alpha == 1], rgb[alpha == 1])
    np.testing.assert_array_equal(out[alpha == 0], blur_plate(rgb, alpha, kernel)[alpha == 0])


@quick
@given(scenes(), KERNELS)
def test_every_pixel_lies_between_photo_and_plate(
    scene: tuple[NDArray[np.uint8], NDArray[np.float32]], kernel: int
) -> None:
    rgb, alpha = scene
    plate = blur_plate(rgb, alpha, kernel)
    ideal = plate + alpha[..., None] * (rgb.astype(np.float32) - plate)
    assert np.abs(blur_background(rgb, alpha, kernel) - ideal).max() <= 0.76


@quick
@given(scenes(), KERNELS, st.integers(1, 2**31))
def test_a_foreground_of_its_own_is_laid_over_the_plate_of_the_photo(
    scene: tuple[NDArray[np.uint8], NDArray[np.float32]], kernel: int, seed: int
) -> None:
    rgb, alpha = scene
    own = np.random.default_rng(seed).integers(0, 256, rgb.shape, dtype=np.uint8)
    out = blur_background(rgb, alpha, kernel, foreground=own)
    np.testing.assert_array_equal(out, composite(own, blur_plate(rgb, alpha, kernel), alpha))
    np.testing.assert_array_equal(blur_background(rgb, alpha, kernel, foreground=np.asfortranarray(own)), out)
    np.testing.assert_array_equal(blur_background(rgb, alpha, 1, foreground=own), rgb)


@quick
@given(scenes(), KERNELS, st.integers(1, 2**31))
def test_colours_of_the_subject_never_reach_the_plate(
    scene: tuple[NDArray[np.uint8], NDArray[np.float32]], kernel: int, seed: int
) -> None:
    rgb, alpha = scene
    other = rgb.copy()
    other[alpha == 1] = np.random.default_rng(seed).integers(0, 256, (int((alpha == 1).sum()), 3))
    np.testing.assert_array_equal(blur_plate(rgb, alpha, kernel), blur_plate(other, alpha, kernel))


@quick
@given(scenes(), KERNELS, st.tuples(*[st.integers(0, 255)] * 3))
def test_a_plain_picture_stays_plain(
    scene: tuple[NDArray[np.uint8], NDArray[np.float32]], kernel: int, colour: tuple[int, int, int]
) -> None:
    alpha = scene[1]
    plain = np.full((*alpha.shape, 3), colour, np.uint8)
    assert np.abs(blur_background(plain, alpha, kernel).astype(int) - colour).max() <= 1


@quick
@given(scenes(), KERNELS)
def test_inputs_stay_as_they_were_and_a_second_call_gives_the_same(
    scene: tuple[NDArray[np.uint8], NDArray[np.float32]], kernel: int
) -> None:
    rgb, alpha = scene
    kept = rgb.copy(), alpha.copy()
    rgb.flags.writeable = alpha.flags.writeable = False
    first = blur_background(rgb, alpha, kernel)
    np.testing.assert_array_equal(first, blur_background(rgb, alpha, kernel))
    np.testing.assert_array_equal(rgb, kept[0])
    np.testing.assert_array_equal(alpha, kept[1])


@pytest.mark.parametrize("fill", ["push-pull", "telea"])
@pytest.mark.parametrize(
    "relaid",
    [
        np.asfortranarray,
        lambda array: np.ascontiguousarray(array[::-1, ::-1])[::-1, ::-1],
        lambda array: np.repeat(array, 2, axis=1)[:, ::2],
        lambda array: np.ascontiguousarray(array.swapaxes(0, 1)).swapaxes(0, 1),
    ],
    ids=["fortran", "reversed", "strided", "transposed"],
)
def test_the_memory_layout_changes_nothing(relaid: Callable[[NDArray[Any]], NDArray[Any]], fill: Any) -> None:
    rgb = np.random.default_rng(3).integers(0, 256, (97, 61, 3), dtype=np.uint8)
    alpha = feather(disc(97, 61, 20))
    for kernel in (5, 21, 101):
        expected = blur_background(rgb, alpha, kernel, fill=fill)
        got = blur_background(relaid(rgb), relaid(alpha), kernel, fill=fill)
        np.testing.assert_array_equal(got, expected)


def test_channels_in_reversed_order_are_read_as_such() -> None:
    bgr = np.random.default_rng(3).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    alpha = feather(disc(40, 40, 10))
    flipped = blur_background(bgr[..., ::-1], alpha, 35)
    np.testing.assert_array_equal(flipped, blur_background(bgr, alpha, 35)[..., ::-1])


@pytest.mark.parametrize("fill", ["push-pull", "telea"])
def test_kernel_one_gives_a_copy_of_the_photo(fill: Any) -> None:
    rgb = np.random.default_rng(3).integers(0, 256, (31, 17, 3), dtype=np.uint8)
    out = blur_background(rgb, np.zeros((31, 17), np.float32), 1, fill=fill)
    np.testing.assert_array_equal(out, rgb)
    assert not np.shares_memory(out, rgb)


@pytest.mark.parametrize("kernel", [*range(3, 256, 12), 255])
def test_without_a_subject_the_plate_looks_like_the_textbook_blur(kernel: int) -> None:
    """The two reference fills leave an empty scene alone, so only the blur itself differs."""
    rng = np.random.default_rng(5)
    # Blocks of 12 px with hard edges: detail at the scales that the reduction could get wrong.
    rgb = np.kron(rng.integers(0, 256, (50, 60, 3)), np.ones((12, 12, 1))).astype(np.uint8)
    alpha = np.zeros(rgb.shape[:2], np.float32)
    ours = blur_plate(rgb, alpha, kernel).astype(int)
    off = np.abs(ours - blur_plate(rgb, alpha, kernel, fill="telea"))
    inner = off[32:-32, 32:-32]
    assert inner.max() <= (0 if kernel < 17 else 4)
    assert off.mean() <= 0.8


def test_a_smooth_gradient_stays_smooth() -> None:
    """Neither cells of the reduced plate nor joints of the strips show: no step of more than a level, no way back."""
    ramp = np.linspace(0, 255, 900)
    rgb = np.broadcast_to(ramp[:, None, None], (900, 400, 3)).astype(np.uint8)
    for kernel in (5, 21, 51, 101, 255):
        steps = np.diff(blur_plate(rgb, disc(900, 400, 60), kernel).astype(int), axis=0)
        assert steps.max() <= 1
        assert steps[: 900 // 4].min() >= 0


def test_a_vivid_subject_leaves_no_glow_around_itself() -> None:
    rgb = np.full((400, 500, 3), (60, 110, 160), np.uint8)
    alpha = disc(400, 500, 90)
    rgb[alpha == 1] = (255, 0, 0)
    out = blur_background(rgb, alpha, 101)
    np.testing.assert_array_equal(out, rgb)


@pytest.mark.parametrize("kernel", [5, 21, 101])
def test_a_matte_that_is_a_little_too_small_leaves_no_glow_either(kernel: int) -> None:
    rgb = np.full((1000, 800, 3), (60, 110, 160), np.uint8)
    rgb[disc(1000, 800, 201) == 1] = (255, 0, 0)
    plate = blur_plate(rgb, disc(1000, 800, 200), kernel)
    assert np.abs(plate.astype(int) - (60, 110, 160)).max() <= 2


def test_the_two_sides_of_the_subject_keep_their_own_colours() -> None:
    rgb = np.zeros((300, 400, 3), np.uint8)
    rgb[:, :200] = 40
    rgb[:, 200:] = 200
    plate = blur_plate(rgb, disc(300, 400, 80), 51)
    assert plate[150, 20, 0] == 40
    assert plate[150, 380, 0] == 200
    assert plate[150, 125, 0] < 100 < plate[150, 275, 0]


def test_a_matte_of_a_network_that_is_never_quite_zero_or_one_gives_nearly_the_same() -> None:
    rgb = np.random.default_rng(3).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    alpha = feather(disc(200, 300, 50))
    nearly = np.clip(alpha, 5e-4, 1 - 5e-4).astype(np.float32)
    off = np.abs(blur_background(rgb, alpha).astype(int) - blur_background(rgb, nearly))
    assert off.max() <= 1


def test_one_thread_and_many_give_the_same() -> None:
    rgb, own = np.random.default_rng(3).integers(0, 256, (2, 700, 500, 3), dtype=np.uint8)
    alpha = feather(disc(700, 500, 150))
    threads = cv2.getNumThreads()
    results = []
    try:
        for number in (1, 4):
            cv2.setNumThreads(number)
            results.append([blur_background(rgb, alpha, kernel, foreground=own) for kernel in (5, 101)])
    finally:
        cv2.setNumThreads(threads)
    np.testing.assert_array_equal(results[0], results[1])


def test_where_all_is_mixed_the_mixed_pixels_serve() -> None:
    rgb = np.full((50, 50, 3), 77, np.uint8)
    np.testing.assert_array_equal(blur_plate(rgb, np.full((50, 50), 0.5, np.float32), 51), rgb)


def test_where_the_subject_is_everything_the_plate_is_grey() -> None:
    rgb = np.full((50, 50, 3), 7, np.uint8)
    assert (blur_plate(rgb, np.ones((50, 50), np.float32), 51) == 128).all()


RGB = np.zeros((4, 5, 3), np.uint8)
ALPHA = np.zeros((4, 5), np.float32)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"rgb": RGB.astype(np.float32)}, "rgb"),
        ({"rgb": RGB[..., 0]}, "rgb"),
        ({"rgb": RGB[..., :2]}, "rgb"),
        ({"rgb": RGB[:0]}, "rgb"),
        ({"rgb": "photo.jpg"}, "rgb"),
        ({"alpha": ALPHA.astype(np.float64)}, "alpha"),
        ({"alpha": ALPHA[..., None]}, "alpha"),
        ({"alpha": ALPHA.T}, "alpha"),
        ({"alpha": ALPHA + np.float32(1.5)}, "alpha"),
        ({"alpha": ALPHA - np.float32(0.1)}, "alpha"),
        ({"alpha": ALPHA * np.float32(np.nan)}, "alpha"),
        ({"kernel": 0}, "kernel"),
        ({"kernel": 2}, "kernel"),
        ({"kernel": 257}, "kernel"),
        ({"kernel": -3}, "kernel"),
        ({"kernel": 5.0}, "kernel"),
        ({"kernel": True}, "kernel"),
        ({"passes": 0}, "passes"),
        ({"passes": 1.5}, "passes"),
        ({"fill": "average"}, "fill"),
        ({"fill": "average", "kernel": 1}, "fill"),
    ],
)
@pytest.mark.parametrize("function", [blur_background, blur_plate])
def test_a_wrong_argument_is_named(
    function: Callable[..., NDArray[np.uint8]], arguments: dict[str, Any], named: str
) -> None:
    with pytest.raises(OptionError, match=f"^{named}"):
        function(**{"rgb": RGB, "alpha": ALPHA} | arguments)


@pytest.mark.parametrize("foreground", [RGB[:3], RGB.astype(np.float32), RGB[..., 0], "portrait"])
@pytest.mark.parametrize("kernel", [1, 5])
def test_a_wrong_foreground_is_named(foreground: Any, kernel: int) -> None:
    with pytest.raises(OptionError, match=r"^foreground"):
        blur_background(RGB, ALPHA, kernel, foreground=foreground)


@pytest.mark.shared
def test_nearer_to_the_truth_than_the_textbook(shared: Path) -> None:
    """A subject laid over a known plate; the whole table is in benchmarks/compositor.py."""
    skimage_data = pytest.importorskip("skimage.data")
    plate = cv2.resize(skimage_data.coffee(), (540, 540), interpolation=cv2.INTER_AREA)
    photo = cv2.imread(str(shared / "data/mattes/p_07141906.jpg"))
    matte = cv2.imread(str(shared / "data/mattes/p_07141906.alpha.png"), cv2.IMREAD_GRAYSCALE)
    assert photo is not None
    assert matte is not None
    subject = cv2.resize(photo, (540, 540), interpolation=cv2.INTER_AREA).astype(np.float32)
    alpha = np.asarray(cv2.resize(matte, (540, 540), interpolation=cv2.INTER_AREA) / 255, np.float32)
    share = alpha[..., None]
    mixed = np.rint(share * subject + (1 - share) * plate).astype(np.uint8)
    ideal = share * subject + (1 - share) * blur_plate(plate, np.zeros_like(alpha), 31, fill="telea")
    near = cv2.dilate((alpha > 0.5).astype(np.uint8), np.ones((31, 31), np.uint8)) > 0
    where = near & (alpha < 0.98)
    errors = {
        fill: float(np.abs(blur_background(mixed, alpha, 31, fill=fill) - ideal)[where].mean())
        for fill in ("push-pull", "telea")
    }
    assert errors["push-pull"] < 0.95 * errors["telea"]
