from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from arena.training.pictures import DataError, Sample, find_pairs, read_samples, side_strips, upper_body
from tests.training.people import figure, samples, write_folder

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
