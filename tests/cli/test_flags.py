"""Groups of flags, spread over commands."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

import pytest
import typer
from typer.testing import CliRunner

from arena.cli import finishing
from arena.cli.finishing import BackgroundFlags, BlurFlags, BokehFlags, RefineFlags
from arena.cli.flags import Flag, FlagGroup, spread
from arena.compose import ANCHORS, BOKEHS, FITS, Placement
from arena.errors import OptionError
from arena.finish import DEFAULT_KERNEL, DISTANCES, OWN_COLOURS, Finish
from arena.refine import PRESETS, RefineOptions
from arena.refine.options import MATTINGS

GROUPS = (BlurFlags, BokehFlags, RefineFlags, BackgroundFlags)


@dataclass(frozen=True, kw_only=True)
class Tea(FlagGroup):
    panel = "Tea"

    sugar: Annotated[int | None, Flag("--sugar", "tea.sugar", "Lumps.", "LUMPS", (0, 3), "-s")] = None
    milk: Annotated[bool | None, Flag("--milk", "tea.milk", "With milk.")] = None
    kind: Annotated[Literal["black", "green"] | None, Flag("--kind", "tea.kind", "Which.")] = None


@dataclass(frozen=True, kw_only=True)
class Cake(FlagGroup):
    panel = "Cake"

    sugar: Annotated[float | None, Flag("--cake-sugar", "cake.sugar", "Grams.")] = None


app = typer.Typer(rich_markup_mode="rich")


@app.command()
@spread
def serve(
    guest: Annotated[str, typer.Argument()],
    tea: Tea,
    cake: Cake,
    table: Annotated[int, typer.Option("--table")] = 7,
) -> None:
    """Serve a guest."""
    given = {flag.key: value for group in (tea, cake) for flag, value in group.given()}
    typer.echo(f"{guest} {table} {given}")


def served(*words: str) -> str:
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


def test_what_is_given_arrives_in_its_group() -> None:
    words = ("Ann", "-s", "2", "--milk", "--kind", "green", "--cake-sugar", "-0.5", "--table", "3")
    given = {"tea.sugar": 2, "tea.milk": True, "tea.kind": "green", "cake.sugar": -0.5}
    assert served(*words) == f"Ann 3 {given}"


def test_what_is_not_given_is_not_there() -> None:
    assert served("Ann") == "Ann 7 {}"


@pytest.mark.parametrize(("words", "named"), [(("--kind", "white"), "--kind"), (("--milkk",), "--milkk")])
def test_a_value_that_is_none_is_named_by_its_flag(words: tuple[str, ...], named: str) -> None:
    result = CliRunner().invoke(app, ["Ann", *words])
    assert result.exit_code == 2
    assert named in result.stderr


@pytest.mark.parametrize("lumps", [-1, 4])
def test_a_value_out_of_bounds_is_named_by_its_flag(lumps: int) -> None:
    with pytest.raises(OptionError, match=f"--sugar must be from 0 to 3, but is {lumps}"):
        list(Tea(sugar=lumps).given())
    assert [value for _, value in Tea(sugar=3).given()] == [3]


def test_help_has_a_panel_for_each_group() -> None:
    text = CliRunner(env={"COLUMNS": "100"}).invoke(app, ["--help"]).stdout
    assert "Serve a guest." in text
    assert text.index("Options") < text.index("─ Tea ─") < text.index("─ Cake ─")
    assert "LUMPS" in text
    assert "With milk." in text


def flags() -> list[Flag]:
    return [flag for group in GROUPS for flag in group.flags().values()]


def test_lists_of_choices_are_those_of_the_library() -> None:
    assert get_args(finishing.Preset) == tuple(PRESETS)
    assert get_args(finishing.Bokeh) == BOKEHS
    assert get_args(finishing.Distance) == DISTANCES
    assert get_args(finishing.Matting) == MATTINGS
    assert get_args(finishing.OwnColours) == OWN_COLOURS


def test_help_names_the_librarys_choices_and_defaults() -> None:
    said = {flag.key: flag.help for flag in flags()}
    assert all(fit in said["background.fit"] for fit in FITS)
    assert all(preset in said["refine.preset"] for preset in PRESETS)
    assert all(matting in said["refine.matting"] for matting in MATTINGS)
    assert all(colours in said["colours"] for colours in OWN_COLOURS)
    assert all(bokeh in said["bokeh"] for bokeh in BOKEHS)
    assert all(distance in said["distance"] for distance in DISTANCES)
    assert f"Default: {Finish().distance}." in said["distance"]
    assert f"Default: {Finish().bokeh}." in said["bokeh"]
    assert f"Default: {Finish().fit}." in said["background.fit"]
    assert "top-left" in ANCHORS
    assert f"Default: {Finish().anchor}." in said["background.anchor"]
    assert f"Default: {DEFAULT_KERNEL}." in said["kernel"]
    assert f"Default: {Finish().colours}." in said["colours"]


def test_every_flag_has_a_key_that_an_option_file_knows() -> None:
    known = {"kernel", "bokeh", "distance", "colours", "refine.preset"}
    known |= {f"refine.{field.name}" for field in dataclasses.fields(RefineOptions)}
    known |= {f"subject.{field.name}" for field in dataclasses.fields(Placement)}
    known |= {f"background.{name}" for name in ("source", "fit", "anchor", "scale", "fill", "kernel")}
    known |= {f"background.{name}" for name in ("harmonise", "light_wrap", "linear")}
    keys = [flag.key for flag in flags()]
    assert set(keys) <= known
    names = [flag.name for flag in flags()]
    assert len(set(names)) == len(names)
    assert sorted(key for key in keys if keys.count(key) > 1) == ["background.linear"] * 2
