from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from arena.models import lite_regions
from arena.models.lite_regions import UNSURE, settle_regions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float32]
    Pixels = NDArray[np.uint8]

COAT, WALL = (150, 40, 60), (120, 140, 110)


def person(height: int = 192, width: int = 192) -> NDArray[np.bool_]:
    """A head on shoulders."""
    mask = np.zeros((height, width), np.uint8)
    cv2.circle(mask, (width // 2, height // 3), height // 7, 1, -1)
    cv2.ellipse(mask, (width // 2, height), (width // 3, height // 2), 0, 180, 360, 1, -1)
    return mask > 0


def photographed(mask: NDArray[np.bool_], wall: tuple[int, ...] = WALL, noise: int = 10) -> Pixels:
    rgb = np.where(mask[..., None], COAT, wall)
    return (rgb + np.random.default_rng(0).integers(-noise, noise + 1, (*mask.shape, 3))).astype(np.uint8)


def seen(mask: NDArray[np.bool_], blur: float = 1.0) -> FloatArray:
    """What networks say that know the person: an outline a few pixels wide."""
    return np.asarray(cv2.GaussianBlur(mask.astype(np.float32), (0, 0), blur), dtype=np.float32)


SLEEVE = np.s_[140:170, 50:75]
"""Within the person."""
WINDOW = np.s_[60:90, 20:50]
"""Beside it."""


@pytest.mark.parametrize("doubt", [0.3, 0.6])
def test_a_region_in_doubt_goes_where_its_colours_are(doubt: float) -> None:
    mask = person()
    assert mask[SLEEVE].all()
    assert not mask[WINDOW].any()
    probability = seen(mask)
    probability[SLEEVE] = probability[WINDOW] = doubt
    before = probability.copy()
    settled = settle_regions(probability, photographed(mask))
    assert settled.dtype == np.float32
    # What makes it alpha is steeper: 0.82 is 1.
    assert settled[SLEEVE].min() > 0.85
    assert settled[WINDOW].max() < 0.15
    assert np.array_equal(probability, before)


def test_a_region_takes_the_outline_that_the_photo_has() -> None:
    """The networks doubt the whole right shoulder and the wall beside it, which is hardly another colour."""
    mask = person()
    shoulder = np.s_[120:180, 110:190]
    probability = seen(mask)
    probability[shoulder] = 0.5
    wall = COAT[0] - 12, COAT[1] + 12, COAT[2] + 12
    settled = settle_regions(probability, photographed(mask, wall, noise=14)) > 0.5
    # Pixel by pixel, without a cut, it is less.
    assert (settled[shoulder] == mask[shoulder]).mean() > 0.985


def test_an_outline_is_left_as_it_is() -> None:
    mask = person()
    probability = seen(mask, 1.0)
    assert settle_regions(probability, photographed(mask)) is probability
    # Hair beside a region that is settled stays soft too.
    probability[SLEEVE] = 0.4
    settled = settle_regions(probability, photographed(mask))
    assert np.array_equal(settled[:100], probability[:100])
    assert ((settled[:100] > 0.2) & (settled[:100] < 0.8)).any()


def test_what_the_networks_are_sure_of_is_not_overruled() -> None:
    """A bag of the wall's colours in front of the coat, and the networks just sure enough of it."""
    mask = person()
    rgb = photographed(mask)
    bag = np.s_[120:150, 80:120]
    rgb[bag] = photographed(np.zeros_like(mask))[bag]
    probability = seen(mask)
    probability[SLEEVE] = 0.4
    probability[bag] = 1.01 - UNSURE
    settled = settle_regions(probability, rgb)
    assert settled[bag].min() > 0.9
    assert settled[SLEEVE].mean() > 0.9


def test_of_one_colour_on_both_sides_the_nearer_one_counts() -> None:
    """A sleeve in the colour of a door on the far side of the picture."""
    mask = person()
    rgb = photographed(mask)
    door = photographed(np.zeros_like(mask), (60, 60, 160))
    rgb[:, 165:] = door[:, 165:]
    rgb[130:, 60:90] = door[130:, 60:90]
    probability = seen(mask)
    probability[:, 165:] = 0
    probability[130:, 60:90] = 1
    probability[145:175, 65:85] = 0.45
    settled = settle_regions(probability, rgb)
    assert settled[145:175, 65:85].mean() > 0.9


def test_where_colours_say_nothing_the_networks_decide() -> None:
    mask = person()
    grey = np.full((*mask.shape, 3), 128, np.uint8)
    for lean, side in ((0.8, 1), (0.2, 0)):
        probability = seen(mask)
        probability[SLEEVE] = lean
        assert abs(settle_regions(probability, grey)[SLEEVE].mean() - side) < 0.15


def test_a_region_that_the_frame_cuts_off_is_one() -> None:
    mask = person()
    probability = seen(mask)
    probability[-4:, 60:130] = 0.4
    assert settle_regions(probability, photographed(mask))[-3:, 65:125].mean() > 0.9


def test_without_colours_of_both_sides_nothing_is_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    rgb = photographed(person())
    nobody = np.full((192, 192), 0.3, np.float32)
    assert settle_regions(nobody, rgb) is nobody
    monkeypatch.setattr(lite_regions, "minimum_cut", None)
    everybody = np.full((192, 192), 0.7, np.float32)
    assert settle_regions(everybody, rgb) is everybody


@pytest.mark.parametrize("size", [(1, 1), (1, 400), (3, 7), (900, 5)])
def test_tiny_and_thin_pictures_come_through(size: tuple[int, int]) -> None:
    probability = np.random.default_rng(0).random(size, dtype=np.float32)
    settled = settle_regions(probability, np.full((*size, 3), 90, np.uint8))
    assert settled.shape == size
    assert settled.min() >= 0
    assert settled.max() <= 1


def test_the_photo_may_have_another_size_than_the_probability() -> None:
    mask = person()
    probability = seen(mask)
    probability[SLEEVE] = probability[WINDOW] = 0.4
    settled = settle_regions(probability, photographed(person(384, 384), noise=5))
    assert settled.shape == mask.shape
    assert settled[SLEEVE].mean() > 0.9
    assert settled[WINDOW].mean() < 0.1


def test_the_size_of_the_picture_hardly_matters() -> None:
    mask = person()
    probability = seen(mask)
    probability[SLEEVE] = probability[WINDOW] = 0.4
    rgb = photographed(mask)
    large = [
        np.asarray(cv2.resize(part, None, fx=3, fy=3, interpolation=cv2.INTER_LINEAR)) for part in (probability, rgb)
    ]
    settled = settle_regions(large[0].astype(np.float32), large[1].astype(np.uint8))
    back = np.asarray(cv2.resize(settled, (192, 192), interpolation=cv2.INTER_AREA))
    small = settle_regions(probability, rgb)
    for region in (SLEEVE, WINDOW):
        assert abs(back[region].mean() - small[region].mean()) < 0.02
