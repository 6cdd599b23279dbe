"""The photo, to draw boxes and points on with mouse, finger or pen.

Streamlit's Plotly selection was tried first: under a finger it holds one box at a time, moves and resizes none, and
takes a package of 47 MB. This is one file of script in the page itself, by Streamlit's second component interface.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from arena.ui.assets import CANVAS_SCRIPT, CANVAS_STYLE
from arena.ui.components.photos import screen_picture
from arena.ui.state import Key
from arena.ui.text import data_url

if TYPE_CHECKING:
    from arena.photo import Photo
    from arena.ui.sketch import Sketch
    from arena.ui.state import Workspace

BOX, KEEP, LEAVE = "box", "keep", "leave"
"""What a stroke makes: a box, a point in what is kept, a point in what is left out."""

TOOL_WORDS = {BOX: "Boxes", KEEP: "Points to keep", LEAVE: "Points to leave out"}

_canvas = st.components.v2.component(
    "arena-canvas", js=CANVAS_SCRIPT.read_text("utf-8"), css=CANVAS_STYLE.read_text("utf-8")
)


def tool_picker(*, points: bool) -> str:
    """Let the user choose what to draw.

    Args:
        points: Whether points are of use; without there is nothing to choose.

    Returns:
        The tool.
    """
    if not points:
        return BOX
    tool: str = st.segmented_control(
        "Draw",
        list(TOOL_WORDS),
        default=BOX,
        format_func=TOOL_WORDS.__getitem__,
        required=True,
        key=Key.TOOL,
        persist_state="session",
    )
    return tool


def canvas(space: Workspace, photo: Photo, tool: str) -> None:
    """Show a photo at screen size with its sketch, and let the user draw.

    Args:
        space: The page's memory; the sketch of the photo is there.
        photo: The photo.
        tool: What a stroke makes.
    """
    sketch = space.sketches[photo.digest]
    _canvas(
        key=Key.CANVAS,
        data={
            "photo": photo.digest,
            "alt": photo.name,
            "picture": data_url(screen_picture(space, photo)),
            "width": photo.width,
            "height": photo.height,
            "tool": tool,
            "boxes": sketch.boxes,
            "points": sketch.points,
            "strokes": sketch.strokes,
        },
        on_drawn_change=lambda: _take(sketch, photo),
    )


def _take(sketch: Sketch, photo: Photo) -> None:
    drawn = st.session_state[Key.CANVAS]["drawn"]
    # A stroke may arrive after its photo was changed for another.
    if drawn["photo"] == photo.digest:
        sketch.take(drawn)
