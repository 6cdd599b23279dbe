"""Weights and inputs of the golden cases: made from names and seeds alone, so that no checkpoint is needed."""

from __future__ import annotations

import math
import zlib
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn

SMALL = ("relative_position_bias_table", "pos_embed", "rel_pos_h", "rel_pos_w")
"""Names of parameters that networks are born with near zero."""

UNIT = ("positional_encoding_gaussian_matrix",)
"""Names of matrices whose numbers do not depend on their size."""

MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)


def weight(name: str, shape: tuple[int, ...], gain: float) -> Tensor:
    """The float32 tensor of one name, with a spread that keeps activations near one."""
    x = torch.randn(shape, generator=torch.Generator().manual_seed(zlib.crc32(name.encode())))
    if name.endswith("running_var"):
        return 1 + 0.1 * x.abs()
    if name.endswith("running_mean"):
        return 0.1 * x
    if len(shape) < 2:
        return 0.1 * x + (1 if name.endswith("weight") else 0)
    if any(mark in name for mark in SMALL):
        return 0.02 * x
    if any(mark in name for mark in UNIT):
        return x
    return x * (gain / math.sqrt(math.prod(shape[1:])))


def make_state(module: nn.Module, gain: float) -> dict[str, Tensor]:
    """A whole ``state_dict`` for a module on any device; whole-number buffers are left out unless they count."""
    state: dict[str, Tensor] = {}
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            state[name] = weight(name, tuple(tensor.shape), gain)
        elif name.endswith("num_batches_tracked"):
            state[name] = torch.zeros((), dtype=tensor.dtype)
    return state


def make_input(seed: int, height: int, width: int) -> Tensor:
    """A picture of blobs and a little noise: float16, 1 x 3 x height x width, 0 to 1."""
    noise = torch.rand((1, 3, height, width), generator=torch.Generator().manual_seed(seed))

    def blobs(cell: int) -> Tensor:
        coarse = F.avg_pool2d(noise, cell, ceil_mode=True)
        grown = F.interpolate(coarse, size=(height, width), mode="bilinear", align_corners=False)
        return (grown - grown.amin()) / (grown.amax() - grown.amin())

    return (0.6 * blobs(32) + 0.3 * blobs(8) + 0.1 * noise).clamp(0, 1).half()


def grow(small: NDArray[np.uint8], factor: int, height: int, width: int) -> NDArray[np.uint8]:
    """A large picture from a small one: exact bilinear growth in whole numbers and a fine texture."""
    rows, down = np.divmod(np.arange(height), factor)
    columns, right = np.divmod(np.arange(width), factor)
    values = small.astype(np.int64)
    wide = values[:, columns] * (factor - right)[:, None] + values[:, columns + 1] * right[:, None]
    grown = wide[rows] * (factor - down)[:, None, None] + wide[rows + 1] * down[:, None, None]
    texture = (7 * np.arange(width)[None] + 13 * np.arange(height)[:, None]) % 17 - 8
    textured = grown // factor**2 + texture[:, :, None] * np.array([1, -1, 1])
    picture: NDArray[np.uint8] = textured.clip(0, 255).astype(np.uint8)
    return picture


def normalise(picture: Tensor) -> Tensor:
    """ImageNet's normalisation, in float32."""
    return (picture.float() - MEAN) / STD
