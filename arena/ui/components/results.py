"""The results: an effect bar, and a column a model for the photo at hand."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import streamlit as st

from arena.catalog import get_card
from arena.comparison import as_arena_error
from arena.devices import Device
from arena.finish import Effect
from arena.render import EFFECT_PICTURES, render_png
from arena.ui import runs
from arena.ui.archive import results_zip
from arena.ui.components.effect import effect_bar
from arena.ui.components.photos import screen_picture
from arena.ui.components.refinement import refinement
from arena.ui.previews import Preview
from arena.ui.state import Key, ResultKey
from arena.ui.text import data_url, plain
from arena.wording import format_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from arena.comparison import Result
    from arena.finish import Finish
    from arena.photo import Photo
    from arena.render import Picture
    from arena.ui.state import Workspace

BY_SELECTION, BY_TIME = "As listed", "Fastest first"

EFFECT_ALTS = {Effect.BLUR: "blurred", Effect.REPLACE: "with a new background", Effect.CUTOUT: "cut out"}
"""What the second picture shows, for those who do not see it."""

DOWNLOAD_WORDS = {
    Effect.BLUR: "Download blurred photo",
    Effect.REPLACE: "Download photo with new background",
    Effect.CUTOUT: "Download cut-out",
}


def show_results(space: Workspace, photos: Sequence[Photo], found: Sequence[tuple[ResultKey, Result]]) -> None:
    """Draw the effect bar and the columns; reruns of it alone re-composite and compute nothing else.

    Args:
        space: The page's memory.
        photos: The photos at hand.
        found: Results to show, in column order.
    """
    finish = effect_bar(space)
    options, colours = refinement(space.name)
    finish = dataclasses.replace(finish, refine=options, colours=colours)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        order = st.segmented_control(
            "Order of columns",
            [BY_SELECTION, BY_TIME],
            default=BY_SELECTION,
            required=True,
            key=Key.ORDER,
            persist_state="session",
        )
        with_original = st.checkbox("Show the original", key=Key.ORIGINAL, persist_state="session")
        st.download_button(
            "Download everything (ZIP)",
            data=lambda: results_zip([result for _, result in found], finish),
            file_name="results.zip",
            mime="application/zip",
            key=Key.DOWNLOAD_ALL,
            icon=":material/folder_zip:",
            on_click="ignore",
        )
    if len(photos) == 1:
        _columns(space, photos[0], found, finish, order == BY_TIME, with_original)
        return
    tabs = st.tabs([plain(photo.name) for photo in photos], key=Key.PHOTO_TABS, on_change="rerun")
    for photo, tab in zip(photos, tabs, strict=True):
        # A closed tab costs nothing: its pictures are made when it opens.
        if tab.open:
            with tab:
                _columns(space, photo, found, finish, order == BY_TIME, with_original)


def _columns(
    space: Workspace,
    photo: Photo,
    found: Sequence[tuple[ResultKey, Result]],
    finish: Finish,
    by_time: bool,
    with_original: bool,
) -> None:
    mine = [(key, result) for key, result in found if key.digest == photo.digest]
    if not mine:
        st.caption("Not run yet: press Run Segmentation and Blurring.")
    if by_time:
        mine.sort(key=lambda pair: (pair[1].error is not None, pair[1].seconds))
    with st.container(key=Key.GRID.of(photo.digest)):
        if with_original:
            with st.container(border=True, key=Key.COLUMN.of("original", photo.digest)):
                st.markdown("**Original**")
                st.caption(f"{photo.width} x {photo.height} px")
                st.image(data_url(screen_picture(space, photo)), width="stretch", alt=f"{photo.name}, original")
        for key, result in mine:
            with st.container(border=True, key=Key.COLUMN.of(result.model, photo.digest)):
                # Where the mask cannot be had, neither can what is made with it.
                if show_outcome(space, key, result) and _mask(space, key, result, finish):
                    shown = _finished(space, key, result, finish)
                    with st.container(horizontal=True, gap="xsmall"):
                        if shown:
                            _download_finished(key, result, finish)
                        _download_mask(key, result, finish)


def show_pair(space: Workspace, key: ResultKey, result: Result, finish: Finish) -> None:
    """Draw one result: mask and finished picture beside each other, one below the other where that is too narrow.

    Args:
        space: The page's memory.
        key: The result's.
        result: The result.
        finish: Refinement and effect.
    """
    if not show_outcome(space, key, result):
        return
    with st.container(key=Key.GRID.of(space.name)):
        with st.container(key=Key.COLUMN.of("mask", space.name)):
            shown = _mask(space, key, result, finish)
            if shown:
                _download_mask(key, result, finish)
        with st.container(key=Key.COLUMN.of("finished", space.name)):
            if shown and _finished(space, key, result, finish):
                _download_finished(key, result, finish)


def show_outcome(space: Workspace, key: ResultKey, result: Result) -> bool:
    """Say which model ran, how long, and with what outcome; offer another try of what failed.

    Args:
        space: The page's memory.
        key: The result's.
        result: The result.

    Returns:
        Whether there are pictures to show.
    """
    card = get_card(result.model)
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        st.markdown(f"**{card.label}**", width="content")
        # Of this mask, which may be softer than the model's usual ones.
        st.badge(result.matte.kind if result.matte else card.mask_kind, color="gray")
    if result.error is not None:
        st.error(f"Failed to run {card.label}: {plain(result.error.problem)}")
        if result.error.remedy:
            st.markdown(result.error.remedy)
        busy = runs.busy_workspace() is not None
        if st.button(f"Retry {card.label}", key=Key.RETRY.of(*key[:2]), disabled=busy):
            runs.retry(space, key)
            # The whole page: the progress is drawn outside of this fragment.
            st.rerun()
        return False
    st.markdown(f"Inference: {format_seconds(result.seconds)}")
    st.caption(_circumstances(result))
    for note in result.matte.notes if result.matte else ():
        st.caption(plain(note))
    if not result.found:
        if key.prompts.text not in ("", runs.ANY_PERSON.text):
            st.info(f"Nothing was found that is called {plain(key.prompts.text)}.")
            st.caption("Try other words, or another model.")
        elif key.prompts.drawn:
            st.info("Nothing was found there.")
            st.caption("Draw the box closer around the subject, or try another model.")
        else:
            st.info("No humans detected.")
            st.caption("Try another model, or a photo in which the person is larger.")
        return False
    return True


def _mask(space: Workspace, key: ResultKey, result: Result, finish: Finish) -> bool:
    """Draw the mask over the photo; whether it could be had."""
    alt = f"{result.photo_name}, mask by {get_card(result.model).label}"
    return _picture(result, lambda: _preview(space, key, result).overlay(finish.refine), alt)


def _finished(space: Workspace, key: ResultKey, result: Result, finish: Finish) -> bool:
    """Draw the finished picture; whether it could be had."""
    alt = f"{result.photo_name}, {EFFECT_ALTS[finish.effect]} by {get_card(result.model).label}"
    return _picture(result, lambda: _preview(space, key, result).finished(finish), alt)


def _picture(result: Result, make: Callable[[], bytes], alt: str) -> bool:
    try:
        picture = make()
    except Exception as error:  # noqa: BLE001 - one picture's failure must not take the other columns with it
        st.error(plain(str(as_arena_error(error, get_card(result.model)))))
        return False
    st.image(data_url(picture), width="stretch", alt=alt)
    return True


def _download_mask(key: ResultKey, result: Result, finish: Finish) -> None:
    _download("Download mask", "masks", key, result, finish)


def _download_finished(key: ResultKey, result: Result, finish: Finish) -> None:
    _download(DOWNLOAD_WORDS[finish.effect], EFFECT_PICTURES[finish.effect], key, result, finish)


def _circumstances(result: Result) -> str:
    parts = [f"on {Device(result.device, '').kind}"]
    if result.load_seconds:
        parts.append(f"loaded in {format_seconds(result.load_seconds)}")
    if result.download_seconds:
        parts.append(f"downloaded in {format_seconds(result.download_seconds)}")
    return ", ".join(parts)


def _preview(space: Workspace, key: ResultKey, result: Result) -> Preview:
    if key not in space.previews:
        # Callers have seen that something was found, which takes a photo and a matte.
        assert result.photo is not None  # noqa: S101
        assert result.matte is not None  # noqa: S101
        space.previews[key] = Preview(result.photo, result.matte)
    return space.previews[key]


def _download(label: str, picture: Picture, key: ResultKey, result: Result, finish: Finish) -> None:
    # As above.
    photo, matte = result.photo, result.matte
    assert photo is not None  # noqa: S101
    assert matte is not None  # noqa: S101
    st.download_button(
        label,
        # At full size, and only when pressed.
        data=lambda: render_png(picture, photo, matte, finish),
        file_name=f"{result.photo_name}-{result.model}-{picture}.png",
        mime="image/png",
        key=Key.DOWNLOAD.of(picture, *key[:2]),
        help=f"By {get_card(result.model).label}, at full size, as PNG",
        icon=":material/download:",
        on_click="ignore",
    )
