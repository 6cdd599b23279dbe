"""Layers in the form that runs fastest once their weights are final.

Nothing here has parameters under published names: networks are built and loaded from plain ``torch.nn`` layers, and
their ``prepare()`` exchanges those for the layers of this module.
"""

from __future__ import annotations

import functools
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Activation = Literal["none", "relu", "gelu"]

_PACKED_DTYPES = (torch.float32, torch.bfloat16)
"""Data types whose products oneDNN does faster than torch's default on the CPUs measured (AVX-512)."""


@functools.cache
def _can_pack(dtype: torch.dtype) -> bool:
    """Whether this build of torch multiplies by weights that oneDNN has laid out ahead, tried once.

    The operators are those that ``torch.compile`` emits; they are not documented, so their absence or another signature
    must only cost speed.
    """
    if dtype not in _PACKED_DTYPES or not torch._C._has_mkldnn:
        return False
    weight, rows = torch.eye(16, dtype=dtype), torch.ones(16, 16, dtype=dtype)
    try:
        packed = torch.ops.mkldnn._reorder_linear_weight(weight, 16)
        product = torch.ops.mkldnn._linear_pointwise(rows, packed, None, "none", [], "")
    except (AttributeError, RuntimeError, TypeError):
        return False
    return bool(torch.equal(product, rows))


class PackedLinear(nn.Module):
    """A linear layer, optionally with its GELU or ReLU, whose weight oneDNN has laid out ahead.

    On CPUs with AVX-512 it does 1.2 to 1.3 times the work of ``nn.Linear`` per second in float32, and the activation is
    applied while the product is still in cache. It stays on the CPU and in the data type it was made in.
    """

    def __init__(self, linear: nn.Linear, activation: Activation = "none") -> None:
        super().__init__()
        self.out_features = linear.out_features
        self.activation = activation
        self._algorithm = "none" if activation == "gelu" else ""
        # A plain attribute: an opaque oneDNN tensor survives neither .to() nor a state_dict.
        self._weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), None)
        self.bias = None if linear.bias is None else nn.Buffer(linear.bias.detach(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Multiply ``... x in`` features; returns ``... x out``."""
        product: Tensor = torch.ops.mkldnn._linear_pointwise(
            x, self._weight, self.bias, self.activation, [], self._algorithm
        )
        return product


class ActivatedLinear(nn.Module):
    """A linear layer and its activation, for devices without packed weights."""

    def __init__(self, linear: nn.Linear, activation: Activation) -> None:
        super().__init__()
        self.linear = linear
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """Multiply ``... x in`` features and apply the activation; returns ``... x out``."""
        return activate(self.linear(x), self.activation)


def activate(x: Tensor, activation: Activation) -> Tensor:
    """Apply an activation by name; ``x`` may be overwritten."""
    if activation == "gelu":
        return F.gelu(x)
    return F.relu_(x) if activation == "relu" else x


def pack_linear(linear: nn.Linear, activation: Activation = "none") -> nn.Module:
    """The fastest layer with the numbers of ``activation(linear(x))`` on the device where ``linear`` lies.

    Args:
        linear: A layer whose weights are final, on its device and in its data type.
        activation: What follows it; GELU is the exact (erf) form.

    Returns:
        A module of its own; ``linear`` is not changed.
    """
    if linear.weight.device.type == "cpu" and _can_pack(linear.weight.dtype):
        return PackedLinear(linear, activation)
    return linear if activation == "none" else ActivatedLinear(linear, activation)


def exact(tensor: Tensor) -> Tensor:
    """``tensor`` in float64, on the CPU because not every device has it; Apple's GPUs do not."""
    return tensor.detach().to("cpu", torch.float64)


def fold_batch_norm(weight: Tensor, bias: Tensor | None, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Weight and bias of the one convolution that equals a convolution followed by batch normalisation.

    Args:
        weight: Convolution weight, out x in x k x k.
        bias: Convolution bias, out, or None.
        norm: The normalisation in its evaluation form (running statistics).

    Returns:
        Weight and bias on the device and in the data type of ``weight``; the arithmetic is float64.
    """
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError("only a normalisation with running statistics can be folded")
    scale = exact(norm.weight) / torch.sqrt(exact(norm.running_var) + norm.eps)
    start = -exact(norm.running_mean) if bias is None else exact(bias) - exact(norm.running_mean)
    folded = exact(weight) * scale.view(-1, *[1] * (weight.dim() - 1))
    return folded.to(weight), (exact(norm.bias) + start * scale).to(weight)


def make_linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    """A linear layer of given weights; ``weight`` is out x in, with any trailing axes of length one."""
    weight = weight.flatten(1)
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    linear.weight = nn.Parameter(weight.detach().contiguous(), requires_grad=False)
    if bias is not None:
        linear.bias = nn.Parameter(bias.detach(), requires_grad=False)
    return linear


def make_conv(weight: Tensor, bias: Tensor | None) -> nn.Conv2d:
    """A convolution of given weights (out x in x k x k, k odd) that keeps the size, in channels-last memory."""
    out, channels, kernel, _ = weight.shape
    conv = nn.Conv2d(channels, out, kernel, padding=kernel // 2, bias=bias is not None, device="meta")
    conv.weight = nn.Parameter(weight.detach().contiguous(memory_format=torch.channels_last), requires_grad=False)
    if bias is not None:
        conv.bias = nn.Parameter(bias.detach(), requires_grad=False)
    return conv
