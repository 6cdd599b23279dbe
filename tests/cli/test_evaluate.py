"""``arena evaluate``, as its user types it."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import pytest
from PIL import Image
from typer.testing import CliRunner

from arena.cli.app import app
from arena.errors import OptionError, UnknownModelError
from arena.models.pool import unload
from tests.stripes import PickySegmenter, stripe_cards, write_pictures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from typer.testing import Result


@pytest.fixture(autouse=True)
def _stripes(use_cards: Callable[..., None]) -> Iterator[None]:
    use_cards(*stripe_cards())
    yield
    unload()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_pictures(tmp_path / "data", a=50, b=25, c=80)


def arena(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def test_the_table_has_models_across_and_metrics_with_units_and_intervals_down(data: Path) -> None:
    result = arena("evaluate", data, "-m", "stripe-40", "-m", "stripe-0", "--device", "cpu")
    assert result.exit_code == 0, result.output
    lines = {line.split("  ")[0].strip(): line for line in result.stdout.splitlines()}
    assert lines["3 pictures"].split() == ["3", "pictures", "Unit", "stripe-40", "stripe-0"]
    assert "share" in lines["IoU ↑"]
    assert "0.6417 (0.5000–0.8000)" in lines["IoU ↑"]
    # The one is worse on every picture, so the difference is certain.
    assert "0.0000 (0.0000–0.0000)*" in lines["IoU ↑"]
    assert "sum in thousands" in lines["SAD ↓"]
    assert not any(name.startswith("Gradient") for name in lines)
    assert lines["Somebody seen"].split()[-2:] == ["3", "0"]
    assert "* differs from stripe-40" in result.stdout
    assert "Add --out DIR" in result.stdout


def test_results_are_written_and_skipped_pictures_are_named_and_counted(data: Path, tmp_path: Path) -> None:
    (data / "photos" / "bad.jpg").write_bytes(b"?")
    Image.new("1", (5, 5), 1).save(data / "masks" / "bad.png")
    (data / "masks" / "c.png").unlink()
    out = tmp_path / "out"
    result = arena("evaluate", data, "-m", "stripe-50", "-m", "picky-50", "--out", out)
    assert result.exit_code == 1
    written = sorted(path.name for path in out.iterdir())
    assert written == ["cache", "report.json", "scores.csv", "summary.csv", "worst.jpg"]
    assert "Means are over the 1 of 2 pictures that all models scored." in result.stdout
    assert f"The results are in {out}" in result.stdout
    assert "Skipped: 3" in result.stderr
    assert "bad.jpg: bad.jpg is not a picture" in result.stderr
    assert "c.png: There is no c.png." in result.stderr
    assert "b.png, picky-50: Picky-50 stopped with ZeroDivisionError" in result.stderr


def test_json_alone_goes_to_standard_output(data: Path) -> None:
    result = arena("evaluate", data, "-m", "stripe-50", "--limit", 2, "--seed", 5, "--crop", "upper-body", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["options"]["limit"] == 2
    assert report["options"]["seed"] == 5
    assert report["options"]["crop"] == "upper-body"
    assert len(report["scores"]) == 2


def test_nothing_scored_is_no_table_but_a_list_of_reasons(data: Path) -> None:
    for mask in (data / "masks").iterdir():
        mask.write_bytes(b"?")
    result = arena("evaluate", data, "-m", "stripe-50")
    assert result.exit_code == 1
    assert "IoU" not in result.stdout
    assert "Skipped: 3" in result.stderr


def test_remback_is_compared_with_what_it_came_from_in_one_command(data: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "mine.pth"
    checkpoint.write_text("80")
    names = [f"stripe-50={checkpoint}", "boxed-0", "face-box", "stripe-50"]
    words = [word for name in names for word in ("-m", name)]
    result = arena("evaluate", data, *words, "--boxes", "mask", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["models"] == names
    means = {line["model"]: line["mean"] for line in report["summary"] if line["metric"] == "iou"}
    assert means["boxed-0"] == 1
    # Nobody's face is in a grey picture.
    assert means["face-box"] == 0


def test_an_interruption_says_how_to_go_on(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PickySegmenter, "failure", KeyboardInterrupt)
    result = arena("evaluate", data, "-m", "picky-50", "--out", tmp_path / "out")
    assert result.exit_code == 130
    assert "run the same again to go on" in result.stderr


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (("DATA", "-m", "nothing"), UnknownModelError),
        (("DATA", "-m", "stripe-50", "--split", "best"), OptionError),
        (("DATA", "-m", "stripe-50=nowhere"), OptionError),
        (("NOWHERE", "-m", "stripe-50"), OptionError),
    ],
)
def test_wrong_usage_is_explained(words: tuple[str, ...], kind: type[Exception], data: Path, tmp_path: Path) -> None:
    places = {"DATA": data, "NOWHERE": tmp_path / "nowhere"}
    result = arena("evaluate", *(places.get(word, word) for word in words))
    assert isinstance(result.exception, kind)


def test_weights_are_named_by_file_without_a_notice_of_the_licence(
    data: Path, tmp_path: Path, use_cards: Callable[..., None]
) -> None:
    (card, *_) = stripe_cards()
    use_cards(dataclasses.replace(card, commercial=False, repository="a/b", file="x"))
    weights = tmp_path / "mine"
    weights.write_text("50")
    result = arena("evaluate", data, "-m", f"stripe-50={weights}")
    assert result.exit_code == 0, result.output
    assert "commercial" not in result.stderr
