"""MTCNN as a whole: where it finds faces, where it finds none, and what it refuses to load."""

from __future__ import annotations

import io
import pickle
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from PIL import Image

from arena.errors import ChecksumError, OptionError, WeightsError, WeightsNotFoundError
from arena.faces import Face, FaceDetector, detect_faces, load_arrays, weights_folder

Picture = NDArray[np.uint8]
TOLERANCE = 1.0
"""Pixels. The specification allows ten; this implementation is the original to a hundredth."""


def grace() -> Picture:
    with Image.open(Path(mpl.get_data_path()) / "sample_data" / "grace_hopper.jpg") as image:
        return np.asarray(image.convert("RGB"))


def astronaut() -> Picture:
    return np.asarray(skimage.data.astronaut())  # type: ignore[no-untyped-call]


def grey(picture: Picture) -> Picture:
    return np.repeat(picture[..., None], 3, axis=2)


def camera() -> Picture:
    return grey(np.asarray(skimage.data.camera()))  # type: ignore[no-untyped-call]


EXPECTED = {
    "grace": (grace, (178.36, 109.90, 351.41, 329.82), 0.9892),
    "astronaut": (astronaut, (181.60, 63.73, 264.55, 171.08), 0.9991),
    "camera": (camera, (197.39, 116.22, 255.76, 197.52), 0.9981),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_the_published_faces_are_found(name: str) -> None:
    picture, box, score = EXPECTED[name]
    (face,) = detect_faces(picture())
    np.testing.assert_allclose(face.box, box, atol=TOLERANCE)
    assert face.score == pytest.approx(score, abs=2e-3)


def test_landmarks_are_the_published_ones() -> None:
    (face,) = detect_faces(astronaut())
    expected = [(203.54, 100.10), (245.41, 102.24), (224.22, 126.42), (201.79, 138.59), (244.39, 140.38)]
    np.testing.assert_allclose(face.landmarks, expected, atol=TOLERANCE)


@pytest.mark.parametrize("name", ["chelsea", "coffee", "rocket", "horse", "moon"])
def test_pictures_without_a_face_have_none(name: str) -> None:
    picture = getattr(skimage.data, name)()
    if picture.dtype == bool:
        picture = picture.astype(np.uint8) * 255
    assert detect_faces(picture if picture.ndim == 3 else grey(picture)) == []


def test_black_and_noise_have_no_face() -> None:
    assert detect_faces(np.zeros((200, 300, 3), np.uint8)) == []
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    assert detect_faces(noise) == []


def test_two_people_side_by_side_are_both_found() -> None:
    picture = np.zeros((600, 1024, 3), np.uint8)
    picture[:600, :512] = grace()
    picture[:512, 512:] = astronaut()
    left, right = sorted(detect_faces(picture), key=lambda face: float(face.box[0]))
    np.testing.assert_allclose(left.box, (173.6, 110.4, 350.6, 331.8), atol=TOLERANCE)
    np.testing.assert_allclose(right.box, (693.1, 65.8, 776.4, 171.8), atol=TOLERANCE)


def test_a_face_that_is_cut_off_is_clipped_to_the_picture() -> None:
    part = np.ascontiguousarray(astronaut()[90:200, 150:300])
    (face,) = detect_faces(part)
    np.testing.assert_allclose(face.box, (31.5, 0, 118.2, 80.7), atol=TOLERANCE)


@pytest.mark.parametrize("shape", [(1, 1), (20, 20), (1, 500), (20, 160), (160, 20), (13, 13)])
def test_tiny_and_narrow_pictures_have_no_face_and_no_failure(shape: tuple[int, int]) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    assert detect_faces(picture) == []
    assert detect_faces(picture, min_face_size=12) == []


@pytest.mark.parametrize("side", [47, 94, 147, 294])
def test_a_face_as_large_as_the_picture_can_be_asked_for(side: int) -> None:
    assert FaceDetector().detect(np.zeros((side, 2 * side + 3, 3), np.uint8), min_face_size=side) == []


def test_a_face_in_a_picture_eight_times_as_wide_as_high_is_found() -> None:
    picture = np.full((130, 1040, 3), 120, np.uint8)
    picture[:, 500:630] = astronaut()[50:180, 160:290]
    (face,) = detect_faces(picture)
    np.testing.assert_allclose(face.box, (521.6, 13.7, 604.5, 121.1), atol=10)


def test_min_score_and_min_face_size_are_obeyed() -> None:
    assert detect_faces(astronaut(), min_score=0.9995) == []
    assert detect_faces(astronaut(), min_face_size=512) == []
    assert len(detect_faces(astronaut(), min_face_size=60)) == 1


def test_threads_may_share_the_detector() -> None:
    picture = astronaut()
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: detect_faces(picture), range(6)))
    assert all(np.array_equal(faces[0].box, results[0][0].box) for faces in results)


@pytest.mark.parametrize("bad", [np.zeros((5, 5), np.uint8), np.zeros((5, 5, 4), np.uint8), np.zeros((5, 5, 3))])
def test_other_layouts_are_refused(bad: Picture) -> None:
    with pytest.raises(OptionError, match="uint8"):
        detect_faces(bad)


def test_faces_below_the_window_cannot_be_asked_for() -> None:
    with pytest.raises(OptionError, match="min_face_size"):
        detect_faces(astronaut(), min_face_size=11)


def test_a_face_scales_with_its_picture() -> None:
    face = Face(np.array([2, 4, 6, 12], np.float32), 0.95, np.full((5, 2), 3, np.float32)).scaled(2, 0.5)
    assert face.box.tolist() == [4, 2, 12, 6]
    assert face.landmarks[0].tolist() == [6, 1.5]
    assert (face.width, face.height) == (8, 4)


def test_tampered_weights_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    shutil.copytree(weights_folder(), folder)
    data = bytearray((folder / "rnet.lz4").read_bytes())
    data[-1] ^= 1
    (folder / "rnet.lz4").write_bytes(data)
    with pytest.raises(ChecksumError, match=r"rnet\.lz4"):
        FaceDetector(folder)
    (folder / "rnet.lz4").unlink()
    with pytest.raises(WeightsNotFoundError, match=r"rnet\.lz4"):
        FaceDetector(folder)


class _Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("code from the weights ran",)


def test_a_stream_that_names_code_is_refused_unrun(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(WeightsError, match="print"):
        load_arrays(io.BytesIO(pickle.dumps([_Harmful()])))
    with pytest.raises(WeightsError):
        load_arrays(io.BytesIO(pickle.dumps([1, 2])))
    with pytest.raises(WeightsError):
        load_arrays(io.BytesIO(b"\x80\x04"))
    assert capsys.readouterr().out == ""


def test_neither_tensorflow_nor_the_original_package_is_imported() -> None:
    code = (
        "import sys, numpy as np; from arena.faces import detect_faces; detect_faces(np.zeros((64, 64, 3), np.uint8));"
        "print([m for m in sys.modules if m.split('.')[0] in ('tensorflow', 'keras', 'mtcnn')])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
