"""The page for pointing at the subject: boxes and points on a photo, and what SAM finds in them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import streamlit as st

from arena.catalog import Task, get_card, list_models
from arena.errors import ArenaError
from arena.ui.components.boxes import sketch_rows
from arena.ui.components.canvas import BOX, canvas, tool_picker
from arena.ui.components.models import hair_switch, one_model_picker
from arena.ui.components.photos import photo_picker
from arena.ui.components.run import run_section
from arena.ui.components.sidebar import device_picker
from arena.ui.runs import shown_results
from arena.ui.sketch import Prompts, Sketch
from arena.ui.state import Key, session
from arena.ui.text import plain

if TYPE_CHECKING:
    from arena.catalog import ModelCard
    from arena.comparison import Result
    from arena.photo import Photo
    from arena.ui.state import ResultKey, Workspace

FIRST_MODEL = "sam-vit-b"
"""The smallest one."""


def page() -> None:
    """Draw the page."""
    space = session().draw
    with st.sidebar:
        st.header("Where to run")
        device = device_picker()
    st.title("Draw")
    st.markdown(
        "Draw a box around each person or thing that you want to keep, and see its outline. Few objects and small "
        "boxes work best: a box that just holds what it is drawn around, with a little air."
    )
    # See arena/ui/pages/compare.py.
    with st.container():
        photos = photo_picker(space, "Photo", several=False)
        cards = [card for card in list_models(available=True) if card.box_prompt]
        card = one_model_picker(space, sorted(cards, key=lambda card: card.task is not Task.PROMPTED), FIRST_MODEL)
        prompts = Prompts()
        for photo in photos:
            prompts = _drawing(space, photo, card)
        prompts = dataclasses.replace(prompts, hair=hair_switch(space.name, [card]))
        run_section(
            space, "Run Segmentation", photos, [card.key], device, prompts, _lacking(prompts.taken_by(card), card)
        )
    # As the switch stands, also while the model that is chosen by now cannot follow hair.
    told = dataclasses.replace(prompts, hair=bool(st.session_state.get(Key.FOLLOW_HAIR.of(space.name))))
    for key, result in shown_results(space):
        # Holds its place, for the same reason.
        notice = st.empty()
        if key.prompts != told.taken_by(get_card(key.model)):
            notice.info(
                "What the model is told has changed since. Below is what came of it before: run again to renew it."
            )
        _result(space, key, result)


def _drawing(space: Workspace, photo: Photo, card: ModelCard) -> Prompts:
    """The canvas and the list beside it; gives all that is drawn, whether or not the model listens to it."""
    sketch = space.sketches.setdefault(photo.digest, Sketch(photo.width, photo.height))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        tool = tool_picker(points=card.point_prompt)
        suggest = st.button("Suggest boxes", key=Key.SUGGEST, help="Puts a box around each person whose face is found")
        st.button(
            "Add box",
            key=Key.ADD_BOX,
            on_click=sketch.add,
            args=([_middle(photo)],),
            help="Puts a box in the middle, to be set by its numbers: for whoever has no mouse at hand",
        )
        st.button(
            "Clear",
            key=Key.CLEAR,
            on_click=sketch.clear,
            disabled=not (sketch.boxes or sketch.points),
            help="Takes all boxes and points away",
        )
    if suggest:
        _suggest(sketch, photo)
    drawn, listed = st.columns([3, 2])
    with drawn:
        canvas(space, photo, tool)
        st.caption(_hint(tool))
    with listed:
        sketch_rows(sketch)
        if sketch.points and not card.point_prompt:
            st.caption(f"{card.label} takes boxes only: it is not told of the points.")
    return sketch.prompts()


def _middle(photo: Photo) -> tuple[float, float, float, float]:
    """A box about the middle half of a photo."""
    return photo.width / 4, photo.height / 4, photo.width * 3 / 4, photo.height * 3 / 4


def _hint(tool: str) -> str:
    if tool == BOX:
        return (
            "Drag to draw a box. Click one to move it, to pull its corners, or to press Delete. On a touch screen one "
            "finger draws and two scroll."
        )
    return "Click to set a point; click it again to take it away. Points refine what the boxes hold."


def _suggest(sketch: Sketch, photo: Photo) -> None:
    # The detector runs on PyTorch, which takes its time to import.
    from arena.models.people import person_boxes  # noqa: PLC0415

    try:
        with st.spinner("Looking for faces"):
            boxes = person_boxes(photo.rgb)
            sketch.add(boxes)
    except ArenaError as error:
        st.error(plain(str(error)))
        return
    if boxes:
        # What is drawn above knows nothing of them.
        st.rerun()
    else:
        st.info("No face was found. Draw the boxes yourself.")


def _lacking(prompts: Prompts, card: ModelCard) -> str:
    """What has to be drawn before the model can run."""
    if prompts.boxes or any(point.keep for point in prompts.points):
        return ""
    if card.point_prompt:
        return "Draw a box around what you want to keep, or set a point in it, first."
    return "Draw a box around what you want to keep first."


@st.fragment
def _result(space: Workspace, key: ResultKey, result: Result) -> None:
    # OpenCV is not needed for the first paint.
    from arena.finish import Effect  # noqa: PLC0415
    from arena.ui.components.effect import effect_bar  # noqa: PLC0415
    from arena.ui.components.refinement import refinement  # noqa: PLC0415
    from arena.ui.components.results import show_pair  # noqa: PLC0415

    finish = effect_bar(space, (Effect.BLUR, Effect.REPLACE, Effect.CUTOUT), least_kernel=1)
    options, colours = refinement(space.name)
    show_pair(space, key, result, dataclasses.replace(finish, refine=options, colours=colours))
