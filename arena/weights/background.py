"""Waiting for something slow without being bound to it."""

from __future__ import annotations

import queue
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import TracebackType

POLL_SECONDS = 0.1
"""How long a consumer waits at most before it can look at something else."""
_FAREWELL_SECONDS = 0.5
"""How long the end of the thread is awaited; one that is stuck in a connection ends by that connection's timeout."""
_QUEUE_ITEMS = 64
"""How far the thread may run ahead: with the 64 KiB that a socket gives at a time, 4 MiB."""


class Background[T]:
    """A generator that runs in a thread of its own, so that its consumer can leave at any moment.

    A blocking read cannot be interrupted from within; leaving it to another thread is what makes a download stop
    when it is told to, not when the network feels like it.
    """

    def __init__(self, items: Generator[T]) -> None:
        """Prepare; the thread starts with the ``with`` block.

        Args:
            items: The generator. It is closed in its own thread when the consumer has left.
        """
        self.abort: Callable[[], object] | None = None
        """Wakes the generator from what it is blocked in; called on leaving while it still runs."""
        self._items = items
        self._queue: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(_QUEUE_ITEMS)
        self._left = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="arena-weights", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._left.set()
        if self._thread.is_alive():
            # At its end, the connection may already serve somebody else.
            if self.abort is not None and not self._ended:
                with suppress(OSError):
                    self.abort()
            self._thread.join(_FAREWELL_SECONDS)

    def poll(self) -> T | None:
        """The next item, None if there is none yet.

        Raises:
            StopIteration: The generator has ended.
            BaseException: Whatever the generator raised.
        """
        try:
            item, error = self._queue.get(timeout=POLL_SECONDS)
        except queue.Empty:
            return None
        if error is not None:
            self._ended = True
            raise error
        return item

    def _run(self) -> None:
        try:
            for item in self._items:
                if not self._put(item, None):
                    return
            self._put(None, StopIteration())
        except BaseException as error:  # noqa: BLE001 - raised again where the items are consumed
            self._put(None, error)
        finally:
            self._items.close()

    def _put(self, item: T | None, error: BaseException | None) -> bool:
        while not self._left.is_set():
            with suppress(queue.Full):
                self._queue.put((item, error), timeout=POLL_SECONDS)
                return True
        return False
