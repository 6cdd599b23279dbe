"""One model out of several, with what it takes to run it; and what models are told about how to look."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from arena.catalog import list_models
from arena.ui.state import Key
from arena.weights import is_cached
from arena.wording import format_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arena.catalog import ModelCard
    from arena.ui.state import Workspace


def one_model_picker(space: Workspace, cards: Sequence[ModelCard], first: str) -> ModelCard:
    """Let the user choose a model.

    Args:
        space: The page's memory.
        cards: What there is to choose from, at least one.
        first: Key of the model that is chosen before anybody chooses; where there is none of it, the first one is.

    Returns:
        The chosen model.
    """
    by_key = {card.key: card for card in cards}
    keys = list(by_key)
    chosen: str = st.selectbox(
        "Model",
        keys,
        index=keys.index(first) if first in by_key else 0,
        format_func=lambda key: by_key[key].label,
        key=Key.ONE_MODEL.of(space.name),
        width=420,
        persist_state="session",
    )
    card = by_key[chosen]
    if is_cached(card):
        st.caption(f"{card.summary} Runs at once.")
    else:
        st.caption(f"{card.summary} Downloads {format_bytes(card.bytes)} the first time it runs.")
    if card.licence_notice:
        st.warning(card.licence_notice)
    return card


def hair_switch(page: str, cards: Sequence[ModelCard]) -> bool:
    """Let the user have strands of hair followed, if one of the chosen models can.

    Args:
        page: What the choice is remembered for.
        cards: The chosen models.

    Returns:
        Whether it is wanted, and by a model that can.
    """
    able = [card.label for card in cards if card.hair_prompt]
    offered = [card.label for card in list_models() if card.hair_prompt]
    # It stays where it is when no model can: a list below it would jump under the pointer that unticks one.
    wanted: bool = st.toggle(
        "Follow hair",
        key=Key.FOLLOW_HAIR.of(page),
        disabled=not able,
        persist_state="session",
        help=f"For {', '.join(able or offered)}: a network in the box looks along the outline for strands, which makes "
        "a soft matte and takes a moment longer",
    )
    return wanted and bool(able)
