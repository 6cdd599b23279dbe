"""Linear layers in 8 bits: near to float32, only where they are quicker, and only if they are asked for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from arena import quantize
from arena.catalog import get_card
from arena.models import birefnet, torch_base
from arena.models.birefnet import BiRefNetSegmenter
from arena.models.sam import SamPredictor
from arena.models.torch_base import cpu_dtype, wants_int8, working_dtype
from arena.nets import BiRefNet, swin
from arena.nets.layers import Int8Linear, can_multiply_int8, pack_linear
from arena.nets.swin import SwinConfig, SwinTransformer
from arena.quantize import quantize_linears
from tests.models import sam_tiny
from tests.models.random_weights import random_state, save
from tests.nets.recipe import make_state

if TYPE_CHECKING:
    from pathlib import Path

    from arena.nets.birefnet import BackboneName

needs_int8 = pytest.mark.skipif(not can_multiply_int8(), reason="this CPU has no 8-bit arithmetic")

NEAR = 0.02
"""Relative error of a product in 8 bits; rounding to 127 levels makes about half of it."""


def linear(features: int, outputs: int, bias: bool = True) -> nn.Linear:
    layer = nn.Linear(features, outputs, bias=bias).requires_grad_(False)
    layer.load_state_dict(random_state(layer))
    return layer


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(5))


def error(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def layers_of(module: nn.Module) -> int:
    return sum(isinstance(part, Int8Linear) for part in module.modules())


@pytest.fixture
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The layers of the tests' networks count as wide."""
    monkeypatch.setattr(quantize, "LEAST_WORK", 1)


@needs_int8
@pytest.mark.parametrize("bias", [True, False])
def test_a_product_in_8_bits_is_near(bias: bool) -> None:
    layer, x = linear(96, 40, bias), noise(3, 5, 7, 96)
    found = Int8Linear(layer)(x)
    assert found.shape == (3, 5, 7, 40)
    assert 0 < error(found, layer(x)) < NEAR


@needs_int8
def test_inputs_of_any_number_are_handled_a_part_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x = Int8Linear(linear(64, 32)), noise(50, 64)
    whole = layer(x)
    monkeypatch.setattr("arena.nets.layers.INT8_CHUNK_BYTES", 4 * 64 * 7)
    torch.testing.assert_close(layer(x), whole)
    assert layer(x[:0]).shape == (0, 32)


@needs_int8
def test_a_row_with_an_outlier_does_not_spoil_the_others() -> None:
    layer, x = linear(96, 40), noise(64, 96)
    x[3, 5] = 1e4
    assert error(Int8Linear(layer)(x)[4:], layer(x)[4:]) < NEAR


@needs_int8
def test_rows_of_zeros_give_the_bias() -> None:
    layer = linear(64, 32)
    torch.testing.assert_close(Int8Linear(layer)(torch.zeros(2, 64)), layer.bias.expand(2, -1), atol=0, rtol=0)


@needs_int8
def test_an_activation_is_taken_over() -> None:
    layer, x = linear(96, 40), noise(64, 96)
    assert error(pack_linear(Int8Linear(layer), "gelu")(x), F.gelu(layer(x))) < NEAR
    assert error(pack_linear(Int8Linear(layer), "relu")(x), F.relu(layer(x))) < NEAR


@needs_int8
def test_only_wide_layers_are_exchanged() -> None:
    net = nn.Sequential(linear(768, 192), nn.Sequential(linear(384, 384)))
    assert quantize_linears(net) == 1
    assert isinstance(net[0], nn.Linear)
    assert layers_of(net) == 1


@needs_int8
@pytest.mark.usefixtures("_narrow")
def test_a_prepared_backbone_in_8_bits_is_near() -> None:
    config = SwinConfig(width=64, depths=(1, 2, 1, 1), window=7)
    net, other = (SwinTransformer(config).eval().requires_grad_(False) for _ in range(2))
    net.load_state_dict(random_state(net))
    other.load_state_dict(net.state_dict())
    assert quantize_linears(other) == 4 * 5 + 3
    # Ragged, so that windows hold padding.
    pixels = noise(1, 3, 96, 160)
    with torch.inference_mode():
        for found, expected in zip(other.prepare()(pixels), net.prepare()(pixels), strict=True):
            assert 0 < error(found, expected) < 5 * NEAR


@needs_int8
def test_the_owner_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ARENA_CPU_DTYPE", raising=False)
    assert not wants_int8("cpu")
    with cpu_dtype("int8"):
        assert wants_int8("cpu")
        assert not wants_int8("cuda:0")
        assert working_dtype("cpu") == (torch.float32, ())
    assert "ARENA_CPU_DTYPE" not in os.environ
    monkeypatch.setenv("ARENA_CPU_DTYPE", "bfloat16")
    with cpu_dtype("int8"):
        assert wants_int8("cpu")
    assert os.environ["ARENA_CPU_DTYPE"] == "bfloat16"


def test_a_cpu_without_8_bit_arithmetic_runs_in_float32_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_base, "can_multiply_int8", lambda: False)
    monkeypatch.setenv("ARENA_CPU_DTYPE", "int8")
    dtype, notes = working_dtype("cpu")
    assert dtype is torch.float32
    assert "8-bit" in notes[0]
    assert not wants_int8("cpu")


@needs_int8
@pytest.mark.usefixtures("_narrow")
def test_adapters_load_in_8_bits_if_they_are_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, width in (("swin_v1_l", 32), ("swin_v1_t", 64)):
        monkeypatch.setitem(swin.SWIN_CONFIGS, name, SwinConfig(width, depths=(1, 1, 1, 1), window=7))
    monkeypatch.setattr(birefnet, "_BACKBONES", {32: "swin_v1_l", 64: "swin_v1_t"})

    def weights_of(name: BackboneName) -> Path:
        with torch.device("meta"):
            net = BiRefNet(name)
        return save(tmp_path / f"{name}.safetensors", make_state(net, 1.2))

    card, weights = get_card("birefnet-lite"), weights_of("swin_v1_l")
    monkeypatch.setenv("ARENA_CPU_DTYPE", "int8")
    assert layers_of(BiRefNetSegmenter.load(card, weights, "cpu").net) == 4 * 4 + 3
    # The tiny backbone has little to win, so it keeps its precision.
    assert layers_of(BiRefNetSegmenter.load(card, weights_of("swin_v1_t"), "cpu").net) == 0
    monkeypatch.delenv("ARENA_CPU_DTYPE")
    assert layers_of(BiRefNetSegmenter.load(card, weights, "cpu").net) == 0


@needs_int8
@pytest.mark.usefixtures("_narrow")
def test_sams_encoder_is_in_8_bits_and_its_decoder_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = sam_tiny.save_transformers(tmp_path / "sam.safetensors")
    monkeypatch.setenv("ARENA_CPU_DTYPE", "int8")
    net = SamPredictor.load(weights, "cpu").net
    assert layers_of(net) == layers_of(net.vision_encoder) == 8


@needs_int8
@pytest.mark.usefixtures("_narrow")
@pytest.mark.parametrize("fast", [True, False])
def test_remback_has_a_flag_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fast: bool) -> None:
    from arena.models.remback import RembackOptions
    from arena.remback.cli import _remover

    monkeypatch.delenv("ARENA_CPU_DTYPE", raising=False)
    weights = sam_tiny.save_segment_anything(tmp_path / "sam.pth")
    remover = _remover(weights, RembackOptions(), "cpu", fast)
    assert (layers_of(remover._segmenter.predictor.net) > 0) is fast  # type: ignore[attr-defined]
