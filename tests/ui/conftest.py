"""The pages without a browser, with models that run at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from streamlit.testing.v1 import AppTest

from arena.catalog import DEPTH_MODEL, MATTING_MODEL, Task
from arena.models.pool import unload
from arena.ui import state
from arena.ui.pages import replace
from tests.conftest import ROOT
from tests.fakes import SlowSegmenter, make_card

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def page(use_cards: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> Iterator[AppTest]:
    use_cards(
        make_card("disc", "DiscSegmenter", label="Disc", hair_prompt=True),
        make_card("empty", "EmptySegmenter", label="Empty"),
        make_card("broken", "BrokenSegmenter", label="Broken"),
        make_card("slow", "SlowSegmenter", label="Slow", family="u2net"),
        make_card("absent", "", label="Absent"),
        make_card("u2net", "DiscSegmenter", label="U²-Net", family="u2net", repository="a/b", bytes=175_000_000),
        make_card(
            "boxes",
            "BoxSegmenter",
            label="Boxes",
            task=Task.PROMPTED,
            box_prompt=True,
            point_prompt=True,
            hair_prompt=True,
        ),
        make_card("edges", "BoxSegmenter", label="Edges", task=Task.PROMPTED, box_prompt=True),
        make_card("blind", "EmptySegmenter", label="Blind", task=Task.PROMPTED, box_prompt=True),
        make_card(DEPTH_MODEL, "RampEstimator", label="Ramp", task=Task.DEPTH),
        make_card(MATTING_MODEL, "HalfNetwork", label="Half", task=Task.TRIMAP),
        make_card("stuck", "BrokenSegmenter", label="Stuck", task=Task.PROMPTED, box_prompt=True),
    )
    monkeypatch.setattr(state, "DEFAULT_MODEL", "disc")
    monkeypatch.setattr(replace, "DEFAULT_MODEL", "disc")
    SlowSegmenter.gate.set()
    yield AppTest.from_file(str(ROOT / "app.py"), default_timeout=120)
    SlowSegmenter.gate.set()
    unload()
