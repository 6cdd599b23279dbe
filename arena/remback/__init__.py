"""Remback: cut portraits out by their faces, one or a folder of them.

    from arena.remback import BackgroundRemover

    remover = BackgroundRemover()
    remover.remove_background("input.jpg", "output.jpg")

The command ``remback`` does the same from a shell. The names are those of the package ``remback``
(duriantaco/remback, MIT), whose steps these are; the network and the code are this project's own.

Names are imported when they are first used, so that the command's help does not wait for PyTorch.
"""

from typing import TYPE_CHECKING

from arena.lazy import lazy_names

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

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
