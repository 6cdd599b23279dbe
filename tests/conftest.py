"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from arena import catalog
from tests.fakes import make_card
from tests.hub import hub as hub  # noqa: PLC0414 - a fixture of every test

if TYPE_CHECKING:
    from collections.abc import Callable

    from arena.catalog import ModelCard
    from arena.photo import Photo

ROOT = Path(__file__).resolve().parents[1]

# Nothing in a test may reach the real hub, whatever the developer's shell says: port 9 takes no connection.
os.environ["HF_ENDPOINT"] = "http://127.0.0.1:9"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ.pop("HF_TOKEN", None)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a developer ask for everything."""
    parser.addoption("--full", action="store_true", help="also run the slow tests, such as full-size networks")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the slow tests to those who ask for them, and to continuous integration, which skips nothing."""
    if config.getoption("--full") or os.environ.get("CI"):
        return
    skip = pytest.mark.skip(reason="slow; run with --full")
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(skip)


def _shared_folder() -> Path | None:
    """The developers' folder of reference data: ``ARENA_SHARED``, or ``shared`` beside the checkout."""
    folder = Path(os.environ.get("ARENA_SHARED", ROOT.parent / "shared"))
    return folder if (folder / "golden").is_dir() else None


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference data, which a clone of the project alone does not have."""
    folder = _shared_folder()
    if folder is None:
        pytest.skip("the developers' reference data is not beside this checkout")
    return folder


@pytest.fixture
def use_cards(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Replace the catalog by the cards of a test."""

    def replace(*cards: ModelCard) -> None:
        monkeypatch.setattr(catalog, "CARDS", cards)
        monkeypatch.setattr(catalog, "_BY_KEY", {card.key: card for card in cards})

    return replace


@pytest.fixture
def fake_cards(use_cards: Callable[..., None]) -> None:
    """A catalog of models that run at once: one that works, and one for each way of not working."""
    use_cards(
        make_card("disc", "DiscSegmenter"),
        make_card("empty", "EmptySegmenter"),
        make_card("broken", "BrokenSegmenter"),
        make_card("hungry", "HungrySegmenter"),
        make_card("unloadable", "UnloadableSegmenter"),
        make_card("prompted", "PromptedSegmenter", text_prompt=True),
        make_card("slow", "SlowSegmenter"),
        make_card("absent", ""),
    )


@pytest.fixture
def photo() -> Photo:
    """A small photo with structure in every channel."""
    from arena.photo import Photo

    rng = np.random.default_rng(7)
    coarse = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
    return Photo.from_array(np.kron(coarse, np.ones((8, 8, 1), np.uint8)), name="squares")
