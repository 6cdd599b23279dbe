"""Progress of models on their way through photos: one line a model, on standard error."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from arena.cli.console import err
from arena.wording import format_transfer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

    from arena.comparison import Event


class ModelBars:
    """One line a model."""

    def __init__(self, progress: Progress, label: Callable[[str], str]) -> None:
        """Begin without lines.

        Args:
            progress: Draws them.
            label: What to call the model of an event.
        """
        self._progress = progress
        self._label = label
        self._tasks: dict[str, TaskID] = {}

    @property
    def console(self) -> Console:
        """What prints above the lines without being drawn over."""
        return self._progress.console

    def show(self, event: Event) -> None:
        """Redraw the line of the event's model."""
        if event.model not in self._tasks:
            label = escape(self._label(event.model))
            self._tasks[event.model] = self._progress.add_task(label, total=None, stage="waiting")
        task = self._tasks[event.model]
        if event.download is not None:
            done = event.download
            words = f"downloading {format_transfer(done.done, done.total, done.rate)}"
            self._progress.update(task, completed=done.done, total=done.total, stage=words)
            return
        words = str(event.stage)
        if event.photo and event.photos > 1:
            words = f"{event.stage}, photo {event.photo} of {event.photos}"
        finished = event.stage in ("done", "failed", "stopped")
        completed = event.photos if finished else max(event.photo - 1, 0)
        self._progress.update(task, completed=completed, total=event.photos or None, stage=words)


@contextmanager
def model_bars(label: Callable[[str], str]) -> Iterator[ModelBars]:
    """Show lines while models run; nothing where nobody looks at a terminal.

    Args:
        label: What to call the model of an event.

    Yields:
        The lines, whose ``show`` wants to be told of every event.
    """
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[stage]}"),
        TimeElapsedColumn(),
        console=err,
        disable=not err.is_terminal,
    ) as progress:
        yield ModelBars(progress, label)
