"""The comparison page, as its user meets it."""

from __future__ import annotations

import io
import json
import zipfile
from contextlib import nullcontext
from typing import TYPE_CHECKING

import numpy as np
import pytest
from playwright.sync_api import expect

from arena.photo import Photo
from arena.samples import SAMPLES
from tests.e2e.conftest import visit
from tests.e2e.driving import ASTRONAUT, CLASSIC, RUN, choose, picture, screenshot, sidebar, source, wait_for_another

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser

pytestmark = pytest.mark.e2e

NARROW = 768
"""CSS pixels below which Streamlit hides the sidebar."""


def test_upload_run_slide_and_download(chromium: Browser, server: str, tmp_path: Path) -> None:
    with visit(chromium, server) as here:
        page = here.page
        expect(page.get_by_role("button", name=RUN)).to_be_disabled()
        screenshot(page, "first-visit")
        page.locator("input[type=file]").set_input_files(str(ASTRONAUT))
        expect(page.get_by_text("512 x 512 px")).to_be_visible()
        expect(page.get_by_role("checkbox", name="Arena Lite")).to_be_checked()
        choose(page, CLASSIC)
        page.get_by_role("button", name=RUN).click()
        expect(page.get_by_text("Inference: ")).to_be_visible()
        expect(page.get_by_text("1 of 1 results")).to_be_hidden()

        overlay = Photo.open(picture(page, f"astronaut, mask by {CLASSIC}")).rgb.astype(int)
        photo = Photo.open(ASTRONAUT).rgb.astype(int)
        # The face is green in the overlay, the sky beside the shuttle is not.
        assert (overlay - photo)[100:140, 210:240, 1].mean() > 30
        assert np.abs(overlay - photo)[10:60, 460:500].mean() < 8

        alt = f"astronaut, blurred by {CLASSIC}"
        strong = picture(page, alt)
        thumb = page.get_by_role("slider", name="Blur strength")
        before = source(page, alt)
        thumb.focus()
        for _ in range(45):
            thumb.press("ArrowLeft")
        wait_for_another(page, alt, before)
        expect(thumb).to_have_value("11")
        page.wait_for_timeout(1000)
        weak = picture(page, alt)
        sharpness = [np.abs(np.diff(Photo.open(data).rgb.astype(int), axis=1)).mean() for data in (strong, weak)]
        assert sharpness[1] > sharpness[0]
        screenshot(page, "one-model")

        with page.expect_download() as started:
            page.get_by_role("button", name="Download everything (ZIP)").click()
        target = tmp_path / "results.zip"
        started.value.save_as(target)
        with zipfile.ZipFile(target) as archive:
            assert sorted(archive.namelist()) == [
                "results/astronaut/blurred/classic.png",
                "results/astronaut/masks/classic.png",
                "results/results.json",
            ]
            blurred = Photo.open(io.BytesIO(archive.read("results/astronaut/blurred/classic.png")))
            numbers = json.loads(archive.read("results/results.json"))
        assert blurred.size == (512, 512)
        # The value shown is the value exported.
        assert numbers["kernel"] == 11
        assert numbers["photos"]["astronaut"]["classic"]["found"] is True

        here.assert_clean()


def test_a_model_that_cannot_be_had_fails_in_its_own_column(chromium: Browser, server: str) -> None:
    with visit(chromium, server) as here:
        page = here.page
        page.get_by_role("button", name="Use Astronaut").click()
        expect(page.get_by_role("button", name="Remove Astronaut")).to_be_visible()
        choose(page, CLASSIC)
        page.get_by_role("checkbox", name="U²-Net Small").check(force=True)
        page.get_by_role("button", name=RUN).click()
        expect(page.get_by_text("Failed to run U²-Net Small")).to_be_visible()
        expect(page.get_by_text("arena fetch u2netp")).to_be_visible()
        expect(page.get_by_text("Inference: ")).to_be_visible()
        screenshot(page, "offline-model")
        expect(page.get_by_role("button", name="Retry U²-Net Small")).to_be_enabled()
        here.assert_clean()


def test_a_broken_file_has_its_own_message_and_the_rest_goes_on(chromium: Browser, server: str, tmp_path: Path) -> None:
    bad = tmp_path / "holiday.jpg"
    bad.write_bytes(b"%PDF-1.7 this is no photo")
    with visit(chromium, server) as here:
        page = here.page
        page.locator("input[type=file]").set_input_files([str(bad), str(ASTRONAUT)])
        expect(page.get_by_text("holiday.jpg is not a picture")).to_be_visible()
        expect(page.get_by_text("512 x 512 px")).to_be_visible()
        expect(page.get_by_role("button", name=RUN)).to_be_enabled()
        screenshot(page, "broken-file")
        here.assert_clean()


def test_several_photos_become_tabs(chromium: Browser, server: str) -> None:
    with visit(chromium, server) as here:
        page = here.page
        page.locator("input[type=file]").set_input_files([str(sample.path) for sample in SAMPLES])
        expect(page.get_by_text("512 x 600 px")).to_be_visible()
        choose(page, CLASSIC)
        page.get_by_role("button", name=RUN).click()
        expect(page.get_by_role("tab", name="astronaut")).to_be_visible()
        page.get_by_role("tab", name="grace_hopper").click()
        expect(page.get_by_alt_text(f"grace_hopper, mask by {CLASSIC}")).to_be_visible()
        screenshot(page, "two-photos")
        here.assert_clean()


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark")])
def test_the_page_fits_a_phone_and_the_dark(chromium: Browser, server: str, width: int, scheme: str) -> None:
    with visit(chromium, server, width=width, color_scheme=scheme) as here:
        page = here.page
        page.get_by_role("button", name="Use Officer").click()
        expect(page.get_by_role("button", name="Remove Officer")).to_be_visible()
        with sidebar(page) if width < NARROW else nullcontext():
            choose(page, CLASSIC)
        page.get_by_role("button", name=RUN).click()
        expect(page.get_by_text("Inference: ")).to_be_visible()
        expect(page.get_by_alt_text(f"grace_hopper, blurred by {CLASSIC}")).to_be_visible()
        overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert overflow <= 0
        screenshot(page, f"{scheme}-{width}")
        here.assert_clean()
