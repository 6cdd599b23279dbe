"""Depth Anything V2: its file, its preparation, what comes of a photo, and the models that it is not."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image
from transformers.models.depth_anything import DepthAnythingConfig, DepthAnythingForDepthEstimation
from transformers.models.dinov2 import Dinov2Config
from transformers.models.dpt.image_processing_pil_dpt import DPTImageProcessorPil
from typer.testing import CliRunner

import arena
from arena.catalog import DEPTH_MODEL, InputSize, get_card
from arena.cli.app import app
from arena.comparison import Event, Stage, compare, estimate_depths
from arena.errors import ArenaError, CheckpointError, OptionError, OutOfMemoryError
from arena.models.depth import DepthEstimator, depth_placement, estimate_depth, load_depth
from arena.models.pool import ModelPool, load_adapter, load_model
from arena.models.torch_base import to_input
from arena.nets.depth import load_depth_anything, published_names, small_config
from arena.photo import Photo, encode, read_depth
from tests.fakes import RampEstimator, make_card
from tests.models.random_weights import picture

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

    from tests.hub import HubEmulator

CARD = get_card(DEPTH_MODEL)
SHOWN = InputSize(multiple=14, minimum=56, maximum=112)
"""What a network of the tests looks at."""


def tiny() -> DepthAnythingConfig:
    """The published network, but small."""
    return DepthAnythingConfig(
        backbone_config=Dinov2Config(
            hidden_size=24,
            num_hidden_layers=4,
            num_attention_heads=2,
            image_size=70,
            patch_size=14,
            out_features=["stage1", "stage2", "stage3", "stage4"],
            apply_layernorm=True,
            reshape_hidden_states=False,
        ),
        patch_size=14,
        reassemble_hidden_size=24,
        reassemble_factors=[4, 2, 1, 0.5],
        neck_hidden_sizes=[8, 12, 16, 24],
        fusion_hidden_size=16,
        head_in_index=-1,
        head_hidden_size=8,
        depth_estimation_type="relative",
    )


@pytest.fixture(scope="module")
def original() -> DepthAnythingForDepthEstimation:
    """transformers' own network with random tensors, its answers well above 0."""
    torch.manual_seed(3)
    net = DepthAnythingForDepthEstimation(tiny()).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.2)
        net.head.conv3.bias.fill_(3)
    return net


@pytest.fixture
def estimator(original: DepthAnythingForDepthEstimation) -> DepthEstimator:
    net = load_depth_anything(copy.deepcopy(original).state_dict(), tiny())
    return DepthEstimator(replace(CARD, input_size=SHOWN), "cpu", net)


def test_the_file_would_be_as_large_as_the_published_one_to_the_byte() -> None:
    # Every name and every shape is in that number: the header of the format spells them out.
    with torch.device("meta"):
        shapes = DepthAnythingForDepthEstimation(small_config()).state_dict()
    state = published_names({name: torch.zeros(tensor.shape) for name, tensor in shapes.items()})
    assert len(safetensors.torch.save(state, {"format": "pt"})) == CARD.bytes


@pytest.mark.parametrize("names", [dict, published_names], ids=["of now", "as published"])
def test_either_names_load_and_give_what_transformers_gives(
    names: Callable[[dict[str, Tensor]], dict[str, Tensor]], original: DepthAnythingForDepthEstimation
) -> None:
    net = load_depth_anything(names(copy.deepcopy(original).state_dict()), tiny())
    pixels = torch.randn(1, 3, 56, 84, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        ours, theirs = net(pixels), original(pixels).predicted_depth
    assert ours.shape == (1, 1, 56, 84)
    torch.testing.assert_close(ours[:, 0], theirs)
    assert float(ours.std()) > 0


def test_another_file_is_refused(original: DepthAnythingForDepthEstimation) -> None:
    state = dict(original.state_dict())
    state.pop("head.conv3.bias")
    with pytest.raises(CheckpointError, match=r"1 tensor is missing, e\.g\. head\.conv3\.bias"):
        load_depth_anything(state, tiny())


@pytest.mark.parametrize("size", [(4000, 3000), (3000, 4000), (640, 480), (300, 451), (518, 518), (1000, 999)])
def test_a_photo_is_prepared_as_the_original_prepares_it(size: tuple[int, int]) -> None:
    rgb = np.asarray(Image.fromarray(picture(30, 40)).resize(size, Image.Resampling.BILINEAR))
    theirs = DPTImageProcessorPil(
        size={"height": 518, "width": 518},
        keep_aspect_ratio=True,
        ensure_multiple_of=14,
        resample=Image.Resampling.BICUBIC,
        do_rescale=True,
        do_normalize=True,
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
    )(rgb, return_tensors="pt")["pixel_values"]
    ours = to_input(rgb, depth_placement(*size, CARD.input_size), Image.Resampling.BICUBIC)
    assert ours.shape == theirs.shape
    torch.testing.assert_close(ours, theirs, atol=0.02, rtol=0)


def test_panoramas_are_squashed_and_their_maps_are_not(estimator: DepthEstimator) -> None:
    placement = depth_placement(1000, 200, SHOWN)
    assert (placement.width, placement.height) == (112, 56)
    photo = Photo.from_array(picture(200, 1000))
    depth = estimator.estimate(photo).map
    assert depth.shape == (22, 112)
    assert photo.with_depth(depth).depth is depth


@pytest.mark.parametrize("size", [(1, 1), (7, 30), (50, 50), (333, 200)])
def test_photos_of_every_size_have_a_map_of_their_proportions(size: tuple[int, int], estimator: DepthEstimator) -> None:
    photo = Photo.from_array(picture(*size))
    depth = estimator.estimate(photo)
    assert depth.map.dtype == np.float32
    assert photo.with_depth(depth.map).depth is depth.map
    assert max(depth.map.shape) <= max(112, 1)
    assert depth.seconds > 0


def test_no_numbers_are_an_error_and_exhausted_memory_is_told(
    estimator: DepthEstimator, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = Photo.from_array(picture(60, 60))
    with torch.no_grad():
        estimator.net.head.conv3.bias.fill_(float("nan"))
    with pytest.raises(ArenaError, match="its numbers left the range"):
        estimator.estimate(photo)

    def exhausted(pixels: Tensor) -> Tensor:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(estimator, "net", exhausted)
    with pytest.raises(OutOfMemoryError, match="Depth Anything V2 Small needs more memory"):
        estimator.estimate(photo)


# From the hub to the picture


def test_the_published_file_is_downloaded_and_run(
    hub: HubEmulator, use_cards: Callable[..., None], tmp_path: Path
) -> None:
    torch.manual_seed(1)
    build: Any = DepthAnythingForDepthEstimation
    net: Any = build(small_config())
    net.head.conv3.bias.data.fill_(1)
    contents = safetensors.torch.save(published_names(net.state_dict()), {"format": "pt"})
    use_cards(hub.publish(CARD, contents), make_card("disc", "DiscSegmenter"))
    source, target = tmp_path / "me.png", tmp_path / "depth.png"
    source.write_bytes(encode(picture(90, 60)))
    result = CliRunner().invoke(app, ["depth", str(source), "-o", str(target)])
    assert result.exit_code == 0, result.output
    assert len(hub.transfers) == 1
    depth = read_depth(target)
    assert depth.shape == (90, 60)
    expected = arena.estimate_depth(Photo.open(source)).depth
    assert expected is not None
    assert len(hub.transfers) == 1
    stretched = (expected - expected.min()) / (expected.max() - expected.min())
    np.testing.assert_allclose(depth / 65535, stretched, atol=1e-4)
    report = CliRunner().invoke(app, ["doctor", DEPTH_MODEL]).stdout
    assert "checksum matches" in report
    assert "the person is nearer than the background" in report


@pytest.fixture
def ramp(use_cards: Callable[..., None]) -> Photo:
    """A photo, where depth goes by rows and the matte is a disc."""
    from arena.catalog import Task

    use_cards(
        make_card(DEPTH_MODEL, "RampEstimator", label="Ramp", task=Task.DEPTH), make_card("disc", "DiscSegmenter")
    )
    return Photo.from_array(picture(80, 60), "me")


def test_depth_is_found_out_for_photos_one_by_one(ramp: Photo) -> None:
    events: list[Event] = []
    results = list(estimate_depths([ramp, b"no picture", ramp], DEPTH_MODEL, on_event=events.append, pool=ModelPool()))
    assert [result.error is None for result in results] == [True, False, True]
    assert [result.photo is not None and result.photo.depth is not None for result in results] == [True, False, True]
    assert all(result.matte is None and not result.found for result in results)
    assert events[0].stage is Stage.WAITING
    assert events[-1].seconds == pytest.approx(0.4)


def test_a_model_of_one_kind_is_not_taken_for_one_of_the_other(ramp: Photo) -> None:
    (result,) = compare(ramp, DEPTH_MODEL, pool=ModelPool())
    assert isinstance(result.error, OptionError)
    assert "Ramp gives a depth map, not a matte" in str(result.error)
    with pytest.raises(OptionError, match="gives a depth map"):
        load_model(DEPTH_MODEL)
    with pytest.raises(OptionError, match="gives a depth map"):
        load_adapter(get_card(DEPTH_MODEL), None, "cpu")
    with pytest.raises(OptionError, match="gives a depth map"):
        _ = ModelPool().get(DEPTH_MODEL).segmenter
    with pytest.raises(OptionError, match=rf"Disc gives a matte, not a depth map. Depth comes from {DEPTH_MODEL}"):
        load_depth("disc")
    with pytest.raises(OptionError, match="gives a matte"):
        estimate_depths(ramp, "disc")
    with pytest.raises(OptionError, match="no photo whose depth"):
        estimate_depths([], DEPTH_MODEL)


def test_a_failure_is_the_photos_alone(ramp: Photo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RampEstimator, "failure", OutOfMemoryError("Too large.", "Take a smaller one."))
    (result,) = estimate_depths(ramp, DEPTH_MODEL, pool=ModelPool())
    assert isinstance(result.error, OutOfMemoryError)
    with pytest.raises(OutOfMemoryError):
        estimate_depth(ramp, pool=ModelPool())


def test_the_estimate_is_the_photos_with_a_map(ramp: Photo) -> None:
    known = estimate_depth(ramp, pool=ModelPool())
    assert known.depth is not None
    assert known.depth.shape == (40, 30)
    assert known.digest == ramp.digest
    assert known.rgb is ramp.rgb
