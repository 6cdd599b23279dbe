"""Swin Transformer and deformable convolution in a form that PyTorch's exporter can turn into ONNX.

The windows of a Swin Transformer are cut by index tables that are made for one size of picture. A graph that takes any
size has to make its windows itself, at run time. So its attention becomes one operator with a shape and no arithmetic
while it is traced, and :func:`window_attention_onnx` says in ONNX's operators what it computes.

Ze Liu et al., "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows", ICCV 2021.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, cast

import torch
import torchvision
from torch import Tensor, nn

from arena.nets.ben2 import positional_code
from arena.nets.birefnet import resize_matrix
from arena.nets.deform import DeformableBranch, DeformableConv
from arena.nets.swin import HEAD_DIM, SwinBlock, SwinStage, window_plan

if TYPE_CHECKING:
    from collections.abc import Callable

    from onnxscript.values import Opset

    Value = Any
    """A value of the graph that is being built."""

torch.library.define(
    "arena::window_attention",
    "(Tensor x, Tensor position_bias, Tensor qkv_weight, Tensor qkv_bias, Tensor proj_weight, Tensor proj_bias, "
    "int window, int shift) -> Tensor",
)


@torch.library.register_fake("arena::window_attention")  # type: ignore[untyped-decorator]
def _shape_of_window_attention(x: Tensor, *_parameters: Tensor | int) -> Tensor:
    return torch.empty_like(x)


class TraceableBlock(nn.Module):
    """:class:`arena.nets.swin.SwinBlock` around the one operator that attention is while it is traced."""

    def __init__(self, block: SwinBlock) -> None:
        super().__init__()
        self.block = block

    def forward(self, tokens: Tensor, batch: int, height: int, width: int) -> Tensor:
        """Map (batch x height x width) x channels to the same."""
        block, attention = self.block, self.block.attn
        qkv, proj = cast("tuple[nn.Linear, nn.Linear]", (attention.qkv, attention.proj))
        mixed = torch.ops.arena.window_attention(
            block.norm1(tokens).view(batch, height, width, -1),
            attention.position_bias(),
            qkv.weight,
            qkv.bias,
            proj.weight,
            proj.bias,
            attention.window,
            block.shift,
        )
        tokens = tokens + mixed.reshape(tokens.shape)
        return tokens + cast("Tensor", block.mlp(block.norm2(tokens)))


class TraceableDeformableConv(nn.Module):
    """:class:`arena.nets.deform.DeformableConv` with torchvision's operator, which ONNX has as well (DeformConv)."""

    def __init__(self, conv: DeformableConv) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:
        """Map batch x channels x height x width to batch x out x height x width."""
        weight = self.conv.regular_conv.weight
        mask = 2 * torch.sigmoid(self.conv.modulator_conv(x))
        product: Tensor = torchvision.ops.deform_conv2d(
            x, self.conv.offset_conv(x), weight, padding=weight.shape[-1] // 2, mask=mask
        )
        return product


def make_traceable(net: nn.Module) -> nn.Module:
    """Exchange the layers of a network that cannot be exported as they are.

    Args:
        net: A network of ours before its ``prepare()``; it is changed, and cannot be run afterwards, only exported.

    Returns:
        ``net``.
    """
    for module in list(net.modules()):
        if isinstance(module, SwinStage):
            module.blocks = nn.ModuleList(TraceableBlock(cast("SwinBlock", block)) for block in module.blocks)
        elif isinstance(module, DeformableBranch):
            module.atrous_conv = cast("DeformableConv", TraceableDeformableConv(module.atrous_conv))
    return net


def forget_tables() -> None:
    """Drop the tables that networks keep between runs: made while one is traced, they hold no numbers."""
    for table in (positional_code, resize_matrix, window_plan):
        table.cache_clear()


def onnx_forms(op: Opset) -> dict[Callable[..., Any], Callable[..., Any]]:
    """How ONNX says the operators of this module.

    Args:
        op: The ONNX operators, of the version that is exported.

    Returns:
        What ``torch.onnx.export`` takes as its ``custom_translation_table``.
    """

    def window_attention(*inputs: Any) -> Any:
        return window_attention_onnx(op, *inputs)

    return {torch.ops.arena.window_attention.default: window_attention}


def window_attention_onnx(
    op: Opset,
    x: Value,
    position_bias: Value,
    qkv_weight: Value,
    qkv_bias: Value,
    proj_weight: Value,
    proj_bias: Value,
    window: int,
    shift: int,
) -> Value:
    """Attention inside shifted windows, for maps of any size.

    Args:
        op: The ONNX operators.
        x: Batch x height x width x channels, normalised.
        position_bias: 1 x heads x window² x window².
        qkv_weight: (3 channels) x channels.
        qkv_bias: 3 channels.
        proj_weight: Channels x channels.
        proj_bias: Channels.
        window: Tokens per side of a window.
        shift: Tokens by which the grid of windows is displaced, 0 for none.

    Returns:
        Batch x height x width x channels.
    """
    tokens = window * window
    size, channels = op.Shape(x, start=1, end=3), op.Shape(x, start=3, end=4)
    counts = op.Div(op.Add(size, _ints(op, window - 1)), _ints(op, window))
    padded = op.Mul(counts, _ints(op, window))
    rows, columns = _both(op, counts)
    pads = op.Concat(_ints(op, 0, 0, 0, 0, 0), op.Sub(padded, size), _ints(op, 0), axis=0)
    y = _roll(op, op.Pad(x, pads), shift)
    cut = op.Concat(_ints(op, -1), rows, _ints(op, window), columns, _ints(op, window), channels, axis=0)
    y = op.Transpose(op.Reshape(y, cut), perm=[0, 1, 3, 2, 4, 5])
    y = op.Reshape(y, op.Concat(_ints(op, -1, tokens), channels, axis=0))

    qkv = op.Add(op.MatMul(y, op.Transpose(qkv_weight, perm=[1, 0])), qkv_bias)
    qkv = op.Transpose(op.Reshape(qkv, _ints(op, 0, 0, 3, -1, HEAD_DIM)), perm=[2, 0, 3, 1, 4])
    q, k, v = (op.Gather(qkv, op.Constant(value_int=index), axis=0) for index in range(3))
    scale = op.Constant(value_float=HEAD_DIM**-0.5)
    scores = op.Add(op.MatMul(op.Mul(q, scale), op.Transpose(k, perm=[0, 1, 3, 2])), position_bias)
    if shift:
        shape = op.Shape(scores, start=1)
        each = op.Reshape(scores, op.Concat(_ints(op, -1), op.Mul(rows, columns), shape, axis=0))
        scores = op.Reshape(
            op.Add(each, _shift_mask(op, padded, rows, columns, window, shift)),
            op.Concat(_ints(op, -1), shape, axis=0),
        )
    y = op.Transpose(op.MatMul(op.Softmax(scores, axis=-1), v), perm=[0, 2, 1, 3])
    y = op.Add(op.MatMul(op.Reshape(y, _ints(op, 0, 0, -1)), op.Transpose(proj_weight, perm=[1, 0])), proj_bias)

    joined = op.Concat(_ints(op, -1), rows, columns, _ints(op, window, window), channels, axis=0)
    y = op.Transpose(op.Reshape(y, joined), perm=[0, 1, 3, 2, 4, 5])
    y = _roll(op, op.Reshape(y, op.Concat(_ints(op, -1), padded, channels, axis=0)), -shift)
    return op.Slice(y, _ints(op, 0, 0), size, _ints(op, 1, 2))


def _ints(op: Opset, *values: int) -> Value:
    return op.Constant(value_ints=list(values))


def _both(op: Opset, pair: Value) -> tuple[Value, Value]:
    """The two numbers of a list of two, each as a list of one."""
    return op.Slice(pair, _ints(op, 0), _ints(op, 1)), op.Slice(pair, _ints(op, 1), _ints(op, 2))


def _roll(op: Opset, x: Value, by: int) -> Value:
    """``torch.roll(x, (-by, -by), (1, 2))``."""
    if not by:
        return x
    for axis in (1, 2):
        first = op.Slice(x, _ints(op, by), _ints(op, sys.maxsize), _ints(op, axis))
        x = op.Concat(first, op.Slice(x, _ints(op, 0), _ints(op, by), _ints(op, axis)), axis=axis)
    return x


def _shift_mask(op: Opset, padded: Value, rows: Value, columns: Value, window: int, shift: int) -> Value:
    """0 or minus infinity for each pair of tokens of each window, windows x 1 x window² x window²."""
    height, width = _both(op, padded)

    def bands(length: Value) -> Value:
        """0, 1 or 2 for each token of a side: whole windows, and the two parts of the window that the roll joined."""
        whole = op.Squeeze(length)
        at = op.Range(op.Constant(value_int=0), whole, op.Constant(value_int=1))
        beyond = (op.GreaterOrEqual(at, op.Sub(length, _ints(op, reach))) for reach in (window, shift))
        first, second = (op.Cast(part, to=7) for part in beyond)  # 7 is int64
        return op.Add(first, second)

    one, side = _ints(op, 1), _ints(op, window)
    down = op.Reshape(op.Mul(bands(height), _ints(op, 3)), op.Concat(rows, one, side, one, axis=0))
    across = op.Reshape(bands(width), op.Concat(one, columns, one, side, axis=0))
    region = op.Reshape(op.Add(down, across), _ints(op, -1, window * window))
    together = op.Equal(op.Unsqueeze(region, _ints(op, 2)), op.Unsqueeze(region, _ints(op, 1)))
    mask = op.Where(together, op.Constant(value_float=0.0), op.Constant(value_float=float("-inf")))
    return op.Unsqueeze(mask, _ints(op, 1))
