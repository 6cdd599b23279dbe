"""Boxes and points from the shell."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from arena.catalog import Task
from arena.cli.app import app
from arena.cli.options import prompts_for
from arena.errors import OptionError
from arena.models.pool import unload
from arena.photo import Photo, encode
from tests.fakes import make_card
from tests.models import sam_tiny

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from typer.testing import Result

    from tests.hub import HubEmulator


@pytest.fixture(autouse=True)
def _cards(use_cards: Callable[..., None]) -> Iterator[None]:
    use_cards(
        make_card("disc", "DiscSegmenter"),
        make_card("text", "PromptedSegmenter", text_prompt=True),
        make_card("boxes", "BoxSegmenter", task=Task.PROMPTED, box_prompt=True, point_prompt=True),
        make_card("empty", "EmptySegmenter", task=Task.PROMPTED, box_prompt=True),
    )
    yield
    unload()


@pytest.fixture
def picture(tmp_path: Path, photo: Photo) -> Path:
    path = tmp_path / "me.png"
    path.write_bytes(encode(photo.rgb))
    return path


def arena(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def test_prompts_go_to_the_models_that_take_them() -> None:
    told = prompts_for(["disc", "text", "boxes"], "a cat", ["1,2,3,4", "5,6,7,8"], ["9,10", "11,12,-"])
    assert told == {
        "text": {"prompt": "a cat"},
        "boxes": {
            "boxes": [(1, 2, 3, 4), (5, 6, 7, 8)],
            "points": [(9, 10), (11, 12)],
            "labels": [1, 0],
        },
    }
    assert prompts_for(["disc", "text"]) == {}


@pytest.mark.parametrize(
    ("keys", "options", "message"),
    [
        (["disc"], {"boxes": ["1,2,3,4"]}, r"^None of disc takes a box\. Add -m sam-vit-b, or leave --box out"),
        (["disc", "empty"], {"points": ["1,2"]}, r"takes a point\. Add -m sam-vit-b, or leave --point out"),
        (["boxes"], {"prompt": "cat"}, r"takes a text\. Add -m sam3, or leave --prompt out"),
        (["boxes"], {"boxes": ["1,2,3"]}, r"'1,2,3' is not a box"),
        (["boxes"], {"points": ["1"]}, r"'1' is not a point"),
        (["disc", "boxes"], {}, r"^Boxes has to be shown what to segment\. .*add --box x0,y0,x1,y1"),
        (["boxes", "empty"], {"points": ["1,2"]}, r"^Empty has to be shown what to segment"),
    ],
)
def test_prompts_that_reach_nobody_and_models_that_get_none_are_refused(
    keys: list[str], options: dict[str, list[str]], message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        prompts_for(keys, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("command", [("cutout",), ("blur",), ("replace", "-b", "#ff0000")])
def test_boxes_and_points_reach_the_model(picture: Path, tmp_path: Path, command: tuple[str, ...]) -> None:
    out = tmp_path / "out.png"
    result = arena(
        *command,
        picture,
        "-o",
        out,
        "-m",
        "boxes",
        "--box",
        "10,20,40,60",
        "--box",
        "80,20,100,60",
        "--point",
        "20,30,-",
    )
    assert result.exit_code == 0, result.output
    assert "Box 1: score 0.90; box 2: score 0.91." in result.stderr
    changed = Photo.open(out)
    if command == ("cutout",):
        assert changed.rgba is not None
        alpha = changed.rgba[..., 3]
        assert alpha[50, 35] == alpha[40, 90] == 255
        assert alpha[30, 20] == alpha[40, 60] == 0


def test_compare_tells_those_that_listen(picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = arena("compare", picture, "-m", "disc", "-m", "boxes", "-m", "empty", "-o", out, "--box", "10,20,40,60")
    assert result.exit_code == 0, result.output
    assert "me, Empty: nothing of that kind found" in result.stdout
    numbers = json.loads((out / "results.json").read_text())["photos"]["me"]
    assert numbers["boxes"]["notes"] == ["Box 1: score 0.90."]
    assert numbers["disc"]["found"]


def test_nothing_in_the_box_writes_nothing_and_says_so(picture: Path, tmp_path: Path) -> None:
    result = arena("blur", picture, "-o", tmp_path / "out.png", "-m", "empty", "--box", "1,2,30,40")
    assert result.exit_code == 1
    assert "Nothing of that kind was found in me.png by Empty" in result.stderr
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-m", "boxes", "--box", "nan,0,10,10"), "are no boxes"),
        (("-m", "boxes", "--box", "30,30,10,40"), "has no area"),
        (("-m", "boxes", "--point", "10,10,-"), "has to be shown"),
    ],
)
def test_prompts_that_never_work_are_told_before_anything_is_loaded(
    words: tuple[str, ...], message: str, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("arena.models.pool.ModelPool.get", lambda *_, **__: pytest.fail("it was loaded"))
    result = arena("blur", picture, "-o", tmp_path / "out.png", *words)
    assert isinstance(result.exception, OptionError)
    assert message in str(result.exception)


def test_a_prompted_model_without_a_prompt_is_wrong_usage(
    picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from arena.cli import main

    monkeypatch.setattr(sys, "argv", ["arena", "blur", str(picture), "-o", str(tmp_path / "out.png"), "-m", "boxes"])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2


def test_models_says_what_each_can_be_told_and_what_it_needs() -> None:
    rows = {line.split()[0]: line for line in arena("models").stdout.splitlines()}
    assert " needs boxes or points " in rows["boxes"]
    assert " text " in rows["text"]
    assert "text" not in rows["disc"]
    assert "boxes" not in rows["disc"]


def test_sam_cuts_out_what_is_in_the_box(
    picture: Path, tmp_path: Path, hub: HubEmulator, use_cards: Callable[..., None]
) -> None:
    weights = sam_tiny.save_transformers(tmp_path / "model.safetensors")
    use_cards(hub.publish(sam_tiny.card(), weights.read_bytes()))
    out = tmp_path / "out.png"
    result = arena("cutout", picture, "-o", out, "-m", "sam-vit-b", "-d", "cpu", "--box", "30,10,100,80")
    assert result.exit_code == 0, result.output
    assert "Box 1: score" in result.stderr
    cut = Photo.open(out)
    assert cut.rgba is not None
    opaque = cut.rgba[..., 3] > 127
    assert opaque.any()
    assert not opaque.all()
    outside = arena("cutout", picture, "-o", out, "-m", "sam-vit-b", "-d", "cpu", "--box", "300,10,400,80")
    assert isinstance(outside.exception, OptionError)
    assert "outside of the photo, which is 128 x 96 pixels" in str(outside.exception)
