"""Remback's steps: the face, the box, the question to SAM, the mask, and the published numbers of each."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from arena.catalog import get_card
from arena.errors import CheckpointError, OptionError
from arena.faces import Face
from arena.models.pool import ModelPool, load_adapter
from arena.models.remback import (
    NO_FACE,
    NOBODY_IN_BOX,
    RembackOptions,
    RembackSegmenter,
    choose_faces,
    find_faces,
    padded_boxes,
    person_mask,
)
from arena.models.sam import SamPredictor
from arena.models.torch_base import ENCODED_EARLIER
from arena.photo import Photo
from arena.refine.edges import soften
from arena.samples import SAMPLES, get_sample
from tests.models import sam_tiny
from tests.remback.fakes import BoxSam, nobody, portrait, two_people

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from tests.hub import HubEmulator

FACES = {"astronaut": (181.6, 63.7, 264.6, 171.1), "grace-hopper": (178.4, 109.9, 351.4, 329.8)}
"""Of the bundled portraits, in pixels."""


def face(x0: float, y0: float, x1: float, y1: float, score: float = 0.99) -> Face:
    return Face(np.array([x0, y0, x1, y1], np.float32), score, np.zeros((5, 2), np.float32))


def blank(height: int = 60, width: int = 80) -> NDArray[np.float32]:
    return np.full((height, width), -1, np.float32)


def boxy(sam: BoxSam | None = None) -> tuple[RembackSegmenter, BoxSam]:
    sam = sam or BoxSam()
    predictor: Any = sam
    return RembackSegmenter(get_card("remback"), "cpu", predictor), sam


def test_the_numbers_are_those_that_were_published() -> None:
    options = RembackOptions()
    assert (options.pad_sides, options.pad_up, options.pad_down) == (1.20, 0.05, 0.20)
    assert (options.mask_thresh, options.components, options.opening, options.closing) == (0.10, 1, 5, 5)
    assert (options.sigma, options.alpha_cut, options.sharp, options.contrast) == (0.5, 0.40, 0, 1.0)
    assert options.faces == "largest"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("face_side", 10),
        ("face_side", 640.0),
        ("min_face", 0),
        ("min_face", 1.1),
        ("min_score", 1.5),
        ("faces", "smallest"),
        ("pad_sides", -0.1),
        ("pad_up", 11),
        ("pad_down", float("nan")),
        ("mask_thresh", float("inf")),
        ("mask_thresh", "0.1"),
        ("components", -1),
        ("opening", 4),
        ("closing", 101),
        ("sigma", -1),
        ("alpha_cut", 0),
        ("alpha_cut", 1.01),
        ("sharp", 11),
        ("sharp_sigma", 0),
        ("contrast", 0),
        ("quality", 0),
        ("quality", 101),
    ],
)
def test_a_number_out_of_range_is_named(name: str, value: object) -> None:
    values: dict[str, Any] = {name: value}
    with pytest.raises(OptionError, match=name):
        RembackOptions(**values)


def test_options_come_from_plain_values_and_a_wrong_name_names_its_neighbour() -> None:
    base = RembackOptions(sigma=2)
    assert RembackOptions.from_mapping({"mask_thresh": 1, "faces": "all"}, base) == dataclasses.replace(
        base, mask_thresh=1, faces="all"
    )
    with pytest.raises(OptionError, match=r"no option 'mask_tresh'\. Did you mean mask_thresh\?"):
        RembackOptions.from_mapping({"mask_tresh": 0.2})


@pytest.mark.parametrize("key", [sample.key for sample in SAMPLES])
def test_the_face_of_a_sample_is_found(key: str) -> None:
    (found,) = find_faces(Photo.open(get_sample(key).path).rgb)
    np.testing.assert_allclose(found.box, FACES[key], atol=10)


def test_a_large_photo_is_shrunk_for_the_search_and_its_faces_are_where_they_are() -> None:
    small = Photo.open(get_sample("astronaut").path).rgb
    large = np.asarray(cv2.resize(small, (1536, 1024), interpolation=cv2.INTER_LINEAR), np.uint8)
    (found,) = find_faces(large)
    np.testing.assert_allclose(found.box, np.array(FACES["astronaut"]) * (3, 2, 3, 2), atol=40)


def test_faces_below_the_smallest_and_below_the_score_are_not_looked_for() -> None:
    rgb = portrait()
    assert find_faces(rgb, RembackOptions(min_face=0.8)) == []
    assert find_faces(rgb, RembackOptions(min_score=1.0)) == []
    # A picture in which a face would be below twelve pixels.
    assert find_faces(rgb, RembackOptions(face_side=20)) == []


def test_the_largest_face_is_that_of_the_largest_area_times_probability() -> None:
    sure, large, doubtful = face(0, 0, 10, 10, 1.0), face(0, 0, 30, 40, 0.95), face(0, 0, 32, 40, 0.85)
    assert choose_faces([sure, doubtful, large]) == [large]
    assert choose_faces([sure, doubtful, large], RembackOptions(faces="all")) == [large, doubtful, sure]
    assert choose_faces([]) == []


def test_the_box_is_the_padded_face_within_the_photo() -> None:
    inside, at_the_edge = face(300, 200, 400, 320), face(10, 2, 110, 102)
    boxes = padded_boxes([inside, at_the_edge], 800, 600)
    np.testing.assert_allclose(boxes, [[180, 194, 520, 344], [0, 0, 230, 122]], rtol=1e-6)
    np.testing.assert_allclose(padded_boxes([at_the_edge], 200, 110), [[0, 0, 200, 110]])
    wider = RembackOptions(pad_sides=0.5, pad_up=1, pad_down=2)
    np.testing.assert_allclose(padded_boxes([inside], 800, 600, wider), [[250, 80, 450, 560]])
    assert padded_boxes([], 800, 600).shape == (0, 4)
    # The face itself is as it was.
    np.testing.assert_array_equal(inside.box, [300, 200, 400, 320])


def test_the_mask_is_what_exceeds_the_threshold() -> None:
    logits = blank()
    logits[10:30, 10:30], logits[10:30, 30:50] = 0.2, 0.1
    mask = person_mask(logits)
    assert mask[20, 20] == 1
    # Not what equals it.
    assert not mask[:, 31:].any()
    assert person_mask(logits, RembackOptions(mask_thresh=0.05))[20, 40] == 1
    assert set(np.unique(mask)) == {0, 1}


def test_the_largest_part_stays() -> None:
    logits = blank()
    logits[5:30, 5:30], logits[40:55, 50:70] = 1, 3
    mask = person_mask(logits)
    assert mask[15, 15] == 1
    assert not mask[40:, 50:].any()
    assert person_mask(logits, RembackOptions(components=2))[45, 60] == 1
    assert person_mask(logits, RembackOptions(components=0))[45, 60] == 1


def test_threads_are_cut_and_pinholes_sealed() -> None:
    logits = blank()
    logits[10:50, 10:50] = 1
    logits[28:30, 50:75] = 1  # a thread of two pixels
    logits[25:27, 25:27] = -1  # a pinhole of two
    mask = person_mask(logits)
    assert not mask[28:30, 55:].any()
    assert mask[25:27, 25:27].all()
    as_is = person_mask(logits, RembackOptions(opening=1, closing=1))
    np.testing.assert_array_equal(as_is, logits > 0.1)


def test_sam_is_asked_about_the_padded_face_and_the_edge_is_soft() -> None:
    photo = Photo.from_array(portrait())
    segmenter, sam = boxy()
    matte = segmenter.segment(photo)
    (box,) = padded_boxes(find_faces(photo.rgb), *photo.size)
    assert sam.asked == [box.tolist()]
    x0, y0, x1, y1 = (round(edge) for edge in box.tolist())
    expected = blank(photo.height, photo.width)
    expected[y0:y1, x0:x1] = 1
    # The speck in the corner is gone.
    np.testing.assert_array_equal(matte.alpha, soften(person_mask(expected), 0.5))
    assert 0 < matte.alpha[y1 - 1, (x0 + x1) // 2] < 1
    assert matte.seconds >= 0.75
    assert matte.scores == pytest.approx((0.9,))
    assert matte.notes == ()


def test_of_several_people_the_largest_face_is_taken_or_all_are() -> None:
    photo = Photo.from_array(two_people())
    segmenter, sam = boxy()
    one = segmenter.segment(photo)
    assert len(sam.asked) == 1
    assert sam.asked[0][0] < 128
    assert one.notes == ("2 faces were found; this is the person of the largest.",)
    everybody = segmenter.segment(photo, options=RembackOptions(faces="all"))
    assert len(sam.asked) == 3
    assert everybody.notes == ()
    assert len(everybody.scores) == 2
    _, y0, x1, y1 = sam.asked[2]
    middle = round((y0 + y1) / 2), round(min(x1, 450) - 10)
    assert one.alpha[middle] == 0
    assert everybody.alpha[middle] == 1
    assert (everybody.alpha >= one.alpha).all()


def test_drawn_boxes_take_the_place_of_faces() -> None:
    photo = Photo.from_array(nobody())
    segmenter, sam = boxy()
    matte = segmenter.segment(photo, boxes=[(20, 30, 60, 90)])
    assert sam.asked == [[20, 30, 60, 90]]
    assert matte.alpha[60, 40] == 1
    with pytest.raises(OptionError, match="no area"):
        segmenter.segment(photo, boxes=[(20, 30, 20, 90)])


def test_without_a_face_there_is_nobody_and_sam_is_not_asked() -> None:
    photo = Photo.from_array(nobody())
    segmenter, sam = boxy()
    nothing: tuple[list[float] | None, ...] = (None, [])
    for boxes in nothing:
        matte = segmenter.segment(photo, boxes=boxes)
        assert not matte.found
        assert matte.notes == (NO_FACE,)
        assert matte.size == photo.size
    assert sam.encoded == []


def test_an_empty_box_is_told() -> None:
    segmenter, _ = boxy(BoxSam(inside=0.05))
    matte = segmenter.segment(Photo.from_array(portrait()))
    assert not matte.found
    assert matte.notes == (NOBODY_IN_BOX,)


def test_other_prompts_are_refused() -> None:
    segmenter, _ = boxy()
    photo = Photo.from_array(nobody())
    with pytest.raises(OptionError, match="RembackOptions"):
        segmenter.segment(photo, options={"sigma": 1})
    with pytest.raises(OptionError, match="cannot be told prompt"):
        segmenter.segment(photo, prompt="person")
    with pytest.raises(OptionError, match="file of weights"):
        RembackSegmenter.load(get_card("remback"), None, "cpu")


def test_a_checkpoint_of_either_layout_gives_the_same_matte(tmp_path: Path) -> None:
    photo = Photo.from_array(portrait())
    original = sam_tiny.save_segment_anything(tmp_path / "remback_v4.pth")
    converted = sam_tiny.save_transformers(tmp_path / "model.safetensors")
    mattes = [load_adapter(get_card("remback"), path, "cpu").segment(photo) for path in (original, converted)]
    np.testing.assert_array_equal(mattes[0].alpha, mattes[1].alpha)
    # By hand.
    predictor = SamPredictor.load(original, "cpu")
    predictor.encode(photo)
    logits = predictor.ask(boxes=padded_boxes(find_faces(photo.rgb), *photo.size)).logits[0].numpy()
    np.testing.assert_array_equal(mattes[0].alpha, soften(person_mask(logits), 0.5))
    assert 0 < mattes[0].alpha.mean() < 1


def test_the_encoding_is_kept_for_the_next_box(tmp_path: Path) -> None:
    path = sam_tiny.save_segment_anything(tmp_path / "sam.pth")
    segmenter = load_adapter(get_card("remback"), path, "cpu")
    photo = Photo.from_array(portrait())
    assert ENCODED_EARLIER not in segmenter.segment(photo).notes
    assert ENCODED_EARLIER in segmenter.segment(photo, boxes=[(5, 5, 100, 200)]).notes


def test_a_file_that_is_no_sam_is_refused(tmp_path: Path) -> None:
    import torch

    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError):
        load_adapter(get_card("remback"), tmp_path / "other.pth", "cpu")


def test_the_published_weights_come_from_the_main_branch_and_then_run_offline(
    hub: HubEmulator, use_cards: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = get_card("remback")
    file = sam_tiny.save_segment_anything(tmp_path / "remback_v4.pth")
    use_cards(hub.publish(card, file))
    photo = Photo.from_array(portrait())
    first = ModelPool().get("remback", "cpu")
    assert next(request.path for request in hub.log if not request.storage).endswith("/resolve/main/remback_v4.pth")
    assert hub.sent == file.stat().st_size
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    again = ModelPool().get("remback", "cpu")
    assert hub.sent == file.stat().st_size
    mattes = [loaded.segmenter.segment(photo) for loaded in (first, again)]
    np.testing.assert_array_equal(mattes[0].alpha, mattes[1].alpha)
    assert mattes[0].model == "remback"
