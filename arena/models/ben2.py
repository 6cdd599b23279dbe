"""BEN2: preparation and interpretation around ``arena.nets.BEN2``.

Maxwell Meyer and Jack Spruyt, "BEN: Using Confidence-Guided Matting for Dichotomous Image Segmentation", 2025,
arXiv:2501.06230.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PIL import Image

from arena.models.base import Prediction
from arena.models.torch_base import TorchSegmenter, place, to_input, to_photo
from arena.nets import BEN2

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from arena.catalog import ModelCard
    from arena.photo import Photo


class BEN2Segmenter(TorchSegmenter):
    """Lanczos to the card's square, bilinear back.

    The original stretches the map to the full range afterwards, which makes a subject of noise in an empty scene; here
    the probabilities stay as they are. Nor is a random generator seeded: inference draws no numbers.
    """

    resample = Image.Resampling.LANCZOS

    @staticmethod
    def _build(card: ModelCard, state: Mapping[str, Tensor]) -> BEN2:  # noqa: ARG004 - there is one BEN2
        return BEN2()

    def _predict(self, photo: Photo, **prompts: Any) -> Prediction:  # noqa: ARG002 - it takes none
        placement = place(photo.width, photo.height, self.card.input_size)
        # The network ends in a sigmoid of its own.
        alpha, seconds = self._run(to_input(photo.rgb, placement, self.resample))
        matte = to_photo(alpha, placement, photo.width, photo.height, Image.Resampling.BILINEAR)
        return Prediction(matte, seconds, self._notes)
