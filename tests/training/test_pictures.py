from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from arena.training.pictures import (
    DataError,
    Sample,
    find_pairs,
    read_pair,
    read_samples,
    read_truth,
    side_strips,
    upper_body,
)
from tests.training.people import figure, samples, write_folder, write_portraits

if TYPE_CHECKING:
    from pathlib import Path


def test_the_last_digit_of_the_number_decides_the_split(tmp_path: Path) -> None:
    index = find_pairs(write_folder(tmp_path / "ccp", 25))
    assert [photo.stem for photo, _ in index.validation] == ["0004", "0014", "0024"]
    assert len(index.training) == 22
    assert not set(index.training) & set(index.validation)


def test_noisy_pictures_are_kept_apart_and_those_of_validation_left_out(tmp_path: Path) -> None:
    index = find_pairs(write_folder(tmp_path / "ccp", 16, noisy=(3, 4, 7)))
    assert [photo.stem for photo, _ in index.noisy] == ["0003", "0007"]
    assert [photo.stem for photo, _ in index.validation] == ["0014"]


def test_photos_beside_their_alphas_are_pairs_too(tmp_path: Path) -> None:
    for number, name in enumerate("abcdef"):
        rgb, mask = figure(number)
        Image.fromarray(rgb).save(tmp_path / f"{name}.jpg")
        Image.fromarray(mask).save(tmp_path / f"{name}.alpha.png")
    index = find_pairs(tmp_path)
    assert [photo.name for photo, _ in index.validation] == ["e.jpg"]
    assert len(index.training) == 5


def test_a_photo_without_mask_is_named(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "ccp", 3)
    (folder / "masks" / "0002.png").unlink()
    index = find_pairs(folder)
    assert index.skipped == ("0002.jpg: there is no 0002.png",)
    assert len(index.training) == 2


def test_what_cannot_be_read_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "ccp", 3)
    (folder / "photos" / "0001.jpg").write_bytes(b"no picture")
    Image.new("1", (7, 7), 1).save(folder / "masks" / "0002.png")
    read, skipped = read_samples(find_pairs(folder).training)
    assert [sample.name for sample in read] == ["0003"]
    assert skipped[0].startswith("0001.jpg")
    assert "0002" in skipped[1]
    assert "pixels" in skipped[1]


@pytest.mark.parametrize("make", ["nothing", "file", "empty"])
def test_a_folder_without_pairs_is_refused(tmp_path: Path, make: str) -> None:
    folder = tmp_path / "data"
    if make == "file":
        folder.write_text("")
    elif make == "empty":
        folder.mkdir()
    with pytest.raises(DataError):
        find_pairs(folder)


def test_a_broken_index_is_named(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "ccp", 2)
    (folder / "index.json").write_text("[1]")
    with pytest.raises(DataError, match=r"index\.json"):
        find_pairs(folder)


def test_an_empty_mask_is_refused() -> None:
    with pytest.raises(DataError, match="nobody"):
        Sample.from_arrays("x", np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.uint8))


def test_the_box_is_around_the_subject() -> None:
    alpha = np.zeros((20, 30), np.uint8)
    alpha[5:12, 8:21] = 255
    assert Sample.from_arrays("x", np.zeros((20, 30, 3), np.uint8), alpha).box == (8, 5, 21, 12)


def test_strips_hold_no_subject() -> None:
    sample = samples(1)[0]
    for strip in side_strips(sample, least=10):
        assert strip[..., 0].mean() < 60


def test_the_upper_body_begins_above_the_head() -> None:
    sample = samples(1)[0]
    _, top, _, bottom = sample.box
    rgb, alpha = upper_body(sample, above=5, part=0.5)
    assert rgb.shape[:2] == alpha.shape
    assert alpha[:5].max() == 0
    assert alpha[5].max() == 255
    assert alpha.shape[0] == 5 + round(0.5 * (bottom - top))


def test_an_index_may_lie_anywhere_in_the_folder_of_its_pictures(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "ccp", 6)
    (folder / "few.json").write_text('{"clean": ["0001", "0004"], "noisy": ["0002"]}')
    index = find_pairs(folder / "few.json")
    names = [[photo.stem for photo, _ in pairs] for pairs in (index.training, index.validation, index.noisy)]
    assert names == [["0001"], ["0004"], ["0002"]]
    (folder / "few.json").write_text('{"clean": ["0001", "0099"], "noisy": []}')
    assert find_pairs(folder / "few.json").skipped == ("0099: there is no photo of that name",)


def test_a_folder_may_call_its_photos_images_and_mix_kinds_of_files(tmp_path: Path) -> None:
    folder = write_portraits(tmp_path / "data", 3)
    for path in (folder / "masks").iterdir():
        Image.open(path).save(path.with_suffix(".tif"))
        path.unlink()
    (folder / "images" / "._0001.png").write_bytes(b"what macOS leaves")
    assert [(photo.name, mask.name) for photo, mask in find_pairs(folder).training] == [
        (f"000{number}.png", f"000{number}.tif") for number in (1, 2, 3)
    ]


def test_a_table_names_images_masks_and_the_split(tmp_path: Path) -> None:
    folder = write_portraits(tmp_path / "data", 4)
    rows = ["image,mask,split", *(f"data/images/000{n}.png,data/masks/000{n}.png,{s}" for n, s in _SPLITS)]
    table = tmp_path / "table.csv"
    table.write_text("\n".join([*rows, "data/images/0009.png,data/masks/0001.png,train"]), "utf-8-sig")
    index = find_pairs(table)
    assert index.validation == ((folder / "images" / "0002.png", folder / "masks" / "0002.png"),)
    # Without a word the last digit decides.
    assert [photo.stem for photo, _ in index.training] == ["0001", "0003"]
    assert index.skipped == ("table.csv, line 5: there is no 0009.png",)


_SPLITS = ((1, "train"), (2, "validation"), (3, ""))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("photo,mask\na,b", "image and mask"),
        ("", "image and mask"),
        ("image,mask,split\ndata/images/0001.png,data/masks/0001.png,test", "line 2"),
        ("image,mask\nnone.png,none.png", "No photo with a mask"),
    ],
)
def test_a_mistake_in_a_table_is_named(tmp_path: Path, text: str, named: str) -> None:
    write_portraits(tmp_path / "data", 1)
    table = tmp_path / "table.csv"
    table.write_text(text)
    with pytest.raises(DataError, match=named):
        find_pairs(table)


@pytest.mark.parametrize("kind", ["1-bit", "8-bit", "16-bit", "cut-out", "opaque RGBA", "opaque LA"])
def test_a_mask_of_any_kind_is_read(tmp_path: Path, kind: str) -> None:
    mask = np.zeros((4, 6), np.uint8)
    mask[1:3, 2:5] = 255
    path = tmp_path / "mask.png"
    match kind:
        case "1-bit":
            Image.fromarray(mask).convert("1").save(path)
        case "8-bit":
            Image.fromarray(mask).save(path)
        case "16-bit":
            Image.fromarray(mask.astype(np.uint16) * 257).save(path)
        case "cut-out":
            Image.fromarray(np.dstack([np.full((4, 6, 3), 90, np.uint8), mask])).save(path)
        case _:
            Image.fromarray(mask).convert(kind.removeprefix("opaque ")).save(path)
    truth = read_truth(path)
    assert truth.dtype == np.float32
    np.testing.assert_array_equal(truth, mask / np.float32(255))


def test_numbers_of_classes_are_no_mask(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    Image.fromarray(np.eye(8, dtype=np.uint8)).save(path)
    with pytest.raises(DataError, match="numbers of classes"):
        read_truth(path)
    for classes in (2, 15):
        Image.fromarray(np.eye(8, dtype=np.uint8) * np.uint8(classes)).save(path)
        with pytest.raises(DataError, match=f"largest value of mask.png is {classes} of 255"):
            read_truth(path)
    indexed = Image.fromarray(np.eye(8, dtype=np.uint8), "P")
    indexed.putpalette([0, 0, 0, 128, 0, 0] + [0] * 762)
    indexed.save(path)
    with pytest.raises(DataError, match="has a palette"):
        read_truth(path)
    ramp = Image.fromarray(np.eye(8, dtype=np.uint8) * np.uint8(255), "P")
    ramp.putpalette([level for level in range(256) for _ in range(3)])
    ramp.save(path)
    np.testing.assert_array_equal(read_truth(path), np.eye(8))


def test_masks_in_floating_point_and_in_32_bits_keep_their_shades(tmp_path: Path) -> None:
    shades = np.linspace(0, 0.7, 48, dtype=np.float32).reshape(6, 8)
    path = tmp_path / "mask.tif"
    Image.fromarray(shades).save(path)
    np.testing.assert_array_equal(read_truth(path), shades)
    Image.fromarray(np.rint(shades * 65535).astype(np.int32)).save(path)
    np.testing.assert_allclose(read_truth(path), shades, atol=1e-5)
    Image.fromarray(shades * 255).save(path)
    with pytest.raises(DataError, match="values beyond 1, its white"):
        read_truth(path)


def test_a_photo_is_turned_upright_before_its_mask_is_compared(tmp_path: Path) -> None:
    rgb, mask = figure(1)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(rgb)).save(tmp_path / "a.jpg", exif=exif, quality=95)
    Image.fromarray(mask).save(tmp_path / "a.png")
    upright, alpha = read_pair(tmp_path / "a.jpg", tmp_path / "a.png")
    assert upright.shape[:2] == alpha.shape
    assert upright[alpha > 0, 0].mean() > 150
    assert upright[alpha == 0, 0].mean() < 80
