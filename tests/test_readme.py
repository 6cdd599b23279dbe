"""What the README says of the models is what the catalog says."""

from __future__ import annotations

import re

from arena.catalog import CARDS, Task
from arena.wording import format_bytes
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text("utf-8")


def table() -> str:
    """The README's model table, made from the catalog."""
    rows = []
    for card in CARDS:
        if not card.available or card.task not in {Task.PORTRAIT, Task.PROMPTED}:
            continue
        licence = card.licence if card.commercial else f"{card.licence}, **non-commercial**"
        licence += ", gated" if card.gated else ""
        size = format_bytes(card.bytes) if card.bytes else "none"
        rows.append(f"| `{card.key}` | {card.label} | {licence} | {size} | {card.mask_kind} |")
    return "\n".join(rows)


def test_the_model_table_is_the_catalog() -> None:
    found = re.search(r"^\| key \|.*\n\| ---.*\n((?:\|.*\n)+)", README, re.MULTILINE)
    assert found is not None
    assert found.group(1).strip() == table()


def test_models_that_give_no_mask_are_named_with_licence_and_size() -> None:
    words = " ".join(README.split())
    for card in CARDS:
        if card.available and card.task not in {Task.PORTRAIT, Task.PROMPTED}:
            assert f"`{card.key}` ({card.licence}, {format_bytes(card.bytes)})" in words


def test_every_model_that_cannot_run_is_named_as_such() -> None:
    sentences = " ".join(re.findall(r"[^.]*not\s+available in this build", README))
    assert set(re.findall(r"`([^`]+)`", sentences)) == {card.key for card in CARDS if not card.available}


def test_pictures_and_files_that_are_linked_exist() -> None:
    for target in re.findall(r"\]\((?!http)([^)]+)\)", README):
        assert (ROOT / target).exists(), target
