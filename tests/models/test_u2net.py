"""The U²-Net adapter: the original's preparation, presence on the raw map, the edge at the photo's size."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image

from arena.catalog import InputSize, get_card
from arena.errors import CheckpointError
from arena.models.u2net import U2NetSegmenter
from arena.nets import U2Net, load_state
from arena.photo import Photo
from arena.refine.edges import bilateral, soften
from arena.refine.morphology import closing, opening
from arena.refine.options import PRESETS, RefineOptions
from tests.models.random_weights import picture, random_state

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

SIDE = 160
"""Half the real side, for speed; the network takes any."""
CARD = dataclasses.replace(get_card("u2netp"), input_size=InputSize(side=SIDE))


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return random_state(U2Net("small"), gain=1.4)


@pytest.fixture(scope="module")
def weights(state: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("u2netp") / "u2netp.pth"
    torch.save(state, path, _use_new_zipfile_serialization=False)  # as the published file
    return path


@pytest.fixture(scope="module")
def segmenter(weights: Path) -> U2NetSegmenter:
    return U2NetSegmenter.load(CARD, weights, "cpu")


def raw_map(state: dict[str, Tensor], rgb: np.ndarray) -> Tensor:
    """The original's preparation, step by step, and the network's first output."""
    squashed = np.asarray(Image.fromarray(rgb).resize((SIDE, SIDE), Image.Resampling.LANCZOS))
    scaled = squashed / max(squashed.max(), 1e-6)
    normalised = (scaled - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    with torch.no_grad():
        output: Tensor = load_state(U2Net("small"), state)(
            torch.from_numpy(normalised.transpose(2, 0, 1)[None]).float()
        )
    return output


@pytest.mark.parametrize("brightest", [255, 40])
@pytest.mark.parametrize(("height", "width"), [(700, 500), (100, 800)])
def test_without_refinement_it_is_the_originals_map_unstretched(
    segmenter: U2NetSegmenter, state: dict[str, Tensor], height: int, width: int, brightest: int
) -> None:
    rgb = picture(height, width, brightest)
    output = raw_map(state, rgb)
    expected = torch.nn.functional.interpolate(output, (height, width), mode="bicubic", antialias=True)[0, 0]
    assert expected.std() > 0.05
    alpha = segmenter.segment(Photo.from_array(rgb), refinement=None).alpha
    np.testing.assert_allclose(alpha, expected.clamp(0, 1), atol=5e-4)


def test_the_edge_is_refined_at_the_photos_size_by_lengths_that_grow_with_it(segmenter: U2NetSegmenter) -> None:
    photo = Photo.from_array(picture(2000, 1500))
    raw = segmenter.segment(photo, refinement=None).alpha
    assert raw.max() > CARD.presence_threshold
    np.testing.assert_array_equal(segmenter.segment(photo).alpha, raw)
    refined = segmenter.segment(photo, refinement=PRESETS["u2net-classic"]).alpha
    # Twice the lengths for 1000 pixels.
    expected = soften(closing(opening(bilateral(raw, 9, 0.15, 4.0), 5), 9), 1.4)
    np.testing.assert_array_equal(refined, expected)
    assert not np.array_equal(refined, raw)


def test_each_step_of_the_refinement_is_a_parameter(segmenter: U2NetSegmenter) -> None:
    photo = Photo.from_array(picture(600, 600))
    off = RefineOptions()
    raw = segmenter.segment(photo, refinement=off).alpha
    np.testing.assert_array_equal(raw, segmenter.segment(photo, refinement=None).alpha)
    steps: list[dict[str, float]] = [{"bilateral_diameter": 7}, {"opening": 5}, {"closing": 5}, {"feather_sigma": 3.0}]
    for step in steps:
        changed = segmenter.segment(photo, refinement=dataclasses.replace(off, **step)).alpha  # type: ignore[arg-type]
        assert not np.array_equal(changed, raw), step


def test_an_empty_scene_stays_empty(state: dict[str, Tensor], tmp_path: Path) -> None:
    # A bias far below zero in the fused output: saliency is low everywhere, yet it varies.
    path = tmp_path / "u2netp.pth"
    torch.save(state | {"outconv.bias": state["outconv.bias"] - 30}, path)
    photo = Photo.from_array(picture(300, 300))
    matte = U2NetSegmenter.load(CARD, path, "cpu").segment(photo, refinement=PRESETS["u2net-classic"])
    assert not matte.found
    assert matte.alpha.std() > 0
    assert matte.alpha.max() <= CARD.presence_threshold
    np.testing.assert_array_equal(
        matte.alpha, U2NetSegmenter.load(CARD, path, "cpu").segment(photo, refinement=None).alpha
    )


@pytest.mark.parametrize("size", [(3000, 4000), (64, 64), (100, 800), (800, 100), (1, 1)])
def test_mattes_have_the_photos_size(segmenter: U2NetSegmenter, size: tuple[int, int]) -> None:
    matte = segmenter.segment(Photo.from_array(picture(*size)))
    assert matte.alpha.shape == size
    assert matte.alpha.dtype == np.float32
    assert 0 <= matte.alpha.min() <= matte.alpha.max() <= 1
    assert matte.seconds > 0


def test_black_and_grey_pictures_work(segmenter: U2NetSegmenter) -> None:
    black = segmenter.segment(Photo.from_array(np.zeros((50, 40, 3), np.uint8)))
    assert np.isfinite(black.alpha).all()
    grey = picture(90, 70)[..., 0]
    alpha = segmenter.segment(Photo.from_array(grey)).alpha
    np.testing.assert_array_equal(alpha, segmenter.segment(Photo.from_array(np.stack([grey] * 3, axis=-1))).alpha)


def test_the_file_decides_between_the_full_and_the_small_network(tmp_path: Path) -> None:
    path = tmp_path / "full_weights.pth"
    torch.save(random_state(U2Net("full")), path)
    full = U2NetSegmenter.load(get_card("u2net"), path, "cpu")
    assert sum(parameter.numel() for parameter in full.net.parameters()) > 40e6
    assert full.segment(Photo.from_array(picture(70, 50))).alpha.shape == (70, 50)


def test_it_stays_in_single_precision(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARENA_CPU_DTYPE", "bfloat16")
    assert U2NetSegmenter.load(CARD, weights, "cpu").dtype is torch.float32


def test_weights_of_another_network_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "u2netp.pth"
    torch.save({"backbone.weight": torch.zeros(3)}, path)
    with pytest.raises(CheckpointError, match="U²-Net"):
        U2NetSegmenter.load(CARD, path, "cpu")
