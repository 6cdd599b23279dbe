"""Remback around a SAM that draws what a test wants, and the card that names it."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from PIL import Image

from arena.catalog import get_card
from arena.models.remback import RembackSegmenter
from arena.photo import Photo
from arena.samples import get_sample

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from arena.catalog import ModelCard

    Pixels = NDArray[np.uint8]

PUBLISHED = get_card("remback")
"""The catalog's own card, which tests replace."""

INSIDE, OUTSIDE = 4.0, -4.0
"""Logits of the person and of what is not."""


class BoxSam:
    """Sees a person in all of every box it is asked about, and a speck in the photo's upper left corner."""

    def __init__(self, inside: float = INSIDE) -> None:
        self.inside = inside
        self.encoded: list[Photo] = []
        self.asked: list[list[float]] = []

    def encode(self, photo: Photo) -> float:
        self.encoded.append(photo)
        return 0.5

    def ask(self, boxes: NDArray[np.float32]) -> SimpleNamespace:
        photo = self.encoded[-1]
        logits = np.full((len(boxes), photo.height, photo.width), OUTSIDE, np.float32)
        for number, box in enumerate(boxes):
            self.asked.append(box.tolist())
            x0, y0, x1, y1 = (round(float(edge)) for edge in box)
            logits[number, y0:y1, x0:x1] = self.inside
        logits[:, :7, :7] = self.inside
        return SimpleNamespace(logits=torch.from_numpy(logits), scores=torch.full((len(boxes),), 0.9), seconds=0.25)


class BoxRemback(RembackSegmenter):
    """Remback around it."""

    loads = 0

    @classmethod
    def load(cls, card: ModelCard, weights: Path | None, device: str) -> Self:
        BoxRemback.loads += 1
        sam: Any = BoxSam()
        return cls(card, device, sam)

    @property
    def sam(self) -> BoxSam:
        """What was asked of it."""
        fake: Any = self.predictor
        assert isinstance(fake, BoxSam)
        return fake


class BlindRemback(BoxRemback):
    """Its SAM sees nobody in any box."""

    @classmethod
    def load(cls, card: ModelCard, weights: Path | None, device: str) -> Self:
        sam: Any = BoxSam(OUTSIDE)
        return cls(card, device, sam)


def remback_card(adapter: str = "BoxRemback") -> ModelCard:
    """The catalog's card, in the box and with another adapter."""
    return dataclasses.replace(PUBLISHED, adapter=f"{__name__}:{adapter}", repository="", file="", bytes=0)


def portrait(key: str = "astronaut", side: int = 256) -> Pixels:
    """A bundled portrait, squared and shrunk: uint8, side x side x 3."""
    rgb = Photo.open(get_sample(key).path).rgb
    square = rgb[: min(rgb.shape[:2]), : min(rgb.shape[:2])]
    return np.asarray(Image.fromarray(square).resize((side, side), Image.Resampling.BOX))


def two_people() -> Pixels:
    """Two portraits beside each other, the left one larger: uint8, 256 x 460 x 3."""
    picture = np.full((256, 460, 3), 90, np.uint8)
    picture[:, :256] = portrait("grace-hopper")
    picture[56:, 260:] = portrait("astronaut", 200)
    return picture


def nobody() -> Pixels:
    """A picture without a face."""
    rows, columns = np.mgrid[:120, :160]
    return np.stack([rows, columns, rows + columns], axis=2).astype(np.uint8)
