"""The networks that make a matte of a picture: Arena Lite, U²-Net, BiRefNet and RMBG, BEN2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from arena.catalog import InputSize
from arena.export.parts import SAMPLE, Axis, Part, Port
from arena.export.traceable import make_traceable
from arena.models.ben2 import BEN2Segmenter
from arena.models.birefnet import BiRefNetSegmenter
from arena.models.lite import CONTRAST, WEIGHTS, LiteSegmenter
from arena.models.pool import adapter_of
from arena.models.torch_base import IMAGENET_MEAN, IMAGENET_STD, Placement, normalise, to_input
from arena.models.u2net import U2NetSegmenter
from arena.nets.lite import MULTIPLE
from arena.photo import Photo
from arena.samples import get_sample

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from arena.catalog import ModelCard
    from arena.models.base import Segmenter
    from arena.models.torch_base import TorchSegmenter

    type Pixels = NDArray[np.uint8]
    type Size = tuple[int, int]
    """Height and width in pixels."""

LARGEST_BATCH = 64

LITE_SIDE = 320
"""Square root of the area, in pixels, for which Arena Lite's networks are exported: what they were trained at."""


@dataclass(frozen=True, slots=True)
class _Family:
    """What the networks of a family have in common."""

    to_pixels: Callable[[Pixels], Tensor]
    """A picture of the network's size to its input."""
    logits: bool
    """Whether a sigmoid follows."""
    normalisation: dict[str, str]
    """How samples from 0 to 255 become the input."""
    batches: bool = True
    """Whether it takes several pictures at once."""
    folds: bool = False
    """Whether all that the network's ``prepare()`` does is to fold normalisations away: then it is exported so."""
    usual: int = 1024
    """Side in pixels for which a file of free size is verified and timed."""
    free: InputSize | None = None
    """Sizes that the network takes although the card has one, at which it is usually run."""


def _to_pixels(adapter: type[TorchSegmenter], white: float | None = 255.0) -> Callable[[Pixels], Tensor]:
    def to_pixels(rgb: Pixels) -> Tensor:
        height, width = rgb.shape[:2]
        return to_input(rgb, Placement(width, height, width, height), adapter.resample, white=white)

    return to_pixels


_STEPS = "less the mean, divided by the deviation"
_IMAGENET = {"mean": ", ".join(map(str, IMAGENET_MEAN)), "std": ", ".join(map(str, IMAGENET_STD))}
_OF_255 = {"samples": f"divided by 255, {_STEPS}"}

_FAMILIES: dict[type[Segmenter], _Family] = {
    LiteSegmenter: _Family(
        normalise,
        logits=True,
        normalisation={**_OF_255, "mean": "0.5, 0.5, 0.5", "std": "1, 1, 1"},
        folds=True,
        usual=LITE_SIDE,
    ),
    U2NetSegmenter: _Family(
        _to_pixels(U2NetSegmenter, white=None),
        logits=False,
        normalisation={"samples": f"divided by the largest of the resized picture, {_STEPS}", **_IMAGENET},
        folds=True,
        free=InputSize(multiple=32, minimum=32, maximum=1024),
    ),
    BiRefNetSegmenter: _Family(_to_pixels(BiRefNetSegmenter), logits=True, normalisation={**_OF_255, **_IMAGENET}),
    BEN2Segmenter: _Family(
        _to_pixels(BEN2Segmenter), logits=False, normalisation={**_OF_255, **_IMAGENET}, batches=False
    ),
}


class AlphaNet(nn.Module):
    """A network whose logits have become alpha."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, pixels: Tensor) -> Tensor:
        """Normalised pixels in, alpha out: batch x 1 x height x width, 0 to 1."""
        logits: Tensor = self.net(pixels)
        return torch.sigmoid(logits)


def matting_part(card: ModelCard, weights: Path | None) -> Part:
    """The network of a model that makes a matte of a picture.

    Args:
        card: The model's card.
        weights: Its verified file; None for the one in the box.

    Returns:
        The part.

    Raises:
        CheckpointError: The file's tensors do not fit the network.
    """
    adapter = cast("type[TorchSegmenter]", adapter_of(card))
    family, path = _FAMILIES[adapter], weights or WEIGHTS
    reference: nn.Module = adapter.read(card, path).prepare()
    net = reference if family.folds else make_traceable(adapter.read(card, path))
    if family.logits:
        reference, net = AlphaNet(reference), AlphaNet(net)
    axes, example, sizes = _sizes(card.input_size, family)
    rgb = Photo.open(get_sample(SAMPLE).path).rgb
    return Part(
        name="",
        net=net,
        reference=reference,
        inputs=(Port("pixels", axes),),
        outputs=("alpha",),
        example=(torch.zeros(2 if family.batches else 1, 3, *example),),
        checks=tuple((family.to_pixels(_resized(rgb, *size)),) for size in sizes),
        facts={
            "input": "pixels: float32, batch x 3 x height x width, RGB",
            "input_size": str(card.input_size),
            "resize": _resize_in_words(card.input_size, adapter),
            **family.normalisation,
            **_output(card, adapter),
        },
    )


def _output(card: ModelCard, adapter: type[TorchSegmenter]) -> dict[str, str]:
    """What the output is, and what this program does with it."""
    padded = card.input_size.side is None and adapter is not LiteSegmenter
    cropped = "crop what was padded, then " if padded else ""
    facts = {"output": f"alpha: float32, batch x 1 x height x width, 0 to 1; {cropped}resize it to the photo"}
    if adapter is LiteSegmenter:
        # The card's threshold is one of the steeper alpha, and not of its maximum alone.
        return facts | {"contrast": f"clip((alpha - 0.5) * {CONTRAST} + 0.5, 0, 1)"}
    return facts | {"presence_threshold": str(card.presence_threshold)}


def _sizes(size: InputSize, family: _Family) -> tuple[dict[int, Axis], Size, tuple[Size, ...]]:
    """Dynamic axes, height and width of the example, and those for which the file is verified."""
    axes = {0: Axis("batch", maximum=LARGEST_BATCH)} if family.batches else {}
    usual, free = size.side or family.usual, family.free or size
    if free.side is not None or free.maximum is None:
        return axes, (usual, usual), ((usual, usual),)
    for position, name in ((2, "height"), (3, "width")):
        axes[position] = Axis(name, free.multiple, minimum=free.minimum, maximum=free.maximum)
    # An exporter takes equal lengths for one length, and lengths of 1 for constants.
    least = -(-free.minimum // free.multiple)
    example = ((least + 1) * free.multiple, (least + 3) * free.multiple)
    return axes, example, ((usual, usual), example[::-1])


def _resized(rgb: Pixels, height: int, width: int) -> Pixels:
    return np.array(Image.fromarray(rgb).resize((width, height), Image.Resampling.BILINEAR))


def _resize_in_words(size: InputSize, adapter: type[TorchSegmenter]) -> str:
    if adapter is LiteSegmenter:
        return (
            f"area average, proportions about kept, to about {LITE_SIDE} x {LITE_SIDE} pixels in all, each side a "
            f"multiple of {MULTIPLE}"
        )
    kind = adapter.resample.name.lower()
    if size.side is not None:
        return f"{kind}, squashed to the square"
    return (
        f"{kind}, proportions kept: longer side at most {size.maximum}, shorter at least {size.minimum} pixels, then "
        f"padded to multiples of {size.multiple} by mirroring, to the right and below"
    )
