"""What a user draws on a photo, and what models are told by it. Knows nothing of Streamlit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from arena.prompts import INSIDE, OUTSIDE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from arena.catalog import ModelCard


class Box(NamedTuple):
    """A box in whole pixels of the photo: its edges lie between pixels, from 0 to the photo's width or height."""

    left: int
    top: int
    right: int
    bottom: int


class Point(NamedTuple):
    """A point in whole pixels of the photo."""

    x: int
    y: int
    keep: bool
    """Whether what lies there belongs to the subject; else it is left out."""


@dataclass(frozen=True, slots=True)
class Prompts:
    """What models are told beside the photo."""

    text: str = ""
    """What to look for; empty if nothing is said."""
    boxes: tuple[Box, ...] = ()
    points: tuple[Point, ...] = ()
    hair: bool = False
    """Whether strands beyond a mask's outline are to be followed."""

    @property
    def drawn(self) -> bool:
        """Whether places on the photo are shown."""
        return bool(self.boxes or self.points)

    def taken_by(self, card: ModelCard) -> Prompts:
        """The part of it that a model listens to, which is all that its result depends on.

        Args:
            card: The model's card.

        Returns:
            What is left.
        """
        return Prompts(
            text=self.text if card.text_prompt else "",
            boxes=self.boxes if card.box_prompt else (),
            points=self.points if card.point_prompt else (),
            hair=self.hair and card.hair_prompt,
        )

    def keywords(self) -> dict[str, Any]:
        """The keyword arguments of ``segment`` that say it."""
        words: dict[str, Any] = {}
        if self.text:
            words["prompt"] = self.text
        if self.boxes:
            words["boxes"] = [tuple(box) for box in self.boxes]
        if self.points:
            words["points"] = [(point.x, point.y) for point in self.points]
            words["labels"] = [INSIDE if point.keep else OUTSIDE for point in self.points]
        if self.hair:
            words["hair"] = True
        return words


@dataclass(slots=True)
class Sketch:
    """Boxes and points on one photo.

    Whoever names one by its number may be late: a stroke may just have taken it away, and then nothing happens.
    """

    width: int
    height: int
    """Of the photo, in pixels."""
    boxes: list[Box] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    strokes: int = 0
    """How many strokes of the canvas are in it. What answers an earlier stroke is old news to a canvas that has
    reported a later one since."""

    def take(self, report: Mapping[str, Any]) -> None:
        """Take over what the canvas shows.

        Args:
            report: ``boxes`` as lists of four edges, ``points`` as lists of x, y and whether to keep, and ``strokes``.
        """
        self.boxes = [box for edges in report["boxes"] if (box := self._box(edges))]
        self.points = [Point(*self._inside(x, y), bool(keep)) for x, y, keep in report["points"]]
        self.strokes = int(report["strokes"])

    def add(self, boxes: Iterable[Sequence[float]]) -> None:
        """Put boxes beside those that are there; one that is there already is not put twice.

        Args:
            boxes: Left, top, right and bottom edges.
        """
        for edges in boxes:
            box = self._box(edges)
            if box and box not in self.boxes:
                self.boxes.append(box)

    def change(self, number: int, box: Sequence[float]) -> None:
        """Give a box other edges; without an area between them it stays as it is.

        Args:
            number: Which one, from 0.
            box: Left, top, right and bottom edges, in either order.
        """
        changed = self._box(box)
        if changed and number < len(self.boxes):
            self.boxes[number] = changed

    def move(self, number: int, x: float, y: float) -> None:
        """Give a point another place.

        Args:
            number: Which one, from 0.
            x: From the left.
            y: From the top.
        """
        if number < len(self.points):
            self.points[number] = Point(*self._inside(x, y), self.points[number].keep)

    def erase_box(self, number: int) -> None:
        """Take a box away.

        Args:
            number: Which one, from 0.
        """
        del self.boxes[number : number + 1]

    def erase_point(self, number: int) -> None:
        """Take a point away.

        Args:
            number: Which one, from 0.
        """
        del self.points[number : number + 1]

    def clear(self) -> None:
        """Take everything away."""
        self.boxes, self.points = [], []

    def prompts(self) -> Prompts:
        """What it tells a model."""
        return Prompts(boxes=tuple(self.boxes), points=tuple(self.points))

    def _box(self, edges: Sequence[float]) -> Box | None:
        """A box within the photo, its edges in order; None if it has no area there."""
        x1, y1, x2, y2 = edges
        (x1, y1), (x2, y2) = self._inside(x1, y1), self._inside(x2, y2)
        box = Box(min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))
        return box if box.left < box.right and box.top < box.bottom else None

    def _inside(self, x: float, y: float) -> tuple[int, int]:
        return min(max(round(x), 0), self.width), min(max(round(y), 0), self.height)
