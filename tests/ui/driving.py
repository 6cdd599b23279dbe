"""What a user does on the pages."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from streamlit.util import calc_hash

from arena.comparison import Stage
from arena.ui.state import COMPARE, Key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamlit.testing.v1 import AppTest

    from arena.ui.job import Job
    from arena.ui.previews import Preview
    from arena.ui.state import Workspace

COMPARE_URL, REPLACE_URL, DRAW_URL = "", "replace-background", "draw"


def memory(page: AppTest, name: str = COMPARE) -> Workspace:
    """What a page keeps."""
    space: Workspace = getattr(page.session_state[Key.SESSION], name)
    return space


def only_preview(page: AppTest, name: str = COMPARE) -> Preview:
    """The preview of the one result."""
    (preview,) = memory(page, name).previews.values()
    return preview


def until_done(page: AppTest, name: str = COMPARE) -> AppTest:
    """Rerun as the polling fragment would, until the run has ended and its results are on the page."""
    for _ in range(200):
        page.run()
        job = memory(page, name).job
        assert job is not None
        if not job.running and not job.has_news:
            # A run that ended while the page was being drawn has been drawn as one under way.
            return page.run()
        time.sleep(0.05)
    raise AssertionError("the run does not end")


def until_running(page: AppTest, model: str, name: str = COMPARE) -> Job:
    """Rerun until the run of a page works on a photo with a model."""
    for _ in range(200):
        job = memory(page, name).job
        assert job is not None
        if any(event.model == model and event.stage is Stage.RUNNING for event in job.events()):
            return job
        time.sleep(0.05)
        page.run()
    raise AssertionError(f"{model} does not begin")


def run_on_sample(page: AppTest, *models: str) -> AppTest:
    """Compare models on a sample."""
    page.run()
    page.button(key=Key.SAMPLE.of("astronaut")).click().run()
    for model in ("disc", "empty", "broken", "slow"):
        page.checkbox(key=Key.MODEL.of(model)).set_value(model in models)
    page.run()
    page.button(key=Key.RUN.of(COMPARE)).click()
    return until_done(page)


def go_to(page: AppTest, url: str) -> AppTest:
    """Switch to another page of the navigation; AppTest's own way knows files only."""
    page._page_hash = calc_hash(url)
    return page.run()


def canvas_data(page: AppTest) -> dict[str, Any]:
    """What the canvas of the page that draws is told."""
    (canvas,) = page.main.get("bidi_component")
    data: dict[str, Any] = json.loads(canvas.proto.json)
    return data


def stroke(page: AppTest, boxes: Sequence[Sequence[float]] = (), points: Sequence[Sequence[float]] = ()) -> AppTest:
    """Report all that is drawn, as the canvas does after a stroke."""
    (canvas,) = page.main.get("bidi_component")
    told = json.loads(canvas.proto.json)
    report = {"photo": told["photo"], "boxes": boxes, "points": points, "strokes": told["strokes"] + 1}
    states = page._tree.get_widget_states()
    states.widgets.add(id=canvas.proto.id, json_value=json.dumps({"drawn": report}))
    return page._run(states)


def texts(page: AppTest) -> str:
    """All words of the page's main part."""
    blocks = [*page.main.markdown, *page.main.caption, *page.main.info, *page.main.error]
    return "\n".join(str(block.value) for block in blocks)
