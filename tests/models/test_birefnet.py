"""The BiRefNet adapter does what the original's preparation and interpretation do."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image

from arena.catalog import InputSize, get_card
from arena.errors import CheckpointError, OptionError
from arena.models.birefnet import BiRefNetSegmenter
from arena.nets import BiRefNet, load_state
from arena.photo import Photo
from tests.models.random_weights import picture, random_state, save

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

SQUARE = dataclasses.replace(get_card("birefnet-lite"), input_size=InputSize(side=128, multiple=32))
DYNAMIC = dataclasses.replace(SQUARE, input_size=InputSize(multiple=64, minimum=128, maximum=256))
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return random_state(BiRefNet("swin_v1_t", patch_order="legacy"))


@pytest.fixture(scope="module")
def weights(state: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("birefnet") / "model.safetensors", state)


@pytest.fixture(scope="module")
def segmenter(weights: Path) -> BiRefNetSegmenter:
    return BiRefNetSegmenter.load(SQUARE, weights, "cpu")


@pytest.fixture(scope="module")
def dynamic(weights: Path) -> BiRefNetSegmenter:
    return BiRefNetSegmenter.load(DYNAMIC, weights, "cpu")


@pytest.fixture(scope="module")
def net(state: dict[str, Tensor]) -> BiRefNet:
    return load_state(BiRefNet("swin_v1_t", patch_order="legacy"), state)


def probability(net: BiRefNet, rgb: NDArray[np.uint8]) -> Tensor:
    """The network's answer to pixels of its own size, computed step by step."""
    normalised = (rgb / 255 - MEAN) / STD
    with torch.no_grad():
        logits = net(torch.from_numpy(normalised.transpose(2, 0, 1)[None]).float())
    return torch.sigmoid(logits)[0, 0]


@pytest.mark.parametrize(("height", "width"), [(300, 171), (100, 400), (64, 64)])
def test_a_fixed_size_is_the_originals_squash_and_bicubic_return(
    segmenter: BiRefNetSegmenter, net: BiRefNet, height: int, width: int
) -> None:
    rgb = picture(height, width)
    squashed = np.asarray(Image.fromarray(rgb).resize((128, 128), Image.Resampling.BILINEAR))
    expected = probability(net, squashed)
    eight_bits = Image.fromarray((expected * 255).round().byte().numpy()).resize((width, height))
    alpha = segmenter.segment(Photo.from_array(rgb)).alpha
    assert expected.std() > 0.02
    # The original rounds to 8 bits before and after it resizes.
    np.testing.assert_allclose(alpha, np.asarray(eight_bits) / 255, atol=2 / 255)
    exact = torch.nn.functional.interpolate(expected[None, None], (height, width), mode="bicubic", antialias=True)
    np.testing.assert_allclose(alpha, exact[0, 0].clamp(0, 1), atol=1e-4)


def test_a_free_size_keeps_the_photo_and_crops_its_padding_away(dynamic: BiRefNetSegmenter, net: BiRefNet) -> None:
    rgb = picture(150, 190)
    padded = np.concatenate([rgb, rgb[::-1][:42]])  # 150 + 42 = 192 rows, 190 + 2 = 192 columns, mirrored
    padded = np.concatenate([padded, padded[:, ::-1][:, :2]], axis=1)
    expected = probability(net, padded)[:150, :190]
    np.testing.assert_allclose(dynamic.segment(Photo.from_array(rgb)).alpha, expected, atol=1e-4)


def test_a_large_photo_is_shrunk_with_its_proportions(dynamic: BiRefNetSegmenter, net: BiRefNet) -> None:
    rgb = picture(1024, 512)
    shrunk = np.asarray(Image.fromarray(rgb).resize((128, 256), Image.Resampling.BILINEAR))
    expected = probability(net, shrunk)
    large = torch.nn.functional.interpolate(expected[None, None], (1024, 512), mode="bicubic", antialias=True)
    alpha = dynamic.segment(Photo.from_array(rgb)).alpha
    np.testing.assert_allclose(alpha, large[0, 0].clamp(0, 1), atol=1e-4)


@pytest.mark.parametrize("size", [(3000, 4000), (64, 64), (100, 800), (800, 100), (1, 1), (1, 300)])
@pytest.mark.parametrize("kind", ["segmenter", "dynamic"])
def test_mattes_have_the_photos_size(kind: str, size: tuple[int, int], request: pytest.FixtureRequest) -> None:
    matte = request.getfixturevalue(kind).segment(Photo.from_array(picture(*size)))
    assert matte.alpha.shape == size
    assert matte.alpha.dtype == np.float32
    assert 0 <= matte.alpha.min() <= matte.alpha.max() <= 1
    assert matte.seconds > 0


def test_a_grey_picture_is_one_with_three_equal_channels(segmenter: BiRefNetSegmenter) -> None:
    grey = picture(90, 70)[..., 0]
    alpha = segmenter.segment(Photo.from_array(grey)).alpha
    np.testing.assert_array_equal(alpha, segmenter.segment(Photo.from_array(np.stack([grey] * 3, axis=-1))).alpha)


def test_the_card_decides_the_patch_order(segmenter: BiRefNetSegmenter, weights: Path) -> None:
    current = BiRefNetSegmenter.load(dataclasses.replace(SQUARE, patch_order="current"), weights, "cpu")
    photo = Photo.from_array(picture(128, 128))
    assert np.abs(current.segment(photo).alpha - segmenter.segment(photo).alpha).max() > 0.01
    with pytest.raises(OptionError, match="patches"):
        BiRefNetSegmenter.load(dataclasses.replace(SQUARE, patch_order=None), weights, "cpu")


def test_weights_stored_in_half_precision_run_in_single(
    segmenter: BiRefNetSegmenter, state: dict[str, Tensor], tmp_path: Path
) -> None:
    halved = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    segmenter_of_half = BiRefNetSegmenter.load(SQUARE, save(tmp_path / "model.safetensors", halved), "cpu")
    photo = Photo.from_array(picture(64, 64))
    assert segmenter_of_half.dtype is torch.float32
    np.testing.assert_allclose(segmenter_of_half.segment(photo).alpha, segmenter.segment(photo).alpha, atol=0.02)


def test_bfloat16_on_a_cpu_changes_the_matte_a_little(
    segmenter: BiRefNetSegmenter, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("arena.models.torch_base.cpu_has_bfloat16", lambda: True)
    monkeypatch.setenv("ARENA_CPU_DTYPE", "bfloat16")
    reduced = BiRefNetSegmenter.load(SQUARE, weights, "cpu")
    photo = Photo.from_array(picture(128, 128))
    difference = np.abs(reduced.segment(photo).alpha - segmenter.segment(photo).alpha)
    assert reduced.dtype is torch.bfloat16
    assert 0 < difference.mean() < 0.02


def test_weights_of_another_network_are_an_error(tmp_path: Path) -> None:
    path = save(tmp_path / "model.safetensors", {"stage1.weight": torch.zeros(3)})
    with pytest.raises(CheckpointError, match="BiRefNet"):
        BiRefNetSegmenter.load(SQUARE, path, "cpu")


def test_a_missing_tensor_is_an_error(state: dict[str, Tensor], tmp_path: Path) -> None:
    name = "decoder.conv_out1.0.weight"
    path = save(tmp_path / "model.safetensors", {key: tensor for key, tensor in state.items() if key != name})
    with pytest.raises(CheckpointError, match=name):
        BiRefNetSegmenter.load(SQUARE, path, "cpu")


def test_it_takes_no_prompt(segmenter: BiRefNetSegmenter) -> None:
    with pytest.raises(OptionError, match="prompt"):
        segmenter.segment(Photo.from_array(picture(10, 10)), prompt="person")


@pytest.mark.slow
@pytest.mark.parametrize("key", ["birefnet-portrait", "birefnet-dynamic"])
def test_full_size_architectures_run(key: str, tmp_path: Path) -> None:
    card = get_card(key)
    assert card.patch_order is not None
    state = random_state(BiRefNet("swin_v1_l", patch_order=card.patch_order))
    stored = torch.float32 if key == "birefnet-portrait" else torch.float16
    halved = {name: tensor.to(stored) if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    path = save(tmp_path / "model.safetensors", halved)
    del state, halved
    matte = BiRefNetSegmenter.load(card, path, "cpu").segment(Photo.from_array(picture(600, 800)))
    assert matte.alpha.shape == (600, 800)
    assert matte.alpha.std() > 0.01
