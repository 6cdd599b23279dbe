"""``arena doctor``: check the installation and models, for oneself or for an issue."""

from __future__ import annotations

from itertools import chain
from typing import Annotated

import typer

from arena.catalog import DEFAULT_MODEL, get_card
from arena.cli.console import EXIT_FAILED
from arena.cli.options import DeviceOption


def doctor(
    keys: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY...", show_default=False, help=f"Models to try; default: {DEFAULT_MODEL}."),
    ] = None,
    device: DeviceOption = "auto",
) -> None:
    """Check this installation, and models on a bundled portrait. Nothing is downloaded.

    The report is plain text to paste into an issue. The exit code is 1 if a check failed.
    """
    from arena.doctor import Status, check_installation, check_model  # noqa: PLC0415 - --help does not wait for it

    wanted = list(dict.fromkeys(keys or [DEFAULT_MODEL]))
    for key in wanted:
        get_card(key)
    failed = False
    for check in chain(check_installation(), *(check_model(key, device) for key in wanted)):
        failed |= check.status is Status.FAILED
        typer.echo(str(check))
    if failed:
        raise typer.Exit(EXIT_FAILED)
