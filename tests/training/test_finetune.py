from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from arena.catalog import get_card
from arena.cli.app import app
from arena.errors import ArenaError, OptionError
from arena.models.remback import RembackSegmenter
from arena.models.sam import SamPredictor
from arena.nets.sam import is_segment_anything
from arena.photo import Photo
from arena.training.augment import AugmentSettings
from arena.training.finetune import FinetuneRun, FinetuneSettings, Survey, read_settings, survey
from arena.training.pictures import DataError
from arena.training.prompts import Prompt
from arena.training.sam import LossWeights
from arena.training.tables import write_table
from arena.training.trainer import BEST
from tests.models import sam_tiny
from tests.training.people import write_portraits

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sam_tiny.save_transformers(tmp_path_factory.mktemp("start") / "start.safetensors")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_portraits(tmp_path / "portraits", 6)


def settings(folder: Path, start: Path, **changes: Any) -> FinetuneSettings:
    values = {"data": (str(folder),), "checkpoint": str(start), "boxes": "mask", "epochs": 2, "batch": 2}
    values |= {"trained_blocks": 1, "learning_rate": 1e-3}
    return FinetuneSettings(**values | changes)  # type: ignore[arg-type]


def arena(*words: object) -> Result:
    # Wide, so that no message is broken in the middle of what a test looks for.
    return CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "200"})


def test_a_run_leaves_weights_log_curves_and_what_it_was_made_of(folder: Path, start: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    weights = FinetuneRun(settings(folder, start), out).run()
    for name in ("sam.pth", "log.csv", "curves.png", "config.toml", "pictures.json", "checkpoint.pt", "best.pt"):
        assert (out / name).is_file(), name
    state = torch.load(weights, weights_only=True)
    assert is_segment_anything(state)
    assert state.keys() == torch.load(sam_tiny.save_segment_anything(tmp_path / "x.pth"), weights_only=True).keys()
    assert len((out / "log.csv").read_text().splitlines()) == 3


def test_its_weights_are_the_best_ones_and_run_in_segmenter_and_remback(
    folder: Path, start: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    weights = FinetuneRun(settings(folder, start, patience=0), out).run()
    best = torch.load(out / BEST, weights_only=True)["average"]
    predictor = SamPredictor.load(weights, "cpu")
    for name, value in predictor.net.state_dict().items():
        assert torch.equal(value, best[name]), name
    photo = Photo.open(next((folder / "images").iterdir()))
    segmenter = RembackSegmenter.load(get_card("remback"), weights, "cpu")
    assert segmenter.segment(photo, boxes=[(10, 10, 80, 90)]).alpha.shape == (96, 96)


def test_the_written_config_makes_the_same_run_again(folder: Path, start: Path, tmp_path: Path) -> None:
    first = FinetuneRun(settings(folder, start), tmp_path / "first").run()
    again = FinetuneRun(read_settings(tmp_path / "first" / "config.toml"), tmp_path / "again").run()
    assert first.read_bytes() == again.read_bytes()


def test_settings_survive_their_file(tmp_path: Path) -> None:
    whole = FinetuneSettings(
        data=(str(tmp_path / "a"), str(tmp_path / "ü")),
        validation=(str(tmp_path / "b"),),
        epochs=3,
        learning_rate=1e-5,
        augment=AugmentSettings(flip=0.25),
        loss=LossWeights(dice=1.0),
    )
    path = tmp_path / "config.toml"
    path.write_text(write_table(whole), "utf-8")
    assert read_settings(path) == whole


def test_paths_in_a_config_start_from_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('data = ["ccp"]\ncheckpoint = "sam.pth"\n', "utf-8")
    read = read_settings(path)
    assert read.data == (str(tmp_path / "ccp"),)
    assert read.checkpoint == str(tmp_path / "sam.pth")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("epoch = 3", "epochs"),
        ("epochs = 0", "epochs"),
        ('epochs = "many"', "epochs"),
        ('boxes = "nose"', "boxes"),
        ('precision = "float8"', "precision"),
        ("learning_rate = -1.0", "learning_rate"),
        ("[augment]\nflip = 2.0", "flip"),
        ("[augment]\nflap = 0.5", "flip"),
        ("[loss]\ndice = -1.0", "loss"),
        ("augment = 3", "augment"),
        ("epochs =", "TOML"),
    ],
)
def test_a_mistake_in_a_config_is_named(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(OptionError, match=named):
        read_settings(path)


def test_what_cannot_be_used_is_named_and_the_rest_goes_on(folder: Path, start: Path) -> None:
    (folder / "images" / "0001.png").write_bytes(b"no picture")
    Image.new("L", (7, 7), 255).save(folder / "masks" / "0002.png")
    Image.new("L", (96, 96), 0).save(folder / "masks" / "0003.png")
    (folder / "masks" / "0006.png").unlink()
    found = survey(settings(folder, start))
    assert [picture.photo.stem for picture in found.training] == ["0005"]
    assert [line.split(":")[0] for line in found.skipped] == ["0006.png", "0001.png", "0002.png", "0003.png"]
    assert "96 x 96 pixels, but 0002.png 7 x 7" in found.skipped[2]
    assert "nobody is in its mask" in found.skipped[3]


def test_without_a_face_a_picture_is_left_out_and_the_reason_given(folder: Path, start: Path) -> None:
    with pytest.raises(DataError, match="no picture to learn from") as raised:
        survey(settings(folder, start, boxes="face"))
    assert "no face" in raised.value.details


def test_prompts_beside_the_pictures_are_used_and_those_of_the_file_before_them(
    folder: Path, start: Path, tmp_path: Path
) -> None:
    (folder / "prompts").mkdir()
    for number in range(1, 7):
        (folder / "prompts" / f"{number:04d}.json").write_text(json.dumps([[1, 2, 50 + number, 60]]))
    (folder / "prompts" / "0006.json").write_text("[]")
    # Whatever the two call the picture.
    (folder / "prompts" / "0004.png.json").write_text(json.dumps([[1, 2, 50, 60]]))
    given = tmp_path / "given.json"
    given.write_text(
        json.dumps(
            {"0002": {"points": [[5, 6], [7, 8]], "labels": [1, 0]}, "0003.png": [3, 3, 33, 33], "0004": [4, 4, 44, 44]}
        )
    )
    found = survey(settings(folder, start, prompts=str(given)))
    prompts = {picture.photo.stem: picture.prompt for picture in found.training}
    assert prompts["0001"] == Prompt((1, 2, 51, 60))
    assert prompts["0002"] == Prompt(None, ((5, 6), (7, 8)), (1, 0))
    assert prompts["0003"] == Prompt((3, 3, 33, 33))
    validation = {picture.photo.stem: picture.prompt for picture in found.validation}
    assert validation["0004"] == Prompt((4, 4, 44, 44))
    assert found.skipped == ("0006.png: its prompt is empty",)
    assert Survey.read(found.written()) == found


def test_other_pictures_can_be_validated_with(folder: Path, start: Path, tmp_path: Path) -> None:
    other = write_portraits(tmp_path / "other", 2)
    found = survey(settings(folder, start, validation=(str(other),)))
    assert len(found.training) == 6
    assert {picture.photo.parents[1].name for picture in found.validation} == {"other"}


def test_what_is_learned_from_cannot_be_validated_with(folder: Path, start: Path) -> None:
    with pytest.raises(DataError, match="both to learn from and to validate with"):
        survey(settings(folder, start, validation=(str(folder),)))


def test_a_folder_of_another_run_is_not_touched(folder: Path, start: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    FinetuneRun(settings(folder, start, epochs=1), out).run()
    before = (out / "config.toml").read_bytes()
    with pytest.raises(OptionError, match="other settings"):
        FinetuneRun(settings(folder, start, seed=5), out)
    assert (out / "config.toml").read_bytes() == before


def test_the_weights_that_it_begins_with_are_not_written_over(folder: Path, start: Path, tmp_path: Path) -> None:
    own = tmp_path / "mine" / "sam.pth"
    own.parent.mkdir()
    own.write_bytes(start.read_bytes())
    with pytest.raises(OptionError, match="would be overwritten"):
        FinetuneRun(settings(folder, own), own.parent)
    assert own.read_bytes() == start.read_bytes()


def test_settings_can_be_mended_before_the_first_checkpoint(folder: Path, start: Path, tmp_path: Path) -> None:
    FinetuneRun(settings(folder, start), tmp_path / "out")
    run = FinetuneRun(settings(folder, start, boxes="mask", seed=5), tmp_path / "out")
    assert read_settings(tmp_path / "out" / "config.toml").seed == 5
    assert run.survey.training


def test_a_picture_that_vanishes_meanwhile_is_named(folder: Path, start: Path, tmp_path: Path) -> None:
    run = FinetuneRun(settings(folder, start), tmp_path / "out")
    for path in (folder / "images").iterdir():
        path.unlink()
    with pytest.raises(ArenaError, match=r"000\d\.png"):
        run.run()


def test_mixed_precision_is_float16_on_cuda_alone() -> None:
    auto = FinetuneSettings()
    assert auto.schedule(10, "cuda:1").precision == "float16"
    assert auto.schedule(10, "cpu").precision == "float32"
    assert dataclasses.replace(auto, precision="bfloat16").schedule(10, "cuda:0").precision == "bfloat16"


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision_trains(folder: Path, start: Path, tmp_path: Path, precision: str) -> None:
    weights = FinetuneRun(settings(folder, start, epochs=1, precision=precision), tmp_path / "out").run()
    state = torch.load(weights, weights_only=True)
    assert all(value.dtype == torch.float32 and value.isfinite().all() for value in state.values())


def test_the_command_trains_and_says_where_the_weights_are(folder: Path, start: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (folder / "images" / "0001.png").write_bytes(b"no picture")
    words = ("finetune", folder, "--out", out, "--checkpoint", start, "--boxes", "mask", "--epochs", 1, "--batch", 2)
    result = arena(*words, "--trained-blocks", 1, "--cache-features", 2, "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == str(out / "sam.pth")
    assert "Not used: 0001.png" in result.stderr
    assert "1 picture was not used" in result.stderr
    assert "4 pictures to learn from, 1 to validate with" in result.stderr
    assert "iou" in result.stderr
    assert np.array(Image.open(out / "curves.png")).shape[2] == 4
    assert not (out / "features").exists()
    before = (out / "sam.pth").read_bytes()
    over = arena("finetune", "--config", out / "config.toml", "--out", out, "--device", "cpu")
    assert over.exit_code == 0, over.output
    assert (out / "sam.pth").read_bytes() == before
    assert not (out / "features").exists()
    again = arena("finetune", "--config", out / "config.toml", "--out", tmp_path / "again", "--epochs", 2)
    assert again.exit_code == 0, again.output
    assert read_settings(tmp_path / "again" / "config.toml").epochs == 2


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["{folder}"], "--out"),
        (["--out", "{out}"], "what to learn from"),
        (["{folder}x", "--out", "{out}", "--checkpoint", "{start}"], "does not exist"),
        (["{folder}", "--out", "{out}", "--checkpoint", "{folder}/none.pth"], "none.pth"),
        (["{folder}", "--out", "{out}", "--checkpoint", "{start}", "--trained-blocks", "3"], "has 2"),
        (["{folder}", "--out", "{out}", "--model", "lite"], "no SAM"),
        (["{folder}", "--out", "{out}", "--config", "{folder}/none.toml"], "none.toml"),
    ],
)
def test_a_wrong_command_says_what_is_wrong(
    folder: Path, start: Path, tmp_path: Path, words: list[str], named: str
) -> None:
    places = {"folder": folder, "out": tmp_path / "out", "start": start}
    result = arena("finetune", *(word.format(**places) for word in words))
    assert result.exit_code != 0
    assert isinstance(result.exception, ArenaError)
    assert named in str(result.exception)
