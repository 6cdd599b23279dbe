"""Pictures whose truth is a stripe at the left, and models that give stripes: every score is known beforehand."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from PIL import Image

from arena.catalog import Task
from arena.models.base import Prediction, Segmenter
from tests.fakes import make_card

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from arena.catalog import ModelCard
    from arena.photo import Photo

HEIGHT, WIDTH = 60, 100


def stripe(columns: int) -> NDArray[np.float32]:
    """Alpha of the leftmost columns."""
    alpha = np.zeros((HEIGHT, WIDTH), np.float32)
    alpha[:, :columns] = 1
    return alpha


def write_pictures(folder: Path, **columns: int) -> Path:
    """A folder of photos and masks: for each name the width of its stripe in columns."""
    for part in ("photos", "masks"):
        (folder / part).mkdir(parents=True)
    for name, width in columns.items():
        # The level of grey says which picture it is.
        Image.new("RGB", (WIDTH, HEIGHT), (width, width, width)).save(folder / "photos" / f"{name}.png")
        Image.fromarray(stripe(width) > 0).save(folder / "masks" / f"{name}.png")
    return folder


class StripeSegmenter(Segmenter):
    """Gives as many columns as its key or its file says."""

    seen: ClassVar[list[tuple[str, str]]] = []
    """Model and photo of every call."""

    def __init__(self, card: ModelCard, device: str, columns: int) -> None:
        super().__init__(card, device)
        self.columns = columns

    @classmethod
    def load(cls, card: ModelCard, weights: Path | None, device: str) -> Self:
        return cls(card, device, int(card.key.rpartition("-")[2] if weights is None else weights.read_text()))

    def _predict(self, photo: Photo, **prompts: Any) -> Prediction:
        StripeSegmenter.seen.append((self.card.key, photo.name))
        return Prediction(stripe(self.columns)[: photo.height], seconds=0.5)


class PickySegmenter(StripeSegmenter):
    """Stops at every photo called ``b``."""

    failure: ClassVar[type[BaseException]] = ZeroDivisionError

    def _predict(self, photo: Photo, **prompts: Any) -> Prediction:
        if photo.name == "b":
            raise PickySegmenter.failure("not this one")
        return super()._predict(photo, **prompts)


class SoftSegmenter(StripeSegmenter):
    """Sees nothing any more where it is to follow hair."""

    prompts = frozenset({"hair"})

    def _predict(self, photo: Photo, **prompts: Any) -> Prediction:
        prediction = super()._predict(photo)
        return dataclasses.replace(prediction, alpha=prediction.alpha * 0) if prompts.get("hair") else prediction


class BoxedSegmenter(StripeSegmenter):
    """Fills the boxes that it is told."""

    prompts = frozenset({"boxes"})

    def _predict(self, photo: Photo, **prompts: Any) -> Prediction:
        alpha = np.zeros(photo.rgb.shape[:2], np.float32)
        for left, top, right, bottom in np.rint(prompts["boxes"]).astype(int):
            alpha[top:bottom, left:right] = 1
        return Prediction(alpha, seconds=0.5)


def stripe_cards() -> list[ModelCard]:
    """Cards of these models."""
    cards = [
        (make_card("stripe-50", ""), StripeSegmenter),
        (make_card("stripe-40", ""), StripeSegmenter),
        (make_card("stripe-0", ""), StripeSegmenter),
        (make_card("picky-50", ""), PickySegmenter),
        (make_card("soft-50", "", hair_prompt=True), SoftSegmenter),
        (make_card("boxed-0", "", task=Task.PROMPTED, box_prompt=True), BoxedSegmenter),
        (make_card("depth-0", "", task=Task.DEPTH), StripeSegmenter),
    ]
    return [dataclasses.replace(card, adapter=f"tests.stripes:{kind.__name__}") for card, kind in cards]
