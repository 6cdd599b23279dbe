"""Remback: cut portraits out by their faces, one or a folder of them.

    from arena.remback import BackgroundRemover

    remover = BackgroundRemover()
    remover.remove_background("input.jpg", "output.jpg")

The command ``remback`` does the same from a shell. The names are those of the package ``remback``
(duriantaco/remback, MIT), whose steps these are; the network and the code are this project's own.

Names are imported when they are first used, so that the command's help does not wait for PyTorch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from arena.models.remback import RembackOptions
    from arena.remback.batch import Outcome, plan, remove_all
    from arena.remback.remover import BackgroundRemover, CutOut

__all__ = ["BackgroundRemover", "CutOut", "Outcome", "RembackOptions", "plan", "remove_all"]

_HOMES = {
    "BackgroundRemover": "arena.remback.remover",
    "CutOut": "arena.remback.remover",
    "Outcome": "arena.remback.batch",
    "RembackOptions": "arena.models.remback",
    "plan": "arena.remback.batch",
    "remove_all": "arena.remback.batch",
}


def __getattr__(name: str) -> Any:
    try:
        home = _HOMES[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
