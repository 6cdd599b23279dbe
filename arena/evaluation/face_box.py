"""The baseline of face-guided segmentation: the padded box around the face is the whole mask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from arena.catalog import ModelCard, Task
from arena.devices import Stopwatch
from arena.faces import default_detector
from arena.matte import MatteKind
from arena.models.base import Prediction, Segmenter
from arena.models.remback import NO_FACE, choose_faces, find_faces, padded_boxes

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from arena.photo import Photo

CARD = ModelCard(
    key="face-box",
    label="Face box",
    family="baseline",
    task=Task.PORTRAIT,
    summary="The padded box of the face as the whole mask: what a model that is told this box has to be better than.",
    training_data="face detector: WIDER FACE and CelebA",
    licence="MIT (face detector)",
    commercial=True,
    mask_kind=MatteKind.BINARY,
    adapter="arena.evaluation.face_box:FaceBoxSegmenter",
)
"""Not in the catalog: nobody wants a photo blurred by it."""


class FaceBoxSegmenter(Segmenter):
    """The box, filled."""

    @classmethod
    def load(cls, card: ModelCard, weights: Path | None, device: str) -> Self:
        """Make the segmenter, and load the face detector that all of them share."""
        del weights
        default_detector()
        return cls(card, device)

    def _predict(self, photo: Photo, **prompts: Any) -> Prediction:
        del prompts
        alpha = np.zeros(photo.rgb.shape[:2], np.float32)
        with Stopwatch() as search:
            boxes = face_boxes(photo)
        for left, top, right, bottom in np.rint(boxes).astype(int):
            alpha[top:bottom, left:right] = 1
        return Prediction(alpha, search.seconds, () if len(boxes) else (NO_FACE,))


def face_boxes(photo: Photo) -> NDArray[np.float32]:
    """The padded box of the face, as Remback draws it.

    Args:
        photo: The photo.

    Returns:
        float32, N x 4: left, top, right and bottom edges in pixels, within the photo; N is 1, or 0 if there is no face.
    """
    return padded_boxes(choose_faces(find_faces(photo.rgb)), photo.width, photo.height)
