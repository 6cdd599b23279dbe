"""Where the shell's words go: results to standard output, everything else to standard error."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

from rich.console import Console

from arena.errors import DeviceError, ModelUnavailableError, OptionError, UnknownModelError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.table import Table

    from arena.errors import ArenaError

WIDE = 160
"""Columns of a table that nobody sees on a screen."""

EXIT_FAILED = 1
"""Some of the work failed; what did was named."""
EXIT_USAGE = 2
"""The command cannot be carried out as it was given."""
_WRONG = (OptionError, UnknownModelError, ModelUnavailableError, DeviceError)

out = Console(highlight=False, emoji=False)
err = Console(stderr=True, highlight=False, emoji=False)


def accept_any_text() -> None:
    """Have standard output take what its encoding lacks, as standard error does: a name must not end a run.

    On Windows what is piped or redirected has the code page of the country, which has neither an arrow nor Japanese.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def exit_with(error: ArenaError) -> int:
    """Print an error and tell which exit code it means.

    Args:
        error: What went wrong.

    Returns:
        2 if the command itself was wrong, else 1.
    """
    print_error(error)
    return EXIT_USAGE if isinstance(error, _WRONG) else EXIT_FAILED


def print_error(error: ArenaError, subject: str = "") -> None:
    """Print what failed, and below it what to do.

    Args:
        error: What went wrong.
        subject: To what it happened, for instance a photo and a model.
    """
    err.print(f"{subject or 'Error'}: ", style="bold red", end="", markup=False, soft_wrap=True)
    err.print(error.problem, markup=False, soft_wrap=True)
    if error.remedy:
        err.print(f"  {error.remedy}", markup=False, soft_wrap=True)
    if error.details:
        err.print(f"  ({error.details})", style="dim", markup=False, soft_wrap=True)


def print_table(table: Table) -> None:
    """Print a table to standard output.

    Args:
        table: The table.
    """
    # What reads a pipe has no screen whose width a table would have to fit.
    (out if out.is_terminal else Console(width=WIDE, highlight=False, emoji=False)).print(table)


def print_licence_notices(keys: Iterable[str]) -> None:
    """Say what a licence asks for, before a model's weights are downloaded for the first time.

    Args:
        keys: The models that are about to be used.
    """
    # Imported here so that --help does not wait for them.
    from arena.catalog import get_card  # noqa: PLC0415
    from arena.weights import is_cached  # noqa: PLC0415

    for card in map(get_card, keys):
        if card.licence_notice and not is_cached(card):
            err.print(card.licence_notice, style="yellow", markup=False)
