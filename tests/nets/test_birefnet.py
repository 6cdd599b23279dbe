from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from arena.errors import CheckpointError, OptionError
from arena.nets import BiRefNet, load_state
from arena.nets.birefnet import (
    BackboneName,
    PatchBlock,
    PatchOrder,
    PreparedImageHead,
    bilerp,
    bilerp_twice,
    image_to_patches,
)
from tests.nets.published import entries, manifest
from tests.nets.recipe import make_input, make_state, normalise, weight

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

GOLDEN = Path(__file__).parents[1] / "golden"
GAIN = 1.2
TOLERANCE = 5e-5
"""Largest difference of the logits, from the golden cases' README."""

TINY_CASES = ("birefnet_swin_t_288x352_seed14",)
LARGE_CASES: dict[PatchOrder, str] = {
    "current": "birefnet_swin_l_256x256_seed11",
    "legacy": "birefnet_swin_l_legacy_patch_order_256x256_seed11",
}


@functools.lru_cache(maxsize=1)
def made_up_state(backbone: BackboneName) -> dict[str, Tensor]:
    with torch.device("meta"):
        net = BiRefNet(backbone)
    return make_state(net, GAIN)


def made_up(backbone: BackboneName = "swin_v1_t", patch_order: PatchOrder = "current") -> BiRefNet:
    with torch.device("meta"):
        net = BiRefNet(backbone, patch_order)
    return load_state(net, made_up_state(backbone))


@pytest.fixture(scope="module")
def tiny() -> BiRefNet:
    return made_up().prepare()


def picture(height: int, width: int, seed: int = 1) -> Tensor:
    return normalise(make_input(seed, height, width))


def largest_difference(net: BiRefNet, case: Mapping[str, Any]) -> float:
    found = net(normalise(torch.from_numpy(case["input_f16"])))
    return float((found - torch.from_numpy(case["logits_before_sigmoid"])).abs().max())


def test_prepared_tiny_network_gives_the_golden_logits(tiny: BiRefNet) -> None:
    assert largest_difference(tiny, np.load(GOLDEN / "birefnet_swin_t_256x256_seed13.npz")) < TOLERANCE


def test_every_step_of_the_published_network_gives_the_golden_samples() -> None:
    case = np.load(GOLDEN / "birefnet_swin_t_256x256_seed13.npz")
    net, seen = made_up(), set[str]()

    def compare(name: str, output: Tensor) -> None:
        calls = sum(label.startswith(f"{name}#") for label in seen)
        label = f"{name}#{calls}"
        golden = torch.from_numpy(case[f"probe:{label}"])
        places = torch.linspace(0, output.numel() - 1, len(golden), dtype=torch.float64).round().long()
        torch.testing.assert_close(output.reshape(-1)[places], golden, atol=TOLERANCE, rtol=1e-5, msg=label)
        seen.add(label)

    names = {label.removeprefix("probe:").partition("#")[0] for label in case.files if label.startswith("probe:")}
    hooked = {name for name in names if name.startswith(("squeeze", "decoder"))}
    for name in hooked:
        net.get_submodule(name).register_forward_hook(lambda _m, _i, out, name=name: compare(name, out))
    with torch.inference_mode():
        for index, level in enumerate(net.bb(normalise(torch.from_numpy(case["input_f16"])))):
            compare(f"bb[{index}]", level)
        assert largest_difference(net, case) < TOLERANCE
    assert {label.partition("#")[0] for label in seen} >= hooked


@pytest.mark.shared
@pytest.mark.parametrize("name", TINY_CASES)
def test_other_tiny_golden_cases(tiny: BiRefNet, shared: Path, name: str) -> None:
    assert largest_difference(tiny, np.load(shared / "golden" / f"{name}.npz")) < TOLERANCE


def prepared_large(order: PatchOrder) -> BiRefNet:
    net = made_up("swin_v1_l", order).prepare()
    made_up_state.cache_clear()
    return net


@pytest.mark.parametrize("order", ["current", pytest.param("legacy", marks=pytest.mark.slow)])
def test_prepared_large_network_gives_the_golden_logits(order: PatchOrder) -> None:
    assert largest_difference(prepared_large(order), np.load(GOLDEN / f"{LARGE_CASES[order]}.npz")) < TOLERANCE


@pytest.mark.shared
@pytest.mark.slow
def test_prepared_large_network_gives_the_golden_logits_of_an_oblong(shared: Path) -> None:
    case = np.load(shared / "golden" / "birefnet_swin_l_320x256_seed12.npz")
    assert largest_difference(prepared_large("current"), case) < TOLERANCE


@pytest.mark.parametrize("letter", ["l", "t"])
def test_entries_are_the_published_ones_without_the_training_heads(letter: str) -> None:
    path = GOLDEN / f"birefnet_swin_{letter}.keys.json"
    unused = json.loads(path.read_text())["unused_at_inference"]
    with torch.device("meta"):
        net = BiRefNet(f"swin_v1_{letter}")  # type: ignore[arg-type]
    published = manifest(path)
    assert len(unused) == 12
    assert all(name.startswith(BiRefNet.training_only) for name in unused)
    assert entries(net) == {name: entry for name, entry in published.items() if name not in unused}
    assert sum(p.numel() for p in net.parameters()) == {"l": 220_173_756, "t": 44_312_322}[letter]


@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 96), (160, 32)])
def test_preparing_keeps_the_numbers_at_any_size(tiny: BiRefNet, height: int, width: int) -> None:
    x = picture(height, width)
    with torch.inference_mode():
        plain, prepared = made_up()(x), tiny(x)
    assert prepared.shape == (1, 1, height, width)
    torch.testing.assert_close(prepared, plain, atol=TOLERANCE, rtol=0)


def test_preparing_keeps_the_numbers_in_legacy_order() -> None:
    net, x = made_up(patch_order="legacy"), picture(64, 96)
    with torch.inference_mode():
        plain = net(x)
        torch.testing.assert_close(net.prepare()(x), plain, atol=TOLERANCE, rtol=0)


def test_orders_of_patches_differ(tiny: BiRefNet) -> None:
    x = picture(64, 64)
    with torch.inference_mode():
        assert (made_up(patch_order="legacy")(x) - tiny(x)).abs().max() > 0.1


def test_patch_orders_stack_tiles_as_published() -> None:
    image = torch.arange(3 * 4 * 6.0).view(1, 3, 4, 6)
    for order in ("current", "legacy"):
        patches = image_to_patches(image, (2, 2), order)
        for colour in range(3):
            for row in range(2):
                for column in range(3):
                    channel = (colour * 2 + row) * 3 + column if order == "current" else (column * 2 + row) * 3 + colour
                    tile = image[0, colour, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
                    assert torch.equal(patches[0, channel], tile)


def test_a_batch_of_two_is_two_pictures(tiny: BiRefNet) -> None:
    pair = torch.cat((picture(64, 96, seed=1), picture(64, 96, seed=2)))
    with torch.inference_mode():
        together = tiny(pair)
        apart = torch.cat([tiny(one[None]) for one in pair])
    torch.testing.assert_close(together, apart, atol=TOLERANCE, rtol=0)
    assert (together[0] - together[1]).abs().max() > 0.1


def test_bfloat16_on_the_cpu_stays_near(tiny: BiRefNet) -> None:
    x = picture(128, 96)
    half = made_up().to(torch.bfloat16).prepare()
    with torch.inference_mode():
        found, expected = half(x), tiny(x)
    assert found.dtype == torch.float32
    difference = (found.sigmoid() - expected.sigmoid()).abs()
    assert 0 < difference.max() < 0.05
    assert difference.mean() < 0.005


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_keeps_what_it_would_harm(tiny: BiRefNet, dtype: torch.dtype) -> None:
    state = dict(made_up_state("swin_v1_t"))
    name = "decoder.decoder_block1.bn_in"
    # Beyond the largest float16; the factor undoes it, so the numbers stay those of the made-up weights.
    state[f"{name}.running_var"] = torch.full_like(state[f"{name}.running_var"], 1e5)
    state[f"{name}.weight"] = state[f"{name}.weight"] * 1e5**0.5
    with torch.device("meta"):
        net = BiRefNet("swin_v1_t")
    load_state(net, state, dtype=dtype)
    own = net.state_dict()
    assert own[f"{name}.running_var"].eq(1e5).all()
    assert own["decoder.ipt_blk1.conv1.weight"].dtype == own["decoder.conv_out1.0.weight"].dtype == torch.float32
    assert own["decoder.decoder_block1.conv_in.weight"].dtype == own["bb.norm0.weight"].dtype == dtype
    x = picture(64, 64)
    plain, prepared = net(x), net.prepare()(x)
    kept = {name: p for name, p in net.named_parameters() if p.dtype == torch.float32}
    assert kept
    assert all(name.startswith("decoder.image_head.") for name in kept)
    for found in (plain, prepared):
        assert found.isfinite().all()
        assert found.std() > 0.1
    torch.testing.assert_close(prepared.sigmoid(), plain.sigmoid(), atol=0.03, rtol=0)


def test_the_way_back_from_float16_weights() -> None:
    state = {name: t.half() if t.is_floating_point() else t for name, t in made_up_state("swin_v1_t").items()}
    with torch.device("meta"):
        net = BiRefNet("swin_v1_t")
    net = load_state(net, state)
    assert {p.dtype for p in net.parameters()} == {torch.float32}
    assert net.bb.layers[0].blocks[0].attn.relative_position_index.dtype == torch.int64  # type: ignore[index, union-attr]


@pytest.mark.parametrize(
    "shape", [(1, 3, 48, 64), (1, 3, 64, 100), (1, 3, 0, 32), (1, 4, 64, 64), (3, 64, 64)], ids=str
)
def test_shapes_it_cannot_take_are_named(tiny: BiRefNet, shape: tuple[int, ...]) -> None:
    with pytest.raises(OptionError, match="BiRefNet takes"):
        tiny(torch.zeros(shape))


def test_whole_numbers_are_refused(tiny: BiRefNet) -> None:
    with pytest.raises(OptionError, match="uint8"):
        tiny(torch.zeros(1, 3, 64, 64, dtype=torch.uint8))


def test_unknown_configurations_are_refused() -> None:
    with pytest.raises(OptionError, match="swin_v1_t"):
        BiRefNet("swin_v1_x")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="legacy"):
        BiRefNet(patch_order="new")  # type: ignore[arg-type]


def test_resizing_twice_needs_no_map_in_the_middle() -> None:
    x = torch.randn(2, 3, 5, 9, generator=torch.Generator().manual_seed(1))
    for middle, size in (((10, 17), (2, 3)), ((11, 18), (1, 1)), ((5, 9), (5, 9))):
        expected = bilerp(bilerp(x, middle), size)
        torch.testing.assert_close(bilerp_twice(x, middle, size), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("height", "width"), [(3, 3), (32, 64), (4, 17)])
def test_one_convolution_of_five_equals_two_of_three_up_to_the_border(height: int, width: int) -> None:
    block = PatchBlock(3, 8).requires_grad_(False)
    block.load_state_dict(make_state(block, GAIN))
    last = weight("last", (1, 8, 1, 1), GAIN)
    x = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(1))
    expected = torch.nn.functional.conv2d(block(x), last, torch.tensor([0.3]))
    found = PreparedImageHead(block, last, torch.tensor([0.3]))(x)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


class TestLoading:
    """Loading is strict and says what does not fit."""

    @staticmethod
    def load(state: Mapping[str, object]) -> BiRefNet:
        with torch.device("meta"):
            net = BiRefNet("swin_v1_t")
        return load_state(net, state)

    def test_training_heads_are_dropped(self) -> None:
        path = GOLDEN / "birefnet_swin_t.keys.json"
        heads = {name: torch.zeros(shape) for name, (shape, _) in manifest(path).items()}
        net = self.load({**heads, **made_up_state("swin_v1_t"), **indices()})
        assert not any(name.startswith(BiRefNet.training_only) for name in net.state_dict())

    def test_prefixes_and_containers_are_taken_off(self) -> None:
        state = {f"module._orig_mod.{name}": tensor for name, tensor in made_up_state("swin_v1_t").items()}
        bias = self.load({"model_state_dict": state, "epoch": 3}).bb.patch_embed.proj.bias
        assert bias is not None
        assert torch.equal(bias, made_up_state("swin_v1_t")["bb.patch_embed.proj.bias"])

    def test_a_missing_tensor_is_named(self) -> None:
        state = dict(made_up_state("swin_v1_t"))
        del state["decoder.conv_out1.0.bias"]
        with pytest.raises(CheckpointError, match=r"1 tensor is missing, e\.g\. decoder\.conv_out1\.0\.bias"):
            self.load(state)

    def test_an_unexpected_tensor_is_named(self) -> None:
        with pytest.raises(CheckpointError, match=r"1 tensor is not part of it, e\.g\. refiner\.weight"):
            self.load({**made_up_state("swin_v1_t"), "refiner.weight": torch.zeros(1)})

    def test_a_misshapen_tensor_is_named(self) -> None:
        wrong = {"bb.norm0.weight": torch.zeros(97)}
        with pytest.raises(
            CheckpointError, match=r"1 tensor is of another shape, e\.g\. bb\.norm0\.weight \(97 instead of 96\)"
        ):
            self.load({**made_up_state("swin_v1_t"), **wrong})

    def test_another_table_of_positions_is_refused(self) -> None:
        name = "bb.layers.0.blocks.0.attn.relative_position_index"
        with pytest.raises(CheckpointError, match=name):
            self.load({**made_up_state("swin_v1_t"), name: indices()[name].T})

    def test_what_is_no_tensor_is_refused(self) -> None:
        with pytest.raises(CheckpointError, match="'optimizer' is a dict"):
            self.load({**made_up_state("swin_v1_t"), "optimizer": {}})

    def test_the_large_network_does_not_take_the_tiny_one(self) -> None:
        with torch.device("meta"):
            net = BiRefNet("swin_v1_l")
        with pytest.raises(CheckpointError, match=r"tensors are missing, .*tensors are of another shape, "):
            load_state(net, made_up_state("swin_v1_t"))


def indices() -> dict[str, Tensor]:
    return {
        name: tensor
        for name, tensor in BiRefNet("swin_v1_t").state_dict().items()
        if name.endswith("relative_position_index")
    }
