from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from arena.catalog import get_card
from arena.devices import resolve_device
from arena.errors import CheckpointError
from arena.models import lite
from arena.models.lite import (
    LOOKS,
    WEIGHTS,
    LiteSegmenter,
    along_strands,
    face_on,
    presence,
    segment_lite,
    surroundings,
    without_specks,
)
from arena.models.lite_input import LONGEST, to_input
from arena.models.pool import load_model
from arena.photo import Photo
from arena.samples import SAMPLES, get_sample
from tests.fakes import disc

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    FloatArray = NDArray[np.float32]


def red(rgb: NDArray[np.uint8]) -> FloatArray:
    """A network that finds what is red, at a quarter of the size."""
    small = rgb[::4, ::4].astype(np.float32)
    red_less_blue = (small[..., 0] - small[..., 2]) / 100
    found: FloatArray = np.clip(red_less_blue, 0, 1).astype(np.float32)
    return found


def scene(height: int = 240, width: int = 320, centre: tuple[int, int] = (120, 160), radius: int = 60) -> FloatArray:
    rows, columns = np.mgrid[0:height, 0:width]
    inside = ((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2) < radius**2
    return np.asarray(inside, dtype=np.float32)


def painted(mask: FloatArray) -> NDArray[np.uint8]:
    return np.where(mask[..., None] > 0, np.array([200, 30, 30]), np.array([30, 30, 200])).astype(np.uint8)


def test_the_outline_is_the_photos() -> None:
    mask = scene()
    alpha, peak = segment_lite(painted(mask), red)
    assert peak == 1
    assert ((alpha > 0.5) != (mask > 0.5)).mean() < 1e-3
    assert np.abs(alpha - mask).mean() < 0.01


def test_a_small_subject_is_looked_at_again_and_closer() -> None:
    seen: list[tuple[int, ...]] = []

    def look(rgb: NDArray[np.uint8]) -> FloatArray:
        seen.append(rgb.shape)
        return red(rgb)

    segment_lite(painted(scene(radius=30)), look)
    assert len(seen) == 2
    assert seen[1][0] < 0.5 * seen[0][0]
    assert seen[1][1] < 0.5 * seen[0][1]


def test_a_large_subject_is_looked_at_once() -> None:
    calls: list[int] = []

    def look(rgb: NDArray[np.uint8]) -> FloatArray:
        calls.append(1)
        return red(rgb)

    segment_lite(painted(scene(radius=150)), look)
    assert calls == [1]


def test_nobody_stays_nobody() -> None:
    rgb = np.full((60, 80, 3), 90, np.uint8)
    alpha, peak = segment_lite(rgb, red)
    assert peak == 0
    assert alpha.max() == 0


def test_a_few_bright_pixels_are_nobody() -> None:
    rgb = np.full((200, 200, 3), (30, 30, 200), np.uint8)
    rgb[100:104, 100:104] = (250, 0, 0)
    _, peak = segment_lite(rgb, red)
    assert peak < 0.5


def test_somebody_large_who_is_mostly_doubt_is_nobody() -> None:
    sure = scene(100, 100, (50, 50), 35)
    assert presence(sure) == 1
    # A sure core in a wide veil.
    doubt = np.maximum(scene(100, 100, (50, 50), 19), np.float32(0.4) * scene(100, 100, (50, 50), 40))
    assert presence(doubt) < 0.9
    # Somebody small is soft all over, and still somebody; a spot in a veil is not.
    small = np.maximum(scene(100, 100, (50, 50), 10), np.float32(0.4) * scene(100, 100, (50, 50), 16))
    assert presence(small) == 1
    spot = np.maximum(scene(100, 100, (50, 50), 10), np.float32(0.4) * scene(100, 100, (50, 50), 35))
    assert presence(spot) < 0.9


def test_a_face_on_what_was_found_says_that_somebody_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    photo = Photo.open(get_sample("astronaut").path)
    # Her face is in the middle of the upper part.
    on_it, beside = scene(512, 512, (150, 225), 120), scene(512, 512, (380, 380), 110)
    assert face_on(on_it, photo.rgb) > 0.9
    assert face_on(beside, photo.rgb) == 0
    large = np.kron(on_it, np.ones((4, 4), np.float32)), photo.rgb.repeat(4, 0).repeat(4, 1)
    assert face_on(*large) > 0.9
    # Where nothing was found nobody is asked, which takes time.
    monkeypatch.setattr(lite, "detect_faces", None)
    assert face_on(np.zeros((512, 512), np.float32), photo.rgb) == 0


def test_doubt_ends_where_there_is_a_face(monkeypatch: pytest.MonkeyPatch) -> None:
    segmenter = load_model("lite", "cpu")
    monkeypatch.setattr(lite, "presence", lambda alpha: 0.4)
    photo = Photo.open(get_sample("astronaut").path)
    matte = segmenter.segment(photo)
    assert matte.found
    assert matte.peak is not None
    assert matte.peak > 0.9
    # Without her head there is no face to go by.
    assert not segmenter.segment(Photo.from_array(photo.rgb[260:])).found


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (7, 3), (31, 33)])
def test_tiny_and_thin_photos_have_a_matte_of_their_size(size: tuple[int, int]) -> None:
    rgb = np.full((*size, 3), (200, 10, 10), np.uint8)
    alpha, _ = segment_lite(rgb, red)
    assert alpha.shape == size
    assert alpha.dtype == np.float32


def test_specks_go_and_several_people_stay() -> None:
    alpha = np.maximum(scene(120, 160, (60, 40), 25), scene(120, 160, (60, 120), 20))
    alpha[5:9, 80:84] = 0.9
    alpha[4:10, 79:85] = np.maximum(alpha[4:10, 79:85], 0.3)
    clean = without_specks(alpha)
    assert clean[4:10, 79:85].max() == 0
    assert clean[60, 40] == clean[60, 120] == 1
    assert alpha[6, 81] == np.float32(0.9)


def test_a_veil_that_touches_nobody_goes() -> None:
    alpha = scene(120, 160, (60, 40), 25)
    alpha[50:80, 100:140] = 0.4
    alpha[55:65, 60:75] = np.maximum(alpha[55:65, 60:75], 0.4)
    clean = without_specks(alpha)
    assert clean[50:80, 100:140].max() == 0
    assert clean[60, 72] == np.float32(0.4)


def test_surroundings_are_around_the_subject_and_within_the_photo() -> None:
    rows, columns = surroundings(scene(100, 200, (90, 30), 25)) or (slice(0), slice(0))
    assert rows.stop == 100
    assert columns.start == 0
    assert rows.start < 65
    assert columns.stop > 55
    assert surroundings(np.zeros((10, 10), np.float32)) is None
    assert surroundings(np.ones((10, 10), np.float32)) is None


@pytest.mark.parametrize("size", [(480, 640), (3000, 1000), (20, 4000)])
def test_the_input_keeps_the_proportions_at_about_one_area(size: tuple[int, int]) -> None:
    side = LOOKS[0].side
    x = to_input(np.zeros((*size, 3), np.uint8), side)
    height, width = x.shape[2:]
    assert height % 32 == width % 32 == 0
    assert max(height, width) <= LONGEST
    if max(size) < 4 * min(size):
        assert 0.7 * side**2 < height * width < 1.4 * side**2
        assert abs(np.log((width / height) / (size[1] / size[0]))) < 0.25
    assert x.min() >= -0.5
    assert x.max() <= 0.5


def test_the_weights_are_in_the_box_and_small() -> None:
    assert WEIGHTS.stat().st_size < 4_000_000


def test_another_file_of_weights_is_taken_and_one_of_another_network_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"conv.weight": torch.zeros(3, 3)}, tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError):
        LiteSegmenter.load(get_card("lite"), tmp_path / "other.safetensors", "cpu")


@pytest.fixture(scope="module")
def segment() -> Callable[[Photo], FloatArray]:
    segmenter = load_model("lite", resolve_device("cpu"))
    return lambda photo: segmenter.segment(photo).alpha


def sample(key: str) -> Photo:
    return Photo.open(get_sample(key).path)


def test_it_finds_the_person_of_a_sample(segment: Callable[[Photo], FloatArray]) -> None:
    """Against the trimap that was drawn by hand for the astronaut."""
    from importlib.resources import files

    from PIL import Image

    with (files("arena.samples") / "astronaut.trimap.png").open("rb") as file:
        trimap = np.array(Image.open(file))
    alpha = segment(sample("astronaut"))
    sure = trimap != 128
    person = trimap[sure] == 255
    found = alpha[sure] > 0.5
    assert (found & person).sum() / (found | person).sum() > 0.85


@pytest.mark.parametrize("name", [entry.key for entry in SAMPLES])
def test_the_head_is_in_and_the_corner_is_out(segment: Callable[[Photo], FloatArray], name: str) -> None:
    alpha = segment(sample(name))
    height, width = alpha.shape
    assert alpha[height // 4 : height // 3, int(0.4 * width) : int(0.5 * width)].mean() > 0.9
    assert alpha[: height // 12, -width // 12 :].mean() < 0.1


# The astronaut's helmet, a sixth of what is found, is hers one way and nobody's the other.
@pytest.mark.parametrize(("name", "least"), [("astronaut", 0.8), ("grace-hopper", 0.95)])
def test_mirrored_it_sees_about_the_same(segment: Callable[[Photo], FloatArray], name: str, least: float) -> None:
    photo = sample(name)
    mirrored = segment(Photo.from_array(np.ascontiguousarray(photo.rgb[:, ::-1])))
    one, other = mirrored[:, ::-1] > 0.5, segment(photo) > 0.5
    assert (one & other).sum() / (one | other).sum() > least


def test_what_stays_in_doubt_is_settled_by_the_photos_colours() -> None:
    mask = scene()
    rgb = painted(mask)

    def doubting(picture: NDArray[np.uint8]) -> FloatArray:
        """Half of the subject and the corner of the background may be either."""
        seen = red(picture)
        seen[: seen.shape[0] // 2] *= np.float32(0.4)
        seen[-12:, -12:] = 0.4
        return seen

    alpha, _ = segment_lite(rgb, doubting)
    assert alpha[80:110, 130:190].min() > 0.9
    assert alpha[-40:, -40:].max() < 0.1


@pytest.mark.parametrize("name", ["hubble_deep_field", "moon", "brick", "gravel", "grass", "cell", "clock"])
def test_where_nobody_is_nobody_is_found(name: str) -> None:
    skimage = pytest.importorskip("skimage.data")
    picture = np.asarray(getattr(skimage, name)())
    rgb = picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)
    assert not load_model("lite", "cpu").segment(Photo.from_array(rgb)).found


def test_noise_and_plain_colours_are_nobody() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    for rgb in (noise, np.full((300, 400, 3), 128, np.uint8), np.zeros((64, 64, 3), np.uint8)):
        assert not load_model("lite", "cpu").segment(Photo.from_array(rgb)).found


def test_a_drawn_disc_is_nobody_either() -> None:
    mask = disc(200, 200)
    assert load_model("lite", "cpu").segment(Photo.from_array(painted(mask))).alpha.shape == (200, 200)


def test_hair_is_followed_on_request() -> None:
    photo = Photo.open(get_sample("astronaut").path)
    model = load_model("lite", device="cpu")
    plain, strands = model.segment(photo), model.segment(photo, hair=True)
    assert strands.alpha.shape == plain.alpha.shape
    # The same person, with another edge.
    assert ((strands.alpha > 0.5) == (plain.alpha > 0.5)).mean() > 0.97
    changed = np.abs(strands.alpha - plain.alpha) > 0.1
    assert 0.001 < changed.mean() < 0.2
    assert strands.found
    assert plain.found


def test_sure_logits_have_an_end() -> None:
    alpha = scene(64, 64, (32, 32), 20)
    rgb = painted(alpha)
    refined = along_strands(alpha, rgb, rgb)
    assert refined.dtype == np.float32
    assert np.isfinite(refined).all()
    assert np.abs(refined - alpha).mean() < 0.05
