from __future__ import annotations

import functools
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from arena.errors import CheckpointError, OptionError
from arena.nets import BEN2, ben2, load_state
from tests.nets.published import Recorder, entries, hashed_state, hashed_weight, manifest, wave_input
from tests.nets.recipe import MEAN, STD, grow, make_state, normalise

if TYPE_CHECKING:
    from collections.abc import Iterator


GOLDEN = Path(__file__).resolve().parents[1] / "golden"
GAIN = 1.4
TOLERANCE = 5e-5
"""Largest difference of the logits, from the golden cases' README; a probability moves by a quarter at most."""

SIDE_OUTPUTS = tuple(f"sideout{level}.0.{kind}" for level in range(1, 6) for kind in ("weight", "bias"))

# Mean, population standard deviation, first and last element for a 512 x 512 input, from the network's specification.
STEPS = {
    "output5": (0.283392, 0.576995, 0.747202, 2.087605),
    "output1": (0.297366, 0.571643, 0.092193, 0.058970),
    "multifieldcrossatt": (0.004986, 1.015450, 1.360043, 1.013372),
    "dec_blk4": (0.064163, 1.120379, 0.179539, 1.811653),
    "conv4": (0.275595, 0.595516, -0.080016, 1.351967),
    "dec_blk3": (0.091623, 1.125117, -0.202217, 4.186020),
    "conv3": (0.280170, 0.586785, 0.430951, -0.167269),
    "dec_blk2": (0.137217, 1.117478, 1.250792, 1.431262),
    "conv2": (0.278323, 0.590679, 1.349904, 0.799033),
    "dec_blk1": (0.098526, 1.149168, -0.107482, 1.364692),
    "conv1": (0.280315, 0.588985, -0.164896, 0.423161),
    "insmask_head": (0.036839, 0.647093, -0.189141, -0.185595),
    "upsample1": (0.288395, 0.584570, 0.994864, -0.150906),
}
RESULT = (0.469895, 0.085499, 0.557480, 0.479246)
POINTS = {
    (0, 0): 0.557480,
    (100, 37): 0.489752,
    (37, 100): 0.486955,
    (255, 255): 0.643148,
    (256, 256): 0.568194,
    (400, 300): 0.515493,
    (300, 400): 0.357664,
    (511, 511): 0.479246,
}
SPEC_TOLERANCE = 1e-5


@pytest.fixture
def inference_mode() -> Iterator[None]:
    with torch.inference_mode():
        yield


@functools.cache
def made_up_state() -> dict[str, Tensor]:
    with torch.device("meta"):
        net = BEN2()
    return make_state(net, GAIN)


def made_up(dtype: torch.dtype = torch.float32) -> BEN2:
    with torch.device("meta"):
        net = BEN2()
    return load_state(net, made_up_state(), dtype=dtype)


@pytest.fixture(scope="module")
def plain() -> BEN2:
    return made_up()


@pytest.fixture(scope="module")
def prepared() -> BEN2:
    return made_up().prepare()


@pytest.fixture(params=["plain", "prepared"])
def net(request: pytest.FixtureRequest) -> BEN2:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, BEN2)
    return found


def summary(x: Tensor) -> tuple[float, float, float, float]:
    flat = x.contiguous().flatten()
    return (flat.mean().item(), flat.std(correction=0).item(), flat[0].item(), flat[-1].item())


@pytest.mark.usefixtures("inference_mode")
def test_agrees_with_the_original(net: BEN2) -> None:
    with np.load(GOLDEN / "ben2_384x384_seed23.npz") as file:
        x, logits = (torch.from_numpy(file[name]) for name in ("input_f16", "logits_before_sigmoid"))
    result = net(normalise(x))
    torch.testing.assert_close(result, logits.sigmoid(), rtol=0, atol=TOLERANCE / 4)
    torch.testing.assert_close(torch.logit(result), logits, rtol=0, atol=TOLERANCE)


@pytest.mark.shared
@pytest.mark.slow
def test_agrees_with_the_original_at_its_own_size(shared: Path, prepared: BEN2) -> None:
    with np.load(shared / "golden" / "ben2_1024_seed21.npz") as file:
        small = file["input_small_u8"]
        crop, coarse = torch.from_numpy(file["prob_crop_f32"]), torch.from_numpy(file["prob_f16"]).float()
    picture = torch.from_numpy(grow(small, 32, 1024, 1024)).permute(2, 0, 1)[None].float() / 255
    result = prepared((picture - MEAN) / STD)
    torch.testing.assert_close(result[..., 480:544, 480:544], crop, rtol=0, atol=TOLERANCE / 4)
    # float16 keeps a probability to a quarter of a thousandth.
    torch.testing.assert_close(result, coarse, rtol=0, atol=2.6e-4)


def test_has_the_published_tensors_but_the_side_outputs() -> None:
    published = manifest(GOLDEN / "ben2.keys.json")
    assert published.keys() >= set(SIDE_OUTPUTS)
    with torch.device("meta"):
        own = entries(BEN2())
    assert own == {name: entry for name, entry in published.items() if name not in SIDE_OUTPUTS}


def test_has_the_published_number_of_tensors_and_parameters(plain: BEN2) -> None:
    assert len(plain.state_dict()) == 535 - len(SIDE_OUTPUTS)
    assert sum(parameter.numel() for parameter in plain.parameters()) == 94_134_658 - 5 * 1153


def test_specification_weights_are_the_specified_ones() -> None:
    bias = hashed_weight("backbone.layers.0.blocks.0.attn.proj.bias", torch.Size([128]), 0)
    assert bias[:4].tolist() == pytest.approx([-0.173205, -0.047257, 0.114988, -0.152961], abs=1e-6)
    weight = hashed_weight("upsample2.0.weight", torch.Size([128, 128, 3, 3]), 510).flatten()
    assert weight[:3].tolist() == pytest.approx([-0.012854, 0.044736, -0.050423], abs=1e-6)


def test_every_step_agrees_with_the_specification() -> None:
    with torch.device("meta"):
        net = BEN2()
    load_state(net, hashed_state(net, unused=SIDE_OUTPUTS))
    recorder = Recorder(net, list(STEPS))
    result = net(wave_input(512, 512))
    for name, expected in STEPS.items():
        assert summary(recorder.seen[name]) == pytest.approx(expected, abs=SPEC_TOLERANCE), name
    assert summary(result) == pytest.approx(RESULT, abs=SPEC_TOLERANCE)
    for (row, column), expected_value in POINTS.items():
        assert result[0, 0, row, column].item() == pytest.approx(expected_value, abs=SPEC_TOLERANCE)


@pytest.mark.parametrize("size", [(128, 128), (256, 128), (128, 384)])
def test_sides_need_not_be_equal_and_preparing_keeps_the_numbers(
    plain: BEN2, prepared: BEN2, size: tuple[int, int]
) -> None:
    x = wave_input(*size)
    expected = plain(x)
    assert expected.shape == (1, 1, *size)
    assert expected.dtype == torch.float32
    assert 0 <= expected.min() < expected.max() <= 1
    torch.testing.assert_close(prepared(x), expected, rtol=0, atol=TOLERANCE / 4)


def test_a_batch_equals_its_pictures_and_the_input_is_left_alone(prepared: BEN2) -> None:
    x = torch.cat((wave_input(128, 128), wave_input(128, 128).flip(3)))
    before = x.clone()
    both = prepared(x)
    assert torch.equal(x, before)
    torch.testing.assert_close(both, torch.cat([prepared(x[:1]), prepared(x[1:])]), rtol=0, atol=1e-6)
    assert (both[0] - both[1]).abs().max() > 0.01


def test_preparing_twice_changes_nothing_more(prepared: BEN2) -> None:
    x = wave_input(128, 128)
    once = prepared(x)
    assert torch.equal(prepared.prepare()(x), once)


def test_bfloat16_stays_near_float32(prepared: BEN2) -> None:
    x = wave_input(128, 128)
    half = made_up(torch.bfloat16).prepare()(x)
    assert half.dtype == torch.float32
    assert 0 < (half - prepared(x)).abs().mean() < 0.02


@pytest.mark.parametrize("size", [(320, 320), (128, 192), (64, 128)])
def test_sides_that_do_not_fit_are_refused(plain: BEN2, size: tuple[int, int]) -> None:
    with pytest.raises(OptionError, match="multiples of 128"):
        plain(torch.zeros(1, 3, *size))


@pytest.mark.parametrize(
    "x",
    [torch.zeros(3, 128, 128), torch.zeros(1, 1, 128, 128), torch.zeros(1, 3, 128, 128, dtype=torch.uint8)],
    ids=["no batch", "grey", "integers"],
)
def test_input_of_another_form_is_refused(plain: BEN2, x: Tensor) -> None:
    with pytest.raises(OptionError, match="batch x 3 x height x width"):
        plain(x)


def test_side_outputs_and_their_container_are_accepted_and_index_tables_may_be_absent() -> None:
    state = made_up_state() | {name: torch.zeros(1) for name in SIDE_OUTPUTS}
    assert not any(name.endswith("relative_position_index") for name in state)
    with torch.device("meta"):
        net = BEN2()
    load_state(net, {"model_state_dict": state, "epoch": 3})
    assert torch.equal(net.state_dict()["shallow.0.weight"], state["shallow.0.weight"])


@pytest.mark.parametrize(
    ("renamed", "message"),
    [
        ("sideways.0.weight", r"not part of it, e\.g\. sideways\.0\.weight"),
        ("sideout9", r"missing, e\.g\. shallow\.0\.weight"),
    ],
)
def test_other_tensors_are_named(renamed: str, message: str) -> None:
    state = dict(made_up_state())
    state[renamed] = state.pop("shallow.0.weight")
    with torch.device("meta"):
        net = BEN2()
    with pytest.raises(CheckpointError, match=message):
        load_state(net, state)


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(5))


def test_quadrants_are_cut_row_by_row_and_stitched_again() -> None:
    x = noise(1, 3, 8, 12)
    parts = ben2.split_quadrants(x)
    assert torch.equal(parts[1], x[0, :, :4, 6:])
    assert torch.equal(parts[2], x[0, :, 4:, :6])
    assert torch.equal(ben2.stitch_quadrants(parts), x)


def test_positional_code_has_the_row_first_and_sine_and_cosine_in_turn() -> None:
    code = ben2.positional_code(4, 6, torch.device("cpu"), torch.float32).view(4, 6, 128)
    row, column = 2 * math.pi * 2.5 / 4, 2 * math.pi * 1.5 / 6
    period = 10_000 ** (10 / 64)
    assert code[2, 1, 0].item() == pytest.approx(math.sin(row), abs=1e-5)
    assert code[2, 1, 11].item() == pytest.approx(math.cos(row / period), abs=1e-5)
    assert code[2, 1, 64 + 10].item() == pytest.approx(math.sin(column / period), abs=1e-5)


def test_doubling_convolution_equals_enlarging_first() -> None:
    layer = ben2.DoublingConv(8)
    x = noise(1, 8, 5, 7)
    enlarged = F.interpolate(x, scale_factor=2.0, mode="nearest")
    literal = F.gelu(F.instance_norm(layer[0](enlarged)))
    torch.testing.assert_close(layer(x), literal, rtol=0, atol=1e-5)
    layer.prepare()
    torch.testing.assert_close(layer(x), literal, rtol=0, atol=1e-5)


@pytest.mark.parametrize("stride", [2, 4])
def test_shallow_features_equal_the_full_resolution_shrunk(plain: BEN2, stride: int) -> None:
    x = noise(1, 3, 16, 24)
    literal = F.interpolate(plain.shallow(x), scale_factor=1 / stride, mode="bilinear")
    torch.testing.assert_close(plain._shallow(x, stride), literal, rtol=0, atol=1e-5)


def test_normalisation_is_exact_across_chunks_and_far_from_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ben2, "CHUNK_BYTES", 4 * 16 * 10)
    x = noise(2, 16, 9, 7) + 300
    expected = F.gelu(F.instance_norm(x.double())).float()
    result = ben2.normalise_gelu(x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(result, expected, rtol=0, atol=3e-4)
    pieces = [x[:1, :, :4].permute(0, 2, 3, 1).reshape(-1, 16), x[:1, :, 4:].permute(0, 2, 3, 1).reshape(-1, 16)]
    mean, variance = ben2.instance_statistics(pieces)
    torch.testing.assert_close(mean, x[0].double().mean((1, 2)).float(), rtol=1e-6, atol=0)
    torch.testing.assert_close(variance, x[0].double().var((1, 2), correction=0).float(), rtol=1e-4, atol=0)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
def test_cross_attention_equals_the_one_of_torch(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, tolerance: float
) -> None:
    # Several blocks of queries, the last one shorter.
    monkeypatch.setattr(ben2, "SCORES_BYTES", 2 * 30 * 7)
    literal = torch.nn.MultiheadAttention(128, 1, batch_first=True).eval()
    own = ben2.CrossAttention()
    own.load_state_dict(literal.state_dict())
    query, key, value = noise(1, 40, 128), noise(1, 30, 128).flip(1), noise(1, 30, 128)
    expected = literal(query, key, value, need_weights=False)[0]
    result = own.to(dtype)(query.to(dtype), key.to(dtype), value.to(dtype)).float()
    torch.testing.assert_close(result, expected, rtol=0, atol=tolerance)
