"""Seeded random weights at which a network's answer varies over the picture without saturating."""

from __future__ import annotations

import math
import zlib
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.torch import save_file

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor, nn


def random_state(module: nn.Module, gain: float = 1.2) -> dict[str, Tensor]:
    """Tensors of a module's names and shapes; its integer buffers as they are."""
    state = {}
    for name, own in module.state_dict().items():
        if not own.is_floating_point():
            state[name] = own
            continue
        noise = torch.randn(own.shape, generator=torch.Generator().manual_seed(zlib.crc32(name.encode())))
        if name.endswith("running_var"):
            state[name] = 1 + 0.1 * noise.abs()
        elif name.endswith("relative_position_bias_table"):
            state[name] = 0.02 * noise
        elif own.ndim >= 2:
            state[name] = noise * (gain / math.sqrt(math.prod(own.shape[1:])))
        else:
            state[name] = 0.1 * noise + (1 if name.endswith("weight") else 0)
    return state


def save(path: Path, state: dict[str, Tensor]) -> Path:
    """Write a safetensors file."""
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    return path


def picture(height: int, width: int, brightest: int = 255) -> NDArray[np.uint8]:
    """A smooth random picture, uint8 height x width x 3."""
    coarse = torch.rand((1, 3, 5, 7), generator=torch.Generator().manual_seed(height * 10_007 + width))
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")
    return (smooth[0].permute(1, 2, 0).numpy() * brightest).astype(np.uint8)
