"""A finish: what it refuses, and the words and files it is read from and written to."""

from __future__ import annotations

import copy
import dataclasses
import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from arena.compose import Gradient, Placement, Plain, Transparent
from arena.errors import OptionError, PhotoError
from arena.finish import (
    WHITE,
    Effect,
    Finish,
    finish_from_file,
    finish_from_mapping,
    finish_to_mapping,
    preset_named,
    read_backdrop,
    renamed,
    scaled_kernel,
    write_backdrop,
)
from arena.photo import Photo, encode
from arena.refine import PRESETS, RefineOptions

if TYPE_CHECKING:
    from pathlib import Path

EVERYTHING = Finish(
    Effect.REPLACE,
    kernel=31,
    bokeh="hexagon",
    distance="ground",
    refine=RefineOptions(components=1, grow=-0.5),
    colours="multilevel",
    background=Gradient(((1, 2, 3), (255, 0, 128)), angle=33.5),
    fit="contain",
    anchor=(0.25, 1.0),
    background_scale=2.5,
    fill=(9, 8, 7),
    background_kernel=15,
    subject=Placement(0.1, -0.2, 0.8),
    harmonise=0.3,
    light_wrap=0.4,
    linear=True,
)
"""No field of it is the default."""


@pytest.fixture
def beach(tmp_path: Path) -> Path:
    path = tmp_path / "pictures" / "beach.png"
    path.parent.mkdir()
    path.write_bytes(encode(np.full((4, 6, 3), 77, np.uint8)))
    return path


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("effect", "melt", "effect must be one of blur, replace, cutout, but is 'melt'"),
        ("kernel", 100, "kernel must be an odd whole number from 1 to 255, but is 100. Use 99 or 101."),
        ("kernel", 257, "kernel must be an odd whole number from 1 to 255"),
        ("kernel", True, "kernel must be"),
        ("bokeh", "star", "bokeh must be one of gaussian, disc, hexagon, but is 'star'"),
        ("background_kernel", 0, "background_kernel must be"),
        ("background_kernel", 3.0, "background_kernel must be"),
        ("refine", "hair", "refine must be a RefineOptions"),
        ("colours", "best", "colours must be one of auto, fast, multilevel, off"),
        ("background", "white", "background must be a Photo"),
        ("fit", "fill", "fit must be one of"),
        ("anchor", "middle", "anchor must be"),
        ("anchor", (0.5, 2.0), "anchor's y must be"),
        ("background_scale", 0, "scale must be a number from 0.01 to 100"),
        ("fill", (0, 0, 256), "fill must be three whole numbers"),
        ("subject", (0, 0), "subject must be a Placement"),
        ("harmonise", 1.1, "harmonise must be a number from 0 to 1"),
        ("light_wrap", "1", "light_wrap must be a number from 0 to 1"),
        ("light_wrap", float("nan"), "light_wrap must be a number from 0 to 1"),
        ("distance", "far", "distance must be one of alike, ground, depth"),
        ("linear", 1, "linear must be true or false"),
    ],
)
def test_what_cannot_be_is_refused_by_name(name: str, value: object, message: str) -> None:
    values: dict[str, Any] = {name: value}
    with pytest.raises(OptionError, match=re.escape(message)):
        Finish(**values)


def test_a_preview_blurs_as_the_full_size_does() -> None:
    small = dataclasses.replace(EVERYTHING, kernel=101, background_kernel=51).scaled(0.25)
    assert (small.kernel, small.background_kernel) == (25, 13)
    assert small.refine == EVERYTHING.refine
    assert Finish(kernel=1).scaled(0.1).kernel == 1
    assert scaled_kernel(101, 10) == 255
    assert all(scaled_kernel(kernel, 0.37) % 2 for kernel in range(1, 256, 2))


@pytest.mark.parametrize(
    ("finish", "transparent"),
    [
        (Finish(), False),
        (Finish(background=Transparent()), False),
        (Finish(Effect.CUTOUT), True),
        (Finish(Effect.REPLACE), False),
        (Finish(Effect.REPLACE, background=Transparent()), True),
    ],
)
def test_it_is_known_whether_the_picture_has_alpha(finish: Finish, transparent: bool) -> None:
    assert finish.is_transparent is transparent


def test_a_white_background_that_was_chosen_is_told_from_none() -> None:
    assert not Finish().has_background
    assert not finish_from_mapping({"background": {"fit": "tile"}}).has_background
    chosen = finish_from_mapping({"background": {"source": "white"}})
    assert chosen.has_background
    assert chosen.background == Plain((255, 255, 255)) != WHITE
    assert copy.deepcopy(chosen).has_background
    assert not copy.deepcopy(Finish()).has_background
    assert finish_to_mapping(chosen) == {"background": {"source": "#ffffff"}}


def test_backdrops_are_read_from_words_and_files(beach: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_backdrop("#a0b0c0") == Plain((160, 176, 192))
    assert read_backdrop("transparent") == Transparent()
    assert read_backdrop("radial:white-black") == Gradient(((255, 255, 255), (0, 0, 0)), "radial")
    picture = read_backdrop("beach.png", beach.parent)
    assert isinstance(picture, Photo)
    assert picture.size == (6, 4)
    (beach.parent / "white").write_bytes(beach.read_bytes())
    monkeypatch.chdir(beach.parent)
    assert isinstance(read_backdrop("white"), Plain)
    assert isinstance(read_backdrop("./white"), Photo)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("beech.png", "'beech.png' is neither a picture that exists nor"),
        ("", "'' is neither a picture that exists nor"),
        ("#12345", "'#12345' is no colour"),
        ("gradient:red-gren", "'gren' is no colour"),
        ("gradient:red-green@x", "'x' is no angle"),
    ],
)
def test_a_backdrop_that_cannot_be_read_is_named(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=re.escape(message)):
        read_backdrop(text, tmp_path)


def test_a_backdrop_that_is_no_picture_is_a_broken_photo(tmp_path: Path) -> None:
    (tmp_path / "notes.png").write_text("hello")
    with pytest.raises(PhotoError, match=r"notes\.png"):
        read_backdrop("notes.png", tmp_path)


@pytest.mark.parametrize(
    "backdrop",
    [
        Plain((1, 20, 255)),
        Transparent(),
        Gradient(((0, 0, 0), (9, 9, 9), (255, 255, 255)), angle=-12.25),
        Gradient(((0, 0, 0), (255, 0, 255)), "radial"),
    ],
)
def test_a_written_backdrop_reads_as_the_same(backdrop: Plain | Gradient | Transparent) -> None:
    assert read_backdrop(write_backdrop(backdrop)) == backdrop


def test_a_finish_goes_to_plain_values_and_back() -> None:
    default = Finish()
    assert all(getattr(EVERYTHING, item.name) != getattr(default, item.name) for item in dataclasses.fields(Finish))
    mapping = finish_to_mapping(EVERYTHING)
    assert finish_from_mapping(mapping) == EVERYTHING
    assert mapping["refine"] == {"components": 1, "grow": -0.5}
    assert mapping["background"]["fill"] == "#090807"


def test_the_default_has_nothing_to_write() -> None:
    assert finish_to_mapping(Finish()) == {}
    assert finish_from_mapping({}) == Finish()


def test_a_picture_is_written_by_its_name(beach: Path) -> None:
    assert finish_to_mapping(Finish(background=Photo.open(beach)))["background"] == {"source": "beach"}


def test_what_a_mapping_does_not_name_stays() -> None:
    changed = finish_from_mapping(
        {"kernel": 9, "refine": {"grow": 1}, "background": {"kernel": 3}, "subject": {"x": 0.5}}, EVERYTHING
    )
    assert changed == dataclasses.replace(
        EVERYTHING,
        kernel=9,
        refine=RefineOptions(components=1, grow=1.0),
        background_kernel=3,
        subject=Placement(0.5, -0.2, 0.8),
    )


def test_values_change_a_preset_and_a_preset_replaces_what_was() -> None:
    hair = finish_from_mapping({"refine": {"grow": -0.5, "preset": "hair"}}, EVERYTHING).refine
    assert hair == dataclasses.replace(PRESETS["hair"], grow=-0.5)
    assert finish_from_mapping({"refine": {"preset": "as-is"}}, EVERYTHING).refine == RefineOptions()
    with pytest.raises(OptionError, match="no preset 'bald'"):
        preset_named("bald")


def test_a_file_is_read_with_paths_from_its_folder(beach: Path) -> None:
    path = beach.parent / "options.toml"
    path.write_text(
        'effect = "replace"\n[background]\nsource = "beach.png"\nanchor = [1, 0]\nharmonise = 1\n'
        '[refine]\npreset = "hair"\n[subject]\nscale = 2\n'
    )
    finish = finish_from_file(path)
    assert isinstance(finish.background, Photo)
    assert (finish.effect, finish.anchor, finish.harmonise) == (Effect.REPLACE, (1, 0), 1)
    assert finish.refine == PRESETS["hair"]
    assert finish.subject == Placement(scale=2)
    beach.unlink()
    assert not finish_from_file(path, with_source=False).has_background


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kernle = 3", "There is no option 'kernle'. Did you mean kernel?"),
        ("kernel = 4", "kernel must be an odd whole number"),
        ('effect = "melt"', "effect must be one of"),
        ('refine = "hair"', "refine is 'hair', not a table. Write it as [refine]"),
        ("[refine]\ngrwo = 1", "There is no option 'grwo' in [refine]. Did you mean grow?"),
        ('[refine]\npreset = "bald"', "[refine] preset: There is no preset 'bald'"),
        ('[refine]\ngrow = "much"', "[refine] grow must be a number from -25 to 25"),
        ("[refine]\nopening = 4", "[refine] opening must be an odd whole number"),
        ("[background]\ncolour = 1", "There is no option 'colour' in [background]"),
        ("[background]\nsource = 1", "[background] source: 1 is no text."),
        ('[background]\nsource = "nowhere.png"', "[background] source: 'nowhere.png' is neither"),
        (
            "[background]\nkernel = 2",
            "[background] kernel must be an odd whole number from 1 to 255, but is 2.",
        ),
        ("[background]\nscale = 0", "[background] scale"),
        ('[background]\nfill = "rde"', "[background] fill: 'rde' is no colour"),
        ("[background]\nanchor = [1]", "[background] anchor must be"),
        ('[background]\nlinear = "yes"', "[background] linear must be true or false"),
        ("[subject]\nz = 1", "There is no option 'z' in [subject]"),
        ("[subject]\nx = 2", "[subject] x must be a number from -1 to 1"),
        ("kernel = ", "is no TOML"),
    ],
)
def test_what_is_wrong_in_a_file_is_named_with_the_file(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "options.toml"
    path.write_text(text)
    with pytest.raises(OptionError) as caught:
        finish_from_file(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="There is no file"):
        finish_from_file(tmp_path / "nowhere.toml")
    with pytest.raises(OptionError, match="cannot be read"):
        finish_from_file(tmp_path)
    (tmp_path / "photo.toml").write_bytes(b"\x89PNG")
    with pytest.raises(OptionError, match="is no TOML"):
        finish_from_file(tmp_path / "photo.toml")


def test_an_error_takes_the_name_that_its_giver_used() -> None:
    error = OptionError("grow must be small.", "Shrink.")
    assert str(renamed(error, "grow", "--grow")) == "--grow must be small. Shrink."
    assert renamed(OptionError("fill: no colour."), "fill", "--fill").problem == "--fill: no colour."
    assert renamed(error, "feather", "--feather").problem == "--feather: grow must be small."


def test_numbers_of_numpy_and_lists_become_plain_values() -> None:
    given: dict[str, Any] = {
        "kernel": np.int64(5),
        "harmonise": np.float32(0.5),
        "background_scale": np.float64(2),
        "fill": [1, 2, 3],
        "anchor": [0, 1],
    }
    finish = Finish(**given)
    assert finish == Finish(kernel=5, harmonise=0.5, background_scale=2.0, fill=(1, 2, 3), anchor=(0, 1))
    assert finish_from_mapping(finish_to_mapping(finish)) == finish
    json.dumps(finish_to_mapping(finish))


@pytest.mark.parametrize("text", ["~nobody-of-that-name/beach.jpg", "x" * 5000])
def test_what_can_be_no_file_is_no_background(text: str) -> None:
    with pytest.raises(OptionError, match="is neither a picture that exists"):
        read_backdrop(text)
