"""The subject's own colours in mixed pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arena.errors import OptionError
from arena.refine import foreground
from arena.refine.foreground import METHODS, Method, estimate_foreground

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

Scene = tuple["NDArray[np.uint8]", "NDArray[np.float32]", "NDArray[np.uint8]"]

each_method = pytest.mark.parametrize("method", METHODS)


def mixed(front: NDArray[np.uint8], alpha: NDArray[np.float32], back: NDArray[np.uint8]) -> NDArray[np.uint8]:
    share = alpha[..., None]
    return np.asarray(np.rint(share * front + (1 - share) * back), np.uint8)


def disc(height: int, width: int, soft: float) -> NDArray[np.float32]:
    """A matte whose edge is a ramp, 0 and 1 exactly away from it."""
    rows, columns = np.mgrid[:height, :width]
    away = np.hypot(rows - height / 2, columns - width / 2) - min(height, width) / 3.2
    return np.asarray(np.clip(0.5 - away / (2 * soft), 0, 1), np.float32)


def two_colours() -> Scene:
    """Photo, matte and true foreground of a red disc on a blue wall."""
    alpha = disc(300, 340, 4)
    front = np.full((*alpha.shape, 3), (200, 40, 30), np.uint8)
    return mixed(front, alpha, np.full_like(front, (20, 60, 180))), alpha, front


def textured() -> Scene:
    """The same of a subject and a wall that vary."""
    rng = np.random.default_rng(3)
    alpha = disc(300, 340, 4)

    def pattern(low: int, high: int) -> NDArray[np.uint8]:
        noise = rng.integers(low, high, (15, 17, 3)).astype(np.uint8)
        return np.asarray(cv2.resize(noise, (340, 300), interpolation=cv2.INTER_LINEAR), np.uint8)

    front = pattern(0, 140)
    return mixed(front, alpha, pattern(120, 256)), alpha, front


def visible_error(colours: NDArray[np.uint8], alpha: NDArray[np.float32], truth: NDArray[np.uint8]) -> float:
    """Mean error in levels as a compositor shows it, over the mixed pixels."""
    off = np.abs(colours.astype(np.float32) - truth) * alpha[..., None]
    return float(off[(alpha > 0.05) & (alpha < 0.95)].mean())


@each_method
def test_flat_colours_are_found_again(method: Method) -> None:
    photo, alpha, front = two_colours()
    assert visible_error(photo, alpha, front) > 15
    assert visible_error(estimate_foreground(photo, alpha, method), alpha, front) < 2


@each_method
def test_most_of_the_old_background_is_gone_from_varied_colours(method: Method) -> None:
    photo, alpha, front = textured()
    before = visible_error(photo, alpha, front)
    assert visible_error(estimate_foreground(photo, alpha, method), alpha, front) < 0.25 * before


def test_the_slow_method_is_the_better_one() -> None:
    photo, alpha, front = textured()
    fast, slow = (visible_error(estimate_foreground(photo, alpha, method), alpha, front) for method in METHODS)
    assert slow < fast


@each_method
def test_unmixed_pixels_stay_exactly_the_photo(method: Method) -> None:
    photo, alpha, _ = textured()
    found = estimate_foreground(photo, alpha, method)
    unmixed = (alpha == 0) | (alpha == 1)
    np.testing.assert_array_equal(found[unmixed], photo[unmixed])
    assert (found[~unmixed] != photo[~unmixed]).any()


@each_method
@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_matte_without_mixed_pixels_gives_a_copy(method: Method, share: float) -> None:
    photo, alpha, _ = textured()
    found = estimate_foreground(photo, np.full_like(alpha, share), method)
    np.testing.assert_array_equal(found, photo)
    assert not np.shares_memory(found, photo)


@each_method
def test_a_picture_of_one_colour_keeps_it(method: Method) -> None:
    photo = np.full((90, 70, 3), (12, 130, 250), np.uint8)
    alpha = np.random.default_rng(0).random((90, 70), dtype=np.float32)
    found = estimate_foreground(photo, alpha, method)
    assert np.abs(found.astype(int) - photo).max() <= 1


@each_method
def test_a_lone_speck_keeps_close_to_the_photo(method: Method) -> None:
    """No pixel of the subject is around to take a colour from, and none may be made up."""
    photo = np.full((400, 500, 3), 200, np.uint8)
    alpha = np.zeros((400, 500), np.float32)
    alpha[201, 333] = 0.5
    found = estimate_foreground(photo, alpha, method)
    assert np.abs(found.astype(int) - photo).max() <= 2


@each_method
@settings(max_examples=40, deadline=None)
@given(height=st.integers(1, 41), width=st.integers(1, 41), seed=st.integers(0, 99))
def test_any_size_works_and_inputs_stay_as_they_are(method: Method, height: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    photo = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    alpha = np.clip(rng.normal(0.5, 0.6, (height, width)), 0, 1).astype(np.float32)
    photo_before, alpha_before = photo.copy(), alpha.copy()
    found = estimate_foreground(photo, alpha, method)
    assert found.shape == photo.shape
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(photo, photo_before)
    np.testing.assert_array_equal(alpha, alpha_before)
    np.testing.assert_array_equal(found[alpha == 1], photo[alpha == 1])


@each_method
@pytest.mark.parametrize("shape", [(1, 700), (700, 1), (257, 131), (128, 129)])
def test_sizes_around_the_tiles_work(method: Method, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(5)
    photo = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    alpha = rng.random(shape, dtype=np.float32)
    assert estimate_foreground(photo, alpha, method).shape == photo.shape


@each_method
def test_the_memory_layout_does_not_matter(method: Method) -> None:
    photo, alpha, _ = textured()
    expected = estimate_foreground(photo, alpha, method)
    turned = np.asfortranarray(photo), np.asfortranarray(alpha)
    backwards = photo[::-1].copy()[::-1], alpha[:, ::-1].copy()[:, ::-1]
    for pair in (turned, backwards):
        assert not pair[0].flags.c_contiguous
        np.testing.assert_array_equal(estimate_foreground(*pair, method), expected)


@each_method
def test_one_thread_and_many_give_the_same(method: Method) -> None:
    photo, alpha, _ = textured()
    threads = cv2.getNumThreads()
    results = []
    try:
        for number in (1, 4):
            cv2.setNumThreads(number)
            results.append(estimate_foreground(photo, alpha, method))
    finally:
        cv2.setNumThreads(threads)
    np.testing.assert_array_equal(results[0], results[1])


@each_method
def test_tiles_leave_no_joints(method: Method, monkeypatch: pytest.MonkeyPatch) -> None:
    """On noise, where a pixel taken from the wrong side of a joint shows."""
    rng = np.random.default_rng(11)
    photo = rng.integers(0, 256, (200, 230, 3), dtype=np.uint8)
    alpha = rng.uniform(0.2, 0.8, photo.shape[:2]).astype(np.float32)
    whole = {}
    for tile in (37, 1000):
        monkeypatch.setattr(foreground, "TILE", tile)
        whole[tile] = estimate_foreground(photo, alpha, method).astype(int)
    # Positions between the cells of a reduced guess are rounded from each tile's own corner.
    assert np.abs(whole[37] - whole[1000]).max() <= 2


def test_tiles_hold_every_mixed_pixel_and_nothing_is_done_without_one() -> None:
    alpha = disc(500, 900, 3)
    alpha[490, 20] = 0.5
    tiles = foreground._mixed_tiles(alpha)
    left = (alpha > 0.01) & (alpha < 0.99)
    for tile in tiles:
        assert ((alpha[tile.area] > 0) & (alpha[tile.area] < 1)).any()
        left[tile.area] = False
    assert not left.any()
    assert len(tiles) < 32  # of the picture's 4 x 8


def test_tiles_are_trimmed_to_their_mixed_pixels_and_meet_none_twice() -> None:
    alpha = disc(500, 900, 3)
    alpha[490, 20] = 0.5
    tiles = foreground._mixed_tiles(alpha)
    seen = np.zeros(alpha.shape, np.uint8)
    for tile in tiles:
        mixed_here = (alpha[tile.area] > foreground.INVISIBLE) & (alpha[tile.area] < 1 - foreground.INVISIBLE)
        assert all(edge.any() for edge in (mixed_here[0], mixed_here[-1], mixed_here[:, 0], mixed_here[:, -1]))
        seen[tile.area] += 1
    assert seen.max() == 1
    assert foreground._Tile(490, 20, 491, 21) in tiles


def test_a_hard_edge_is_no_work() -> None:
    alpha = (disc(300, 300, 1) > 0.5).astype(np.float32)
    assert foreground._mixed_tiles(alpha) == []


@pytest.mark.parametrize(
    ("rgb", "alpha", "word"),
    [
        (np.zeros((4, 5, 3), np.float32), np.zeros((4, 5), np.float32), "uint8"),
        (np.zeros((4, 5), np.uint8), np.zeros((4, 5), np.float32), "H x W x 3"),
        (np.zeros((4, 5, 4), np.uint8), np.zeros((4, 5), np.float32), "H x W x 3"),
        (np.zeros((0, 5, 3), np.uint8), np.zeros((0, 5), np.float32), "H x W"),
        ([[1]], np.zeros((4, 5), np.float32), "list"),
        (np.zeros((4, 5, 3), np.uint8), np.zeros((4, 5)), "float64"),
        (np.zeros((4, 5, 3), np.uint8), None, "NoneType"),
        (np.zeros((4, 5, 3), np.uint8), np.zeros((5, 4), np.float32), "agree"),
        (np.zeros((4, 5, 3), np.uint8), np.full((4, 5), 1.5, np.float32), "1.5"),
        (np.zeros((4, 5, 3), np.uint8), np.full((4, 5), -0.1, np.float32), "-0.1"),
        (np.zeros((4, 5, 3), np.uint8), np.full((4, 5), np.nan, np.float32), "nan"),
    ],
)
def test_wrong_arrays_are_named(rgb: Any, alpha: Any, word: str) -> None:
    with pytest.raises(OptionError, match=word):
        estimate_foreground(rgb, alpha)


def test_an_unknown_method_is_named() -> None:
    unknown: Any = "magic"
    with pytest.raises(OptionError, match="magic"):
        estimate_foreground(np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2), np.float32), unknown)


@pytest.mark.shared
@each_method
def test_hair_loses_most_of_a_known_background(method: Method, shared: Path) -> None:
    folder = shared / "data" / "mattes"
    subject = np.asarray(cv2.imread(str(folder / "p_22fc0130.jpg")), np.uint8)
    matte = np.asarray(cv2.imread(str(folder / "p_22fc0130.alpha.png"), cv2.IMREAD_GRAYSCALE), np.float32)
    alpha = np.asarray(matte / np.float32(255), np.float32)
    back = np.full_like(subject, (30, 220, 60))
    photo = mixed(subject, alpha, back)
    found = estimate_foreground(photo, alpha, method)
    assert visible_error(found, alpha, subject) < 0.4 * visible_error(photo, alpha, subject)
