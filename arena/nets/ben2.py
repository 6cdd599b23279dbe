"""BEN2 (Base): foreground segmentation from four quadrants and the whole picture at once.

Meyer and Spruyt, "BEN: Using Confidence-Guided Matting for Dichotomous Image Segmentation", 2025; the released network
is built on the multi-view scheme of Yu et al., "Multi-view Aggregation Network for Dichotomous Image Segmentation",
CVPR 2024. Inference only; the names in ``state_dict`` are those of the published checkpoint.
"""

from __future__ import annotations

import functools
import math
from typing import ClassVar, Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from arena.errors import OptionError
from arena.nets.layers import exact, pack_linear
from arena.nets.swin import SwinTransformer

WIDTH = 128
"""Channels of everything after the backbone."""

SIDE_MULTIPLE = 128
"""Height and width must be multiples: the coarsest map of a quadrant (1/64) is itself cut into quadrants."""

GLOBAL_POOLS = (1, 4, 8)
"""Pooling ratios of the stitched locals that the global view looks at."""

LOCAL_POOLS = (2, 4, 8)
"""Pooling ratios of a quadrant of the global view that a local view looks at."""

INSTANCE_NORM_EPS = 1e-5
LAYER_NORM_EPS = 1e-5

CHUNK_BYTES = 2 << 20
"""How much of a map the element-wise steps take at once on the CPU: it stays in cache from one step to the next."""

SCORES_BYTES = 4 << 20
"""Size of the block of attention scores held at once in bfloat16 on the CPU."""


def split_quadrants(x: Tensor) -> Tensor:
    """Cut maps into four quadrants: 1 x C x 2h x 2w to 4 x C x h x w, row by row."""
    _, channels, height, width = x.shape
    parts = x.view(channels, 2, height // 2, 2, width // 2).permute(1, 3, 0, 2, 4)
    return parts.reshape(4, channels, height // 2, width // 2).contiguous(memory_format=torch.channels_last)


def stitch_quadrants(x: Tensor) -> Tensor:
    """Undo :func:`split_quadrants`: 4 x C x h x w to 1 x C x 2h x 2w."""
    _, channels, height, width = x.shape
    rows = x.permute(0, 2, 3, 1).view(2, 2, height, width, channels).permute(0, 2, 1, 3, 4)
    return rows.reshape(1, 2 * height, 2 * width, channels).permute(0, 3, 1, 2)


def to_tokens(x: Tensor) -> Tensor:
    """Flatten maps row by row: B x C x h x w to B x hw x C, without a copy if ``x`` is channels-last."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)


def to_map(tokens: Tensor, height: int, width: int) -> Tensor:
    """Undo :func:`to_tokens`; the map is channels-last."""
    return tokens.view(len(tokens), height, width, -1).permute(0, 3, 1, 2)


def pooled_tokens(x: Tensor, height: int, width: int, ratios: tuple[int, ...]) -> list[Tensor]:
    """Tokens of ``x`` pooled to ``height`` x ``width`` over each ratio; a level that would vanish has none.

    Args:
        x: 1 x C x any height x any width.
        height: What the ratios divide; the quotient is rounded half to even.
        width: As ``height``.
        ratios: One level each.

    Returns:
        For each level 1 x tokens x C.
    """
    sizes = [(round(height / ratio), round(width / ratio)) for ratio in ratios]
    return [to_tokens(F.adaptive_avg_pool2d(x, size)) for size in sizes if 0 not in size]


@functools.lru_cache(maxsize=32)
def positional_code(height: int, width: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """The fixed sine code of each token of a map.

    Args:
        height: Tokens per column.
        width: Tokens per row.
        device: Where to make it.
        dtype: Its data type; it is computed in float64.

    Returns:
        1 x (height · width) x 128: the row in the first half of the channels, the column in the second. It is shared,
        so it must not be written to.
    """
    # It outlives the call, so it must not be an inference tensor.
    with torch.inference_mode(False):
        channel = exact(torch.arange(WIDTH // 2))
        period = 10_000.0 ** (2 * (channel // 2) / (WIDTH // 2))

        def line(length: int) -> Tensor:
            angle = 2 * math.pi * (exact(torch.arange(length)) + 0.5) / (length + 1e-6)
            phase = angle[:, None] / period
            return torch.where(channel % 2 == 0, phase.sin(), phase.cos())

        rows = line(height)[:, None].expand(-1, width, -1)
        columns = line(width)[None].expand(height, -1, -1)
        return torch.cat((rows, columns), dim=2).view(1, height * width, WIDTH).to(device, dtype)


def _in_chunks(x: Tensor) -> bool:
    """Whether cache size matters where ``x`` lies."""
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


def _chunk_rows(rows: Tensor) -> int:
    return max(1, CHUNK_BYTES // (rows.shape[1] * rows.element_size()))


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Scaled dot-product attention with one head.

    Args:
        query: 1 x tokens x C.
        key: 1 x tokens x C.
        value: 1 x tokens x C.

    Returns:
        1 x query tokens x C.
    """
    if query.dtype != torch.bfloat16 or not _in_chunks(query):
        # Without a dimension of heads the fused kernels do not apply.
        return F.scaled_dot_product_attention(query[:, None], key[:, None], value[:, None])[:, 0]
    # torch's fused kernel multiplies no faster in bfloat16 than in float32; oneDNN's products do.
    transposed = (key[0] / math.sqrt(key.shape[2])).t()
    rows = max(1, SCORES_BYTES // (key.shape[1] * key.element_size()))
    return torch.cat(
        [torch.mm(torch.mm(part, transposed).softmax(-1), value[0]) for part in torch.split(query[0], rows)]
    )[None]


def instance_statistics(maps: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of each channel over several pieces of one map.

    Args:
        maps: Pieces, tokens x C each.

    Returns:
        Mean and variance, C each, float32.
    """
    count, total, deviation = 0, torch.zeros(0), torch.zeros(0)
    # Apple's GPUs have no float64; there, as on CUDA, the pieces are few.
    wide = torch.float64 if maps[0].device.type == "cpu" else torch.float32
    for piece in maps:
        for part in torch.split(piece, _chunk_rows(piece) if _in_chunks(piece) else len(piece)):
            values = part.float()
            mean = values.mean(0)
            spread = (values - mean).square_().sum(0).to(wide)
            mean = mean.to(wide)
            if not count:
                count, total, deviation = len(part), mean * len(part), spread
                continue
            # Pairwise update of Chan, Golub and LeVeque: no cancellation, whatever the mean.
            step = mean - total / count
            deviation += spread + step.square() * (count * len(part) / (count + len(part)))
            total += mean * len(part)
            count += len(part)
    return (total / count).float(), (deviation / count).float()


def normalise_gelu(x: Tensor) -> Tensor:
    """Instance normalisation without parameters, then GELU.

    Args:
        x: B x C x H x W, channels-last; it is overwritten on the CPU.

    Returns:
        The same shape.
    """
    if not _in_chunks(x):
        return F.gelu(F.instance_norm(x, eps=INSTANCE_NORM_EPS))
    for tokens in to_tokens(x):
        scale, shift = _scale_and_shift([tokens])
        for part in torch.split(tokens, _chunk_rows(tokens)):
            torch.addcmul(shift, part, scale, out=part)
            torch.ops.aten.gelu_(part)
    return x


def _scale_and_shift(pieces: list[Tensor]) -> tuple[Tensor, Tensor]:
    """What a channel is multiplied by, and what is then added, to normalise it."""
    mean, variance = instance_statistics(pieces)
    scale = torch.rsqrt(variance + INSTANCE_NORM_EPS)
    return scale.to(pieces[0].dtype), (-mean * scale).to(pieces[0].dtype)


def doubling_kernels(weight: Tensor) -> list[Tensor]:
    """The kernels with which a 3 x 3 convolution of a map enlarged twice by repetition works on the small map.

    Each pixel of the enlarged map sees only 2 x 2 different pixels of the small one, so 4 instead of 9 products do.

    Args:
        weight: out x in x 3 x 3.

    Returns:
        Four times out x in x 2 x 2, for the even and odd rows and columns (even-even, even-odd, odd-even, odd-odd).
    """
    first, middle, last = exact(weight).unbind(2)
    kernels = []
    for rows in ((first, middle + last), (first + middle, last)):
        left, centre, right = torch.stack(rows, dim=2).unbind(3)
        for columns in ((left, centre + right), (left + centre, right)):
            kernel = torch.stack(columns, dim=3).to(weight)
            kernels.append(kernel.contiguous(memory_format=torch.channels_last))
    return kernels


def averaging_kernel(weight: Tensor) -> Tensor:
    """The 4 x 4 kernel of a 3 x 3 convolution followed by the mean of 2 x 2 neighbours; out x in x 4 x 4."""
    wide = exact(weight)
    total = sum(F.pad(wide, (column, 1 - column, row, 1 - row)) for row in (0, 1) for column in (0, 1))
    return (cast("Tensor", total) / 4).to(weight).contiguous(memory_format=torch.channels_last)


class ConvNormGelu(nn.Sequential):
    """3 x 3 convolution, instance normalisation, GELU."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(nn.Conv2d(channels_in, channels_out, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        """Map B x C x H x W to the same height and width."""
        # The normalisation subtracts the bias again.
        return normalise_gelu(F.conv2d(x, cast("nn.Conv2d", self[0]).weight, padding=1))


class DoublingConv(nn.Sequential):
    """Enlarge twice by repetition, 3 x 3 convolution, instance normalisation, GELU."""

    def __init__(self, channels: int) -> None:
        super().__init__(nn.Conv2d(channels, channels, 3, padding=1))
        self._kernels: list[Tensor] = []

    def prepare(self) -> None:
        """Fix the kernels of the four phases."""
        self._kernels = doubling_kernels(cast("nn.Conv2d", self[0]).weight.detach())

    def phases(self, x: Tensor) -> list[Tensor]:
        """The enlarged and convolved map before the normalisation.

        Args:
            x: 1 x C x h x w, channels-last.

        Returns:
            Its pixels at even-even, even-odd, odd-even and odd-odd places, 1 x C x h x w each.
        """
        kernels = self._kernels or doubling_kernels(cast("nn.Conv2d", self[0]).weight)
        return [
            F.conv2d(F.pad(x, (1 - column, column, 1 - row, row)), kernel)
            for kernel, (row, column) in zip(kernels, ((0, 0), (0, 1), (1, 0), (1, 1)), strict=True)
        ]

    def forward(self, x: Tensor) -> Tensor:
        """Map 1 x C x h x w to 1 x C x 2h x 2w."""
        batch, channels, height, width = x.shape
        whole = x.new_empty(batch, 2 * height, 2 * width, channels)
        for index, phase in enumerate(self.phases(x)):
            whole[:, index // 2 :: 2, index % 2 :: 2] = phase.permute(0, 2, 3, 1)
        return normalise_gelu(whole.permute(0, 3, 1, 2))


class CrossAttention(nn.Module):
    """One-headed attention under the parameter names of ``nn.MultiheadAttention``."""

    def __init__(self) -> None:
        super().__init__()
        self.in_proj_weight = nn.Parameter(torch.zeros(3 * WIDTH, WIDTH))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * WIDTH))
        self.out_proj = nn.Linear(WIDTH, WIDTH)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Attend; all three are 1 x tokens x 128, the result has the query's shape."""
        weights, biases = self.in_proj_weight.chunk(3), self.in_proj_bias.chunk(3)
        # Attention weights sum to one, so the last projection may be done on the values, fewer than the queries.
        projected = self.out_proj(F.linear(value, weights[2], biases[2]))
        return attend(F.linear(query, weights[0], biases[0]), F.linear(key, weights[1], biases[1]), projected)


def _feed_forward(tokens: Tensor, widen: nn.Module, narrow: nn.Module, norm: nn.LayerNorm, fused: bool) -> Tensor:
    """``norm(tokens + narrow(GELU(widen(tokens))))``; ``fused`` tells that ``widen`` does the GELU itself."""
    out = torch.empty_like(tokens)
    flat = tokens.flatten(0, 1)
    rows = _chunk_rows(flat) if _in_chunks(flat) else len(flat)
    for part, target in zip(torch.split(flat, rows), torch.split(out.flatten(0, 1), rows), strict=True):
        hidden = widen(part)
        target.copy_(norm(part + narrow(hidden if fused else F.gelu(hidden))))
    return out


class GlobalLocalExchange(nn.Module):
    """The coarsest maps: the global view looks at the locals, then each local at its quadrant of the global (MCLM)."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.ModuleList(CrossAttention() for _ in range(5))
        self.linear1: nn.Module = nn.Linear(WIDTH, 2 * WIDTH)
        self.linear2: nn.Module = nn.Linear(2 * WIDTH, WIDTH)
        self.linear3: nn.Module = nn.Linear(WIDTH, 2 * WIDTH)
        self.linear4: nn.Module = nn.Linear(2 * WIDTH, WIDTH)
        self.norm1 = nn.LayerNorm(WIDTH, eps=LAYER_NORM_EPS)
        self.norm2 = nn.LayerNorm(WIDTH, eps=LAYER_NORM_EPS)
        self.fused = False

    def prepare(self) -> None:
        """Fix the weights in the form that runs fastest on their device."""
        self.linear1, self.linear2 = _packed_pair(self.linear1, self.linear2)
        self.linear3, self.linear4 = _packed_pair(self.linear3, self.linear4)
        self.fused = True

    def forward(self, x: Tensor) -> Tensor:
        """Map the four locals and the global, 5 x 128 x h x w, to their refreshed forms."""
        height, width = x.shape[-2:]
        locals_, view = x[:4], to_tokens(x[4:])

        def code(rows: int, columns: int) -> Tensor:
            return positional_code(rows, columns, x.device, x.dtype)

        sizes = [(round(height / ratio), round(width / ratio)) for ratio in GLOBAL_POOLS]
        values = torch.cat(pooled_tokens(stitch_quadrants(locals_), height, width, GLOBAL_POOLS), dim=1)
        codes = torch.cat([code(*size) for size in sizes if 0 not in size], dim=1)
        view = self.norm1(view + self.attention[0](view + code(height, width), values + codes, values))
        view = _feed_forward(view, self.linear1, self.linear2, self.norm2, self.fused)

        refreshed = []
        quadrants = to_tokens(split_quadrants(to_map(view, height, width)))
        for index, local in enumerate(to_tokens(locals_)):
            tokens, seen = local[None], quadrants[index : index + 1]
            tokens = self.norm1(tokens + self.attention[index + 1](tokens, seen, seen))
            refreshed.append(_feed_forward(tokens, self.linear3, self.linear4, self.norm2, self.fused))
        return to_map(torch.cat((*refreshed, view)), height, width)


class LocalRefinement(nn.Module):
    """Each local map, gated by the global view's saliency, looks at its quadrant of the global view (MCRM)."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.ModuleList(CrossAttention() for _ in range(4))
        self.linear3: nn.Module = nn.Linear(WIDTH, 2 * WIDTH)
        self.linear4: nn.Module = nn.Linear(2 * WIDTH, WIDTH)
        self.norm1 = nn.LayerNorm(WIDTH, eps=LAYER_NORM_EPS)
        self.norm2 = nn.LayerNorm(WIDTH, eps=LAYER_NORM_EPS)
        self.sal_conv = nn.Conv2d(WIDTH, 1, 1)
        self.fused = False

    def prepare(self) -> None:
        """Fix the weights in the form that runs fastest on their device."""
        self.linear3, self.linear4 = _packed_pair(self.linear3, self.linear4)
        self.fused = True

    def forward(self, x: Tensor) -> Tensor:
        """Map the four locals and the global, 5 x 128 x h x w, to their refined forms; ``x`` is overwritten."""
        height, width = x.shape[-2:]
        view = x[4:]
        gate = torch.sigmoid(self.sal_conv(view))
        gates = split_quadrants(F.interpolate(gate, scale_factor=2.0, mode="nearest"))
        quadrants = split_quadrants(view)
        for index in range(4):
            seen = torch.cat(pooled_tokens(quadrants[index : index + 1], height, width, LOCAL_POOLS), dim=1)
            tokens = to_tokens(x[index : index + 1] * gates[index : index + 1])
            tokens = self.norm1(tokens + self.attention[index](tokens, seen, seen))
            refined = _feed_forward(tokens, self.linear3, self.linear4, self.norm2, self.fused)
            x[index : index + 1] = to_map(refined, height, width)
        # The even rows and columns: what nearest-neighbour halving takes.
        view += stitch_quadrants(x[:4])[:, :, ::2, ::2]
        return x


def _packed_pair(widen: nn.Module, narrow: nn.Module) -> tuple[nn.Module, nn.Module]:
    return pack_linear(cast("nn.Linear", widen), "gelu"), pack_linear(cast("nn.Linear", narrow))


class MaskHead(nn.Sequential):
    """Three 3 x 3 convolutions, the first two normalised and activated."""

    def __init__(self) -> None:
        hidden = 3 * WIDTH
        # The places between them are the published network's normalisations and activations, which have no parameters.
        super().__init__(
            nn.Conv2d(WIDTH, hidden, 3, padding=1),
            nn.Identity(),
            nn.Identity(),
            nn.Conv2d(hidden, hidden, 3, padding=1),
            nn.Identity(),
            nn.Identity(),
            nn.Conv2d(hidden, WIDTH, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map 1 x 128 x H x W to the same shape."""
        for index in (0, 3):
            x = normalise_gelu(F.conv2d(x, cast("nn.Conv2d", self[index]).weight, padding=1))
        return cast("Tensor", self[6](x))


class BEN2(nn.Module):
    """BEN2 Base, 94.1 million parameters.

    The network returns the probability of the foreground, so no sigmoid is to follow. It is made in evaluation mode
    without gradients. Load weights with :func:`arena.nets.load_state`, then call :meth:`prepare`.

    The arithmetic is that of the published network in another order: the shallow features, which it computes at full
    resolution only to shrink them, come straight from strided 4 x 4 kernels; the convolutions of enlarged maps work on
    the small ones; biases that an instance normalisation subtracts again are not added.
    """

    training_only: ClassVar[tuple[str, ...]] = ("sideout",)
    """Heads in the published files that only training uses."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = SwinTransformer("swin_v1_b", embedding=True)
        channels = self.backbone.config.channels
        for level, channels_in in enumerate((channels[0], *channels), start=1):
            self.add_module(f"output{level}", ConvNormGelu(channels_in, WIDTH))
        self.multifieldcrossatt = GlobalLocalExchange()
        for level in range(1, 5):
            self.add_module(f"conv{level}", ConvNormGelu(WIDTH, WIDTH))
            self.add_module(f"dec_blk{level}", LocalRefinement())
        self.insmask_head = MaskHead()
        self.shallow = nn.Sequential(nn.Conv2d(3, WIDTH, 3, padding=1))
        self.upsample1 = DoublingConv(WIDTH)
        self.upsample2 = DoublingConv(WIDTH)
        self.output = nn.Sequential(nn.Conv2d(WIDTH, 1, 3, padding=1))
        self._shallow_kernel: Tensor | None = None
        self.eval().requires_grad_(False)

    def prepare(self) -> Self:
        """Fix the weights in the form that runs fastest on their device and in their data type.

        Call it once the weights are loaded and moved; ``state_dict`` is not the published one afterwards. A second call
        does nothing.

        Returns:
            The network itself.
        """
        if self._shallow_kernel is not None:
            return self
        self.to(memory_format=torch.channels_last)
        for module in self.modules():
            if isinstance(module, GlobalLocalExchange | LocalRefinement | DoublingConv | SwinTransformer):
                module.prepare()
        self._shallow_kernel = averaging_kernel(cast("nn.Conv2d", self.shallow[0]).weight.detach())
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Compute the foreground of pictures.

        Args:
            x: Float, batch x 3 x height x width, RGB, normalised with ImageNet's mean and deviation; both sides
                multiples of 128 (the authors use 1024 x 1024).

        Returns:
            float32, batch x 1 x height x width: the probability in [0, 1] of the foreground.

        Raises:
            OptionError: ``x`` is not such a tensor.
        """
        if x.dim() != 4 or x.shape[1] != 3 or 0 in x.shape or not x.is_floating_point():
            raise OptionError(f"BEN2 takes a float tensor batch x 3 x height x width, not {x.dtype} {tuple(x.shape)}.")
        if x.shape[2] % SIDE_MULTIPLE or x.shape[3] % SIDE_MULTIPLE:
            raise OptionError(
                f"BEN2 takes sides that are multiples of {SIDE_MULTIPLE}, not {x.shape[2]} x {x.shape[3]}.",
                "Resize the picture, to 1024 x 1024 as the authors do.",
            )
        x = x.to(self.backbone.patch_embed.norm.weight.dtype)
        # One picture at a time: its five views are batch enough, and memory stays that of one.
        logits = torch.cat([self._logits(picture) for picture in torch.split(x, 1)])
        return torch.sigmoid(logits)

    def _logits(self, x: Tensor) -> Tensor:
        """The foreground logits of one picture, float32."""
        y = self._refine(self._features(x))
        size = (2 * y.shape[2], 2 * y.shape[3])
        z = stitch_quadrants(y[:4]) + F.interpolate(y[4:], size=size, mode="bilinear", align_corners=False)
        del y
        z = self.insmask_head(z)
        z += self._shallow(x, stride=4)
        z = self.upsample1(z)
        z += self._shallow(x, stride=2)
        return self._final(z)

    def _features(self, x: Tensor) -> list[Tensor]:
        """Five levels of 128 channels of the five views, coarsest first."""
        x = x.contiguous(memory_format=torch.channels_last)
        views = torch.cat((split_quadrants(x), F.avg_pool2d(x, 2)))
        maps = self.backbone(views)
        return [self.get_submodule(f"output{level}")(maps.pop()) for level in range(5, 0, -1)]

    def _refine(self, features: list[Tensor]) -> Tensor:
        """Mix the views, coarsest level first; ``features`` is used up."""
        features.reverse()
        y = self.multifieldcrossatt(features.pop())
        for level in range(4, 0, -1):
            finer = features.pop()
            if y.shape[-2:] != finer.shape[-2:]:
                y = F.interpolate(y, size=finer.shape[-2:], mode="bilinear", align_corners=False)
            finer += y
            del y
            y = self.get_submodule(f"conv{level}")(self.get_submodule(f"dec_blk{level}")(finer))
        return cast("Tensor", y)

    def _shallow(self, x: Tensor, stride: int) -> Tensor:
        """The full-resolution convolution of the picture, shrunk bilinearly by 2 or 4, without ever being held."""
        conv = cast("nn.Conv2d", self.shallow[0])
        kernel = averaging_kernel(conv.weight) if self._shallow_kernel is None else self._shallow_kernel
        # Shrinking by 2 averages rows 2i and 2i + 1; by 4, rows 4i + 1 and 4i + 2, so no pixel outside is needed.
        return F.conv2d(x, kernel, conv.bias, stride=stride, padding=1 if stride == 2 else 0)

    def _final(self, z: Tensor) -> Tensor:
        """Enlarge twice and make the one map of logits, without holding the enlarged map in one piece."""
        conv = cast("nn.Conv2d", self.output[0])
        height, width = z.shape[-2:]
        phases = [to_tokens(phase)[0] for phase in self.upsample2.phases(z)]
        scale, shift = _scale_and_shift(phases)
        taps = conv.weight[0].flatten(1)
        # What each pixel gives to each of its nine neighbours; a border takes what leaves the picture.
        given = z.new_zeros(9, 2 * height + 2, 2 * width + 2, dtype=torch.float32)
        for index in range(len(phases)):
            tokens, phases[index] = phases[index], z
            products = z.new_empty(height * width, 9)
            rows = _chunk_rows(tokens) if _in_chunks(tokens) else len(tokens)
            for part, target in zip(torch.split(tokens, rows), torch.split(products, rows), strict=True):
                target.copy_(torch.mm(F.gelu(torch.addcmul(shift, part, scale)), taps))
            inner = given[:, 1 + index // 2 : -1 : 2, 1 + index % 2 : -1 : 2]
            inner.copy_(products.view(height, width, 9).permute(2, 0, 1))
        logits = cast("Tensor", conv.bias).float().expand(2 * height, 2 * width).clone()
        for tap in range(9):
            row, column = divmod(tap, 3)
            logits += given[tap, row : row + 2 * height, column : column + 2 * width]
        return logits[None, None]
