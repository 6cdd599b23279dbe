"""The command ``remback``, as it is typed."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING, get_args

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from arena.errors import ArenaError, OptionError
from arena.models.remback import FACES, RembackOptions
from arena.photo import Photo
from arena.remback import flags
from arena.remback.cli import app
from arena.remback.flags import LookFlags, MaskFlags, read_options
from tests.conftest import ROOT
from tests.models import sam_tiny
from tests.remback.fakes import PUBLISHED, BoxRemback, remback_card

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result

    from tests.hub import HubEmulator


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def remback(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def done(*words: object) -> Result:
    result = remback(*words)
    assert result.exit_code == 0, (result.output, result.exception)
    return result


def test_one_image_goes_to_output_jpg_and_is_made_anew_each_time(me: Path, tmp_path: Path) -> None:
    result = done("--image_path", me)
    assert Photo.open(tmp_path / "output.jpg").size == (128, 128)
    assert "output.jpg, 1 face" in result.stdout
    (tmp_path / "output.jpg").write_bytes(b"old")
    done("--image_path", me)
    assert Photo.open(tmp_path / "output.jpg").size == (128, 128)


def test_the_format_of_one_image_without_a_name_is_the_wanted_one(me: Path, tmp_path: Path) -> None:
    done(me, "--format", "png")
    assert np.asarray(Image.open(tmp_path / "output.png")).shape == (128, 128, 4)
    assert not (tmp_path / "output.jpg").exists()


def test_the_flags_its_users_know(me: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "remback_v4.pth"
    checkpoint.write_bytes(b"")
    done("--image_path", me, "--output_path", "plain.png")
    done(
        *("--image_path", me, "--output_path", "a/retouched.png", "--checkpoint", checkpoint),
        *("--sharp", "1", "--contrast", "1.3", "--debug_mask", "b/mask.png"),
    )
    plain, retouched = (np.asarray(Image.open(tmp_path / name)) for name in ("plain.png", "a/retouched.png"))
    assert plain.shape == (128, 128, 4)
    np.testing.assert_array_equal(plain[..., 3], retouched[..., 3])
    assert retouched[20:40, 50:60, :3].mean() > 1.1 * plain[20:40, 50:60, :3].mean()
    assert set(np.unique(np.asarray(Image.open(tmp_path / "b/mask.png")))) == {0, 255}
    assert BoxRemback.loads == 2


def test_no_face_is_told_and_nothing_is_written(album: Path, tmp_path: Path) -> None:
    result = remback(album / "hills.png")
    assert result.exit_code == 1
    assert "hills.png: No face was found in hills" in result.stderr
    assert "seen from the front" in result.stderr
    assert not (tmp_path / "output.jpg").exists()


def test_a_folder_goes_to_a_folder_and_a_failing_file_is_named(album: Path, tmp_path: Path) -> None:
    result = remback("--image_path", album, "--output_path", "cut", "--format", "png")
    assert result.exit_code == 1
    assert {path.name for path in (tmp_path / "cut").glob("[!.]*")} == {"ann.png", "grace.png"}
    assert Photo.open(tmp_path / "cut/ann.png").rgba is not None
    assert "broken.jpg: broken.jpg is not a picture" in result.stderr
    assert "hills.png: No face" in result.stderr
    summary = result.stdout.splitlines()[-1]
    assert summary == f"2 of 4 images were cut out; failed: {album / 'broken.jpg'}, {album / 'hills.png'}"


def test_a_batch_goes_on_where_it_was(album: Path, tmp_path: Path) -> None:
    for name in ("broken.jpg", "hills.png"):
        (album / name).unlink()
    assert "2 of 2 images were cut out" in done(album).stdout
    assert {path.name for path in (tmp_path / "output").glob("[!.]*")} == {"ann.jpg", "grace.jpg"}
    (tmp_path / "output/grace.jpg").unlink()
    again = done(album)
    assert "ann.jpg is there already" in again.stdout
    assert "1 of 2 images were cut out; there already: 1 (--overwrite does them again)" in again.stdout
    assert "2 of 2" in done(album, "--overwrite").stdout


@pytest.mark.parametrize("words", [("{}/*a*.*g",), ("{}/ann.png", "{}/grace.jpg"), ("--image_path", "{}/[ag]*")])
def test_patterns_and_several_images_are_a_batch(words: tuple[str, ...], album: Path, tmp_path: Path) -> None:
    done(*(word.format(album) for word in words), "--debug_mask", "masks")
    assert {path.name for path in (tmp_path / "output").glob("[!.]*")} == {"ann.jpg", "grace.jpg"}
    assert {path.name for path in (tmp_path / "masks").iterdir()} == {"ann.png", "grace.png"}


def test_one_image_may_go_to_a_folder(me: Path, tmp_path: Path) -> None:
    done(me, "--output_path", "cut")
    assert (tmp_path / "cut/me.jpg").is_file()
    (tmp_path / "v1.0").mkdir()
    done(me, "--output_path", "v1.0")
    assert (tmp_path / "v1.0/me.jpg").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "no image"),
        (("EMPTY",), "no picture in"),
        (("ALBUM", "--output_path", "all.jpg"), "--output_path is all.jpg, a file, but pictures go to a folder here"),
        (("ALBUM", "--debug_mask", "mask.png"), "--debug_mask is mask.png"),
        (("ALBUM", "--output_path", "ALBUM"), "would be overwritten"),
        (("ME", "--output_path", "ME"), "would be overwritten"),
        (("ME", "--output_path", "out.bmp"), 'ends in ".bmp"'),
        (("ME", "--debug_mask", "mask"), "has no ending"),
        (("ME", "--checkpoint", "nowhere.pth"), "no checkpoint nowhere.pth"),
        (("ME", "--opening", "4"), "--opening must be an odd"),
        (("ME", "--alpha_cut", "2"), "--alpha_cut must be"),
        (("ME", "--config", "nowhere.toml"), "no file nowhere.toml"),
        (("ME", "--device", "tpu"), 'no device called "tpu"'),
    ],
)
def test_a_wrong_command_is_explained_and_writes_nothing(
    words: tuple[str, ...], message: str, me: Path, album: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    # So that the album in itself is one of formats that would be written.
    (album / "jo.jpg").write_bytes((album / "grace.jpg").read_bytes())
    before = sorted(tmp_path.rglob("*"))
    places = {"ME": me, "ALBUM": album, "EMPTY": tmp_path / "empty"}
    result = remback(*(places.get(word, word) for word in words))
    assert isinstance(result.exception, ArenaError)
    assert message in str(result.exception)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_wrong_command_exits_with_two_and_a_failure_with_one(me: Path, album: Path) -> None:
    command = [sys.executable, "-m", "arena.remback"]
    wrong = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert wrong.returncode == 2
    assert "Error: There is no image to remove the background of." in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_every_number_is_in_flags_and_files_and_flags_come_first(me: Path, tmp_path: Path) -> None:
    names = [field.name for field in dataclasses.fields(RembackOptions)]
    spread = [flag for group in (LookFlags, MaskFlags) for flag in group.flags().values()]
    assert sorted(flag.key for flag in spread) == sorted(names)
    assert [flag.name for flag in spread] == [f"--{flag.key}" for flag in spread]
    config = tmp_path / "remback.toml"
    config.write_text('mask_thresh = 0.3\nopening = 3\nfaces = "all"\npad_up = 1\n', "utf-8")
    assert read_options(config) == RembackOptions(mask_thresh=0.3, opening=3, faces="all", pad_up=1)
    assert read_options(config, MaskFlags(opening=7), LookFlags(sharp=2)) == RembackOptions(
        mask_thresh=0.3, opening=7, faces="all", pad_up=1, sharp=2
    )


def test_help_says_the_defaults_that_there_are() -> None:
    assert get_args(flags.Faces) == FACES
    for group in (LookFlags, MaskFlags):
        for flag in group.flags().values():
            default = getattr(RembackOptions(), flag.key)
            said = flag.help.rpartition("Default: ")[2].rstrip(".").partition(",")[0]
            value = said if isinstance(default, str) else tomllib.loads(f"x = {said}")["x"]
            assert value == default, flag.name


def test_a_number_reaches_the_picture(me: Path, tmp_path: Path) -> None:
    (tmp_path / "wide.toml").write_text("pad_down = 1.5\n", "utf-8")
    areas = []
    for words in ((), ("--config", "wide.toml"), ("--config", "wide.toml", "--pad_down", "0")):
        done(me, "--debug_mask", "mask.png", *words)
        areas.append(np.asarray(Image.open(tmp_path / "mask.png")).sum())
    assert areas[1] > areas[0] > areas[2]


def test_a_mistake_in_the_file_names_it(me: Path, tmp_path: Path) -> None:
    for text, message in (
        ("mask_tresh = 1", "Did you mean mask_thresh?"),
        ("sigma = 'a'", "sigma must be"),
        ("=", "no TOML"),
    ):
        (tmp_path / "bad.toml").write_text(text, "utf-8")
        with pytest.raises(OptionError, match=r"bad\.toml") as caught:
            read_options(tmp_path / "bad.toml")
        assert message in str(caught.value)


def test_the_weights_are_downloaded_at_the_first_use(
    me: Path, tmp_path: Path, hub: HubEmulator, use_cards: Callable[..., None]
) -> None:
    use_cards(hub.publish(PUBLISHED, sam_tiny.save_segment_anything(tmp_path / "w.pth")))
    done(me, "--device", "cpu")
    sent = hub.sent
    assert sent == (tmp_path / "w.pth").stat().st_size
    done(me, "--device", "cpu")
    assert hub.sent == sent
    assert (tmp_path / "output.jpg").is_file()


def test_nothing_is_fetched_for_names_that_were_mistyped(
    tmp_path: Path, hub: HubEmulator, use_cards: Callable[..., None]
) -> None:
    use_cards(hub.publish(PUBLISHED, sam_tiny.save_segment_anything(tmp_path / "w.pth")))
    result = remback("nowhere.jpg", "--device", "cpu")
    assert result.exit_code == 1
    assert "nowhere.jpg" in result.output
    assert not hub.log


def test_nothing_is_fetched_for_a_batch_that_is_done(
    album: Path, tmp_path: Path, use_cards: Callable[..., None]
) -> None:
    for name in ("broken.jpg", "hills.png"):
        (album / name).unlink()
    done(album)
    offline = dataclasses.replace(remback_card(), repository="owner/name", file="remback.pth", bytes=1)
    use_cards(offline)
    assert "0 of 2 images were cut out; there already: 2" in done(album).stdout


def test_help_imports_nothing_that_it_does_not_need() -> None:
    code = (
        "import sys; sys.argv = ['remback', '--help']\n"
        "from arena.remback.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = ('torch', 'cv2', 'huggingface_hub', 'transformers', 'PIL')\n"
        "print([name for name in heavy if name in sys.modules], file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert "--mask_thresh" in result.stdout
    assert result.stderr.strip() == "[]"


def test_the_command_is_installed() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]
    assert scripts["remback"] == "arena.remback.cli:main"
