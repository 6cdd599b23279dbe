"""The recipe of Remback: SAM, tuned to outline the person in a box.

Most of the image encoder is frozen; its last blocks, the prompt encoder and the mask decoder are trained, on cross
entropy, overlap (Dice) and agreement of the outlines. The weights that come out have SAM's own names and shapes.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from arena.errors import OptionError
from arena.metrics import iou
from arena.models.sam import MASK_SCALE, MASK_THRESHOLD, photo_logits
from arena.nets.sam import config_of, load_sam
from arena.parallel import on_all_cores
from arena.training.augment import MIRRORED, UNCHANGED, AugmentSettings, Change
from arena.training.features import CachedBatch, FeatureCache
from arena.training.losses import boundary_loss, dice_loss
from arena.training.pictures import check_fraction, read_truth
from arena.training.sam_net import Prompts, first_blocks, freeze, last_blocks, mask_logits
from arena.training.sam_views import SamBatch, inside_of, jitter, make_view, prepare
from arena.weights import load_tensors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from transformers.models.sam import SamVisionConfig

    from arena.nets.sam import Sam
    from arena.training.sam_views import Picture
    from arena.training.trainer import Batch

_SMOOTH_SHARE = 1 / 1024
"""Of a mask's pixels: the constant of the overlaps."""


@dataclass(frozen=True, slots=True)
class LossWeights:
    """How much each part of the loss counts; Remback's."""

    cross_entropy: float = 0.35
    dice: float = 0.35
    boundary: float = 0.30

    def __post_init__(self) -> None:
        parts = (self.cross_entropy, self.dice, self.boundary)
        if min(parts) < 0 or not any(parts):
            raise OptionError(f"The weights of the loss are {parts}: none may be negative, nor all of them 0.")


@dataclass(frozen=True, slots=True)
class SamSettings:
    """What of the recipe can be told."""

    seed: int = 0
    batch: int = 4
    trained_blocks: int = 3
    """How many of the image encoder's last blocks are trained, with the neck behind them; 0 freezes all of it. With all
    blocks its patches and positions are trained too."""
    jitter: float = 0.1
    """How far each edge of a box is moved at most, as a share of the box's side."""
    cached_views: int = 0
    """Above 0: each picture has that many views, and what the frozen blocks make of them is kept on disk. 1 is the
    picture as it is, 2 its mirror image too, more are made up."""
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    loss: LossWeights = field(default_factory=LossWeights)

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise OptionError(f"A batch of {self.batch} pictures is not at least one.")
        for name in ("trained_blocks", "cached_views", "seed"):
            if getattr(self, name) < 0:
                raise OptionError(f"{name} is {getattr(self, name)}: it must not be negative.")
        check_fraction("jitter", self.jitter)


class SamRecipe:
    """Trains SAM on pictures that are read as they are needed."""

    def __init__(
        self,
        training: Sequence[Picture],
        validation: Sequence[Picture],
        checkpoint: Path,
        settings: SamSettings | None = None,
    ) -> None:
        """Look at the weights.

        Args:
            training: What is learned from.
            validation: What scores are taken on; no picture of ``training``.
            checkpoint: The weights to begin with, in segment-anything's or transformers' layout. They say which SAM it
                is.
            settings: The recipe's numbers.

        Raises:
            CheckpointError: The file is no SAM.
        """
        self.training, self.validation = list(training), list(validation)
        self.checkpoint = checkpoint
        self.settings = settings or SamSettings()
        config = config_of(load_tensors(checkpoint))
        self.side = cast("int", cast("SamVisionConfig", config.vision_config).image_size)
        """Of the network's input, in pixels."""
        everything = self.training + self.validation
        self._points = max((len(picture.prompt.points) for picture in everything), default=0)
        self._cache: FeatureCache | None = None

    def build(self) -> Sam:
        """The network with the weights of the checkpoint, its parts frozen as the settings say.

        Raises:
            CheckpointError: The file lacks tensors, or has others.
            OptionError: The encoder has fewer blocks than are to be trained.
        """
        # Copied, because the file's tensors are mapped from it.
        state = {name: tensor.clone() for name, tensor in load_tensors(self.checkpoint).items()}
        return freeze(load_sam(state), self.settings.trained_blocks)

    def keep_features(self, folder: Path, device: str, report: Callable[[int, int], None] | None = None) -> None:
        """Run the frozen blocks once on all views of all pictures, and take batches from there from now on.

        Args:
            folder: Where the features are kept; those of the same pictures and settings are not made again.
            device: A resolved device.
            report: Told how many of how many are done.
        """
        views = self.settings.cached_views
        changes = [
            (index, self._fixed_change(index, view)) for index in range(len(self.training)) for view in range(views)
        ]
        rows = [partial(self._view, self.training[index], change) for index, change in changes]
        rows += [partial(self._view, picture, UNCHANGED) for picture in self.validation]
        cache = FeatureCache(folder, len(rows), self._identity())
        net = self.build()
        cast("nn.Module", net).to(device).eval()
        cache.fill(net, self.settings.trained_blocks, rows, report and (lambda done: report(done, len(rows))))
        self._cache = cache

    def batch(self, step: int, part: int = 0, parts: int = 1) -> Batch:
        """The pictures of a step; each has a random generator of its own.

        Args:
            step: Which batch.
            part: Which of its parts.
            parts: Into how many it is divided.

        Returns:
            A :class:`SamBatch`, or with features kept a :class:`CachedBatch`.
        """
        numbers = range(part, self.settings.batch, parts)
        rows: list[tuple[Tensor, ...]] = [()] * len(numbers)

        def fill(place: int) -> None:
            number = numbers[place]
            chance = np.random.default_rng([self.settings.seed, step, number])
            which = self._which(step * self.settings.batch + number)
            rows[place] = self._row(which, chance)

        on_all_cores(fill, range(len(numbers)))
        return tuple(torch.stack(column) for column in zip(*rows, strict=True))

    def loss(self, net: nn.Module, batch: Batch) -> Tensor:
        """Cross entropy, overlap and agreement of outlines, at the size of SAM's own masks; padding does not count.

        Args:
            net: A SAM.
            batch: What :meth:`batch` gave.

        Returns:
            The scalar.
        """
        sam = cast("Sam", net)
        hidden, truth = self._first_half(sam, batch)
        sizes, *prompts = batch[-4:]
        embedding = last_blocks(sam, hidden, self.settings.trained_blocks)
        # Half precision cannot tell neighbouring pixels of a prompt apart, and saves nothing behind the encoder.
        with torch.autocast(embedding.device.type, enabled=False):
            logits = mask_logits(sam, embedding.float(), Prompts(*prompts))
            inside = inside_of(sizes // MASK_SCALE, logits.shape[-1])
            return mask_loss(logits, truth, inside, self.settings.loss)

    def validate(self, net: nn.Module) -> dict[str, float]:
        """Intersection over union on pictures that are not learned from, at their own size.

        Args:
            net: A SAM in evaluation mode.

        Returns:
            Mean, median and tenth percentile.
        """
        overlaps = [self._overlap(cast("Sam", net), index) for index in range(len(self.validation))]
        return {
            "iou": float(np.mean(overlaps)),
            "iou_median": float(np.median(overlaps)),
            "iou_p10": float(np.percentile(overlaps, 10)),
        }

    def _first_half(self, sam: Sam, batch: Batch) -> tuple[Tensor, Tensor]:
        """What the frozen blocks make of a batch, and its truth."""
        if self._cache:
            cached = CachedBatch(*batch)
            return cached.features.float(), cached.truths.float() / 255
        pixels, truth = prepare(SamBatch(*batch))
        return first_blocks(sam, pixels, self.settings.trained_blocks), truth

    def _overlap(self, sam: Sam, index: int) -> float:
        picture = self.validation[index]
        row: tuple[Tensor, ...]
        if self._cache:
            row = self._cache[len(self.training) * self.settings.cached_views + index]
        else:
            row = self._view(picture, UNCHANGED)
        batch = tuple(part[None].to(sam.device) for part in row)
        hidden, _ = self._first_half(sam, batch)
        embedding = last_blocks(sam, hidden, self.settings.trained_blocks)
        low_res = mask_logits(sam, embedding, Prompts(*batch[-3:]))
        truth = read_truth(picture.mask) > 0.5
        height, width = batch[-4][0].tolist()
        mask = photo_logits(low_res, (height, width), *truth.shape)[0] > MASK_THRESHOLD
        return iou(mask.cpu().numpy(), truth)

    def _which(self, place: int) -> int:
        """The picture at a place of the endless row in which every epoch has an order of its own."""
        epoch, at = divmod(place, len(self.training))
        return int(np.random.default_rng([self.settings.seed, epoch]).permutation(len(self.training))[at])

    def _row(self, which: int, chance: np.random.Generator) -> tuple[Tensor, ...]:
        row: SamBatch | CachedBatch
        if self._cache:
            row = self._cache[which * self.settings.cached_views + int(chance.integers(self.settings.cached_views))]
        else:
            row = self._view(self.training[which], Change.draw(chance, self.settings.augment))
        return row._replace(boxes=jitter(row.boxes, row.sizes, self.settings.jitter, chance))

    def _view(self, picture: Picture, change: Change) -> SamBatch:
        return make_view(picture, change, self.side, self._points)

    def _fixed_change(self, index: int, view: int) -> Change:
        """What is done to a picture in one of its views that stay the same throughout a run."""
        if view < 2:
            return (UNCHANGED, MIRRORED)[view]
        return Change.draw(np.random.default_rng([self.settings.seed, index, view]), self.settings.augment)

    def _identity(self) -> str:
        """What the cache's contents depend on, in short."""
        digest = hashlib.blake2b(self.checkpoint.read_bytes(), digest_size=16)
        pictures = self.training + self.validation
        files = [(path, path.stat().st_mtime_ns) for picture in pictures for path in (picture.photo, picture.mask)]
        digest.update(repr([asdict(self.settings), pictures, len(self.validation), files]).encode())
        return digest.hexdigest()


def mask_loss(logits: Tensor, truth: Tensor, inside: Tensor, weights: LossWeights) -> Tensor:
    """The three parts of the loss.

    Args:
        logits: float32, N x 1 x s x s.
        truth: float32, N x 1 x s x s, 0 to 1.
        inside: float32, N x 1 x s x s: 1 where the picture is, 0 where it was padded.
        weights: How much each part counts.

    Returns:
        The scalar, a mean over the pictures.
    """
    smooth = _SMOOTH_SHARE * logits.shape[-1] ** 2
    alpha = logits.sigmoid()
    counted = inside / inside.mean(dim=(1, 2, 3), keepdim=True)
    return (
        weights.cross_entropy * F.binary_cross_entropy_with_logits(logits, truth, counted)
        + weights.dice * dice_loss(alpha * inside, truth * inside, smooth)
        + weights.boundary * boundary_loss(alpha, truth, inside, smooth)
    )
