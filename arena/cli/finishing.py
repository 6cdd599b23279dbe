"""The flags between matte and finished picture, and what they and an option file come to."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from arena.catalog import MATTING_MODEL, get_card
from arena.cli.console import err
from arena.cli.flags import Flag, FlagGroup
from arena.errors import ArenaError, OptionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arena.finish import Finish

# Where these lists belong imports OpenCV, for which --help does not wait; tests hold them equal.
Preset = Literal["as-is", "u2net-classic", "hair"]
Matting = Literal["off", "closed-form", "knn", "vitmatte"]
OwnColours = Literal["auto", "fast", "multilevel", "off"]
Bokeh = Literal["gaussian", "disc", "hexagon"]
Distance = Literal["alike", "ground", "depth"]
Fit = Literal["cover", "contain", "stretch", "tile"]

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        show_default=False,
        help="A TOML file of options, as the README shows it. What a flag says comes before it.",
    ),
]


@dataclass(frozen=True, kw_only=True)
class BlurFlags(FlagGroup):
    """The blur of the photo's own background."""

    panel = "Blur"

    kernel: Annotated[
        int | None,
        Flag(
            "--kernel",
            "kernel",
            "Odd size of the Gaussian kernel, 1 (none) to 255. Default: 101.",
            "PIXELS",
            short="-k",
        ),
    ] = None
    distance: Annotated[
        Distance | None,
        Flag(
            "--distance",
            "distance",
            "Blur alike everywhere; with the ground's distance from the feet: ground; or by depth. Default: alike.",
            "HOW",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class BokehFlags(FlagGroup):
    """The look of every blur."""

    panel = "Bokeh"

    bokeh: Annotated[
        Bokeh | None,
        Flag(
            "--bokeh",
            "bokeh",
            "What blur makes of a point of light: gaussian, or as a lens has it disc or hexagon. Default: gaussian.",
            "SHAPE",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class RefineFlags(FlagGroup):
    """What is done to the matte."""

    panel = "Refine the matte (lengths are for a photo with a longer side of 1000)"

    preset: Annotated[
        Preset | None,
        Flag("--refine", "refine.preset", "Begin with as-is, u2net-classic or hair, not the file's.", "PRESET"),
    ] = None
    threshold: Annotated[
        float | None,
        Flag("--threshold", "refine.threshold", "Make the matte hard at this alpha; 0 leaves it soft.", "ALPHA"),
    ] = None
    components: Annotated[
        int | None,
        Flag("--keep-largest", "refine.components", "Keep this many of the largest parts; 0 keeps all.", "NUMBER"),
    ] = None
    holes: Annotated[
        float | None,
        Flag("--fill-holes", "refine.holes", "Fill holes up to this share of the picture, such as 0.01.", "SHARE"),
    ] = None
    opening: Annotated[
        int | None, Flag("--opening", "refine.opening", "Remove specks below this odd size.", "LENGTH", (1, 99))
    ] = None
    closing: Annotated[
        int | None, Flag("--closing", "refine.closing", "Close gaps below this odd size.", "LENGTH", (1, 99))
    ] = None
    bilateral: Annotated[
        int | None,
        Flag(
            "--bilateral", "refine.bilateral_diameter", "Smooth noise by a window of this odd size, up to 15.", "LENGTH"
        ),
    ] = None
    matting: Annotated[
        Matting | None,
        Flag(
            "--matting",
            "refine.matting",
            "Solve the edge anew: off, by the network vitmatte, or closed-form or knn (slow, need pymatting).",
            "METHOD",
        ),
    ] = None
    guided: Annotated[
        float | None,
        Flag("--guided", "refine.guided_radius", "Fit the edge to the photo within this radius.", "LENGTH", (0, 100)),
    ] = None
    grow: Annotated[
        float | None, Flag("--grow", "refine.grow", "Move the edge outwards, below 0 inwards.", "LENGTH", (-25, 25))
    ] = None
    feather: Annotated[
        float | None,
        Flag("--feather", "refine.feather_sigma", "Soften the edge by this standard deviation.", "LENGTH", (0, 100)),
    ] = None
    colours: Annotated[
        OwnColours | None,
        Flag(
            "--own-colours",
            "colours",
            "Take the old background's colour out of the edge: auto, fast, multilevel, off. Default: auto.",
            "HOW",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class BackgroundFlags(FlagGroup):
    """Another background, and the subject before it."""

    panel = "Replace the background"

    source: Annotated[
        str | None,
        Flag(
            "--background",
            "background.source",
            "A picture's file, a colour, transparent, gradient:red-navy@45 or radial:red-navy.",
            "WHAT",
            short="-b",
        ),
    ] = None
    fit: Annotated[
        Fit | None,
        Flag(
            "--fit",
            "background.fit",
            "cover, contain, stretch or tile the frame with a picture. Default: cover.",
            "FIT",
        ),
    ] = None
    anchor: Annotated[
        str | None,
        Flag(
            "--anchor",
            "background.anchor",
            "Which point of it stays in place: centre, top-left, ..., or X,Y from 0 to 1. Default: centre.",
            "POINT",
        ),
    ] = None
    scale: Annotated[
        float | None,
        Flag("--background-scale", "background.scale", "Enlarge it after the fit, 0.01 to 100 times.", "FACTOR"),
    ] = None
    fill: Annotated[
        str | None,
        Flag("--fill", "background.fill", "Colour where it does not reach. Default: black.", "COLOUR"),
    ] = None
    kernel: Annotated[
        int | None,
        Flag("--background-kernel", "background.kernel", "Blur it, as --kernel does. Default: 1, none.", "PIXELS"),
    ] = None
    harmonise: Annotated[
        float | None,
        Flag("--harmonise", "background.harmonise", "How far the subject takes on its colours, 0 to 1.", "SHARE"),
    ] = None
    light_wrap: Annotated[
        float | None,
        Flag("--light-wrap", "background.light_wrap", "How far its light falls on the edge, 0 to 1.", "SHARE"),
    ] = None
    linear: Annotated[bool | None, Flag("--linear", "background.linear", "Mix light instead of sRGB levels.")] = None
    levels: Annotated[
        bool | None,
        Flag("--no-linear", "background.linear", "Mix sRGB levels although the file says linear.", off=True),
    ] = None
    x: Annotated[
        float | None,
        Flag("--subject-x", "subject.x", "Move the subject right by a share of the width, -1 to 1.", "SHARE"),
    ] = None
    y: Annotated[
        float | None,
        Flag("--subject-y", "subject.y", "Move the subject down by a share of the height, -1 to 1.", "SHARE"),
    ] = None
    subject_scale: Annotated[
        float | None, Flag("--subject-scale", "subject.scale", "Enlarge the subject, 0.05 to 20 times.", "FACTOR")
    ] = None


def read_finish(effect: str, config: Path | None, *groups: FlagGroup) -> Finish:
    """What an option file and flags come to: flags before the file, both before a preset, all before the defaults.

    Args:
        effect: What the command makes of the background; it is the command that decides, not the file.
        config: The option file, if there is one.
        groups: The flags that the command takes. Without those of the background, none is read from the file.

    Returns:
        The finish.

    Raises:
        OptionError: The file or a value is not what it should be; the message names the key or the flag.
        PhotoError: The background is a file and no picture.
    """
    # Imported here so that --help does not wait for OpenCV.
    from arena.finish import finish_from_file, finish_from_mapping, renamed  # noqa: PLC0415

    finish = finish_from_mapping({"effect": effect})
    given = [pair for group in groups for pair in group.given()]
    if config is not None:
        # What a flag replaces, or nobody asked for, need not exist.
        wanted = any(isinstance(group, BackgroundFlags) and group.source is None for group in groups)
        finish = finish_from_mapping({"effect": effect}, finish_from_file(config, finish, with_source=wanted))
    for flag, value in given:
        table, _, name = flag.key.rpartition(".")
        change = {name: _plain(flag, value)}
        try:
            finish = finish_from_mapping({table: change} if table else change, finish)
        except OptionError as error:
            raise renamed(error, f"[{table}] {name}" if table else name, flag.name) from error
    _check_matting(finish)
    return finish


def prepare(finish: Finish, keys: Sequence[str]) -> bool:
    """Download, on first use, what a finish needs beside the models: better known before hours of work.

    Args:
        finish: The finish.
        keys: The models that are to run.

    Returns:
        Whether one of them can, and gives mattes; if none does, nothing is downloaded.

    Raises:
        ArenaError: It cannot be had.
    """
    if not _gives_mattes(keys):
        return False
    if finish.refine.matting == "vitmatte":
        from arena import weights  # noqa: PLC0415 - --help does not wait for it

        card = get_card(MATTING_MODEL)
        with err.status(f"{card.label} is getting ready"):
            weights.fetch(card)
    return True


def _gives_mattes(keys: Sequence[str]) -> bool:
    from arena.models.pool import check_available, check_segments  # noqa: PLC0415 - --help does not wait for it

    for key in keys:
        try:
            check_available(get_card(key))
            check_segments(get_card(key))
        except ArenaError:
            continue
        return True
    return False


def _plain(flag: Flag, value: Any) -> Any:
    """A value as an option file has it."""
    if flag.off:
        return False
    if flag.key != "background.anchor" or "," not in value:
        return value
    try:
        return [float(part) for part in value.split(",")]
    except ValueError:
        return value


def _check_matting(finish: Finish) -> None:
    """Refuse what would only fail once the model has run."""
    if finish.refine.matting in {"closed-form", "knn"} and find_spec("pymatting") is None:
        from arena.refine.matting import INSTALL  # noqa: PLC0415 - --help does not wait for OpenCV

        raise OptionError(f"{finish.refine.matting} matting needs the package pymatting.", INSTALL)
