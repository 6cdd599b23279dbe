"""How long a user waits before anything is there, against importing everything at the top of the script.

``python benchmarks/startup.py`` prints medians of several runs and their ratios: the page's first paint in a real
Chromium (if there is one), its script's imports, and ``arena --help``, each against a script that imports torch,
transformers and ultralytics first, as the straightforward program does.
"""

from __future__ import annotations

import argparse
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HEAVY = "import torch, transformers, ultralytics"


def run_seconds(code: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=ROOT)
    return time.perf_counter() - start


def paint_seconds(script: Path) -> float:
    """Seconds from opening the page of a freshly started server to its run button."""
    from playwright.sync_api import sync_playwright

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", script, f"--server.port={port}", "--server.headless=true"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=1)
                break
            except OSError:
                time.sleep(0.05)
        with sync_playwright() as playwright:
            flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
            page = browser.new_page()
            start = time.perf_counter()
            page.goto(f"http://127.0.0.1:{port}")
            page.get_by_role("button", name="Run Segmentation and Blurring").wait_for(timeout=120_000)
            seconds = time.perf_counter() - start
            browser.close()
            return seconds
    finally:
        server.terminate()
        server.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=3)
    runs: int = parser.parse_args().runs
    arena_help = "import sys; sys.argv = ['arena', '--help']; from arena.cli import main; main()"
    measured = {
        "arena --help": ([run_seconds(arena_help) for _ in range(runs)], [run_seconds(HEAVY) for _ in range(runs)]),
        "imports of the page": (
            [run_seconds("import streamlit, arena.ui.pages.compare") for _ in range(runs)],
            [run_seconds(f"{HEAVY}; import streamlit, arena.ui.pages.compare") for _ in range(runs)],
        ),
    }
    if shutil.which("chromium"):
        with tempfile.TemporaryDirectory() as folder:
            eager = Path(folder) / "eager.py"
            # The same page behind the imports that this project puts off.
            eager.write_text(f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{HEAVY}\n{(ROOT / 'app.py').read_text()}")
            measured["first paint of the page"] = (
                [paint_seconds(ROOT / "app.py") for _ in range(runs)],
                [paint_seconds(eager) for _ in range(runs)],
            )
    print(f"{'':26}{'ours':>9}{'eager':>9}{'ratio':>8}")
    for name, (ours, eager_seconds) in measured.items():
        mine, theirs = statistics.median(ours), statistics.median(eager_seconds)
        print(f"{name:26}{mine:8.2f}s{theirs:8.2f}s{theirs / mine:7.1f}x")


if __name__ == "__main__":
    main()
