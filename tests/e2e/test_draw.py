"""The page that draws, as its user meets it: with a mouse, with fingers, and by numbers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pytest
from playwright.sync_api import expect

from arena.catalog import get_card
from arena.photo import Photo, save
from tests.conftest import ROOT
from tests.e2e.conftest import PATIENCE, serve, visit
from tests.e2e.driving import (
    ASTRONAUT,
    downloaded,
    is_colour,
    opened,
    pixels,
    screenshot,
    segment,
    settle,
    sidebar,
    source,
    wait_for_another,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from playwright.sync_api import Browser, Locator, Page

pytestmark = pytest.mark.e2e

LABEL = get_card("sam-vit-b").label
MASK = f"astronaut, mask by {LABEL}"
BLURRED = f"astronaut, blurred by {LABEL}"
RUN = "Run Segmentation"

TALL = 1700
"""Height of a window that holds photo, canvas and button: nothing scrolls under the mouse."""

NEAR = 3
"""How many pixels of the astronaut a hand misses by, where a pixel of the screen is at most two of the photo."""

FACE, SHUTTLE = (150, 20, 300, 200), (400, 60, 490, 330)
"""Boxes on the astronaut."""

Place = tuple[float, float]


@pytest.fixture(scope="module")
def boxes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page with a SAM that fills its boxes; the others are not on this machine, which is offline."""
    folder = tmp_path_factory.mktemp("boxes")
    settings = {"HF_HOME": str(folder / "hub"), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    with serve(folder / "log", settings, script="tests/e2e/box_app.py") as address:
        yield address


def to_drawing(page: Page) -> None:
    page.get_by_role("link", name="Draw", exact=True).click()
    expect(page.get_by_role("button", name=RUN, exact=True)).to_be_disabled()


def use(page: Page, sample: str) -> None:
    settle(page)
    page.get_by_role("button", name=f"Use {sample}").click()
    expect(page.get_by_role("button", name=f"Remove {sample}")).to_be_visible()
    canvas(page)


def canvas(page: Page) -> Locator:
    """The canvas, when nothing moves it any more."""
    shown = page.get_by_role("group", name="Boxes on ")
    expect(shown).to_be_visible()
    settle(page)
    shown.scroll_into_view_if_needed()
    return shown


def at(page: Page, x: float, y: float, size: tuple[int, int] = (512, 512)) -> Place:
    """Where a pixel of the photo lies in the window."""
    place = canvas(page).bounding_box()
    assert place is not None
    return place["x"] + x / size[0] * place["width"], place["y"] + y / size[1] * place["height"]


def drag(page: Page, start: Place, end: Place) -> None:
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*end, steps=6)
    page.mouse.up()


def click(page: Page, x: float, y: float) -> None:
    page.mouse.click(*at(page, x, y))


def draw(page: Page, box: Sequence[float], size: tuple[int, int] = (512, 512)) -> None:
    drag(page, at(page, box[0], box[1], size), at(page, box[2], box[3], size))


def number(page: Page, box: int, edge: str) -> Locator:
    return page.get_by_role("spinbutton", name=f"Box {box}, {edge}")


def numbers(page: Page, box: int, near: Sequence[float], slack: int = NEAR) -> tuple[int, ...]:
    """The numbers of a box, when they have come near what they should be."""
    found = []
    for edge, value in zip(("left", "top", "right", "bottom"), near, strict=True):
        field = number(page, box, edge)
        likely = "|".join(str(round(value) + miss) for miss in range(-slack, slack + 1))
        expect(field).to_have_value(re.compile(f"^({likely})$"))
        found.append(int(field.input_value()))
    return tuple(found)


def wait_for_lower_edge(page: Page, box: int, share: float) -> None:
    """Until a box on the canvas ends at a share of the photo's height: the page answers after the number is typed."""
    for _ in range(PATIENCE // 100):
        edge = canvas(page).evaluate(
            """(frame, number) => {
                const outline = frame.querySelectorAll(".box")[number].getBoundingClientRect();
                const photo = frame.getBoundingClientRect();
                return (outline.bottom - photo.top) / photo.height;
            }""",
            box - 1,
        )
        if abs(edge - share) < 0.01:
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"box {box} ends at {edge:.3f}, not at {share:.3f}")


def take(page: Page, label: str, tool: str) -> None:
    """Choose what a click draws, and wait until the canvas knows of it."""
    segment(page, "Draw", label).click()
    expect(page.locator(f'[data-tool="{tool}"]')).to_be_visible()


def expect_boxes(page: Page, count: int) -> None:
    """On the canvas and in the list."""
    expect(canvas(page).locator(".box")).to_have_count(count)
    expect(page.get_by_role("spinbutton", name=re.compile("Box .*, left"))).to_have_count(count)


def run(page: Page) -> None:
    settle(page)
    page.get_by_role("button", name=RUN, exact=True).click()


def inside(picture: np.ndarray, box: Sequence[int]) -> np.ndarray:
    """A picture within a box, without its edge."""
    left, top, right, bottom = box
    return picture[top + 6 : bottom - 6, left + 6 : right - 6]


def test_boxes_drawn_by_mouse_become_the_mask_where_they_were_drawn(chromium: Browser, boxes: str) -> None:
    with visit(chromium, boxes, height=TALL) as here:
        page = here.page
        to_drawing(page)
        use(page, "Astronaut")
        expect(page.get_by_text("Draw a box around what you want to keep")).to_be_visible()
        # The second stroke does not wait for the answer to the first.
        strokes = [(at(page, *box[:2]), at(page, *box[2:])) for box in (FACE, SHUTTLE)]
        for start, end in strokes:
            drag(page, start, end)
        face = numbers(page, 1, FACE)
        numbers(page, 2, SHUTTLE)
        expect_boxes(page, 2)

        # By number, and back on the canvas.
        field = number(page, 2, "bottom")
        field.fill("300")
        field.press("Enter")
        shuttle = numbers(page, 2, (*SHUTTLE[:3], 300))
        assert shuttle[3] == 300
        wait_for_lower_edge(page, 2, 300 / 512)
        screenshot(page, "draw-boxes")

        run(page)
        added = (pixels(page, MASK) - Photo.open(ASTRONAUT).rgb.astype(int))[..., 1]
        assert inside(added, face).mean() > 30
        assert inside(added, shuttle).mean() > 30
        assert np.abs(added[330:]).mean() < 4
        expect(page.get_by_text("Box 1: score 0.90; box 2: score 0.91.")).to_be_visible()
        before = source(page, MASK)

        # What was found in boxes that are gone does not pass for what is in the new ones.
        page.get_by_role("button", name="Delete box 1").click()
        expect_boxes(page, 1)
        expect(page.get_by_text("What the model is told has changed since.")).to_be_visible()
        screenshot(page, "draw-changed")
        run(page)
        wait_for_another(page, MASK, before)
        expect(page.get_by_text("What the model is told has changed since.")).to_be_hidden()
        added = (pixels(page, MASK) - Photo.open(ASTRONAUT).rgb.astype(int))[..., 1]
        assert np.abs(inside(added, face)).mean() < 4
        assert inside(added, shuttle).mean() > 30
        screenshot(page, "draw-result")

        # A look at another page takes the canvas away, and nothing that was drawn on it.
        page.get_by_role("link", name="Compare models").click()
        expect(page.get_by_role("button", name="Run Segmentation and Blurring")).to_be_visible()
        page.get_by_role("link", name="Draw", exact=True).click()
        expect_boxes(page, 1)
        draw(page, FACE)
        expect_boxes(page, 2)
        numbers(page, 2, FACE)
        here.assert_clean()


def test_boxes_are_moved_resized_nested_and_deleted_on_the_canvas(chromium: Browser, boxes: str) -> None:
    with visit(chromium, boxes, height=TALL, color_scheme="dark") as here:
        page = here.page
        to_drawing(page)
        use(page, "Astronaut")
        draw(page, FACE)
        numbers(page, 1, FACE)

        # It is selected: dragged inside it moves, but not out of the photo; dragged at a corner it grows.
        drag(page, at(page, 200, 100), at(page, 250, 140))
        numbers(page, 1, (200, 60, 350, 240))
        drag(page, at(page, 250, 140), at(page, 10, 130))
        numbers(page, 1, (0, 50, 150, 230))
        drag(page, at(page, 150, 230), at(page, 500, 400))
        numbers(page, 1, (0, 50, 500, 400))

        # Let go by a click, it can hold another one.
        click(page, 250, 200)
        draw(page, (100, 100, 200, 220))
        numbers(page, 2, (100, 100, 200, 220))

        # Neither a click nor a hair's breadth is a box.
        click(page, 30, 480)
        drag(page, at(page, 20, 450), at(page, 400, 451))
        drag(page, at(page, 20, 450), at(page, 22, 452))
        expect_boxes(page, 2)
        screenshot(page, "draw-nested-dark")

        # The smaller of two that lie under the mouse.
        click(page, 150, 150)
        page.keyboard.press("Delete")
        expect_boxes(page, 1)
        numbers(page, 1, (0, 50, 500, 400))

        # A stroke that is given up leaves everything as it was.
        page.mouse.move(*at(page, 20, 420))
        page.mouse.down()
        page.mouse.move(*at(page, 200, 500), steps=3)
        expect(canvas(page).locator(".box")).to_have_count(2)
        page.keyboard.press("Escape")
        page.mouse.up()
        expect_boxes(page, 1)

        take(page, "Points to keep", "keep")
        click(page, 300, 300)
        expect(page.get_by_role("spinbutton", name="Point +1, x")).to_have_value(re.compile("^(29[7-9]|30[0-3])$"))
        take(page, "Points to leave out", "leave")
        click(page, 100, 450)
        expect(page.get_by_role("spinbutton", name="Point −2, y")).to_be_visible()
        screenshot(page, "draw-points-dark")
        click(page, 300, 300)
        expect(page.get_by_role("spinbutton", name="Point −1, y")).to_be_visible()
        expect(canvas(page).locator(".dot")).to_have_count(1)
        page.get_by_role("button", name="Clear").click()
        expect_boxes(page, 0)
        expect(canvas(page).locator(".dot")).to_have_count(0)
        here.assert_clean()


def test_a_large_photo_keeps_its_size_and_its_pixels(chromium: Browser, boxes: str, tmp_path: Path) -> None:
    size = 2400, 1600
    shades = np.linspace(0, 255, size[0], dtype=np.uint8)
    photo = np.repeat(np.broadcast_to(shades, size[::-1])[..., None], 3, axis=2)
    save(tmp_path / "wide.png", photo)
    box = (600, 400, 1800, 1200)
    with visit(chromium, boxes, height=TALL) as here:
        page = here.page
        to_drawing(page)
        settle(page)
        page.locator("input[type=file]").first.set_input_files(str(tmp_path / "wide.png"))
        expect(page.get_by_text("2400 x 1600 px")).to_be_visible()
        draw(page, box, size)
        # A pixel of the screen is five of the photo.
        numbers(page, 1, box, slack=12)
        for edge, value in zip(("left", "top", "right", "bottom"), box, strict=True):
            number(page, 1, edge).fill(str(value))
            number(page, 1, edge).press("Enter")
            settle(page)
        numbers(page, 1, box, slack=0)
        run(page)
        pixels(page, f"wide, mask by {LABEL}")
        segment(page, "Effect", "Replace background").click()
        shown = pixels(page, f"wide, with a new background by {LABEL}")
        assert is_colour(shown[:100, :100], (255, 255, 255))
        exported = downloaded(page, "Download photo with new background", tmp_path / "replaced.png")
        assert exported.size == size
        assert (exported.rgb[:380] == 255).all()
        assert (exported.rgb[420:1180, 620:1780] == photo[420:1180, 620:1780]).all()

        # Portrait mode, without any blur: the photo itself.
        segment(page, "Effect", "Blur").click()
        blurred = f"wide, blurred by {LABEL}"
        blur = page.get_by_role("slider", name="Blur strength")
        expect(blur).to_be_visible()
        before = source(page, blurred)
        blur.focus()
        blur.press("Home")
        wait_for_another(page, blurred, before)
        exported = downloaded(page, "Download blurred photo", tmp_path / "blurred.png")
        assert (exported.rgb == photo).all()
        here.assert_clean()


def test_fingers_draw_and_scroll_and_faces_suggest_boxes(chromium: Browser, boxes: str) -> None:
    with visit(chromium, boxes, width=390, height=844, has_touch=True, is_mobile=True, color_scheme="dark") as here:
        page = here.page
        with sidebar(page):
            page.get_by_role("link", name="Draw", exact=True).click()
            expect(page.get_by_role("button", name=RUN, exact=True)).to_be_disabled()
        use(page, "Officer")
        size = 512, 600
        page.get_by_role("button", name="Suggest boxes").tap()
        expect_boxes(page, 1)
        # Cap and shoulders, down to the photo's edge.
        _, top, right, bottom = numbers(page, 1, (0, 0, 512, 600), slack=120)
        assert top < 30
        assert right > 440
        assert bottom == 600

        fingers = page.context.new_cdp_session(page)

        def touch(kind: str, *places: Place) -> None:
            points = [{"x": x, "y": y, "id": finger} for finger, (x, y) in enumerate(places)]
            fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        flag = (20, 30, 150, 260)
        start, end = at(page, *flag[:2], size), at(page, *flag[2:], size)
        scrolled = "document.querySelector('[data-testid=stMain]').scrollTop"
        before = page.evaluate(scrolled)
        touch("touchStart", start)
        for step in np.linspace(0.2, 1, 5):
            touch("touchMove", (start[0] + step * (end[0] - start[0]), start[1] + step * (end[1] - start[1])))
        touch("touchEnd")
        numbers(page, 2, flag)
        assert page.evaluate(scrolled) == before

        # Two fingers are for the page, and draw nothing.
        one, other = at(page, 200, 500, size), at(page, 400, 500, size)
        before = page.evaluate(scrolled)
        touch("touchStart", one, other)
        for up in range(0, 200, 20):
            touch("touchMove", (one[0], one[1] - up), (other[0], other[1] - up))
        touch("touchEnd")
        page.wait_for_function(f"{scrolled} > {before + 50}")
        expect_boxes(page, 2)

        run(page)
        mask = pixels(page, f"grace_hopper, mask by {LABEL}")
        assert mask.shape == (600, 512, 3)
        overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert overflow <= 0
        screenshot(page, "draw-phone-dark")
        here.assert_clean()


def test_a_model_that_cannot_be_had_and_a_broken_photo_say_so(chromium: Browser, boxes: str, tmp_path: Path) -> None:
    bad = tmp_path / "holiday.jpg"
    bad.write_bytes(b"%PDF-1.7 this is no photo")
    with visit(chromium, boxes, height=TALL) as here:
        page = here.page
        to_drawing(page)
        settle(page)
        page.locator("input[type=file]").first.set_input_files(str(bad))
        expect(page.get_by_text("holiday.jpg is not a picture")).to_be_visible()
        expect(page.get_by_role("button", name=RUN, exact=True)).to_be_disabled()
        page.locator("input[type=file]").first.set_input_files(str(ASTRONAUT))
        expect(page.get_by_text("512 x 512 px")).to_be_visible()
        canvas(page)
        opened(page.get_by_role("combobox", name="Model"))
        page.get_by_role("option", name=get_card("sam-vit-l").label).click()
        expect(page.get_by_text("Downloads 1.2 GB the first time it runs.")).to_be_visible()
        draw(page, FACE)
        numbers(page, 1, FACE)
        run(page)
        expect(page.get_by_text("Failed to run SAM ViT-L")).to_be_visible()
        expect(page.get_by_text("arena fetch sam-vit-l")).to_be_visible()
        screenshot(page, "draw-offline")
        here.assert_clean()
