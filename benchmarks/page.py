"""How long the page keeps its user waiting once PyTorch is loaded, against Streamlit's own settings.

``python -m benchmarks.page`` starts the page twice, as this project sets it up and with Streamlit's collection of
garbage after each rerun, and prints for both the seconds from the first press of the button to the result, which
imports PyTorch while the page looks at its run; the median from a step of the blur slider to the new picture, when ten
follow each other; and the memory of the server after that.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from statistics import median
from typing import NamedTuple

import psutil
from playwright.sync_api import Page, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
STEPS = 10
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


class Wait(NamedTuple):
    """What was waited for."""

    first_result: float
    slider_step: float
    memory: int


def wait_for_results(collect: bool) -> Wait:
    """Start the page, run Arena Lite on a sample, and move the slider."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    flags = [f"--server.port={port}", "--server.headless=true", f"--runner.postScriptGC={str(collect).lower()}"]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", *flags]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not answers(address):
            time.sleep(0.05)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
            page = browser.new_page()
            page.goto(address)
            first, step = use(page)
            browser.close()
        return Wait(first, step, psutil.Process(server.pid).memory_info().rss)
    finally:
        server.terminate()
        server.wait()


def answers(address: str) -> bool:
    """Whether the server is there."""
    try:
        with urllib.request.urlopen(f"{address}/_stcore/health", timeout=1):  # noqa: S310 - our own server
            return True
    except OSError:
        return False


def use(page: Page) -> tuple[float, float]:
    """Seconds to the first result, and to the picture after a step of the slider."""
    patience = 300_000
    page.get_by_role("button", name="Use Astronaut").click()
    expect(page.get_by_role("button", name="Remove Astronaut")).to_be_visible(timeout=patience)
    start = time.perf_counter()
    page.get_by_role("button", name="Run Segmentation and Blurring").click()
    picture = page.get_by_alt_text("astronaut, blurred by Arena Lite")
    expect(picture).to_be_visible(timeout=patience)
    first = time.perf_counter() - start
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning", timeout=patience)
    slider = page.get_by_role("slider", name="Blur strength")
    slider.focus()
    steps = []
    for _ in range(STEPS):
        before = picture.get_attribute("src") or ""
        start = time.perf_counter()
        slider.press("ArrowLeft")
        expect(picture).not_to_have_attribute("src", before, timeout=patience)
        steps.append(time.perf_counter() - start)
    return first, median(steps)


def main() -> None:
    """Measure both and print the ratios."""
    ours, theirs = wait_for_results(collect=False), wait_for_results(collect=True)
    print(f"{'':24}{'ours':>10}{'Streamlit':>12}{'ratio':>8}")
    for name, mine, other in (
        ("first result, seconds", ours.first_result, theirs.first_result),
        ("slider step, seconds", ours.slider_step, theirs.slider_step),
        ("memory, GiB", ours.memory / 2**30, theirs.memory / 2**30),
    ):
        print(f"{name:24}{mine:10.2f}{other:12.2f}{mine / other:8.2f}")


if __name__ == "__main__":
    main()
