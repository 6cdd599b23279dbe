"""The logic of the page that draws, without a browser."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from arena.errors import WeightsNotFoundError
from arena.finish import Effect
from arena.models import people
from arena.photo import Photo, encode
from arena.ui.previews import PREVIEW_SIDE
from arena.ui.state import DRAW, Key
from arena.ui.text import plain
from tests.ui.driving import DRAW_URL, canvas_data, go_to, memory, only_preview, stroke, texts, until_done

if TYPE_CHECKING:
    from streamlit.testing.v1 import AppTest

    from arena.matte import Matte

FIRST, SECOND = [10, 20, 200, 300], [250, 40, 400, 500]


@pytest.fixture
def drawing(page: AppTest) -> AppTest:
    """The page with a sample on its canvas."""
    go_to(page.run(), DRAW_URL)
    return page.button(key=Key.SAMPLE.of("astronaut")).click().run()


def run(page: AppTest) -> AppTest:
    page.button(key=Key.RUN.of(DRAW)).click()
    return until_done(page, DRAW)


def choose_model(page: AppTest, key: str) -> AppTest:
    return page.selectbox(key=Key.ONE_MODEL.of(DRAW)).set_value(key).run()


def numbers(page: AppTest) -> list[list[int]]:
    """The rows of numbers beside the canvas."""
    fields = [field for field in page.number_input if field.key and field.key.startswith(f"{Key.BOX}-")]
    values = [int(field.value or 0) for field in fields]
    return [values[start : start + 4] for start in range(0, len(values), 4)]


def matte(page: AppTest) -> Matte:
    (result,) = memory(page, DRAW).results.values()
    assert result.matte is not None
    return result.matte


def filled(*boxes: list[int]) -> np.ndarray:
    alpha = np.zeros((512, 512), np.float32)
    for left, top, right, bottom in boxes:
        alpha[top:bottom, left:right] = 1
    return alpha


def test_the_models_are_those_that_take_boxes(page: AppTest) -> None:
    go_to(page.run(), DRAW_URL)
    assert not page.exception
    assert page.selectbox(key=Key.ONE_MODEL.of(DRAW)).options == ["Boxes", "Edges", "Blind", "Stuck"]


def test_the_button_says_what_is_missing(page: AppTest) -> None:
    go_to(page.run(), DRAW_URL)
    assert page.button(key=Key.RUN.of(DRAW)).disabled
    assert "Add a photo or take a sample first." in texts(page)
    page.button(key=Key.SAMPLE.of("astronaut")).click().run()
    assert page.button(key=Key.RUN.of(DRAW)).disabled
    assert "Draw a box around what you want to keep, or set a point in it, first." in texts(page)
    stroke(page, [FIRST])
    assert not page.button(key=Key.RUN.of(DRAW)).disabled
    assert "Few objects and small boxes work best" in texts(page)


def test_hair_is_followed_where_a_model_can(drawing: AppTest) -> None:
    stroke(drawing, [FIRST])
    run(drawing)
    assert matte(drawing).alpha.max() == 1
    drawing.toggle(key=Key.FOLLOW_HAIR.of(DRAW)).set_value(True).run()
    assert "What the model is told has changed since." in texts(drawing)
    run(drawing)
    assert matte(drawing).alpha.max() == pytest.approx(0.5)
    choose_model(drawing, "edges")
    assert drawing.toggle(key=Key.FOLLOW_HAIR.of(DRAW)).disabled
    # What that model would not be told has not changed for the other.
    assert "What the model is told has changed since." not in texts(drawing)


def test_a_point_to_keep_is_enough_for_a_model_that_takes_points(drawing: AppTest) -> None:
    stroke(drawing, points=[[100, 100, False]])
    assert drawing.button(key=Key.RUN.of(DRAW)).disabled
    stroke(drawing, points=[[100, 100, False], [300, 300, True]])
    assert not drawing.button(key=Key.RUN.of(DRAW)).disabled
    choose_model(drawing, "edges")
    assert drawing.button(key=Key.RUN.of(DRAW)).disabled
    assert "Edges takes boxes only" in texts(drawing)


def test_what_is_drawn_is_listed_in_pixels_of_the_photo(drawing: AppTest) -> None:
    stroke(drawing, [FIRST, SECOND])
    assert not drawing.exception
    assert numbers(drawing) == [FIRST, SECOND]
    assert canvas_data(drawing)["boxes"] == [FIRST, SECOND]
    assert canvas_data(drawing)["strokes"] == 1


def test_numbers_move_the_box_on_the_canvas_and_keep_their_order(drawing: AppTest) -> None:
    stroke(drawing, [FIRST, SECOND])
    drawing.number_input(key=Key.BOX.of("1", "left")).set_value(260).run()
    assert canvas_data(drawing)["boxes"] == [FIRST, [260, 40, 400, 500]]
    # A right edge on the other side of the left one.
    drawing.number_input(key=Key.BOX.of("1", "right")).set_value(100).run()
    assert numbers(drawing)[1] == [100, 40, 260, 500]
    # No area: what was there stays.
    drawing.number_input(key=Key.BOX.of("1", "right")).set_value(100).run()
    assert numbers(drawing)[1] == [100, 40, 260, 500]
    assert not drawing.exception


def test_a_box_can_be_added_without_a_mouse(drawing: AppTest) -> None:
    drawing.button(key=Key.ADD_BOX).click().run()
    assert numbers(drawing) == [[128, 128, 384, 384]]
    assert not drawing.button(key=Key.RUN.of(DRAW)).disabled


def test_boxes_are_deleted_one_by_one_and_all_at_once(drawing: AppTest) -> None:
    stroke(drawing, [FIRST, SECOND], [[5, 6, True]])
    drawing.button(key=Key.ERASE.of(Key.BOX, "0")).click().run()
    assert numbers(drawing) == [SECOND]
    assert canvas_data(drawing)["points"] == [[5, 6, True]]
    drawing.button(key=Key.CLEAR).click().run()
    assert canvas_data(drawing)["boxes"] == canvas_data(drawing)["points"] == []
    assert drawing.button(key=Key.CLEAR).disabled
    assert not drawing.exception


def test_points_are_listed_moved_and_deleted(drawing: AppTest) -> None:
    stroke(drawing, points=[[100, 200, True], [300, 400, False]])
    drawing.number_input(key=Key.POINT.of("1", "y")).set_value(410).run()
    assert canvas_data(drawing)["points"] == [[100, 200, True], [300, 410, False]]
    drawing.button(key=Key.ERASE.of(Key.POINT, "0")).click().run()
    assert canvas_data(drawing)["points"] == [[300, 410, False]]


def test_a_run_fills_the_boxes_and_says_their_scores(drawing: AppTest) -> None:
    stroke(drawing, [FIRST, SECOND], [[450, 450, True], [100, 100, False]])
    run(drawing)
    assert not drawing.exception
    alpha = matte(drawing).alpha
    assert alpha[450, 450] == 1
    assert alpha[100, 100] == 0
    alpha = alpha.copy()
    alpha[430:470, 430:470] = 0
    alpha[80:120, 80:120] = 1
    assert (alpha == filled(FIRST, SECOND)).all()
    assert plain("Box 1: score 0.90; box 2: score 0.91.") in texts(drawing)


def test_points_do_not_reach_a_model_that_takes_none(drawing: AppTest) -> None:
    choose_model(drawing, "edges")
    stroke(drawing, [FIRST], [[450, 450, True]])
    run(drawing)
    assert (matte(drawing).alpha == filled(FIRST)).all()


def test_results_of_boxes_that_have_changed_since_say_so(drawing: AppTest) -> None:
    stroke(drawing, [FIRST])
    run(drawing)
    assert "has changed since" not in texts(drawing)
    stroke(drawing, [FIRST, SECOND])
    assert "has changed since" in texts(drawing)
    assert plain("Box 1: score 0.90.") in texts(drawing)
    run(drawing)
    assert "has changed since" not in texts(drawing)
    assert (matte(drawing).alpha == filled(FIRST, SECOND)).all()
    # Another model to be run next changes nothing of it.
    stroke(drawing, [FIRST, SECOND], [[450, 450, True]])
    run(drawing)
    choose_model(drawing, "edges")
    assert "has changed since" not in texts(drawing)
    choose_model(drawing, "boxes")
    # Back to what was: its result is gone with the boxes that took its place.
    stroke(drawing, [FIRST])
    assert "has changed since" in texts(drawing)


def test_what_is_not_found_and_what_fails_is_said_in_its_place(drawing: AppTest) -> None:
    stroke(drawing, [FIRST])
    choose_model(drawing, "blind")
    run(drawing)
    assert "Nothing was found there." in texts(drawing)
    assert "humans" not in texts(drawing)
    choose_model(drawing, "stuck")
    run(drawing)
    assert "Failed to run Stuck: Stuck stopped with ZeroDivisionError" in texts(drawing)
    digest = next(iter(memory(drawing, DRAW).at_hand))
    drawing.button(key=Key.RETRY.of(digest, "stuck")).click()
    until_done(drawing, DRAW)
    assert "Failed to run Stuck: Stuck stopped with ZeroDivisionError" in texts(drawing)


def test_the_background_is_blurred_replaced_or_cut_away(drawing: AppTest) -> None:
    stroke(drawing, [FIRST])
    run(drawing)
    slider = drawing.slider(key=Key.KERNEL.of(DRAW))
    assert slider.min == 1
    for effect in Effect:
        drawing.segmented_control(key=Key.EFFECT.of(DRAW)).set_value(str(effect)).run()
        kept = only_preview(drawing, DRAW)._finished
        assert kept is not None
        assert kept[0].effect is effect


def test_a_box_is_suggested_around_the_person(drawing: AppTest) -> None:
    stroke(drawing, [FIRST])
    drawing.button(key=Key.SUGGEST).click().run(timeout=90)
    assert not drawing.exception
    assert not drawing.button(key=Key.CLEAR).disabled
    own, suggested = numbers(drawing)
    assert own == FIRST
    left, top, right, bottom = suggested
    # The hair, both shoulders and the sleeve beside the helmet.
    assert left < 60
    assert top < 20
    assert right > 340
    assert bottom == 512
    drawing.button(key=Key.SUGGEST).click().run(timeout=90)
    assert len(numbers(drawing)) == 2


def test_suggested_boxes_can_be_cleared(drawing: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people, "person_boxes", lambda rgb: [tuple(FIRST)])
    drawing.button(key=Key.SUGGEST).click().run()
    assert numbers(drawing) == [FIRST]
    assert not drawing.button(key=Key.CLEAR).disabled
    drawing.button(key=Key.CLEAR).click().run()
    assert numbers(drawing) == []


def test_no_face_and_no_detector_are_said_without_harm(drawing: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people, "person_boxes", lambda rgb: [])
    drawing.button(key=Key.SUGGEST).click().run()
    assert "No face was found." in texts(drawing)

    def missing(rgb: object) -> None:
        raise WeightsNotFoundError("The detector is gone.", "Install it again.")

    monkeypatch.setattr(people, "person_boxes", missing)
    drawing.button(key=Key.SUGGEST).click().run()
    assert "The detector is gone. Install it again." in texts(drawing)


def test_a_large_photo_is_sent_small_and_measured_in_its_own_pixels(page: AppTest) -> None:
    go_to(page.run(), DRAW_URL)
    large = np.zeros((1600, 3000, 3), np.uint8)
    page.file_uploader(key=Key.UPLOADS.of(DRAW)).set_value(("large.png", encode(large), "image/png")).run()
    data = canvas_data(page)
    assert (data["width"], data["height"]) == (3000, 1600)
    ((_, sent),) = memory(page, DRAW).originals.items()
    assert Photo.open(sent).size == (PREVIEW_SIDE, PREVIEW_SIDE * 16 // 30)
    stroke(page, [[-20, 10, 3100, 1200]])
    assert numbers(page) == [[0, 10, 3000, 1200]]


def test_each_photo_keeps_its_own_boxes(drawing: AppTest) -> None:
    stroke(drawing, [FIRST])
    drawing.button(key=Key.SAMPLE.of("grace-hopper")).click().run()
    assert canvas_data(drawing)["boxes"] == []
    drawing.button(key=Key.SAMPLE.of("astronaut")).click().run()
    assert canvas_data(drawing)["boxes"] == [FIRST]


def test_a_stroke_on_a_photo_that_is_gone_is_not_the_other_s(drawing: AppTest) -> None:
    (canvas,) = drawing.main.get("bidi_component")
    report = {"photo": "another", "boxes": [FIRST], "points": [], "strokes": 1}
    states = drawing._tree.get_widget_states()
    states.widgets.add(id=canvas.proto.id, json_value=json.dumps({"drawn": report}))
    drawing._run(states)
    assert not drawing.exception
    assert canvas_data(drawing)["boxes"] == []


def test_a_broken_photo_says_so_in_its_place(page: AppTest) -> None:
    go_to(page.run(), DRAW_URL)
    page.file_uploader(key=Key.UPLOADS.of(DRAW)).set_value(("bad.jpg", b"?", "image/jpeg")).run()
    assert not page.exception
    assert "bad.jpg is not a picture" in texts(page)
    assert not page.main.get("bidi_component")
    assert page.button(key=Key.RUN.of(DRAW)).disabled
