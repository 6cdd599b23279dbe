"""``BackgroundRemover``, as its users call it."""

from __future__ import annotations

import dataclasses
import io
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from arena.errors import ArenaError, NobodyFoundError, OptionError, PhotoError
from arena.photo import Photo, encode
from arena.refine.edges import soften
from arena.remback import BackgroundRemover, RembackOptions
from tests.conftest import ROOT
from tests.models import sam_tiny
from tests.remback.fakes import BoxRemback, nobody, portrait, remback_card, two_people

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

INSIDE, BEHIND = (35, 55), (120, 64)
"""Row and column of a pixel of the portrait's person, and of one below the box."""


def read(path: Path) -> NDArray[np.uint8]:
    return np.asarray(Image.open(path))


def test_a_jpeg_has_the_photo_where_the_person_is_and_white_elsewhere(me: Path, tmp_path: Path) -> None:
    picture = BackgroundRemover().remove_background(str(me), str(tmp_path / "out.jpg"))
    rgb = portrait(side=128)
    assert picture.shape == (128, 128, 3)
    np.testing.assert_array_equal(picture[INSIDE], rgb[INSIDE])
    np.testing.assert_array_equal(picture[BEHIND], 255)
    # A hard edge, as in the original: every pixel is the photo's or white.
    assert ((picture == rgb).all(axis=2) | (picture == 255).all(axis=2)).all()
    written = read(tmp_path / "out.jpg")
    np.testing.assert_allclose(written, picture, atol=40)
    np.testing.assert_array_equal(written[BEHIND], 255)


def test_white_begins_below_the_cut() -> None:
    kept = []
    for cut in (0.01, 0.4, 1.0):
        remover = BackgroundRemover(options=RembackOptions(alpha_cut=cut, sigma=3))
        kept.append(int((remover.remove_background(portrait(side=128)) != 255).any(axis=2).sum()))
    assert kept[0] > kept[1] > kept[2] > 0


@pytest.mark.parametrize("ending", ["png", "webp"])
def test_a_format_with_transparency_keeps_a_real_alpha(ending: str, me: Path, tmp_path: Path) -> None:
    out = tmp_path / f"out.{ending}"
    picture = BackgroundRemover(options=RembackOptions(sigma=2)).remove_background(me, out)
    assert picture.shape == (128, 128, 4)
    alpha = picture[..., 3]
    assert alpha[INSIDE] == 255
    assert alpha[BEHIND] == 0
    assert len(np.unique(alpha)) > 5
    assert Photo.open(out).rgba is not None
    if ending == "png":
        np.testing.assert_array_equal(read(out), picture)
        # Its colours are the photo's own, not white's.
        np.testing.assert_array_equal(picture[..., :3], portrait(side=128))


def test_hair_is_cut_out_in_its_own_colours() -> None:
    rgb = portrait(side=128).copy()
    rgb[:, :30] = (0, 255, 0)
    cut = BackgroundRemover(options=RembackOptions(hair=True)).cut_out(rgb)
    rgba = cut.transparent()
    mixed = (cut.alpha > 0.1) & (cut.alpha < 0.9)
    assert mixed.any()
    # Where hair and background mix, the photo has both and the cut-out only one.
    assert (rgba[mixed][:, :3] != rgb[mixed]).any()
    np.testing.assert_array_equal(rgba[INSIDE][:3], rgb[INSIDE])


def test_what_was_transparent_stays_so(tmp_path: Path) -> None:
    rgba = np.dstack([portrait(side=128), np.full((128, 128), 255, np.uint8)])
    rgba[40:45, 60:70, 3] = 0
    picture = BackgroundRemover().remove_background(rgba, tmp_path / "out.png")
    assert not picture[40:45, 60:70, 3].any()
    assert picture[INSIDE][3] == 255


def test_every_kind_of_input_gives_the_same_picture(me: Path) -> None:
    remover = BackgroundRemover()
    expected = remover.remove_background(me)
    contents = me.read_bytes()
    for source in (str(me), contents, io.BytesIO(contents), portrait(side=128), Photo.open(me)):
        np.testing.assert_array_equal(remover.remove_background(source), expected)


def test_exif_is_carried_over(tmp_path: Path) -> None:
    image = Image.fromarray(portrait(side=128))
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    image.save(tmp_path / "in.jpg", exif=exif)
    BackgroundRemover().remove_background(tmp_path / "in.jpg", tmp_path / "out.jpg")
    assert Image.open(tmp_path / "out.jpg").getexif()[0x010F] == "Maker"


def test_the_debug_mask_is_binary_and_before_the_blur(me: Path, tmp_path: Path) -> None:
    remover = BackgroundRemover(options=RembackOptions(sigma=4))
    remover.remove_background(me, debug_mask=tmp_path / "mask.png")
    mask = read(tmp_path / "mask.png")
    assert mask.shape == (128, 128)
    assert set(np.unique(mask)) == {0, 255}
    cut = remover.cut_out(me)
    np.testing.assert_array_equal(mask, cut.mask * 255)
    np.testing.assert_array_equal(cut.alpha, soften(cut.mask, 4))


def test_sharpness_and_contrast_work_on_the_person_and_leave_the_white(me: Path) -> None:
    remover = BackgroundRemover()
    plain = remover.remove_background(me)
    dark = remover.remove_background(me, contrast=0.5)
    np.testing.assert_array_equal(dark[INSIDE], np.rint(plain[INSIDE] * 0.5))
    np.testing.assert_array_equal(dark[BEHIND], 255)
    sharp = remover.remove_background(me, sharp=2)
    inside = remover.cut_out(me).mask.astype(bool)
    assert sharp[inside].std() > plain[inside].std()
    np.testing.assert_array_equal(sharp[BEHIND], 255)


def test_sharpness_and_contrast_come_on_top_of_the_options(me: Path) -> None:
    own = BackgroundRemover(options=RembackOptions(sharp=1, contrast=0.8))
    np.testing.assert_array_equal(
        own.remove_background(me, sharp=0.5, contrast=0.5),
        BackgroundRemover().remove_background(me, sharp=1.5, contrast=0.4),
    )


def test_the_alpha_of_a_png_is_not_sharpened(me: Path, tmp_path: Path) -> None:
    remover = BackgroundRemover()
    plain = remover.remove_background(me, tmp_path / "a.png")
    sharp = remover.remove_background(me, tmp_path / "b.png", sharp=3, contrast=1.2)
    np.testing.assert_array_equal(plain[..., 3], sharp[..., 3])
    assert not np.array_equal(plain[..., :3], sharp[..., :3])


def test_one_person_or_all(tmp_path: Path) -> None:
    one = BackgroundRemover().cut_out(two_people())
    everybody = BackgroundRemover(options=RembackOptions(faces="all")).cut_out(two_people())
    assert (len(one.faces), one.faces_seen) == (1, 2)
    assert (len(everybody.faces), everybody.faces_seen) == (2, 2)
    assert len(everybody.boxes) == 2
    assert everybody.mask.sum() > one.mask.sum()


def test_no_face_is_an_error_that_says_so_and_nothing_is_written(tmp_path: Path) -> None:
    path = tmp_path / "hills.png"
    path.write_bytes(encode(nobody()))
    with pytest.raises(NobodyFoundError, match=r"No face was found in hills.*faces.*front") as caught:
        BackgroundRemover().remove_background(path, tmp_path / "out.jpg", debug_mask=tmp_path / "mask.png")
    assert isinstance(caught.value, ArenaError)
    assert [file.name for file in tmp_path.iterdir()] == ["hills.png"]


def test_a_face_without_a_person_is_an_error_too(me: Path, use_cards: Callable[..., None]) -> None:
    use_cards(remback_card("BlindRemback"))
    with pytest.raises(NobodyFoundError, match="nobody in the box"):
        BackgroundRemover().remove_background(me)


def test_what_cannot_be_written_or_read_is_told_before_the_network_runs(me: Path, tmp_path: Path) -> None:
    remover = BackgroundRemover()
    with pytest.raises(OptionError, match=r'ends in "\.bmp"'):
        remover.remove_background(me, tmp_path / "out.bmp")
    with pytest.raises(OptionError, match="has no ending"):
        remover.remove_background(me, debug_mask=tmp_path / "mask")
    with pytest.raises(OptionError, match="sharp"):
        remover.remove_background(me, sharp=99)
    with pytest.raises(PhotoError, match="no file"):
        remover.remove_background(tmp_path / "nowhere.jpg")
    assert isinstance(remover._segmenter, BoxRemback)
    assert remover._segmenter.sam.encoded == []


def test_the_published_weights_are_shared_and_a_checkpoint_is_its_own(tmp_path: Path) -> None:
    one, other = BackgroundRemover(), BackgroundRemover()
    assert one._segmenter is other._segmenter
    assert BoxRemback.loads == 1
    (tmp_path / "own.pth").write_bytes(b"")
    assert BackgroundRemover(tmp_path / "own.pth")._segmenter is not one._segmenter
    with pytest.raises(OptionError, match="no checkpoint"):
        BackgroundRemover(tmp_path / "nowhere.pth")


@pytest.mark.parametrize("layout", ["segment-anything", "transformers"])
def test_a_checkpoint_of_either_layout_runs(
    layout: str, me: Path, tmp_path: Path, use_cards: Callable[..., None]
) -> None:
    use_cards(dataclasses.replace(remback_card(), adapter="arena.models.remback:RembackSegmenter"))
    if layout == "segment-anything":
        path = sam_tiny.save_segment_anything(tmp_path / "sam_vit_b_01ec64.pth")
    else:
        path = sam_tiny.save_transformers(tmp_path / "model.safetensors")
    remover = BackgroundRemover(path, device="cpu")
    assert 0 < remover.cut_out(me).mask.mean() < 1


def test_importing_it_does_not_import_torch() -> None:
    code = (
        "import sys, arena.remback, arena.remback.cli; print([m for m in ('torch', 'cv2', 'PIL') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert result.stdout.strip() == "[]"
