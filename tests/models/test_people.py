"""Boxes around the people of a photo."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from arena.faces import Face
from arena.models.people import person_box, person_boxes
from arena.photo import Photo
from arena.samples import get_sample

if TYPE_CHECKING:
    from pathlib import Path


def face(left: float, top: float, right: float, bottom: float) -> Face:
    return Face(np.array([left, top, right, bottom], np.float32), 0.99, np.zeros((5, 2), np.float32))


def test_a_person_who_fits_the_photo_is_held_from_hair_to_shoes() -> None:
    assert person_box(face(480, 180, 520, 220), 1000, 1000) == pytest.approx((420, 152, 580, 660))


def test_the_box_ends_where_the_photo_ends() -> None:
    assert person_box(face(10, 5, 110, 105), 200, 300) == (0, 0, 200, 300)


def test_people_are_found_from_left_to_right() -> None:
    officer = Photo.open(get_sample("grace-hopper").path).rgb
    two = np.hstack([officer, officer])
    (left, _, _, _), (right, _, _, _) = boxes = person_boxes(two)
    assert left < right - 300
    assert all(box[3] == two.shape[0] for box in boxes)


def test_no_face_is_no_box() -> None:
    assert person_boxes(np.full((200, 300, 3), 127, np.uint8)) == []


@pytest.mark.shared
def test_the_box_agrees_with_the_person_of_street_portraits(shared: Path) -> None:
    overlaps = []
    for path in sorted((shared / "data" / "ccp" / "photos").iterdir())[:200:20]:
        mask = np.asarray(Photo.open(path.parents[1] / "masks" / f"{path.stem}.png").rgb[..., 0]) > 127
        found = person_boxes(Photo.open(path).rgb)
        if len(found) != 1:
            continue
        left, top, right, bottom = (round(edge) for edge in found[0])
        boxed, around = np.zeros_like(mask), np.zeros_like(mask)
        boxed[top:bottom, left:right] = True
        around[np.ix_(mask.any(axis=1), mask.any(axis=0))] = True
        overlaps.append((boxed & around).sum() / (boxed | around).sum())
    assert len(overlaps) >= 5
    assert np.mean(overlaps) > 0.7
