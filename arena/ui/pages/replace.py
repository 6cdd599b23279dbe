"""The page for one thing: a portrait and a background in, mask and result out."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import streamlit as st

from arena.catalog import DEFAULT_MODEL, Task, get_card, list_models
from arena.ui.components.models import hair_switch, one_model_picker
from arena.ui.components.photos import photo_picker
from arena.ui.components.run import run_section
from arena.ui.components.sidebar import device_picker
from arena.ui.runs import ANY_PERSON, shown_results
from arena.ui.state import session

if TYPE_CHECKING:
    from arena.comparison import Result
    from arena.ui.components.backdrop import Scenery
    from arena.ui.state import ResultKey, Workspace

FIRST_MODEL = "u2net"
"""What users of background separation know."""

PRESETS = {"u2net": "u2net-classic"}
"""The refinement that its users know, by family of models."""


def page() -> None:
    """Draw the page."""
    # OpenCV takes its time; the first paint of the other page does without.
    from arena.ui.components.backdrop import PICTURE, backdrop_picker  # noqa: PLC0415

    space = session().replace
    with st.sidebar:
        st.header("Where to run")
        device = device_picker()
    st.title("Replace background")
    st.markdown("Put the person of one photo in front of another background, or blur the one that is there.")
    # See arena/ui/pages/compare.py.
    with st.container():
        photos = photo_picker(space, "Portrait", several=False)
        with st.container(horizontal=True, vertical_alignment="bottom"):
            scenery = backdrop_picker(space, first=PICTURE)
        cards = list_models(task=Task.PORTRAIT, available=True)
        # U²-Net first, then what runs at once, then the rest.
        cards.sort(key=lambda card: (card.key != FIRST_MODEL, card.needs_download))
        card = one_model_picker(space, cards, DEFAULT_MODEL)
        prompts = dataclasses.replace(ANY_PERSON, hair=hair_switch(space.name, [card]))
        run_section(space, "Run Background Replacement", photos, [card.key], device, prompts)
    for key, result in shown_results(space):
        _result(space, key, result, scenery)


@st.fragment
def _result(space: Workspace, key: ResultKey, result: Result, scenery: Scenery) -> None:
    from arena.finish import Effect  # noqa: PLC0415 - see above
    from arena.ui.components.effect import effect_bar  # noqa: PLC0415 - see above
    from arena.ui.components.refinement import AS_IS, refinement  # noqa: PLC0415 - see above
    from arena.ui.components.results import show_pair  # noqa: PLC0415 - see above

    finish = effect_bar(space, (Effect.REPLACE, Effect.BLUR), scenery, least_kernel=1)
    # Soft mattes lose by what makes coarse outlines better, so each family of models has its own settings.
    family = get_card(result.model).family
    options, colours = refinement(f"{space.name}-{family}", PRESETS.get(family, AS_IS))
    show_pair(space, key, result, dataclasses.replace(finish, refine=options, colours=colours))
