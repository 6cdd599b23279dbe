"""``arena train``: make the weights of our own network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar

from arena.cli.console import err, out
from arena.cli.options import DeviceOption

if TYPE_CHECKING:
    from arena.training.plan import Stage
    from arena.training.trainer import Progress

train = typer.Typer(help="Train networks of our own.", no_args_is_help=True)


@train.callback()
def root() -> None:
    """Train networks of our own."""


@train.command("lite")
def lite(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="FOLDER...",
            show_default=False,
            help="Pictures with mattes: photos/NAME.jpg and masks/NAME.png, or NAME.jpg beside NAME.alpha.png.",
        ),
    ],
    result: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="Where checkpoints and weights go.")],
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            show_default=False,
            help="The plan, TOML, which names its folders. Default: that of the shipped weights (ccp and mattes).",
        ),
    ] = None,
    device: DeviceOption = "auto",
) -> None:
    """Train Arena Lite. A run that was broken off goes on where it was, if it is given the same folders.

    The result is lite.safetensors in the folder of --out, beside a folder for each stage with its checkpoint, its log
    (log.csv) and its curves (curves.png). Started by `torchrun`, several processes share each batch.
    """
    # Imported here so that --help does not wait for them.
    from arena.devices import resolve_device  # noqa: PLC0415
    from arena.training.launch import distributed  # noqa: PLC0415
    from arena.training.plan import SHIPPED_PLAN, LiteRun, read_plan  # noqa: PLC0415

    plan = read_plan(config or SHIPPED_PLAN)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with distributed() as first, ProgressBar(*columns, console=err, disable=not (first and err.is_terminal)) as bars:
        run = LiteRun(plan, folders, result, resolve_device(device))
        tasks = {stage.name: bars.add_task(stage.name, total=stage.schedule.steps) for stage in plan.stages}

        def show(stage: Stage, progress: Progress) -> None:
            bars.update(
                tasks[stage.name],
                completed=progress.step,
                description=f"{stage.name}: loss {progress.loss:.3f}",
            )
            if progress.scores and first:
                scores = ", ".join(f"{name} {value:.4f}" for name, value in progress.scores.items())
                err.print(f"{stage.name}, step {progress.step}: {scores}", markup=False)

        weights = run.run(show if first else None)
    if first:
        for line in run.skipped:
            err.print(f"Not used: {line}", markup=False)
        out.print(str(weights), markup=False, soft_wrap=True)
