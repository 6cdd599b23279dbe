"""The comparison page: photos in, one column a model out."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import streamlit as st

from arena.catalog import get_card
from arena.devices import resolve_device
from arena.ui.components.photos import photo_picker
from arena.ui.components.progress import show_progress
from arena.ui.components.sidebar import device_picker, model_picker, prompt_input
from arena.ui.job import Job, Order
from arena.ui.state import Column, Key, ResultKey, session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arena.comparison import Result
    from arena.photo import Photo

POLL_SECONDS = 0.4
"""How often a running page looks at its run."""


def page() -> None:
    """Draw the page."""
    memory = session()
    with st.sidebar:
        st.header("What to run")
        device = resolve_device(device_picker())
        models = model_picker()
        prompt = prompt_input(models)
    st.title("Portrait Blur Arena")
    st.markdown(
        "See what each portrait segmentation model makes of your photo, side by side, and take the blur you like."
    )
    photos = photo_picker()
    # Asked before the results are taken: a run that ends in between is seen to the end by the next rerun.
    running = memory.job is not None and memory.job.running
    _collect(photos)
    reason = _why_not(photos, models, running)
    # No callback: it would run with the choices of the rerun before, and a tick and a press can arrive together.
    if st.button("Run Segmentation and Blurring", key=Key.RUN, type="primary", disabled=bool(reason)) and not reason:
        _start(photos, models, device, prompt)
        st.rerun()
    if reason:
        st.caption(reason)
    if running:
        _poll()
    shown = _shown(photos)
    if shown:
        _results(photos, shown)


def _why_not(photos: Sequence[Photo], models: Sequence[str], running: bool) -> str:
    if running:
        return "A run is under way."
    if not photos:
        return "Add a photo or take a sample first."
    if not models:
        return "Tick at least one model in the sidebar."
    return ""


def _start(photos: Sequence[Photo], models: Sequence[str], device: str, prompt: str) -> None:
    """Run what is missing; if nothing is, run all of it again."""
    memory = session()
    missing = [(m, p) for m in models for p in photos if not _is_done(_key(m, p.digest, device, prompt))]
    wanted = missing or [(m, p) for m in models for p in photos]
    memory.shown = [Column(model, device, prompt) for model in models]
    _launch(wanted, device, prompt)


def _retry(key: ResultKey) -> None:
    result = session().results.get(key)
    if result is not None and result.photo is not None:
        _launch([(key.model, result.photo)], key.device, key.prompt or "person")


def _launch(wanted: Sequence[tuple[str, Photo]], device: str, prompt: str) -> None:
    memory = session()
    models = list(dict.fromkeys(model for model, _ in wanted))
    # What another device or text gave is dropped with it: each result holds a matte of the photo's size.
    again = {(model, photo.digest) for model, photo in wanted}
    for key in [key for key in memory.results if (key.model, key.digest) in again]:
        del memory.results[key]
        memory.previews.pop(key, None)
    orders = [Order(model, [photo for m, photo in wanted if m == model]) for model in models]
    prompts = {model: {"prompt": prompt} for model in models if get_card(model).text_prompt}
    memory.job = Job(orders, device, prompts)
    memory.prompt = prompt
    memory.job.start()


def _key(model: str, digest: str, device: str, prompt: str) -> ResultKey:
    return ResultKey(digest, model, device, prompt if get_card(model).text_prompt else "")


def _is_done(key: ResultKey) -> bool:
    result = session().results.get(key)
    return result is not None and result.error is None


def _collect(photos: Sequence[Photo]) -> None:
    """Take over what the run has finished, unless its photo is gone by now."""
    memory = session()
    if memory.job is None:
        return
    digests = {photo.digest for photo in photos}
    for result in memory.job.take():
        if result.photo is not None and result.photo.digest in digests:
            memory.results[_key(result.model, result.photo.digest, result.device, memory.prompt)] = result


def _shown(photos: Sequence[Photo]) -> list[tuple[ResultKey, Result]]:
    """The results of the last run's columns, whatever is ticked by now."""
    memory = session()
    shown = []
    for photo in photos:
        for column in memory.shown:
            key = _key(column.model, photo.digest, column.device, column.prompt)
            if key in memory.results:
                # Names are told apart anew when photos come and go.
                shown.append((key, dataclasses.replace(memory.results[key], photo_name=photo.name)))
    return shown


@st.fragment(run_every=POLL_SECONDS)
def _poll() -> None:
    """Redraw the progress; when another result is there, or the run has ended, the whole page."""
    job = session().job
    if job is None:
        return
    job.seen()
    show_progress(job)
    if job.has_news or not job.running:
        st.rerun()


@st.fragment
def _results(photos: Sequence[Photo], shown: Sequence[tuple[ResultKey, Result]]) -> None:
    # OpenCV is not needed for the first paint.
    from arena.ui.components.results import show_results, style_sheet  # noqa: PLC0415

    style_sheet()
    job = session().job
    show_results(photos, shown, _retry, busy=job is not None and job.running)
