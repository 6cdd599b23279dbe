from __future__ import annotations

import functools
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from arena.errors import CheckpointError, OptionError
from arena.nets import U2Net, load_state
from tests.nets.published import Recorder, entries, hashed_state, hashed_weight, manifest, wave_input
from tests.nets.recipe import make_state, normalise

if TYPE_CHECKING:
    from arena.nets.u2net import Variant

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
VARIANTS: dict[str, Variant] = {"u2net": "full", "u2netp": "small"}
TOLERANCE = {"u2net": 5e-5, "u2netp": 2e-4}
"""Largest difference of the logits, from the golden cases' README."""

CASES = ("u2net_160x160_seed42", "u2netp_101x130_seed45")
SHARED_CASES = ("u2net_320x320_seed41", "u2netp_320x320_seed43", "u2netp_160x160_seed44")

# Mean, population standard deviation and last element, from the network's specification.
STAGES = {
    "full": {
        "stage1": (0.553480, 0.712091, 0.886927),
        "stage2": (0.556598, 0.660794, 0.000000),
        "stage3": (0.565571, 0.662207, 0.211448),
        "stage4": (0.585692, 0.661145, 0.372571),
        "stage5": (0.511125, 0.620839, 0.062038),
        "stage6": (0.498577, 0.600114, 0.162254),
        "stage5d": (0.449906, 0.500049, 0.873244),
        "stage4d": (0.476303, 0.556233, 0.000000),
        "stage3d": (0.416978, 0.516363, 0.063838),
        "stage2d": (0.397655, 0.495681, 0.185310),
        "stage1d": (0.704306, 0.752720, 0.000000),
        "result": (0.634826, 0.069123, 0.380621),
        "side6": (0.451246, 0.076264, 0.560910),
    },
    "small": {
        "stage1": (0.579791, 0.737422, 0.543102),
        "stage2": (0.559645, 0.697548, 0.107211),
        "stage3": (0.557544, 0.721967, 0.501186),
        "stage4": (0.741209, 0.773118, 0.189046),
        "stage5": (0.586415, 0.721219, 1.228307),
        "stage6": (0.539257, 0.628157, 0.055517),
        "stage5d": (0.512925, 0.627075, 0.286159),
        "stage4d": (0.607708, 0.716370, 0.000000),
        "stage3d": (0.441014, 0.541464, 0.125281),
        "stage2d": (0.541779, 0.574724, 0.489206),
        "stage1d": (0.832299, 0.872544, 0.000000),
        "result": (0.436949, 0.061910, 0.397697),
        "side6": (0.525711, 0.040551, 0.548414),
    },
}
POINTS = ((0, 0), (40, 90), (90, 40), (149, 129))
AT_POINTS = {"full": (0.633061, 0.665369, 0.735267, 0.380621), "small": (0.613120, 0.428838, 0.542774, 0.397697)}
SPEC_TOLERANCE = 2e-6


def blank(variant: Variant) -> U2Net:
    with torch.device("meta"):
        return U2Net(variant)


@functools.cache
def made_up_state(variant: Variant, gain: float) -> dict[str, Tensor]:
    return make_state(blank(variant), gain)


def made_up(variant: Variant, gain: float = 1.2) -> U2Net:
    return load_state(blank(variant), made_up_state(variant, gain))


def golden(path: Path) -> tuple[str, float, dict[str, Tensor]]:
    with np.load(path) as file:
        meta = json.loads(bytes(file["meta"]))
        arrays = {name: torch.from_numpy(file[name]) for name in ("input_f16", "d0_logits", "d0_prob")}
    return meta["net"], meta["gain"], arrays


def agree_with_golden(path: Path, prepared: bool) -> None:
    name, gain, arrays = golden(path)
    net = made_up(VARIANTS[name], gain)
    if prepared:
        net.prepare()
    result = net(normalise(arrays["input_f16"]))
    torch.testing.assert_close(result, arrays["d0_prob"], rtol=0, atol=TOLERANCE[name] / 4)
    torch.testing.assert_close(torch.logit(result), arrays["d0_logits"], rtol=0, atol=TOLERANCE[name])


@pytest.mark.parametrize("prepared", [False, True], ids=["plain", "prepared"])
@pytest.mark.parametrize("case", CASES)
def test_agrees_with_the_original(case: str, prepared: bool) -> None:
    agree_with_golden(GOLDEN / f"{case}.npz", prepared)


@pytest.mark.shared
@pytest.mark.parametrize("prepared", [False, True], ids=["plain", "prepared"])
@pytest.mark.parametrize("case", SHARED_CASES)
def test_agrees_with_the_original_at_other_sizes(shared: Path, case: str, prepared: bool) -> None:
    agree_with_golden(shared / "golden" / f"{case}.npz", prepared)


@pytest.mark.parametrize("name", VARIANTS)
def test_has_the_published_tensors(name: str) -> None:
    assert entries(blank(VARIANTS[name])) == manifest(GOLDEN / f"{name}.keys.json")


@pytest.mark.parametrize(("variant", "parameters"), [("full", 44_009_869), ("small", 1_131_181)])
def test_has_the_published_number_of_tensors_and_parameters(variant: Variant, parameters: int) -> None:
    net = blank(variant)
    assert len(net.state_dict()) == 798
    assert sum(parameter.numel() for parameter in net.parameters()) == parameters


def test_specification_weights_are_the_specified_ones() -> None:
    assert hashed_weight("outconv.bias", torch.Size([1]), 0).item() == pytest.approx(-0.173205, abs=1e-6)
    weight = hashed_weight("outconv.weight", torch.Size([1, 6, 1, 1]), 1).flatten()
    assert weight[:3].tolist() == pytest.approx([0.390585, 0.207249, 0.571062], abs=1e-6)


@pytest.mark.parametrize("variant", VARIANTS.values())
def test_every_stage_agrees_with_the_specification(variant: Variant) -> None:
    net = blank(variant)
    counters = {name: tensor for name, tensor in made_up_state(variant, 1.2).items() if not tensor.is_floating_point()}
    load_state(net, hashed_state(net) | counters)
    recorder = Recorder(net, [name for name in STAGES[variant] if name != "result"])
    result = net(wave_input(150, 130))
    recorder.seen["result"] = result
    coarse = recorder.seen["side6"]
    recorder.seen["side6"] = torch.sigmoid(F.interpolate(coarse, size=result.shape[-2:], mode="bilinear"))
    for name, expected in STAGES[variant].items():
        seen = recorder.seen[name]
        found = (seen.mean().item(), seen.std(correction=0).item(), seen.flatten()[-1].item())
        assert found == pytest.approx(expected, abs=SPEC_TOLERANCE), name
    assert [result[0, 0, row, column].item() for row, column in POINTS] == pytest.approx(
        AT_POINTS[variant], abs=SPEC_TOLERANCE
    )


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (17, 33), (64, 24)])
def test_any_size_works_prepared_or_not(size: tuple[int, int]) -> None:
    net, x = made_up("small", gain=1.4), torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(1))
    plain = net(x)
    assert plain.shape == (1, 1, *size)
    assert plain.dtype == torch.float32
    assert 0 <= plain.min() <= plain.max() <= 1
    torch.testing.assert_close(net.prepare()(x), plain, rtol=0, atol=5e-5)


def test_prepared_full_network_equals_the_plain_one() -> None:
    net, x = made_up("full"), wave_input(96, 128)
    plain = net(x)
    torch.testing.assert_close(net.prepare()(x), plain, rtol=0, atol=1e-5)


def test_preparing_twice_changes_nothing_more() -> None:
    net, x = made_up("small"), wave_input(48, 48)
    once = net.prepare()(x)
    assert torch.equal(net.prepare()(x), once)


@pytest.mark.parametrize("prepared", [False, True], ids=["plain", "prepared"])
def test_a_batch_equals_its_pictures_and_the_input_is_left_alone(prepared: bool) -> None:
    net = made_up("small", gain=1.4)
    if prepared:
        net.prepare()
    x = torch.cat((wave_input(40, 56), wave_input(40, 56).flip(3)))
    before = x.clone()
    both = net(x)
    assert torch.equal(x, before)
    apart = torch.cat([net(x[:1]), net(x[1:])])
    torch.testing.assert_close(both, apart, rtol=0, atol=2e-5)
    assert (both[0] - both[1]).abs().max() > 0.01


def test_bfloat16_stays_near_float32() -> None:
    net, x = made_up("small", gain=1.4), wave_input(96, 96)
    expected = net(x)
    half = made_up("small", gain=1.4).bfloat16().prepare()(x)
    assert half.dtype == torch.float32
    assert (half - expected).abs().mean() < 0.02
    # It differs, so bfloat16 was really used.
    assert not torch.equal(half, expected)


def test_unknown_variant_is_refused() -> None:
    with pytest.raises(OptionError, match="medium"):
        U2Net(cast("Variant", "medium"))


@pytest.mark.parametrize(
    "x",
    [
        torch.zeros(3, 8, 8),
        torch.zeros(1, 4, 8, 8),
        torch.zeros(1, 3, 0, 8),
        torch.zeros(1, 3, 8, 8, dtype=torch.uint8),
    ],
    ids=["no batch", "four channels", "empty", "integers"],
)
def test_input_of_another_form_is_refused(x: Tensor) -> None:
    with pytest.raises(OptionError, match="batch x 3 x height x width"):
        U2Net("small")(x)


def test_a_checkpoint_saved_and_read_back_gives_the_same_matte() -> None:
    first, x = made_up("small"), wave_input(32, 32)
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second = blank("small")
    load_state(second, torch.load(file, weights_only=True))
    assert torch.equal(second(x), first(x))


def test_a_checkpoint_of_the_other_variant_is_named() -> None:
    with pytest.raises(CheckpointError, match="of another shape"):
        load_state(blank("full"), made_up_state("small", 1.2))


def test_missing_and_unexpected_tensors_are_named() -> None:
    state = dict(made_up_state("small", 1.2))
    state["stage9.weight"] = state.pop("outconv.weight")
    with pytest.raises(
        CheckpointError, match=r"missing, e\.g\. outconv\.weight.*not part of it, e\.g\. stage9\.weight"
    ):
        load_state(blank("small"), state)
