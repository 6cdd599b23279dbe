"""``arena models``: what can be run here."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from arena.catalog import Task, list_models
from arena.cli.console import print_table
from arena.errors import OptionError
from arena.wording import did_you_mean, format_bytes

if TYPE_CHECKING:
    from arena.catalog import ModelCard


_MASKS = {Task.DEPTH: "depth map", Task.TRIMAP: "another's edge"}
"""What models give that give no mask of their own."""


def models(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print everything that is known of each model as JSON.")
    ] = False,
    pattern: Annotated[str, typer.Argument(metavar="PATTERN", help="Only these keys, for instance 'birefnet*'.")] = "*",
) -> None:
    """List the models: licence, download size, mask kind, and whether they are on this machine."""
    from arena.weights import cached_bytes, is_cached  # noqa: PLC0415 - not needed for --help

    cards = list_models(pattern)
    if not cards:
        keys = [card.key for card in list_models()]
        remedy = did_you_mean(pattern, keys) or f"There are {', '.join(keys)}."
        raise OptionError(f"There is no model {pattern!r}.", remedy)
    if as_json:
        rows = [{**_as_dict(card), "cached": is_cached(card), "cached_bytes": cached_bytes(card)} for card in cards]
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("Key", "Model", "Mask", "Prompt", "Licence"):
        table.add_column(heading, no_wrap=heading == "Key")
    table.add_column("Download", justify="right", no_wrap=True)
    table.add_column("State")
    for card in cards:
        licence = card.licence if card.commercial else f"{card.licence}, non-commercial"
        table.add_row(
            card.key,
            card.label,
            _MASKS.get(card.task, str(card.mask_kind)),
            _prompts(card),
            licence,
            format_bytes(card.bytes) if card.bytes else "",
            _state(card, is_cached(card), cached_bytes(card)),
        )
    print_table(table)


def _prompts(card: ModelCard) -> str:
    """What a model can, or must, be told beside the photo."""
    kinds = (("text", card.text_prompt), ("boxes", card.box_prompt), ("points", card.point_prompt))
    told = " or ".join(name for name, taken in kinds if taken)
    return f"needs {told}" if told and card.task is Task.PROMPTED else told


def _state(card: ModelCard, cached: bool, on_disk: int) -> str:
    if not card.available:
        return "not available in this build"
    if not card.needs_download:
        return "ready, in the box"
    if cached:
        return f"ready, {format_bytes(on_disk)} on disk"
    kept = f", {format_bytes(on_disk)} are here" if on_disk else ""
    return "download on first use" + (", gated" if card.gated else "") + kept


def _as_dict(card: ModelCard) -> dict[str, Any]:
    values = dataclasses.asdict(card)
    values["available"] = card.available
    values["needs_download"] = card.needs_download
    values["page"] = card.page
    return values
