"""The comparison page: photos in, one column a model out."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import streamlit as st

from arena.catalog import get_card
from arena.ui.components.models import hair_switch
from arena.ui.components.photos import photo_picker
from arena.ui.components.run import run_section
from arena.ui.components.sidebar import device_picker, model_picker, prompt_input
from arena.ui.runs import shown_results
from arena.ui.state import chosen_models, session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arena.comparison import Result
    from arena.photo import Photo
    from arena.ui.state import ResultKey, Workspace


def page() -> None:
    """Draw the page."""
    space = session().compare
    with st.sidebar:
        st.header("What to run")
        device = device_picker()
        # Before the long list of models, although it depends on what is ticked there.
        hair = hair_switch(space.name, [get_card(model) for model in chosen_models()])
        models = model_picker()
        prompts = dataclasses.replace(prompt_input(models), hair=hair)
    st.title("Portrait Blur Arena")
    st.markdown(
        "See what each portrait segmentation model makes of your photo, side by side, and take the picture you like."
    )
    # In a place of its own, as on the other pages: what comes and goes in it does not move the results below, which
    # would be there twice while a slow machine draws them in their new place.
    with st.container():
        photos = photo_picker(space)
        run_section(space, "Run Segmentation and Blurring", photos, models, device, prompts)
    shown = shown_results(space)
    if shown:
        _results(space, photos, shown)


@st.fragment
def _results(space: Workspace, photos: Sequence[Photo], shown: Sequence[tuple[ResultKey, Result]]) -> None:
    # OpenCV is not needed for the first paint.
    from arena.ui.components.results import show_results  # noqa: PLC0415

    show_results(space, photos, shown)
