"""Swin Transformer v1, the backbone of BiRefNet and BEN2.

Liu et al., "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows", ICCV 2021. Inference only; the
names in ``state_dict`` are those of the published checkpoints.
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass
from typing import Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from arena.nets.layers import Int8Linear, pack_linear

PATCH = 4
"""Pixels per side of a token of the first stage."""

HEAD_DIM = 32
MLP_RATIO = 4
LAYER_NORM_EPS = 1e-5

MLP_CHUNK_BYTES = 8 << 20
"""Size of the hidden layer computed at once on the CPU: it stays in cache and below the size from which the C library
asks the kernel for fresh pages, which costs as much as the product itself."""


_LINEAR = (nn.Linear, Int8Linear)
"""What a linear layer is before ``prepare()``."""


@dataclass(frozen=True)
class SwinConfig:
    """Sizes of one published Swin Transformer."""

    width: int
    """Channels of the first stage; each later stage doubles them."""
    depths: tuple[int, int, int, int]
    """Blocks of the four stages."""
    window: int
    """Tokens per side of an attention window."""

    @property
    def channels(self) -> tuple[int, int, int, int]:
        """Channels of the four stages."""
        return (self.width, 2 * self.width, 4 * self.width, 8 * self.width)


SWIN_CONFIGS = {
    "swin_v1_t": SwinConfig(width=96, depths=(2, 2, 6, 2), window=7),
    "swin_v1_b": SwinConfig(width=128, depths=(2, 2, 18, 2), window=12),
    "swin_v1_l": SwinConfig(width=192, depths=(2, 2, 18, 2), window=12),
}


@dataclass(frozen=True, eq=False)
class WindowPlan:
    """Where the tokens of a map go when it is cut into windows, and how they come back.

    Windows are ordered by the mask they need, so that all windows of one mask are one slice: a full mask tensor would
    have a copy of one of four patterns for every window and head.
    """

    gather: Tensor
    """int64, windows x window²: the token (row of the flattened batch) that each place in a window takes."""
    padding: Tensor | None
    """int64: the places (rows of the flattened windows) that lie outside the map; None if there are none."""
    scatter: Tensor
    """int64, tokens: the place in the flattened windows from which each token is read back."""
    groups: tuple[tuple[int, int, Tensor | None], ...]
    """First window, end, and bool mask (window² x window², True where attention is allowed) or None for everywhere."""


def relative_position_index(window: int, device: torch.device | str = "cpu") -> Tensor:
    """Row of the bias table for each pair of query and key token of a window.

    Args:
        window: Tokens per side.
        device: Where to make it.

    Returns:
        int64, window² x window².
    """
    row = torch.arange(window, device=device).repeat_interleave(window)
    column = torch.arange(window, device=device).repeat(window)
    row_step = row[:, None] - row[None, :] + window - 1
    return row_step * (2 * window - 1) + column[:, None] - column[None, :] + window - 1


@functools.lru_cache(maxsize=64)
def window_plan(batch: int, height: int, width: int, window: int, shift: int, device: torch.device) -> WindowPlan:
    """Plan the windows of a map, padded at the bottom and right and rolled by ``shift`` towards the top left.

    Args:
        batch: Maps in the batch.
        height: Tokens per column of the map.
        width: Tokens per row of the map.
        window: Tokens per side of a window.
        shift: Tokens by which the window grid is displaced, 0 for none.
        device: Where the index tables shall lie.

    Returns:
        The plan; it is shared, so it must not be written to.
    """
    rows, columns = -(-height // window), -(-width // window)
    # The plan outlives the call, so it must not be made of inference tensors, which autograd would refuse later.
    with torch.inference_mode(False):
        y = (torch.arange(rows * window) + shift) % (rows * window)
        x = (torch.arange(columns * window) + shift) % (columns * window)
        token = y[:, None] * width + x[None, :]
        token[(y >= height)[:, None] | (x >= width)[None, :]] = -1
        token = token.view(rows, window, columns, window).transpose(1, 2).reshape(rows * columns, -1)

        # Only windows of the last row and column hold tokens from both ends of the map after the roll.
        edge = torch.zeros(rows, columns, dtype=torch.int64)
        if shift:
            edge[-1, :] += 1
            edge[:, -1] += 2
        order = torch.argsort(edge.flatten(), stable=True)
        counts = torch.bincount(edge.flatten(), minlength=4).tolist()
        token, groups = token[order], []
        gather = []
        for kind, part in enumerate(torch.split(token, counts)):
            if len(part):
                step = torch.arange(batch).view(-1, 1, 1) * (height * width)
                gather.append(torch.where(part < 0, -1, part + step).flatten(0, 1))
                groups.append((len(part) * batch, _edge_mask(window, shift, kind, device)))
        places = torch.cat(gather)
        outside = (places.flatten() < 0).nonzero().flatten()
        inside = (places.flatten() >= 0).nonzero().flatten()
        scatter = torch.empty(batch * height * width, dtype=torch.int64)
        scatter[places.flatten()[inside]] = inside
        ends = list(itertools.accumulate(count for count, _ in groups))
        return WindowPlan(
            gather=places.clamp_(min=0).to(device),
            padding=outside.to(device) if len(outside) else None,
            scatter=scatter.to(device),
            groups=tuple((end - count, end, mask) for end, (count, mask) in zip(ends, groups, strict=True)),
        )


def _edge_mask(window: int, shift: int, kind: int, device: torch.device) -> Tensor | None:
    """Pairs of tokens that were neighbours before the roll, in a window of the last row (1), column (2) or both (3)."""
    if not kind:
        return None
    wrapped = torch.arange(window) >= window - shift
    part = torch.zeros(window, window, dtype=torch.int64)
    if kind & 1:
        part += wrapped[:, None]
    if kind & 2:
        part += 2 * wrapped[None, :]
    return (part.view(-1, 1) == part.view(1, -1)).to(device)


class WindowAttention(nn.Module):
    """Attention inside windows, with a learnt bias for each relative position."""

    def __init__(self, dim: int, window: int) -> None:
        super().__init__()
        self.heads = dim // HEAD_DIM
        self.window = window
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, self.heads))
        self.register_buffer("relative_position_index", relative_position_index(window))
        self.qkv: nn.Module = nn.Linear(dim, 3 * dim)
        self.proj: nn.Module = nn.Linear(dim, dim)
        # What the forward pass derives from the weights, once they are final.
        self.register_buffer("_position_bias", None, persistent=False)
        self.register_buffer("_qkv_bias", None, persistent=False)
        self._position_bias: Tensor | None
        self._qkv_bias: Tensor | None

    def position_bias(self) -> Tensor:
        """The bias of each head, 1 x heads x window² x window²."""
        if self._position_bias is not None:
            return self._position_bias
        table = self.relative_position_bias_table
        index = relative_position_index(self.window, table.device)
        return table[index.flatten()].T.reshape(1, self.heads, *index.shape)

    def prepare(self) -> None:
        """Fix the weights in the form that runs fastest on their device."""
        if self._position_bias is None and isinstance(self.qkv, _LINEAR) and isinstance(self.proj, _LINEAR):
            self._position_bias = self.position_bias().detach().contiguous()
            self._qkv_bias = cast("Tensor", self.qkv.bias).detach()
            self.qkv, self.proj = pack_linear(self.qkv), pack_linear(self.proj)

    def forward(self, tokens: Tensor, plan: WindowPlan) -> Tensor:
        """Attend within the windows of ``plan``; tokens and result are (batch x height x width) x channels."""
        size = self.window**2
        # A padded token is zero, so its query, key and value are the bias alone: no need to pad before the product.
        windows = self.qkv(tokens).index_select(0, plan.gather.flatten())
        if plan.padding is not None:
            windows[plan.padding] = cast("Tensor", self.qkv.bias if self._qkv_bias is None else self._qkv_bias)
        q, k, v = windows.view(-1, size, 3, self.heads, HEAD_DIM).permute(2, 0, 3, 1, 4)
        position_bias = self.position_bias().to(windows.dtype)
        mixed = []
        for start, end, mask in plan.groups:
            bias = position_bias if mask is None else position_bias.masked_fill(~mask, -torch.inf)
            part = slice(start, end)
            attended = F.scaled_dot_product_attention(
                q[part], k[part], v[part], attn_mask=bias.expand(end - start, -1, -1, -1)
            )
            mixed.append(attended.transpose(1, 2).reshape((end - start) * size, -1))
        del windows, q, k, v
        together = mixed[0] if len(mixed) == 1 else torch.cat(mixed)
        return cast("Tensor", self.proj(together.index_select(0, plan.scatter)))


class Mlp(nn.Module):
    """Two linear layers with an exact GELU between them."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1: nn.Module = nn.Linear(dim, MLP_RATIO * dim)
        self.fc2: nn.Module = nn.Linear(MLP_RATIO * dim, dim)
        self.fused = False

    def prepare(self) -> None:
        """Fix the weights in the form that runs fastest on their device."""
        if isinstance(self.fc1, _LINEAR) and isinstance(self.fc2, _LINEAR):
            self.fc1, self.fc2, self.fused = pack_linear(self.fc1, "gelu"), pack_linear(self.fc2), True

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens x channels to tokens x channels."""
        hidden = self.fc1(x)
        return cast("Tensor", self.fc2(hidden if self.fused else F.gelu(hidden)))


class SwinBlock(nn.Module):
    """Window attention and MLP, each on a normalised copy that is added back."""

    def __init__(self, dim: int, window: int, shift: int) -> None:
        super().__init__()
        self.shift = shift
        self.norm1 = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.attn = WindowAttention(dim, window)
        self.norm2 = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.mlp = Mlp(dim)

    def forward(self, tokens: Tensor, batch: int, height: int, width: int) -> Tensor:
        """Map (batch x height x width) x channels to the same; ``tokens`` is overwritten."""
        # A block shifts by half a window even if the map is no larger than one.
        plan = window_plan(batch, height, width, self.attn.window, self.shift, tokens.device)
        tokens += self.attn(self.norm1(tokens), plan)
        step = self._chunk(tokens)
        for first in range(0, len(tokens), step):
            part = tokens[first : first + step]
            part += self.mlp(self.norm2(part))
        return tokens

    @staticmethod
    def _chunk(tokens: Tensor) -> int:
        if tokens.device.type != "cpu" or torch.compiler.is_compiling():
            return len(tokens)
        return max(1, MLP_CHUNK_BYTES // (MLP_RATIO * tokens.shape[1] * tokens.element_size()))


class PatchMerging(nn.Module):
    """Halve the map and double the channels."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * dim, eps=LAYER_NORM_EPS)
        self.reduction: nn.Module = nn.Linear(4 * dim, 2 * dim, bias=False)

    def prepare(self) -> None:
        """Fix the weights in the form that runs fastest on their device."""
        if isinstance(self.reduction, nn.Linear):
            self.reduction = pack_linear(self.reduction)

    def forward(self, x: Tensor) -> Tensor:
        """Map batch x height x width x channels to half the size, rounded up, and twice the channels."""
        batch, height, width, dim = x.shape
        x = F.pad(x, (0, 0, 0, width % 2, 0, height % 2))
        x = x.view(batch, (height + 1) // 2, 2, (width + 1) // 2, 2, dim)
        # The row within the 2 x 2 neighbourhood varies fastest in the published weights.
        return cast("Tensor", self.reduction(self.norm(x.permute(0, 1, 3, 4, 2, 5).flatten(3))))


class SwinStage(nn.Module):
    """Blocks at one resolution, and the way to the next."""

    def __init__(self, dim: int, depth: int, window: int, last: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            SwinBlock(dim, window, shift=window // 2 if index % 2 else 0) for index in range(depth)
        )
        self.downsample = None if last else PatchMerging(dim)


class PatchEmbedding(nn.Module):
    """Cut a picture into patches of 4 x 4 pixels and make each a token."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, kernel_size=PATCH, stride=PATCH)
        self.norm = nn.LayerNorm(width, eps=LAYER_NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """Map batch x 3 x height x width pixels to batch x height/4 x width/4 x channels, rounded up."""
        height, width = x.shape[-2:]
        if height % PATCH or width % PATCH:
            x = F.pad(x, (0, -width % PATCH, 0, -height % PATCH))
        return cast("Tensor", self.norm(self.proj(x).permute(0, 2, 3, 1).contiguous()))


class SwinTransformer(nn.Module):
    """The backbone: one picture in, maps at strides 4, 8, 16 and 32 out.

    ``state_dict`` has the names ``patch_embed``, ``layers.{stage}.blocks.{block}``, ``layers.{stage}.downsample`` and
    ``norm{stage}`` of the published checkpoints. :meth:`prepare` gives that up for speed.

    Args:
        config: Sizes, or the name of one of :data:`SWIN_CONFIGS`.
        embedding: Whether to return the normalised patch embedding before the four stages' maps, as BEN2 needs it.
    """

    def __init__(self, config: SwinConfig | str, embedding: bool = False) -> None:
        super().__init__()
        self.config = SWIN_CONFIGS[config] if isinstance(config, str) else config
        self.embedding = embedding
        self.patch_embed = PatchEmbedding(self.config.width)
        self.layers = nn.ModuleList(
            SwinStage(dim, depth, self.config.window, last=index == 3)
            for index, (dim, depth) in enumerate(zip(self.config.channels, self.config.depths, strict=True))
        )
        for index, dim in enumerate(self.config.channels):
            self.add_module(f"norm{index}", nn.LayerNorm(dim, eps=LAYER_NORM_EPS))

    def prepare(self) -> Self:
        """Fix the weights in the form that runs fastest on their device and in their data type.

        Call it once the weights are loaded and moved; ``state_dict`` is not the published one afterwards.

        Returns:
            The module itself.
        """
        for module in self.modules():
            if isinstance(module, WindowAttention | Mlp | PatchMerging):
                module.prepare()
        return self

    def forward(self, x: Tensor) -> list[Tensor]:
        """Compute the maps of a picture.

        Args:
            x: Float, batch x 3 x height x width, normalised; any size.

        Returns:
            The normalised maps of the four stages, batch x channels x height x width at 1/4, 1/8, 1/16 and 1/32 of the
            size, rounded up at each step, in channels-last memory; before them the patch embedding if asked for.
        """
        x = self.patch_embed(x)
        maps = [x.permute(0, 3, 1, 2)] if self.embedding else []
        if self.embedding:
            x = x.clone()
        for index, layer in enumerate(self.layers):
            stage = cast("SwinStage", layer)
            batch, height, width, dim = x.shape
            tokens = x.reshape(-1, dim)
            for block in stage.blocks:
                tokens = cast("SwinBlock", block)(tokens, batch, height, width)
            x = tokens.view(batch, height, width, dim)
            maps.append(self.get_submodule(f"norm{index}")(x).permute(0, 3, 1, 2))
            if stage.downsample is not None:
                x = stage.downsample(x)
        return maps
