"""``arena blur`` and ``arena cutout``: one photo in, one picture out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from arena.catalog import DEFAULT_MODEL, get_card
from arena.cli.console import EXIT_FAILED, err, print_licence_notices
from arena.cli.options import (
    DeviceOption,
    KernelOption,
    ModelOption,
    PhotoArgument,
    PromptOption,
    QualityOption,
    check_kernel,
    prompts_for,
)

if TYPE_CHECKING:
    from arena.matte import Matte
    from arena.photo import Photo


def blur(
    source: PhotoArgument,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE", show_default=False, help="Where to: .jpg, .png or .webp."),
    ],
    model: ModelOption = DEFAULT_MODEL,
    kernel: KernelOption = 101,
    device: DeviceOption = "auto",
    prompt: PromptOption = None,
    quality: QualityOption = 92,
) -> None:
    """Blur a photo's background."""
    from arena.photo import format_of, save  # noqa: PLC0415 - --help does not wait for Pillow
    from arena.render import render_blur  # noqa: PLC0415 - nor for OpenCV

    check_kernel(kernel)
    format_of(output)
    photo, matte = _segment(source, model, device, prompt)
    save(output, render_blur(photo, matte, kernel), quality=quality, exif=photo.exif)
    _report(output, matte)


def cutout(
    source: PhotoArgument,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE", show_default=False, help="Where to: .png or .webp."),
    ],
    model: ModelOption = DEFAULT_MODEL,
    device: DeviceOption = "auto",
    prompt: PromptOption = None,
    quality: QualityOption = 92,
) -> None:
    """Cut the people out of a photo, on transparency."""
    from arena.photo import format_of, save  # noqa: PLC0415 - --help does not wait for Pillow
    from arena.render import render_cutout  # noqa: PLC0415 - nor for OpenCV

    format_of(output, transparent=True)
    photo, matte = _segment(source, model, device, prompt)
    save(output, render_cutout(photo, matte), quality=quality, exif=photo.exif)
    _report(output, matte)


def _segment(source: Path, model: str, device: str, prompt: str | None) -> tuple[Photo, Matte]:
    from arena.comparison import compare  # noqa: PLC0415 - --help does not wait for it

    prompts = prompts_for([model], prompt)
    print_licence_notices([model])
    with err.status(f"{get_card(model).label} is looking at {source.name}"):
        (result,) = compare([source], [model], device=device, prompts=prompts)
    if result.error is not None:
        raise result.error
    assert result.photo is not None  # noqa: S101 - for the type checker: no error means both are there
    assert result.matte is not None  # noqa: S101
    if not result.matte.found:
        err.print(
            f"No humans detected in {source.name} by {get_card(model).label}: nothing was written.",
            markup=False,
            soft_wrap=True,
        )
        err.print("  Try another model: `arena models` lists them.", markup=False, soft_wrap=True)
        raise typer.Exit(EXIT_FAILED)
    return result.photo, result.matte


def _report(output: Path, matte: Matte) -> None:
    err.print(f"{output}: {matte.seconds:.2f} s on {matte.device}", markup=False, soft_wrap=True)
    for note in matte.notes:
        err.print(f"  {note}", markup=False, soft_wrap=True)
