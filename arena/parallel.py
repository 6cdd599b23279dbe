"""Plain threads for array work: NumPy and OpenCV let go of the interpreter's lock, so these use the cores."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import cv2

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def on_all_cores[Item](work: Callable[[Item], None], items: Sequence[Item]) -> None:
    """Call ``work`` for every item, from as many threads as OpenCV would use; items must not depend on each other.

    Args:
        work: Called once an item. The first exception that it raises is raised here.
        items: What to work on.
    """
    workers = min(len(items), max(1, cv2.getNumThreads()))
    if workers <= 1:
        for item in items:
            work(item)
        return
    with ThreadPoolExecutor(workers, thread_name_prefix="arena") as pool:
        for _ in pool.map(work, items):
            pass
