"""The button that starts a run, and what is said while it goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from arena.ui import runs
from arena.ui.components.progress import show_progress
from arena.ui.runs import ANY_PERSON
from arena.ui.state import Key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arena.photo import Photo
    from arena.ui.sketch import Prompts
    from arena.ui.state import Workspace

POLL_SECONDS = 0.4
"""How often a running page looks at its run."""


def run_section(
    space: Workspace,
    label: str,
    photos: Sequence[Photo],
    models: Sequence[str],
    device: str,
    prompts: Prompts = ANY_PERSON,
    lacking: str = "",
) -> None:
    """Draw the button with the reason why it cannot be pressed, or the progress of what was started.

    Args:
        space: The page's memory.
        label: What the button is called.
        photos: What to run on.
        models: Keys of what to run.
        device: A device key or ``"auto"``.
        prompts: What to tell models that listen.
        lacking: What is still to be done on this page before its models can run, in words; empty if nothing is.
    """
    # Asked before the results are taken: a run that ends in between is seen to the end by the next rerun.
    busy = runs.busy_workspace()
    runs.collect()
    reason = _why_not(space, busy, photos, models) or lacking
    # No callback: it would run with the choices of the rerun before, and a tick and a press can arrive together.
    if st.button(label, key=Key.RUN.of(space.name), type="primary", disabled=bool(reason)) and not reason:
        runs.start(space, photos, models, device, prompts)
        st.rerun()
    if reason:
        st.caption(reason)
    if busy is not None:
        _poll(busy)
    elif (job := space.job) is not None and job.done < job.total and job.digests & space.at_hand.keys():
        why = "The run was stopped, for this page was not open" if job.unwatched else "The run was stopped"
        # Whose depth is still missing is said beside the button that finds it out.
        if not job.finds_depth:
            st.info(f"{why}: {job.done} of {job.total} results are here. Run once more for the others.")


def _why_not(space: Workspace, busy: Workspace | None, photos: Sequence[Photo], models: Sequence[str]) -> str:
    if busy is not None:
        return "A run is under way." if busy is space else "A run of another page is under way."
    if not photos:
        return "Add a photo or take a sample first."
    if not models:
        return "Tick at least one model in the sidebar."
    return ""


@st.fragment(run_every=POLL_SECONDS)
def _poll(busy: Workspace) -> None:
    """Redraw the progress; when another result is there, or the run has ended, the whole page."""
    job = busy.job
    if job is None:
        return
    job.seen()
    show_progress(job)
    if job.has_news or not job.running:
        st.rerun()
