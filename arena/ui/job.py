"""A run in the background: the page polls it, may stop it, and takes what is done."""

from __future__ import annotations

import gc
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from arena.catalog import Task, get_card
from arena.comparison import Event, Result, Stage, compare, estimate_depths
from arena.errors import ArenaError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from arena.photo import Photo

UNWATCHED_SECONDS = 240.0
"""How long a run goes on that no page asks for: browsers slow the timers of hidden tabs down to one call a minute."""

FINAL_STAGES = frozenset({Stage.DONE, Stage.FAILED, Stage.STOPPED})


@dataclass(frozen=True, slots=True)
class Order:
    """One model and the photos it is to run on."""

    model: str
    photos: Sequence[Photo]


class Job:
    """Runs orders one after another on a thread of its own. It knows nothing of Streamlit."""

    def __init__(
        self,
        orders: Sequence[Order],
        device: str,
        prompts: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        """Prepare a run; ``start`` begins it.

        Args:
            orders: What to run; the orders of one model lie together.
            device: A device key or ``"auto"``.
            prompts: What to tell models beside the photo, by key.
        """
        self._orders = [order for order in orders if order.photos]
        self._device = device
        self._prompts = prompts or {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._events = {
            order.model: Event(order.model, Stage.WAITING, photos=len(order.photos)) for order in self._orders
        }
        self._fresh: list[Result] = []
        self._done = 0
        self._last_seen = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="arena-job", daemon=True)
        self._unwatched = False
        self.digests = frozenset(photo.digest for order in self._orders for photo in order.photos)
        """Of the photos."""
        self.finds_depth = any(get_card(order.model).task is Task.DEPTH for order in self._orders)
        """Whether it gives no mattes but the depth of its photos."""
        self.total = sum(len(order.photos) for order in self._orders)
        """Results that a complete run gives."""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the photo that is being worked on; a download ends at once and can be resumed."""
        self._stop.set()

    def seen(self) -> None:
        """Say that somebody still watches; without, the run ends by itself, for its page was closed."""
        self._last_seen = time.monotonic()

    def join(self, timeout: float | None = None) -> None:
        """Wait for the end.

        Args:
            timeout: Seconds to wait at most; None for as long as it takes.
        """
        self._thread.join(timeout)

    @property
    def running(self) -> bool:
        """Whether work is going on."""
        return self._thread.is_alive()

    @property
    def stopping(self) -> bool:
        """Whether it was asked to stop and has not yet."""
        return self._stop.is_set() and self.running

    @property
    def unwatched(self) -> bool:
        """Whether it was ended because no page asked for it any more."""
        return self._unwatched

    def events(self) -> list[Event]:
        """The last event of each model, in the order in which they run."""
        with self._lock:
            return list(self._events.values())

    @property
    def done(self) -> int:
        """Results that are there, taken or not."""
        with self._lock:
            return self._done

    @property
    def has_news(self) -> bool:
        """Whether there are results that nobody has taken."""
        with self._lock:
            return bool(self._fresh)

    def take(self) -> list[Result]:
        """The results since the last call; the run keeps none of them, for each may hold a large photo."""
        with self._lock:
            fresh, self._fresh = self._fresh, []
            return fresh

    def _run(self) -> None:
        try:
            self._work()
        finally:
            # A page keeps its last run, which need not keep the photos.
            self._orders = []
            # Once a run, for Streamlit would do it after each rerun (see .streamlit/config.toml).
            gc.collect()

    def _work(self) -> None:
        for order in self._orders:
            if self._stop.is_set():
                self._note(Event(order.model, Stage.STOPPED, photos=len(order.photos)))
                continue
            prompts = {order.model: self._prompts[order.model]} if order.model in self._prompts else None
            try:
                for result in self._results(order, prompts):
                    with self._lock:
                        self._fresh.append(result)
                        self._done += 1
            except ArenaError as error:
                # The comparison could not even begin, for instance because the device is gone.
                failed = [
                    Result(photo.name, order.model, photo, error=error, device=self._device) for photo in order.photos
                ]
                with self._lock:
                    self._fresh += failed
                    self._done += len(failed)
                self._note(Event(order.model, Stage.FAILED, photos=len(order.photos), error=error))

    def _results(self, order: Order, prompts: Mapping[str, Mapping[str, Any]] | None) -> Iterator[Result]:
        if get_card(order.model).task is Task.DEPTH:
            return estimate_depths(order.photos, order.model, device=self._device, on_event=self._note, stop=self._stop)
        return compare(
            order.photos,
            order.model,
            device=self._device,
            prompts=prompts,
            on_event=self._note,
            stop=self._stop,
        )

    def _note(self, event: Event) -> None:
        if time.monotonic() - self._last_seen > UNWATCHED_SECONDS and not self._stop.is_set():
            self._unwatched = True
            self._stop.set()
        with self._lock:
            self._events[event.model] = event
