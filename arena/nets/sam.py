"""SAM: transformers' network, from the published files of either naming.

Alexander Kirillov et al., "Segment Anything", 2023, arXiv:2304.02643. The weights exist under two sets of names:
segment-anything's own (``sam_vit_b_01ec64.pth``, and Remback's) and transformers' (``model.safetensors`` of
``facebook/sam-vit-base``). Both load here; the map between them is a table that can be read.
"""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers.models.sam import (
    SamConfig,
    SamMaskDecoderConfig,
    SamModel,
    SamPromptEncoderConfig,
    SamVisionConfig,
)
from transformers.models.sam.modeling_sam import SamVisionSdpaAttention

from arena.errors import CheckpointError
from arena.nets.state import load_state, unwrap

if TYPE_CHECKING:
    from collections.abc import Mapping

Variant = Literal["vit_b", "vit_l", "vit_h"]

DECODER_EPS = 1e-5
"""What the layer normalisations of the mask decoder's two-way blocks add to the variance in the original; transformers
has 1e-6 there, which moves logits by 3e-4."""

DECODER_HEADS = 8
"""Attention heads of the mask decoder: the one number that no tensor's shape tells."""

_ENCODERS: dict[Variant, tuple[int, int, int, tuple[int, ...]]] = {
    "vit_b": (768, 12, 12, (2, 5, 8, 11)),
    "vit_l": (1024, 24, 16, (5, 11, 17, 23)),
    "vit_h": (1280, 32, 16, (7, 15, 23, 31)),
}
"""Width, layers, heads, and the layers that attend over the whole picture."""

_POSITIONS = "shared_image_embedding.positional_embedding"
_POSITIONS_AGAIN = "prompt_encoder.shared_embedding.positional_embedding"

_NAMES = (
    ("image_encoder.pos_embed", "vision_encoder.pos_embed"),
    ("image_encoder.patch_embed.proj.*", "vision_encoder.patch_embed.projection.*"),
    ("image_encoder.blocks.#.norm1.*", "vision_encoder.layers.#.layer_norm1.*"),
    ("image_encoder.blocks.#.norm2.*", "vision_encoder.layers.#.layer_norm2.*"),
    ("image_encoder.blocks.#.attn.*", "vision_encoder.layers.#.attn.*"),
    ("image_encoder.blocks.#.mlp.*", "vision_encoder.layers.#.mlp.*"),
    ("image_encoder.neck.0.*", "vision_encoder.neck.conv1.*"),
    ("image_encoder.neck.1.*", "vision_encoder.neck.layer_norm1.*"),
    ("image_encoder.neck.2.*", "vision_encoder.neck.conv2.*"),
    ("image_encoder.neck.3.*", "vision_encoder.neck.layer_norm2.*"),
    ("prompt_encoder.pe_layer.positional_encoding_gaussian_matrix", _POSITIONS),
    ("prompt_encoder.point_embeddings.#.*", "prompt_encoder.point_embed.#.*"),
    ("prompt_encoder.not_a_point_embed.*", "prompt_encoder.not_a_point_embed.*"),
    ("prompt_encoder.no_mask_embed.*", "prompt_encoder.no_mask_embed.*"),
    ("prompt_encoder.mask_downscaling.0.*", "prompt_encoder.mask_embed.conv1.*"),
    ("prompt_encoder.mask_downscaling.1.*", "prompt_encoder.mask_embed.layer_norm1.*"),
    ("prompt_encoder.mask_downscaling.3.*", "prompt_encoder.mask_embed.conv2.*"),
    ("prompt_encoder.mask_downscaling.4.*", "prompt_encoder.mask_embed.layer_norm2.*"),
    ("prompt_encoder.mask_downscaling.6.*", "prompt_encoder.mask_embed.conv3.*"),
    ("mask_decoder.iou_token.*", "mask_decoder.iou_token.*"),
    ("mask_decoder.mask_tokens.*", "mask_decoder.mask_tokens.*"),
    ("mask_decoder.transformer.layers.#.norm#.*", "mask_decoder.transformer.layers.#.layer_norm#.*"),
    ("mask_decoder.transformer.layers.#.self_attn.*", "mask_decoder.transformer.layers.#.self_attn.*"),
    ("mask_decoder.transformer.layers.#.cross_attn_*", "mask_decoder.transformer.layers.#.cross_attn_*"),
    ("mask_decoder.transformer.layers.#.mlp.*", "mask_decoder.transformer.layers.#.mlp.*"),
    ("mask_decoder.transformer.final_attn_*", "mask_decoder.transformer.final_attn_*"),
    ("mask_decoder.transformer.norm_final_attn.*", "mask_decoder.transformer.layer_norm_final_attn.*"),
    ("mask_decoder.output_upscaling.0.*", "mask_decoder.upscale_conv1.*"),
    ("mask_decoder.output_upscaling.1.*", "mask_decoder.upscale_layer_norm.*"),
    ("mask_decoder.output_upscaling.3.*", "mask_decoder.upscale_conv2.*"),
    ("mask_decoder.output_hypernetworks_mlps.#.layers.0.*", "mask_decoder.output_hypernetworks_mlps.#.proj_in.*"),
    ("mask_decoder.output_hypernetworks_mlps.#.layers.1.*", "mask_decoder.output_hypernetworks_mlps.#.layers.0.*"),
    ("mask_decoder.output_hypernetworks_mlps.#.layers.2.*", "mask_decoder.output_hypernetworks_mlps.#.proj_out.*"),
    ("mask_decoder.iou_prediction_head.layers.0.*", "mask_decoder.iou_prediction_head.proj_in.*"),
    ("mask_decoder.iou_prediction_head.layers.1.*", "mask_decoder.iou_prediction_head.layers.0.*"),
    ("mask_decoder.iou_prediction_head.layers.2.*", "mask_decoder.iou_prediction_head.proj_out.*"),
)
"""Names in segment-anything and in transformers; ``#`` is a number and ``*`` the rest, the same on both sides."""


class HeadwiseAttention(SamVisionSdpaAttention):  # type: ignore[misc]
    """Attention over the whole picture, one head after the other, for inference on a CPU.

    The position bias of all heads together takes 0.8 GB at the published size, twice over since transformers copies it.
    Of one head it takes 64 MB, in memory that the next one uses again: the same numbers, and a layer takes three
    quarters of the time.
    """

    def forward(self, hidden_states: Tensor, output_attentions: bool = False) -> tuple[Tensor, None]:
        """Attend.

        Args:
            hidden_states: Floating, B x H x W x C.
            output_attentions: transformers' own, without effect.

        Returns:
            As large; and None, where transformers' slower class has the weights.
        """
        if torch.is_grad_enabled() or torch.compiler.is_compiling() or hidden_states.device.type != "cpu":
            # Neither gradients nor exporters follow memory that is used again, and a GPU wants all heads at once.
            inherited: tuple[Tensor, None] = super().forward(hidden_states, output_attentions)
            return inherited
        batch, height, width, _ = hidden_states.shape
        heads, area = self.num_attention_heads, height * width
        query, key, value = self.qkv(hidden_states).view(batch, area, 3, heads, -1).permute(2, 0, 3, 1, 4)
        rows = self.get_rel_pos(height, height, self.rel_pos_h)
        columns = self.get_rel_pos(width, width, self.rel_pos_w)
        places = query.reshape(batch, heads, height, width, -1)
        above = torch.einsum("bnhwc,hkc->nbhwk", places, rows)[..., None]
        beside = torch.einsum("bnhwc,wkc->nbhwk", places, columns)[..., None, :]
        bias = above.new_empty(batch, height, width, height, width)
        attended = query.new_empty(batch, area, heads, query.shape[-1])
        for head in range(heads):
            torch.add(above[head], beside[head], out=bias)
            # Heads keep their dimension: the fused kernels want four.
            one = slice(head, head + 1)
            attended[:, :, one] = scaled_dot_product_attention(
                query[:, one], key[:, one], value[:, one], attn_mask=bias.view(batch, 1, area, area)
            ).transpose(1, 2)
        return self.proj(attended.view(hidden_states.shape)), None


class Sam(SamModel):  # type: ignore[misc]
    """transformers' network with a quicker encoder, and what our loading wants to know of it."""

    def __init__(self, config: SamConfig) -> None:
        super().__init__(config)
        vision = self.config.vision_config
        for number in vision.global_attn_indexes:
            attention = HeadwiseAttention(vision, 0)
            own = self.vision_encoder.layers[number].attn
            attention.load_state_dict(own.state_dict(), assign=True)
            self.vision_encoder.layers[number].attn = attention

    @property
    def full_precision(self) -> tuple[str, ...]:
        """Beginnings of the names of tensors that stay in single precision.

        Half of it cannot tell neighbouring pixels of a prompt apart, and saves nothing behind the image encoder. Its
        position embedding starts the residual stream, which stays in single precision with the normalisations.
        """
        norms = (f"{name}." for name, part in self.named_modules() if isinstance(part, nn.LayerNorm))
        return "shared_image_embedding.", "prompt_encoder.", "mask_decoder.", "vision_encoder.pos_embed", *norms


def sam_config(variant: Variant = "vit_b") -> SamConfig:
    """The published network of a size.

    Args:
        variant: ``"vit_b"``, ``"vit_l"`` or ``"vit_h"``.

    Returns:
        Its configuration.
    """
    width, layers, heads, everywhere = _ENCODERS[variant]
    return SamConfig(
        vision_config=SamVisionConfig(
            hidden_size=width, num_hidden_layers=layers, num_attention_heads=heads, global_attn_indexes=list(everywhere)
        ),
        mask_decoder_config=SamMaskDecoderConfig(layer_norm_eps=DECODER_EPS),
    )


def build_sam(config: SamConfig | Variant = "vit_b") -> Sam:
    """Build the network, with random weights or, under ``torch.device("meta")``, without any.

    Args:
        config: A configuration, or the name of a published one. The mask decoder gets the original's epsilon whatever
            it says.

    Returns:
        The network in training mode. Its position code is a constant, as in the original.
    """
    whole = sam_config(cast("Variant", config)) if isinstance(config, str) else copy.deepcopy(config)
    whole.mask_decoder_config.layer_norm_eps = DECODER_EPS
    return _share_positions(Sam(whole))


def load_sam(checkpoint: Mapping[str, object], *, dtype: torch.dtype = torch.float32) -> Sam:
    """Build the network that a checkpoint is of, and give it the checkpoint's tensors, all of them and nothing else.

    Args:
        checkpoint: Tensors by segment-anything's or transformers' names, or one level of container around them. They
            are taken over, not copied.
        dtype: Of the image encoder; what is behind it stays in single precision. With half of it, run the encoder
            under ``torch.autocast``.

    Returns:
        The network in evaluation mode, on the tensors' device.

    Raises:
        CheckpointError: It is not a SAM, or tensors are missing, unexpected, or of another shape.
    """
    state = unwrap(checkpoint)
    state = from_segment_anything(state) if is_segment_anything(state) else _with_positions(state)
    config = config_of(state)
    with torch.device("meta"):
        net = build_sam(config)
    net = _share_positions(load_state(net, state, dtype=dtype))
    net.eval()
    return net


def config_of(state: Mapping[str, Tensor]) -> SamConfig:
    """What a checkpoint's network looks like, from the shapes of its tensors.

    Args:
        state: Tensors by segment-anything's or transformers' names.

    Returns:
        The configuration.

    Raises:
        CheckpointError: It is not a SAM.
    """
    if is_segment_anything(state):
        state = from_segment_anything(state)
    try:
        return _config_of({name: tuple(tensor.shape) for name, tensor in state.items()})
    except (KeyError, IndexError, ValueError, ZeroDivisionError) as error:
        raise CheckpointError(
            "The file is not a SAM: its tensors do not tell the network's size.",
            CheckpointError.ADVICE,
            f"{type(error).__name__}: {error}",
        ) from error


def is_segment_anything(state: Mapping[str, object]) -> bool:
    """Whether names are segment-anything's rather than transformers'."""
    return any(name.startswith("image_encoder.") for name in state)


def from_segment_anything(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give tensors transformers' names.

    Args:
        state: Tensors by segment-anything's names.

    Returns:
        The same tensors; the position code stands under both names that transformers has for it. Names that are not
        SAM's stay as they are, so that strict loading can name them.
    """
    return _with_positions({_translate(name, _FORWARD): tensor for name, tensor in state.items()})


def to_segment_anything(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give tensors segment-anything's names: the inverse of :func:`from_segment_anything`.

    Args:
        state: Tensors by transformers' names.

    Returns:
        The same tensors; the position code stands there once.
    """
    once = {name: tensor for name, tensor in _with_positions(state).items() if name != _POSITIONS_AGAIN}
    return {_translate(name, _BACKWARD): tensor for name, tensor in once.items()}


def _rules(source: int, target: int) -> list[tuple[re.Pattern[str], str]]:
    rules = []
    for names in _NAMES:
        pattern = re.escape(names[source]).replace(r"\#", r"(\d+)").replace(r"\*", "(.+)")
        groups = iter(range(1, 1 + len(re.findall("[#*]", names[target]))))
        rules.append((re.compile(pattern), re.sub("[#*]", lambda _: rf"\{next(groups)}", names[target])))  # noqa: B023
    return rules


_FORWARD = _rules(0, 1)
_BACKWARD = _rules(1, 0)


def _translate(name: str, rules: list[tuple[re.Pattern[str], str]]) -> str:
    for pattern, template in rules:
        if match := pattern.fullmatch(name):
            return match.expand(template)
    return name


def _with_positions(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Both names of the position code, of which files may have one."""
    full = dict(state)
    for name, other in ((_POSITIONS, _POSITIONS_AGAIN), (_POSITIONS_AGAIN, _POSITIONS)):
        if name not in full and other in full:
            full[name] = full[other]
    return full


def _share_positions(net: Sam) -> Sam:
    """Let prompt and picture have one position code, which no training moves: it is a buffer in the original."""
    positions = net.shared_image_embedding.positional_embedding.requires_grad_(requires_grad=False)
    net.prompt_encoder.shared_embedding.positional_embedding = positions
    return net


def _config_of(shapes: Mapping[str, tuple[int, ...]]) -> SamConfig:
    _, grid, _, width = shapes["vision_encoder.pos_embed"]
    patch = shapes["vision_encoder.patch_embed.projection.weight"][-1]
    # A layer that attends over the whole picture has a relative position for each distance within it.
    reach = [_reach(shapes, layer) for layer in range(_count(shapes, "vision_encoder.layers"))]
    windows = {distances for distances in reach if distances != grid}
    head = shapes["vision_encoder.layers.0.attn.rel_pos_h"][1]
    tokens, decoder_width = shapes["mask_decoder.mask_tokens.weight"]
    first = "mask_decoder.transformer.layers.0"
    return SamConfig(
        vision_config=SamVisionConfig(
            hidden_size=width,
            output_channels=shapes["vision_encoder.neck.conv1.weight"][0],
            num_hidden_layers=len(reach),
            num_attention_heads=width // head,
            image_size=grid * patch,
            patch_size=patch,
            mlp_dim=shapes["vision_encoder.layers.0.mlp.lin1.weight"][0],
            window_size=windows.pop() if windows else grid,
            global_attn_indexes=[layer for layer, distances in enumerate(reach) if distances == grid],
            num_pos_feats=shapes[_POSITIONS][1],
        ),
        prompt_encoder_config=SamPromptEncoderConfig(
            hidden_size=decoder_width,
            image_size=grid * patch,
            patch_size=patch,
            mask_input_channels=shapes["prompt_encoder.mask_embed.conv2.weight"][0],
        ),
        mask_decoder_config=SamMaskDecoderConfig(
            hidden_size=decoder_width,
            mlp_dim=shapes[f"{first}.mlp.lin1.weight"][0],
            num_hidden_layers=_count(shapes, "mask_decoder.transformer.layers"),
            num_attention_heads=DECODER_HEADS,
            attention_downsample_rate=decoder_width // shapes[f"{first}.cross_attn_token_to_image.q_proj.weight"][0],
            num_multimask_outputs=tokens - 1,
            iou_head_hidden_dim=shapes["mask_decoder.iou_prediction_head.proj_in.weight"][0],
            layer_norm_eps=DECODER_EPS,
        ),
    )


def _reach(shapes: Mapping[str, tuple[int, ...]], layer: int) -> int:
    """Side of the square over which a layer attends, in patches."""
    return (shapes[f"vision_encoder.layers.{layer}.attn.rel_pos_h"][0] + 1) // 2


def _count(shapes: Mapping[str, tuple[int, ...]], stem: str) -> int:
    """How many numbered parts a name has."""
    numbers = re.compile(re.escape(stem) + r"\.(\d+)\.")
    return len({match[1] for match in map(numbers.match, shapes) if match})
