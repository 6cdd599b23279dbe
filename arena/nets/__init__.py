"""The networks: pure ``torch.nn`` architectures that take the published checkpoints by name and shape.

They are imported on first use, so that one of them does not cost the import of the others.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from arena.nets.ben2 import BEN2
    from arena.nets.birefnet import BiRefNet
    from arena.nets.lite import LiteNet
    from arena.nets.state import load_state
    from arena.nets.u2net import U2Net

__all__ = ["BEN2", "BiRefNet", "LiteNet", "U2Net", "load_state"]

_HOMES = {
    "BEN2": "ben2",
    "BiRefNet": "birefnet",
    "LiteNet": "lite",
    "U2Net": "u2net",
    "load_state": "state",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
