"""A SAM small enough for quick tests: the published architecture, narrower and shallower, on 128 x 128 pixels."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import torch
from transformers.models.sam import SamConfig, SamMaskDecoderConfig, SamPromptEncoderConfig, SamVisionConfig

from arena.catalog import CARDS, InputSize
from arena.nets.sam import Sam, build_sam, load_sam, to_segment_anything
from tests.models.random_weights import random_state, save

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from arena.catalog import ModelCard

SIDE = 128
"""Of the network's input, in pixels; its masks are 32 x 32."""

_PUBLISHED = {card.key: card for card in CARDS}
"""Looked up here, since a test may have put other cards into their place."""


def config() -> SamConfig:
    """Two encoder layers, of which the second attends over the whole picture; two decoder layers of eight heads."""
    return SamConfig(
        vision_config=SamVisionConfig(
            hidden_size=32,
            output_channels=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=SIDE,
            window_size=3,
            global_attn_indexes=[1],
            num_pos_feats=16,
        ),
        prompt_encoder_config=SamPromptEncoderConfig(hidden_size=32, image_size=SIDE, mask_input_channels=4),
        mask_decoder_config=SamMaskDecoderConfig(hidden_size=32, mlp_dim=64, iou_head_hidden_dim=32),
    )


def state() -> dict[str, Tensor]:
    """Seeded tensors by transformers' names, at which masks vary over the picture and with the prompt."""
    with torch.device("meta"):
        net = build_sam(config())
    tensors = random_state(net, gain=1.0)
    # One tensor of two names.
    tensors["prompt_encoder.shared_embedding.positional_embedding"] = tensors[
        "shared_image_embedding.positional_embedding"
    ]
    return tensors


def network() -> Sam:
    """The network with these weights, in evaluation mode."""
    return load_sam(state())


def card(key: str = "sam-vit-b", file: str = "model.safetensors") -> ModelCard:
    """A catalog card, changed so that it is of the small network.

    Args:
        key: The card's key.
        file: ``model.safetensors`` for transformers' layout, a name that ends in ``.pth`` for segment-anything's.
    """
    return dataclasses.replace(_PUBLISHED[key], file=file, input_size=InputSize(side=SIDE, multiple=16))


def save_transformers(path: Path) -> Path:
    """Write the published layout of ``facebook/sam-vit-base``: safetensors, the position code once."""
    tensors = state()
    del tensors["prompt_encoder.shared_embedding.positional_embedding"]
    return save(path, tensors)


def save_segment_anything(path: Path) -> Path:
    """Write the layout of ``sam_vit_b_01ec64.pth``: a pickled flat dict."""
    torch.save(to_segment_anything(state()), path)
    return path
