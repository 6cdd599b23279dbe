"""Pictures by the rules of the card, and their files."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from PIL import Image

from arena.comparison import Result
from arena.compose import (
    Placement,
    Plain,
    Transparent,
    blur_background,
    blur_plate,
    composite,
    depth_blur,
    ground_blur,
    mask_overlay,
    replace_background,
)
from arena.errors import OptionError, PhotoError
from arena.finish import DEFAULT_KERNEL, Effect, Finish, finish_from_mapping
from arena.matte import Matte, MatteKind
from arena.photo import Photo, encode, save
from arena.refine import PRESETS, RefineOptions, feather, refine
from arena.refine.foreground import estimate_foreground
from arena.refine.guided import guided_upsample
from arena.render import (
    DEPTH_RADIUS,
    Summary,
    compositing_alpha,
    render_blur,
    render_cutout,
    render_finish,
    render_overlay,
    render_png,
    render_replace,
    result_files,
    subject_colours,
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
    assert compositing_alpha(matte.alpha, matte, RefineOptions()) is matte.alpha
    hard = dataclasses.replace(matte, alpha=np.round(matte.alpha), kind=MatteKind.BINARY, model="hard")
    soft = compositing_alpha(hard.alpha, hard, RefineOptions())
    assert np.unique(soft).size > 50
    assert soft.min() >= 0
    assert soft.max() <= 1


def test_a_model_of_hard_outlines_that_followed_the_hair_is_not_feathered(matte: Matte) -> None:
    followed = dataclasses.replace(matte, model="hard")
    assert compositing_alpha(followed.alpha, followed, RefineOptions()) is followed.alpha


def test_an_outline_that_was_refined_is_not_feathered_again(matte: Matte) -> None:
    hard = dataclasses.replace(matte, alpha=np.round(matte.alpha), kind=MatteKind.BINARY, model="hard")
    for options in (RefineOptions(feather_sigma=2.0), RefineOptions(guided_radius=3.0)):
        assert compositing_alpha(hard.alpha, hard, options) is hard.alpha
    assert compositing_alpha(hard.alpha, hard, RefineOptions(components=1)) is not hard.alpha


def test_own_colours_are_estimated_for_soft_edges_unless_told(photo: Photo, matte: Matte) -> None:
    options = RefineOptions()
    assert subject_colours(photo.rgb, matte.alpha, matte, options, "off") is photo.rgb
    fast = subject_colours(photo.rgb, matte.alpha, matte, options)
    np.testing.assert_array_equal(fast, subject_colours(photo.rgb, matte.alpha, matte, options, "fast"))
    quality = subject_colours(photo.rgb, matte.alpha, matte, options, "multilevel")
    assert (fast != photo.rgb).any()
    assert (quality != fast).any()
    hard = dataclasses.replace(matte, kind=MatteKind.BINARY, model="hard")
    assert subject_colours(photo.rgb, matte.alpha, hard, options) is photo.rgb
    np.testing.assert_array_equal(subject_colours(photo.rgb, matte.alpha, hard, options, "fast"), fast)
    # Once the photo has had its say on the edge, the outline is no longer the model's hard one.
    np.testing.assert_array_equal(subject_colours(photo.rgb, matte.alpha, hard, RefineOptions(guided_radius=3.0)), fast)


def test_refinement_comes_before_every_picture(photo: Photo, matte: Matte) -> None:
    grown = RefineOptions(grow=20.0)
    alpha = refine(matte.alpha, photo.rgb, grown)
    assert alpha.sum() > matte.alpha.sum()
    np.testing.assert_array_equal(
        render_finish(photo, matte, Finish(Effect.CUTOUT, refine=grown))[..., 3], np.rint(alpha * 255)
    )
    np.testing.assert_array_equal(render_overlay(photo, matte, Finish(refine=grown)), mask_overlay(photo.rgb, alpha))
    refined = dataclasses.replace(matte, alpha=alpha)
    np.testing.assert_array_equal(render_finish(photo, matte, Finish(refine=grown)), render_blur(photo, refined))
    with Image.open(io.BytesIO(render_png("alpha", photo, matte, Finish(refine=grown)))) as image:
        np.testing.assert_allclose(np.asarray(image) / 65535, alpha, atol=1e-5)


def test_the_blur_of_a_lens_is_the_compositors(photo: Photo, matte: Matte) -> None:
    own = estimate_foreground(photo.rgb, matte.alpha)
    expected = blur_background(photo.rgb, matte.alpha, 31, foreground=own, bokeh="hexagon")
    np.testing.assert_array_equal(render_blur(photo, matte, 31, Finish(bokeh="hexagon")), expected)


def test_the_ground_is_the_compositors(photo: Photo) -> None:
    alpha = np.zeros(photo.rgb.shape[:2], np.float32)
    alpha[10:70, 50:80] = 1
    standing = Matte(alpha, MatteKind.ALPHA, "disc", 0.1, "cpu")
    own = estimate_foreground(photo.rgb, alpha)
    expected = blur_background(photo.rgb, alpha, 31, foreground=own, amount=ground_blur(alpha))
    out = render_blur(photo, standing, 31, Finish(distance="ground"))
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(out[70, :50], photo.rgb[70, :50])
    assert (out != render_blur(photo, standing, 31)).any()
    # Without feet it is the blur that it always was.
    alpha[70:, 50:80] = 1
    np.testing.assert_array_equal(
        render_blur(photo, standing, 31, Finish(distance="ground")), render_blur(photo, standing, 31)
    )


def test_the_depth_is_the_compositors_along_the_photos_edges(photo: Photo, matte: Matte) -> None:
    depth = np.linspace(0, 1, 48, dtype=np.float32)[:, None].repeat(64, axis=1)
    known, by_depth = photo.with_depth(depth), Finish(distance="depth")
    own = estimate_foreground(photo.rgb, matte.alpha)
    amount = guided_upsample(depth_blur(depth, matte.alpha), photo.rgb, radius=DEPTH_RADIUS)
    expected = blur_background(photo.rgb, matte.alpha, 31, foreground=own, amount=amount)
    np.testing.assert_array_equal(render_blur(known, matte, 31, by_depth), expected)
    with pytest.raises(OptionError, match="The photo has no depth map to blur it by"):
        render_blur(photo, matte, 31, by_depth)
    # A map that is finer than the photo, and a picture that is not blurred.
    fine = photo.with_depth(np.asarray(cv2.resize(depth, (256, 192))))
    assert np.abs(render_blur(fine, matte, 31, by_depth).astype(int) - expected).mean() < 4
    assert np.abs(render_blur(photo, matte, 31).astype(int) - expected).mean() > 8
    np.testing.assert_array_equal(render_cutout(photo, matte, by_depth), render_cutout(photo, matte))


def test_a_replacement_is_the_compositors(photo: Photo, matte: Matte) -> None:
    finish = Finish(
        background_kernel=9, bokeh="disc", harmonise=0.5, light_wrap=0.5, linear=True, subject=Placement(0.1)
    )
    backdrop = Photo.from_array(np.full((40, 40, 3), (10, 60, 200), np.uint8))
    expected = replace_background(
        photo.rgb,
        matte.alpha,
        backdrop.rgb,
        foreground=estimate_foreground(photo.rgb, matte.alpha),
        kernel=9,
        bokeh="disc",
        harmonise=0.5,
        light_wrap=0.5,
        linear=True,
        subject=Placement(0.1),
    )
    np.testing.assert_array_equal(render_replace(photo, matte, backdrop, finish), expected)


def test_a_replacement_takes_words_and_files(photo: Photo, matte: Matte, tmp_path: Path) -> None:
    outside = matte.alpha == 0
    assert (render_replace(photo, matte, "navy")[outside] == (0, 0, 128)).all()
    path = save(tmp_path / "red.png", np.full((5, 5, 3), (255, 0, 0), np.uint8))
    assert (render_replace(photo, matte, path)[outside] == (255, 0, 0)).all()
    assert (render_replace(photo, matte, str(path))[outside] == (255, 0, 0)).all()
    np.testing.assert_array_equal(render_replace(photo, matte, Transparent()), render_cutout(photo, matte))


def test_a_transparent_backdrop_picture_lies_on_the_fill(photo: Photo, matte: Matte) -> None:
    glass = Photo.from_array(np.zeros((96, 128, 4), np.uint8))
    replaced = render_replace(photo, matte, glass, Finish(fill=(1, 2, 3)))
    assert (replaced[matte.alpha == 0] == (1, 2, 3)).all()


def test_the_inside_of_a_transparent_photo_shows_the_new_background(matte: Matte) -> None:
    pixels = np.full((96, 128, 4), 200, np.uint8)
    pixels[..., 3] = 0
    assert (render_replace(Photo.from_array(pixels), matte, "navy") == (0, 0, 128)).all()


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


def test_the_subject_of_a_blur_has_its_own_colours(photo: Photo, matte: Matte) -> None:
    own = estimate_foreground(photo.rgb, matte.alpha)
    assert (own != photo.rgb).any()
    expected = composite(own, blur_plate(photo.rgb, matte.alpha, 31), matte.alpha)
    np.testing.assert_array_equal(render_blur(photo, matte, 31), expected)


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
    files = dict(result_files(Result("me", "soft", photo=photo, matte=matte), Finish(kernel=31)))
    assert sorted(files) == ["me/alpha/soft.png", "me/blurred/soft.png", "me/cutout/soft.png", "me/masks/soft.png"]
    assert all(Photo.open(contents).size == photo.size for contents in files.values())


def test_the_replaced_picture_is_written_where_it_is_asked_for(photo: Photo, matte: Matte) -> None:
    finish = Finish(kernel=31, background=Plain((0, 0, 128)))
    files = dict(result_files(Result("me", "soft", photo=photo, matte=matte), finish, ("blurred", "replaced")))
    assert sorted(files) == ["me/blurred/soft.png", "me/replaced/soft.png"]
    np.testing.assert_array_equal(Photo.open(files["me/blurred/soft.png"]).rgb, render_blur(photo, matte, 31))
    np.testing.assert_array_equal(Photo.open(files["me/replaced/soft.png"]).rgb, render_replace(photo, matte, "navy"))


def test_pictures_of_one_result_share_the_refinement(
    photo: Photo, matte: Matte, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def counted(name: str, step: Callable[..., Any]) -> Callable[..., Any]:
        def run(*values: Any, **options: Any) -> Any:
            calls.append(name)
            return step(*values, **options)

        return run

    monkeypatch.setattr("arena.render.refine", counted("refine", refine))
    monkeypatch.setattr("arena.render.estimate_foreground", counted("colours", estimate_foreground))
    finish = Finish(refine=RefineOptions(grow=10.0))
    assert len(dict(result_files(Result("me", "soft", photo=photo, matte=matte), finish))) == 4
    assert sorted(calls) == ["colours", "refine"]


def test_nobody_and_nothing_have_no_files(photo: Photo, matte: Matte) -> None:
    empty = dataclasses.replace(matte, alpha=np.zeros_like(matte.alpha))
    assert not dict(result_files(Result("me", "soft", photo=photo, matte=empty)))
    assert not dict(result_files(Result("me", "soft", error=PhotoError("broken"))))


def test_a_summary_is_json_by_photo_and_model(photo: Photo, matte: Matte) -> None:
    summary = Summary(Finish(kernel=31))
    summary.add(Result("me", "soft", photo=photo, matte=matte, device="cpu"))
    summary.add(Result("me", "hard", error=PhotoError("Broken.", "Mend it.")))
    read = json.loads(summary.to_json())
    assert read["kernel"] == 31
    assert read["photos"]["me"]["soft"]["found"] is True
    assert read["photos"]["me"]["hard"]["error"] == "Broken. Mend it."
    assert set(read) == {"kernel", "photos"}


def test_a_summary_notes_the_options_that_are_not_the_default() -> None:
    finish = Finish(Effect.REPLACE, refine=PRESETS["hair"], background=Plain((0, 0, 128)))
    read = json.loads(Summary(finish).to_json())
    assert read["kernel"] == DEFAULT_KERNEL
    assert read["effect"] == "replace"
    assert read["background"] == {"source": "#000080"}
    del read["photos"]
    assert finish_from_mapping(read) == finish


@pytest.mark.parametrize("kind", MatteKind)
def test_a_matte_from_elsewhere_is_composited(photo: Photo, matte: Matte, kind: MatteKind) -> None:
    own = dataclasses.replace(matte, kind=kind, model="drawn by hand")
    picture = render_cutout(photo, own)
    # A hard outline is softened, whoever drew it.
    expected = feather(own.alpha) if kind is MatteKind.BINARY else own.alpha
    np.testing.assert_array_equal(picture[..., 3], np.rint(expected * 255))


def test_a_path_is_a_file_even_if_it_is_called_like_a_colour(
    photo: Photo, matte: Matte, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "white").write_bytes(encode(np.full((4, 4, 3), (10, 200, 30), np.uint8)))
    monkeypatch.chdir(tmp_path)
    assert render_replace(photo, matte, Path("white"))[0, 0].tolist() == [10, 200, 30]
    assert render_replace(photo, matte, "white")[0, 0].tolist() == [255, 255, 255]


def test_a_refinement_that_leaves_nobody_is_an_error_everywhere(photo: Photo, matte: Matte) -> None:
    faint = dataclasses.replace(matte, alpha=matte.alpha * np.float32(0.9))
    nobody = Finish(refine=RefineOptions(threshold=0.95))
    for render in (
        lambda: render_blur(photo, faint, finish=nobody),
        lambda: render_overlay(photo, faint, nobody),
        lambda: render_png("masks", photo, faint, nobody),
    ):
        with pytest.raises(OptionError, match="leaves nobody in"):
            render()
