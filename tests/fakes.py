"""Segmenters that behave as a test wants them to, and cards that name them."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from arena.catalog import ModelCard, Task
from arena.errors import ArenaError, CheckpointError
from arena.matte import MatteKind
from arena.models.base import Prediction, Segmenter
from arena.models.depth import Depth, DepthEstimator
from arena.models.vitmatte import MattingNetwork
from arena.prompts import scores_in_words

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from arena.photo import Photo


def make_card(key: str, adapter: str, **fields: Any) -> ModelCard:
    """A card with everything that a card must have."""
    values: dict[str, Any] = {
        "label": key.title(),
        "family": "fake",
        "task": Task.PORTRAIT,
        "summary": "For tests.",
        "training_data": "none",
        "licence": "CC0",
        "commercial": True,
        "mask_kind": MatteKind.ALPHA,
    }
    return ModelCard(key=key, adapter=f"tests.fakes:{adapter}" if adapter else "", **(values | fields))


def disc(height: int, width: int) -> NDArray[np.float32]:
    """Alpha of a soft disc in the middle."""
    rows, columns = np.mgrid[:height, :width]
    distance = np.hypot(rows - (height - 1) / 2, columns - (width - 1) / 2)
    alpha: NDArray[np.float32] = np.clip(min(height, width) / 3 - distance, 0, 1).astype(np.float32)
    return alpha


class DiscSegmenter(Segmenter):
    """Finds a disc in the middle of every photo."""

    prompts = frozenset({"hair"})
    loads = 0
    counter = threading.Lock()

    @classmethod
    def load(cls, card: ModelCard, weights: Path | None, device: str) -> Self:
        with DiscSegmenter.counter:
            DiscSegmenter.loads += 1
        time.sleep(0.02)
        return cls(card, device)

    def _predict(self, photo: Photo, **prompts: Any) -> Prediction:
        note = "A disc with hair." if prompts.get("hair") else "A disc."
        return Prediction(disc(photo.height, photo.width), seconds=0.25, notes=(note,))


class EmptySegmenter(DiscSegmenter):
    """Finds nobody, wherever it is told to look."""

    prompts = frozenset({"boxes"})

    def _predict(self, photo: Photo, **prompts: Any) -> Prediction:
        return Prediction(np.full((photo.height, photo.width), 0.05, np.float32), seconds=0.1)


class BrokenSegmenter(DiscSegmenter):
    """Stops with an exception that no one foresaw."""

    prompts = frozenset({"boxes"})

    def _predict(self, photo: Photo, **prompts: Any) -> Prediction:
        raise ZeroDivisionError("a fault of the program")


class HungrySegmenter(DiscSegmenter):
    """Runs out of memory as PyTorch's CPU allocator says it."""

    def _predict(self, photo: Photo, **prompts: Any) -> Prediction:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")


class UnloadableSegmenter(DiscSegmenter):
    """Its weights do not fit."""

    @classmethod
    def load(cls, card: ModelCard, weights: Path | None, device: str) -> Self:
        raise CheckpointError("The tensors do not fit.", "Fetch it again.")


class PromptedSegmenter(DiscSegmenter):
    """Takes a text and says which."""

    prompts = frozenset({"prompt"})

    def _predict(self, photo: Photo, **prompts: Any) -> Prediction:
        return Prediction(disc(photo.height, photo.width), seconds=0.2, notes=(f"Looked for {prompts['prompt']}.",))


class SlowSegmenter(DiscSegmenter):
    """Waits until the test lets it go on."""

    gate = threading.Event()

    def _predict(self, photo: Photo, **prompts: Any) -> Prediction:
        # Long, for a page's reruns lie between: on a busy machine seconds each.
        SlowSegmenter.gate.wait(300)
        return Prediction(disc(photo.height, photo.width), seconds=0.3)


class RampEstimator(DepthEstimator):
    """Finds everything the nearer the lower it is in the photo."""

    failure: ArenaError | None = None

    @classmethod
    def load(cls, card: ModelCard, weights: Path | None, device: str) -> Self:
        return cls(card, device, None)  # type: ignore[arg-type]

    def _estimate(self, photo: Photo) -> Depth:
        if RampEstimator.failure is not None:
            raise RampEstimator.failure
        rows = -(-photo.height // 2)
        return Depth(np.linspace(0, 1, rows, dtype=np.float32)[:, None].repeat(-(-photo.width // 2), axis=1), 0.2)


class HalfNetwork(MattingNetwork):
    """Finds half of everything where the trimap leaves it open."""

    loads = 0

    @classmethod
    def load(cls, card: ModelCard, weights: Path | None, device: str) -> Self:
        HalfNetwork.loads += 1
        return cls(card, device, None)  # type: ignore[arg-type]

    def _solve(self, photo: NDArray[np.float64], trimap: NDArray[np.float64]) -> NDArray[np.float64]:
        return trimap


class BoxSegmenter(DiscSegmenter):
    """Fills its boxes, and small discs about its points; told to follow hair, softly."""

    prompts = frozenset({"boxes", "points", "labels", "hair"})

    def _predict(self, photo: Photo, **prompts: Any) -> Prediction:
        alpha = np.zeros((photo.height, photo.width), np.float32)
        boxes = prompts.get("boxes", ())
        for left, top, right, bottom in (map(int, box) for box in boxes):
            alpha[top:bottom, left:right] = 1
        rows, columns = np.mgrid[: photo.height, : photo.width]
        for (x, y), label in zip(prompts.get("points", ()), prompts.get("labels", ()), strict=True):
            alpha[np.hypot(columns - x, rows - y) < 10] = label
        if prompts.get("hair"):
            alpha *= np.float32(0.5)
        scores = [0.9 + number / 100 for number in range(max(1, len(boxes)))]
        return Prediction(alpha, seconds=0.15, notes=(scores_in_words(scores, len(boxes)),))
