"""ViTMatte: its file, its preparation, and the edges that it solves."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import safetensors.torch
import torch
from transformers.models.vitdet import VitDetConfig
from transformers.models.vitmatte import VitMatteConfig, VitMatteForImageMatting
from transformers.models.vitmatte.image_processing_pil_vitmatte import VitMatteImageProcessorPil
from typer.testing import CliRunner

from arena.catalog import MATTING_MODEL, Task, get_card
from arena.cli.app import app
from arena.errors import ArenaError, CheckpointError, OptionError, OutOfMemoryError
from arena.matte import Matte, MatteKind
from arena.models.pool import load_model, unload
from arena.models.vitmatte import MattingNetwork
from arena.nets.vitmatte import load_vitmatte, small_config
from arena.photo import Photo, encode
from arena.refine import RefineOptions, refine
from arena.refine.matting import LARGEST_SIDE, by_network, make_trimap
from arena.render import refined_alpha
from tests.fakes import HalfNetwork, disc, make_card
from tests.models.random_weights import picture

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from tests.hub import HubEmulator

CARD = get_card(MATTING_MODEL)


def tiny() -> VitMatteConfig:
    """The published network, but small."""
    return VitMatteConfig(
        backbone_config=VitDetConfig(
            num_channels=4,
            image_size=64,
            pretrain_image_size=64,
            patch_size=16,
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            use_absolute_position_embeddings=True,
            use_relative_position_embeddings=True,
            window_size=2,
            window_block_indices=[0],
            residual_block_indices=[1],
            out_features=["stage2"],
        ),
        hidden_size=16,
        convstream_hidden_sizes=[4, 6, 8],
        fusion_hidden_sizes=[12, 8, 6, 4],
    )


@pytest.fixture(scope="module")
def original() -> VitMatteForImageMatting:
    """transformers' own network with random tensors."""
    torch.manual_seed(3)
    net = VitMatteForImageMatting(tiny()).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.3)
    return net


@pytest.fixture
def network(original: VitMatteForImageMatting) -> MattingNetwork:
    return MattingNetwork(CARD, "cpu", load_vitmatte(copy.deepcopy(original).state_dict(), tiny()))


def band(height: int, width: int) -> NDArray[np.uint8]:
    return make_trimap(disc(height, width), 6)


def test_the_file_would_be_as_large_as_the_published_one_to_the_byte() -> None:
    # Every name and every shape is in that number: the header of the format spells them out.
    with torch.device("meta"):
        state = VitMatteForImageMatting(small_config()).state_dict()
    contents = {name: torch.zeros(tensor.shape, dtype=tensor.dtype) for name, tensor in state.items()}
    assert len(safetensors.torch.save(contents, {"format": "pt"})) == CARD.bytes


@pytest.mark.parametrize("size", [(64, 64), (50, 75), (33, 96)])
def test_it_gives_what_transformers_gives_of_what_transformers_prepares(
    size: tuple[int, int], network: MattingNetwork, original: VitMatteForImageMatting
) -> None:
    rgb, trimap = picture(*size), band(*size)
    prepared = VitMatteImageProcessorPil()(images=rgb, trimaps=trimap, return_tensors="pt")
    with torch.inference_mode():
        theirs = original(prepared["pixel_values"]).alphas[0, 0, : size[0], : size[1]].numpy()
    known = np.where(trimap == 255, 1.0, np.where(trimap == 0, 0.0, 0.5))
    ours = network.solve(rgb.astype(np.float64) / 255, known)
    assert ours.shape == size
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert ours.std() > 1e-4
    # So does the way by the refinement, where the trimap leaves it open; what is known stays.
    alpha = by_network(network.solve, rgb, trimap, 96)
    np.testing.assert_array_equal(alpha[trimap == 255], 1)
    np.testing.assert_array_equal(alpha[trimap == 0], 0)


def test_another_file_and_none_are_refused(original: VitMatteForImageMatting) -> None:
    state = dict(original.state_dict())
    state.pop("decoder.matting_head.matting_convs.0.bias")
    with pytest.raises(CheckpointError, match="1 tensor is missing"):
        load_vitmatte(state, tiny())
    with pytest.raises(OptionError, match="needs a file of weights"):
        MattingNetwork.load(CARD, None, "cpu")


def test_exhausted_memory_says_what_would_help(network: MattingNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(pixels: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(network, "net", exhausted)
    with pytest.raises(OutOfMemoryError, match="leave the matting out"):
        network.solve(np.zeros((32, 32, 3)), np.full((32, 32), 0.5))


def test_without_an_edge_no_network_is_had_and_a_matte_from_elsewhere_is_solved_here(
    use_cards: Callable[..., None],
) -> None:
    use_cards(make_card(MATTING_MODEL, "HalfNetwork", task=Task.TRIMAP))
    unload()
    loads, photo, options = HalfNetwork.loads, Photo.from_array(picture(60, 60)), RefineOptions(matting="vitmatte")
    nobody = Matte(np.zeros((60, 60), np.float32), MatteKind.ALPHA, "disc")
    assert not refined_alpha(photo, nobody, options).any()
    assert HalfNetwork.loads == loads
    elsewhere = Matte(disc(60, 60), MatteKind.ALPHA, "disc", device="cuda:7")
    assert 0.5 in np.unique(refined_alpha(photo, elsewhere, options))
    assert HalfNetwork.loads == loads + 1
    unload()


def test_no_numbers_are_an_error(network: MattingNetwork) -> None:
    with torch.no_grad():
        network.net.decoder.matting_head.matting_convs[3].bias.fill_(float("nan"))
    with pytest.raises(ArenaError, match="its numbers left the range"):
        network.solve(np.zeros((32, 32, 3)), np.full((32, 32), 0.5))


def test_what_was_solved_is_not_solved_again(network: MattingNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    solved: list[int] = []
    solve = MattingNetwork._solve

    def counted(self: MattingNetwork, photo: NDArray[np.float64], trimap: NDArray[np.float64]) -> object:
        solved.append(int(photo[0, 0, 0] * 100))
        return solve(self, photo, trimap)

    monkeypatch.setattr(MattingNetwork, "_solve", counted)
    monkeypatch.setattr("arena.models.vitmatte.KEPT_SOLUTIONS", 2)
    trimap = np.full((32, 32), 0.5)
    pictures = [np.full((32, 32, 3), number / 100) for number in range(3)]
    first = network.solve(pictures[0], trimap)
    for number in (1, 0, 2, 0, 1):
        again = network.solve(pictures[number], trimap)
        if number == 0:
            np.testing.assert_array_equal(again, first)
    assert solved == [0, 1, 2, 1]
    # Another trimap is another question.
    other = trimap.copy()
    other[0] = 1
    network.solve(pictures[1], other)
    assert len(solved) == 5


def test_large_photos_are_seen_at_a_limited_size_and_solved_at_their_own() -> None:
    sizes: list[tuple[int, ...]] = []

    def half(photo: NDArray[np.float64], trimap: NDArray[np.float64]) -> NDArray[np.float64]:
        sizes.append(photo.shape)
        return trimap

    rgb, trimap = picture(1500, 1200), band(1500, 1200)
    alpha = by_network(half, rgb, trimap)
    ((height, width, channels),) = sizes
    assert max(height, width) <= LARGEST_SIDE["vitmatte"] == CARD.input_size.maximum
    assert channels == 3
    assert alpha.shape == (1500, 1200)
    assert set(np.unique(alpha[trimap == 255])) == {1.0}


def test_the_refinement_asks_for_the_network_it_names() -> None:
    rgb, alpha = picture(60, 60), disc(60, 60)
    options = RefineOptions(matting="vitmatte", trimap_width=25)
    with pytest.raises(OptionError, match="matting by vitmatte needs its network"):
        refine(alpha, rgb, options)
    out = refine(alpha, rgb, options, lambda photo, trimap: trimap)
    assert set(np.unique(out)) == {0.0, 0.5, 1.0}


def test_the_published_file_is_downloaded_and_solves_the_edge(
    hub: HubEmulator, use_cards: Callable[..., None], tmp_path: Path
) -> None:
    torch.manual_seed(1)
    build: Any = VitMatteForImageMatting
    net: Any = build(small_config())
    with torch.no_grad():
        # As they are made, the answer is the same everywhere.
        for part in net.modules():
            if isinstance(part, torch.nn.BatchNorm2d):
                part.weight.fill_(1)
        net.decoder.matting_head.matting_convs[3].weight.normal_()
    contents = safetensors.torch.save(net.state_dict(), {"format": "pt"})
    use_cards(hub.publish(CARD, contents), make_card("disc", "DiscSegmenter"))
    unload()
    source, target = tmp_path / "me.png", tmp_path / "cut.png"
    source.write_bytes(encode(picture(90, 60)))
    words = ["cutout", str(source), "-o", str(target), "-m", "disc", "--matting", "vitmatte"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert len(hub.transfers) == 1
    photo = Photo.open(source)
    matte = Matte(disc(90, 60), MatteKind.ALPHA, "disc")
    expected = refined_alpha(photo, matte, RefineOptions(matting="vitmatte"))
    assert len(np.unique(expected)) > 10
    rgba = Photo.open(target).rgba
    assert rgba is not None
    assert np.abs(rgba[..., 3].astype(float) / 255 - expected).max() < 0.01
    report = CliRunner().invoke(app, ["doctor", MATTING_MODEL]).stdout
    assert "checksum matches" in report
    assert "pixels along the outline" in report
    with pytest.raises(OptionError, match="needs the matte of another model"):
        load_model(MATTING_MODEL)
    unload()
