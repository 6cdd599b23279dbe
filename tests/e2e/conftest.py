"""A real page in a real browser."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from playwright.sync_api import Browser, Page

PATIENCE = 180_000
"""Milliseconds that a page gets for anything: mostly a blink, unless the machine has other things to do."""

expect.set_options(timeout=PATIENCE)

_CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    # Chromium's own look-ups would be indistinguishable from the page's.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
_LOCAL_HOSTS = ("127.0.0.1", "localhost")


@dataclass(slots=True)
class Visit:
    """A page, and everything that happened on it which should not have."""

    page: Page
    foreign: list[str] = field(default_factory=list)
    """Requests to other hosts."""
    errors: list[str] = field(default_factory=list)
    """Errors of the console, and exceptions."""

    def assert_clean(self) -> None:
        """Fail if a request left for another host or the console has an error."""
        assert self.foreign == []
        assert self.errors == []


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serve(log: Path, settings: Mapping[str, str], script: str = "app.py") -> Iterator[str]:
    """Start the page as ``arena app`` does, and stop it in the end.

    Args:
        log: Where its words go.
        settings: Environment variables beside those of this process.
        script: What Streamlit runs.

    Yields:
        The page's address.
    """
    port = _free_port()
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "streamlit", "run", script, f"--server.port={port}", "--server.headless=true"]
    with log.open("w") as words:
        server = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **settings}, stdout=words, stderr=words)
        try:
            _wait_for(address, server, log)
            yield address
        finally:
            server.terminate()
            server.wait(60)


def _wait_for(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"{address}/_stcore/health", timeout=2):  # noqa: S310 - our own server
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    pytest.fail(f"the page does not start: {log.read_text()}")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("no Chromium on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page on a machine that has downloaded nothing and is offline."""
    folder = tmp_path_factory.mktemp("server")
    with serve(folder / "log", {"HF_HOME": str(folder / "hub"), "HF_HUB_OFFLINE": "1"}) as address:
        yield address


@contextmanager
def visit(browser: Browser, address: str, width: int = 1280, height: int = 900, **options: object) -> Iterator[Visit]:
    """Open the page in a fresh browser profile.

    Args:
        browser: A running browser.
        address: The page's address.
        width: Of the window, in CSS pixels.
        height: Of the window, in CSS pixels.
        **options: More for the browser context.

    Yields:
        The page and what it does wrong.
    """
    context = browser.new_context(viewport={"width": width, "height": height}, accept_downloads=True, **options)  # type: ignore[arg-type]
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    result = Visit(page)
    page.on("request", lambda request: _note_foreign(result, request.url))
    page.on("websocket", lambda sock: _note_foreign(result, sock.url))
    page.on("console", lambda words: result.errors.append(words.text) if words.type == "error" else None)
    page.on("pageerror", lambda error: result.errors.append(str(error)))
    page.goto(address)
    try:
        yield result
    finally:
        context.close()


def _note_foreign(visit: Visit, url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme in ("http", "https", "ws", "wss") and parts.hostname not in _LOCAL_HOSTS:
        visit.foreign.append(url)
