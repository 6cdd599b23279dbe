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
from arena.ui.shelf import PhotoEntry
from arena.ui.state import Key
from arena.ui.text import plain

if TYPE_CHECKING:
    from streamlit.runtime.uploaded_file_manager import UploadedFile

    from arena.samples import Sample
    from arena.ui.shelf import Shelf
    from arena.ui.state import Workspace

THUMBNAIL_WIDTH = 156
"""In CSS pixels."""


def photo_picker(space: Workspace, label: str = "Photos", *, several: bool = True) -> list[Photo]:
    """Let the user give photos, and show them.

    Args:
        space: The page's memory.
        label: What the uploader is called.
        several: Whether a photo joins the others or takes their place.

    Returns:
        The photos that could be decoded, with distinct names.
    """
    held = upload(space.photos, label, Key.UPLOADS.of(space.name), several=several)
    st.caption(
        f"{FORMATS_IN_WORDS}, up to {megapixel_limit():g} megapixels{' each' if several else ''}. "
        "Photos stay on the machine that runs this page."
    )
    entries = list(space.photos.entries.values())
    # The same picture twice is one photo: its results would be the same, and so would the keys of its columns.
    photos = list({entry.photo.digest: entry.photo for entry in entries if entry.photo is not None}.values())
    names = distinct_names([photo.name for photo in photos])
    photos = [dataclasses.replace(photo, name=name) for photo, name in zip(photos, names, strict=True)]
    _forget_all_but(space, photos)
    # A place of its own: what follows would be drawn anew if it moved up, and lose an upload that is under way.
    with st.container():
        if not entries:
            st.caption("No photo at hand? Take a sample:")
    with st.container(horizontal=True, key="thumbnails"):
        show_entries(space.photos)
        # Beside what the uploader holds a sample would be in the way.
        for sample in () if held else SAMPLES:
            if _identity(sample) not in space.photos.entries:
                with st.container(width=THUMBNAIL_WIDTH, gap="xsmall"):
                    st.image(_sample_thumbnail(sample.key), width=THUMBNAIL_WIDTH, alt=sample.description)
                    st.button(
                        f"Use {sample.label}",
                        key=Key.SAMPLE.of(sample.key),
                        on_click=_take_sample,
                        args=(space.photos, sample, several),
                        width="stretch",
                    )
    return photos


def upload(shelf: Shelf, label: str, key: str, *, several: bool = False) -> bool:
    """Draw an uploader and decode what it is given.

    Args:
        shelf: Where its photos go. Those of an earlier visit stay, although the uploader itself forgets them.
        label: What it is called.
        key: Its session key.
        several: Whether photos join each other; else the last one given takes the others' place.

    Returns:
        Whether the uploader itself holds something.
    """
    # A value that is not there says that the browser draws the uploader anew, and empty.
    if key not in st.session_state:
        shelf.keep_all()
    given = st.file_uploader(
        label, type=[suffix.removeprefix(".") for suffix in SUFFIXES], accept_multiple_files=several, key=key
    )
    uploads = given if isinstance(given, list) else [given] if given is not None else []
    for file in uploads:
        _decode(shelf, file)
    shelf.settle([file.file_id for file in uploads], alone=not several)
    return bool(uploads)


def show_entries(shelf: Shelf) -> None:
    """Draw a thumbnail or a message for each photo, with a button for those that no uploader can take away.

    Args:
        shelf: The photos.
    """
    for entry in list(shelf.entries.values()):
        with st.container(width=THUMBNAIL_WIDTH if entry.error is None else 2 * THUMBNAIL_WIDTH, gap="xsmall"):
            if entry.error is not None:
                st.error(plain(str(entry.error)))
            elif entry.photo is not None:
                st.image(_thumbnail_of(entry), width=_thumbnail_width(entry.photo), alt=f"Photo {entry.filename}")
                depth = "" if entry.photo.depth is None else ", with depth"
                st.caption(f"{plain(entry.filename)}  \n{entry.photo.width} x {entry.photo.height} px{depth}")
            if entry.identity in shelf.kept:
                st.button(
                    f"Remove {get_sample(entry.sample).label if entry.sample else plain(entry.filename)}",
                    key=Key.SAMPLE.of(entry.sample) if entry.sample else Key.REMOVE.of(entry.identity),
                    on_click=shelf.remove,
                    args=(entry.identity,),
                    width="stretch",
                )


def screen_picture(space: Workspace, photo: Photo) -> bytes:
    """A photo at the size of the results beside it.

    Args:
        space: The page's memory, where it is kept.
        photo: The photo.

    Returns:
        A JPEG file.
    """
    # OpenCV, on which that module builds, takes its time.
    from arena.ui.previews import PREVIEW_QUALITY, PREVIEW_SIDE  # noqa: PLC0415

    if photo.digest not in space.originals:
        shown = fit_within(photo.rgb, PREVIEW_SIDE)
        space.originals[photo.digest] = encode(shown, "JPEG", quality=PREVIEW_QUALITY)
    return space.originals[photo.digest]


def _identity(sample: Sample) -> str:
    return f"sample:{sample.key}"


def _take_sample(shelf: Shelf, sample: Sample, several: bool) -> None:
    entry = PhotoEntry(_identity(sample), sample.path.name, photo=_open_sample(sample), sample=sample.key)
    shelf.keep(entry, alone=not several)


@st.cache_data(show_spinner=False)
def _sample_thumbnail(key: str) -> bytes:
    return _thumbnail(_open_sample(get_sample(key)))


def _open_sample(sample: Sample) -> Photo:
    # Whatever limit the environment sets, what is in the box can be opened.
    return Photo.open(sample.path, max_megapixels=DEFAULT_MEGAPIXELS)


def _decode(shelf: Shelf, file: UploadedFile) -> None:
    if file.file_id in shelf.entries:
        return
    entry = PhotoEntry(file.file_id, file.name)
    try:
        with st.spinner(f"Opening {plain(file.name)}"):
            entry.photo = Photo.open(file.getvalue(), name=file.name)
    except ArenaError as error:
        entry.error = error
    shelf.entries[file.file_id] = entry


def _forget_all_but(space: Workspace, photos: list[Photo]) -> None:
    """Results of photos that are gone are stale, and each may hold hundreds of megabytes."""
    for photo in photos:
        # What the file says of its depth, until that is forgotten.
        if photo.depth is not None and photo.digest not in space.at_hand:
            space.depths[photo.digest] = photo.depth
    space.at_hand = {photo.digest: photo for photo in photos}
    space.results = {key: result for key, result in space.results.items() if key.digest in space.at_hand}
    space.previews = {key: preview for key, preview in space.previews.items() if key.digest in space.at_hand}
    space.depths = {digest: depth for digest, depth in space.depths.items() if digest in space.at_hand}
    space.depth_errors = {digest: error for digest, error in space.depth_errors.items() if digest in space.at_hand}
    space.originals = {digest: data for digest, data in space.originals.items() if digest in space.at_hand}


def _thumbnail_of(entry: PhotoEntry) -> bytes:
    if entry.thumbnail is None and entry.photo is not None:
        entry.thumbnail = _thumbnail(entry.photo)
    return entry.thumbnail or b""


def _thumbnail_width(photo: Photo) -> int:
    """In CSS pixels: narrower for what would be more than twice as high as wide."""
    return max(1, min(THUMBNAIL_WIDTH, round(2 * THUMBNAIL_WIDTH * photo.width / photo.height)))


def _thumbnail(photo: Photo) -> bytes:
    # Twice the width in CSS pixels: sharp on screens of double density.
    return encode(fit_within(photo.rgb, 2 * THUMBNAIL_WIDTH), "JPEG", quality=85)
