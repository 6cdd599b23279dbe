"""The depth of the photos on a page: what a blur that goes by it waits for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import streamlit as st

from arena.catalog import DEPTH_MODEL, get_card
from arena.devices import AUTO
from arena.errors import ArenaError
from arena.photo import SUFFIXES, read_depth
from arena.ui import runs
from arena.ui.state import Key
from arena.ui.text import plain
from arena.weights import is_cached
from arena.wording import format_bytes

if TYPE_CHECKING:
    from arena.finish import Finish
    from arena.photo import Photo
    from arena.ui.state import Workspace


def forget_button(space: Workspace) -> None:
    """Offer to let go of the depth that is known, so that another map can take its place.

    Args:
        space: The page's memory.
    """
    if not space.depths:
        return
    explanation = "Lets go of how far things are, so that it can be found out anew or taken from another map"
    if st.button("Forget depth", key=Key.FORGET_DEPTH.of(space.name), type="tertiary", help=explanation):
        runs.forget_depths(space)
        st.rerun()


def depth_section(space: Workspace, finish: Finish) -> Finish:
    """Offer to find out how far everything is, unless that is known.

    Args:
        space: The page's memory.
        finish: A blur that is to go by depth.

    Returns:
        The same, if the depth of all photos is known; else one that blurs everything alike.
    """
    photos = list(space.at_hand.values())
    missing = [photo for photo in photos if photo.digest not in space.depths]
    if not missing:
        return finish
    card = get_card(DEPTH_MODEL)
    download = "" if is_cached(card) else f" It is downloaded first: {format_bytes(card.bytes)}."
    with st.container(horizontal=True, vertical_alignment="center"):
        busy = runs.busy_workspace() is not None
        if st.button("Find out depth", key=Key.DEPTH.of(space.name), disabled=busy, icon=":material/landscape:"):
            runs.find_depths(space, missing, st.session_state.get(Key.DEVICE, AUTO))
            # The whole page, here as below: progress and results are taken outside of this fragment.
            st.rerun()
        if len(photos) == 1:
            with st.popover("Own depth map", help="From a phone or another program"):
                _own_map(space, photos[0])
        st.caption(f"Until then everything is blurred alike. {card.label} says how far things are.{download}")
    for photo in missing:
        if (error := space.depth_errors.get(photo.digest)) is not None:
            st.error(f"The depth of {plain(photo.name)} could not be found out: {plain(error.problem)}")
            if error.remedy:
                st.markdown(error.remedy)
    return replace(finish, distance="alike")


def _own_map(space: Workspace, photo: Photo) -> None:
    upload = st.file_uploader(
        "Depth map",
        type=[suffix.removeprefix(".") for suffix in SUFFIXES],
        key=Key.DEPTH_UPLOAD.of(space.name, photo.digest, str(space.depths_forgotten)),
        help="A grey picture of the same view, near things bright, of 8 or 16 bits; or a phone's photo that holds one.",
    )
    if upload is None:
        return
    try:
        known = photo.with_depth(read_depth(upload))
    except ArenaError as error:
        st.error(plain(str(error)))
        return
    runs.take_depth(space, known)
    st.rerun()
