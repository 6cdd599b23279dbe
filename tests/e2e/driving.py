"""What the tests of the pages in a browser have in common."""

from __future__ import annotations

import base64
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from playwright.sync_api import expect

from arena.catalog import DEFAULT_MODEL, get_card
from arena.photo import Photo
from arena.samples import SAMPLES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from playwright.sync_api import Locator, Page

RUN = "Run Segmentation and Blurring"
CLASSIC = get_card("classic").label
ASTRONAUT = SAMPLES[0].path

SLACK = 6
"""What JPEG takes from a plain colour."""


def settle(page: Page) -> None:
    """Wait until the page does not change under a click any more."""
    app = page.get_by_test_id("stApp")
    expect(app).to_have_attribute("data-test-script-state", "notRunning")


def shown(page: Page, look: str, *alts: str) -> list[Any]:
    """What a look at pictures gives, once the page is not being drawn and shows each of them, and each once.

    All in one step, in one frame: what is true in one may not be so any more in the next.
    """
    found: list[Any] = page.wait_for_function(
        f"""alts => {{
            if (document.querySelector('[data-testid="stApp"]').dataset.testScriptState !== "notRunning")
                return null;
            const pictures = alts.flatMap(alt => [...document.querySelectorAll(`img[alt="${{alt}}"]`)]);
            const each = pictures.length === alts.length && alts.every((alt, place) => pictures[place].alt === alt);
            if (!each || !pictures.every(picture => picture.checkVisibility({{visibilityProperty: true}})))
                return null;
            return pictures.map({look});
        }}""",
        arg=list(alts),
    ).json_value()
    return found


def source(page: Page, alt: str) -> str:
    """Address of a picture."""
    (address,) = shown(page, "picture => picture.src", alt)
    return str(address)


def places(page: Page, *alts: str) -> list[dict[str, float]]:
    """Where pictures lie: what is still being drawn above them moves them all."""
    return shown(page, "picture => picture.getBoundingClientRect().toJSON()", *alts)


def picture(page: Page, alt: str) -> bytes:
    """The file behind a picture of the page."""
    return base64.b64decode(source(page, alt).removeprefix("data:image/jpeg;base64,"))


def pixels(page: Page, alt: str) -> NDArray[np.int_]:
    """What a picture of the page shows."""
    return Photo.open(picture(page, alt)).rgb.astype(int)


def wait_for_another(page: Page, alt: str, before: str) -> None:
    """Until a picture is not what it was."""
    expect(page.get_by_alt_text(alt).first).not_to_have_attribute("src", before)


def is_colour(area: NDArray[np.int_], colour: tuple[int, int, int]) -> bool:
    return bool(np.abs(area - np.asarray(colour)).max() <= SLACK)


def segment(page: Page, group: str, name: str) -> Locator:
    return page.get_by_role("radiogroup", name=group).get_by_role("radio", name=name)


def opened(box: Locator) -> None:
    """Open a list of choices; a rerun that ends just now closes it again."""
    for _ in range(5):
        box.click()
        box.page.wait_for_timeout(500)
        if box.get_attribute("aria-expanded") == "true":
            return
    raise AssertionError("the list does not open")


def choose(page: Page, label: str) -> None:
    """Tick one model and no other."""
    page.get_by_role("button", name="None").click()
    # A tick that arrives together with the press would be taken back by it.
    expect(page.get_by_role("checkbox", name=get_card(DEFAULT_MODEL).label)).not_to_be_checked()
    box = page.get_by_role("checkbox", name=label, exact=True)
    box.check(force=True)
    expect(box).to_be_checked()


@contextmanager
def sidebar(page: Page) -> Iterator[None]:
    """On a phone the sidebar hides, and the pages' names with it; open it for a while."""
    page.get_by_role("button", name="Expand sidebar").click()
    yield
    page.get_by_test_id("stSidebarCollapseButton").get_by_role("button").click()


def downloaded(page: Page, button: str, target: Path) -> Photo:
    with page.expect_download() as started:
        page.get_by_role("button", name=button).click()
    started.value.save_as(target)
    return Photo.open(target)


def screenshot(page: Page, name: str) -> None:
    """Keep a picture of the page where ``ARENA_SCREENSHOTS`` says, for people to look at."""
    folder = os.environ.get("ARENA_SCREENSHOTS")
    if not folder:
        return
    before = page.viewport_size
    assert before is not None
    # Streamlit scrolls a part of the page, not the page: a window as high as that part shows all of it.
    height = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
    page.set_viewport_size({"width": before["width"], "height": max(before["height"], height + 40)})
    page.wait_for_timeout(700)
    page.screenshot(path=str(Path(folder) / f"{name}.png"))
    page.set_viewport_size(before)
