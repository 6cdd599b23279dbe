"""What a run is doing: one bar for all, one line a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from arena.catalog import get_card
from arena.comparison import Stage
from arena.ui.job import FINAL_STAGES
from arena.ui.state import Key
from arena.wording import format_seconds, format_transfer

if TYPE_CHECKING:
    from arena.comparison import Event
    from arena.ui.job import Job


def show_progress(job: Job) -> None:
    """Draw the state of a run, with a button that ends it.

    Args:
        job: The run.
    """
    events = job.events()
    st.progress(min(_fraction(job, events), 1.0), text=f"{job.done} of {job.total} results")
    for event in events:
        st.markdown(f"{get_card(event.model).label}: {describe(event)}")
    st.button(
        "Stopping after the current photo" if job.stopping else "Stop",
        key=Key.STOP,
        on_click=job.stop,
        disabled=job.stopping,
    )


def describe(event: Event) -> str:
    """What a model does, in words.

    Args:
        event: The model's last event.

    Returns:
        For instance ``"running on photo 2 of 3"``.
    """
    if event.stage is Stage.DOWNLOADING and event.download is not None:
        return f"downloading {format_transfer(event.download.done, event.download.total, event.download.rate)}"
    if event.stage is Stage.RUNNING:
        return "running" if event.photos == 1 else f"running on photo {event.photo} of {event.photos}"
    if event.stage is Stage.DONE:
        return f"done in {format_seconds(event.seconds)}"
    return str(event.stage)


def _fraction(job: Job, events: list[Event]) -> float:
    """Photos that are through, a download counted for as far as it is, so that a long one moves the bar."""
    if not job.total:
        return 1.0
    share = 0.0
    for event in events:
        if event.stage in FINAL_STAGES:
            share += event.photos
        elif event.stage is Stage.DOWNLOADING and event.download is not None and event.download.total:
            share += 0.5 * event.download.done / event.download.total
        elif event.stage in (Stage.LOADING, Stage.RUNNING):
            # Half of the first photo's share was the download's.
            share += 0.5 + max(event.photo - 1, 0)
    return share / job.total
