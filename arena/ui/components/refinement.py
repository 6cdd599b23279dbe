"""Edge refinement: presets, and a control for each step of them."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import streamlit as st

from arena.catalog import MATTING_MODEL, get_card
from arena.refine import PRESET_WORDS, PRESETS, RefineOptions
from arena.refine.edges import LARGEST_BILATERAL
from arena.refine.options import MATTINGS
from arena.ui.state import Key
from arena.weights import is_cached
from arena.wording import format_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arena.finish import OwnColours
    from arena.refine.options import Matting

AS_IS = "as-is"
OWN = "own"
"""Stands for settings that are no preset's."""

PRESET_LABELS = {AS_IS: "As the model gave it", "u2net-classic": "U²-Net classic", "hair": "Hair", OWN: "Own settings"}

COLOUR_WORDS: dict[OwnColours, str] = {"auto": "Clean", "multilevel": "Clean thoroughly", "off": "As photographed"}

MATTING_WORDS = {"off": "Off", "closed-form": "Closed form", "knn": "KNN", "vitmatte": "ViTMatte"}

GUIDED_EPSILON = PRESETS["hair"].guided_epsilon
"""What every guided filter of the page ignores."""

HOLE = 0.01
"""Area of the largest hole that is filled, as a share of the picture: a gap under an arm is larger."""


@dataclass(frozen=True, slots=True)
class Step:
    """A number that a slider sets."""

    field: str
    """Of :class:`arena.refine.RefineOptions`."""
    label: str
    explanation: str
    least: float
    most: float
    step: float

    @property
    def format(self) -> str:
        """How the slider writes its value: with as many places as a step has."""
        return "%d" if isinstance(self.step, int) else f"%.{len(str(self.step).partition('.')[2])}f"


LENGTHS = "Pixels of a picture whose longer side is 1000."

STEPS = (
    Step(
        "threshold", "Make hard", "Alpha from which on a pixel is the person; 0 leaves the mask soft.", 0.0, 0.95, 0.05
    ),
    Step("opening", "Remove specks", f"Opening: specks smaller than this vanish; 1 is off. {LENGTHS}", 1, 21, 2),
    Step("closing", "Close gaps", f"Closing: gaps smaller than this fill; 1 is off. {LENGTHS}", 1, 21, 2),
    Step(
        "bilateral_diameter",
        "Smooth noise",
        f"Bilateral filter: evens noise out and leaves the edge; 1 is off. {LENGTHS}",
        1,
        LARGEST_BILATERAL,
        2,
    ),
    Step("grow", "Grow or shrink", f"Moves the outline outwards, below 0 inwards. {LENGTHS}", -10.0, 10.0, 0.5),
    Step("feather_sigma", "Feather", f"Softens the edge; 0 is off. {LENGTHS}", 0.0, 10.0, 0.1),
    Step(
        "guided_radius",
        "Follow the photo's edges",
        f"Guided filter: draws the edge along what is seen in the photo; 0 is off. {LENGTHS}",
        0.0,
        20.0,
        0.5,
    ),
)


def refinement(scope: str, preset: str = AS_IS) -> tuple[RefineOptions, OwnColours]:
    """Let the user refine the mask.

    Args:
        scope: What the settings are remembered for: a page, or more narrowly.
        preset: What is chosen before anybody chooses.

    Returns:
        What is done to the matte, and how the subject's own colours are estimated.
    """
    _remember(scope, PRESETS[preset])
    methods = _methods()
    if st.session_state[Key.REFINE.of("matting", scope)] not in methods:
        # Its weights are gone, and with them the control that would switch it off.
        st.session_state[Key.REFINE.of("matting", scope)] = "off"
        _name_preset(scope)
    with st.expander("Edge refinement"):
        st.segmented_control(
            "Preset",
            list(PRESET_LABELS),
            format_func=PRESET_LABELS.__getitem__,
            required=True,
            key=Key.PRESET.of(scope),
            on_change=_take_preset,
            args=(scope,),
            persist_state="session",
            help="  \n".join(f"**{PRESET_LABELS[name]}**: {PRESET_WORDS[name]}" for name in PRESETS),
        )
        with st.container(horizontal=True, vertical_alignment="bottom", key=Key.REFINE.of("controls", scope)):
            _switch(scope, "components", "Largest figure only", "Whatever is not connected to it is left out.")
            _switch(scope, "holes", "Fill holes", f"Holes up to {HOLE:.0%} of the picture are filled.")
            colours: OwnColours = st.segmented_control(
                "Edge colours",
                list(COLOUR_WORDS),
                default="auto",
                format_func=COLOUR_WORDS.__getitem__,
                required=True,
                key=Key.EDGE_COLOURS.of(scope),
                persist_state="session",
                help="Clean takes the old background's colour out of hair and other soft edges; hard masks need none. "
                "Thoroughly takes several times as long and follows wide soft edges better.",
            )
        with st.container(horizontal=True, vertical_alignment="bottom"):
            for step in STEPS:
                st.slider(
                    step.label,
                    step.least,
                    step.most,
                    step=step.step,
                    format=step.format,
                    key=Key.REFINE.of(step.field, scope),
                    width=240,
                    on_change=_name_preset,
                    args=(scope,),
                    persist_state="session",
                    help=step.explanation,
                )
        if len(methods) > 1:
            _matting(scope, methods)
    return options_of(_settings(scope)), colours


def settings_of(options: RefineOptions) -> dict[str, Any]:
    """What the controls show for a refinement.

    Args:
        options: One whose other fields are at their defaults, as those of all presets.

    Returns:
        Values by the names of the fields.
    """
    return {
        "components": options.components > 0,
        "holes": options.holes > 0,
        "matting": options.matting,
        **{step.field: type(step.least)(getattr(options, step.field)) for step in STEPS},
    }


def options_of(settings: dict[str, Any]) -> RefineOptions:
    """The refinement that the controls show.

    Args:
        settings: As :func:`settings_of` gives them.

    Returns:
        The options.
    """
    values = settings | {
        "components": 1 if settings["components"] else 0,
        "holes": HOLE if settings["holes"] else 0.0,
    }
    if settings["guided_radius"] > 0:
        values["guided_epsilon"] = GUIDED_EPSILON
    return RefineOptions(**values)


def _methods() -> list[Matting]:
    """The ways to solve the edge that are on this machine: nothing is downloaded by moving a control."""
    card = get_card(MATTING_MODEL)
    there = {"off"}
    if find_spec("pymatting") is not None:
        there |= {"closed-form", "knn"}
    if card.available and is_cached(card):
        there.add("vitmatte")
    return [method for method in MATTINGS if method in there]


def _matting(scope: str, methods: Sequence[Matting]) -> None:
    card = get_card(MATTING_MODEL)
    missing = "" if "vitmatte" in methods else f" `arena fetch {card.key}` adds a network ({format_bytes(card.bytes)})."
    method = st.segmented_control(
        "Matting",
        methods,
        format_func=MATTING_WORDS.__getitem__,
        required=True,
        key=Key.REFINE.of("matting", scope),
        on_change=_name_preset,
        args=(scope,),
        persist_state="session",
        help=f"Solves the edge anew from the photo.{missing}",
    )
    if method != "off":
        st.warning("Matting is slow: several seconds for each mask, and longer for the download of a large photo.")


def _switch(scope: str, name: str, label: str, explanation: str) -> None:
    st.checkbox(
        label,
        key=Key.REFINE.of(name, scope),
        on_change=_name_preset,
        args=(scope,),
        persist_state="session",
        help=explanation,
    )


def _settings(scope: str) -> dict[str, Any]:
    return {name: st.session_state[Key.REFINE.of(name, scope)] for name in settings_of(RefineOptions())}


def _remember(scope: str, options: RefineOptions) -> None:
    """Give controls that have no value yet that of a refinement."""
    for name, value in settings_of(options).items():
        st.session_state.setdefault(Key.REFINE.of(name, scope), value)
    st.session_state.setdefault(Key.PRESET.of(scope), _preset_of(options))


def _take_preset(scope: str) -> None:
    preset = st.session_state[Key.PRESET.of(scope)]
    if preset in PRESETS:
        for name, value in settings_of(PRESETS[preset]).items():
            st.session_state[Key.REFINE.of(name, scope)] = value
    else:
        # There is nothing to take from one's own settings: what is set may still be a preset's.
        _name_preset(scope)


def _name_preset(scope: str) -> None:
    st.session_state[Key.PRESET.of(scope)] = _preset_of(options_of(_settings(scope)))


def _preset_of(options: RefineOptions) -> str:
    return next((name for name, preset in PRESETS.items() if preset == options), OWN)
