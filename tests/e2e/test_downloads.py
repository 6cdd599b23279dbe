"""Models that are downloaded, from the first tick to the picture."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import torch
from playwright.sync_api import expect
from safetensors.torch import save as save_tensors

from arena.catalog import get_card
from arena.nets import U2Net
from tests.e2e.conftest import serve, visit
from tests.e2e.driving import CLASSIC, RUN, choose, screenshot
from tests.hub import HubEmulator, Knobs
from tests.models.random_weights import random_state

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.e2e

SLOW = 2_000_000
"""Bytes a second: slow enough to see the download."""


@pytest.fixture(scope="module")
def emulator() -> Iterator[HubEmulator]:
    with HubEmulator() as hub:
        yield hub


@pytest.fixture(scope="module")
def connected(emulator: HubEmulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page on a machine that reaches a hub: two small models, a gated one, and one whose file is damaged."""
    folder = tmp_path_factory.mktemp("connected")
    nothing = save_tensors({})

    def weights(gain: float) -> bytes:
        # Different bytes for each card: the emulator, as the hub, keeps files by their checksum.
        path = folder / f"{gain}.pth"
        torch.save(random_state(U2Net("small"), gain), path)
        return path.read_bytes()

    published = [
        emulator.publish(get_card("u2netp"), weights(1.2), knobs=Knobs(bandwidth=SLOW)),
        emulator.publish(get_card("u2net-human"), weights(1.25), knobs=Knobs(bandwidth=4 * SLOW)),
        emulator.publish(get_card("rmbg-2.0"), nothing),
        emulator.publish(get_card("u2net"), weights(1.3), knobs=Knobs(corrupt=True)),
    ]
    cards = folder / "cards.json"
    cards.write_text(json.dumps({card.key: {"bytes": card.bytes, "sha256": card.sha256} for card in published}))
    settings = {
        "HF_ENDPOINT": emulator.url,
        "HF_HOME": str(folder / "hub"),
        "NO_PROXY": "127.0.0.1",
        "ARENA_TEST_CARDS": str(cards),
    }
    with serve(folder / "log", settings, script="tests/e2e/emulated_app.py") as address:
        yield address


def column_boxes(page: Page, width: int) -> int:
    """Columns beside each other in a window of this width; fails if one is too narrow or the page overflows."""
    page.set_viewport_size({"width": width, "height": 1100})
    page.wait_for_timeout(500)
    boxes = [box.bounding_box() for box in page.locator('[class*="st-key-result_column"]').all()]
    assert all(box is not None and box["width"] >= min(240, width - 80) for box in boxes)
    lefts = {round(box["x"]) for box in boxes if box is not None}
    return len(lefts)


def test_stop_ends_a_download_and_the_next_run_goes_on_from_there(
    chromium: Browser, connected: str, emulator: HubEmulator
) -> None:
    (served,) = emulator.repository("space", get_card("u2net-human").repository) or []
    served.knobs = Knobs(bandwidth=SLOW / 10)
    with visit(chromium, connected) as here:
        page = here.page
        page.get_by_role("button", name="Use Astronaut").click()
        expect(page.get_by_role("button", name="Remove Astronaut")).to_be_visible()
        choose(page, "U²-Net Human")
        page.get_by_role("button", name=RUN).click()
        expect(page.get_by_text("U²-Net Human: downloading 1 of 5 MB")).to_be_visible()
        page.get_by_role("button", name="Stop").click()
        expect(page.get_by_role("button", name="Stop")).to_be_hidden()
        expect(page.get_by_role("button", name=RUN)).to_be_enabled()
        served.knobs = Knobs()
        page.get_by_role("button", name=RUN).click()
        expect(page.get_by_text("Inference: ")).to_be_visible()
        here.assert_clean()
    transfers = [request for request in emulator.transfers if served.sha256 in request.path]
    starts = [int(request.range.removeprefix("bytes=").split("-")[0]) for request in transfers if request.range]
    assert max(starts, default=0) > 500_000


def test_downloads_show_their_progress_and_failures_stay_in_their_columns(
    chromium: Browser, connected: str, emulator: HubEmulator
) -> None:
    with visit(chromium, connected, width=1500, height=1100) as here:
        page = here.page
        page.get_by_role("button", name="Use Astronaut").click()
        expect(page.get_by_role("button", name="Remove Astronaut")).to_be_visible()
        choose(page, CLASSIC)
        for label in ("RMBG 2.0", "U²-Net", "U²-Net Human", "U²-Net Small"):
            box = page.get_by_role("checkbox", name=label, exact=True)
            box.check(force=True)
            expect(box).to_be_checked()
        expect(page.get_by_text("no commercial use without an agreement")).to_be_visible()
        page.get_by_role("button", name=RUN).click()
        expect(page.get_by_text("U²-Net Small: downloading")).to_be_visible()
        expect(page.get_by_text("MB/s")).to_be_visible()
        screenshot(page, "downloading")
        # Three with a result of whatever random weights see, two that failed.
        expect(page.get_by_text("Failed to run")).to_have_count(2)
        expect(page.get_by_role("button", name="Stop")).to_be_hidden()
        expect(page.get_by_text("Inference: ")).to_have_count(3)
        expect(page.get_by_text("Failed to run RMBG 2.0")).to_be_visible()
        expect(page.get_by_text("huggingface.co/briaai/RMBG-2.0").last).to_be_visible()
        expect(page.get_by_text("Failed to run U²-Net:")).to_be_visible()
        screenshot(page, "downloaded")
        # As many columns as fit, none too narrow to judge a face in; on a phone one below the other.
        assert column_boxes(page, 1500) == 3
        assert column_boxes(page, 2400) == 5
        assert column_boxes(page, 390) == 1
        page.set_viewport_size({"width": 1500, "height": 1100})

        # Once the hub sends the right bytes, another try of that model alone succeeds.
        (damaged,) = emulator.repository("model", get_card("u2net").repository) or []
        damaged.knobs = Knobs()
        page.get_by_role("button", name="Retry U²-Net", exact=True).click()
        expect(page.get_by_text("Inference: ")).to_have_count(4)
        expect(page.get_by_text("Failed to run")).to_have_count(1)
        here.assert_clean()

        # What is downloaded moves to the models that are ready.
        page.reload()
        ready = page.get_by_role("button", name="All ready")
        ready.click()
        expect(page.get_by_role("checkbox", name="U²-Net Small", exact=True)).to_be_checked()
        expect(page.get_by_role("checkbox", name="RMBG 2.0", exact=True)).not_to_be_checked()
    assert not [request for request in emulator.log if request.headers.get("authorization")]
