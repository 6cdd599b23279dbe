"""The effect bar: what becomes of the background, and how much of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import streamlit as st

from arena.checks import LARGEST_KERNEL
from arena.compose import BOKEHS, Placement, Plain, Transparent
from arena.finish import DEFAULT_KERNEL, DISTANCES, Effect, Finish
from arena.ui.components.backdrop import backdrop_picker
from arena.ui.components.depth import depth_section, forget_button
from arena.ui.state import Key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arena.compose import Bokeh
    from arena.finish import Distance
    from arena.ui.components.backdrop import Scenery
    from arena.ui.state import Workspace

EFFECT_WORDS = {
    Effect.BLUR: "Blur",
    Effect.REPLACE: "Replace background",
    Effect.CUTOUT: "Cut out",
}

BOKEH_WORDS: dict[Bokeh, str] = {"gaussian": "Soft", "disc": "Round", "hexagon": "Hexagonal"}

DISTANCE_WORDS: dict[Distance, str] = {"alike": "Alike", "ground": "Ground", "depth": "Depth"}

LEAST_KERNEL = 5
"""Weakest blur of the comparison, where it is there to be compared."""

SLIDER_WIDTH = 360
SMALL_SLIDER_WIDTH = 200
"""In CSS pixels."""

FARTHEST = 50
"""How far the subject can be moved, in per cent of the picture."""

SMALLEST, LARGEST = 25, 200
"""Sizes of the subject, in per cent."""


def effect_bar(
    space: Workspace,
    effects: Sequence[Effect] = tuple(Effect),
    scenery: Scenery | None = None,
    least_kernel: int = LEAST_KERNEL,
) -> Finish:
    """Let the user choose an effect and set it.

    Args:
        space: The page's memory.
        effects: What is offered; the first one until another is chosen.
        scenery: The new background if it is chosen elsewhere; else it is chosen here.
        least_kernel: Weakest blur of the photo's own background; 1 is none.

    Returns:
        The effect with its settings; nothing is refined yet.
    """
    with st.container(horizontal=True, vertical_alignment="bottom", key=Key.EFFECT.of("bar", space.name)):
        effect = Effect(
            st.segmented_control(
                "Effect",
                [str(effect) for effect in effects],
                default=str(effects[0]),
                format_func=lambda name: EFFECT_WORDS[Effect(name)],
                required=True,
                key=Key.EFFECT.of(space.name),
                persist_state="session",
            )
        )
        if effect is Effect.BLUR:
            kernel = _blur_slider(space.name, least_kernel)
            finish = Finish(kernel=kernel, bokeh=_bokeh(space.name), distance=_distance(space.name))
            if finish.distance == "depth":
                forget_button(space)
        elif effect is Effect.CUTOUT:
            st.caption("The squares stand for transparency. Files are PNG, which keeps it.")
            return Finish(effect)
        else:
            chosen = scenery or backdrop_picker(space)
    if effect is Effect.BLUR:
        return depth_section(space, finish) if finish.needs_depth else finish
    with st.container(horizontal=True, vertical_alignment="bottom"):
        return _replacement(space.name, chosen)


def _blur_slider(page: str, least: int) -> int:
    none = " 1 is no blur." if least == 1 else ""
    return st.slider(
        "Blur strength",
        min_value=least,
        max_value=LARGEST_KERNEL,
        value=DEFAULT_KERNEL,
        step=2,
        key=Key.KERNEL.of(page),
        width=SLIDER_WIDTH,
        persist_state="session",
        help=f"Size of the Gaussian kernel in pixels of the full-size photo.{none} Nothing is segmented again.",
    )


def _bokeh(page: str, *, disabled: bool = False) -> Bokeh:
    return st.segmented_control(
        "Bokeh",
        BOKEHS,
        default="gaussian",
        format_func=lambda shape: BOKEH_WORDS[shape],
        required=True,
        key=Key.BOKEH.of(page),
        persist_state="session",
        disabled=disabled,
        help="What the blur makes of a point of light. Soft is a Gaussian; round and hexagonal spread light evenly, as "
        "lenses do, and let lamps and reflections shine.",
    )


def _distance(page: str) -> Distance:
    return st.segmented_control(
        "Distance",
        DISTANCES,
        default="alike",
        format_func=lambda distance: DISTANCE_WORDS[distance],
        required=True,
        key=Key.DISTANCE.of(page),
        persist_state="session",
        help="How the blur goes with distance. Alike: not at all. Ground: sharp at the feet, more the farther the "
        "ground is from them; where the feet are not in the picture, alike. Depth: as a network says how far each "
        "thing is, behind the person and in front.",
    )


def _replacement(page: str, scenery: Scenery) -> Finish:
    finish = Finish(Effect.REPLACE, background=scenery.background, fit=scenery.fit, anchor=scenery.anchor)
    if not isinstance(scenery.background, Transparent):
        finish = _light(page, finish)
    return replace(finish, subject=_placement(page))


def _light(page: str, finish: Finish) -> Finish:
    """What there has to be a background for."""
    if not isinstance(finish.background, Plain):
        kernel = st.slider(
            "Blur of the new background",
            min_value=1,
            max_value=LARGEST_KERNEL,
            value=1,
            step=2,
            key=Key.BACKDROP_KERNEL.of(page),
            width=SMALL_SLIDER_WIDTH,
            persist_state="session",
            help="Size of the Gaussian kernel in pixels of the full-size photo. 1 is no blur.",
        )
        # Always there, so that nothing jumps while the slider moves.
        finish = replace(finish, background_kernel=kernel, bokeh=_bokeh(page, disabled=kernel == 1))
    harmonise = _per_cent(
        "Match colours",
        Key.HARMONISE.of(page),
        "How much of the new background's colour and brightness the person takes on.",
    )
    light_wrap = _per_cent(
        "Light wrap", Key.LIGHT_WRAP.of(page), "How much light of the new background falls onto the person's edge."
    )
    linear = st.toggle(
        "Mix light",
        key=Key.LINEAR.of(page),
        persist_state="session",
        help="Mixes the edge in linear light, as a lens does, instead of in sRGB levels: a soft edge between dark and "
        "bright comes out brighter.",
    )
    return replace(finish, harmonise=harmonise, light_wrap=light_wrap, linear=linear)


def _per_cent(label: str, key: str, explanation: str) -> float:
    value = st.slider(
        label,
        min_value=0,
        max_value=100,
        value=0,
        step=5,
        format="%d %%",
        key=key,
        width=SMALL_SLIDER_WIDTH,
        persist_state="session",
        help=explanation,
    )
    return value / 100


def _placement(page: str) -> Placement:
    with st.popover("Position and size", help="Where the person stands, and how large"):
        right = _share("To the right", Key.SUBJECT_RIGHT.of(page), -FARTHEST, FARTHEST, 0)
        down = _share("Downwards", Key.SUBJECT_DOWN.of(page), -FARTHEST, FARTHEST, 0)
        size = _share("Size", Key.SUBJECT_SIZE.of(page), SMALLEST, LARGEST, 100)
    return Placement(right, down, size)


def _share(label: str, key: str, least: int, most: int, default: int) -> float:
    value = st.slider(
        label,
        min_value=least,
        max_value=most,
        value=default,
        step=1 if default == 0 else 5,
        format="%d %%",
        key=key,
        width=SMALL_SLIDER_WIDTH,
        persist_state="session",
    )
    return value / 100
