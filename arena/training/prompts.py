"""What SAM is told of each picture in training: boxes and points from JSON, from the face, or from the mask.

A file of prompts holds an object with a key for each picture, its path, its file's name or that without the suffix::

    {"0001.jpg": [120, 60, 430, 520], "0002": {"points": [[200, 310], [20, 20]], "labels": [1, 0]}}

A folder of prompts holds a file ``NAME.json`` for each picture instead, with the same values.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self, SupportsFloat

import numpy as np

from arena.models.remback import choose_faces, find_faces, padded_boxes
from arena.prompts import INSIDE, Box, Point, checked_boxes, checked_points
from arena.training.pictures import DataError
from arena.wording import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

Boxes = Literal["face", "mask"]
"""Where the box of a picture without a prompt comes from: the face, as Remback does it, or the mask."""

_KEYS = ("box", "points", "labels")


@dataclass(frozen=True, slots=True)
class Prompt:
    """What SAM is told of one picture, in pixels of the photo."""

    box: Box | None = None
    """Left, top, right and bottom."""
    points: tuple[Point, ...] = ()
    """x and y of each."""
    labels: tuple[int, ...] = ()
    """For each point 1 if it is on the subject, else 0."""

    @classmethod
    def read(cls, value: Any, where: str) -> Self | None:
        """A prompt from plain values.

        Args:
            value: A box of four numbers, a list of boxes of which the first counts, or an object with ``box``,
                ``points`` and ``labels``, as far as there are any.
            where: What messages call it.

        Returns:
            The prompt; None for an empty list.

        Raises:
            DataError: It is something else.
        """
        if isinstance(value, list):
            value = {"box": value[0] if value and isinstance(value[0], list) else value} if value else {}
        if not isinstance(value, dict):
            raise DataError(f"{where} is no prompt: {value!r}.", "Write a box: [left, top, right, bottom].")
        if unknown := [key for key in value if key not in _KEYS]:
            hint = did_you_mean(unknown[0], _KEYS) or f"It has {', '.join(_KEYS)}."
            raise DataError(f"{where}: a prompt has no {unknown[0]!r}.", hint)
        try:
            box = _four(value["box"]) if value.get("box") else None
            points = tuple((float(x), float(y)) for x, y in value.get("points") or ())
            labels = tuple(int(label) for label in value.get("labels") or [INSIDE] * len(points))
        except (TypeError, ValueError) as error:
            raise DataError(f"{where} is no prompt: {value!r}.", "Write a box: [left, top, right, bottom].") from error
        if box is None and not points:
            return None
        if box is None and len(points) == 1:
            # To a single point SAM answers by three masks of outputs of their own, which the recipe does not train.
            raise DataError(f"{where}: one point alone says too little.", "Give two points, or a box.")
        return cls(box, points, labels)

    def within(self, width: int, height: int) -> Prompt:
        """The prompt cut to a photo.

        Args:
            width: Of the photo, in pixels.
            height: Of the photo, in pixels.

        Returns:
            The same, of plain numbers, with a box that does not stand over.

        Raises:
            OptionError: A box or point lies outside, or there are not as many labels as points.
        """
        points, labels = checked_points(self.points, self.labels, width, height)
        boxes = checked_boxes([] if self.box is None else [self.box], width, height).tolist()
        pairs = tuple((x, y) for x, y in points.tolist())
        return Prompt(tuple(boxes[0]) if boxes else None, pairs, tuple(labels.tolist()))

    def written(self) -> dict[str, Any]:
        """Plain values, of which :meth:`read` makes the same."""
        values = {"box": self.box and list(self.box), "points": [list(p) for p in self.points], "labels": self.labels}
        return {key: value for key, value in values.items() if value}


def read_prompts(source: Path) -> dict[str, Prompt | None]:
    """Read the prompts of many pictures.

    Args:
        source: The file, or the folder of files.

    Returns:
        Prompts by what the source calls the pictures; None where it says that there is none.

    Raises:
        DataError: It does not exist, is no JSON, or holds something else.
    """
    if source.is_dir():
        return {path.stem: Prompt.read(_read_json(path), path.name) for path in sorted(source.glob("*.json"))}
    values = _read_json(source)
    if not isinstance(values, dict):
        raise DataError(f"{source} is no file of prompts.", 'It is JSON: {"NAME.jpg": [left, top, right, bottom]}.')
    return {name: Prompt.read(value, f"{source.name}, {name}") for name, value in values.items()}


def prompts_beside(data: Path) -> dict[str, Prompt | None]:
    """The prompts that lie in a folder of pictures: ``prompts.json``, or a folder ``prompts``.

    Args:
        data: The folder, or an index in it.

    Returns:
        Prompts as :func:`read_prompts` gives them; none if there is neither.
    """
    folder = data if data.is_dir() else data.parent
    for source in (folder / "prompts.json", folder / "prompts"):
        if source.exists():
            return read_prompts(source)
    return {}


def choose_prompt(
    photo: Path,
    rgb: NDArray[np.uint8],
    alpha: NDArray[np.uint8],
    prompts: Sequence[Mapping[str, Prompt | None]],
    boxes: Boxes,
) -> Prompt:
    """What to tell SAM of a picture.

    Args:
        photo: Its file, by which its prompt is looked up.
        rgb: uint8, H x W x 3.
        alpha: Its mask, uint8, H x W, 255 is the subject.
        prompts: Those that were written down; of two sources that name the picture, the first counts.
        boxes: Where the box comes from if there is none.

    Returns:
        The prompt, inside of the picture.

    Raises:
        DataError: No face is found, nobody is in the mask, or the prompt says that there is none.
        OptionError: The prompt lies outside of the picture.
    """
    height, width = alpha.shape
    for written in prompts:
        for name in (str(photo), photo.name, photo.stem):
            if name not in written:
                continue
            prompt = written[name]
            if prompt is None:
                raise DataError("its prompt is empty")
            return prompt.within(width, height)
    rows, columns = (np.flatnonzero((alpha > 127).any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        raise DataError("nobody is in its mask")
    if boxes == "mask":
        box = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    else:
        found = padded_boxes(choose_faces(find_faces(rgb)), width, height)
        if not len(found):
            raise DataError("no face was found in it")
        box = found[0]
    return Prompt(_four(box)).within(width, height)


def _four(edges: Iterable[SupportsFloat]) -> Box:
    left, top, right, bottom = map(float, edges)
    return left, top, right, bottom


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as JSON: {error}.") from error
