"""The page of ``disc_app.py`` on a machine that takes its time over every picture and over the end of every run."""

import gc
import runpy
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

from arena.ui.previews import Preview

SECONDS = 0.7


def slowly[**Given, Got](work: Callable[Given, Got]) -> Callable[Given, Got]:
    """The same, later."""

    def late(*given: Given.args, **named: Given.kwargs) -> Got:
        time.sleep(SECONDS)
        return work(*given, **named)

    return late


# The server runs this file for every visitor.
if Preview.finished.__name__ != "late":
    patch.object(Preview, "finished", slowly(Preview.finished)).start()
    # What a run does last: its result is there, and it still goes on.
    patch("arena.ui.job.gc", SimpleNamespace(collect=slowly(gc.collect))).start()

runpy.run_path(str(Path(__file__).with_name("disc_app.py")))
