"""Pictures by the rules of the card, and their files."""

from __future__ import annotations

import dataclasses
import io
import json
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from PIL import Image

from arena.comparison import Result
from arena.errors import PhotoError
from arena.matte import Matte, MatteKind
from arena.photo import Photo
from arena.render import (
    Summary,
    compositing_alpha,
    render_blur,
    render_cutout,
    render_overlay,
    render_png,
    result_files,
)
from tests.fakes import disc, make_card

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(autouse=True)
def _cards(use_cards: Callable[..., None]) -> None:
    use_cards(
        make_card("soft", "DiscSegmenter"),
        make_card("hard", "DiscSegmenter", mask_kind=MatteKind.BINARY, needs_feather=True),
    )


@pytest.fixture
def matte(photo: Photo) -> Matte:
    return Matte(disc(photo.height, photo.width), MatteKind.ALPHA, "soft")


def test_only_hard_outlines_are_feathered(matte: Matte) -> None:
    assert compositing_alpha(matte) is matte.alpha
    hard = dataclasses.replace(matte, alpha=np.round(matte.alpha), model="hard")
    soft = compositing_alpha(hard)
    assert np.unique(soft).size > 50
    assert soft.min() >= 0
    assert soft.max() <= 1


def test_the_subject_stays_and_the_background_is_blurred(photo: Photo, matte: Matte) -> None:
    blurred = render_blur(photo, matte, 31)
    inside = matte.alpha == 1
    np.testing.assert_array_equal(blurred[inside], photo.rgb[inside])
    outside = matte.alpha == 0
    within = outside[:, 1:] & outside[:, :-1]
    assert np.abs(np.diff(blurred.astype(int), axis=1))[within].max() < 20
    assert np.abs(np.diff(photo.rgb.astype(int), axis=1)).max() > 100


def test_no_fringe_of_the_old_background_is_carried_along() -> None:
    soft = np.clip(cv2.GaussianBlur(np.round(disc(200, 240)), (0, 0), 2), 0, 1).astype(np.float32)
    red, green = np.array([200, 20, 20]), np.array([20, 200, 20])
    mixed = soft[..., None] * red + (1 - soft[..., None]) * green
    photo = Photo.from_array(np.rint(mixed).astype(np.uint8))
    edge = (soft > 0.3) & (soft < 0.9)
    cut = render_cutout(photo, Matte(soft, MatteKind.ALPHA, "soft"))[..., :3][edge].astype(int)
    assert np.abs(photo.rgb[edge].astype(int) - red).mean() > 40
    assert np.abs(cut - red).mean() < 12
    # A hard outline says nothing of mixed colours.
    hard = render_cutout(photo, Matte(np.round(soft), MatteKind.BINARY, "hard"))
    np.testing.assert_array_equal(hard[..., :3], photo.rgb)


def test_kernel_one_gives_back_the_photo(photo: Photo, matte: Matte) -> None:
    np.testing.assert_array_equal(render_blur(photo, matte, 1), photo.rgb)


def test_a_cutout_keeps_the_transparency_of_the_file(matte: Matte) -> None:
    pixels = np.full((96, 128, 4), 200, np.uint8)
    pixels[..., 3] = 128
    picture = render_cutout(Photo.from_array(pixels), matte)
    assert picture[48, 64].tolist() == [200, 200, 200, 128]
    assert picture[0, 0, 3] == 0


def test_an_overlay_is_green_where_the_mask_is(photo: Photo, matte: Matte) -> None:
    overlay = render_overlay(photo, matte).astype(int)
    centre = overlay[40:56, 56:72] - photo.rgb[40:56, 56:72]
    assert centre[..., 1].mean() > centre[..., 0].mean() + 50
    np.testing.assert_array_equal(overlay[:4], photo.rgb[:4])


def test_the_alpha_file_holds_sixteen_bits(photo: Photo, matte: Matte) -> None:
    with Image.open(io.BytesIO(render_png("alpha", photo, matte))) as image:
        assert image.mode == "I;16"
        np.testing.assert_allclose(np.asarray(image) / 65535, matte.alpha, atol=1e-5)


def test_files_lie_by_photo_picture_and_model(photo: Photo, matte: Matte) -> None:
    files = dict(result_files(Result("me", "soft", photo=photo, matte=matte), 31))
    assert sorted(files) == ["me/alpha/soft.png", "me/blurred/soft.png", "me/cutout/soft.png", "me/masks/soft.png"]
    assert all(Photo.open(contents).size == photo.size for contents in files.values())


def test_nobody_and_nothing_have_no_files(photo: Photo, matte: Matte) -> None:
    empty = dataclasses.replace(matte, alpha=np.zeros_like(matte.alpha))
    assert not dict(result_files(Result("me", "soft", photo=photo, matte=empty)))
    assert not dict(result_files(Result("me", "soft", error=PhotoError("broken"))))


def test_a_summary_is_json_by_photo_and_model(photo: Photo, matte: Matte) -> None:
    summary = Summary(31)
    summary.add(Result("me", "soft", photo=photo, matte=matte, device="cpu"))
    summary.add(Result("me", "hard", error=PhotoError("Broken.", "Mend it.")))
    read = json.loads(summary.to_json())
    assert read["kernel"] == 31
    assert read["photos"]["me"]["soft"]["found"] is True
    assert read["photos"]["me"]["hard"]["error"] == "Broken. Mend it."
