"""``arena app``: start the page."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import arena
from arena.errors import ArenaError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PACKAGE = Path(arena.__file__).parent


def app(
    port: Annotated[int, typer.Option("--port", "-p", min=1, max=65535, help="Port of the page.")] = 8501,
    address: Annotated[
        str, typer.Option("--address", help="Address to listen on; 0.0.0.0 lets other machines in.")
    ] = "127.0.0.1",
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")] = True,
) -> None:
    """Start the page and open it in the browser."""
    script, config = _script_and_config()
    settings = dict(_flat(tomllib.loads(config.read_text("utf-8"))))
    settings |= {"server.port": port, "server.address": address}
    if not browser:
        settings["server.headless"] = True
    flags = [f"--{name}={str(value).lower() if isinstance(value, bool) else value}" for name, value in settings.items()]
    command = [sys.executable, "-m", "streamlit", "run", str(script), *flags]
    if os.name == "posix":
        # The page takes this process over, so that whoever ends the one has ended the other.
        os.execv(command[0], command)  # noqa: S606 - our own interpreter and script
    try:
        raise typer.Exit(subprocess.call(command))  # noqa: S603 - our own interpreter and script
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The settings of a TOML table and of the tables within, by dotted name, as Streamlit's flags are called."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _script_and_config() -> tuple[Path, Path]:
    """The page's script and settings: inside an installed package, or beside it in a checkout."""
    for script, config in (
        (_PACKAGE / "ui" / "app.py", _PACKAGE / "ui" / "streamlit.toml"),
        (_PACKAGE.parent / "app.py", _PACKAGE.parent / ".streamlit" / "config.toml"),
    ):
        if script.is_file() and config.is_file():
            return script, config
    raise ArenaError("The page's script app.py is missing from this installation.", "Install the package again.")
