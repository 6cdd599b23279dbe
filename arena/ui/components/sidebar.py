"""The sidebar: where to run, and what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import streamlit as st

from arena.catalog import Task, list_models
from arena.devices import AUTO, available_devices
from arena.matte import MatteKind
from arena.ui.runs import ANY_PERSON
from arena.ui.sketch import Prompts
from arena.ui.state import Key, choose_models, chosen_models
from arena.weights import is_cached
from arena.wording import format_bytes

if TYPE_CHECKING:
    from arena.catalog import ModelCard

_KIND_COLORS: dict[MatteKind, Literal["green", "blue", "gray"]] = {
    MatteKind.ALPHA: "green",
    MatteKind.NEAR_BINARY: "blue",
    MatteKind.BINARY: "gray",
}
_KIND_WORDS = {
    MatteKind.ALPHA: "Soft matte: hair keeps partial coverage.",
    MatteKind.NEAR_BINARY: "Nearly hard mask: soft for a pixel or two along the edge.",
    MatteKind.BINARY: "Hard mask: the edge is softened before blurring.",
}


def device_picker() -> str:
    """Let the user choose where models run.

    Returns:
        ``"auto"`` or a device key.
    """
    devices = {device.key: device for device in available_devices()}
    best = next(iter(devices.values()))
    labels = {AUTO: f"Auto ({best.kind})"} | {key: device.kind for key, device in devices.items()}
    chosen: str = st.selectbox(
        "Compute device", list(labels), format_func=labels.__getitem__, key=Key.DEVICE, persist_state="session"
    )
    st.caption(f"Runs on {devices.get(chosen, best).name}")
    return chosen


def model_picker() -> list[str]:
    """Let the user tick models.

    Returns:
        Keys of the ticked models, in catalog order.
    """
    cards = list_models(task=Task.PORTRAIT)
    ready = [card for card in cards if card.available and is_cached(card)]
    later = [card for card in cards if card.available and card not in ready]
    missing = [card for card in cards if not card.available]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("All ready", key=Key.ALL_READY, on_click=choose_models, args=([c.key for c in ready],))
        st.button("None", key=Key.NO_MODELS, on_click=choose_models, args=([],))
    _group("Ready", ready)
    _group("Download on first use", later)
    _group("Not available in this build", missing)
    return chosen_models()


def prompt_input(keys: list[str]) -> Prompts:
    """Let the user say what to look for, if a ticked model takes a text.

    Args:
        keys: Ticked models.

    Returns:
        The text; any person if there is nothing to say it to.
    """
    takers = [card.label for card in list_models() if card.text_prompt and card.key in keys]
    if not takers:
        return ANY_PERSON
    text = st.text_input(
        f"What {', '.join(takers)} looks for", ANY_PERSON.text, key=Key.PROMPT, persist_state="session"
    )
    return Prompts(text=text.strip()) if text.strip() else ANY_PERSON


def _group(heading: str, cards: list[ModelCard]) -> None:
    if not cards:
        return
    st.markdown(f"**{heading}**")
    for card in cards:
        _row(card)


def _row(card: ModelCard) -> None:
    with st.container(gap=None):
        st.checkbox(card.label, key=Key.MODEL.of(card.key), disabled=not card.available, persist_state="session")
        with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
            st.badge(card.mask_kind, color=_KIND_COLORS[card.mask_kind], help=_KIND_WORDS[card.mask_kind])
            if card.needs_download:
                st.caption(format_bytes(card.bytes), width="content")
            if not card.commercial:
                st.badge("non-commercial", color="orange")
            if card.gated:
                st.badge("gated", color="orange")
            with st.popover("About", type="tertiary", help=f"About {card.label}"):
                _about(card)
        if card.licence_notice and st.session_state.get(Key.MODEL.of(card.key)):
            st.warning(card.licence_notice)


def _about(card: ModelCard) -> None:
    use = "Commercial use is allowed." if card.commercial else "No commercial use without an agreement."
    lines = [
        f"**{card.label}**",
        card.summary,
        f"**Trained on:** {card.training_data}",
        f"**Licence:** {card.licence}. {use}",
        f"**Mask:** {card.mask_kind}. {_KIND_WORDS[card.mask_kind]}",
        f"**Works at:** {card.input_size}",
    ]
    if card.gated:
        lines.append(
            "**Gated:** accept the licence on its page with your account, then start the app with your access token in "
            "HF_TOKEN, or run `hf auth login` once."
        )
    if card.page:
        # As text: the page itself makes no request to another host, and offers none by accident.
        lines.append(f"**Page:** `{card.page}`")
    st.markdown("\n\n".join(lines))
