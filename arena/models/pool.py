"""The pool: models are loaded on first use, shared by all callers, and make room for each other."""

from __future__ import annotations

import gc
import importlib
import os
import sys
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from arena import weights
from arena.catalog import Task, get_card, list_models
from arena.devices import AUTO, Stopwatch, free_memory, resolve_device, usable_device
from arena.errors import ModelUnavailableError, OptionError
from arena.models.base import Model, Segmenter, is_out_of_memory, out_of_memory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from arena.catalog import ModelCard

SPARE_BYTES = 2 << 30
"""Memory that loading a model leaves free for the photos and the forward pass."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model and what it took to have it."""

    model: Model
    """Shared with all other callers."""
    download_seconds: float
    """0 if the weights were there."""
    load_seconds: float
    """0 if it was loaded before."""

    @property
    def segmenter(self) -> Segmenter:
        """The model, if mattes are what it gives; else OptionError."""
        return as_segmenter(self.model)


class ModelPool:
    """Models by key and device, least recently used first. Safe to share between threads."""

    def __init__(self, max_loaded: int | None = None) -> None:
        """Start empty.

        Args:
            max_loaded: How many models to keep; by default ``ARENA_MAX_LOADED``, else as many as leave 2 GiB free.
        """
        self._max_loaded = max_loaded
        self._models: OrderedDict[tuple[str, str], Model] = OrderedDict()
        self._lock = threading.Lock()
        self._loading: dict[str, threading.Lock] = {}

    def get(
        self,
        key: str,
        device: str = AUTO,
        *,
        progress: weights.ProgressCallback | None = None,
        cancel: threading.Event | None = None,
        on_load: Callable[[], None] | None = None,
    ) -> Loaded:
        """A model on a device, downloaded and loaded if this is its first use.

        Threads wait for one that loads a model on the same device.

        Args:
            key: A model key.
            device: ``"auto"``, ``"cpu"``, ``"mps"``, ``"cuda"`` or ``"cuda:N"``.
            progress: Told of the download's progress.
            cancel: Stops the download when set.
            on_load: Called when the weights are there and loading begins; not for a model that is loaded already.

        Returns:
            The model and the seconds that its download and its loading took in this call.

        Raises:
            UnknownModelError: No such model.
            ModelUnavailableError: This build cannot run it.
            DeviceError: No such device, or PyTorch cannot use it.
            WeightsError: Its weights could not be had; the subclass says why.
            OutOfMemoryError: It does not fit.
        """
        card = get_card(key)
        check_available(card)
        slot = key, resolve_device(device)
        if (model := self._touch(slot)) is not None:
            return Loaded(model, 0.0, 0.0)
        there = weights.is_cached(card)
        # Outside of the lock: two that want one file wait for each other inside of it, and can be cancelled there.
        with Stopwatch() as download:
            path = weights.fetch(card, progress=progress, cancel=cancel)
        # Not the one that was resolved, if that is announced and does not work: then the next best does.
        slot = key, usable_device(device)
        # One at a time on each device: two that look for room at once would both find it.
        with self._loading_lock(slot[1]):
            if (model := self._touch(slot)) is not None:
                return Loaded(model, 0.0 if there else download.seconds, 0.0)
            if on_load is not None:
                on_load()
            self._make_room(card, slot[1])
            with Stopwatch(slot[1]) as load:
                model = _load(card, path, slot[1])
            with self._lock:
                self._models[slot] = model
            return Loaded(model, 0.0 if there else download.seconds, load.seconds)

    def unload(self, key: str | None = None, device: str | None = None) -> list[str]:
        """Let go of models; whoever still runs one finishes undisturbed.

        Args:
            key: Only this model; None for all.
            device: Only on this device; None for all.

        Returns:
            The keys that were let go.
        """
        resolved = None if device is None else resolve_device(device)
        with self._lock:
            slots = [s for s in self._models if key in (None, s[0]) and resolved in (None, s[1])]
            for slot in slots:
                del self._models[slot]
        _release(devices={slot[1] for slot in slots})
        return [slot[0] for slot in slots]

    def loaded(self) -> list[tuple[str, str]]:
        """Key and device of the models in memory, least recently used first."""
        with self._lock:
            return list(self._models)

    def _loading_lock(self, device: str) -> threading.Lock:
        with self._lock:
            return self._loading.setdefault(device, threading.Lock())

    def _touch(self, slot: tuple[str, str]) -> Model | None:
        with self._lock:
            model = self._models.get(slot)
            if model is not None:
                self._models.move_to_end(slot)
            return model

    def _make_room(self, card: ModelCard, device: str) -> None:
        """Evict the least recently used models of a device until the new one fits the budget."""
        # What PyTorch keeps for itself would count as used.
        _release({device})
        limit = self._max_loaded if self._max_loaded is not None else _limit_from_environment()
        while True:
            with self._lock:
                rivals = [slot for slot in self._models if slot[1] == device]
                if not rivals:
                    return
                # Weights stored in half precision take twice their file's size once they run in single.
                short = free_memory(device) < 2 * card.bytes + SPARE_BYTES
                if not (short if limit is None else len(rivals) >= limit):
                    return
                del self._models[rivals[0]]
            _release(devices={device})


def _limit_from_environment() -> int | None:
    text = os.environ.get("ARENA_MAX_LOADED", "").strip()
    if not text:
        return None
    if not text.isdigit() or int(text) < 1:
        raise OptionError(f"ARENA_MAX_LOADED is {text!r}.", "Set it to how many models may stay loaded, at least 1.")
    return int(text)


def check_available(card: ModelCard) -> None:
    """Make sure that this build can run a model.

    Args:
        card: The model's card.

    Raises:
        ModelUnavailableError: It cannot.
    """
    if not card.available:
        raise ModelUnavailableError(f"{card.label} is not available in this build.", "Choose another model.")


def check_segments(card: ModelCard) -> None:
    """Make sure that a model is one that gives mattes, before it is downloaded for nothing.

    Args:
        card: The model's card.

    Raises:
        OptionError: It gives something else.
    """
    if card.task is Task.DEPTH:
        raise OptionError(
            f"{card.label} gives a depth map, not a matte.",
            "Choose another model; the blur goes by it with `--distance depth`, or after arena.estimate_depth.",
        )
    if card.task is Task.TRIMAP:
        raise OptionError(
            f"{card.label} needs the matte of another model.",
            'Choose that one; `--matting vitmatte`, or RefineOptions(matting="vitmatte"), solves its edge anew.',
        )


def check_gives_depth(card: ModelCard) -> None:
    """Make sure that a model is one that gives depth, before it is downloaded for nothing.

    Args:
        card: The model's card.

    Raises:
        OptionError: It gives something else.
    """
    if card.task is not Task.DEPTH:
        keys = ", ".join(card.key for card in list_models(task=Task.DEPTH))
        raise OptionError(f"{card.label} gives a matte, not a depth map.", f"Depth comes from {keys}.")


def as_segmenter(model: Model) -> Segmenter:
    """A model as one that gives mattes.

    Args:
        model: Any model.

    Returns:
        The same.

    Raises:
        OptionError: It gives something else.
    """
    check_segments(model.card)
    assert isinstance(model, Segmenter)  # noqa: S101 - all others give mattes
    return model


def adapter_of(card: ModelCard) -> type[Model]:
    """The class that runs a model, which this build has; it imports what that class needs.

    Args:
        card: The model's card.

    Returns:
        Its class.
    """
    module, _, name = card.adapter.partition(":")
    adapter: type[Model] = getattr(importlib.import_module(module), name)
    return adapter


def load_adapter(card: ModelCard, path: Path | None, device: str) -> Segmenter:
    """Build a segmenter outside of any pool.

    Args:
        card: The model's card; a changed copy is fine.
        path: Its verified weights; None if it has none.
        device: A resolved device.

    Returns:
        A segmenter of the caller's own.

    Raises:
        CheckpointError: The weights do not fit the network.
        OptionError: Mattes are not what it gives.
        OutOfMemoryError: It does not fit the device.
    """
    check_segments(card)
    return as_segmenter(_load(card, path, device))


def _load(card: ModelCard, path: Path | None, device: str) -> Model:
    try:
        return adapter_of(card).load(card, path, device)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
    # Not chained: the frames of the failed load hold its tensors for as long as somebody keeps the error.
    _release({device})
    raise out_of_memory(card, device)


def _release(devices: set[str]) -> None:
    """Give freed GPU memory back: PyTorch's caching allocator would keep it from other programs."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is None:
        return
    if any(device.startswith("cuda") for device in devices):
        torch.cuda.empty_cache()
    if "mps" in devices:
        torch.mps.empty_cache()


_pool = ModelPool()


def default_pool() -> ModelPool:
    """The pool that the page, the shell and ``arena.load_model`` share."""
    return _pool


def load_model(key: str, device: str = AUTO) -> Segmenter:
    """Load a model, or get the one that is loaded.

    Args:
        key: A model key, for instance ``"classic"``; ``arena.list_models()`` names them all.
        device: ``"auto"`` (CUDA, then MPS, then CPU), ``"cpu"``, ``"mps"``, ``"cuda"`` or ``"cuda:N"``.

    Returns:
        A segmenter: ``load_model("lite").segment(photo)`` gives a matte. It is shared; a second call is free.

    Raises:
        ArenaError: As :meth:`ModelPool.get`.
    """
    check_segments(get_card(key))
    return _pool.get(key, device).segmenter


def unload(key: str | None = None, device: str | None = None) -> list[str]:
    """Let go of loaded models.

    Args:
        key: Only this model; None for all.
        device: Only on this device; None for all.

    Returns:
        The keys that were let go.
    """
    return _pool.unload(key, device)
