"""The command line's front door: gathers the commands and holds what they share."""

from __future__ import annotations

from typing import Annotated

import typer

import arena
from arena.cli import catalog, compare, doctor, evaluate, export, fetch, finetune, page, pictures, train

app = typer.Typer(
    name="arena",
    help="Compare portrait segmentation models on your own photos, and blur or replace their backgrounds.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command("app")(page.app)
app.command("compare")(compare.compare)
app.command("evaluate")(evaluate.evaluate)
app.command("blur")(pictures.blur)
app.command("replace")(pictures.replace)
app.command("cutout")(pictures.cutout)
app.command("depth")(pictures.depth)
app.command("models")(catalog.models)
app.command("fetch")(fetch.fetch)
app.command("export")(export.export)
app.command("doctor")(doctor.doctor)
app.command("finetune")(finetune.finetune)
app.add_typer(train.train, name="train")


def _version(value: bool) -> None:
    if value:
        typer.echo(f"arena {arena.__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Compare portrait segmentation models on your own photos, and blur or replace their backgrounds."""
