"""Screen-sized pictures and the archive of full-sized ones."""

from __future__ import annotations

import inspect
import io
import json
import zipfile
from typing import TYPE_CHECKING

import numpy as np
import pytest

from arena.comparison import Result
from arena.compose import Gradient, Placement, Plain, Transparent
from arena.errors import PhotoError
from arena.finish import Effect, Finish
from arena.matte import Matte, MatteKind
from arena.photo import Photo
from arena.refine import RefineOptions, feather
from arena.render import compositing_alpha, render_blur, render_finish
from arena.ui import previews
from arena.ui.archive import results_zip
from arena.ui.previews import Preview
from tests.fakes import disc, make_card

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

AS_IS = RefineOptions()

pytestmark = pytest.mark.usefixtures("fake_cards")


def large_photo() -> Photo:
    coarse = np.random.default_rng(3).integers(0, 256, (15, 20, 3), dtype=np.uint8)
    return Photo.from_array(np.kron(coarse, np.ones((40, 40, 1), np.uint8)), "large")


def matte_of(photo: Photo) -> Matte:
    return Matte(disc(photo.height, photo.width), MatteKind.ALPHA, "disc")


def opened(data: bytes) -> NDArray[np.int_]:
    return Photo.open(data).rgb.astype(int)


def test_a_preview_looks_like_the_export_made_small() -> None:
    photo = large_photo()
    preview = Preview(photo, matte_of(photo), side=200)
    shown = opened(preview.finished(Finish(kernel=81)))
    exported = render_blur(photo, matte_of(photo), 81).reshape(150, 4, 200, 4, 3).mean((1, 3))
    assert shown.shape == (150, 200, 3)
    # JPEG and the smaller matte cost a little; another kernel would cost much more.
    assert np.abs(shown - exported).mean() < 4
    assert np.abs(opened(preview.finished(Finish(kernel=21))) - exported).mean() > 8


def test_a_hard_mask_is_softened_as_in_the_export(use_cards: Callable[..., None]) -> None:
    use_cards(make_card("hard", "DiscSegmenter", mask_kind=MatteKind.BINARY, needs_feather=True))
    photo = Photo.from_array(np.full((600, 800, 3), 255, np.uint8))
    matte = Matte(np.round(disc(600, 800)), MatteKind.BINARY, "hard")
    softness = [
        np.count_nonzero((alpha > 0.05) & (alpha < 0.95))
        for alpha in (
            Preview(photo, matte, side=200)._front_of(AS_IS, "auto").alpha,
            compositing_alpha(matte.alpha, matte, AS_IS)[::4, ::4],
        )
    ]
    assert softness[0] == pytest.approx(softness[1], rel=0.35)


def test_the_feather_that_shrinks_is_that_of_the_export() -> None:
    defaults = inspect.signature(feather).parameters
    assert defaults["size"].default == previews.FEATHER_SIZE
    assert defaults["sigma"].default == previews.FEATHER_SIGMA


def test_a_preview_of_a_small_photo_is_not_enlarged(photo: Photo) -> None:
    assert opened(Preview(photo, matte_of(photo)).overlay(AS_IS)).shape == photo.rgb.shape


def test_the_last_picture_is_kept(photo: Photo) -> None:
    preview = Preview(photo, matte_of(photo))
    assert preview.finished(Finish(kernel=31)) is preview.finished(Finish(kernel=31))
    assert preview.finished(Finish(kernel=33)) != preview.finished(Finish(kernel=31))


def test_the_archive_holds_pictures_at_full_size_and_the_numbers() -> None:
    photo = large_photo()
    results = [
        Result("large", "disc", photo=photo, matte=matte_of(photo)),
        Result("large", "broken", photo=photo, error=PhotoError("Broken.")),
    ]
    with zipfile.ZipFile(io.BytesIO(results_zip(results, Finish(kernel=31)))) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == [
            "results/large/blurred/disc.png",
            "results/large/masks/disc.png",
            "results/results.json",
        ]
        assert Photo.open(archive.read("results/large/masks/disc.png")).size == photo.size
        summary = json.loads(archive.read("results/results.json"))
    assert summary["photos"]["large"]["broken"]["error"] == "Broken."


def shrunk(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """To a quarter, as a person compares a preview with an export."""
    height, width, channels = picture.shape
    return picture.reshape(height // 4, 4, width // 4, 4, channels).mean((1, 3))


def picture_behind() -> Photo:
    coarse = np.random.default_rng(5).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    return Photo.from_array(np.kron(coarse, np.ones((60, 60, 1), np.uint8)), "behind")


@pytest.mark.parametrize(
    "finish",
    [
        Finish(Effect.REPLACE, background=Plain((200, 30, 60))),
        Finish(Effect.REPLACE, background=Gradient(((0, 0, 90), (255, 255, 200)))),
        Finish(Effect.REPLACE, background=picture_behind()),
        Finish(Effect.REPLACE, background=picture_behind(), fit="contain", anchor="left", fill=(0, 90, 0)),
        Finish(Effect.REPLACE, background=picture_behind(), fit="tile", anchor="top-left"),
        Finish(Effect.REPLACE, background=picture_behind(), background_kernel=81),
        Finish(Effect.REPLACE, background=Plain((200, 30, 60)), subject=Placement(0.2, -0.1, 0.5)),
        Finish(Effect.REPLACE, background=picture_behind(), harmonise=1.0, light_wrap=0.5),
        Finish(kernel=41, refine=RefineOptions(grow=-20.0)),
    ],
    ids=["colour", "gradient", "cover", "contain", "tile", "blurred", "placed", "matched", "refined"],
)
def test_every_preview_is_its_export_made_small(finish: Finish) -> None:
    photo = large_photo()
    exported = shrunk(render_finish(photo, matte_of(photo), finish))
    shown = opened(Preview(photo, matte_of(photo), side=200).finished(finish))
    # JPEG, and edges between blocks of random colours; half a pixel at the wrong place costs 15.
    assert np.abs(shown - exported).mean() < 5


def test_what_is_transparent_lies_on_a_checkerboard() -> None:
    photo = large_photo()
    shown = opened(Preview(photo, matte_of(photo), side=200).finished(Finish(Effect.CUTOUT)))
    corner = shown[:24, :24]
    assert np.abs(corner[:12, :12] - 255).mean() < 4
    assert np.abs(corner[:12, 12:] - 205).mean() < 4
    assert np.abs(corner[12:, 12:] - 255).mean() < 4
    same = opened(Preview(photo, matte_of(photo), side=200).finished(Finish(Effect.REPLACE, background=Transparent())))
    assert np.array_equal(shown, same)


def test_a_refined_mask_is_shown_refined() -> None:
    photo = large_photo()
    preview = Preview(photo, matte_of(photo), side=200)
    assert preview.overlay(RefineOptions(grow=-20.0)) != preview.overlay(AS_IS)


def test_a_moved_slider_neither_refines_nor_estimates_colours_again(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    for name in ("refined_alpha", "subject_colours"):
        original = getattr(previews, name)

        def counted(*args: object, name: str = name, original: Callable[..., object] = original) -> object:
            calls.append(name)
            return original(*args)

        monkeypatch.setattr(previews, name, counted)
    photo = large_photo()
    preview = Preview(photo, matte_of(photo), side=200)
    options = RefineOptions(grow=-20.0)
    for kernel in (11, 21, 31):
        preview.finished(Finish(kernel=kernel, refine=options))
    preview.overlay(options)
    assert calls == ["refined_alpha", "subject_colours"]
    preview.finished(Finish(kernel=31, refine=options, colours="off"))
    assert calls == ["refined_alpha", "subject_colours", "subject_colours"]


@pytest.mark.parametrize(
    ("finish", "folder"),
    [
        (Finish(), "blurred"),
        (Finish(Effect.REPLACE, background=Plain((9, 9, 9))), "replaced"),
        (Finish(Effect.CUTOUT), "cutout"),
    ],
)
def test_the_archive_holds_the_pictures_of_the_effect(finish: Finish, folder: str) -> None:
    photo = large_photo()
    result = Result("large", "disc", photo=photo, matte=matte_of(photo))
    with zipfile.ZipFile(io.BytesIO(results_zip([result], finish))) as archive:
        names = {name.split("/")[2] for name in archive.namelist() if name.endswith(".png")}
        exported = Photo.open(archive.read(f"results/large/{folder}/disc.png"))
    assert names == {"masks", folder}
    expected = render_finish(photo, matte_of(photo), finish)
    found = exported.rgb if exported.rgba is None else exported.rgba
    assert np.array_equal(found, expected)
