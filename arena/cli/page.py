"""``arena app``: start the page."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Annotated

import typer

import arena
from arena.errors import ArenaError

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
    settings = {
        f"{section}.{name}": value
        for section, values in tomllib.loads(config.read_text("utf-8")).items()
        for name, value in values.items()
        if not isinstance(value, dict)
    }
    settings |= {"server.port": port, "server.address": address}
    if not browser:
        settings["server.headless"] = True
    flags = [f"--{name}={str(value).lower() if isinstance(value, bool) else value}" for name, value in settings.items()]
    command = [sys.executable, "-m", "streamlit", "run", str(script), *flags]
    # Streamlit reads tables within tables, the two themes, from its own file or from flags of that depth only.
    themes = tomllib.loads(config.read_text("utf-8"))["theme"]
    command += [
        f"--theme.{mode}.{name}={value}"
        for mode, values in themes.items()
        if isinstance(values, dict)
        for name, value in values.items()
    ]
    try:
        raise typer.Exit(subprocess.call(command, env={**os.environ}))  # noqa: S603 - our own interpreter and script
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


def _script_and_config() -> tuple[Path, Path]:
    """The page's script and settings: inside an installed package, or beside it in a checkout."""
    for script, config in (
        (_PACKAGE / "ui" / "app.py", _PACKAGE / "ui" / "streamlit.toml"),
        (_PACKAGE.parent / "app.py", _PACKAGE.parent / ".streamlit" / "config.toml"),
    ):
        if script.is_file() and config.is_file():
            return script, config
    raise ArenaError("The page's script app.py is missing from this installation.", "Install the package again.")
