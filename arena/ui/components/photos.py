"""The photos: uploader, samples, and a thumbnail or a message for each file."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import streamlit as st

from arena.comparison import distinct_names
from arena.errors import ArenaError
from arena.photo import (
    DEFAULT_MEGAPIXELS,
    FORMATS_IN_WORDS,
    SUFFIXES,
    Photo,
    encode,
    fit_within,
    megapixel_limit,
)
from arena.samples import SAMPLES, get_sample
from arena.ui.state import Key, PhotoEntry, session, toggle_sample
from arena.ui.text import plain

if TYPE_CHECKING:
    from streamlit.runtime.uploaded_file_manager import UploadedFile

    from arena.samples import Sample

THUMBNAIL_WIDTH = 156
"""In CSS pixels."""


def photo_picker() -> list[Photo]:
    """Let the user give photos, and show them.

    Returns:
        The photos that could be decoded, with distinct names.
    """
    uploads = st.file_uploader(
        "Photos",
        type=[suffix.removeprefix(".") for suffix in SUFFIXES],
        accept_multiple_files=True,
        key=Key.UPLOADS,
    )
    st.caption(
        f"{FORMATS_IN_WORDS}, up to {megapixel_limit():g} megapixels each. "
        "Photos stay on the machine that runs this page."
    )
    entries = [_decode_sample(key) for key in session().samples] + [_decode(upload) for upload in uploads]
    _forget_all_but(entries)
    # The same picture twice is one photo: its results would be the same, and so would the keys of its columns.
    photos = list({entry.photo.digest: entry.photo for entry in entries if entry.photo is not None}.values())
    names = distinct_names([photo.name for photo in photos])
    photos = [dataclasses.replace(photo, name=name) for photo, name in zip(photos, names, strict=True)]
    _thumbnails(entries, offer_samples=not uploads)
    return photos


def _sample_button(sample: Sample, label: str) -> None:
    st.button(label, key=Key.SAMPLE.of(sample.key), on_click=toggle_sample, args=(sample.key,), width="stretch")


@st.cache_data(show_spinner=False)
def _sample_thumbnail(key: str) -> bytes:
    return _thumbnail(_open_sample(get_sample(key)))


def _decode_sample(key: str) -> PhotoEntry:
    sample = get_sample(key)
    identity = f"sample:{key}"
    decoded = session().decoded
    if identity not in decoded:
        decoded[identity] = PhotoEntry(identity, sample.path.name, photo=_open_sample(sample), sample=sample)
    return decoded[identity]


def _open_sample(sample: Sample) -> Photo:
    # Whatever limit the environment sets, what is in the box can be opened.
    return Photo.open(sample.path, max_megapixels=DEFAULT_MEGAPIXELS)


def _decode(upload: UploadedFile) -> PhotoEntry:
    decoded = session().decoded
    if upload.file_id not in decoded:
        entry = PhotoEntry(upload.file_id, upload.name)
        try:
            with st.spinner(f"Opening {plain(upload.name)}"):
                entry.photo = Photo.open(upload.getvalue(), name=upload.name)
        except ArenaError as error:
            entry.error = error
        decoded[upload.file_id] = entry
    return decoded[upload.file_id]


def _forget_all_but(entries: list[PhotoEntry]) -> None:
    """Results of photos that are gone are stale, and each may hold hundreds of megabytes."""
    memory = session()
    kept = {entry.identity for entry in entries}
    memory.decoded = {identity: entry for identity, entry in memory.decoded.items() if identity in kept}
    digests = {entry.photo.digest for entry in entries if entry.photo is not None}
    memory.results = {key: result for key, result in memory.results.items() if key.digest in digests}
    memory.previews = {key: preview for key, preview in memory.previews.items() if key.digest in digests}
    memory.originals = {digest: data for digest, data in memory.originals.items() if digest in digests}


def _thumbnails(entries: list[PhotoEntry], *, offer_samples: bool) -> None:
    if not entries:
        st.caption("No photo at hand? Take a sample:")
    with st.container(horizontal=True, key="thumbnails"):
        for entry in entries:
            if entry.error is not None:
                with st.container(width=320):
                    st.error(plain(str(entry.error)))
            elif entry.photo is not None:
                with st.container(width=THUMBNAIL_WIDTH, gap="xsmall"):
                    st.image(_thumbnail_of(entry), width=THUMBNAIL_WIDTH, alt=f"Photo {entry.filename}")
                    st.caption(f"{plain(entry.filename)}  \n{entry.photo.width} x {entry.photo.height} px")
                    if entry.sample is not None:
                        _sample_button(entry.sample, f"Remove {entry.sample.label}")
        for sample in SAMPLES if offer_samples else ():
            if sample.key not in session().samples:
                with st.container(width=THUMBNAIL_WIDTH, gap="xsmall"):
                    st.image(_sample_thumbnail(sample.key), width=THUMBNAIL_WIDTH, alt=sample.description)
                    _sample_button(sample, f"Use {sample.label}")


def _thumbnail_of(entry: PhotoEntry) -> bytes:
    if entry.thumbnail is None and entry.photo is not None:
        entry.thumbnail = _thumbnail(entry.photo)
    return entry.thumbnail or b""


def _thumbnail(photo: Photo) -> bytes:
    # Twice the width in CSS pixels: sharp on screens of double density.
    return encode(fit_within(photo.rgb, 2 * THUMBNAIL_WIDTH), "JPEG", quality=85)
