"""``arena compare``: photos times models, to a folder."""

from __future__ import annotations

import dataclasses
import sys
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from arena.catalog import DEFAULT_MODEL, DEPTH_MODEL, get_card
from arena.cli.bars import model_bars
from arena.cli.console import EXIT_FAILED, err, out, print_error, print_licence_notices
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
from arena.cli.options import BoxesOption, DeviceOption, HairOption, PointsOption, PromptOption, is_told, prompts_for
from arena.errors import OptionError
from arena.paths import expanded
from arena.wording import format_seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from arena.comparison import Result
    from arena.errors import ArenaError
    from arena.models.depth import DepthEstimator
    from arena.photo import Photo
    from arena.render import Summary


KEPT_DEPTHS = 100
"""Depth maps that are kept for the next model, of a megabyte or two each; more are found out again."""


@spread
def compare(
    photos: Annotated[
        list[str],
        typer.Argument(metavar="PHOTO...", show_default=False, help="Photos, folders of photos, or patterns."),
    ],
    folder: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", show_default=False, help="Folder for the pictures.")
    ],
    strength: BlurFlags,
    bokeh: BokehFlags,
    background: BackgroundFlags,
    refine: RefineFlags,
    models: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", metavar="KEY", help=f"A model; repeat for more. Default: {DEFAULT_MODEL}."),
    ] = None,
    device: DeviceOption = "auto",
    prompt: PromptOption = None,
    boxes: BoxesOption = None,
    points: PointsOption = None,
    hair: HairOption = False,
    config: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print results.json to standard output.")] = False,
) -> None:
    """Run models on photos and write what each makes of them.

    For every photo and model, below DIR/PHOTO: masks/KEY.png (overlay),
    alpha/KEY.png (16-bit grey), blurred/KEY.png, cutout/KEY.png and, with a
    background, replaced/KEY.png. DIR/results.json has options, timings and errors.

    The exit code is 0 if everything worked, 1 if something failed (named at the end), 2 if the command was wrong.
    """
    # Imported here so that --help does not wait for them.
    from arena.comparison import compare as run  # noqa: PLC0415
    from arena.comparison import find_photos  # noqa: PLC0415
    from arena.photo import write_file  # noqa: PLC0415
    from arena.render import PICTURES, Summary, result_files  # noqa: PLC0415

    finish = read_finish("blur", config, strength, bokeh, background, refine)
    if not finish.has_background and (idle := [flag.name for flag, _ in background.given()]):
        raise OptionError(f"{', '.join(idle)}: there is no background to lay it on.", "Name one: --background.")
    pictures = (*PICTURES, "replaced") if finish.has_background else PICTURES
    folder = expanded(folder)
    keys = list(dict.fromkeys(models or [DEFAULT_MODEL]))
    prompts = prompts_for(keys, prompt, boxes, points, hair=hair)
    print_licence_notices(keys)
    summary = Summary(finish)
    failures: list[tuple[str, ArenaError]] = []
    sources = find_photos(photos)
    count = 0
    numbers = folder / "results.json"
    depths = _Depths(device, sources) if prepare(finish, keys) and finish.needs_depth else None
    with _kept(summary, numbers), model_bars(lambda key: get_card(key).label) as bars:
        results = run(sources, keys, device=device, prompts=prompts, on_event=bars.show)
        if not numbers.exists():
            # A folder that cannot be written to fails now and not after hours of work.
            write_file(numbers, _as_bytes(summary))
        for segmented in results:
            count += 1
            result = segmented
            # pymatting prints its warnings to where --json promises nothing but JSON.
            with redirect_stdout(sys.stderr):
                try:
                    if depths is not None and result.found and result.photo is not None:
                        result = dataclasses.replace(result, photo=depths.added_to(result.photo))
                    for path, contents in result_files(result, finish, pictures):
                        write_file(folder / path, contents)
                except Exception as failure:  # noqa: BLE001 - one picture's failure must not end the comparison
                    result = segmented.failed(failure)
            summary.add(result)
            if result.error is not None:
                failures.append((_subject(result), result.error))
            if not as_json:
                # On a terminal the live bars would be drawn over what another console prints.
                console = bars.console if out.is_terminal and err.is_terminal else out
                console.print(_line(result, told=is_told(prompts, result.model)), markup=False, soft_wrap=True)
    if as_json:
        # Whatever the console's code page: it is a file in most cases, and read as JSON.
        sys.stdout.flush()
        sys.stdout.buffer.write(_as_bytes(summary))
        sys.stdout.buffer.flush()
    else:
        out.print(f"{count - len(failures)} of {count} results are in {folder}", markup=False, soft_wrap=True)
    for subject, error in failures:
        print_error(error, subject)
    if failures:
        raise typer.Exit(EXIT_FAILED)


class _Depths:
    """The depth of photos, found out once for all models."""

    def __init__(self, device: str, sources: Iterable[Path]) -> None:
        from arena.photo import brings_depth  # noqa: PLC0415 - --help does not wait for Pillow

        self._device = device
        if not all(map(brings_depth, sources)):
            # Without its weights no picture can be made, which is better known before hours of work.
            with err.status(f"{get_card(DEPTH_MODEL).label} is getting ready"):
                self._estimator()
        self._kept: dict[str, NDArray[np.float32]] = {}

    def _estimator(self) -> DepthEstimator:
        from arena.models.depth import load_depth  # noqa: PLC0415 - --help does not wait for PyTorch

        # Each time from the pool, which may have had to make room.
        return load_depth(DEPTH_MODEL, self._device)

    def added_to(self, photo: Photo) -> Photo:
        """The photo with its depth."""
        if photo.depth is not None:
            return photo
        depth = self._kept.get(photo.digest)
        if depth is None:
            depth = self._estimator().estimate(photo).map
            # Each model sees the photos in the same order, so that the first ones are the ones to keep.
            if len(self._kept) < KEPT_DEPTHS:
                self._kept[photo.digest] = depth
        return photo.with_depth(depth)


def _as_bytes(summary: Summary) -> bytes:
    # A name may hold bytes that are no text; what stands for them is what JSON has for it, too.
    return summary.to_json().encode(errors="backslashreplace")


@contextmanager
def _kept(summary: Summary, path: Path) -> Iterator[None]:
    """Write what is known by the end, however it comes; nothing over what an earlier run has left, if nothing is."""
    from arena.photo import write_file  # noqa: PLC0415 - --help does not wait for Pillow

    try:
        yield
    finally:
        if not summary.is_empty:
            write_file(path, _as_bytes(summary))


def _subject(result: Result) -> str:
    return f"{result.photo_name}, {get_card(result.model).label}"


def _line(result: Result, *, told: bool) -> str:
    label = _subject(result)
    if result.error is not None:
        return f"{label}: failed"
    notes = " ".join(["", *(result.matte.notes if result.matte else ())])
    if not result.found:
        what = "nothing of that kind found" if told else "no humans detected"
        return f"{label}: {what}, {format_seconds(result.seconds)} on {result.device}.{notes}"
    return f"{label}: {format_seconds(result.seconds)} on {result.device}.{notes}"
