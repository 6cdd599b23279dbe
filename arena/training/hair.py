"""The recipe of the hair refiner: mattes made as coarse as SAM's masks, and the photo that tells what they were."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, cast

import cv2
import kornia.filters
import numpy as np
import torch
from torch import Tensor, nn

from arena.errors import OptionError
from arena.metrics import gradient_error, mad
from arena.models.hair import SIDE, HairRefiner, near_outline
from arena.models.sam import MASK_SCALE
from arena.models.torch_base import normalise
from arena.nets.hair import MULTIPLE, HairNet
from arena.photo import size_within
from arena.refine.foreground import estimate_foreground
from arena.training.pictures import DataError, Sample, check_fraction, side_strips
from arena.training.views import relight

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.random import Generator
    from numpy.typing import NDArray

    from arena.training.trainer import Batch

    FloatArray = NDArray[np.float32]
    Pixels = NDArray[np.uint8]

SOFT_SHARE = 0.002
"""A matte of which less is neither clear nor opaque has no hair to learn from."""
_SLOPE_WEIGHT = 1.0
"""Of differences in how steep alpha is, against those of alpha itself."""


@dataclass(frozen=True, slots=True)
class HairSettings:
    """What of the recipe can be told."""

    seed: int = 0
    batch: int = 6
    side: int = 160
    """Of a view, in pixels; even."""
    exchange: float = 0.6
    """Probability of another background."""
    leave_out: tuple[str, ...] = ()
    """Names that are not learned from but scored: for cross-validation. Empty scores those that are learned from."""

    def __post_init__(self) -> None:
        if self.batch < 1 or self.side < 32 or self.side % MULTIPLE:
            raise OptionError("A batch is at least one view, and its side an even number of pixels from 32.")
        if self.seed < 0:
            raise OptionError(f"seed is {self.seed}: it must not be negative.")
        check_fraction("exchange", self.exchange)


class Subject(NamedTuple):
    """A picture taken apart, at the size at which the refiner works."""

    name: str
    rgb: Pixels
    """uint8, H x W x 3."""
    colours: Pixels
    """uint8, H x W x 3: the subject's own colours."""
    alpha: Pixels
    """uint8, H x W, 255 is the subject."""
    places: NDArray[np.intp]
    """N x 2: rows and columns of the soft pixels."""


class HairRecipe:
    """Trains :class:`HairNet` on views of mattes that are soft enough to have hair."""

    def __init__(self, samples: Sequence[Sample], settings: HairSettings | None = None) -> None:
        """Take the pictures apart.

        Args:
            samples: Pictures with mattes. Those that are hard give backgrounds only.
            settings: The recipe's numbers.

        Raises:
            DataError: None of them is soft.
        """
        self.settings = settings or HairSettings()
        left_out = set(self.settings.leave_out)
        soft = [take_apart(sample) for sample in samples if is_soft(sample)]
        self.training = [subject for subject in soft if subject.name not in left_out]
        self.validation = [subject for subject in soft if subject.name in left_out] or self.training
        # Copied, so that the pictures around the strips need not stay in memory.
        self.backgrounds = [strip.copy() for s in samples if s.name not in left_out for strip in side_strips(s)]
        if not self.training:
            raise DataError("None of the pictures has a soft matte to learn from.", "Masks do not do: they lack hair.")

    def build(self) -> nn.Module:
        """A network that changes nothing yet."""
        return HairNet().to(memory_format=torch.channels_last)

    def batch(self, step: int, part: int = 0, parts: int = 1) -> Batch:
        """Views, made coarse; every view has a random generator of its own.

        Args:
            step: Which batch.
            part: Which of its parts.
            parts: Into how many it is divided.

        Returns:
            float32: photos, N x 3 x S x S from -0.5 to 0.5; coarse logits, N x 1 x S x S; mattes, N x 1 x S x S from 0
            to 1; and how much the refiner decides of each pixel, N x 1 x S x S.
        """
        rows = []
        for index in range(part, self.settings.batch, parts):
            chance = np.random.default_rng([self.settings.seed, step, index])
            rgb, alpha = self._view(chance)
            logits = coarsen(alpha, chance)
            rows.append((normalise(rgb)[0], logits, alpha, near_outline((logits > 0).astype(np.float32))))
        pixels = torch.stack([row[0] for row in rows]).contiguous(memory_format=torch.channels_last)
        return pixels, *(torch.from_numpy(np.stack([row[i] for row in rows]))[:, None] for i in (1, 2, 3))

    def loss(self, net: nn.Module, batch: Batch) -> Tensor:
        """Mean difference of alpha and of its slopes, where the refiner decides.

        Args:
            net: A :class:`HairNet`.
            batch: Photos, logits, mattes and where they count.

        Returns:
            The scalar.
        """
        pixels, logits, truth, trust = batch
        alpha = net(pixels, logits).float().sigmoid()
        slopes = (kornia.filters.spatial_gradient(matte, normalized=True)[:, 0] for matte in (alpha, truth))
        steepness = (next(slopes) - next(slopes)).abs().sum(dim=1, keepdim=True)
        counted = trust / trust.sum().clamp_min(1)
        loss: Tensor = (((alpha - truth).abs() + _SLOPE_WEIGHT * steepness) * counted).sum()
        return loss

    def validate(self, net: nn.Module) -> dict[str, float]:
        """How much better whole pictures become.

        Args:
            net: A :class:`HairNet` in evaluation mode.

        Returns:
            The share of the coarse masks' absolute difference that is taken away; the difference that is left, and the
            gradient error.
        """
        # The trainer's average, which is frozen already and lies where it is to run.
        refiner = HairRefiner(cast("HairNet", net), str(next(net.parameters()).device))
        before, after, slopes = [], [], []
        for number, subject in enumerate(self.validation):
            truth = to_matte(subject.alpha)
            logits = coarsen(truth, np.random.default_rng([0, number]))
            alpha = refiner.refine_small(logits, subject.rgb)
            before.append(mad((logits > 0).astype(np.float32), truth))
            after.append(mad(alpha, truth))
            slopes.append(gradient_error(alpha, truth))
        return {
            "gain": 1 - float(np.mean(after)) / float(np.mean(before)),
            "mad": float(np.mean(after)),
            "gradient": float(np.mean(slopes)),
        }

    def _view(self, chance: Generator) -> tuple[Pixels, FloatArray]:
        """A part of a picture about a soft pixel, turned, scaled and lit, perhaps before another background."""
        side = self.settings.side
        subject = self.training[chance.integers(len(self.training))]
        row, column = subject.places[chance.integers(len(subject.places))] + chance.normal(0, side / 5, 2)
        angle, scale = chance.normal(0, 15), float(np.exp(chance.normal(0, 0.25)))
        turn = cv2.getRotationMatrix2D((float(column), float(row)), float(angle), scale)
        turn[:, 2] += np.array([side / 2 - column, side / 2 - row])
        if chance.random() < 0.5:
            turn[0] = -turn[0]
            turn[0, 2] += side - 1
        rgb, colours, alpha = (
            np.asarray(cv2.warpAffine(p, turn, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
            for p in (subject.rgb, subject.colours, subject.alpha)
        )
        matte = to_matte(alpha.astype(np.uint8))
        if self.backgrounds and chance.random() < self.settings.exchange:
            weight = matte[..., None]
            front = relight(chance, colours.astype(np.uint8)) if chance.random() < 0.5 else colours
            rgb = front * weight + self._background(chance) * (1 - weight) + 0.5
        picture = relight(chance, rgb.astype(np.uint8))
        if chance.random() < 0.3:
            noise = chance.normal(0, chance.uniform(1, 8), picture.shape)
            picture = np.clip(picture + noise, 0, 255).astype(np.uint8)
        return picture, matte

    def _background(self, chance: Generator) -> Pixels:
        side = self.settings.side
        strip = self.backgrounds[chance.integers(len(self.backgrounds))]
        length = min(*strip.shape[:2], int(side * chance.uniform(0.6, 2.0)))
        top, left = (int(chance.integers(extent - length + 1)) for extent in strip.shape[:2])
        part = strip[top : top + length, left : left + length]
        picture = np.asarray(cv2.resize(part, (side, side), interpolation=cv2.INTER_AREA), dtype=np.uint8)
        if chance.random() < 0.5:
            picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), chance.uniform(0.8, 6)), dtype=np.uint8)
        return picture


def is_soft(sample: Sample) -> bool:
    """Whether a matte has enough pixels that are neither clear nor opaque."""
    return bool(_soft(sample.alpha).mean() > SOFT_SHARE)


def _soft(alpha: Pixels) -> NDArray[np.bool_]:
    return (alpha > 12) & (alpha < 243)


def take_apart(sample: Sample) -> Subject:
    """Bring a picture to the refiner's size and find the subject's own colours.

    Args:
        sample: A picture with its matte.

    Returns:
        Its parts.
    """
    height, width = sample.alpha.shape
    size = size_within(height, width, SIDE)
    rgb, alpha = (
        np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        for part in (sample.rgb, sample.alpha)
    )
    colours = estimate_foreground(rgb, to_matte(alpha))
    return Subject(sample.name, rgb, colours, alpha, np.argwhere(_soft(alpha)))


def to_matte(alpha: Pixels) -> FloatArray:
    """Levels as shares: uint8 to float32, 0 to 1."""
    return (alpha / np.float32(255)).astype(np.float32)


def coarsen(alpha: FloatArray, chance: Generator) -> FloatArray:
    """What SAM would say of a matte: logits of a quarter of the size, smooth, a little off, solid where strands are.

    Args:
        alpha: float32, H x W of the refiner's size, 0 to 1.
        chance: Where all chance comes from.

    Returns:
        float32, H x W: logits, above 0 inside.
    """
    height, width = alpha.shape
    size = (max(1, width // MASK_SCALE), max(1, height // MASK_SCALE))
    small = np.asarray(cv2.resize(alpha, size, interpolation=cv2.INTER_AREA), dtype=np.float32)
    thickness = int(chance.integers(0, 3))
    if thickness:
        # Strands and gaps below a width are lost.
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * thickness + 1, 2 * thickness + 1))
        small = np.asarray(
            cv2.morphologyEx(small, cv2.MORPH_CLOSE if chance.random() < 0.4 else cv2.MORPH_OPEN, kernel)
        )
    small = np.asarray(cv2.GaussianBlur(small, (0, 0), chance.uniform(0.6, 1.6)), dtype=np.float32)
    grain = chance.standard_normal(small.shape).astype(np.float32)
    waves = np.asarray(cv2.GaussianBlur(grain, (0, 0), 3.0), dtype=np.float32)
    waves *= np.float32(chance.uniform(0, 0.2) / max(float(waves.std()), 1e-6))
    level = np.float32(chance.uniform(0.3, 0.7))
    logits = (small + waves * (small > 0.02) * (small < 0.98) - level) * np.float32(chance.uniform(10, 40))
    return np.asarray(cv2.resize(logits, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.float32)
