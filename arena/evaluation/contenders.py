"""Who takes part in an evaluation: models of the catalog, other weights of them, and the face's box as a baseline."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import arena
from arena.catalog import Task, get_card
from arena.errors import ModelUnavailableError, OptionError
from arena.evaluation import face_box
from arena.matte import Matte
from arena.models.hair import WEIGHTS as HAIR
from arena.models.lite import WEIGHTS as BOXED
from arena.models.pool import load_adapter
from arena.models.torch_base import wants_int8, working_dtype
from arena.paths import expanded
from arena.training.prompts import choose_prompt
from arena.weights import location
from arena.weights.digests import digest

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from arena.catalog import ModelCard
    from arena.evaluation.cases import Case
    from arena.models.base import Segmenter
    from arena.models.pool import ModelPool
    from arena.prompts import Box
    from arena.weights import ProgressCallback

NO_BOX = "There is no face to draw a box around."

_HAIR = "+hair"
"""After a key: strands are followed."""

_WITHOUT_WEIGHTS = frozenset({"classic", face_box.CARD.key})
"""Keys of what has no file that could be another."""


class Boxes(StrEnum):
    """Where the boxes come from for models that take them."""

    FACE = "face"
    """For a model that needs one, the padded box of the face as Remback draws it: nobody has to look at the photo."""
    MASK = "mask"
    """For every model that takes one, the box around the truth: what a careful user would draw."""


@dataclass(frozen=True, slots=True)
class Contender:
    """One that takes part."""

    name: str
    """As its user named it: ``KEY`` or ``KEY=FILE``, either with ``+hair`` after the key."""
    card: ModelCard
    """Its card, of the catalog or of the baseline."""
    weights: Path | None
    """The file after ``=``; None for the published weights."""
    boxes: Boxes
    """Where its boxes come from, if it takes them."""
    hair: bool = False
    """Whether it follows strands beyond its outline."""

    @classmethod
    def read(cls, text: str, boxes: Boxes) -> Self:
        """Understand how a user names one.

        Args:
            text: A model key, or ``face-box``; ``KEY=FILE`` for other weights of the same network; ``KEY+hair`` or
                ``KEY+hair=FILE`` for one that is to follow strands.
            boxes: Where its boxes come from, if it takes them.

        Returns:
            The contender.

        Raises:
            UnknownModelError: No such model.
            ModelUnavailableError: This build cannot run it, or it gives no mattes of people.
            OptionError: There is no such file, or a file for something that has no weights, or it follows no hair.
        """
        whole, equals, name = text.partition("=")
        key = whole.removesuffix(_HAIR)
        hair = key != whole
        card = face_box.CARD if key == face_box.CARD.key else get_card(key)
        if not card.available:
            raise ModelUnavailableError(f"{card.label} is not available in this build.", "Choose another model.")
        if card.task not in (Task.PORTRAIT, Task.PROMPTED):
            raise ModelUnavailableError(f"{card.label} makes no matte from a photo alone.", "Choose another model.")
        if hair and not card.hair_prompt:
            raise OptionError(f"{card.label} does not follow hair.", f"Say {key} alone.")
        if not equals:
            return cls(text, card, None, boxes, hair)
        if key in _WITHOUT_WEIGHTS:
            raise OptionError(f"{card.label} has no weights that a file could hold.", f"Say {key} alone.")
        weights = expanded(name)
        if not weights.is_file():
            raise OptionError(f"There is no file {name or '(no name)'} for {card.label}.", "Say KEY=FILE, or KEY.")
        return cls(text, card, weights, boxes, hair)

    def identity(self, device: str) -> dict[str, Any]:
        """All that its mattes depend on, the photo aside, as plain JSON values.

        It is known for good once the model is loaded: before, a published file without a checksum may not be there yet.

        Args:
            device: A resolved device.

        Raises:
            OptionError: Its file cannot be read.
        """
        card, file = self.card, self._file()
        try:
            weights = None if file is None else digest(file)
        except OSError as error:
            raise OptionError(f"{file} cannot be read: {error.strerror or error}.") from error
        return {
            "program": arena.__version__,
            "model": card.key,
            "weights": weights or [card.repository, card.revision, card.file, card.sha256],
            "boxes": self.boxes,
            "hair": digest(HAIR) if self.hair else None,
            "device": device,
            "precision": [str(working_dtype(device)[0]), wants_int8(device)],
        }

    def _file(self) -> Path | None:
        """The file that decides: another one, that in the box, or a published one that has no checksum to go by."""
        if self.weights is not None:
            return self.weights
        if self.card.key == "lite":
            return BOXED
        return location(self.card) if self.card.sha256 is None else None

    def load(
        self,
        device: str,
        pool: ModelPool,
        *,
        progress: ProgressCallback | None = None,
        on_load: Callable[[], None] | None = None,
    ) -> Segmenter:
        """Have its segmenter.

        Args:
            device: A resolved device.
            pool: Shares the models of the catalog; other weights are this contender's own.
            progress: Told of the download's progress.
            on_load: Called when loading begins.

        Returns:
            The segmenter.

        Raises:
            ArenaError: As :meth:`arena.models.pool.ModelPool.get`.
        """
        if self.weights is None and self.card is not face_box.CARD:
            return pool.get(self.card.key, device, progress=progress, on_load=on_load).segmenter
        if on_load is not None:
            on_load()
        return load_adapter(self.card, self.weights, device)

    def segment(self, segmenter: Segmenter, case: Case) -> Matte:
        """Its matte of a picture.

        Args:
            segmenter: What ``load`` returned.
            case: The picture. Its truth is looked at only for ``Boxes.MASK``.

        Returns:
            The matte; an empty one where a box is needed and there is no face.

        Raises:
            ArenaError: As :meth:`arena.models.base.Segmenter.segment`.
        """
        how = {"hair": True} if self.hair else {}
        if self.boxes is Boxes.MASK and self.card.box_prompt:
            return segmenter.segment(case.photo, boxes=[_box_around(case)], **how)
        if self.card.task is not Task.PROMPTED:
            return segmenter.segment(case.photo, **how)
        boxes = face_box.face_boxes(case.photo)
        if len(boxes):
            return segmenter.segment(case.photo, boxes=boxes, **how)
        empty = np.zeros(case.truth.shape, np.float32)
        return Matte(empty, self.card.mask_kind, self.card.key, device=segmenter.device, notes=(NO_BOX,))


def _box_around(case: Case) -> Box:
    levels = np.rint(case.truth * np.float32(255)).astype(np.uint8)
    prompt = choose_prompt(Path(case.photo.name), case.photo.rgb, levels, (), "mask")
    assert prompt.box is not None  # noqa: S101 - for the type checker: a mask without anybody has raised
    return prompt.box
