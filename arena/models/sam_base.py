"""What every segmenter that asks SAM has in common, without the seconds that importing transformers takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from arena.models.base import Segmenter, needed
from arena.models.torch_base import working_dtype

if TYPE_CHECKING:
    from pathlib import Path

    from arena.catalog import ModelCard
    from arena.models.sam import SamPredictor


class SamBacked(Segmenter):
    """A segmenter around a :class:`~arena.models.sam.SamPredictor`; subclasses decide what it is asked."""

    def __init__(self, card: ModelCard, device: str, predictor: SamPredictor, notes: tuple[str, ...] = ()) -> None:
        """Wrap a predictor.

        Args:
            card: The model's card.
            device: A resolved device: the predictor's.
            predictor: The network.
            notes: What the user should know of every result.
        """
        super().__init__(card, device)
        self.predictor = predictor
        self._notes = notes

    @classmethod
    def load(cls, card: ModelCard, weights: Path | None, device: str) -> Self:
        """Build the network from a checkpoint of either layout.

        Args:
            card: The model's card.
            weights: The verified file, of any SAM.
            device: A resolved device.

        Returns:
            A segmenter that is ready to run.

        Raises:
            CheckpointError: The file is not a SAM.
            OptionError: No file was given, or the environment asks for a precision that does not exist.
        """
        # Imported here: faces and boxes are wanted where transformers' seconds are not.
        from arena.models.sam import SamPredictor  # noqa: PLC0415

        return cls(card, device, SamPredictor.load(needed(card, weights), device), working_dtype(device)[1])
