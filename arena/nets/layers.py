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


INT8_CHUNK_BYTES = 6 << 20
"""Size of the largest float32 array that an 8-bit product handles at once: its steps find it in cache."""

_INT8_FEATURES = ("avx512_vnni", "avx_vnni", "amx_int8")
"""Instructions that multiply 8-bit numbers, of which a CPU has to have one."""

_LEVELS, _OFFSET = 127, 128
"""Largest level of either sign, and the level of zero where levels are unsigned."""

_TINY = 1e-12
"""Least divisor: a row of zeros has no largest."""


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


@functools.cache
def can_multiply_int8() -> bool:
    """Whether CPU and torch multiply 8-bit numbers faster than float32, tried once.

    Without the instructions for it oneDNN emulates them, which is slower than float32.
    """
    features = torch.cpu.get_capabilities()
    if not torch._C._has_mkldnn or not any(features.get(name) for name in _INT8_FEATURES):
        return False
    linear = make_linear(torch.eye(16), None)
    try:
        product = Int8Linear(linear)(torch.ones(16, 16))
    except (AttributeError, RuntimeError, TypeError):
        return False
    return torch.allclose(product, torch.ones(16, 16))


class Int8Linear(nn.Module):
    """A linear layer that multiplies in 8 bits, optionally followed by its GELU or ReLU; float32 in and out.

    The weights are rounded once, each output's by their largest; the inputs as they come, each row by its own largest,
    so that a row with an outlier does not take the others' precision. On CPUs with VNNI it does about twice the work of
    :class:`PackedLinear` per second. It stays on the CPU.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight = linear.weight.detach().float()
        self.out_features, self.in_features = weight.shape
        self.activation: Activation = "none"
        scales = _largest(weight).div_(_LEVELS)
        levels = (weight / scales).round_().to(torch.int8)
        # Plain attributes: an opaque oneDNN tensor survives neither .to() nor a state_dict.
        self._weight = torch.ops.onednn.qlinear_prepack(levels, None)
        self._scales = scales.flatten()
        self._zeros = torch.zeros(len(weight), dtype=torch.int64)
        self.bias: Tensor | None = None if linear.bias is None else linear.bias.detach().float()

    def forward(self, x: Tensor) -> Tensor:
        """Multiply ``... x in`` features; returns ``... x out``."""
        rows = x.reshape(-1, self.in_features)
        result = rows.new_empty(len(rows), self.out_features)
        step = max(1, INT8_CHUNK_BYTES // (4 * max(self.in_features, self.out_features)))
        for part, target in zip(torch.split(rows, step), torch.split(result, step), strict=True):
            scale = _largest(part).div_(_LEVELS)
            # Unsigned with an offset: for two signed factors oneDNN has no fast product on these CPUs. The conversion
            # cuts what is behind the point, so half a level more is rounding.
            levels = (part / scale).add_(_OFFSET + 0.5).to(torch.uint8)
            inputs, weights = (levels, 1.0, _OFFSET), (self._weight, self._scales, self._zeros)
            # Neither bias nor a scale and a level of zero for the result, which is float32; no operation after it.
            product = torch.ops.onednn.qlinear_pointwise(*inputs, *weights, None, 1.0, 0, torch.float32, "none", [], "")
            if self.bias is None:
                torch.mul(product, scale, out=target)
            else:
                torch.addcmul(self.bias, product, scale, out=target)
            if self.activation == "gelu":
                torch.ops.aten.gelu_(target)
            elif self.activation == "relu":
                F.relu_(target)
        return result.view(*x.shape[:-1], self.out_features)


def _largest(rows: Tensor) -> Tensor:
    """Largest magnitude of each row, rows x 1, never zero."""
    return torch.maximum(rows.amax(1, keepdim=True), -rows.amin(1, keepdim=True)).clamp_(min=_TINY)


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


def pack_linear(linear: nn.Linear | Int8Linear, activation: Activation = "none") -> nn.Module:
    """The fastest layer with the numbers of ``activation(linear(x))`` on the device where ``linear`` lies.

    Args:
        linear: A layer whose weights are final, on its device and in its data type.
        activation: What follows it; GELU is the exact (erf) form.

    Returns:
        A module of its own, and ``linear`` is not changed; a layer that is in 8 bits already does the activation itself
        from now on.
    """
    if isinstance(linear, Int8Linear):
        linear.activation = activation
        return linear
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
