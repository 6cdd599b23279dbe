"""BiRefNet: high-resolution foreground segmentation and matting.

Zheng et al., "Bilateral Reference for High-Resolution Dichotomous Image Segmentation", CAAI AIR 2024. Inference only,
for the checkpoints with a Swin Transformer v1 (large: general, portrait, matting, HR, dynamic, RMBG 2.0; tiny: lite).
"""

from __future__ import annotations

import functools
from typing import ClassVar, Literal, Self, cast, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from arena.errors import OptionError
from arena.nets.deform import DeformableAspp, PreparedAspp
from arena.nets.layers import exact, fold_batch_norm, make_conv, make_linear, pack_linear
from arena.nets.swin import SWIN_CONFIGS, SwinTransformer

BackboneName = Literal["swin_v1_l", "swin_v1_t"]
PatchOrder = Literal["legacy", "current"]

MULTIPLE = 32
"""Both sides of the input must be multiples of this, the stride of the coarsest map."""

INNER = 64
"""Channels inside each decoder block."""

ASPP_BRANCH = 256
"""Channels of each branch of the deformable pyramid."""

GATE = 16
"""Channels from which a gate is computed."""


def bilerp(x: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    """Resize bilinearly with the corner pixels' centres aligned, the only resize in the network."""
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=True)


def image_to_patches(x: Tensor, size: tuple[int, int] | torch.Size, order: PatchOrder) -> Tensor:
    """Cut a picture into tiles and stack them as channels.

    Args:
        x: Batch x 3 x height x width.
        size: Height and width of a tile; both divide the picture's.
        order: How the channels run: ``current`` is colour, tile row, tile column (slowest first), ``legacy`` is tile
            column, tile row, colour. Checkpoints are trained with one of them and cannot tell which.

    Returns:
        Batch x (3 height/size[0] width/size[1]) x size, in channels-last memory.
    """
    batch, colours, height, width = x.shape
    tiles = x.reshape(batch, colours, height // size[0], size[0], width // size[1], size[1])
    channels = (1, 2, 4) if order == "current" else (4, 2, 1)
    return tiles.permute(0, 3, 5, *channels).reshape(batch, *size, -1).permute(0, 3, 1, 2)


class DecoderBlock(nn.Module):
    """Reduce the channels, look around with the deformable pyramid, widen the channels."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(channels, INNER, 3, padding=1)
        self.dec_att = DeformableAspp(INNER, ASPP_BRANCH)
        self.conv_out = nn.Conv2d(INNER, out, 3, padding=1)
        self.bn_in = nn.BatchNorm2d(INNER)
        self.bn_out = nn.BatchNorm2d(out)

    def forward(self, x: Tensor) -> Tensor:
        """Map batch x channels x height x width to batch x out x height x width."""
        x = F.relu(self.bn_in(self.conv_in(x)))
        return cast("Tensor", self.bn_out(self.conv_out(self.dec_att(x))))


class LateralBlock(nn.Module):
    """A 1 x 1 convolution on the way from the backbone to the decoder."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map batch x channels x height x width to the same."""
        return cast("Tensor", self.conv(x))


class PatchBlock(nn.Module):
    """Two convolutions, nothing between them, of the picture's patches."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, INNER, 3, padding=1)
        self.conv_out = nn.Conv2d(INNER, out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map batch x channels x height x width to batch x out x height x width."""
        return cast("Tensor", self.conv_out(self.conv1(x)))


class Decoder(nn.Module):
    """From the four maps and the picture's patches to logits, from coarse to fine."""

    def __init__(self, channels: tuple[int, int, int, int]) -> None:
        """``channels`` are those of the backbone's doubled maps, coarsest first."""
        super().__init__()
        c0, c1, c2, c3 = channels
        patch_out = {5: c0 // 8, 4: c0 // 8, 3: c1 // 8, 2: c2 // 8, 1: c3 // 8}
        for level, out in patch_out.items():
            tiles = 1 if level == 1 else 2**level
            self.add_module(f"ipt_blk{level}", PatchBlock(3 * tiles * tiles, out))
        for level, source, out in ((4, c0, c1), (3, c1, c2), (2, c2, c3), (1, c3, c3 // 2)):
            self.add_module(f"decoder_block{level}", DecoderBlock(source + patch_out[level + 1], out))
        for level, width in ((4, c1), (3, c2), (2, c3)):
            self.add_module(f"lateral_block{level}", LateralBlock(width))
            gate = nn.Sequential(nn.Conv2d(width, GATE, 3, padding=1), nn.BatchNorm2d(GATE), nn.ReLU())
            self.add_module(f"gdt_convs_{level}", gate)
            self.add_module(f"gdt_convs_attn_{level}", nn.Sequential(nn.Conv2d(GATE, 1, 1)))
        self.conv_out1 = nn.Sequential(nn.Conv2d(c3 // 2 + patch_out[1], 1, 1))

    def forward(self, image: Tensor, maps: list[Tensor], order: PatchOrder) -> Tensor:
        """Map the picture and its four maps, finest first, to logits, batch x 1 x height x width."""
        decoded = maps[3]
        for level in (4, 3, 2, 1):
            patches = image_to_patches(image.to(decoded.dtype), decoded.shape[-2:], order)
            fused = torch.cat((decoded, self.get_submodule(f"ipt_blk{level + 1}")(patches)), 1)
            decoded = self.get_submodule(f"decoder_block{level}")(fused)
            if level > 1:
                gate = self.get_submodule(f"gdt_convs_{level}")(decoded)
                decoded = decoded * torch.sigmoid(self.get_submodule(f"gdt_convs_attn_{level}")(gate))
                side = maps[level - 2]
                decoded = bilerp(decoded, side.shape[-2:]) + self.get_submodule(f"lateral_block{level}")(side)
        last = cast("nn.Conv2d", self.conv_out1[0])
        decoded = bilerp(decoded.to(last.weight.dtype), image.shape[-2:])
        patches = self.get_submodule("ipt_blk1")(image.to(last.weight.dtype))
        return cast("Tensor", last(torch.cat((decoded, patches), 1)))


class BiRefNet(nn.Module):
    """BiRefNet for inference.

    ``state_dict`` has the names and shapes of the published files without the twelve tensors that only training needs.
    The module is made in evaluation mode without gradients. To have it quickly and at its fastest, see
    :func:`arena.nets.state.load_state`: build on the meta device, load, move, then :meth:`prepare`.

    Args:
        backbone: Swin Transformer v1, large or tiny.
        patch_order: The channel order of the picture's patches that the checkpoint was trained with: ``legacy`` until
            about the end of 2024 (RMBG 2.0 and lite for certain), ``current`` after it.

    Raises:
        OptionError: There is no such backbone or order.
    """

    training_only: ClassVar[tuple[str, ...]] = ("decoder.conv_ms_spvn_", "decoder.gdt_convs_pred_")
    """Beginnings of the names of tensors that published files have and inference does not use."""

    full_precision: ClassVar[tuple[str, ...]] = ("decoder.ipt_blk1.", "decoder.conv_out1.")
    """Beginnings of the names of tensors that work in float32 whatever the network's data type."""

    def __init__(self, backbone: BackboneName = "swin_v1_l", patch_order: PatchOrder = "current") -> None:
        super().__init__()
        for value, choices, name in (
            (backbone, get_args(BackboneName), "backbone"),
            (patch_order, get_args(PatchOrder), "patch_order"),
        ):
            if value not in choices:
                raise OptionError(f"There is no {name} {value!r}.", f"Choose one of {', '.join(choices)}.")
        self.patch_order: PatchOrder = patch_order
        self.bb = SwinTransformer(SWIN_CONFIGS[backbone])
        # The backbone sees the picture at full and at half size, so the decoder sees each map twice as wide.
        d1, d2, d3, d4 = (2 * dim for dim in SWIN_CONFIGS[backbone].channels)
        self.squeeze_module: nn.Sequential | PreparedBlock = nn.Sequential(DecoderBlock(d1 + d2 + d3 + d4, d4))
        self.decoder: Decoder | PreparedDecoder = Decoder((d4, d3, d2, d1))
        self.eval().requires_grad_(False)

    @property
    def prepared(self) -> bool:
        """Whether :meth:`prepare` has been called."""
        return isinstance(self.decoder, PreparedDecoder)

    def prepare(self) -> Self:
        """Fold, fuse and pack the weights into the form that runs fastest where they are.

        Call it once, after the weights are loaded and moved to their device and data type: afterwards ``state_dict`` is
        not the published one and the module cannot be moved. float32, and bfloat16 where the CPU multiplies it in
        hardware, are for the CPU; float16 is for CUDA.

        Returns:
            The module itself.
        """
        if isinstance(self.squeeze_module, nn.Sequential) and isinstance(self.decoder, Decoder):
            self.bb.prepare()
            self.squeeze_module = PreparedBlock(cast("DecoderBlock", self.squeeze_module[0]))
            self.decoder = PreparedDecoder(self.decoder)
            self.requires_grad_(False)
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Compute the logits of the foreground.

        Args:
            x: Float, batch x 3 x height x width, RGB normalised by ImageNet's mean and standard deviation; sides are
                multiples of 32 (of 64 preferably), each on its own.

        Returns:
            Logits, float32, batch x 1 x height x width; their sigmoid is the alpha.

        Raises:
            OptionError: The shape is not one that the network takes.
        """
        height, width = check_input(x)
        dtype = self.bb.patch_embed.proj.weight.dtype
        half = bilerp(x, (height // 2, width // 2)).to(dtype)
        coarse = self.bb(half)
        fine = self.bb(x.to(dtype))
        if isinstance(self.decoder, PreparedDecoder):
            squeezed = self.squeeze_module(context(fine, coarse))
            return cast("Tensor", self.decoder(x, squeezed, fine[:3], coarse[:3], self.patch_order))
        maps = [torch.cat((f, bilerp(g, f.shape[-2:])), 1) for f, g in zip(fine, coarse, strict=True)]
        size = maps[3].shape[-2:]
        squeezed = self.squeeze_module(torch.cat([bilerp(side, size) for side in maps[:3]] + maps[3:], 1))
        return cast("Tensor", self.decoder(x, [*maps[:3], squeezed], self.patch_order)).float()


def check_input(x: Tensor) -> tuple[int, int]:
    """Height and width of an input that the network takes.

    Raises:
        OptionError: It is not a float batch x 3 x height x width with sides that are multiples of 32.
    """
    if x.dim() != 4 or x.shape[1] != 3 or not x.is_floating_point():
        raise OptionError(
            f"BiRefNet takes a float batch x 3 x height x width, not {x.dtype} {' x '.join(map(str, x.shape))}.",
            "Normalise the picture and put the colours before the rows.",
        )
    height, width = x.shape[-2:]
    if not height or not width or height % MULTIPLE or width % MULTIPLE:
        raise OptionError(
            f"BiRefNet takes sides that are multiples of {MULTIPLE}, not {width} x {height} (width x height).",
            f"Resize or pad the picture to multiples of {MULTIPLE}.",
        )
    return height, width


@functools.lru_cache(maxsize=64)
def resize_matrix(source: int, target: int) -> Tensor:
    """One axis of :func:`bilerp` as a matrix, target x source, float32 on the CPU."""
    with torch.inference_mode(False):
        step = (source - 1) / (target - 1) if target > 1 else 0.0
        distance = (exact(torch.arange(target))[:, None] * step - torch.arange(source)[None, :]).abs()
        return (1 - distance).clamp_(min=0).float()


def bilerp_twice(x: Tensor, middle: tuple[int, int] | torch.Size, size: tuple[int, int] | torch.Size) -> Tensor:
    """``bilerp(bilerp(x, middle), size)`` without the map in the middle; channels-last memory in and out."""
    rows, columns = (
        (resize_matrix(mid, end) @ resize_matrix(start, mid)).to(x)
        for start, mid, end in zip(x.shape[-2:], middle, size, strict=True)
    )
    batch, channels, height, width = x.shape
    last = x.permute(0, 2, 3, 1).reshape(batch, height, width * channels)
    fewer_rows = (rows @ last).view(batch, len(rows), width, channels)
    return (columns @ fewer_rows).permute(0, 3, 1, 2)


def context(fine: list[Tensor], coarse: list[Tensor]) -> Tensor:
    """The coarsest doubled map with all finer ones, shrunk to its size, before it."""
    size = fine[3].shape[-2:]
    parts: list[Tensor] = []
    for f, g in zip(fine[:3], coarse[:3], strict=True):
        parts += [bilerp(f, size), bilerp_twice(g, f.shape[-2:], size)]
    return torch.cat([*parts, fine[3], bilerp(coarse[3], size)], 1).contiguous(memory_format=torch.channels_last)


class PreparedBlock(nn.Module):
    """:class:`DecoderBlock` with its weights final.

    Args:
        block: The published block.
        patches: The block of the picture's patches that the input ends with, None if it does not.
    """

    def __init__(self, block: DecoderBlock, patches: PatchBlock | None = None) -> None:
        super().__init__()
        weight, bias = fold_batch_norm(block.conv_in.weight, block.conv_in.bias, block.bn_in)
        split = weight.shape[1] - (patches.conv_out.out_channels if patches else 0)
        # A convolution of two stacked maps is the sum of one of each: the stack need not be made.
        self.conv_in = make_conv(weight[:, :split], bias)
        self.patches = patches and nn.Sequential(
            make_conv(patches.conv1.weight, patches.conv1.bias),
            make_conv(patches.conv_out.weight, patches.conv_out.bias),
            make_conv(weight[:, split:], None),
        )
        self.dec_att = PreparedAspp(block.dec_att)
        self.conv_out = make_conv(*fold_batch_norm(block.conv_out.weight, block.conv_out.bias, block.bn_out))

    def forward(self, x: Tensor, patches: Tensor | None = None) -> Tensor:
        """Map batch x channels x height x width, and the picture's patches of that size, to batch x out x ..."""
        x = self.conv_in(x)
        if self.patches is not None:
            x += self.patches(patches)
        return cast("Tensor", self.conv_out(self.dec_att(F.relu_(x))))


class PreparedLateral(nn.Module):
    """:class:`LateralBlock` for the two halves of a doubled map apart.

    A 1 x 1 convolution and a bilinear resize commute, so the coarse half is convolved before it grows, and grows
    together with the decoder's map, which has the same size.
    """

    def __init__(self, lateral: LateralBlock) -> None:
        super().__init__()
        fine, coarse = lateral.conv.weight.chunk(2, dim=1)
        self.fine = pack_linear(make_linear(fine, lateral.conv.bias))
        self.coarse = pack_linear(make_linear(coarse, None))

    def forward(self, decoded: Tensor, fine: Tensor, coarse: Tensor) -> Tensor:
        """Grow ``decoded``, which is overwritten, to the size of ``fine`` and add the lateral maps."""
        decoded += self.coarse(coarse.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        grown = bilerp(decoded, fine.shape[-2:])
        grown += self.fine(fine.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return grown


class PreparedGate(nn.Module):
    """The gate of a decoder level: one factor for each pixel."""

    def __init__(self, convs: nn.Module, attention: nn.Module) -> None:
        super().__init__()
        conv, norm = cast("tuple[nn.Conv2d, nn.BatchNorm2d]", (convs[0], convs[1]))  # type: ignore[index]
        self.conv = make_conv(*fold_batch_norm(conv.weight, conv.bias, norm))
        self.attention = attention

    def forward(self, x: Tensor) -> Tensor:
        """Multiply ``x``, which is overwritten, by its gate."""
        return x.mul_(torch.sigmoid_(self.attention(F.relu_(self.conv(x)))))


class PreparedImageHead(nn.Module):
    """The finest patch block, whose patch is the picture itself, and its part of the last convolution, in float32.

    Two convolutions of 3 x 3 with nothing between them are one of 5 x 5, except along the border: there the second sees
    zeros where the one of 5 x 5 sees what the first makes of the padding. So the outermost pixels take two steps.
    """

    def __init__(self, block: PatchBlock, last: Tensor, bias: Tensor | None) -> None:
        """``last`` is 1 x channels x 1 x 1, the weight with which ``block`` enters the last convolution."""
        super().__init__()
        first, second = block.conv1, block.conv_out
        mixed, shift = _mix_outputs(second, last, bias)
        device = first.weight.device
        self.first = make_conv(first.weight.float(), _float(first.bias))
        self.second = make_conv(mixed.to(device, torch.float32), shift.to(device, torch.float32))
        both = F.conv_transpose2d(mixed, exact(first.weight))
        if first.bias is not None:
            shift = shift + mixed.sum((2, 3)) @ exact(first.bias)
        self.both = make_conv(both.to(device, torch.float32), shift.to(device, torch.float32))

    def forward(self, image: Tensor) -> Tensor:
        """Map batch x 3 x height x width to batch x 1 x height x width."""
        image = image.float()
        logits: Tensor = self.both(image)
        for axis in (2, 3):
            for outermost, start in ((0, 0), (-1, image.shape[axis] - 3)):
                strip = self.second(self.first(image.narrow(axis, start, 3)))
                logits.select(axis, outermost).copy_(strip.select(axis, outermost))
        return logits


def _mix_outputs(conv: nn.Conv2d, last: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    """Weight and bias, exact, of a convolution followed by a 1 x 1 convolution to one channel."""
    mixer = exact(last).flatten()
    weight = torch.einsum("o,oikl->ikl", mixer, exact(conv.weight)).unsqueeze(0)
    shift = mixer.new_zeros(1) if bias is None else exact(bias)
    return weight, shift if conv.bias is None else shift + mixer @ exact(conv.bias)


def _float(bias: Tensor | None) -> Tensor | None:
    return None if bias is None else bias.float()


class PreparedDecoder(nn.Module):
    """:class:`Decoder` with its weights final; neither doubled maps nor stacks of maps are made."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        part = decoder.get_submodule
        self.blocks = nn.ModuleList(
            PreparedBlock(
                cast("DecoderBlock", part(f"decoder_block{level}")),
                cast("PatchBlock", part(f"ipt_blk{level + 1}")),
            )
            for level in (4, 3, 2, 1)
        )
        self.laterals = nn.ModuleList(
            PreparedLateral(cast("LateralBlock", part(f"lateral_block{level}"))) for level in (4, 3, 2)
        )
        self.gates = nn.ModuleList(
            PreparedGate(part(f"gdt_convs_{level}"), part(f"gdt_convs_attn_{level}")) for level in (4, 3, 2)
        )
        last = cast("nn.Conv2d", decoder.conv_out1[0])
        finest = cast("PreparedBlock", self.blocks[3])
        width = finest.conv_out.out_channels
        # A 1 x 1 convolution and a bilinear resize commute: one channel grows to the picture's size, not a hundred.
        weight, bias = _mix_outputs(finest.conv_out, last.weight[:, :width], last.bias)
        target = finest.conv_out.weight
        finest.conv_out = make_conv(weight.to(target), bias.to(target))
        self.image_head = PreparedImageHead(cast("PatchBlock", part("ipt_blk1")), last.weight[:, width:], None)

    def forward(
        self, image: Tensor, decoded: Tensor, fine: list[Tensor], coarse: list[Tensor], order: PatchOrder
    ) -> Tensor:
        """Map the picture, the squeezed map and the maps of both sizes (emptied on the way) to float32 logits."""
        for index, block in enumerate(self.blocks):
            patches = image_to_patches(image.to(decoded.dtype), decoded.shape[-2:], order)
            decoded = block(decoded, patches)
            if index < len(self.gates):
                decoded = self.gates[index](decoded)
                decoded = self.laterals[index](decoded, fine.pop(), coarse.pop())
        return bilerp(decoded.float(), image.shape[-2:]).add_(self.image_head(image))
