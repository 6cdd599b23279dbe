"""Depth Anything V2: transformers' network, from the published file.

Lihe Yang et al., "Depth Anything V2", 2024, arXiv:2406.09414: DINOv2 (arXiv:2304.07193) as the encoder, DPT
(arXiv:2103.13413) as the decoder.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor
from transformers.models.depth_anything import DepthAnythingConfig, DepthAnythingForDepthEstimation
from transformers.models.dinov2 import Dinov2Config

from arena.nets.state import load_state, unwrap

if TYPE_CHECKING:
    from collections.abc import Mapping

PATCH = 14
"""Side of a patch in pixels: what the sides of the input are multiples of."""

_ATTENTION = re.compile(r"(\.attention\.)(?:attention\.(query|key|value)|output\.dense)\.")
_SHORT = {"query": "q_proj", "key": "k_proj", "value": "v_proj", None: "o_proj"}
"""transformers has renamed the projections of DINOv2 since the file was published."""


class DepthAnything(DepthAnythingForDepthEstimation):  # type: ignore[misc]
    """transformers' network, with a tensor for an answer."""

    def prepare(self) -> DepthAnything:
        """Nothing has to be done before it runs."""
        return self

    def forward(self, pixels: Tensor) -> Tensor:
        """Look at a picture.

        Args:
            pixels: N x 3 x H x W, normalised with ImageNet's mean and deviation; sides multiples of ``PATCH``.

        Returns:
            N x 1 x H x W: relative inverse depth, at least 0; larger is nearer.
        """
        return cast("Tensor", super().forward(pixels.to(self.dtype)).predicted_depth)[:, None]


def small_config() -> DepthAnythingConfig:
    """The published network of the smallest size: a ViT-S, 24.8 million parameters."""
    return DepthAnythingConfig(
        backbone_config=Dinov2Config(
            hidden_size=384,
            num_hidden_layers=12,
            num_attention_heads=6,
            image_size=518,
            patch_size=PATCH,
            out_features=["stage3", "stage6", "stage9", "stage12"],
            apply_layernorm=True,
            reshape_hidden_states=False,
        ),
        patch_size=PATCH,
        reassemble_hidden_size=384,
        reassemble_factors=[4, 2, 1, 0.5],
        neck_hidden_sizes=[48, 96, 192, 384],
        fusion_hidden_size=64,
        head_in_index=-1,
        head_hidden_size=32,
        depth_estimation_type="relative",
    )


def published_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give tensors the names of the published file: the inverse of what loading does.

    Args:
        state: Tensors by the network's names.

    Returns:
        The same tensors.
    """
    long = {short: name for name, short in _SHORT.items()}

    def renamed(match: re.Match[str]) -> str:
        name = long[match[2]]
        return f"{match[1]}{f'attention.{name}' if name else 'output.dense'}."

    pattern = re.compile(rf"(\.attention\.)({'|'.join(long)})\.")
    return {pattern.sub(renamed, name): tensor for name, tensor in state.items()}


def load_depth_anything(
    checkpoint: Mapping[str, object], config: DepthAnythingConfig | None = None, *, dtype: torch.dtype = torch.float32
) -> DepthAnything:
    """Build the network and give it the tensors of a published file, all of them and nothing else.

    Args:
        checkpoint: Tensors by the published names, or by those that transformers has for them now.
        config: Another network than the published one.
        dtype: Of its floating tensors.

    Returns:
        The network in evaluation mode, on the tensors' device.

    Raises:
        CheckpointError: Tensors are missing, unexpected, or of another shape.
    """
    state = {
        _ATTENTION.sub(lambda match: f"{match[1]}{_SHORT[match[2]]}.", name): tensor
        for name, tensor in unwrap(checkpoint).items()
    }
    with torch.device("meta"):
        net = DepthAnything(config or small_config())
    return cast("DepthAnything", load_state(net, state, dtype=dtype).eval().requires_grad_(requires_grad=False))
