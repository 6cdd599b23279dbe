"""The recipe of Arena Lite: which pictures, which losses, which scores."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from arena.metrics import iou
from arena.models.lite_input import to_input
from arena.models.torch_base import normalise
from arena.nets.lite import MULTIPLE, LiteNet
from arena.training.losses import dice_loss
from arena.training.pictures import Sample, upper_body
from arena.training.views import Source, Views, ViewSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from arena.training.trainer import Batch

SIDE = 256
"""Square root of about the area of a view, in pixels."""
SHAPES = ((256, 256), (224, 288), (288, 224), (192, 352), (320, 192))
"""Height and width of a batch's views, one shape a batch: photographs are not square."""
_SIDE_WEIGHT = 0.3
"""Of the loss of the coarse logits halfway up."""
_EDGE_WEIGHT = 2.0
"""How much more a pixel next to the outline counts."""


@dataclass(frozen=True, slots=True)
class LiteSettings:
    """What of the recipe can be told."""

    seed: int = 0
    batch: int = 16
    large: float = 1.0
    """Sides of the views, as a multiple of ``SHAPES``."""
    weights: str = ""
    """A checkpoint's averaged weights to begin with; empty begins from nothing."""
    views: ViewSettings = field(default_factory=ViewSettings)


def averaged(checkpoint: Path) -> LiteNet:
    """The averaged network of a trainer's checkpoint.

    Args:
        checkpoint: The file.

    Returns:
        The network on the CPU.
    """
    net = LiteNet(deep_supervision=True)
    net.load_state_dict(torch.load(checkpoint, map_location="cpu", weights_only=True)["average"])
    return net


class LiteRecipe:
    """Trains :class:`LiteNet` on views of samples."""

    def __init__(
        self, training: Sequence[Source], validation: Sequence[Sample], settings: LiteSettings | None = None
    ) -> None:
        """Keep the samples.

        Args:
            training: What views are made of.
            validation: What scores are taken on; no sample of ``training``.
            settings: The recipe's numbers.
        """
        self.settings = settings or LiteSettings()
        self.views = Views(training, self.settings.views)
        self.validation = [upper_body(sample) for sample in validation]

    def build(self) -> nn.Module:
        """A network with random weights, or those of ``settings.weights``."""
        net = averaged(Path(self.settings.weights)) if self.settings.weights else LiteNet(deep_supervision=True)
        return net.to(memory_format=torch.channels_last)

    def batch(self, step: int, part: int = 0, parts: int = 1) -> Batch:
        """Views and their mattes; every view has a random generator of its own.

        Args:
            step: Which batch.
            part: Which of its parts.
            parts: Into how many it is divided.

        Returns:
            float32: views, N x 3 x H x W from -0.5 to 0.5; mattes, N x 1 x H x W from 0 to 1; and how much each pixel
            counts, N x 1 x H x W.
        """
        chance = np.random.default_rng([self.settings.seed, step])
        height, width = (
            round(side * self.settings.large / MULTIPLE) * MULTIPLE for side in SHAPES[chance.integers(len(SHAPES))]
        )
        pairs = [
            self.views(np.random.default_rng([self.settings.seed, step, index]), height, width)
            for index in range(part, self.settings.batch, parts)
        ]
        inputs = torch.cat([normalise(rgb) for rgb, _ in pairs])
        alphas = torch.from_numpy(np.stack([alpha for _, alpha in pairs]))[:, None]
        weights = torch.from_numpy(np.stack([edge_weight(alpha) for _, alpha in pairs]))[:, None]
        return inputs.contiguous(memory_format=torch.channels_last), alphas, weights

    def loss(self, net: nn.Module, batch: Batch) -> Tensor:
        """Cross entropy that minds the outline, and the overlap (Dice) of each picture.

        Args:
            net: A :class:`LiteNet`.
            batch: Views, mattes and weights.

        Returns:
            The scalar.
        """
        inputs, alpha, weight = batch
        logits, side = (part.float() for part in cast("LiteNet", net).forward_with_side(inputs))
        cross_entropy = F.binary_cross_entropy_with_logits(logits, alpha, weight)
        coarse = F.interpolate(alpha, scale_factor=1 / 8, mode="area")
        return (
            cross_entropy
            + dice_loss(logits.sigmoid(), alpha)
            + _SIDE_WEIGHT * F.binary_cross_entropy_with_logits(side, coarse)
        )

    def validate(self, net: nn.Module) -> dict[str, float]:
        """Intersection over union on upper bodies the network has not seen, at the photographs' own size.

        Args:
            net: The network, in evaluation mode.

        Returns:
            Mean, median and tenth percentile of the IoU, and the mean absolute difference of alpha.
        """
        device = next(net.parameters()).device
        overlaps, differences = [], []
        for rgb, truth in self.validation:
            alpha = predict(net, rgb, device, round(SIDE * self.settings.large))
            full = cv2.resize(alpha, rgb.shape[1::-1], interpolation=cv2.INTER_LINEAR)
            overlaps.append(iou(full > 0.5, truth > 127))
            differences.append(float(np.abs(full - truth / 255).mean()))
        return {
            "iou": float(np.mean(overlaps)),
            "iou_median": float(np.median(overlaps)),
            "iou_p10": float(np.percentile(overlaps, 10)),
            "mad": float(np.mean(differences)),
        }


def relabel(
    net: nn.Module, samples: Iterable[Sample], least: float, device: torch.device
) -> tuple[list[Sample], list[str]]:
    """Complete masks that lack a garment or a bag by what a trained network sees there (self-training).

    Args:
        net: A :class:`LiteNet` in evaluation mode.
        samples: Pictures whose masks lack something.
        least: Pictures are used only if mask and network agree so far, in IoU: else nobody knows which is wrong.
        device: Where the network lies.

    Returns:
        Samples with the union of both, and the names of those left out with the IoU.
    """
    kept, dropped = [], []
    for sample in samples:
        small = predict(net, sample.rgb, device)
        seen = np.asarray(cv2.resize(small, sample.rgb.shape[1::-1], interpolation=cv2.INTER_LINEAR)) > 0.5
        mask = sample.alpha > 127
        agreement = iou(seen, mask)
        if agreement < least:
            dropped.append(f"{sample.name}: IoU {agreement:.2f} between mask and network")
        else:
            kept.append(Sample.from_arrays(sample.name, sample.rgb, (seen | mask).astype(np.uint8) * np.uint8(255)))
    return kept, dropped


def edge_weight(alpha: NDArray[np.float32]) -> NDArray[np.float32]:
    """How much each pixel counts: more where the outline is near, which is a small part of the picture and all of it.

    Args:
        alpha: float32, H x W, 0 to 1.

    Returns:
        float32, H x W: 1 far from the outline, 3 at it.
    """
    near = np.ones((7, 7), np.uint8)
    spread = np.asarray(cv2.dilate(alpha, near), np.float32) - np.asarray(cv2.erode(alpha, near), np.float32)
    return np.asarray(1 + _EDGE_WEIGHT * spread, dtype=np.float32)


def predict(net: nn.Module, rgb: NDArray[np.uint8], device: torch.device, side: int = SIDE) -> NDArray[np.float32]:
    """Run the network at about the area it was trained at.

    Args:
        net: A :class:`LiteNet` in evaluation mode.
        rgb: uint8, H x W x 3.
        device: Where the network lies.
        side: Square root of the input's area, in pixels.

    Returns:
        float32, h x w, 0 to 1, of the network's input size.
    """
    logits: Tensor = net(to_input(rgb, side).to(device))
    return np.asarray(logits.float().sigmoid()[0, 0].cpu().numpy(), dtype=np.float32)
