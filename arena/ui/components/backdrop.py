"""What to put behind the subject."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import streamlit as st

from arena.compose import FITS, Gradient, Plain, Transparent, parse_background, parse_colour
from arena.ui.components.photos import show_entries, upload
from arena.ui.state import Key

if TYPE_CHECKING:
    from arena.compose import Colour, Fit
    from arena.finish import Backdrop
    from arena.ui.state import Workspace

COLOUR, GRADIENT, PICTURE, SAMPLE = "Colour", "Gradient", "Picture", "Sample"

DOWN, RIGHT, OUTWARDS = "Downwards", "To the right", "From the middle"

FIT_WORDS: dict[Fit, str] = {
    "cover": "Fill the frame",
    "contain": "Show all of it",
    "stretch": "Stretch",
    "tile": "Repeat",
}

ANCHOR_WORDS = {
    "centre": "Middle",
    "top": "Top",
    "bottom": "Bottom",
    "left": "Left",
    "right": "Right",
}

SAMPLES = {
    "Grey studio": "radial:#f2f2f0-#7f8487",
    "Blue studio": "radial:#9fc3e6-#1f3a5f",
    "Warm studio": "radial:#f3dcc0-#8a5a3c",
    "Clear sky": "gradient:#3f7fc4-#cfe6f7",
    "Sunset": "gradient:#2b2d6e-#c2557a-#f7b267",
}
"""Backgrounds that are drawn, so that there is something to try at once."""

UPLOADER_WIDTH = 300
"""In CSS pixels."""


class Scenery(NamedTuple):
    """A background, and how it lies in the frame."""

    background: Backdrop
    fit: Fit = "cover"
    anchor: str = "centre"


def backdrop_picker(space: Workspace, first: str = COLOUR) -> Scenery:
    """Let the user choose a background.

    Args:
        space: The page's memory.
        first: What is offered before anything was chosen.

    Returns:
        The background; transparent while there is no picture yet.
    """
    kinds = [first, *(kind for kind in (COLOUR, GRADIENT, PICTURE, SAMPLE) if kind != first)]
    kind: str = st.segmented_control(
        "New background",
        kinds,
        default=first,
        required=True,
        key=Key.BACKDROP.of(space.name),
        persist_state="session",
    )
    if kind == COLOUR:
        return Scenery(Plain(_colour("Colour", "#ffffff", Key.BACKDROP_COLOUR.of(space.name))))
    if kind == GRADIENT:
        return Scenery(_gradient(space.name))
    if kind == SAMPLE:
        name: str = st.selectbox(
            "Sample background",
            list(SAMPLES),
            key=Key.BACKDROP_SAMPLE.of(space.name),
            width=200,
            persist_state="session",
        )
        return Scenery(parse_background(SAMPLES[name]))
    return _picture(space)


def _colour(label: str, default: str, key: str) -> Colour:
    return parse_colour(st.color_picker(label, default, key=key, persist_state="session"))


def _gradient(page: str) -> Gradient:
    start = _colour("From", "#dfe7ec", Key.BACKDROP_START.of(page))
    end = _colour("To", "#4a5b66", Key.BACKDROP_END.of(page))
    direction = st.selectbox(
        "Direction",
        [DOWN, RIGHT, OUTWARDS],
        key=Key.BACKDROP_DIRECTION.of(page),
        width=180,
        persist_state="session",
    )
    if direction == OUTWARDS:
        return Gradient((start, end), "radial")
    return Gradient((start, end), angle=90.0 if direction == RIGHT else 180.0)


def _picture(space: Workspace) -> Scenery:
    with st.container(width=UPLOADER_WIDTH):
        upload(space.backdrops, "Background picture", Key.BACKDROP_UPLOAD.of(space.name))
    show_entries(space.backdrops)
    photo = next((entry.photo for entry in space.backdrops.entries.values() if entry.photo is not None), None)
    if photo is None:
        st.caption("Without a picture the background is transparent.")
        return Scenery(Transparent())
    fit: Fit = st.selectbox(
        "Size of the picture",
        FITS,
        format_func=FIT_WORDS.__getitem__,
        key=Key.BACKDROP_FIT.of(space.name),
        width=160,
        persist_state="session",
    )
    anchor = "centre"
    if fit in {"cover", "contain"}:
        anchor = st.selectbox(
            "Part to keep" if fit == "cover" else "Where it lies",
            list(ANCHOR_WORDS),
            format_func=ANCHOR_WORDS.__getitem__,
            key=Key.BACKDROP_ANCHOR.of(space.name),
            width=120,
            persist_state="session",
        )
    return Scenery(photo, fit, anchor)
