"""What every model has in common: one lock, one answer to exhausted memory; and what a segmenter promises."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from arena.catalog import Task
from arena.errors import ArenaError, OptionError, OutOfMemoryError, UnexpectedError
from arena.matte import Matte

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from arena.catalog import ModelCard
    from arena.matte import MatteKind
    from arena.photo import Photo


_SMALL_MODELS = ("U²-Net Small", "Classic")
_SIGNS_OF_EXHAUSTION = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "could not create a memory",
)
"""What the allocators of PyTorch, CUDA's libraries and oneDNN say."""


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """What an adapter returns to its base class."""

    alpha: NDArray[np.float32]
    """H x W of the photo, meant to lie in [0, 1]; values beyond it by rounding are clipped."""
    seconds: float
    """The forward pass alone, device-synchronised."""
    notes: tuple[str, ...] = ()
    """What the user should know about this result."""
    peak: float | None = None
    """Largest alpha before any refinement, by which presence is judged; None: that of ``alpha``."""
    scores: tuple[float, ...] = ()
    """How well the model thinks that the mask of each prompt or instance fits, where it says so."""
    kind: MatteKind | None = None
    """How soft this matte is, where that is not what the card says."""


class Model(ABC):
    """Anything that a card names, loaded. Safe to share between threads: one runs at a time."""

    def __init__(self, card: ModelCard, device: str) -> None:
        """Keep what every model needs; adapters load their network in ``load``.

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
        """Build the model.

        Args:
            card: The model's card.
            weights: The verified local file, None for a model that needs no download.
            device: A resolved device.

        Returns:
            A model that is ready to run.

        Raises:
            CheckpointError: The file's tensors do not fit the network.
        """

    def _run_alone[Outcome](self, work: Callable[[], Outcome]) -> Outcome:
        """Do something with the lock held; memory that does not suffice is told as such."""
        with self._lock:
            try:
                return work()
            except ArenaError:
                raise
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
        # Not chained: the frames of the failed pass hold its tensors for as long as somebody keeps the error.
        raise out_of_memory(self.card, self.device)


class Segmenter(Model):
    """A model with a matte as its answer: photo in, matte out."""

    prompts: ClassVar[frozenset[str]] = frozenset()
    """Names of the keyword arguments that ``segment`` takes beside the photo."""

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
        self.check_told(self.card, prompts)
        prediction = self._run_alone(lambda: self._predict(photo, **prompts))
        if prediction.alpha.shape != photo.rgb.shape[:2] or not np.isfinite(prediction.alpha.max()):
            # A matte of NaN would look like a photo without anybody in it.
            raise UnexpectedError(
                f"{self.card.label} gave no usable matte on {self.device}.", "Try the CPU, or another model."
            )
        alpha = np.ascontiguousarray(np.clip(prediction.alpha, 0.0, 1.0), dtype=np.float32)
        return Matte(
            alpha=alpha,
            kind=prediction.kind or self.card.mask_kind,
            model=self.card.key,
            seconds=prediction.seconds,
            device=self.device,
            presence_threshold=self.card.presence_threshold,
            notes=prediction.notes,
            peak=prediction.peak,
            scores=prediction.scores,
        )

    @classmethod
    def check_told(cls, card: ModelCard, prompts: Mapping[str, Any]) -> None:
        """See that a model of this class takes what it is told; it need not be loaded for that.

        Args:
            card: Its card.
            prompts: What :meth:`segment` is to be given beside the photo.

        Raises:
            OptionError: One of them means nothing to it.
        """
        unknown = sorted(set(prompts) - cls.prompts)
        if unknown:
            takes = ", ".join(sorted(cls.prompts)) or "nothing beside the photo"
            raise OptionError(f"{card.label} cannot be told {', '.join(unknown)}.", f"It takes {takes}.")


def needed(card: ModelCard, weights: Path | None) -> Path:
    """The file of a model that has weights.

    Args:
        card: The model's card.
        weights: Its verified file, or None.

    Returns:
        The file.

    Raises:
        OptionError: There is none.
    """
    if weights is None:
        raise OptionError(f"{card.label} needs a file of weights.")
    return weights


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that a device's memory is exhausted.

    PyTorch has a class of its own for CUDA and MPS only; its CPU allocator raises a plain RuntimeError.
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error)
    return any(sign in text for sign in _SIGNS_OF_EXHAUSTION)


def out_of_memory(card: ModelCard, device: str) -> OutOfMemoryError:
    """The error for a model that did not fit, with what to try instead.

    Args:
        card: The model's card.
        device: A resolved device.

    Returns:
        The error.
    """
    place = "this computer" if device == "cpu" else "the graphics card"
    if card.task is Task.TRIMAP:
        return OutOfMemoryError(
            f"{card.label} needs more memory than {place} has free.",
            "Close other programs, leave the matting out, or run the model whose edge it solves on the CPU.",
        )
    smaller = [label for label in _SMALL_MODELS if label != card.label]
    advice = ["Close other programs", f"or choose a smaller model: {' or '.join(smaller)}"]
    if card.input_size.side is None and card.needs_download:
        advice.insert(1, "take a smaller photo")
    if device != "cpu":
        advice.insert(-1, "choose CPU as the device")
    return OutOfMemoryError(f"{card.label} needs more memory than {place} has free.", f"{', '.join(advice)}.")
