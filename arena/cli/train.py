"""``arena train``: make the weights of our own networks; and the bars of every command that trains."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from arena.cli.console import err, out
from arena.cli.options import DeviceOption
from arena.paths import expanded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.progress import TaskID

    from arena.training.plan import Stage
    from arena.training.trainer import Progress as Training

ResultOption = Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="Where checkpoints and weights go.")]
PlanOption = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", show_default=False, help="The plan, TOML. Default: that of the shipped weights."
    ),
]

train = typer.Typer(help="Train networks of our own.", no_args_is_help=True)


@train.callback()
def root() -> None:
    """Train networks of our own."""


class TrainingBars:
    """A line for each part of a run, on standard error."""

    def __init__(self, progress: Progress) -> None:
        """Begin without lines.

        Args:
            progress: Draws them.
        """
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def announce(self, name: str, total: int | None = None) -> TaskID:
        """Show a line, unless it is there."""
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(escape(name), total=total)
        return self._tasks[name]

    def count(self, name: str, done: int, total: int) -> None:
        """Redraw the line of a part that is counted."""
        self._progress.update(self.announce(name, total), completed=done, total=total)

    def show(self, name: str, progress: Training) -> None:
        """Redraw the line of a training, and print scores above it."""
        task = self.announce(name, progress.steps)
        self._progress.update(task, completed=progress.step, description=f"{escape(name)}: loss {progress.loss:.3f}")
        if progress.scores:
            scores = ", ".join(f"{score} {value:.4f}" for score, value in progress.scores.items())
            err.print(f"{name}, step {progress.step}: {scores}", markup=False)


@contextmanager
def training_bars(*, shown: bool) -> Iterator[TrainingBars]:
    """Show lines while something trains; scores alone where nobody looks at a terminal.

    Args:
        shown: Whether this process reports.

    Yields:
        The lines.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, disable=not (shown and err.is_terminal)) as progress:
        yield TrainingBars(progress)


def print_skipped(skipped: Iterable[str]) -> None:
    """Name the pictures that were not used, and count them.

    Args:
        skipped: Each with why.
    """
    lines = list(skipped)
    for line in lines:
        err.print(f"Not used: {line}", markup=False, soft_wrap=True)
    if lines:
        err.print(f"{len(lines)} {'picture was' if len(lines) == 1 else 'pictures were'} not used.", markup=False)


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
    result: ResultOption,
    config: PlanOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Train Arena Lite. A run that was broken off goes on where it was, if it is given the same folders.

    The plan names its folders; that of the shipped weights wants ccp.
    The result is lite.safetensors in the folder of --out, beside a folder for
    each stage with its checkpoint, its log (log.csv) and its curves (curves.png).
    Started by `torchrun`, several processes share each batch.
    """
    # Imported here so that --help does not wait for them.
    from arena.training.launch import distributed, own_device, training_device  # noqa: PLC0415
    from arena.training.plan import SHIPPED_PLAN, LiteRun, read_plan  # noqa: PLC0415

    plan = read_plan(config or SHIPPED_PLAN)
    place = training_device(device)
    with distributed(place) as first, training_bars(shown=first) as bars:
        run = LiteRun(plan, [expanded(folder) for folder in folders], expanded(result), own_device(place))
        for stage in plan.stages:
            bars.announce(stage.name, stage.schedule.steps)

        def show(stage: Stage, progress: Training) -> None:
            bars.show(stage.name, progress)

        weights = run.run(show if first else None)
    if first:
        _print_result(run.skipped, weights)


@train.command("hair")
def hair(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="FOLDER...",
            show_default=False,
            help="Pictures with soft mattes: NAME.jpg beside NAME.alpha.png. Of hard masks the backgrounds are used.",
        ),
    ],
    result: ResultOption,
    config: PlanOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Train the hair refiner. A run that was broken off goes on where it was, if it is given the same folders.

    The result is hair.safetensors in the folder of --out, beside checkpoint, log.csv
    and curves.png. Started by `torchrun`, several processes share each batch.
    """
    # Imported here so that --help does not wait for them.
    from arena.training.hair_run import SHIPPED_PLAN, HairRun, read_hair_plan  # noqa: PLC0415
    from arena.training.launch import distributed, own_device, training_device  # noqa: PLC0415

    plan = read_hair_plan(config or SHIPPED_PLAN)
    place = training_device(device)
    with distributed(place) as first, training_bars(shown=first) as bars:
        run = HairRun(plan, [expanded(folder) for folder in folders], expanded(result), own_device(place))
        bars.announce("hair", plan.schedule.steps)

        def show(progress: Training) -> None:
            bars.show("hair", progress)

        weights = run.run(show if first else None)
    if first:
        _print_result(run.skipped, weights)


def _print_result(skipped: Iterable[str], weights: Path) -> None:
    print_skipped(skipped)
    out.print(str(weights), markup=False, soft_wrap=True)
