"""Every effect of the comparison, and the page that replaces a background, as their users meet them."""

from __future__ import annotations

import re
import zipfile
from typing import TYPE_CHECKING

import numpy as np
import pytest
from playwright.sync_api import expect

from arena.catalog import DEFAULT_MODEL, get_card
from arena.photo import Photo, encode, save
from tests.conftest import ROOT
from tests.e2e.conftest import serve, visit
from tests.e2e.driving import (
    ASTRONAUT,
    RUN,
    SLACK,
    downloaded,
    is_colour,
    opened,
    pixels,
    places,
    screenshot,
    segment,
    settle,
    sidebar,
    source,
    wait_for_another,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.e2e

LABEL = get_card(DEFAULT_MODEL).label
BLURRED = f"astronaut, blurred by {LABEL}"
REPLACED = f"astronaut, with a new background by {LABEL}"
CUT_OUT = f"astronaut, cut out by {LABEL}"
MASK = f"astronaut, mask by {LABEL}"

RED, BLUE = (220, 20, 30), (10, 40, 200)


@pytest.fixture(scope="module")
def discs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page with a model that finds a disc."""
    folder = tmp_path_factory.mktemp("discs")
    settings = {"HF_HOME": str(folder / "hub"), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    with serve(folder / "log", settings, script="tests/e2e/disc_app.py") as address:
        yield address


@pytest.fixture
def two_colours(tmp_path: Path) -> Path:
    """A background picture, twice as wide as high: red on the left, blue on the right."""
    pixels = np.empty((200, 400, 3), np.uint8)
    pixels[:, :200], pixels[:, 200:] = RED, BLUE
    path = tmp_path / "beach.png"
    save(path, pixels)
    return path


def run_on_the_astronaut(page: Page) -> None:
    page.get_by_role("button", name="Use Astronaut").click()
    expect(page.get_by_role("button", name="Remove Astronaut")).to_be_visible()
    page.get_by_role("button", name=RUN).click()
    source(page, BLURRED)


def watch_layout(page: Page) -> None:
    """From now on, note in every frame how the pictures of results are laid out, and which are there twice."""
    page.evaluate(
        """() => {
            window.layouts = new Set();
            window.doubles = new Set();
            const look = () => {
                const pictures = [...document.querySelectorAll('[class*="st-key-result_column"] img')];
                for (const picture of pictures) {
                    window.layouts.add(
                        getComputedStyle(picture.closest('[class*="st-key-results_grid"]')).display);
                    if (pictures.some(other => other !== picture && other.alt === picture.alt))
                        window.doubles.add(picture.alt);
                }
                requestAnimationFrame(look);
            };
            look();
        }"""
    )


def seen(page: Page) -> tuple[list[str], list[str]]:
    """What ``watch_layout`` has noted: ways of laying out, and pictures that were there twice."""
    layouts, doubles = page.evaluate("() => [[...window.layouts], [...window.doubles]]")
    return layouts, doubles


def test_a_colour_replaces_the_background_on_screen_and_in_the_files(
    chromium: Browser, discs: str, tmp_path: Path
) -> None:
    with visit(chromium, discs) as here:
        page = here.page
        run_on_the_astronaut(page)
        screenshot(page, "effect-blur")
        soft = pixels(page, BLURRED)
        before = source(page, BLURRED)
        segment(page, "Bokeh", "Round").click()
        wait_for_another(page, BLURRED, before)
        screenshot(page, "effect-blur-round")
        # What is shown is what is exported, and neither is the Gaussian.
        round_ones = downloaded(page, "Download blurred photo", tmp_path / "blurred.png").rgb.astype(int)
        assert np.abs(round_ones - pixels(page, BLURRED)).mean() < 2
        assert np.abs(round_ones - soft).mean() > 6
        segment(page, "Effect", "Replace background").click()
        assert is_colour(pixels(page, REPLACED)[:40, :40], (255, 255, 255))
        before = source(page, REPLACED)
        page.get_by_role("button", name="Colour color picker").click()
        page.get_by_role("textbox").last.fill("#204060")
        page.keyboard.press("Enter")
        page.keyboard.press("Escape")
        wait_for_another(page, REPLACED, before)
        shown = pixels(page, REPLACED)
        assert is_colour(shown[:40, :40], (0x20, 0x40, 0x60))
        photo = Photo.open(ASTRONAUT).rgb.astype(int)
        assert np.abs(shown - photo)[200:300, 200:300].mean() < SLACK
        screenshot(page, "effect-replace-colour")

        exported = downloaded(page, "Download photo with new background", tmp_path / "replaced.png")
        assert exported.size == (512, 512)
        assert (exported.rgb[:40, :40] == (0x20, 0x40, 0x60)).all()
        with page.expect_download() as started:
            page.get_by_role("button", name="Download everything (ZIP)").click()
        started.value.save_as(tmp_path / "results.zip")
        with zipfile.ZipFile(tmp_path / "results.zip") as archive:
            assert sorted(archive.namelist()) == [
                f"results/astronaut/masks/{DEFAULT_MODEL}.png",
                f"results/astronaut/replaced/{DEFAULT_MODEL}.png",
                "results/results.json",
            ]
        here.assert_clean()


def test_the_blur_goes_by_a_depth_map_that_was_uploaded(chromium: Browser, discs: str, tmp_path: Path) -> None:
    # The disc in the middle is as near as what is left of it; the rest is far.
    depth = np.zeros((128, 128), np.uint8)
    depth[:, :112] = 200
    (tmp_path / "depth.png").write_bytes(encode(depth))
    with visit(chromium, discs) as here:
        page = here.page
        run_on_the_astronaut(page)
        segment(page, "Distance", "Depth").click()
        expect(page.get_by_text("Until then everything is blurred alike.")).to_be_visible()
        settle(page)
        alike = pixels(page, BLURRED)
        # Without the network's weights, offline, it says what is missing.
        page.get_by_role("button", name="Find out depth").click()
        expect(page.get_by_text("The depth of astronaut could not be found out")).to_be_visible()
        expect(page.get_by_text("arena fetch depth-anything-v2-small")).to_be_visible()
        settle(page)
        before = source(page, BLURRED)
        page.get_by_role("button", name="Own depth map").click()
        page.locator("input[type=file]").last.set_input_files(str(tmp_path / "depth.png"))
        wait_for_another(page, BLURRED, before)
        screenshot(page, "effect-blur-depth")
        photo = Photo.open(ASTRONAUT).rgb.astype(int)
        shown = pixels(page, BLURRED)
        assert np.abs(shown - photo)[:, :430].mean() < SLACK
        assert np.abs(alike - photo)[:, :430].mean() > SLACK
        assert np.abs(shown - photo)[:, 460:].mean() > SLACK
        exported = downloaded(page, "Download blurred photo", tmp_path / "blurred.png").rgb.astype(int)
        assert np.abs(exported - photo)[:, :80].max() < SLACK
        assert np.abs(exported - photo)[:, 460:].mean() > SLACK
        page.get_by_role("button", name="Forget depth").click()
        expect(page.get_by_text("Until then everything is blurred alike.")).to_be_visible()
        here.assert_clean()


def test_an_uploaded_picture_replaces_the_background(
    chromium: Browser, discs: str, two_colours: Path, tmp_path: Path
) -> None:
    with visit(chromium, discs) as here:
        page = here.page
        run_on_the_astronaut(page)
        segment(page, "Effect", "Replace background").click()
        segment(page, "New background", "Picture").click()
        expect(page.get_by_text("Without a picture the background is transparent.")).to_be_visible()
        before = source(page, REPLACED)
        page.locator("input[type=file]").last.set_input_files(str(two_colours))
        expect(page.get_by_text("400 x 200 px")).to_be_visible()
        wait_for_another(page, REPLACED, before)
        shown = pixels(page, REPLACED)
        assert is_colour(shown[:40, :40], RED)
        assert is_colour(shown[:40, -40:], BLUE)
        screenshot(page, "effect-replace-picture")

        # A look at another effect takes the uploader away, and not the picture.
        segment(page, "Effect", "Blur").click()
        source(page, BLURRED)
        segment(page, "Effect", "Replace background").click()
        assert is_colour(pixels(page, REPLACED)[:40, :40], RED)

        before = source(page, REPLACED)
        blur = page.get_by_role("slider", name="Blur of the new background")
        blur.focus()
        blur.press("End")
        wait_for_another(page, REPLACED, before)
        expect(blur).to_have_value("255")
        exported = downloaded(page, "Download photo with new background", tmp_path / "replaced.png").rgb.astype(int)
        middle = exported[20, 250:262].mean(axis=0)
        assert np.abs(middle - (np.asarray(RED) + BLUE) / 2).max() < 20
        here.assert_clean()


def test_a_cut_out_is_shown_on_squares_and_saved_with_transparency(
    chromium: Browser, discs: str, tmp_path: Path
) -> None:
    with visit(chromium, discs) as here:
        page = here.page
        run_on_the_astronaut(page)
        segment(page, "Effect", "Cut out").click()
        shown = pixels(page, CUT_OUT)
        assert is_colour(shown[2:10, 2:10], (255, 255, 255))
        assert is_colour(shown[2:10, 14:22], (205, 205, 205))
        exported = downloaded(page, "Download cut-out", tmp_path / "cutout.png").rgba
        assert exported is not None
        assert exported[5, 5, 3] == 0
        assert exported[256, 256, 3] == 255
        here.assert_clean()


def test_a_refined_mask_is_what_is_shown_and_composited(chromium: Browser, discs: str) -> None:
    with visit(chromium, discs) as here:
        page = here.page
        run_on_the_astronaut(page)
        segment(page, "Effect", "Replace background").click()
        before, mask_before = pixels(page, REPLACED), source(page, MASK)
        page.get_by_text("Edge refinement").click()
        grow = page.get_by_role("slider", name="Grow or shrink")
        grow.focus()
        grow.press("Home")
        wait_for_another(page, MASK, mask_before)
        expect(segment(page, "Preset", "Own settings")).to_be_checked()
        shown = pixels(page, REPLACED)
        # The disc's radius is 170 pixels, and 10 pixels of a picture of 1000 are 5 of this one.
        assert not is_colour(before[255:257, 88:90], (255, 255, 255))
        assert is_colour(shown[255:257, 86:89], (255, 255, 255))
        screenshot(page, "refinement")
        segment(page, "Preset", "As the model gave it").click()
        expect(grow).to_have_value("0")
        here.assert_clean()


def test_a_background_is_replaced_on_the_page_for_it(
    chromium: Browser, discs: str, two_colours: Path, tmp_path: Path
) -> None:
    with visit(chromium, discs) as here:
        page = here.page
        page.get_by_role("link", name="Replace background").click()
        run = page.get_by_role("button", name="Run Background Replacement")
        expect(run).to_be_disabled()
        # What takes a download says so before anybody presses.
        model = page.get_by_role("combobox", name="Model")
        expect(page.get_by_text("Runs at once.")).to_be_visible()
        settle(page)
        opened(model)
        expect(page.get_by_role("option").first).to_have_text("U²-Net")
        page.get_by_role("option").first.click()
        expect(page.get_by_text("Downloads 176.3 MB the first time it runs.")).to_be_visible()
        settle(page)
        opened(model)
        page.get_by_role("option", name=LABEL).click()
        expect(page.get_by_text("Runs at once.")).to_be_visible()
        screenshot(page, "replace-before")

        page.locator("input[type=file]").first.set_input_files(str(ASTRONAUT))
        expect(page.get_by_text("512 x 512 px")).to_be_visible()
        settle(page)
        page.locator("input[type=file]").last.set_input_files(str(two_colours))
        expect(page.get_by_text("400 x 200 px")).to_be_visible()
        watch_layout(page)
        run.click()
        shown = pixels(page, REPLACED)
        # Nothing jumps: the first frame with a picture already has its columns.
        assert seen(page) == (["grid"], [])
        assert is_colour(shown[:40, :40], RED)
        assert is_colour(shown[-40:, -40:], BLUE)
        mask = pixels(page, MASK)
        assert (mask - Photo.open(ASTRONAUT).rgb.astype(int))[200:300, 200:300, 1].mean() > 30
        left, right = places(page, MASK, REPLACED)
        assert left["x"] + left["width"] <= right["x"]
        assert abs(left["y"] - right["y"]) < 2
        screenshot(page, "replace-after")
        exported = downloaded(page, "Download photo with new background", tmp_path / "replaced.png")
        assert (exported.rgb[:40, :40] == RED).all()

        # Both uploads and the result are still there after a look at the other page.
        page.get_by_role("link", name="Compare models").click()
        expect(page.get_by_role("button", name=RUN)).to_be_visible()
        page.get_by_role("link", name="Replace background").click()
        assert is_colour(pixels(page, REPLACED)[:40, :40], RED)
        expect(page.get_by_role("button", name="Remove beach.png")).to_be_visible()

        # Portrait mode, without any blur: the photo itself.
        segment(page, "Effect", "Blur").click()
        blur = page.get_by_role("slider", name="Blur strength")
        expect(blur).to_be_visible()
        before = source(page, BLURRED)
        blur.focus()
        blur.press("Home")
        wait_for_another(page, BLURRED, before)
        expect(blur).to_have_value("1")
        assert np.abs(pixels(page, BLURRED) - Photo.open(ASTRONAUT).rgb.astype(int)).mean() < SLACK
        here.assert_clean()


def test_the_page_for_it_fits_a_phone_in_the_dark(chromium: Browser, discs: str) -> None:
    with visit(chromium, discs, width=390, color_scheme="dark") as here:
        page = here.page
        with sidebar(page):
            page.get_by_role("link", name="Replace background").click()
            expect(page.get_by_text("Runs at once.")).to_be_visible()
        settle(page)
        page.get_by_role("button", name="Use Astronaut").click()
        expect(page.get_by_role("button", name="Remove Astronaut")).to_be_visible()
        segment(page, "New background", "Sample").click()
        page.get_by_role("button", name="Run Background Replacement").click()
        upper, lower = pixels(page, MASK), pixels(page, REPLACED)
        assert upper.shape == lower.shape
        above, below = places(page, MASK, REPLACED)
        assert above["y"] + above["height"] <= below["y"]
        overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert overflow <= 0
        screenshot(page, "replace-phone-dark")
        here.assert_clean()


@pytest.mark.parametrize("link", ["Compare models", "Replace background"])
def test_a_result_stays_where_it_is_when_its_run_ends(chromium: Browser, link: str, tmp_path: Path) -> None:
    settings = {"HF_HOME": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    with (
        serve(tmp_path / "log", settings, script="tests/e2e/slow_app.py") as address,
        visit(chromium, address) as here,
    ):
        page = here.page
        page.get_by_role("link", name=link).click()
        page.get_by_role("button", name="Use Astronaut").click()
        expect(page.get_by_role("button", name="Remove Astronaut")).to_be_visible()
        settle(page)
        watch_layout(page)
        run = page.get_by_role("button", name=re.compile("^Run "))
        for _ in range(2):
            run.click()
            expect(run).to_be_disabled()
            expect(run).to_be_enabled()
            source(page, MASK)
        # While it drew the end of the run, a slow machine had the pictures both where they were and where they came.
        assert seen(page) == (["grid"], [])
        here.assert_clean()
