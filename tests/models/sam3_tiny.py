"""A SAM 3 small enough for quick tests: Ultralytics' own builder with narrower, shallower parts."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import math
import zlib
from typing import TYPE_CHECKING, Any

import torch

from arena.catalog import InputSize, get_card
from arena.models import sam3_network

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from torch import Tensor, nn

SIDE = 224
CARD = dataclasses.replace(get_card("sam3"), input_size=InputSize(side=SIDE, multiple=14))

_SMALLER: dict[str, dict[str, Any]] = {
    "ViT": {"embed_dim": 64, "depth": 2, "num_heads": 2, "mlp_ratio": 2.0, "global_att_blocks": (1,)},
    "VETextEncoder": {"width": 64, "heads": 2, "layers": 1},
    "TransformerEncoderFusion": {"num_layers": 1},
    "TransformerDecoder": {"num_layers": 2},
    "SequenceGeometryEncoder": {"num_layers": 1},
}


def shrink(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Ultralytics' builder build the small network."""
    sam3_network.import_ultralytics()
    builder = importlib.import_module("ultralytics.models.sam.build_sam3")
    for name, smaller in _SMALLER.items():
        monkeypatch.setattr(builder, name, _with(getattr(builder, name), smaller))


def _with(original: Any, smaller: dict[str, Any]) -> Any:
    @functools.wraps(original)
    def build(**options: Any) -> Any:
        return original(**options | smaller)

    return build


def random_state(network: nn.Module) -> dict[str, Tensor]:
    """Seeded tensors of the network's names and shapes, of a size at which no layer saturates."""
    state = {}
    for name, own in network.state_dict().items():
        noise = torch.randn(own.shape, generator=torch.Generator().manual_seed(zlib.crc32(name.encode())))
        if own.ndim >= 2:
            state[name] = noise / math.sqrt(math.prod(own.shape[1:]))
        else:
            state[name] = 0.1 * noise + (1 if name.endswith("weight") else 0)
    return state


def save(path: Path, state: dict[str, Tensor]) -> Path:
    """Write a checkpoint in the published layout: the detector beside a tracker."""
    tensors = {f"{sam3_network.KEY_PREFIX}{name}": tensor for name, tensor in state.items()}
    torch.save({"model": tensors | {"tracker.maskmem_tpos_enc": torch.zeros(7, 1, 1, 64)}}, path)
    return path
