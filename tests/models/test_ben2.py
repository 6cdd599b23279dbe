"""The BEN2 adapter does what the original's preparation and interpretation do, less the stretch and the seeds."""

from __future__ import annotations

import dataclasses
import random
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image

from arena.catalog import InputSize, get_card
from arena.errors import CheckpointError
from arena.models.ben2 import BEN2Segmenter
from arena.nets import BEN2, load_state
from arena.photo import Photo
from tests.models.random_weights import picture, random_state, save

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

CARD = dataclasses.replace(get_card("ben2"), input_size=InputSize(side=128, multiple=128))


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return random_state(BEN2(), gain=1.4)


@pytest.fixture(scope="module")
def weights(state: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("ben2") / "model.safetensors", state)


@pytest.fixture(scope="module")
def segmenter(weights: Path) -> BEN2Segmenter:
    return BEN2Segmenter.load(CARD, weights, "cpu")


def test_it_is_the_originals_lanczos_squash_and_bilinear_return(
    segmenter: BEN2Segmenter, state: dict[str, Tensor]
) -> None:
    rgb = picture(260, 190)
    squashed = np.asarray(Image.fromarray(rgb).resize((128, 128), Image.Resampling.LANCZOS))
    normalised = (squashed / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    with torch.no_grad():
        output = load_state(BEN2(), state)(torch.from_numpy(normalised.transpose(2, 0, 1)[None]).float())
    expected = torch.nn.functional.interpolate(output, (260, 190), mode="bilinear")[0, 0]
    alpha = segmenter.segment(Photo.from_array(rgb)).alpha
    assert expected.std() > 0.01
    np.testing.assert_allclose(alpha, expected, atol=1e-4)
    # The original would now stretch it to the full range.
    assert expected.min() > 0.01
    assert expected.max() < 0.99


def test_no_global_generator_is_touched(segmenter: BEN2Segmenter) -> None:
    before = random.getstate(), str(np.random.get_state()), torch.get_rng_state()  # noqa: NPY002 - the global one
    segmenter.segment(Photo.from_array(picture(20, 20)))
    assert random.getstate() == before[0]
    assert str(np.random.get_state()) == before[1]  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[2])


@pytest.mark.parametrize("size", [(3000, 4000), (64, 64), (100, 800), (800, 100), (1, 1)])
def test_mattes_have_the_photos_size(segmenter: BEN2Segmenter, size: tuple[int, int]) -> None:
    matte = segmenter.segment(Photo.from_array(picture(*size)))
    assert matte.alpha.shape == size
    assert matte.alpha.dtype == np.float32
    assert 0 <= matte.alpha.min() <= matte.alpha.max() <= 1
    assert matte.seconds > 0


def test_a_grey_picture_is_one_with_three_equal_channels(segmenter: BEN2Segmenter) -> None:
    grey = picture(90, 70)[..., 0]
    alpha = segmenter.segment(Photo.from_array(grey)).alpha
    np.testing.assert_array_equal(alpha, segmenter.segment(Photo.from_array(np.stack([grey] * 3, axis=-1))).alpha)


def test_bfloat16_on_a_cpu_changes_the_matte_a_little(
    segmenter: BEN2Segmenter, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("arena.models.torch_base.cpu_has_bfloat16", lambda: True)
    monkeypatch.setenv("ARENA_CPU_DTYPE", "bfloat16")
    reduced = BEN2Segmenter.load(CARD, weights, "cpu")
    photo = Photo.from_array(picture(128, 128))
    difference = np.abs(reduced.segment(photo).alpha - segmenter.segment(photo).alpha)
    assert reduced.dtype is torch.bfloat16
    assert 0 < difference.mean() < 0.05


def test_weights_of_another_network_are_an_error(tmp_path: Path) -> None:
    path = save(tmp_path / "model.safetensors", {"stage1.weight": torch.zeros(3)})
    with pytest.raises(CheckpointError, match="BEN2"):
        BEN2Segmenter.load(CARD, path, "cpu")


@pytest.mark.slow
def test_the_full_size_runs(weights: Path) -> None:
    matte = BEN2Segmenter.load(get_card("ben2"), weights, "cpu").segment(Photo.from_array(picture(900, 700)))
    assert matte.alpha.shape == (900, 700)
    assert matte.alpha.std() > 0.01
