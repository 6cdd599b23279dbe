"""``arena blur``, ``arena replace``, ``arena cutout`` and ``arena depth``: one photo in, one picture out."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from arena.catalog import DEFAULT_MODEL, DEPTH_MODEL, get_card
from arena.cli.console import EXIT_FAILED, err, print_licence_notices
from arena.cli.finishing import (
    BackgroundFlags,
    BlurFlags,
    BokehFlags,
    ConfigOption,
    RefineFlags,
    prepare,
    read_finish,
)
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

DepthMapOption = Annotated[
    Path | None,
    typer.Option(
        "--depth-map",
        metavar="FILE",
        show_default=False,
        help="How far everything is: a grey picture, near is bright, or a phone's photo that holds one; with it "
        "--distance depth downloads nothing.",
    ),
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
    depth_map: DepthMapOption = None,
) -> None:
    """Blur a photo's background."""
    finish = read_finish("blur", config, strength, bokeh, refine)
    if depth_map is not None:
        if strength.distance not in (None, "depth"):
            raise OptionError(
                f"--depth-map is of no use with --distance {strength.distance}.", "Leave one of them out."
            )
        finish = dataclasses.replace(finish, distance="depth")
    prompts = prompts_for([model], prompt, boxes, points, hair=hair)
    _make(source, output, finish, model, device, prompts, quality, depth_map)


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


def depth(
    source: PhotoArgument,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", show_default=False, help="Where to: .png.")],
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="KEY",
            show_default=False,
            help=f"The model that says how far things are. Default: {DEPTH_MODEL}, unless the photo brings its depth.",
        ),
    ] = None,
    device: DeviceOption = "auto",
) -> None:
    """Write how far everything in a photo is: 16-bit grey, near is bright. `arena blur --depth-map` takes it.

    Of a photo into which a phone has put that, it is written and no model asked, unless one is named.
    """
    from arena.photo import Photo, encode_depth, write_file  # noqa: PLC0415 - --help does not wait for Pillow

    source, output = expanded(source), expanded(output)
    if output.suffix.lower() != ".png":
        raise OptionError(f'The file "{output.name}" does not end in .png.', f"Call it {output.stem}.png.")
    _keep(output, photo=source)
    photo = Photo.open(source)
    brought = photo.depth is not None and model is None
    if not brought:
        photo = estimated_depth(photo, model or DEPTH_MODEL, device)
    assert photo.depth is not None  # noqa: S101 - for the type checker: it has just been found out
    write_file(output, encode_depth(photo.depth))
    height, width = photo.depth.shape
    origin = ", from the photo's file" if brought else ""
    err.print(f"{output}: {width} x {height} px{origin}", markup=False, soft_wrap=True)


def estimated_depth(photo: Photo, model: str, device: str) -> Photo:
    """A photo with its depth, progress shown on the way.

    Args:
        photo: The photo.
        model: Key of a model that gives depth.
        device: A device key or ``"auto"``.

    Returns:
        The photo with it.

    Raises:
        ArenaError: It cannot be had; the message says why.
    """
    from arena.comparison import estimate_depths  # noqa: PLC0415 - --help does not wait for it

    with err.status(f"{get_card(model).label} is looking at {photo.name}"):
        (result,) = estimate_depths([photo], model, device=device)
    if result.error is not None:
        raise result.error
    assert result.photo is not None  # noqa: S101 - for the type checker: no error means that it is there
    return result.photo


def _keep(output: Path, **inputs: Path | None) -> None:
    """Refuse to write over what is read."""
    for what, path in inputs.items():
        if path is not None and output.exists() and path.exists() and output.samefile(path):
            name = what.replace("_", " ")
            raise OptionError(f"The {name} {path} would be overwritten.", "Choose another name for the result.")


def _make(
    source: Path,
    output: Path,
    finish: Finish,
    model: str,
    device: str,
    prompts: dict[str, dict[str, Any]],
    quality: int,
    depth_map: Path | None = None,
) -> None:
    from arena.photo import Photo, format_of, read_depth, save  # noqa: PLC0415 - --help does not wait for Pillow
    from arena.render import render_finish  # noqa: PLC0415 - nor for OpenCV

    source, output = expanded(source), expanded(output)
    depth_map = None if depth_map is None else expanded(depth_map)
    format_of(output, transparent=finish.is_transparent)
    backdrop = finish.background.path if isinstance(finish.background, Photo) else None
    _keep(output, photo=source, background=backdrop, depth_map=depth_map)
    photo = Photo.open(source)
    # What is bound to fail does so before a model is downloaded.
    if depth_map is not None:
        photo = photo.with_depth(read_depth(depth_map))
    if prepare(finish, [model]) and finish.needs_depth and photo.depth is None:
        photo = estimated_depth(photo, DEPTH_MODEL, device)
    matte = _segment(photo, source.name, model, device, prompts)
    save(output, render_finish(photo, matte, finish), quality=quality, exif=photo.exif)
    _report(output, matte)


def _segment(photo: Photo, name: str, model: str, device: str, prompts: dict[str, dict[str, Any]]) -> Matte:
    from arena.comparison import compare  # noqa: PLC0415 - --help does not wait for it

    print_licence_notices([model])
    with err.status(f"{get_card(model).label} is looking at {name}"):
        (result,) = compare([photo], [model], device=device, prompts=prompts)
    if result.error is not None:
        raise result.error
    assert result.matte is not None  # noqa: S101 - for the type checker: no error means that it is there
    if not result.matte.found:
        what, remedy = _NOTHING if is_told(prompts, model) else _NOBODY
        label = get_card(model).label
        err.print(f"{what} in {name} by {label}: nothing was written.", markup=False, soft_wrap=True)
        for line in (*result.matte.notes, remedy):
            err.print(f"  {line}", markup=False, soft_wrap=True)
        raise typer.Exit(EXIT_FAILED)
    return result.matte


def _report(output: Path, matte: Matte) -> None:
    err.print(f"{output}: {matte.seconds:.2f} s on {matte.device}", markup=False, soft_wrap=True)
    for note in matte.notes:
        err.print(f"  {note}", markup=False, soft_wrap=True)
