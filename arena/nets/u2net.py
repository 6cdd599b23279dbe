"""U²-Net: salient object detection with a U-shaped network of U-shaped blocks.

Qin et al., "U²-Net: Going Deeper with Nested U-Structure for Salient Object Detection", Pattern Recognition 2020.
Inference only; the names in ``state_dict`` are those of the published checkpoints (general, human segmentation, small).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from arena.errors import OptionError
from arena.nets.layers import fold_batch_norm

Variant = Literal["full", "small"]

FLAT_DILATIONS = (1, 2, 4, 8)
"""Dilations of the four units of a block without pooling (RSU-4F)."""

ENCODERS = 6
"""Encoder stages, each at half the resolution of the one before; also the number of side outputs."""


@dataclass(frozen=True)
class BlockSize:
    """Sizes of one residual U-block."""

    depth: int
    """Units on the way down: 7, 6, 5 or 4."""
    channels_in: int
    channels_mid: int
    channels_out: int
    flat: bool = False
    """Dilation instead of pooling."""


def _block_sizes(variant: Variant) -> dict[str, BlockSize]:
    """Every block by the name of its stage, in the order of the published files."""
    if variant == "full":
        return {
            "stage1": BlockSize(7, 3, 32, 64),
            "stage2": BlockSize(6, 64, 32, 128),
            "stage3": BlockSize(5, 128, 64, 256),
            "stage4": BlockSize(4, 256, 128, 512),
            "stage5": BlockSize(4, 512, 256, 512, flat=True),
            "stage6": BlockSize(4, 512, 256, 512, flat=True),
            "stage5d": BlockSize(4, 1024, 256, 512, flat=True),
            "stage4d": BlockSize(4, 1024, 128, 256),
            "stage3d": BlockSize(5, 512, 64, 128),
            "stage2d": BlockSize(6, 256, 32, 64),
            "stage1d": BlockSize(7, 128, 16, 64),
        }
    down = {f"stage{index}": max(8 - index, 4) for index in range(1, ENCODERS + 1)}
    up = {f"stage{index}d": down[f"stage{index}"] for index in range(ENCODERS - 1, 0, -1)}
    sizes = {name: BlockSize(depth, 64, 16, 64, flat=name in {"stage5", "stage6"}) for name, depth in down.items()}
    sizes["stage1"] = BlockSize(7, 3, 16, 64)
    return sizes | {name: BlockSize(depth, 128, 16, 64, flat=name == "stage5d") for name, depth in up.items()}


def _pool(x: Tensor) -> Tensor:
    """Halve the map, rounding up."""
    return F.max_pool2d(x, 2, stride=2, ceil_mode=True)


def _resize_like(x: Tensor, target: Tensor) -> Tensor:
    """Bilinear resize to the height and width of ``target``."""
    if x.shape[-2:] == target.shape[-2:]:
        return x
    return F.interpolate(x, size=target.shape[-2:], mode="bilinear", align_corners=False)


class ConvUnit(nn.Module):
    """A 3 x 3 convolution, batch normalisation and ReLU."""

    def __init__(self, channels_in: int, channels_out: int, dilation: int = 1) -> None:
        super().__init__()
        self.conv_s1 = nn.Conv2d(channels_in, channels_out, 3, padding=dilation, dilation=dilation)
        self.bn_s1: nn.Module = nn.BatchNorm2d(channels_out)

    def prepare(self) -> None:
        """Fold the normalisation into the convolution."""
        if not isinstance(self.bn_s1, nn.BatchNorm2d):
            return
        weight, bias = fold_batch_norm(self.conv_s1.weight.detach(), self.conv_s1.bias, self.bn_s1)
        self.conv_s1.weight = nn.Parameter(weight.contiguous(memory_format=torch.channels_last), requires_grad=False)
        self.conv_s1.bias = nn.Parameter(bias.detach(), requires_grad=False)
        self.bn_s1 = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map batch x channels x height x width to the same height and width."""
        return F.relu_(self.bn_s1(self.conv_s1(x)))


class ResidualUBlock(nn.Module):
    """A small U-Net whose result is added to its first unit's (RSU; RSU-4F if ``flat``)."""

    def __init__(self, size: BlockSize) -> None:
        super().__init__()
        self.depth = size.depth
        self.flat = size.flat
        mid = size.channels_mid
        dilations = FLAT_DILATIONS if size.flat else (*[1] * (size.depth - 1), 2)
        self.rebnconvin = ConvUnit(size.channels_in, size.channels_out)
        for index, dilation in enumerate(dilations, start=1):
            self.add_module(f"rebnconv{index}", ConvUnit(size.channels_out if index == 1 else mid, mid, dilation))
        for index in range(size.depth - 1, 0, -1):
            out = size.channels_out if index == 1 else mid
            self.add_module(f"rebnconv{index}d", ConvUnit(2 * mid, out, dilations[index - 1]))

    def forward(self, x: Tensor) -> Tensor:
        """Map batch x channels x height x width to the same height and width."""
        entry: Tensor = self.rebnconvin(x)
        h, skips = entry, []
        for index in range(1, self.depth):
            # The two lowest units work at one resolution.
            h = self.get_submodule(f"rebnconv{index}")(h if self.flat or index == 1 else _pool(h))
            skips.append(h)
        h = self.get_submodule(f"rebnconv{self.depth}")(h)
        for index in range(self.depth - 1, 0, -1):
            skip = skips.pop()
            h = self.get_submodule(f"rebnconv{index}d")(torch.cat((_resize_like(h, skip), skip), dim=1))
        return entry.add_(h)


class U2Net(nn.Module):
    """U²-Net (``full``, 44.0 million parameters) or U²-Netp (``small``, 1.1 million).

    The network returns the probability of its fused output, so no sigmoid is to follow. It is made in evaluation mode
    without gradients. Load weights with :func:`arena.nets.load_state`, then call :meth:`prepare`.

    Args:
        variant: ``full`` for the general and the human checkpoints, ``small`` for U²-Netp.

    Raises:
        OptionError: There is no such variant.
    """

    training_only: ClassVar[tuple[str, ...]] = ()
    """The published files hold nothing that inference does not need."""

    def __init__(self, variant: Variant = "full") -> None:
        super().__init__()
        if variant not in {"full", "small"}:
            raise OptionError(f"U²-Net has no variant {variant!r}.", "Use 'full' or 'small'.")
        sizes = _block_sizes(variant)
        for name, size in sizes.items():
            self.add_module(name, ResidualUBlock(size))
        for index in range(1, ENCODERS + 1):
            name = f"stage{index}" if index == ENCODERS else f"stage{index}d"
            self.add_module(f"side{index}", nn.Conv2d(sizes[name].channels_out, 1, 3, padding=1))
        self.outconv = nn.Conv2d(ENCODERS, 1, 1)
        self.prepared = False
        self.eval().requires_grad_(False)

    def prepare(self) -> Self:
        """Fold the batch normalisations into the convolutions and lay the weights out channels-last.

        Call it once the weights are loaded and moved to their device and data type; ``state_dict`` is not the published
        one afterwards. A second call does nothing.

        Returns:
            The network itself.
        """
        for module in self.modules():
            if isinstance(module, ConvUnit):
                module.prepare()
        self.prepared = True
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Compute the saliency of a picture.

        Args:
            x: Float, batch x 3 x height x width, RGB, normalised; any size (the authors use 320 x 320).

        Returns:
            float32, batch x 1 x height x width: the probability in [0, 1] of the salient object, not stretched.

        Raises:
            OptionError: ``x`` is not such a tensor.
        """
        if x.dim() != 4 or x.shape[1] != 3 or 0 in x.shape or not x.is_floating_point():
            raise OptionError(
                f"U²-Net takes a float tensor batch x 3 x height x width, not {x.dtype} {tuple(x.shape)}."
            )
        h = x.to(self.outconv.weight.dtype)
        if self.prepared:
            h = h.contiguous(memory_format=torch.channels_last)
        encoded = [self._stage(1, h)]
        for index in range(2, ENCODERS + 1):
            encoded.append(self._stage(index, _pool(encoded[-1])))
        h = encoded.pop()
        sides = [self._side(ENCODERS, h)]
        for index in range(ENCODERS - 1, 0, -1):
            skip = encoded.pop()
            h = self.get_submodule(f"stage{index}d")(torch.cat((_resize_like(h, skip), skip), dim=1))
            sides.append(self._side(index, h))
        finest = sides[-1]
        fused = self.outconv(torch.cat([_resize_like(side, finest) for side in reversed(sides)], dim=1))
        # The last digits of a probability near 0 or 1 are lost in half precision.
        return torch.sigmoid(fused.float())

    def _stage(self, index: int, x: Tensor) -> Tensor:
        return cast("Tensor", self.get_submodule(f"stage{index}")(x))

    def _side(self, index: int, x: Tensor) -> Tensor:
        return cast("Tensor", self.get_submodule(f"side{index}")(x))
