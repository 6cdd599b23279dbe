"""The command ``remback``: a portrait, or a folder of them, without the background."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from arena.cli.console import EXIT_FAILED, accept_any_text, err, exit_with, out, print_error
from arena.cli.fetch import download
from arena.cli.flags import spread
from arena.cli.options import DeviceOption
from arena.errors import ArenaError, OptionError
from arena.paths import expanded
from arena.remback.flags import LookFlags, MaskFlags, read_options
from arena.wording import format_seconds

if TYPE_CHECKING:
    from arena.models.remback import RembackOptions
    from arena.remback.batch import Job, Outcome
    from arena.remback.remover import BackgroundRemover

Format = Literal["jpg", "png", "webp"]

OUTPUT = Path("output.jpg")
"""Where one picture goes if nothing is said."""
FOLDER = Path("output")
"""Where several go."""

app = typer.Typer(
    name="remback",
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
@spread
def remback(
    look: LookFlags,
    mask: MaskFlags,
    images: Annotated[
        list[str] | None,
        typer.Argument(metavar="IMAGE...", show_default=False, help="Portraits, folders of them, or patterns."),
    ] = None,
    image_path: Annotated[
        list[str] | None,
        typer.Option("--image_path", metavar="IMAGE", show_default=False, help="The same; repeat for more."),
    ] = None,
    output_path: Annotated[
        Path | None,
        typer.Option(
            "--output_path",
            metavar="PATH",
            show_default=False,
            help="A .jpg (white background), .png or .webp (transparent); for several images a folder. "
            f"Default: {OUTPUT}, or the folder {FOLDER}; --format gives another ending.",
        ),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            "--checkpoint",
            metavar="FILE",
            show_default=False,
            help="Weights of a SAM: remback_v4.pth, sam_vit_b_01ec64.pth, or your own. "
            "Default: Remback's, downloaded at the first use.",
        ),
    ] = None,
    debug_mask: Annotated[
        Path | None,
        typer.Option(
            "--debug_mask",
            metavar="PATH",
            show_default=False,
            help="Write the binary mask too, to this file; for several images a folder.",
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            show_default=False,
            help="A TOML file of the numbers below: mask_thresh = 0.2. What a flag says comes before it.",
        ),
    ] = None,
    file_format: Annotated[
        Format, typer.Option("--format", metavar="FORMAT", help="jpg, png or webp, where --output_path names no file.")
    ] = "jpg",
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", help="Of several images, do again those that are there already, say with other numbers."
        ),
    ] = False,
    device: DeviceOption = "auto",
    cpu_fast: Annotated[
        bool,
        typer.Option(
            "--cpu-fast", help="On a CPU, multiply SAM's encoder in 8 bits: a quarter quicker, a little less exact."
        ),
    ] = False,
) -> None:
    """Remove the background of portraits: find the face, and cut out whose it is.

    Several images are written one by one as they are done. Started again, it
    goes on where it was: what is newer than its photo is left alone. The folder's
    hidden file .remback says which cut-out is of which photo.

    The exit code is 0 if everything worked, 1 if an image failed (it is named),
    2 if the command was wrong.
    """
    inputs = [*(images or []), *(image_path or [])]
    if not inputs:
        raise OptionError("There is no image to remove the background of.", "Name one: remback portrait.jpg")
    # Imported here so that --help does not wait for them.
    from arena.comparison import find_photos  # noqa: PLC0415
    from arena.devices import resolve_device  # noqa: PLC0415
    from arena.remback.batch import remove_all  # noqa: PLC0415

    options = read_options(config, look, mask)
    output_path, debug_mask = (path and expanded(path) for path in (output_path, debug_mask))
    photos = find_photos(inputs)
    several = len(photos) > 1 or photos != [expanded(path) for path in inputs]
    if several or (output_path is not None and (output_path.is_dir() or not output_path.suffix)):
        jobs = _batch(photos, output_path, file_format, debug_mask)
    else:
        jobs = _single(photos[0], output_path or OUTPUT.with_suffix(f".{file_format}"), debug_mask)
        # Whoever names one image wants it now.
        overwrite = True
    # Before the download: a device that is not there, names that were mistyped.
    resolve_device(device)
    if checkpoint is None and any(job.photo.is_file() and (overwrite or not job.done) for job in jobs):
        _fetch_weights()
    outcomes: list[Outcome] = []
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=err,
        disable=not err.is_terminal,
    ) as progress:
        task = progress.add_task("Remback", total=len(jobs))
        # On a terminal the live bar would be drawn over what another console prints.
        console = progress.console if out.is_terminal and err.is_terminal else out
        for outcome in remove_all(jobs, lambda: _remover(checkpoint, options, device, cpu_fast), overwrite=overwrite):
            outcomes.append(outcome)
            if outcome.error is None:
                console.print(_line(outcome), markup=False, soft_wrap=True)
            else:
                print_error(outcome.error, str(outcome.job.photo))
            progress.advance(task)
    if several:
        out.print(_summary(outcomes), markup=False, soft_wrap=True)
    if any(outcome.error for outcome in outcomes):
        raise typer.Exit(EXIT_FAILED)


def _single(photo: Path, output: Path, mask: Path | None) -> list[Job]:
    from arena.photo import format_of  # noqa: PLC0415 - --help does not wait for Pillow
    from arena.remback.batch import Job, check_targets  # noqa: PLC0415

    job = Job(photo, output, mask)
    for path in (job.output, job.mask):
        if path is not None:
            format_of(path)
    check_targets([job])
    return [job]


def _batch(photos: Sequence[Path], output: Path | None, file_format: Format, masks: Path | None) -> list[Job]:
    from arena.remback.batch import plan  # noqa: PLC0415 - --help does not wait for it

    for folder, flag in ((output, "--output_path"), (masks, "--debug_mask")):
        if folder is not None and folder.suffix and not folder.is_dir():
            raise OptionError(
                f"{flag} is {folder}, a file, but pictures go to a folder here.",
                f"Name a folder, without a dot; the images in it become {file_format} files (--format).",
            )
    return plan(photos, output or FOLDER, f".{file_format}", masks)


def _fetch_weights() -> None:
    from arena.catalog import get_card  # noqa: PLC0415 - --help does not wait for it
    from arena.weights import is_cached  # noqa: PLC0415

    card = get_card("remback")
    if not is_cached(card):
        download(card)


def _remover(checkpoint: Path | None, options: RembackOptions, device: str, cpu_fast: bool) -> BackgroundRemover:
    # --help does not wait for PyTorch.
    from arena.devices import usable_device  # noqa: PLC0415
    from arena.models.torch_base import INT8, cpu_dtype, working_dtype  # noqa: PLC0415
    from arena.remback.remover import BackgroundRemover  # noqa: PLC0415

    if not cpu_fast:
        return BackgroundRemover(checkpoint, options, device=device)
    with cpu_dtype(INT8):
        for note in working_dtype(usable_device(device))[1]:
            err.print(note, markup=False)
        return BackgroundRemover(checkpoint, options, device=device)


def _line(outcome: Outcome) -> str:
    job = outcome.job
    if outcome.skipped:
        return f"{job.photo}: {job.output} is there already"
    faces = "1 face" if outcome.faces_seen == 1 else f"{outcome.people} of {outcome.faces_seen} faces"
    return f"{job.photo}: {job.output}, {faces}, {format_seconds(outcome.seconds)}"


def _summary(outcomes: Sequence[Outcome]) -> str:
    failed = [str(outcome.job.photo) for outcome in outcomes if outcome.error is not None]
    skipped = sum(outcome.skipped for outcome in outcomes)
    words = [f"{len(outcomes) - len(failed) - skipped} of {len(outcomes)} images were cut out"]
    if skipped:
        words.append(f"there already: {skipped} (--overwrite does them again)")
    if failed:
        words.append(f"failed: {', '.join(failed)}")
    return "; ".join(words)


def main() -> None:
    """Run the command on this process's arguments."""
    accept_any_text()
    try:
        app()
    except ArenaError as error:
        sys.exit(exit_with(error))
