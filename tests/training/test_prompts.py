from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from arena.errors import OptionError
from arena.models.remback import choose_faces, find_faces, padded_boxes
from arena.photo import Photo
from arena.samples import get_sample
from arena.training.pictures import DataError
from arena.training.prompts import Prompt, choose_prompt, prompts_beside, read_prompts
from tests.training.people import portrait

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("value", "prompt"),
    [
        ([1, 2, 3, 4], Prompt((1, 2, 3, 4))),
        ([[1, 2, 3, 4], [5, 6, 7, 8]], Prompt((1, 2, 3, 4))),
        ({"box": [1, 2, 3, 4]}, Prompt((1, 2, 3, 4))),
        ({"points": [[1, 2], [3, 4]]}, Prompt(None, ((1, 2), (3, 4)), (1, 1))),
        ({"box": [1, 2, 3, 4], "points": [[1, 2]], "labels": [0]}, Prompt((1, 2, 3, 4), ((1, 2),), (0,))),
        ([], None),
        ({}, None),
    ],
)
def test_a_prompt_is_written_in_any_of_these_ways(value: Any, prompt: Prompt | None) -> None:
    read = Prompt.read(value, "x")
    assert read == prompt
    if read is not None:
        assert Prompt.read(json.loads(json.dumps(read.written())), "x") == read


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ([1, 2, 3], "no prompt"),
        ("left", "no prompt"),
        ([1, 2, 3, "x"], "no prompt"),
        ({"boxes": [1, 2, 3, 4]}, "Did you mean box"),
        ({"points": [[1, 2]]}, "one point alone"),
        ({"points": [[1, 2, 3], [4, 5, 6]]}, "no prompt"),
    ],
)
def test_a_mistake_in_a_prompt_is_named(value: Any, named: str) -> None:
    with pytest.raises(DataError, match=named) as raised:
        Prompt.read(value, "a.json")
    assert "a.json" in str(raised.value)


@pytest.mark.parametrize("text", ["[1, 2]", "{", "3"])
def test_a_file_that_holds_no_prompts_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "prompts.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"prompts\.json"):
        read_prompts(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.json"):
        read_prompts(tmp_path / "none.json")


def test_prompts_lie_beside_pictures_or_their_index(tmp_path: Path) -> None:
    assert prompts_beside(tmp_path) == {}
    (tmp_path / "prompts.json").write_text('{"a": [1, 2, 3, 4]}')
    expected = {"a": Prompt((1, 2, 3, 4))}
    assert prompts_beside(tmp_path) == expected
    assert prompts_beside(tmp_path / "index.json") == expected


def test_a_picture_is_looked_up_by_path_then_by_name_then_without_the_suffix(tmp_path: Path) -> None:
    rgb, mask = portrait(1)
    photo = tmp_path / "a.png"
    prompts: dict[str, Prompt | None] = {"a": Prompt((1, 1, 9, 9))}
    for key, edge in (("a", 9), ("a.png", 8), (str(photo), 7)):
        prompts[key] = Prompt((1, 1, edge, edge))
        assert choose_prompt(photo, rgb, mask, [prompts], "mask").box == (1, 1, edge, edge)


def test_the_box_of_the_mask_is_around_the_subject(tmp_path: Path) -> None:
    mask = np.zeros((60, 80), np.uint8)
    mask[10:30, 20:50] = 255
    prompt = choose_prompt(tmp_path / "a.png", np.zeros((60, 80, 3), np.uint8), mask, (), "mask")
    assert prompt == Prompt((20, 10, 50, 30))


def test_the_box_of_the_face_is_the_one_that_remback_asks_about(tmp_path: Path) -> None:
    rgb = Photo.open(get_sample("astronaut").path).rgb
    mask = np.full(rgb.shape[:2], 255, np.uint8)
    prompt = choose_prompt(tmp_path / "a.png", rgb, mask, (), "face")
    expected = padded_boxes(choose_faces(find_faces(rgb)), rgb.shape[1], rgb.shape[0])
    assert prompt.box == pytest.approx(expected[0])


def test_a_prompt_outside_of_its_picture_is_refused(tmp_path: Path) -> None:
    rgb, mask = portrait(1)
    with pytest.raises(OptionError, match="outside"):
        choose_prompt(tmp_path / "a.png", rgb, mask, [{"a": Prompt((200, 200, 300, 300))}], "mask")


def test_a_box_that_stands_over_the_picture_is_cut(tmp_path: Path) -> None:
    rgb, mask = portrait(1)
    assert choose_prompt(tmp_path / "a.png", rgb, mask, [{"a": Prompt((-5, 3, 300, 40))}], "mask").box == (0, 3, 96, 40)
