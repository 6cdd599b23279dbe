from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arena.models import lite_input
from arena.models.lite_input import BLURRED, FLAT, FULL, SHARP, acutance, clarify, measure_tone, sharpen
from arena.models.pool import load_model
from arena.photo import Photo
from arena.samples import get_sample
from tests.fakes import disc

Pixels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


def sample(key: str = "astronaut") -> Pixels:
    return Photo.open(get_sample(key).path).rgb


def blurred(rgb: Pixels, part: float) -> Pixels:
    """Out of focus by a part of the longer side."""
    return np.asarray(cv2.GaussianBlur(rgb, (0, 0), max(rgb.shape[:2]) * part), np.uint8)


def between(rgb: Pixels, black: int, white: int) -> Pixels:
    """The same picture with other extremes, as through fog or in the dark."""
    return (black + rgb.astype(np.float32) * ((white - black) / 255)).astype(np.uint8)


@pytest.mark.parametrize("key", ["astronaut", "grace-hopper"])
def test_a_clear_photo_is_seen_as_it_is(key: str) -> None:
    rgb = sample(key)
    assert clarify(rgb) is rgb


def test_fog_and_darkness_are_stretched_to_full_contrast_and_hues_stay() -> None:
    rgb = sample()
    for black, white in ((120, 200), (0, 60), (200, 255)):
        clear = clarify(between(rgb, black, white))
        assert clear.shape == rgb.shape
        # What lies in the tails is clipped.
        assert np.abs(clear.astype(float) - rgb).mean() < 8
        assert clear.min() == 0
        assert clear.max() == 255


def test_gain_is_what_the_samples_between_the_tails_are_multiplied_by() -> None:
    tone = measure_tone(between(sample(), 100, 150))
    stretched = tone.apply(np.array([[110, 130]], np.uint8)).astype(float)
    assert stretched[0, 1] - stretched[0, 0] == pytest.approx(20 * tone.gain, abs=1)
    assert tone.gain == pytest.approx(5.1, abs=0.5)
    assert measure_tone(sample()).gain == 1


@given(low=st.integers(0, 255), high=st.integers(0, 255))
def test_the_stretch_is_monotonic_and_noise_stays_noise(low: int, high: int) -> None:
    low, high = min(low, high), max(low, high)
    rgb = np.linspace(low, high, 300).round().astype(np.uint8).reshape(10, 10, 3)
    tone = measure_tone(rgb)
    table = tone.apply(np.arange(256, dtype=np.uint8)[None])[0].astype(int)
    assert (np.diff(table) >= 0).all()
    assert 1 <= tone.gain <= 255 / lite_input.LEAST_RANGE
    if high - low >= 1.05 * FULL + 2:
        assert tone.strength == 0
    if high - low <= FLAT:
        assert tone.strength == 1


def test_acutance_falls_with_every_blur_and_does_not_know_contrast() -> None:
    rgb = cv2.resize(sample(), (400, 400), interpolation=cv2.INTER_AREA)
    levels = [acutance(np.asarray(rgb, np.uint8))] + [
        acutance(blurred(np.asarray(rgb, np.uint8), 1 / n)) for n in (800, 400, 200, 100)
    ]
    assert levels == sorted(levels, reverse=True)
    assert levels[0] > SHARP
    assert levels[3] < BLURRED
    assert acutance(between(np.asarray(rgb, np.uint8), 100, 180)) == pytest.approx(levels[0], rel=0.05)
    assert acutance(np.full((40, 60, 3), 90, np.uint8)) == pytest.approx(0, abs=1e-3)


def test_a_blurred_edge_becomes_a_hard_one_where_it_was() -> None:
    inside = disc(200, 200) > 0
    rgb = np.where(inside[..., None], np.uint8(200), np.uint8(60)).repeat(3, axis=2)
    soft = np.asarray(cv2.GaussianBlur(rgb, (0, 0), 3), np.uint8)
    hard = sharpen(soft)
    between_both = [((picture > 90) & (picture < 170)).mean() for picture in (soft, hard)]
    assert between_both[1] < 0.5 * between_both[0]
    # Not one pixel of area is won or lost in a hundred.
    assert (hard[..., 0] > 130).sum() == pytest.approx(inside.sum(), rel=0.01)


def test_sharpening_fades_in_with_the_blur() -> None:
    """No two photos that are nearly the same are seen as two."""
    rgb = sample()
    last = clarify(blurred(rgb, 1 / 1000))
    strongest = 0.0
    for part in np.linspace(1 / 1000, 1 / 150, 60):
        picture = blurred(rgb, float(part))
        clear = clarify(picture)
        at = np.asarray(cv2.resize(clear, (352, 352), interpolation=cv2.INTER_AREA), float)
        before = np.asarray(cv2.resize(last, (352, 352), interpolation=cv2.INTER_AREA), float)
        strongest = max(strongest, float(np.abs(at - before).mean()))
        last = clear
    assert strongest < 4


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (2, 2), (7, 5)])
def test_tiny_and_thin_photos_are_photos_too(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 30, (*size, 3), dtype=np.uint8)
    clear = clarify(noise)
    assert clear.dtype == np.uint8
    assert clear.ndim == 3


def test_whoever_is_blurred_or_small_or_in_fog_is_found() -> None:
    """Each of them was nobody, or lost an arm, before the networks were shown a clear photo."""
    rgb = sample("grace-hopper")
    model = load_model("lite", "cpu")
    person = model.segment(Photo.from_array(rgb)).alpha > 0.5
    height, width = person.shape
    grain = np.random.default_rng(0).normal(0, 4, rgb.shape)
    small = cv2.resize(rgb, (48, 48 * height // width), interpolation=cv2.INTER_AREA)
    views = {
        "blurred": (blurred(rgb, 1 / 70), 0.85),
        "blurred, with grain": (np.clip(blurred(rgb, 1 / 70) + grain, 0, 255).astype(np.uint8), 0.85),
        "48 pixels wide": (np.asarray(small, np.uint8), 0.88),
        "fog": (between(rgb, 150, 230), 0.98),
        "dark": (between(rgb, 0, 30), 0.98),
    }
    for name, (view, least) in views.items():
        matte = model.segment(Photo.from_array(view))
        assert matte.found, name
        found = np.asarray(cv2.resize(matte.alpha, (width, height))) > 0.5
        assert (found & person).sum() / (found | person).sum() > least, name
