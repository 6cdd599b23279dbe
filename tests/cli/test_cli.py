"""The shell, as its user types it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from arena.cli.app import app
from arena.errors import ArenaError, OptionError, PhotoError
from arena.models.base import Segmenter
from arena.models.pool import unload
from arena.photo import Photo, encode
from tests.fakes import DiscSegmenter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from typer.testing import Result

    from arena.matte import Matte

pytestmark = pytest.mark.usefixtures("fake_cards")


@pytest.fixture(autouse=True)
def _empty_pool() -> Iterator[None]:
    yield
    unload()


@pytest.fixture
def picture(tmp_path: Path, photo: Photo) -> Path:
    path = tmp_path / "in" / "me.png"
    path.parent.mkdir()
    path.write_bytes(encode(photo.rgb))
    return path


def arena(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def test_compare_writes_every_picture_and_the_numbers(picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = arena("compare", picture, "-m", "disc", "-m", "empty", "--out", out, "--kernel", 31)
    assert result.exit_code == 0, result.output
    written = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    assert written == [
        "me/alpha/disc.png",
        "me/blurred/disc.png",
        "me/cutout/disc.png",
        "me/masks/disc.png",
        "results.json",
    ]
    numbers = json.loads((out / "results.json").read_text())
    assert numbers["kernel"] == 31
    assert numbers["photos"]["me"]["disc"]["found"] is True
    assert numbers["photos"]["me"]["disc"]["size"] == [128, 96]
    assert numbers["photos"]["me"]["empty"]["found"] is False
    assert Photo.open(out / "me/cutout/disc.png").rgba is not None
    assert "me, Empty: no humans detected" in result.stdout


def test_compare_goes_on_after_failures_and_names_them_at_the_end(picture: Path, tmp_path: Path) -> None:
    (picture.parent / "bad.jpg").write_bytes(b"?")
    out = tmp_path / "out"
    result = arena("compare", picture.parent, "-m", "disc", "-m", "broken", "-o", out)
    assert result.exit_code == 1
    assert (out / "me/blurred/disc.png").is_file()
    assert "1 of 4 results are in" in result.stdout
    assert "bad, Disc: bad.jpg is not a picture" in result.stderr
    assert "me, Broken: Broken stopped with ZeroDivisionError" in result.stderr
    assert json.loads((out / "results.json").read_text())["photos"]["bad"]["disc"]["error"].startswith("bad.jpg")


def test_compare_prints_json_alone_to_standard_output(picture: Path, tmp_path: Path) -> None:
    result = arena("compare", picture, "-m", "disc", "--out", tmp_path / "out", "--json")
    assert json.loads(result.stdout)["photos"]["me"]["disc"]["seconds"] == 0.25


def test_blur_writes_one_picture_in_the_format_of_its_name(picture: Path, tmp_path: Path) -> None:
    for ending in (".jpg", ".png", ".webp"):
        out = tmp_path / f"blurred{ending}"
        result = arena("blur", picture, "-o", out, "-m", "disc", "--kernel", 31)
        assert result.exit_code == 0, result.output
        assert Photo.open(out).size == (128, 96)


def test_a_refinement_that_leaves_nobody_writes_nothing_and_says_so(picture: Path, tmp_path: Path) -> None:
    config = tmp_path / "harsh.toml"
    config.write_text("[refine]\nopening = 99\nopening_iterations = 9\n", "utf-8")
    result = arena("cutout", picture, "-o", tmp_path / "out.png", "-m", "disc", "--config", config)
    assert isinstance(result.exception, OptionError)
    assert "The refinement leaves nobody in me." in str(result.exception)
    assert not (tmp_path / "out.png").exists()


def test_blur_without_anybody_writes_nothing_and_says_so(picture: Path, tmp_path: Path) -> None:
    result = arena("blur", picture, "-o", tmp_path / "out.png", "-m", "empty")
    assert result.exit_code == 1
    assert "No humans detected in me.png by Empty" in result.stderr
    assert not (tmp_path / "out.png").exists()


def test_cutout_is_transparent(picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "cutout.png"
    assert arena("cutout", picture, "-o", out, "-m", "disc").exit_code == 0
    cut = Photo.open(out)
    assert cut.rgba is not None
    assert cut.rgba[0, 0, 3] == 0
    assert cut.rgba[48, 64, 3] == 255


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("blur", "PHOTO", "-o", "out.png", "-m", "disc", "-k", 100), "Use 99 or 101."),
        (("blur", "PHOTO", "-o", "out.bmp", "-m", "disc"), 'ends in ".bmp"'),
        (("blur", "PHOTO", "-o", "out.png", "-m", "nothing"), 'no model "nothing"'),
        (("blur", "PHOTO", "-o", "out.png", "-m", "disc", "-d", "tpu"), 'no device called "tpu"'),
        (("cutout", "PHOTO", "-o", "out.jpg", "-m", "disc"), "no transparency"),
        (("blur", "PHOTO", "-o", "out.png", "-m", "disc", "--prompt", "cat"), "takes a text"),
        (("compare", "EMPTY", "-o", "out", "-m", "disc"), "no picture in"),
        (("fetch",), "not clear what to fetch"),
        (("blur", "PHOTO", "-o", "PHOTO", "-m", "disc"), "The photo"),
        (("replace", "PHOTO", "-b", "BEACH", "-o", "BEACH", "-m", "disc"), "The background"),
        (("models", "nosuch*"), "There is no model 'nosuch*'"),
        (("evaluate", "nowhere", "-m", "disc"), "There is no nowhere"),
        (("fetch", "disc", "--all"), "not clear what to fetch"),
    ],
)
def test_wrong_usage_is_explained_and_exits_with_two(
    words: tuple[object, ...], message: str, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from arena.cli import main

    monkeypatch.chdir(tmp_path)
    (tmp_path / "nothing").mkdir()
    shutil.copy(picture, tmp_path / "beach.png")
    places = {"PHOTO": str(picture), "EMPTY": str(tmp_path / "nothing"), "BEACH": str(tmp_path / "beach.png")}
    monkeypatch.setattr(sys, "argv", ["arena", *(places.get(str(word), str(word)) for word in words)])
    errors: list[str] = []
    monkeypatch.setattr("arena.cli.console.err.print", lambda text, **style: errors.append(str(text)))
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    assert message in " ".join(errors)
    assert not list(tmp_path.glob("out*"))


def test_a_missing_photo_is_no_wrong_usage_but_a_failure(tmp_path: Path) -> None:
    result = arena("blur", tmp_path / "nowhere.jpg", "-o", tmp_path / "out.png", "-m", "disc")
    assert isinstance(result.exception, ArenaError)
    assert "There is no file" in str(result.exception)


def test_a_text_prompt_reaches_the_model(picture: Path, tmp_path: Path) -> None:
    result = arena("blur", picture, "-o", tmp_path / "out.png", "-m", "prompted", "--prompt", "cat")
    assert "Looked for cat." in result.stderr


def test_models_lists_all_and_says_what_cannot_run() -> None:
    result = arena("models")
    assert "not available in this build" in result.stdout
    cards = json.loads(arena("models", "--json", "d*").stdout)
    assert [card["key"] for card in cards] == ["disc"]
    assert cards[0]["available"] is True
    assert cards[0]["cached"] is True


def test_a_picture_that_cannot_be_made_is_named_and_the_numbers_are_written(picture: Path, tmp_path: Path) -> None:
    config = tmp_path / "harsh.toml"
    config.write_text("[refine]\nopening = 99\nopening_iterations = 9\n", "utf-8")
    out = tmp_path / "out"
    result = arena("compare", picture, "-m", "disc", "-m", "empty", "--out", out, "--config", config)
    assert result.exit_code == 1
    assert "me, Disc" in result.stderr
    assert "The refinement leaves nobody in me." in result.stderr
    numbers = json.loads((out / "results.json").read_text())["photos"]["me"]
    assert "leaves nobody" in numbers["disc"]["error"]
    assert numbers["empty"]["error"] is None


def test_what_this_build_cannot_run_is_not_fetched() -> None:
    result = arena("fetch", "absent")
    assert result.exit_code != 0
    assert "not available in this build" in str(result.exception) + result.stderr


def test_fetch_of_a_model_in_the_box_has_nothing_to_do() -> None:
    result = arena("fetch", "disc")
    assert result.exit_code == 0
    assert "nothing to download" in result.stdout


def test_help_imports_nothing_that_it_does_not_need() -> None:
    code = (
        "import sys; sys.argv = ['arena', '--help']\n"
        "from arena.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = ('torch', 'cv2', 'huggingface_hub', 'streamlit', 'PIL')\n"
        "print([name for name in heavy if name in sys.modules], file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "compare" in result.stdout
    assert result.stderr.strip() == "[]"


def test_a_comparison_that_is_broken_off_keeps_what_is_known(
    picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Segmenter.segment
    done: list[Photo] = []

    def segment(self: Segmenter, photo: Photo, **prompts: Any) -> Matte:
        if done:
            raise KeyboardInterrupt
        done.append(photo)
        return real(self, photo, **prompts)

    monkeypatch.setattr(Segmenter, "segment", segment)
    second = tmp_path / "second.png"
    second.write_bytes(picture.read_bytes())
    result = arena("compare", picture, second, "-o", tmp_path / "out", "-m", "disc")
    assert result.exit_code != 0
    kept = (tmp_path / "out/results.json").read_text()
    assert list(json.loads(kept)["photos"]) == [picture.stem]
    # Broken off before its first result, the next one leaves that as it is.
    assert arena("compare", picture, "-o", tmp_path / "out", "-m", "disc").exit_code != 0
    assert (tmp_path / "out/results.json").read_text() == kept


def test_a_folder_that_cannot_be_written_to_stops_before_the_work(picture: Path, tmp_path: Path) -> None:
    file = tmp_path / "out"
    file.write_bytes(b"mine")
    loads = DiscSegmenter.loads
    result = arena("compare", picture, "-o", file, "-m", "disc")
    assert isinstance(result.exception, PhotoError)
    assert DiscSegmenter.loads == loads
    assert file.read_bytes() == b"mine"
