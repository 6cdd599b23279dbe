"""``Matte``: what a model makes of a photo."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from arena.errors import OptionError

if TYPE_CHECKING:
    from numpy.typing import NDArray

PRESENCE_THRESHOLD = 0.1
"""Alpha above which a pixel counts as part of the subject; below it everywhere, nobody is in the picture."""


class MatteKind(StrEnum):
    """How much of the way from an outline to a matte a model goes."""

    BINARY = "binary"
    """0 or 1: the edge has to be softened before anything is composited with it."""
    NEAR_BINARY = "near-binary"
    """Soft for a pixel or two along the edge only."""
    ALPHA = "alpha"
    """A real matte: partial coverage in hair and motion blur."""


@dataclass(frozen=True, slots=True, eq=False)
class Matte:
    """The alpha of one photo by one model. The array is read-only by contract: whoever refines it makes a copy."""

    alpha: NDArray[np.float32]
    """H x W, the photo's own size, 0 (background) to 1 (subject). Never stretched: an empty scene stays empty."""
    kind: MatteKind
    """What the model produces."""
    model: str
    """The model's key."""
    seconds: float = 0.0
    """The forward pass alone, with the device synchronised."""
    device: str = "cpu"
    """Where it ran."""
    presence_threshold: float = PRESENCE_THRESHOLD
    """The model card's: the least largest alpha of a picture with a subject."""
    peak: float | None = None
    """Largest alpha that the model saw before its edge was refined; None: the largest of ``alpha``."""
    notes: tuple[str, ...] = ()
    """What the user should know of how this matte came about, one sentence each."""
    scores: tuple[float, ...] = ()
    """How well the model thinks that the mask of each prompt or instance fits, where it says so; meant as 0 to 1."""

    def __post_init__(self) -> None:
        if self.alpha.ndim != 2 or self.alpha.dtype != np.float32:
            raise OptionError(
                f"A matte is a float32 array of H x W, not {self.alpha.dtype} of shape {self.alpha.shape}."
            )

    @property
    def found(self) -> bool:
        """Whether anybody is in the picture: some alpha exceeds the presence threshold."""
        if not self.alpha.size:
            return False
        peak = self.alpha.max() if self.peak is None else np.float32(self.peak)
        # In single precision, or an alpha of exactly the threshold would exceed it by rounding.
        return bool(peak > np.float32(self.presence_threshold))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, as photographers say it."""
        height, width = self.alpha.shape
        return width, height
