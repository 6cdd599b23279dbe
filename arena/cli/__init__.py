"""The ``arena`` command. Each module holds one group of commands; none imports torch before it has to."""

from __future__ import annotations

import sys

from arena.cli.console import accept_any_text, exit_with
from arena.errors import ArenaError


def main() -> None:
    """Run the ``arena`` command on this process's arguments."""
    from arena.cli.app import app  # noqa: PLC0415 - `import arena.cli` stays free of Typer

    accept_any_text()
    try:
        app()
    except ArenaError as error:
        sys.exit(exit_with(error))
