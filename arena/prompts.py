"""Boxes and points on a photo: how they are written, and what is wrong with them.

Coordinates are pixels of the photo as it is seen, upright: x to the right and y down from its top left corner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from arena.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

Box = tuple[float, float, float, float]
"""Left, top, right and bottom, in pixels of the photo."""

Point = tuple[float, float]
"""x and y, in pixels of the photo."""

INSIDE = 1
"""Label of a point on what is meant."""
OUTSIDE = 0
"""Label of a point on what is not."""


def parse_box(text: str) -> Box:
    """Read a box as it is typed.

    Args:
        text: Four numbers: ``"x0,y0,x1,y1"``.

    Returns:
        The box; whether it lies in a photo is for :func:`checked_boxes` to say.

    Raises:
        OptionError: It is something else.
    """
    numbers = _numbers(text.split(","))
    if numbers is None or len(numbers) != 4:
        raise OptionError(
            f"{text!r} is not a box.", "Write left, top, right and bottom in pixels of the photo: 120,60,610,540."
        )
    left, top, right, bottom = numbers
    return left, top, right, bottom


def parse_point(text: str) -> tuple[Point, int]:
    """Read a point as it is typed.

    Args:
        text: Two numbers, ``"x,y"``, for a point on what is meant; ``"x,y,-"`` for one on what is not.

    Returns:
        The point, and its label: 1 or 0.

    Raises:
        OptionError: It is something else.
    """
    *parts, last = text.split(",")
    label = {"-": OUTSIDE, "+": INSIDE}.get(last.strip())
    numbers = _numbers(parts if label is not None else [*parts, last])
    if numbers is None or len(numbers) != 2:
        raise OptionError(
            f"{text!r} is not a point.",
            "Write x and y in pixels of the photo, 300,220, and a minus where the mask must not be: 300,220,-.",
        )
    return (numbers[0], numbers[1]), INSIDE if label is None else label


def checked_boxes(boxes: ArrayLike | None, width: int, height: int) -> NDArray[np.float32]:
    """Boxes that lie in a photo.

    Args:
        boxes: Left, top, right and bottom of each in pixels: N x 4, or the four numbers of one. None for no box.
        width: Of the photo, in pixels.
        height: Of the photo, in pixels.

    Returns:
        float32, N x 4; what stood over the photo's edge is cut off. N may be 0.

    Raises:
        OptionError: Not boxes, or one of them is outside of the photo or has no area.
    """
    array = _array(boxes, 4, "boxes", "[(left, top, right, bottom), ...]")
    clipped = np.clip(array, 0, np.array([width, height, width, height], np.float32))
    for number, (box, (left, top, right, bottom)) in enumerate(zip(array, clipped, strict=True), 1):
        subject = f"Box {number} ({_written(box)})"
        if box[2] <= box[0] or box[3] <= box[1]:
            raise OptionError(
                f"{subject} has no area.", "Write left, top, right, bottom: the right edge after the left one."
            )
        if right <= left or bottom <= top:
            raise OptionError(
                f"{subject} is outside of the photo, which is {width} x {height} pixels.",
                "Coordinates are pixels of the photo from its top left corner.",
            )
    return clipped


def checked_points(
    points: ArrayLike | None, labels: ArrayLike | None, width: int, height: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Points that lie in a photo, and whether each is on what is meant.

    Args:
        points: x and y of each in pixels: M x 2, or the two numbers of one. None for no point.
        labels: M numbers: 1 for a point on what is meant, 0 for one on what is not. None: all are meant.
        width: Of the photo, in pixels.
        height: Of the photo, in pixels.

    Returns:
        float32, M x 2, and int64, M; M may be 0.

    Raises:
        OptionError: Not points, not as many labels, other labels, or a point outside of the photo.
    """
    array = _array(points, 2, "points", "[(x, y), ...]")
    for number, (x, y) in enumerate(array, 1):
        if not (0 <= x <= width and 0 <= y <= height):
            raise OptionError(
                f"Point {number} ({_written((x, y))}) is outside of the photo, which is {width} x {height} pixels.",
                "Coordinates are pixels of the photo from its top left corner.",
            )
    try:
        given = np.full(len(array), INSIDE) if labels is None else np.atleast_1d(np.asarray(labels))
    except ValueError:  # lists of different lengths
        given = np.empty((0, 0))
    if given.ndim != 1 or not np.isin(given, (INSIDE, OUTSIDE)).all():
        raise OptionError(f"{labels!r} are no labels.", "A label is 1 for a point on what is meant and 0 for another.")
    if len(given) != len(array):
        raise OptionError(f"There are {len(given)} labels for {len(array)} points.", "Give each point one.")
    return array, given.astype(np.int64)


def nothing_shown(model: str) -> OptionError:
    """The error for a model that needs a box or a point and has neither.

    Args:
        model: What it is called.

    Returns:
        The error.
    """
    return OptionError(
        f"{model} has to be shown what to segment.",
        "Draw a box around it on the page, add --box x0,y0,x1,y1 in the shell, or pass boxes=[(x0, y0, x1, y1)]. "
        "A point on it will do as well; one on what is not meant does not suffice.",
    )


def scores_in_words(scores: Sequence[float], boxes: int) -> str:
    """A sentence with the score of each mask.

    Args:
        scores: One for each box, 0 where nothing was found in it; or the one of the points.
        boxes: How many boxes there were.

    Returns:
        For instance ``"Box 1: score 0.97; box 2: nothing found."``
    """
    subjects = [f"box {number}" for number in range(1, boxes + 1)] or ["points"]
    parts = zip(subjects, scores, strict=True)
    text = "; ".join(f"{subject}: {f'score {score:.2f}' if score else 'nothing found'}" for subject, score in parts)
    return f"{text[0].upper()}{text[1:]}."


def _array(values: ArrayLike | None, columns: int, name: str, example: str) -> NDArray[np.float32]:
    try:
        array = np.asarray([] if values is None else values, dtype=np.float64)
    except (ValueError, TypeError):  # words, or lists of different lengths
        array = np.array(np.nan)
    if array.size == 0:
        array = array.reshape(0, columns)
    elif array.shape == (columns,):
        array = array[None]
    if array.ndim != 2 or array.shape[1] != columns or not np.isfinite(array).all():
        raise OptionError(f"{values!r} are no {name}.", f"Give pixels of the photo: {name}={example}.")
    return array.astype(np.float32)


def _numbers(texts: Sequence[str]) -> list[float] | None:
    try:
        return [float(text) for text in texts]
    except ValueError:
        return None


def _written(numbers: Sequence[float] | NDArray[np.float32]) -> str:
    return ", ".join(f"{number:g}" for number in numbers)
