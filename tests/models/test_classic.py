"""The segmenter in the box: whom it finds, how its edge looks, and that it is the same every time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from PIL import Image

from arena.catalog import get_card
from arena.errors import OptionError
from arena.faces import Face
from arena.models.classic import (
    NO_FACE,
    ClassicSegmenter,
    central_prior,
    find_subject_faces,
    segment_classic,
    silhouette,
)
from arena.photo import Photo

Picture = NDArray[np.uint8]


def grace() -> Picture:
    with Image.open(Path(mpl.get_data_path()) / "sample_data" / "grace_hopper.jpg") as image:
        return np.asarray(image.convert("RGB"))


def astronaut() -> Picture:
    return np.asarray(skimage.data.astronaut())  # type: ignore[no-untyped-call]


def share(alpha: NDArray[np.float32], x1: int, y1: int, x2: int, y2: int) -> float:
    return float(alpha[y1:y2, x1:x2].mean())


def face(x1: float, y1: float, x2: float, y2: float) -> Face:
    return Face(np.array([x1, y1, x2, y2], np.float32), 0.99, np.zeros((5, 2), np.float32))


def test_the_astronaut_is_cut_out() -> None:
    rgb = astronaut()
    alpha = segment_classic(rgb, find_subject_faces(rgb))
    assert alpha.shape == (512, 512)
    assert alpha.dtype == np.float32
    assert share(alpha, 190, 70, 260, 165) > 0.98  # face
    assert share(alpha, 170, 30, 280, 60) > 0.75  # hair
    assert share(alpha, 130, 300, 270, 440) > 0.97  # suit
    assert share(alpha, 0, 0, 100, 180) < 0.02  # flag
    assert share(alpha, 420, 30, 512, 250) < 0.02  # shuttle
    assert 0.25 < alpha.mean() < 0.55


def test_the_admiral_is_cut_out() -> None:
    rgb = grace()
    alpha = segment_classic(rgb, find_subject_faces(rgb))
    assert share(alpha, 200, 120, 330, 310) > 0.98  # face
    assert share(alpha, 190, 50, 340, 90) > 0.9  # cap
    assert share(alpha, 60, 430, 460, 590) > 0.95  # uniform
    assert share(alpha, 400, 0, 512, 250) < 0.02  # wall
    assert share(alpha, 0, 0, 60, 250) < 0.05  # flag
    assert 0.4 < alpha.mean() < 0.75


def test_the_edge_is_soft_at_full_resolution_and_only_the_edge() -> None:
    rgb = np.asarray(cv2.resize(astronaut(), (1536, 1536), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
    alpha = segment_classic(rgb, find_subject_faces(rgb))
    soft = (alpha > 0.05) & (alpha < 0.95)
    assert 0.002 < soft.mean() < 0.12
    assert len(np.unique(alpha[soft])) > 1000
    assert ((alpha == 0) | (alpha == 1)).mean() > 0.7


def test_everybody_is_kept() -> None:
    rgb = np.full((600, 1100, 3), 128, np.uint8)
    rgb[:, :512] = grace()
    rgb[88:, 588:] = astronaut()
    faces = find_subject_faces(rgb)
    assert len(faces) == 2
    alpha = segment_classic(rgb, faces)
    for one in faces:
        x1, y1, x2, y2 = (round(float(edge)) for edge in one.box)
        assert share(alpha, x1 + 10, y1 + 10, x2 - 10, y2 - 10) > 0.9


def test_a_face_much_smaller_than_another_is_a_passer_by() -> None:
    rgb = np.full((600, 700, 3), 128, np.uint8)
    rgb[:, :512] = grace()
    rgb[200:380, 512:692] = cv2.resize(astronaut(), (180, 180), interpolation=cv2.INTER_AREA)
    assert len(find_subject_faces(rgb)) == 1


def test_a_smaller_face_out_of_focus_is_a_passer_by_and_one_in_focus_is_not() -> None:
    rgb = np.full((600, 900, 3), 128, np.uint8)
    rgb[:, :512] = grace()
    second = cv2.resize(astronaut(), (600, 600), interpolation=cv2.INTER_CUBIC)[:400, 100:480]
    rgb[100:500, 515:895] = second
    assert len(find_subject_faces(rgb)) == 2
    rgb[100:500, 515:895] = cv2.GaussianBlur(second, (0, 0), 2.5)
    assert len(find_subject_faces(rgb)) == 1


def test_a_photo_without_a_face_says_so_and_takes_the_middle() -> None:
    y, x = np.mgrid[:300, :400]
    rgb = np.empty((300, 400, 3), np.uint8)
    rgb[...] = (60, 110, 70)
    inside = np.hypot((x - 200) / 70, (y - 190) / 95) < 1
    rgb[inside] = (190, 60, 50)
    rgb += np.random.default_rng(0).integers(0, 20, rgb.shape, dtype=np.uint8)
    matte = ClassicSegmenter(get_card("classic"), "cpu").segment(Photo(rgb, "disc"))
    assert matte.notes == (NO_FACE,)
    found = matte.alpha > 0.5
    assert (found & inside).sum() / (found | inside).sum() > 0.95


def test_a_photo_with_a_face_has_no_note_and_its_own_size() -> None:
    rgb = grace()
    matte = ClassicSegmenter.load(get_card("classic"), None, "cpu").segment(Photo(rgb, "grace"))
    assert matte.notes == ()
    assert matte.alpha.shape == rgb.shape[:2]
    assert matte.found
    assert matte.seconds > 0


def test_the_same_photo_gives_the_same_matte_on_every_call_and_thread() -> None:
    rgb = np.ascontiguousarray(astronaut()[:256, 90:346])
    faces = find_subject_faces(rgb)
    assert faces
    first = segment_classic(rgb, faces)
    cv2.setRNGSeed(12345)
    assert np.array_equal(segment_classic(rgb, faces), first)
    with ThreadPoolExecutor(3) as pool:
        for alpha in pool.map(lambda _: segment_classic(rgb, faces), range(2)):
            assert np.array_equal(alpha, first)


@pytest.mark.parametrize("shape", [(64, 64), (1, 1), (1, 40), (40, 1), (2, 2), (5, 7), (30, 240)])
def test_small_and_narrow_photos_work(shape: tuple[int, int]) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    alpha = segment_classic(rgb, [])
    assert alpha.shape == shape
    assert alpha.min() >= 0
    assert alpha.max() <= 1
    inside = [face(0, 0, shape[1], shape[0])]
    assert np.isfinite(segment_classic(rgb, inside)).all()


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_plain_photo_does_not_fail(value: int) -> None:
    alpha = segment_classic(np.full((90, 120, 3), value, np.uint8), [])
    assert np.isfinite(alpha).all()


def test_the_input_is_not_written_to() -> None:
    rgb = astronaut().copy()
    rgb.flags.writeable = False
    segment_classic(rgb, find_subject_faces(rgb))


def test_the_silhouette_is_certain_at_the_face_wide_at_the_shoulders_and_empty_aside() -> None:
    odds = silhouette((400, 400), [face(160, 80, 240, 180)])
    assert odds[130, 200] > 3
    assert odds[300, 90] > 0 > odds[130, 90]
    assert odds[20, 20] < -5
    assert np.allclose(odds[:, 180:200], odds[:, 200:220][:, ::-1], atol=0.3)


def test_the_central_prior_stands_on_the_lower_edge() -> None:
    odds = central_prior((300, 400))
    assert odds[180, 200] > 1.5
    assert odds[299, 200] > 1.5
    assert odds[0, 0] < -5
    assert odds[299, 0] < 0


def test_other_layouts_are_refused() -> None:
    with pytest.raises(OptionError, match="uint8"):
        segment_classic(np.zeros((8, 8), np.uint8), [])
