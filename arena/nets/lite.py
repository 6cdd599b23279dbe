"""Arena Lite: the network in the box, small enough to ship and quick enough for a laptop.

A U-shaped network of our own. The encoder halves the picture five times with plain residual blocks, which CPUs
multiply at nearly their peak, and with inverted residuals (Sandler et al., "MobileNetV2", CVPR 2018) at the coarsest
level; there every cell also looks at every other one (Vaswani et al., "Attention Is All You Need", 2017) and knows
where in the picture it lies, because a portrait is told from a passer-by by place and by size. The decoder adds what
comes from below to what the encoder saw at each level (Ronneberger et al., "U-Net", MICCAI 2015) and ends in four
values a cell of half the size, which are the four pixels of it (Shi et al., "ESPCN", CVPR 2016).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from arena.nets.layers import fold_batch_norm, make_conv

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WIDTHS = (16, 32, 64, 112, 160)
"""Channels of the encoder's levels, at a half to a thirty-second of the picture's size."""
DEPTHS = (1, 2, 2, 3, 3)
"""Residual blocks of each level."""
DECODER_WIDTHS = (16, 32, 48, 64)
"""Channels of the decoder's levels, at a half to a sixteenth of the picture's size."""
MULTIPLE = 32
"""Sides of the input are multiples of this."""
HEADS = 4
"""Of the attention at the coarsest level."""
EXPANSION = 3
"""How many times wider an inverted residual is inside."""

_NETWORKS = "networks."
"""Before the number of each network in a file of several."""
_SCALE = ".scale"
"""After the name of a weight of 8 bits: what its output channels are multiplied by."""


class ConvNorm(nn.Module):
    """A convolution without bias and its batch normalisation, which ``fold()`` makes one convolution."""

    def __init__(self, channels: int, out: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(out)

    def forward(self, x: Tensor) -> Tensor:
        """``N x channels x H x W`` in, ``N x out x H/stride x W/stride`` out."""
        y: Tensor = self.norm(self.conv(x))
        return y

    def fold(self) -> None:
        """Put the normalisation into the convolution; for inference only."""
        if not isinstance(self.norm, nn.BatchNorm2d):
            return
        folded = make_conv(*fold_batch_norm(self.conv.weight, None, self.norm))
        folded.stride, folded.groups = self.conv.stride, self.conv.groups
        folded.in_channels = self.conv.in_channels
        self.conv, self.norm = folded, nn.Identity()


class Residual(nn.Module):
    """Two 3 x 3 convolutions beside a way around them (He et al., "Deep Residual Learning", CVPR 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvNorm(channels, channels)
        self.second = ConvNorm(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """The shape stays."""
        return F.relu(x + self.second(F.relu(self.first(x))))


class InvertedResidual(nn.Module):
    """A 5 x 5 convolution of each channel, then a wide mixing of channels, beside a way around them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = ConvNorm(channels, channels, kernel=5, groups=channels)
        self.expand = ConvNorm(channels, EXPANSION * channels, kernel=1)
        self.project = ConvNorm(EXPANSION * channels, channels, kernel=1)

    def forward(self, x: Tensor) -> Tensor:
        """The shape stays."""
        y: Tensor = x + self.project(F.relu(self.expand(self.depthwise(x))))
        return y


class Context(nn.Module):
    """Every cell looks at every other one, knowing where both lie."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        # Two more inputs than channels: the cell's place, from -1 to 1.
        self.query_key_value = nn.Linear(channels + 2, 3 * channels)
        self.out = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """The shape stays: N x channels x H x W."""
        batch, channels, height, width = x.shape
        cells = self.norm(x.flatten(2).transpose(1, 2))
        rows, columns = _places(height, cells), _places(width, cells)
        place = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), dim=-1).flatten(0, 1)
        both = torch.cat([cells, place.expand(batch, -1, -1)], dim=-1)
        split = self.query_key_value(both).unflatten(-1, (3, HEADS, channels // HEADS)).permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(split[0], split[1], split[2]).transpose(1, 2).flatten(2)
        y: Tensor = x + self.out(seen).transpose(1, 2).unflatten(-1, (height, width))
        return y


def _places(count: int, like: Tensor) -> Tensor:
    """``torch.linspace(-1, 1, count)`` in operators that an exported graph has for any count; -1 for a count of one."""
    at = torch.arange(count, device=like.device, dtype=like.dtype)
    return 2 * at / at[-1:].clamp(min=1) - 1


class Merge(nn.Module):
    """One level of the decoder: what comes from below, enlarged, and what the encoder saw here."""

    def __init__(self, below: int, skip: int, out: int) -> None:
        super().__init__()
        self.below = nn.Conv2d(below, out, 1)
        self.skip = nn.Conv2d(skip, out, 1)
        self.mix = ConvNorm(out, out)

    def forward(self, below: Tensor, skip: Tensor) -> Tensor:
        """Half the size (``below``) and this size (``skip``) in, N x out x this size out."""
        enlarged = F.interpolate(self.below(below), scale_factor=2.0, mode="bilinear", align_corners=False)
        return F.relu(self.mix(self.skip(skip) + enlarged))


class LiteNet(nn.Module):
    """Photo in, logits of the matte out; 1.8 million parameters.

    The input is float, N x 3 x H x W, RGB from 0 to 1 less one half, H and W multiples of 32. Any size works; the
    weights in the box were trained at about 320 x 320 last.
    """

    training_only: ClassVar[tuple[str, ...]] = ("side.",)
    """Names of tensors that inference does not need begin so."""
    side: nn.Module | None

    def __init__(self, *, deep_supervision: bool = False) -> None:
        """Build it with random weights.

        Args:
            deep_supervision: With the coarse output halfway up that training uses (Lee et al., "Deeply-Supervised
                Nets", AISTATS 2015).
        """
        super().__init__()
        self.levels = nn.ModuleList()
        channels = 3
        for index, (width, depth) in enumerate(zip(WIDTHS, DEPTHS, strict=True)):
            coarsest = index == len(WIDTHS) - 1
            block = InvertedResidual if coarsest else Residual
            parts: list[nn.Module] = [ConvNorm(channels, width, stride=2), nn.ReLU()]
            parts += [block(width) for _ in range(depth)]
            if coarsest:
                parts.insert(-1, Context(width))
            self.levels.append(nn.Sequential(*parts))
            channels = width
        self.merges = nn.ModuleList()
        for skip, width in zip(WIDTHS[-2::-1], DECODER_WIDTHS[::-1], strict=True):
            self.merges.append(Merge(channels, skip, width))
            channels = width
        self.head = nn.Conv2d(channels, 4, 3, padding=1)
        self.side = nn.Conv2d(DECODER_WIDTHS[2], 1, 1) if deep_supervision else None

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the matte.

        Args:
            x: float, N x 3 x H x W, RGB from -0.5 to 0.5.

        Returns:
            N x 1 x H x W; a sigmoid makes them alpha.
        """
        return self._decode(x)[0]

    def forward_with_side(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the matte, and for training coarse ones of an eighth of the size from halfway up.

        Args:
            x: As in :meth:`forward`.

        Returns:
            N x 1 x H x W, and N x 1 x H/8 x W/8.

        Raises:
            RuntimeError: The network was built without ``deep_supervision``.
        """
        logits, features = self._decode(x)
        if self.side is None:
            raise RuntimeError("this LiteNet has no coarse output: build it with deep_supervision=True")
        return logits, self.side(features)

    def _decode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits, and the decoder's features at an eighth of the size."""
        seen: list[Tensor] = []
        for level in self.levels:
            x = level(x)
            seen.append(x)
        rising: list[Tensor] = []
        for merge, skip in zip(self.merges, seen[-2::-1], strict=True):
            x = merge(x, skip)
            rising.append(x)
        return F.pixel_shuffle(self.head(x), 2), rising[1]

    def prepare(self) -> Self:
        """Make it ready for inference: normalisations folded away, channels-last memory. Cannot be trained any more.

        Returns:
            Itself.
        """
        self.eval().requires_grad_(requires_grad=False)
        self.side = None
        for part in self.modules():
            if isinstance(part, ConvNorm):
                part.fold()
        return self.to(memory_format=torch.channels_last)


class LiteNets(nn.Module):
    """One or several :class:`LiteNet`: trained apart or on from each other, they err apart, and their mean errs less.

    Lakshminarayanan et al., "Simple and Scalable Predictive Uncertainty Estimation using Deep Ensembles", NeurIPS 2017.
    """

    def __init__(self, count: int = 1) -> None:
        """Build them with random weights.

        Args:
            count: How many, at least 1.
        """
        super().__init__()
        self.networks = nn.ModuleList(LiteNet() for _ in range(count))

    def forward(self, x: Tensor, which: int | None = None) -> Tensor:
        """Logits of the matte.

        Args:
            x: As in :meth:`LiteNet.forward`.
            which: The network that looks, counted on from the first after the last; None: all do, and the mean counts.

        Returns:
            N x 1 x H x W; a sigmoid makes them alpha.
        """
        if which is not None:
            logits: Tensor = self.networks[which % len(self.networks)](x)
            return logits
        return torch.stack([net(x) for net in self.networks]).mean(dim=0)

    def prepare(self) -> Self:
        """Make them ready for inference; see :meth:`LiteNet.prepare`.

        Returns:
            Itself.
        """
        for net in self.networks.children():
            cast("LiteNet", net).prepare()
        return self.eval()


def pack(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Networks' tensors as one file holds them: a single one's in half precision, several ones' in 8 bits.

    Args:
        states: Tensors of each network by name.

    Returns:
        Tensors by the names that :func:`unpack` knows, without what only training needs.
    """
    packed: dict[str, Tensor] = {}
    for number, state in enumerate(states):
        prefix = f"{_NETWORKS}{number}." if len(states) > 1 else ""
        for name, tensor in state.items():
            if name.startswith(LiteNet.training_only):
                continue
            if ".norm." in name or tensor.ndim < 2:
                # Variances of a normalisation may be beyond half precision, and are few.
                packed[prefix + name] = tensor.contiguous()
            elif len(states) == 1:
                packed[name] = tensor.half().contiguous()
            else:
                # Symmetric, with a scale for each output channel (Krishnamoorthi, arXiv:1806.08342).
                scale = (tensor.float().flatten(1).abs().amax(dim=1) / 127).clamp(min=torch.finfo(torch.float32).tiny)
                shaped = scale.view(-1, *[1] * (tensor.ndim - 1))
                packed[prefix + name] = (tensor.float() / shaped).round().to(torch.int8).contiguous()
                packed[prefix + name + _SCALE] = scale
    return packed


def unpack(packed: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of :class:`LiteNets` from those of a file.

    Args:
        packed: What :func:`pack` gave, or the tensors of a single :class:`LiteNet`.

    Returns:
        Tensors by name; those of 8 bits are float32 again.
    """
    state: dict[str, Tensor] = {}
    for name, tensor in packed.items():
        if name.startswith(LiteNet.training_only) or (name.endswith(_SCALE) and name.removesuffix(_SCALE) in packed):
            continue
        scale = packed.get(name + _SCALE)
        whole = tensor if scale is None else tensor.float() * scale.view(-1, *[1] * (tensor.ndim - 1))
        state[name if name.startswith(_NETWORKS) else f"{_NETWORKS}0.{name}"] = whole
    return state


def count_networks(state: Mapping[str, Tensor]) -> int:
    """How many networks' tensors these are.

    Args:
        state: As :func:`unpack` gives it.

    Returns:
        At least 1.
    """
    return max((int(name.split(".")[1]) for name in state if name.startswith(_NETWORKS)), default=0) + 1
