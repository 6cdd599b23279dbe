"""``arena blur``, ``arena replace`` and ``arena cutout``: one photo in, one picture out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from arena.catalog import DEFAULT_MODEL, get_card
from arena.cli.console import EXIT_FAILED, err, print_licence_notices
from arena.cli.finishing import BackgroundFlags, BlurFlags, BokehFlags, ConfigOption, RefineFlags, read_finish
from arena.cli.flags import spread
from arena.cli.options import (
    BoxesOption,
    DeviceOption,
    HairOption,
    ModelOption,
    PhotoArgument,
    PointsOption,
    PromptOption,
    QualityOption,
    is_told,
    prompts_for,
)
from arena.errors import OptionError
from arena.paths import expanded

if TYPE_CHECKING:
    from arena.finish import Finish
    from arena.matte import Matte
    from arena.photo import Photo

OutputOption = Annotated[
    Path,
    typer.Option("--output", "-o", metavar="FILE", show_default=False, help="Where to: .jpg, .png or .webp."),
]
TransparentOutputOption = Annotated[
    Path,
    typer.Option("--output", "-o", metavar="FILE", show_default=False, help="Where to: .png or .webp."),
]

_NOBODY = ("No humans detected", "Try another model: `arena models` lists them.")
_NOTHING = ("Nothing of that kind was found", "Try other words, or other boxes.")
"""What is said and advised when a model was told what to look for, and found none."""


@spread
def blur(
    source: PhotoArgument,
    output: OutputOption,
    strength: BlurFlags,
    bokeh: BokehFlags,
    refine: RefineFlags,
    model: ModelOption = DEFAULT_MODEL,
    device: DeviceOption = "auto",
    prompt: PromptOption = None,
    boxes: BoxesOption = None,
    points: PointsOption = None,
    hair: HairOption = False,
    quality: QualityOption = 92,
    config: ConfigOption = None,
) -> None:
    """Blur a photo's background."""
    finish = read_finish("blur", config, strength, bokeh, refine)
    _make(source, output, finish, model, device, prompts_for([model], prompt, boxes, points, hair=hair), quality)


@spread
def replace(
    source: PhotoArgument,
    output: OutputOption,
    background: BackgroundFlags,
    bokeh: BokehFlags,
    refine: RefineFlags,
    model: ModelOption = DEFAULT_MODEL,
    device: DeviceOption = "auto",
    prompt: PromptOption = None,
    boxes: BoxesOption = None,
    points: PointsOption = None,
    hair: HairOption = False,
    quality: QualityOption = 92,
    config: ConfigOption = None,
) -> None:
    """Put the people of a photo in front of another background: a picture, a colour, a gradient, or none."""
    finish = read_finish("replace", config, background, bokeh, refine)
    if not finish.has_background:
        raise OptionError(
            "No background was named.",
            "Add --background with a picture, a colour, a gradient or transparent"
            + (f", or source under [background] in {config}." if config else "."),
        )
    _make(source, output, finish, model, device, prompts_for([model], prompt, boxes, points, hair=hair), quality)


@spread
def cutout(
    source: PhotoArgument,
    output: TransparentOutputOption,
    refine: RefineFlags,
    model: ModelOption = DEFAULT_MODEL,
    device: DeviceOption = "auto",
    prompt: PromptOption = None,
    boxes: BoxesOption = None,
    points: PointsOption = None,
    hair: HairOption = False,
    quality: QualityOption = 92,
    config: ConfigOption = None,
) -> None:
    """Cut the people out of a photo, on transparency."""
    finish = read_finish("cutout", config, refine)
    _make(source, output, finish, model, device, prompts_for([model], prompt, boxes, points, hair=hair), quality)


def _make(
    source: Path,
    output: Path,
    finish: Finish,
    model: str,
    device: str,
    prompts: dict[str, dict[str, Any]],
    quality: int,
) -> None:
    from arena.photo import Photo, format_of, save  # noqa: PLC0415 - --help does not wait for Pillow
    from arena.render import render_finish  # noqa: PLC0415 - nor for OpenCV

    source, output = expanded(source), expanded(output)
    format_of(output, transparent=finish.is_transparent)
    backdrop = finish.background.path if isinstance(finish.background, Photo) else None
    for what, path in (("photo", source), ("background", backdrop)):
        if path is not None and output.exists() and path.exists() and output.samefile(path):
            raise OptionError(f"The {what} {path} would be overwritten.", "Choose another name for the result.")
    photo, matte = _segment(source, model, device, prompts)
    save(output, render_finish(photo, matte, finish), quality=quality, exif=photo.exif)
    _report(output, matte)


def _segment(source: Path, model: str, device: str, prompts: dict[str, dict[str, Any]]) -> tuple[Photo, Matte]:
    from arena.comparison import compare  # noqa: PLC0415 - --help does not wait for it

    print_licence_notices([model])
    with err.status(f"{get_card(model).label} is looking at {source.name}"):
        (result,) = compare([source], [model], device=device, prompts=prompts)
    if result.error is not None:
        raise result.error
    assert result.photo is not None  # noqa: S101 - for the type checker: no error means both are there
    assert result.matte is not None  # noqa: S101
    if not result.matte.found:
        what, remedy = _NOTHING if is_told(prompts, model) else _NOBODY
        label = get_card(model).label
        err.print(f"{what} in {source.name} by {label}: nothing was written.", markup=False, soft_wrap=True)
        for line in (*result.matte.notes, remedy):
            err.print(f"  {line}", markup=False, soft_wrap=True)
        raise typer.Exit(EXIT_FAILED)
    return result.photo, result.matte


def _report(output: Path, matte: Matte) -> None:
    err.print(f"{output}: {matte.seconds:.2f} s on {matte.device}", markup=False, soft_wrap=True)
    for note in matte.notes:
        err.print(f"  {note}", markup=False, soft_wrap=True)
