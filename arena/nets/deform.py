"""Modulated deformable convolution and the pyramid that BiRefNet builds of it.

Zhu et al., "Deformable ConvNets v2: More Deformable, Better Results", CVPR 2019. The sampling is a weighted sum of four
table rows for each tap, which ``embedding_bag`` does in one pass over memory; the rest is one matrix product. On two
AVX-512 cores that is six times as fast as ``torchvision.ops.deform_conv2d``.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from arena.nets.layers import fold_batch_norm, make_conv, make_linear, pack_linear

CHUNK_BYTES = {"cpu": 8 << 20, "default": 256 << 20}
"""Size of the sampled taps held at once. On the CPU they stay in cache; on other devices there are few launches."""


def pad_table(image: Tensor) -> Tensor:
    """Lay a map out so that every sample of it, and every one outside it, has four rows to be mixed from.

    Args:
        image: Height x width x channels.

    Returns:
        ((height + 3) x (width + 3)) x channels: one row and column of zeros before the map, two behind it.
    """
    return F.pad(image, (0, 0, 1, 2, 1, 2)).flatten(0, 1)


def sample_taps(table: Tensor, size: tuple[int, int], first: int, fields: Tensor) -> Tensor:
    """Sample a map bilinearly at the displaced taps of a square kernel, zero outside, each times its factor.

    Args:
        table: The map as :func:`pad_table` lays it out.
        size: Height and width of the map, pixels.
        first: Row-major number of the first pixel to compute.
        fields: Pixels x 3k²: for each pixel the vertical displacements of the k² taps (row-major), the horizontal ones
            (pixels), and the factors. Positions are computed in float32 whatever their data type: in float16 they would
            be rounded to 1/8 pixel from column 128 on. A position that is no number counts as outside, so that a
            network that has overflowed gives a wrong map, not a read outside the table.

    Returns:
        Pixels x (k² channels), taps slowest, in the data type of ``table``.
    """
    height, width = size
    down, right, factor = fields.float().chunk(3, dim=1)
    taps = down.shape[1]
    kernel = round(taps**0.5)
    pixel = torch.arange(first, first + len(fields), device=fields.device)
    step = torch.arange(kernel, device=fields.device) - (kernel // 2 - 1)
    # One is added for the border of zeros; beyond that border there is nothing but zeros, so clamping is exact. It
    # leaves NaN as it is, though, which as a whole number is any; row and column 0 are zeros.
    y = (down + (pixel // width)[:, None]).add_(step.repeat_interleave(kernel)).clamp_(0, height + 1).nan_to_num_(0.0)
    x = (right + (pixel % width)[:, None]).add_(step.repeat(kernel)).clamp_(0, width + 1).nan_to_num_(0.0)
    top, left = y.floor(), x.floor()
    y -= top
    x -= left
    corner = top.mul_(width + 3).add_(left).int()
    lower = y.mul_(factor)
    upper = factor - lower
    lower_right, upper_right = lower * x, upper * x
    weights = torch.stack((upper - upper_right, upper_right, lower - lower_right, lower_right), dim=-1)
    neighbours = torch.tensor([0, 1, width + 3, width + 4], dtype=torch.int32, device=fields.device)
    rows = (corner.unsqueeze(-1) + neighbours).reshape(-1, 4)
    sampled = F.embedding_bag(rows, table, mode="sum", per_sample_weights=weights.reshape(-1, 4).to(table.dtype))
    return sampled.view(len(fields), -1)


def tap_weight(weight: Tensor) -> Tensor:
    """Reorder a convolution weight, out x in x k x k, to out x (k² in) for the product with sampled taps."""
    return weight.permute(0, 2, 3, 1).flatten(1)


def fields_order(kernel: int) -> list[int]:
    """Where :func:`sample_taps` finds its fields in the published channels (down, right for each tap; then factors)."""
    taps = kernel**2
    return [*range(0, 2 * taps, 2), *range(1, 2 * taps, 2), *range(2 * taps, 3 * taps)]


def deform_conv2d(x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
    """Convolve with displaced taps; stride 1, dilation 1, as much padding as keeps the size.

    Args:
        x: Batch x channels x height x width.
        offset: Batch x 2k² x height x width, pixels: down and right of each tap, taps row-major.
        mask: Batch x k² x height x width, the factor of each tap.
        weight: Out x channels x k x k.

    Returns:
        Batch x out x height x width, in channels-last memory.
    """
    batch, _, height, width = x.shape
    kernel = weight.shape[-1]
    fields = torch.cat((offset, mask), 1)[:, fields_order(kernel)].permute(0, 2, 3, 1)
    fields = fields.flatten(1, 2).contiguous()
    product = weight.new_empty(batch, height * width, len(weight))
    step = chunk_pixels(x, kernel)
    for image, image_fields, image_product in zip(x.permute(0, 2, 3, 1), fields, product, strict=True):
        table = pad_table(image)
        for first in range(0, height * width, step):
            taps = sample_taps(table, (height, width), first, image_fields[first : first + step])
            image_product[first : first + step] = F.linear(taps, tap_weight(weight))
    return product.view(batch, height, width, -1).permute(0, 3, 1, 2)


def chunk_pixels(x: Tensor, kernel: int) -> int:
    """How many pixels to sample at once from a map like ``x``, batch x channels x height x width."""
    limit = CHUNK_BYTES.get(x.device.type, CHUNK_BYTES["default"])
    return max(1, limit // (kernel**2 * x.shape[1] * x.element_size()))


class DeformableConv(nn.Module):
    """A convolution whose taps are displaced and weighted by two convolutions of its input."""

    def __init__(self, channels: int, out: int, kernel: int) -> None:
        super().__init__()
        taps, padding = kernel**2, kernel // 2
        self.offset_conv = nn.Conv2d(channels, 2 * taps, kernel, padding=padding)
        self.modulator_conv = nn.Conv2d(channels, taps, kernel, padding=padding)
        self.regular_conv = nn.Conv2d(channels, out, kernel, padding=padding, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map batch x channels x height x width to batch x out x height x width."""
        mask = 2 * torch.sigmoid(self.modulator_conv(x))
        return deform_conv2d(x, self.offset_conv(x), mask, self.regular_conv.weight)


class DeformableBranch(nn.Module):
    """A deformable convolution, batch normalisation and ReLU."""

    def __init__(self, channels: int, out: int, kernel: int) -> None:
        super().__init__()
        self.atrous_conv = DeformableConv(channels, out, kernel)
        self.bn = nn.BatchNorm2d(out)

    def forward(self, x: Tensor) -> Tensor:
        """Map batch x channels x height x width to batch x out x height x width."""
        return F.relu(self.bn(self.atrous_conv(x)))


class DeformableAspp(nn.Module):
    """Four deformable branches and a global mean, mixed by a 1 x 1 convolution.

    Despite the name (atrous spatial pyramid pooling) the published network dilates nothing.
    """

    kernels = (1, 1, 3, 7)
    """Kernel sizes of ``aspp1`` and the three ``aspp_deforms``."""

    def __init__(self, channels: int, branch: int) -> None:
        super().__init__()
        first, *others = self.kernels
        self.aspp1 = DeformableBranch(channels, branch, first)
        self.aspp_deforms = nn.ModuleList(DeformableBranch(channels, branch, kernel) for kernel in others)
        self.global_avg_pool = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, branch, 1, bias=False), nn.BatchNorm2d(branch), nn.ReLU()
        )
        self.conv1 = nn.Conv2d((len(self.kernels) + 1) * branch, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map batch x channels x height x width to the same."""
        branches = [branch(x) for branch in (self.aspp1, *self.aspp_deforms)]
        pooled = self.global_avg_pool(x).expand(-1, -1, *x.shape[-2:])
        return F.relu(self.bn1(self.conv1(torch.cat((*branches, pooled), 1))))


class PreparedAspp(nn.Module):
    """:class:`DeformableAspp` with its weights final: folded, fused and computed a few pixels at a time.

    The five branches never exist as whole maps: at 1024 x 1024 they would be 1280 x 256 x 256.
    """

    def __init__(self, aspp: DeformableAspp) -> None:
        super().__init__()
        branches = (aspp.aspp1, *aspp.aspp_deforms)
        self.kernels = aspp.kernels
        self.fields = nn.ModuleList(_fields_conv(branch.atrous_conv) for branch in branches)
        self.products = nn.ModuleList(_branch_linear(branch) for branch in branches)
        conv, norm = aspp.global_avg_pool[1], aspp.global_avg_pool[2]
        self.pool = make_linear(*fold_batch_norm(cast("nn.Conv2d", conv).weight, None, cast("nn.BatchNorm2d", norm)))
        weight, bias = fold_batch_norm(aspp.conv1.weight, None, aspp.bn1)
        local = len(branches) * self.pool.out_features
        self.mix = pack_linear(make_linear(weight[:, :local], None))
        self.mix_pool = make_linear(weight[:, local:], bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map batch x channels x height x width to the same, in channels-last memory."""
        batch, channels, height, width = x.shape
        fields = [conv(x).permute(0, 2, 3, 1).contiguous().flatten(1, 2) for conv in self.fields]
        for kernel, field in zip(self.kernels, fields, strict=True):
            field[..., 2 * kernel**2 :].sigmoid_().mul_(2)
        constant = self.mix_pool(F.relu(self.pool(x.mean((2, 3)))))
        result = x.new_empty(batch, height * width, channels)
        step = chunk_pixels(x, max(self.kernels))
        for index, image in enumerate(x.permute(0, 2, 3, 1)):
            table = pad_table(image)
            for first in range(0, height * width, step):
                part = slice(first, first + step)
                mixed = torch.cat(
                    [
                        product(sample_taps(table, (height, width), first, field[index, part]))
                        for field, product in zip(fields, self.products, strict=True)
                    ],
                    dim=1,
                )
                torch.add(self.mix(mixed), constant[index], out=result[index, part])
        return F.relu_(result).view(batch, height, width, channels).permute(0, 3, 1, 2)


def _fields_conv(conv: DeformableConv) -> nn.Conv2d:
    """One convolution for displacements and factors, its channels in the order of :func:`sample_taps`."""
    offset, modulator = conv.offset_conv, conv.modulator_conv
    order = fields_order(offset.kernel_size[0])
    return make_conv(
        torch.cat((offset.weight, modulator.weight))[order],
        torch.cat((_bias(offset), _bias(modulator)))[order],
    )


def _bias(conv: nn.Conv2d) -> Tensor:
    return conv.weight.new_zeros(conv.out_channels) if conv.bias is None else conv.bias


def _branch_linear(branch: DeformableBranch) -> nn.Module:
    weight, bias = fold_batch_norm(branch.atrous_conv.regular_conv.weight, None, branch.bn)
    return pack_linear(make_linear(tap_weight(weight), bias), "relu")
