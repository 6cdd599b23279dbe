"""What every segmenter has in common: one lock, one timing, one promise about its matte."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from arena.errors import ArenaError, OptionError, OutOfMemoryError
from arena.matte import Matte

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from arena.catalog import ModelCard
    from arena.photo import Photo


@dataclass(frozen=True, slots=True)
class Prediction:
    """What an adapter returns to its base class."""

    alpha: NDArray[np.float32]
    """H x W of the photo, meant to lie in [0, 1]; values beyond it by rounding are clipped."""
    seconds: float
    """The forward pass alone, device-synchronised."""
    notes: tuple[str, ...] = ()
    """What the user should know about this result."""


class Segmenter(ABC):
    """A loaded model: photo in, matte out. Safe to share between threads: one runs at a time."""

    prompts: ClassVar[frozenset[str]] = frozenset()
    """Names of the keyword arguments that ``segment`` takes beside the photo."""

    def __init__(self, card: ModelCard, device: str) -> None:
        """Keep what every segmenter needs; adapters load their network in ``load``.

        Args:
            card: The model's card.
            device: ``"cpu"``, ``"mps"``, ``"cuda"`` or ``"cuda:1"``: resolved, never ``"auto"``.
        """
        self.card = card
        self.device = device
        self._lock = threading.Lock()

    @classmethod
    @abstractmethod
    def load(cls, card: ModelCard, weights: Path | None, device: str) -> Self:
        """Build the segmenter.

        Args:
            card: The model's card.
            weights: The verified local file, None for a model that needs no download.
            device: A resolved device.

        Returns:
            A segmenter that is ready to run.

        Raises:
            CheckpointError: The file's tensors do not fit the network.
        """

    @abstractmethod
    def _predict(self, photo: Photo, **prompts: Any) -> Prediction:
        """Run the model; called with the lock held and only with the keywords named in ``prompts``."""

    def segment(self, photo: Photo, **prompts: Any) -> Matte:
        """Find the people in a photo.

        Args:
            photo: The photo, upright and in sRGB.
            **prompts: What this model can be told beside the photo: the names in ``prompts``.

        Returns:
            A matte of the photo's own size.

        Raises:
            OptionError: A prompt that this model does not take, or a bad value of one.
            OutOfMemoryError: The photo does not fit the device.
        """
        self._check(prompts)
        with self._lock:
            try:
                prediction = self._predict(photo, **prompts)
            except ArenaError:
                raise
            except (MemoryError, RuntimeError) as error:
                if is_out_of_memory(error):
                    raise out_of_memory(self.card.label, self.device) from error
                raise
        alpha = np.ascontiguousarray(np.clip(prediction.alpha, 0.0, 1.0), dtype=np.float32)
        return Matte(
            alpha=alpha,
            kind=self.card.mask_kind,
            model=self.card.key,
            seconds=prediction.seconds,
            device=self.device,
            presence_threshold=self.card.presence_threshold,
            notes=prediction.notes,
        )

    def _check(self, prompts: Mapping[str, Any]) -> None:
        unknown = sorted(set(prompts) - self.prompts)
        if unknown:
            takes = ", ".join(sorted(self.prompts)) or "nothing beside the photo"
            raise OptionError(f"{self.card.label} cannot be told {', '.join(unknown)}.", f"It takes {takes}.")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that a device's memory is exhausted.

    PyTorch has a class of its own for CUDA and MPS only; its CPU allocator raises a plain RuntimeError.
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error)
    return "can't allocate memory" in text or "not enough memory" in text or "out of memory" in text


def out_of_memory(label: str, device: str) -> OutOfMemoryError:
    """The error for a model that did not fit, with what to try instead."""
    return OutOfMemoryError(
        f"{label} needs more memory than {device} has free.",
        "Close other programs, choose fewer models, a smaller photo, or a smaller model: BiRefNet Lite, U²-Net or "
        "Classic." + ("" if device == "cpu" else " The CPU usually has more memory."),
    )
