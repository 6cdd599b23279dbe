"""What the page remembers between reruns: every session key, and the typed ways to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, cast

import streamlit as st

from arena.catalog import DEFAULT_MODEL, Task, list_models

if TYPE_CHECKING:
    from collections.abc import Iterable

    from arena.comparison import Result
    from arena.errors import ArenaError
    from arena.photo import Photo
    from arena.samples import Sample
    from arena.ui.job import Job
    from arena.ui.previews import Preview


class Key(StrEnum):
    """Session keys. Widgets bear theirs, so that tests and style sheets find them."""

    SESSION = "session"
    DEVICE = "device"
    MODEL = "model"
    """Prefix: one check box a model."""
    ALL_READY = "all_ready"
    NO_MODELS = "no_models"
    PROMPT = "prompt"
    UPLOADS = "uploads"
    SAMPLE = "sample"
    """Prefix: one button a sample."""
    RUN = "run"
    STOP = "stop"
    KERNEL = "kernel"
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
    prompt: str


class Column(NamedTuple):
    """One column of results, for any photo."""

    model: str
    device: str
    prompt: str


@dataclass(slots=True)
class PhotoEntry:
    """One photo of the page: decoded, or why it could not be."""

    identity: str
    """Tells two uploads apart even if they have the same name."""
    filename: str
    photo: Photo | None = None
    error: ArenaError | None = None
    thumbnail: bytes | None = None
    sample: Sample | None = None
    """Set for a bundled sample."""


@dataclass(slots=True)
class Session:
    """Everything the page keeps that is not a widget's value."""

    samples: list[str] = field(default_factory=list)
    """Bundled samples that were chosen, in that order."""
    decoded: dict[str, PhotoEntry] = field(default_factory=dict)
    """Photos by identity, so that no rerun decodes twice."""
    results: dict[ResultKey, Result] = field(default_factory=dict)
    """All that was computed for the photos at hand; a changed selection of models keeps it."""
    shown: list[Column] = field(default_factory=list)
    """The columns of the last run."""
    previews: dict[ResultKey, Preview] = field(default_factory=dict)
    """Screen-sized pictures of results."""
    originals: dict[str, bytes] = field(default_factory=dict)
    """Photos at screen size, by digest."""
    job: Job | None = None
    """The run that is under way, or the last one."""
    prompt: str = ""
    """What that run tells the models that take a text."""


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


def toggle_sample(name: str) -> None:
    """Add a bundled sample to the photos, or take it away; for button callbacks.

    Args:
        name: The sample's key.
    """
    samples = session().samples
    if name in samples:
        samples.remove(name)
    else:
        samples.append(name)
