"""ViTMatte: transformers' network, from the published file.

Jingfeng Yao et al., "ViTMatte: Boosting Image Matting with Pre-trained Plain Vision Transformers", Information Fusion
103, 2024, arXiv:2305.15272.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from transformers.models.vitdet import VitDetConfig
from transformers.models.vitmatte import VitMatteConfig, VitMatteForImageMatting

from arena.nets.state import load_state

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

MULTIPLE = 32
"""What the sides of the input are multiples of, in pixels."""


class ViTMatte(VitMatteForImageMatting):  # type: ignore[misc]
    """transformers' network, with a tensor for an answer."""

    def forward(self, pixels: Tensor) -> Tensor:
        """Solve a trimap.

        Args:
            pixels: N x 4 x H x W: the photo from -1 to 1, and the trimap, 0 background, 1 foreground, else unknown;
                sides multiples of ``MULTIPLE``.

        Returns:
            N x 1 x H x W: alpha, 0 to 1.
        """
        return cast("Tensor", super().forward(pixels.to(self.dtype)).alphas)


def small_config() -> VitMatteConfig:
    """The published network of the smaller size: a ViT-S, 25.8 million parameters."""
    return VitMatteConfig(
        backbone_config=VitDetConfig(
            num_channels=4,
            image_size=512,
            pretrain_image_size=224,
            patch_size=16,
            hidden_size=384,
            num_hidden_layers=12,
            num_attention_heads=6,
            use_absolute_position_embeddings=True,
            use_relative_position_embeddings=True,
            window_size=14,
            window_block_indices=[0, 1, 3, 4, 6, 7, 9, 10],
            residual_block_indices=[2, 5, 8, 11],
            out_features=["stage12"],
        ),
        hidden_size=384,
        convstream_hidden_sizes=[48, 96, 192],
        fusion_hidden_sizes=[256, 128, 64, 32],
    )


def load_vitmatte(
    checkpoint: Mapping[str, object], config: VitMatteConfig | None = None, *, dtype: torch.dtype = torch.float32
) -> ViTMatte:
    """Build the network and give it the tensors of a published file, all of them and nothing else.

    Args:
        checkpoint: Tensors by name, or a container around them.
        config: Another network than the published one.
        dtype: Of its floating tensors; batch normalisations stay in single precision.

    Returns:
        The network in evaluation mode, on the tensors' device.

    Raises:
        CheckpointError: Tensors are missing, unexpected, or of another shape.
    """
    with torch.device("meta"):
        net = ViTMatte(config or small_config())
    return cast("ViTMatte", load_state(net, checkpoint, dtype=dtype).eval().requires_grad_(requires_grad=False))
