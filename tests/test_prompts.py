from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from arena.errors import OptionError
from arena.prompts import checked_boxes, checked_points, parse_box, parse_point

WIDTH, HEIGHT = 800, 600


@pytest.mark.parametrize("text", ["120,60,610,540", " 120, 60 ,610.0,540 ", "1.2e2,60,610,540"])
def test_a_box_is_four_numbers(text: str) -> None:
    assert parse_box(text) == (120.0, 60.0, 610.0, 540.0)


@pytest.mark.parametrize("text", ["", "1,2,3", "1,2,3,4,5", "a,b,c,d", "1 2 3 4", "1,2,3,"])
def test_what_is_not_four_numbers_is_no_box(text: str) -> None:
    with pytest.raises(OptionError, match=r"is not a box\. Write left, top, right and bottom"):
        parse_box(text)


@pytest.mark.parametrize(
    ("text", "label"), [("300,220", 1), ("300,220,+", 1), ("300,220,-", 0), (" 300 , 220.0 , - ", 0)]
)
def test_a_point_is_two_numbers_and_perhaps_a_sign(text: str, label: int) -> None:
    assert parse_point(text) == ((300.0, 220.0), label)


@pytest.mark.parametrize("text", ["", "-", "300", "300,-", "300,220,1", "300,220,-,-", "x,y"])
def test_what_is_something_else_is_no_point(text: str) -> None:
    with pytest.raises(OptionError, match=r"is not a point\. Write x and y"):
        parse_point(text)


@pytest.mark.parametrize("boxes", [[(1, 2, 3, 4)], (1, 2, 3, 4), np.array([[1, 2, 3, 4]]), [[1.0, 2.0, 3.0, 4.0]]])
def test_boxes_come_in_many_shapes(boxes: Any) -> None:
    checked = checked_boxes(boxes, WIDTH, HEIGHT)
    assert checked.dtype == np.float32
    assert checked.tolist() == [[1, 2, 3, 4]]


@pytest.mark.parametrize("boxes", [None, [], (), np.empty((0, 4))])
def test_no_box_is_no_error(boxes: Any) -> None:
    assert checked_boxes(boxes, WIDTH, HEIGHT).shape == (0, 4)


def test_what_stands_over_the_edge_is_cut_off() -> None:
    checked = checked_boxes([(-10, 500, 900, 700), (0, 0, WIDTH, HEIGHT)], WIDTH, HEIGHT)
    assert checked.tolist() == [[0, 500, WIDTH, HEIGHT], [0, 0, WIDTH, HEIGHT]]


@pytest.mark.parametrize("box", [(900, 10, 950, 50), (10, 600, 50, 700), (-50, 10, 0, 50), (10, -50, 50, -10)])
def test_a_box_outside_of_the_photo_is_named(box: tuple[float, ...]) -> None:
    with pytest.raises(OptionError, match=r"^Box 2 .* is outside of the photo, which is 800 x 600 pixels"):
        checked_boxes([(1, 2, 3, 4), box], WIDTH, HEIGHT)


@pytest.mark.parametrize("box", [(10, 10, 10, 50), (10, 10, 50, 10), (50, 10, 10, 50), (900, 10, 900, 50)])
def test_a_box_of_no_area_is_named(box: tuple[float, ...]) -> None:
    with pytest.raises(OptionError, match=r"^Box 1 .* has no area\. Write left, top, right, bottom"):
        checked_boxes([box], WIDTH, HEIGHT)


@pytest.mark.parametrize(
    "boxes", [[(1, 2, 3)], [1, 2, 3], "box", [("a", "b", "c", "d")], [(1, 2, 3, float("nan"))], [[1, 2, 3, 4], [1, 2]]]
)
def test_what_are_no_boxes_is_said(boxes: Any) -> None:
    with pytest.raises(OptionError, match=r"are no boxes\. Give pixels of the photo: boxes="):
        checked_boxes(boxes, WIDTH, HEIGHT)


def test_points_are_meant_unless_their_labels_say_otherwise() -> None:
    points, labels = checked_points([(0, 0), (WIDTH, HEIGHT)], None, WIDTH, HEIGHT)
    assert points.dtype == np.float32
    assert points.tolist() == [[0, 0], [WIDTH, HEIGHT]]
    assert labels.tolist() == [1, 1]
    assert checked_points([(1, 2), (3, 4)], [True, 0], WIDTH, HEIGHT)[1].tolist() == [1, 0]
    assert checked_points((1, 2), 0, WIDTH, HEIGHT)[1].tolist() == [0]
    nothing, none = checked_points(None, None, WIDTH, HEIGHT)
    assert (nothing.shape, none.shape) == ((0, 2), (0,))


@pytest.mark.parametrize("point", [(-1, 5), (801, 5), (5, 601)])
def test_a_point_outside_of_the_photo_is_named(point: tuple[float, float]) -> None:
    with pytest.raises(OptionError, match=r"^Point 2 .* is outside of the photo, which is 800 x 600 pixels"):
        checked_points([(1, 2), point], None, WIDTH, HEIGHT)


@pytest.mark.parametrize("labels", [[2], [-1], ["yes"], [[1]], [0.5], [None], [1, [0, 1]]])
def test_other_labels_are_refused(labels: Any) -> None:
    with pytest.raises(OptionError, match="are no labels"):
        checked_points([(1, 2)], labels, WIDTH, HEIGHT)


def test_every_point_has_a_label() -> None:
    with pytest.raises(OptionError, match="There are 1 labels for 2 points"):
        checked_points([(1, 2), (3, 4)], [1], WIDTH, HEIGHT)
    with pytest.raises(OptionError, match="There are 2 labels for 0 points"):
        checked_points(None, [1, 0], WIDTH, HEIGHT)
