"""What the published networks are known by: their state_dict entries and the specifications' made-up weights."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor, nn

Entry = tuple[tuple[int, ...], str]
"""Shape and data type of a state_dict entry."""


def entries(module: nn.Module) -> dict[str, Entry]:
    """The state_dict entries of a network."""
    return {
        name: (tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))
        for name, tensor in module.state_dict().items()
    }


def manifest(path: Path) -> dict[str, Entry]:
    """The entries of the published network, from a ``*.keys.json``."""
    return {name: (tuple(shape), dtype) for name, shape, dtype in json.loads(path.read_text())["keys"]}


def hashed_state(module: nn.Module, unused: tuple[str, ...] = ()) -> dict[str, Tensor]:
    """The weights of the specifications' conformance vectors: an integer hash of index and position.

    Args:
        module: The network, on any device.
        unused: Published tensors that the network does not own; they count towards the position.
    """
    state = {name: tensor for name, tensor in module.state_dict().items() if tensor.is_floating_point()}
    names = enumerate(sorted([*state, *unused]))
    return {name: hashed_weight(name, state[name].shape, index) for index, name in names if name in state}


def hashed_weight(name: str, shape: torch.Size, position: int) -> Tensor:
    """One tensor of :func:`hashed_state`; ``position`` numbers the floating tensors in ASCII order of their names."""
    a = (2654435761 * torch.arange(math.prod(shape)) + 40503 * position) & 0xFFFFFFFF
    a ^= a >> 15
    # The product needs 64 unsigned bits: multiply the halves apart.
    a = (2246822519 * (a & 0xFFFF) + (((2246822519 * (a >> 16)) & 0xFFFF) << 16)) & 0xFFFFFFFF
    a ^= a >> 13
    r = ((a.double() / 2**32 - 0.5) * math.sqrt(12)).view(shape)
    if name.endswith("relative_position_bias_table"):
        r *= 0.5
    elif r.dim() >= 2:
        r /= math.sqrt(r.numel() / shape[0])
    elif name.endswith((".weight", "running_var")):
        r = 1 + 0.2 * r
    else:
        r *= 0.1
    return r.float()


def wave_input(height: int, width: int) -> Tensor:
    """The specifications' input, 1 x 3 x height x width."""
    channel = torch.arange(3, dtype=torch.float64).view(3, 1, 1)
    row = torch.arange(height, dtype=torch.float64).view(1, -1, 1)
    column = torch.arange(width, dtype=torch.float64).view(1, 1, -1)
    return ((0.05 * (channel + 1) * row).sin() + (0.07 * column + 0.5 * channel).cos()).float()[None]


class Recorder:
    """Keeps the first output of some of a network's modules."""

    def __init__(self, module: nn.Module, names: list[str]) -> None:
        self.seen: dict[str, Tensor] = {}
        for name in names:
            module.get_submodule(name).register_forward_hook(self._hook(name))

    def _hook(self, name: str) -> Callable[[nn.Module, object, Tensor], None]:
        def keep(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            self.seen.setdefault(name, output.clone())

        return keep
