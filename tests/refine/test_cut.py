from __future__ import annotations

import cv2
import numpy as np
import pytest

from arena.refine.cut import Mixtures, labels_of, minimum_cut, place_odds

RED, BLUE, GREEN = (200, 40, 40), (40, 60, 200), (60, 180, 60)


def halves(left: tuple[int, ...] = RED, right: tuple[int, ...] = BLUE, noise: int = 12) -> np.ndarray:
    """A picture of two colours with a little noise, 48 x 64."""
    picture = np.empty((48, 64, 3), np.int64)
    picture[:, :32], picture[:, 32:] = left, right
    picture += np.random.default_rng(0).integers(-noise, noise + 1, picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8)


def lab_of(rgb: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB))


def in_columns(first: int, last: int) -> np.ndarray:
    mask = np.zeros((48, 64), bool)
    mask[:, first:last] = True
    return mask


def test_labels_say_the_guess_and_what_is_certain() -> None:
    subject = np.array([[True, True, False, False]])
    labels = labels_of(subject, np.array([[True, False, False, False]]), np.array([[False, False, False, True]]))
    assert labels.tolist() == [[cv2.GC_FGD, cv2.GC_PR_FGD, cv2.GC_PR_BGD, cv2.GC_BGD]]


def test_colours_speak_for_the_side_that_has_them() -> None:
    rgb = halves()
    # A wrong guess of the border by eight columns: the mixtures put it right.
    labels = labels_of(in_columns(0, 40), in_columns(0, 20), in_columns(50, 64))
    before = labels.copy()
    mixtures = Mixtures.learned(rgb, labels)
    assert mixtures is not None
    odds = mixtures.odds(rgb)
    assert odds.shape == (48, 64)
    assert odds.dtype == np.float32
    assert (odds[:, :32] > 0).all()
    assert (odds[:, 32:] < 0).mean() > 0.9
    assert np.array_equal(labels, before)


def test_the_same_input_has_the_same_mixtures_whatever_ran_before() -> None:
    rgb, labels = halves(), labels_of(in_columns(0, 40), in_columns(0, 20), in_columns(50, 64))
    first = Mixtures.learned(rgb, labels)
    cv2.setRNGSeed(7)
    second = Mixtures.learned(rgb, labels)
    assert first is not None
    assert second is not None
    assert np.array_equal(first.odds(rgb), second.odds(rgb))


@pytest.mark.parametrize("columns", [(0, 0), (0, 64)])
def test_a_side_without_pixels_has_no_colours(columns: tuple[int, int]) -> None:
    nothing = np.zeros((48, 64), bool)
    assert Mixtures.learned(halves(), labels_of(in_columns(*columns), nothing, nothing)) is None


def test_the_same_colour_is_told_apart_by_its_place() -> None:
    """Red is the subject's on the left and the background's on the right, where green is the subject's."""
    rgb = np.concatenate([halves(RED, BLUE), halves(RED, GREEN)[:, ::-1]], axis=1)
    # Columns: red, blue, green, red.
    probability = np.zeros((48, 128), np.float32)
    probability[:, :32] = probability[:, 64:96] = 1
    odds = place_odds(lab_of(rgb), probability)
    assert odds.dtype == np.float32
    assert odds[:, 4:28].min() > 0
    assert odds[:, 68:92].min() > 0
    assert odds[:, 36:60].max() < 0
    assert odds[:, 100:124].max() < 0


def test_a_place_without_anything_known_says_nothing() -> None:
    odds = place_odds(lab_of(halves()), np.full((48, 64), 0.5, np.float32))
    assert np.abs(odds).max() < 1e-5


def test_the_cut_follows_contrast_where_odds_are_undecided() -> None:
    # Column 24 to 40 has no opinion; the colour changes at 32.
    odds = np.zeros((48, 64), np.float32)
    odds[:, :24], odds[:, 40:] = np.inf, -np.inf
    assert np.array_equal(minimum_cut(odds, lab_of(halves(noise=2))), in_columns(0, 32))


def test_certainty_in_the_labels_is_no_contrast() -> None:
    """As odds, what is certain would make the rims of what is not the cheapest places to cut."""
    nothing = np.zeros((48, 64), bool)
    labels = labels_of(in_columns(0, 32), in_columns(0, 24), in_columns(40, 64))
    weak = lab_of(halves((100, 100, 100), (115, 115, 115), noise=2))
    assert np.array_equal(minimum_cut(np.zeros((48, 64), np.float32), weak, labels), in_columns(0, 32))
    assert not minimum_cut(np.zeros((48, 64), np.float32), weak, labels_of(nothing, nothing, ~nothing)).any()


def test_what_is_certain_stays_against_all_odds() -> None:
    odds = np.full((48, 64), 5, np.float32)
    labels = labels_of(odds > 0, in_columns(0, 3), in_columns(32, 64))
    before = labels.copy()
    cut = minimum_cut(odds, lab_of(halves(noise=0)), labels)
    assert np.array_equal(cut, in_columns(0, 32))
    assert np.array_equal(labels, before)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1)])
def test_where_there_is_nothing_to_cut_odds_decide(shape: tuple[int, int]) -> None:
    odds = np.linspace(-1, 1.1, shape[0] * shape[1]).reshape(shape).astype(np.float32)
    assert np.array_equal(minimum_cut(odds, np.zeros((*shape, 3), np.uint8)), odds > 0)
