"""BEN2 as one would first write it: the reference that its benchmark measures against.

As ``benchmarks/plain.py``, it replaces the economical forward passes of a network before ``prepare()`` by the literal
ones of the published network, and changes classes, so use it in a process of its own.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from arena.nets import ben2
from benchmarks.plain import plain_swin


def _conv_norm_gelu(sequence: nn.Sequential, x: Tensor) -> Tensor:
    return F.gelu(F.instance_norm(sequence[0](x)))


def _doubling_conv(sequence: nn.Sequential, x: Tensor) -> Tensor:
    return _conv_norm_gelu(sequence, F.interpolate(x, scale_factor=2.0, mode="nearest"))


def _mask_head(sequence: nn.Sequential, x: Tensor) -> Tensor:
    for index in (0, 3):
        x = F.gelu(F.instance_norm(sequence[index](x)))
    return cast("Tensor", sequence[6](x))


def _cross_attention(attention: ben2.CrossAttention, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """All weights at once, as ``nn.MultiheadAttention`` makes them when it is asked to return them."""
    weights, biases = attention.in_proj_weight.chunk(3), attention.in_proj_bias.chunk(3)
    q, k, v = (F.linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases, strict=True))
    shares = torch.softmax(torch.bmm(q * q.shape[2] ** -0.5, k.transpose(1, 2)), dim=-1)
    return cast("Tensor", attention.out_proj(torch.bmm(shares, v)))


def _feed_forward(tokens: Tensor, widen: nn.Module, narrow: nn.Module, norm: nn.LayerNorm, _: bool) -> Tensor:
    return cast("Tensor", norm(tokens + narrow(F.gelu(widen(tokens)))))


def _features(net: ben2.BEN2, x: Tensor) -> list[Tensor]:
    views = torch.cat((ben2.split_quadrants(x), F.interpolate(x, scale_factor=0.5, mode="bilinear"))).contiguous()
    maps = [features.contiguous() for features in net.backbone(views)]
    return [net.get_submodule(f"output{level}")(maps[level - 1]) for level in range(5, 0, -1)]


def _logits(net: ben2.BEN2, x: Tensor) -> Tensor:
    def resize(source: Tensor, target: Tensor) -> Tensor:
        return F.interpolate(source, size=target.shape[-2:], mode="bilinear")

    shallow = net.shallow(x)
    y = net._refine(net._features(x))
    z = ben2.stitch_quadrants(y[:4]).contiguous()
    z = net.insmask_head(z + resize(y[4:], z))
    z = net.upsample1(z + resize(shallow, z))
    z = net.upsample2(z + resize(shallow, z))
    return cast("Tensor", net.output(z))


def plain_ben2(net: nn.Module) -> nn.Module:
    """Attention with its weights held, whole maps at full resolution, the literal backbone."""
    ben2.ConvNormGelu.forward = _conv_norm_gelu  # type: ignore[method-assign, assignment]
    ben2.DoublingConv.forward = _doubling_conv  # type: ignore[method-assign, assignment]
    ben2.MaskHead.forward = _mask_head  # type: ignore[method-assign, assignment]
    ben2.CrossAttention.forward = _cross_attention  # type: ignore[method-assign, assignment]
    ben2._feed_forward = _feed_forward  # type: ignore[assignment]
    ben2.BEN2._features = _features  # type: ignore[method-assign, assignment]
    ben2.BEN2._logits = _logits  # type: ignore[method-assign, assignment]
    return plain_swin(net)
