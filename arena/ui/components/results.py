"""The results: an effect bar, and a column a model for the photo at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from arena.catalog import get_card
from arena.devices import Device
from arena.photo import encode, fit_within
from arena.render import DEFAULT_KERNEL, render_png
from arena.ui.archive import results_zip
from arena.ui.previews import PREVIEW_QUALITY, PREVIEW_SIDE, Preview
from arena.ui.state import Key, ResultKey, session
from arena.ui.text import data_url, plain
from arena.wording import format_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from arena.comparison import Result
    from arena.photo import Photo
    from arena.render import Picture

BY_SELECTION, BY_TIME = "As listed", "Fastest first"
LEAST_COLUMN = 260
"""Pixels below which a column wraps to the next row."""
WIDEST_COLUMN = 640
"""Pixels above which a lone column would push its second picture off the screen."""


def style_sheet() -> None:
    """Lay the result grids out: as many columns as fit, none narrower than a face can be judged in."""
    st.html(
        f"""<style>
        [class*="st-key-{Key.GRID}"] {{
            display: grid !important;
            grid-template-columns: repeat(auto-fit, minmax(min({LEAST_COLUMN}px, 100%), 1fr));
            align-items: start;
        }}
        [class*="st-key-{Key.COLUMN}"] {{ max-width: {WIDEST_COLUMN}px; }}
        [class*="st-key-{Key.COLUMN}"] img {{ width: 100%; }}
        </style>"""
    )


def show_results(
    photos: Sequence[Photo],
    found: Sequence[tuple[ResultKey, Result]],
    retry: Callable[[ResultKey], None],
    *,
    busy: bool,
) -> None:
    """Draw the effect bar and the columns; reruns of it alone re-composite and compute nothing else.

    Args:
        photos: The photos at hand.
        found: Results to show, in column order.
        retry: Called with the key of a failed result when the user asks for another try.
        busy: Whether a run is under way, during which nothing can be retried.
    """
    with st.container(horizontal=True, vertical_alignment="bottom"):
        kernel: int = st.slider(
            "Blur strength",
            min_value=5,
            max_value=255,
            value=DEFAULT_KERNEL,
            step=2,
            key=Key.KERNEL,
            width=420,
            persist_state="page",
            help="Size of the Gaussian kernel in pixels of the full-size photo. Nothing is segmented again.",
        )
        order = st.segmented_control(
            "Order of columns",
            [BY_SELECTION, BY_TIME],
            default=BY_SELECTION,
            required=True,
            key=Key.ORDER,
            persist_state="page",
        )
        with_original = st.checkbox("Show the original", key=Key.ORIGINAL, persist_state="page")
        st.download_button(
            "Download everything (ZIP)",
            data=lambda: results_zip([result for _, result in found], kernel),
            file_name="results.zip",
            mime="application/zip",
            key=Key.DOWNLOAD_ALL,
            icon=":material/folder_zip:",
            on_click="ignore",
        )
    if len(photos) == 1:
        _columns(photos[0], found, kernel, order == BY_TIME, with_original, retry, busy)
        return
    tabs = st.tabs([plain(photo.name) for photo in photos], key=Key.PHOTO_TABS, on_change="rerun")
    for photo, tab in zip(photos, tabs, strict=True):
        # A closed tab costs nothing: its pictures are made when it opens.
        if tab.open:
            with tab:
                _columns(photo, found, kernel, order == BY_TIME, with_original, retry, busy)


def _columns(
    photo: Photo,
    found: Sequence[tuple[ResultKey, Result]],
    kernel: int,
    by_time: bool,
    with_original: bool,
    retry: Callable[[ResultKey], None],
    busy: bool,
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
                st.image(data_url(_original(photo)), width="stretch", alt=f"{photo.name}, original")
        for key, result in mine:
            with st.container(border=True, key=Key.COLUMN.of(result.model, photo.digest)):
                _column(key, result, kernel, retry, busy)


def _column(key: ResultKey, result: Result, kernel: int, retry: Callable[[ResultKey], None], busy: bool) -> None:
    card = get_card(result.model)
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        st.markdown(f"**{card.label}**", width="content")
        st.badge(card.mask_kind, color="gray")
    if result.error is not None:
        st.error(f"Failed to run {card.label}: {plain(result.error.problem)}")
        if result.error.remedy:
            st.markdown(result.error.remedy)
        if st.button(f"Retry {card.label}", key=Key.RETRY.of(*key[:2]), disabled=busy):
            retry(key)
            # The whole page: the progress is drawn outside of this fragment.
            st.rerun()
        return
    st.markdown(f"Inference: {format_seconds(result.seconds)}")
    st.caption(_circumstances(result))
    if not result.found:
        st.info("No humans detected.")
        st.caption("Try another model, or a photo in which the person is larger.")
        return
    preview = _preview(key, result)
    for note in result.matte.notes if result.matte else ():
        st.caption(plain(note))
    st.image(data_url(preview.overlay), width="stretch", alt=f"{result.photo_name}, mask by {card.label}")
    st.image(data_url(preview.blurred(kernel)), width="stretch", alt=f"{result.photo_name}, blurred by {card.label}")
    with st.container(horizontal=True, gap="xsmall"):
        _download("Download blurred photo", "blurred", key, result, kernel)
        _download("Download mask", "masks", key, result, kernel)
        _download("Download cut-out", "cutout", key, result, kernel)


def _original(photo: Photo) -> bytes:
    originals = session().originals
    if photo.digest not in originals:
        shown = fit_within(photo.rgb, PREVIEW_SIDE)
        originals[photo.digest] = encode(shown, "JPEG", quality=PREVIEW_QUALITY)
    return originals[photo.digest]


def _circumstances(result: Result) -> str:
    parts = [f"on {Device(result.device, '').kind}"]
    if result.load_seconds:
        parts.append(f"loaded in {format_seconds(result.load_seconds)}")
    if result.download_seconds:
        parts.append(f"downloaded in {format_seconds(result.download_seconds)}")
    return ", ".join(parts)


def _preview(key: ResultKey, result: Result) -> Preview:
    previews = session().previews
    if key not in previews:
        # Callers have seen that something was found, which takes a photo and a matte.
        assert result.photo is not None  # noqa: S101
        assert result.matte is not None  # noqa: S101
        previews[key] = Preview(result.photo, result.matte)
    return previews[key]


def _download(label: str, picture: Picture, key: ResultKey, result: Result, kernel: int) -> None:
    photo, matte = result.photo, result.matte
    if photo is None or matte is None:
        return
    st.download_button(
        label,
        # Made at full size when it is pressed, not on every rerun.
        data=lambda: render_png(picture, photo, matte, kernel),
        file_name=f"{result.photo_name}-{result.model}-{picture}.png",
        mime="image/png",
        key=Key.DOWNLOAD.of(picture, *key[:2]),
        help=f"By {get_card(result.model).label}, at full size, as PNG",
        icon=":material/download:",
        on_click="ignore",
    )
