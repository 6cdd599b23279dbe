"""``arena depth``, and the blur that goes by it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from arena.catalog import DEPTH_MODEL, Task
from arena.cli.app import app
from arena.errors import OfflineError
from arena.finish import Finish
from arena.models.pool import load_model, unload
from arena.photo import Photo, encode, read_depth
from arena.render import render_blur
from tests.fakes import RampEstimator, make_card
from tests.heic import heic_with_depth
from tests.models.random_weights import picture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from typer.testing import Result


@pytest.fixture(autouse=True)
def _cards(use_cards: Callable[..., None]) -> Iterator[None]:
    use_cards(
        make_card("disc", "DiscSegmenter"),
        make_card("again", "DiscSegmenter"),
        make_card("empty", "EmptySegmenter"),
        make_card(DEPTH_MODEL, "RampEstimator", label="Ramp", task=Task.DEPTH),
    )
    yield
    unload()


@pytest.fixture
def portrait(tmp_path: Path) -> Path:
    path = tmp_path / "me.png"
    path.write_bytes(encode(picture(90, 60)))
    return path


def arena(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def told(result: Result) -> str:
    """What a user is told: by Typer, or by whoever prints the error that a command ends with."""
    return " ".join(f"{result.output} {result.exception}".split())


def blurred(portrait: Path, *words: object) -> NDArray[np.uint8]:
    out = portrait.with_name("out.png")
    result = arena("blur", portrait, "-o", out, "-m", "disc", "-k", 31, *words)
    assert result.exit_code == 0, result.output
    return Photo.open(out).rgb


def expected(portrait: Path, depth: NDArray[np.float32]) -> NDArray[np.uint8]:
    photo = Photo.open(portrait).with_depth(depth)
    return render_blur(photo, load_model("disc").segment(photo), 31, Finish(distance="depth"))


def ramp(rows: int, columns: int) -> NDArray[np.float32]:
    return np.linspace(0, 1, rows, dtype=np.float32)[:, None].repeat(columns, axis=1)


def test_depth_is_written_and_read_again(portrait: Path, tmp_path: Path) -> None:
    result = arena("depth", portrait, "-o", tmp_path / "depth.png")
    assert result.exit_code == 0, result.output
    assert "depth.png: 30 x 45 px" in result.stderr
    depth = read_depth(tmp_path / "depth.png")
    np.testing.assert_allclose(depth / 65535, ramp(45, 30), atol=1e-4)
    np.testing.assert_array_equal(blurred(portrait, "--depth-map", tmp_path / "depth.png"), expected(portrait, depth))


def test_the_blur_goes_by_depth(portrait: Path, tmp_path: Path) -> None:
    by_depth = blurred(portrait, "--distance", "depth")
    np.testing.assert_array_equal(by_depth, expected(portrait, ramp(45, 30)))
    assert (by_depth != blurred(portrait)).any()
    config = tmp_path / "depth.toml"
    config.write_text('distance = "depth"\n')
    np.testing.assert_array_equal(blurred(portrait, "-c", config), by_depth)


def test_a_map_asks_no_network(portrait: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RampEstimator, "failure", AssertionError("was asked"))
    Image.fromarray((ramp(20, 14) * 255).astype(np.uint8)).save(tmp_path / "map.png")
    depth = (ramp(20, 14) * 255).astype(np.uint8).astype(np.float32)
    np.testing.assert_array_equal(blurred(portrait, "--depth-map", tmp_path / "map.png"), expected(portrait, depth))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--distance", "ground", "--depth-map", "map.png"), "--depth-map is of no use with --distance ground"),
        (("--depth-map", "nowhere.png"), "There is no file"),
        (("--depth-map", "coloured.png"), "coloured.png is coloured, and a depth map is grey"),
        (("--depth-map", "square.png"), "A depth map of 40 x 40 px is not of a photo of 60 x 90 px"),
        (("--depth-map", "note.png"), "note.png is not a picture"),
        (("--distance", "far"), "far"),
    ],
)
def test_what_cannot_be_gone_by_is_named_and_nothing_is_written(
    words: tuple[str, ...], said: str, portrait: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(picture(90, 60)).save("coloured.png")
    Image.fromarray(np.zeros((40, 40), np.uint8)).save("square.png")
    (tmp_path / "note.png").write_text("no picture")
    result = arena("blur", portrait, "-o", "out.png", "-m", "disc", *words)
    assert result.exit_code != 0
    assert said in told(result)
    assert not (tmp_path / "out.png").exists()


def test_a_map_is_not_overwritten(portrait: Path, tmp_path: Path) -> None:
    Image.fromarray((ramp(20, 14) * 255).astype(np.uint8)).save(tmp_path / "map.png")
    before = (tmp_path / "map.png").read_bytes()
    result = arena("blur", portrait, "-o", tmp_path / "map.png", "-m", "disc", "--depth-map", tmp_path / "map.png")
    assert result.exit_code == 1
    assert "would be overwritten" in told(result)
    result = arena("depth", portrait, "-o", portrait)
    assert "would be overwritten" in told(result)
    assert "does not end in .png" in told(arena("depth", portrait, "-o", "depth.jpg"))
    assert (tmp_path / "map.png").read_bytes() == before


def test_a_comparison_finds_depth_once_a_photo(portrait: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    estimate = RampEstimator.estimate

    def counted(self: RampEstimator, photo: Photo) -> object:
        seen.append(photo.name)
        return estimate(self, photo)

    monkeypatch.setattr(RampEstimator, "estimate", counted)
    words = ("-m", "disc", "-m", "empty", "--distance", "depth", "-k", 31, "-o", tmp_path / "out")
    result = arena("compare", portrait, *words)
    assert result.exit_code == 0, result.output
    assert seen == ["me"]
    made = Photo.open(tmp_path / "out" / "me" / "blurred" / "disc.png").rgb
    np.testing.assert_array_equal(made, expected(portrait, ramp(45, 30)))
    assert json.loads((tmp_path / "out" / "results.json").read_text())["distance"] == "depth"


def test_a_comparison_of_more_photos_than_maps_are_kept_finds_those_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("arena.cli.compare.KEPT_DEPTHS", 2)
    seen: list[str] = []
    estimate = RampEstimator.estimate

    def counted(self: RampEstimator, photo: Photo) -> object:
        seen.append(photo.name)
        return estimate(self, photo)

    monkeypatch.setattr(RampEstimator, "estimate", counted)
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(encode(picture(30 + number, 20)))
    words = ("-m", "disc", "-m", "again", "--distance", "depth", "-o", tmp_path / "out")
    result = arena("compare", *(tmp_path / f"{number}.png" for number in range(3)), *words)
    assert result.exit_code == 0, result.output
    assert seen == ["0", "1", "2", "2"]


def test_no_blur_asks_no_network(portrait: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RampEstimator, "failure", AssertionError("was asked"))
    out = portrait.with_name("out.png")
    result = arena("blur", portrait, "-o", out, "-m", "disc", "-k", 1, "--distance", "depth")
    assert result.exit_code == 0, result.output
    np.testing.assert_array_equal(Photo.open(out).rgb, Photo.open(portrait).rgb)


def test_a_comparison_without_the_weights_says_so_before_it_begins(
    portrait: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object, **__: object) -> None:
        raise OfflineError("Ramp's weights are not on this machine.", "Fetch them.")

    monkeypatch.setattr("arena.models.pool.weights.fetch", missing)
    result = arena("compare", portrait, "-m", "disc", "--distance", "depth", "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert "weights are not on this machine" in told(result)
    assert not (tmp_path / "out").exists()


def test_photos_that_bring_their_depth_ask_no_network(
    portrait: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shades = np.tile(np.linspace(0, 255, 30).astype(np.uint8), (45, 1))
    (tmp_path / "phone.heic").write_bytes(heic_with_depth(picture(90, 60), shades))
    words = ("-m", "disc", "--distance", "depth", "-k", 31, "-o", tmp_path / "out")
    assert arena("compare", tmp_path / "phone.heic", portrait, *words).exit_code == 0

    monkeypatch.setattr(RampEstimator, "failure", AssertionError("was asked"))
    photo = Photo.open(tmp_path / "phone.heic")
    np.testing.assert_array_equal(photo.depth, shades)
    goal = render_blur(photo, load_model("disc").segment(photo), 31, Finish(distance="depth"))
    np.testing.assert_array_equal(Photo.open(tmp_path / "out" / "phone" / "blurred" / "disc.png").rgb, goal)
    np.testing.assert_array_equal(blurred(tmp_path / "phone.heic", "--distance", "depth"), goal)
    # Not even loaded.
    unload()
    monkeypatch.setattr("arena.cli.compare._Depths._estimator", lambda _: pytest.fail("was loaded"))
    assert arena("compare", tmp_path / "phone.heic", *words).exit_code == 0
    assert "30 x 45 px, from the photo's file" in told(
        arena("depth", tmp_path / "phone.heic", "-o", tmp_path / "d.png")
    )
    held = read_depth(tmp_path / "d.png")
    np.testing.assert_allclose(held / held.max(), shades / np.float32(255), atol=1e-4)
    # Of another file of the same view.
    np.testing.assert_array_equal(
        blurred(portrait, "--distance", "depth", "--depth-map", tmp_path / "phone.heic"),
        expected(portrait, shades.astype(np.float32)),
    )


def test_a_model_that_gives_depth_blurs_nothing(portrait: Path, tmp_path: Path) -> None:
    result = arena("blur", portrait, "-o", tmp_path / "out.png", "-m", DEPTH_MODEL)
    assert result.exit_code == 1
    assert "Ramp gives a depth map, not a matte" in told(result)
    result = arena("depth", portrait, "-o", tmp_path / "out.png", "-m", "disc")
    assert "Disc gives a matte, not a depth map" in told(result)
