"""The networks as one would first write them: the reference that the benchmarks measure against.

Each function here takes a network of ``arena.nets`` as it is before ``prepare()`` and replaces the forward passes that
are already economical there by the literal ones. It changes classes, so use it in a process of its own.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from arena.nets import birefnet, deform, swin


def _shift_mask(height: int, width: int, window: int, shift: int) -> Tensor:
    """0 or minus infinity for each pair of tokens of each window, windows x window² x window²."""
    region = torch.zeros(height, width)
    bands = (slice(0, -window), slice(-window, -shift), slice(-shift, None))
    for i, rows in enumerate(bands):
        for j, columns in enumerate(bands):
            region[rows, columns] = 3 * i + j
    region = region.view(height // window, window, width // window, window)
    region = region.transpose(1, 2).reshape(-1, window * window)
    return torch.zeros(()).where(region[:, :, None] == region[:, None, :], -torch.inf)


def swin_block(block: swin.SwinBlock, tokens: Tensor, batch: int, height: int, width: int) -> Tensor:
    """``SwinBlock.forward`` step by step as the paper has it."""
    attention, window, shift = block.attn, block.attn.window, block.shift
    dim, heads = tokens.shape[1], block.attn.heads
    x = F.pad(block.norm1(tokens).view(batch, height, width, dim), (0, 0, 0, -width % window, 0, -height % window))
    rows, columns = x.shape[1] // window, x.shape[2] // window
    if shift:
        x = torch.roll(x, (-shift, -shift), (1, 2))
    x = x.view(batch, rows, window, columns, window, dim).transpose(2, 3).reshape(-1, window * window, dim)
    q, k, v = attention.qkv(x).view(*x.shape[:2], 3, heads, -1).permute(2, 0, 3, 1, 4)
    bias = attention.position_bias()
    if shift:
        mask = _shift_mask(rows * window, columns * window, window, shift).to(bias)
        bias = (bias + mask[:, None]).repeat(batch, 1, 1, 1)
    x = F.scaled_dot_product_attention(q, k, v, attn_mask=bias).transpose(1, 2).flatten(2)
    x = attention.proj(x).view(batch, rows, columns, window, window, dim).transpose(2, 3)
    x = x.reshape(batch, rows * window, columns * window, dim)
    if shift:
        x = torch.roll(x, (shift, shift), (1, 2))
    tokens = tokens + x[:, :height, :width].reshape(-1, dim)
    mixed: Tensor = block.mlp(block.norm2(tokens))
    return tokens + mixed


def deformable_conv(conv: deform.DeformableConv, x: Tensor) -> Tensor:
    """``DeformableConv.forward`` with torchvision's operator."""
    mask = 2 * torch.sigmoid(conv.modulator_conv(x))
    weight = conv.regular_conv.weight
    product: Tensor = torchvision.ops.deform_conv2d(
        x, conv.offset_conv(x), weight, padding=weight.shape[-1] // 2, mask=mask
    )
    return product


def _contiguous_outputs(_module: nn.Module, _inputs: object, outputs: list[Tensor]) -> list[Tensor]:
    return [output.contiguous() for output in outputs]


def _contiguous_inputs(_module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(x.contiguous() for x in inputs)


def plain_swin(net: nn.Module) -> nn.Module:
    """Window by the book: roll, pad, cut, one mask for each window, whole maps at every step."""
    swin.SwinBlock.forward = swin_block  # type: ignore[method-assign, assignment]
    return net


def plain_birefnet(net: nn.Module) -> nn.Module:
    """The literal backbone, torchvision's deformable convolution, and maps with the channels slowest in memory."""
    deform.DeformableConv.forward = deformable_conv  # type: ignore[method-assign, assignment]
    for module in net.modules():
        if isinstance(module, swin.SwinTransformer):
            module.register_forward_hook(_contiguous_outputs)
        elif isinstance(module, birefnet.PatchBlock):
            module.register_forward_pre_hook(_contiguous_inputs)
    return plain_swin(net)
