"""``arena fetch``: download weights ahead of time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from arena.catalog import get_card, list_models
from arena.cli.console import EXIT_FAILED, err, out, print_error, print_licence_notices
from arena.errors import ArenaError, OptionError

if TYPE_CHECKING:
    from pathlib import Path

    from arena.catalog import ModelCard


def fetch(
    keys: Annotated[
        list[str] | None, typer.Argument(metavar="KEY...", show_default=False, help="Models to download.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Download every model that this build can run.")] = False,
) -> None:
    """Download models ahead, for later use without a network. A broken download goes on where it stopped.

    The exit code is 0 if everything is there, 1 if something failed (named at the end), 2 if the command was wrong.
    """
    cards = _cards(keys or [], everything)
    print_licence_notices([card.key for card in cards])
    failures: list[tuple[ModelCard, ArenaError]] = []
    for card in cards:
        try:
            _fetch(card)
        except ArenaError as error:
            failures.append((card, error))
    for card, failure in failures:
        print_error(failure, card.label)
    if failures:
        raise typer.Exit(EXIT_FAILED)


def _cards(keys: list[str], everything: bool) -> list[ModelCard]:
    if everything == bool(keys):
        raise OptionError("It is not clear what to fetch.", "Name models, or say --all.")
    if everything:
        return list_models(needs_download=True, available=True)
    from arena.models.pool import check_available  # noqa: PLC0415 - --help does not wait for it

    cards = [get_card(key) for key in dict.fromkeys(keys)]
    for card in cards:
        # Not to download what nothing here can run.
        check_available(card)
    return cards


def _fetch(card: ModelCard) -> None:
    path = download(card)
    if path is None:
        out.print(f"{card.label}: nothing to download", markup=False)
    else:
        out.print(f"{card.label}: {path}", markup=False, soft_wrap=True)


def download(card: ModelCard) -> Path | None:
    """Have a model's weights on this machine, with a bar for as long as that takes.

    Args:
        card: The model.

    Returns:
        The verified file; None for a model that needs none.

    Raises:
        WeightsError: They could not be had; the subclass says why.
    """
    from arena import weights  # noqa: PLC0415 - --help does not wait for it

    if not card.needs_download:
        return None
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=err, disable=not err.is_terminal) as progress:
        task = progress.add_task(card.label, total=card.bytes)

        def show(state: weights.Progress) -> None:
            progress.update(task, completed=state.done, total=state.total)

        return weights.fetch(card, progress=show)
