"""How far a download is, and how fast."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

REPORT_SECONDS = 0.1
"""Least time between two reports: a page or a terminal shows no more."""
WINDOW_SECONDS = 3.0
"""The rate is the mean over this time: steady enough to read, quick enough to show a stall."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a download is."""

    done: int
    """Bytes that are on this machine, those of earlier tries included."""
    total: int
    """Bytes of the whole file."""
    rate: float
    """Bytes per second over the last seconds; 0 while nothing arrives."""

    @property
    def fraction(self) -> float:
        """Share that has arrived, in [0, 1]."""
        return min(self.done / self.total, 1.0) if self.total else 1.0


ProgressCallback = Callable[[Progress], None]
"""Called in the thread that called ``fetch``; what it raises ends the download, which stays resumable."""


class Meter:
    """Turns byte counts into reports, at most ten per second."""

    def __init__(self, callback: ProgressCallback | None, total: int) -> None:
        """Start measuring with the first report.

        Args:
            callback: Who wants to know; None for nobody.
            total: Bytes of the whole file.
        """
        self._callback = callback
        self._total = total
        self._seen: deque[tuple[float, int]] = deque()
        self._reported = float("-inf")

    def report(self, done: int, *, last: bool = False) -> None:
        """Tell the callback, unless it was told just now.

        Args:
            done: Bytes that are on this machine.
            last: Nothing follows, so tell in any case.
        """
        now = time.monotonic()
        if self._callback is None or (now - self._reported < REPORT_SECONDS and not last):
            return
        if self._seen and done < self._seen[-1][1]:
            # The server began anew: a rate over the step back would be negative.
            self._seen.clear()
        self._seen.append((now, done))
        while len(self._seen) > 2 and now - self._seen[0][0] > WINDOW_SECONDS:
            self._seen.popleft()
        start, before = self._seen[0]
        rate = (done - before) / (now - start) if now > start else 0.0
        self._reported = now
        self._callback(Progress(done, self._total, rate))
