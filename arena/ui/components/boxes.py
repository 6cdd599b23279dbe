"""What was drawn, as numbers: a row for each box and point, to read, to edit and to delete without a mouse."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from arena.ui.sketch import Box
from arena.ui.state import Key

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from arena.ui.sketch import Sketch

NUMBER_WIDTH = 108
"""Of an input, in CSS pixels."""

COORDINATES = ("x", "y")


def sketch_rows(sketch: Sketch) -> None:
    """List what was drawn.

    Args:
        sketch: The boxes and points; edits are made in it.
    """
    if not (sketch.boxes or sketch.points):
        st.caption("Nothing drawn yet.")
        return
    st.caption(f"In pixels of the photo, {sketch.width} x {sketch.height}, from its upper left corner.")
    for number, box in enumerate(sketch.boxes):
        change, erase = partial(_change_box, sketch, number), partial(sketch.erase_box, number)
        _row(f"Box {number + 1}", Key.BOX, number, Box._fields, box, sketch, change, erase)
    for number, point in enumerate(sketch.points):
        name = f"Point {'+' if point.keep else '−'}{number + 1}"
        change, erase = partial(_move_point, sketch, number), partial(sketch.erase_point, number)
        _row(name, Key.POINT, number, COORDINATES, point[:2], sketch, change, erase)


def _row(
    name: str,
    kind: Key,
    number: int,
    fields: Sequence[str],
    values: Sequence[int],
    sketch: Sketch,
    change: Callable[[], None],
    erase: Callable[[], None],
) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="xsmall"):
        for column, (field, value) in enumerate(zip(fields, values, strict=True)):
            key = kind.of(str(number), field)
            # What is drawn is right, whatever the input held before.
            st.session_state[key] = value
            st.number_input(
                f"{name}, {field}",
                min_value=0,
                max_value=sketch.width if column % 2 == 0 else sketch.height,
                step=1,
                key=key,
                width=NUMBER_WIDTH,
                on_change=change,
            )
        st.button(f"Delete {name.lower()}", key=Key.ERASE.of(kind, str(number)), on_click=erase)


def _change_box(sketch: Sketch, number: int) -> None:
    sketch.change(number, [st.session_state[Key.BOX.of(str(number), field)] for field in Box._fields])


def _move_point(sketch: Sketch, number: int) -> None:
    x, y = (st.session_state[Key.POINT.of(str(number), field)] for field in COORDINATES)
    sketch.move(number, x, y)
