"""What the pages remember between reruns: every session key, and the typed ways to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, cast

import streamlit as st

from arena.catalog import DEFAULT_MODEL, Task, list_models
from arena.ui.shelf import Shelf
from arena.ui.sketch import Prompts

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray

    from arena.comparison import Result
    from arena.errors import ArenaError
    from arena.photo import Photo
    from arena.ui.job import Job
    from arena.ui.previews import Preview
    from arena.ui.sketch import Sketch

COMPARE, REPLACE, DRAW = "compare", "replace", "draw"
"""The pages, as their workspaces and their widgets' keys name them."""


class Key(StrEnum):
    """Session keys. Widgets bear theirs, so that tests and style sheets find them.

    What several pages have bears the page's name after it.
    """

    SESSION = "session"
    DEVICE = "device"
    MODEL = "model"
    """Prefix: one check box a model."""
    ONE_MODEL = "one_model"
    """Prefix: one choice of a single model a page."""
    ALL_READY = "all_ready"
    NO_MODELS = "no_models"
    PROMPT = "prompt"
    UPLOADS = "uploads"
    """Prefix: one uploader a page."""
    SAMPLE = "sample"
    """Prefix: one button a sample."""
    REMOVE = "remove"
    """Prefix: one button a photo that its uploader has forgotten."""
    TOOL = "tool"
    CANVAS = "canvas"
    SUGGEST = "suggest"
    ADD_BOX = "add_box"
    CLEAR = "clear"
    FOLLOW_HAIR = "follow_hair"
    """Prefix: one switch a page."""
    BOX = "box"
    """Prefix: one number an edge of a box."""
    POINT = "point"
    """Prefix: one number a coordinate of a point."""
    ERASE = "erase"
    """Prefix: one button a box or point."""
    RUN = "run"
    STOP = "stop"
    EFFECT = "effect"
    KERNEL = "kernel"
    BOKEH = "bokeh"
    DISTANCE = "distance"
    DEPTH = "depth"
    """Prefix, as the two that follow: one control a page."""
    DEPTH_UPLOAD = "depth_upload"
    FORGET_DEPTH = "forget_depth"
    BACKDROP = "backdrop"
    """Prefix, as all that follow here: one control of the new background a page."""
    BACKDROP_COLOUR = "backdrop_colour"
    BACKDROP_START = "backdrop_start"
    BACKDROP_END = "backdrop_end"
    BACKDROP_DIRECTION = "backdrop_direction"
    BACKDROP_SAMPLE = "backdrop_sample"
    BACKDROP_UPLOAD = "backdrop_upload"
    BACKDROP_FIT = "backdrop_fit"
    BACKDROP_ANCHOR = "backdrop_anchor"
    BACKDROP_KERNEL = "backdrop_kernel"
    HARMONISE = "harmonise"
    LIGHT_WRAP = "light_wrap"
    LINEAR = "linear"
    SUBJECT_RIGHT = "subject_right"
    SUBJECT_DOWN = "subject_down"
    SUBJECT_SIZE = "subject_size"
    PRESET = "preset"
    """Prefix: one choice of a refinement a page."""
    REFINE = "refine"
    """Prefix: one control a step and page."""
    EDGE_COLOURS = "edge_colours"
    ORDER = "order"
    ORIGINAL = "original"
    PHOTO_TABS = "photo_tabs"
    DOWNLOAD_ALL = "download_all"
    DOWNLOAD = "download"
    """Prefix: one button a picture."""
    RETRY = "retry"
    """Prefix: one button a failed model and photo."""
    GRID = "results_grid"
    """Prefix: one grid a photo; the style sheet lays it out."""
    COLUMN = "result_column"
    """Prefix: one column a model and photo."""

    def of(self, *parts: str) -> str:
        """A widget key under this prefix.

        Args:
            *parts: What tells it from its siblings.

        Returns:
            The key.
        """
        return "-".join([self.value, *parts])


class ResultKey(NamedTuple):
    """What a result depends on."""

    digest: str
    model: str
    device: str
    prompts: Prompts
    """What the model was told, as far as it listens."""


class Column(NamedTuple):
    """One column of results, for any photo."""

    model: str
    device: str
    """As it was chosen: ``"auto"`` may come to another one later."""
    prompts: Prompts


@dataclass(slots=True)
class Workspace:
    """Everything that one page keeps and that is not a widget's value."""

    name: str
    """The page's."""
    photos: Shelf = field(default_factory=Shelf)
    """What was uploaded or taken from the samples."""
    at_hand: dict[str, Photo] = field(default_factory=dict)
    """Photos to run on, by digest, under their distinct names."""
    backdrops: Shelf = field(default_factory=Shelf)
    """The picture that was uploaded as a new background."""
    results: dict[ResultKey, Result] = field(default_factory=dict)
    """All that was computed for the photos at hand; a changed selection of models keeps it."""
    shown: list[Column] = field(default_factory=list)
    """The columns of the last run."""
    earlier: list[Column] = field(default_factory=list)
    """What was on the page before it, and stays there for photos of which it has given nothing yet."""
    previews: dict[ResultKey, Preview] = field(default_factory=dict)
    """Screen-sized pictures of results."""
    depths: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    """Relative inverse depth of photos, by digest."""
    depth_errors: dict[str, ArenaError] = field(default_factory=dict)
    """Why it is not known although it was asked for, by digest."""
    depths_forgotten: int = 0
    """How often they were: an uploader that is to be empty again needs another key."""
    originals: dict[str, bytes] = field(default_factory=dict)
    """Photos at screen size, by digest."""
    job: Job | None = None
    """The run that is under way, or the last one."""
    prompts: Prompts = field(default_factory=Prompts)
    """What that run tells its models."""
    sketches: dict[str, Sketch] = field(default_factory=dict)
    """What was drawn on photos, by digest."""


@dataclass(slots=True)
class Session:
    """The workspaces of all pages: what is on one stays while another is looked at."""

    compare: Workspace = field(default_factory=lambda: Workspace(COMPARE))
    replace: Workspace = field(default_factory=lambda: Workspace(REPLACE))
    draw: Workspace = field(default_factory=lambda: Workspace(DRAW))

    @property
    def workspaces(self) -> tuple[Workspace, ...]:
        """All of them."""
        return self.compare, self.replace, self.draw


def session() -> Session:
    """This browser session's memory."""
    if Key.SESSION not in st.session_state:
        st.session_state[Key.SESSION] = Session()
        for card in list_models(task=Task.PORTRAIT):
            st.session_state[Key.MODEL.of(card.key)] = card.key == DEFAULT_MODEL
    return cast("Session", st.session_state[Key.SESSION])


def chosen_models() -> list[str]:
    """Keys of the ticked models, in catalog order."""
    return [card.key for card in list_models(task=Task.PORTRAIT) if st.session_state.get(Key.MODEL.of(card.key))]


def choose_models(keys: Iterable[str]) -> None:
    """Tick exactly these models; for button callbacks.

    Args:
        keys: Model keys.
    """
    wanted = set(keys)
    for card in list_models(task=Task.PORTRAIT):
        st.session_state[Key.MODEL.of(card.key)] = card.key in wanted
