"""Screen-sized pictures and the archive of full-sized ones."""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING

import numpy as np
import pytest

from arena.comparison import Result
from arena.errors import PhotoError
from arena.matte import Matte, MatteKind
from arena.photo import Photo
from arena.render import compositing_alpha, render_blur
from arena.ui.archive import results_zip
from arena.ui.previews import Preview, preview_kernel
from tests.fakes import disc, make_card

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

pytestmark = pytest.mark.usefixtures("fake_cards")


def large_photo() -> Photo:
    coarse = np.random.default_rng(3).integers(0, 256, (15, 20, 3), dtype=np.uint8)
    return Photo.from_array(np.kron(coarse, np.ones((40, 40, 1), np.uint8)), "large")


def matte_of(photo: Photo) -> Matte:
    return Matte(disc(photo.height, photo.width), MatteKind.ALPHA, "disc")


def opened(data: bytes) -> NDArray[np.int_]:
    return Photo.open(data).rgb.astype(int)


@pytest.mark.parametrize(("kernel", "scale", "small"), [(101, 1.0, 101), (101, 0.5, 51), (5, 0.25, 1), (255, 0.25, 65)])
def test_kernels_shrink_with_the_photo_and_stay_odd(kernel: int, scale: float, small: int) -> None:
    assert preview_kernel(kernel, scale) == small


def test_a_preview_looks_like_the_export_made_small() -> None:
    photo = large_photo()
    preview = Preview(photo, matte_of(photo), side=200)
    shown = opened(preview.blurred(81))
    exported = render_blur(photo, matte_of(photo), 81).reshape(150, 4, 200, 4, 3).mean((1, 3))
    assert shown.shape == (150, 200, 3)
    # JPEG and the smaller matte cost a little; another kernel would cost much more.
    assert np.abs(shown - exported).mean() < 4
    assert np.abs(opened(preview.blurred(21)) - exported).mean() > 8


def test_a_hard_mask_is_softened_as_in_the_export(use_cards: Callable[..., None]) -> None:
    use_cards(make_card("hard", "DiscSegmenter", mask_kind=MatteKind.BINARY, needs_feather=True))
    photo = Photo.from_array(np.full((600, 800, 3), 255, np.uint8))
    matte = Matte(np.round(disc(600, 800)), MatteKind.BINARY, "hard")
    softness = [
        np.count_nonzero((alpha > 0.05) & (alpha < 0.95))
        for alpha in (Preview(photo, matte, side=200)._soft, compositing_alpha(matte)[::4, ::4])
    ]
    assert softness[0] == pytest.approx(softness[1], rel=0.35)


def test_a_preview_of_a_small_photo_is_not_enlarged(photo: Photo) -> None:
    assert opened(Preview(photo, matte_of(photo)).overlay).shape == photo.rgb.shape


def test_the_last_blur_is_kept(photo: Photo) -> None:
    preview = Preview(photo, matte_of(photo))
    assert preview.blurred(31) is preview.blurred(31)
    assert preview.blurred(33) != preview.blurred(31)


def test_the_archive_holds_pictures_at_full_size_and_the_numbers() -> None:
    photo = large_photo()
    results = [
        Result("large", "disc", photo=photo, matte=matte_of(photo)),
        Result("large", "broken", photo=photo, error=PhotoError("Broken.")),
    ]
    with zipfile.ZipFile(io.BytesIO(results_zip(results, 31))) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == [
            "results/large/blurred/disc.png",
            "results/large/masks/disc.png",
            "results/results.json",
        ]
        assert Photo.open(archive.read("results/large/masks/disc.png")).size == photo.size
        summary = json.loads(archive.read("results/results.json"))
    assert summary["photos"]["large"]["broken"]["error"] == "Broken."
