"""``arena evaluate``: models against mattes that are known."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from arena.catalog import DEFAULT_MODEL, list_models
from arena.cli.bars import model_bars
from arena.cli.console import EXIT_FAILED, err, out, print_error, print_licence_notices, print_table
from arena.cli.options import DeviceOption
from arena.errors import OptionError
from arena.paths import expanded
from arena.wording import format_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from arena.evaluation import Metric, Report, Summary


def evaluate(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA",
            show_default=False,
            help="Pictures: photos/NAME.jpg and masks/NAME.png, or NAME.jpg beside NAME.alpha.png, or a table (CSV).",
        ),
    ],
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            metavar="KEY[+hair][=FILE]",
            help="A model, one that follows hair (lite+hair), other weights of one, or face-box; repeat for more. "
            f"Default: {DEFAULT_MODEL}.",
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", show_default=False, help="Folder for scores, report and sheet."),
    ] = None,
    split: Annotated[
        str, typer.Option("--split", metavar="NAME", help="Which pictures: clean, validation, noisy or all.")
    ] = "clean",
    limit: Annotated[
        int | None,
        typer.Option("--limit", metavar="N", show_default=False, help="Only so many of them, drawn by the seed."),
    ] = None,
    crop: Annotated[
        str, typer.Option("--crop", metavar="NAME", help="Which part of each: none (all of it) or upper-body.")
    ] = "none",
    boxes: Annotated[
        str,
        typer.Option("--boxes", metavar="NAME", help="Where boxes for models that take them come from: face or mask."),
    ] = "face",
    as_mattes: Annotated[
        bool, typer.Option("--as-mattes", help="Gradient and connectivity of truths of nothing but 0 and 1, too.")
    ] = False,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Of the drawing and of the intervals.")] = 0,
    worst: Annotated[
        int, typer.Option("--worst", metavar="N", help="Pictures on the sheet, up to 100; 0 for none.")
    ] = 8,
    device: DeviceOption = "auto",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Score again what DIR has, for instance after a change of the program.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print report.json to standard output.")] = False,
) -> None:
    """Say how near models come to known masks and mattes, and how sure that is.

    The table has means over the pictures that all models scored, each with the
    95 % interval of a bootstrap over pictures. A truth of nothing but 0 and 1
    is scored as a mask, any other as a matte too. Where a model sees nobody,
    its empty matte is scored as it is.

    In DIR: scores.csv (a line for each picture and model), summary.csv,
    report.json, and worst.jpg with the pictures that the first model does worst
    on. Scores are kept in DIR/cache as they come: run the same again to go on
    after an interruption, or with more models.

    Remback's comparison, with remback=FILE for a checkpoint of your own:

    arena evaluate DATA -m remback -m sam-vit-b -m face-box -m u2net -o DIR

    The exit code is 0 if all was scored, 1 if something was skipped (named at
    the end), 2 if the command was wrong.
    """
    # Imported here so that --help does not wait for them.
    from arena.evaluation import evaluate as run  # noqa: PLC0415

    data = expanded(data)
    if not data.exists():
        raise OptionError(f"There is no {data}.", "Name the folder that has photos/ and masks/ in it.")
    names = list(dict.fromkeys(models or [DEFAULT_MODEL]))
    print_licence_notices(card.key for card in list_models() if card.key in names)
    try:
        with model_bars(str) as bars:
            report = run(
                data,
                names,
                out=folder and expanded(folder),
                split=split,
                limit=limit,
                crop=crop,
                boxes=boxes,
                as_mattes=as_mattes,
                device=device,
                seed=seed,
                worst=worst,
                overwrite=overwrite,
                on_event=bars.show,
            )
    except KeyboardInterrupt:
        if folder is not None:
            err.print(
                f"What was scored is kept in {folder}: run the same again to go on.", markup=False, soft_wrap=True
            )
        raise
    if as_json:
        sys.stdout.write(report.to_json())
    else:
        _print(report, folder)
    if report.skipped:
        err.print(f"Skipped: {len(report.skipped)}", markup=False)
    for skip in report.skipped:
        print_error(skip.error, skip.subject)
    if report.skipped:
        raise typer.Exit(EXIT_FAILED)


def _print(report: Report, folder: Path | None) -> None:
    if report.summaries:
        print_table(_table(report))
    if any(summary.differs for summary in report.summaries):
        first = report.titles[report.summaries[0].model]
        words = f"* differs from {first}: 0 is outside of the 95 % interval of the difference, picture by picture"
        out.print(words, markup=False, soft_wrap=True)
    scored = {row.picture for row in report.rows}
    if len(report.common) < len(scored):
        out.print(f"Means are over the {len(report.common)} of {len(scored)} pictures that all models scored.")
    if folder is None:
        out.print("Add --out DIR for each picture's scores and a sheet of the worst.")
    else:
        out.print(f"The results are in {folder}", markup=False, soft_wrap=True)


def _table(report: Report) -> Table:
    """Metrics down, models across."""
    from arena.evaluation import METRICS  # noqa: PLC0415 - --help does not wait for it

    models = [model for model in report.models if report.of(model)]
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column(f"{len(report.common)} pictures", no_wrap=True)
    table.add_column("Unit")
    for model in models:
        table.add_column(escape(report.titles[model]), justify="right", overflow="fold")
    for metric in METRICS:
        line = [summary for summary in report.summaries if summary.metric == metric.key]
        if line:
            arrow = "↑" if metric.higher_is_better else "↓"
            table.add_row(f"{metric.label} {arrow}", metric.unit, *_cells(metric, line))
    rows = [report.of(model) for model in models]
    table.add_row("Somebody seen", "pictures", *(str(sum(row.found for row in of)) for of in rows))
    table.add_row("Time", "median", *(format_seconds(median(row.seconds for row in of)) for of in rows))
    return table


def _cells(metric: Metric, line: Sequence[Summary]) -> Iterator[str]:
    """Mean and interval of each model, the best mean in bold."""
    means = [summary.estimate.mean for summary in line]
    best = max(means) if metric.higher_is_better else min(means)
    for summary in line:
        mean, low, high = (f"{value:.{metric.digits}f}" for value in dataclasses.astuple(summary.estimate))
        mean = f"[bold]{mean}[/bold]" if summary.estimate.mean == best and len(line) > 1 else mean
        yield f"{mean} ({low}–{high}){'*' if summary.differs else ' '}"
