"""What is drawn, and what models are told by it."""

from __future__ import annotations

import pytest

from arena.catalog import Task
from arena.ui.sketch import Box, Point, Prompts, Sketch
from tests.fakes import make_card

BOX = Box(10, 20, 30, 40)
ALL = Prompts("cat", (BOX,), (Point(5, 6, keep=True), Point(7, 8, keep=False)), hair=True)


def test_each_model_is_told_what_it_listens_to() -> None:
    told = {
        "nothing": make_card("a", ""),
        "text": make_card("b", "", text_prompt=True),
        "boxes": make_card("c", "", box_prompt=True),
        "hair": make_card("c", "", box_prompt=True, hair_prompt=True),
        "all": make_card("d", "", task=Task.PROMPTED, text_prompt=True, box_prompt=True, point_prompt=True),
    }
    words = {name: ALL.taken_by(card).keywords() for name, card in told.items()}
    assert words["nothing"] == {}
    assert words["text"] == {"prompt": "cat"}
    assert words["boxes"] == {"boxes": [(10, 20, 30, 40)]}
    assert words["hair"] == {"boxes": [(10, 20, 30, 40)], "hair": True}
    assert words["all"] == {
        "prompt": "cat",
        "boxes": [(10, 20, 30, 40)],
        "points": [(5, 6), (7, 8)],
        "labels": [1, 0],
    }


def test_only_places_count_as_drawn() -> None:
    assert ALL.drawn
    assert Prompts(points=ALL.points).drawn
    assert not Prompts("cat").drawn


@pytest.mark.parametrize(
    ("edges", "box"),
    [
        ((10.4, 20.6, 30, 40), (10, 21, 30, 40)),
        ((30, 40, 10, 20), (10, 20, 30, 40)),
        ((-5, -5, 500, 500), (0, 0, 100, 80)),
        ((10, 20, 10.3, 40), None),
        ((10, 20, 30, 20), None),
        ((120, 20, 200, 40), None),
    ],
)
def test_boxes_are_brought_into_the_photo_and_have_an_area(
    edges: tuple[float, ...], box: tuple[int, ...] | None
) -> None:
    sketch = Sketch(100, 80)
    sketch.add([edges])
    assert sketch.boxes == ([] if box is None else [box])
    sketch = Sketch(100, 80, boxes=[BOX])
    sketch.change(0, edges)
    assert sketch.boxes == [BOX if box is None else box]


def test_a_box_that_is_there_is_not_added_again() -> None:
    sketch = Sketch(100, 80, boxes=[BOX])
    sketch.add([(10.2, 20, 30, 40), (1, 2, 3, 4)])
    assert sketch.boxes == [BOX, (1, 2, 3, 4)]


def test_a_report_of_the_canvas_takes_the_place_of_everything() -> None:
    sketch = Sketch(100, 80, boxes=[BOX], points=[Point(1, 2, keep=True)])
    sketch.take({"boxes": [[1, 2, 3, 4], [5, 5, 5, 9]], "points": [[99, 300, False]], "strokes": 7})
    assert sketch.boxes == [(1, 2, 3, 4)]
    assert sketch.points == [(99, 80, False)]
    assert sketch.strokes == 7
    sketch.clear()
    assert not sketch.prompts().drawn
    assert sketch.strokes == 7


def test_numbers_that_come_too_late_do_no_harm() -> None:
    sketch = Sketch(100, 80, boxes=[BOX], points=[Point(1, 2, keep=True)])
    sketch.change(1, (1, 2, 3, 4))
    sketch.move(1, 3, 4)
    sketch.erase_box(1)
    sketch.erase_point(1)
    assert sketch.boxes == [BOX]
    assert sketch.points == [(1, 2, True)]
    sketch.erase_box(0)
    sketch.erase_point(0)
    assert not sketch.prompts().drawn
