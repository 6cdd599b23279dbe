from __future__ import annotations

import pytest
import torch

from arena.nets.swin import (
    SWIN_CONFIGS,
    SwinBlock,
    SwinConfig,
    SwinTransformer,
    relative_position_index,
    window_plan,
)
from benchmarks.plain import swin_block
from tests.nets.recipe import make_state

SMALL = SwinConfig(width=32, depths=(2, 2, 2, 2), window=4)
ODD = SwinConfig(width=32, depths=(2, 2, 2, 2), window=7)


def small_swin(config: SwinConfig = SMALL, embedding: bool = False) -> SwinTransformer:
    net = SwinTransformer(config, embedding).eval().requires_grad_(False)
    net.load_state_dict(make_state(net, 1.2), strict=False)
    return net


@pytest.mark.parametrize(
    ("window", "places", "total"),
    [
        (
            12,
            {(0, 0): 264, (0, 1): 263, (1, 0): 265, (0, 12): 241, (12, 0): 287, (0, 143): 0, (143, 0): 528},
            5_474_304,
        ),
        (7, {(0, 0): 84, (0, 1): 83, (1, 0): 85, (0, 7): 71, (7, 0): 97, (0, 48): 0, (48, 0): 168}, 201_684),
    ],
)
def test_bias_table_is_indexed_as_published(window: int, places: dict[tuple[int, int], int], total: int) -> None:
    index = relative_position_index(window)
    assert {place: int(index[place]) for place in places} == places
    assert int(index.sum()) == total


@pytest.mark.parametrize("shift", [0, 2])
@pytest.mark.parametrize(("height", "width"), [(4, 4), (8, 12), (9, 5), (1, 3)])
def test_every_token_comes_back_to_its_place(height: int, width: int, shift: int) -> None:
    plan = window_plan(2, height, width, 4, shift, torch.device("cpu"))
    tokens = torch.arange(2 * height * width)
    assert torch.equal(tokens[plan.gather.flatten()][plan.scatter], tokens)
    assert plan.groups[-1][1] == len(plan.gather)
    assert [start for start, _, _ in plan.groups] == [0, *(end for _, end, _ in plan.groups[:-1])]


@pytest.mark.parametrize("config", [SMALL, ODD], ids=["window 4", "window 7"])
@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize(("height", "width"), [(8, 8), (14, 21), (5, 11), (2, 3)])
def test_block_equals_roll_pad_and_cut(config: SwinConfig, shifted: bool, height: int, width: int) -> None:
    block = small_swin(config).get_submodule(f"layers.1.blocks.{int(shifted)}")
    assert isinstance(block, SwinBlock)
    tokens = torch.randn(2 * height * width, 64, generator=torch.Generator().manual_seed(1))
    expected = swin_block(block, tokens.clone(), 2, height, width)
    torch.testing.assert_close(block(tokens, 2, height, width), expected, atol=2e-5, rtol=0)


def test_shift_mask_matters() -> None:
    block = small_swin().get_submodule("layers.0.blocks.1")
    assert isinstance(block, SwinBlock)
    tokens = torch.randn(64, 32, generator=torch.Generator().manual_seed(1))
    masked = block(tokens.clone(), 1, 8, 8)
    plan = window_plan(1, 8, 8, 4, 2, torch.device("cpu"))
    assert sum(mask is not None for _, _, mask in plan.groups) == 3
    block.shift = 0
    assert (block(tokens.clone(), 1, 8, 8) - masked).abs().max() > 1e-3


@pytest.mark.parametrize(("height", "width"), [(64, 96), (33, 70)])
def test_maps_shrink_by_two_rounded_up(height: int, width: int) -> None:
    maps = small_swin(embedding=True)(torch.zeros(1, 3, height, width))
    grids = [(-(-height // 4), -(-width // 4))]
    for _ in range(3):
        grids.append((-(-grids[-1][0] // 2), -(-grids[-1][1] // 2)))
    assert [tuple(m.shape[2:]) for m in maps] == [grids[0], *grids]
    assert [m.shape[1] for m in maps] == [32, 32, 64, 128, 256]


def test_embedding_is_not_overwritten_by_the_first_stage() -> None:
    net = small_swin(embedding=True)
    x = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    assert torch.equal(net(x)[0], net.patch_embed(x).permute(0, 3, 1, 2))


def test_preparing_keeps_the_numbers() -> None:
    net = small_swin()
    x = torch.randn(2, 3, 52, 76, generator=torch.Generator().manual_seed(3))
    plain = net(x)
    for expected, found in zip(plain, net.prepare()(x), strict=True):
        torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)


def test_preparing_twice_is_preparing_once() -> None:
    net = small_swin().prepare()
    x = torch.randn(1, 3, 32, 32)
    once = net(x)[-1]
    assert torch.equal(net.prepare()(x)[-1], once)


def test_tables_made_in_inference_mode_serve_outside_it() -> None:
    net, x = small_swin(), torch.randn(1, 3, 60, 44)
    with torch.inference_mode():
        inside = net(x)[-1].clone()
    assert torch.equal(net(x.requires_grad_())[-1].detach(), inside)


@pytest.mark.parametrize(("name", "parameters"), [("swin_v1_l", 195_201_204), ("swin_v1_t", 27_520_698)])
def test_published_sizes(name: str, parameters: int) -> None:
    with torch.device("meta"):
        net = SwinTransformer(SWIN_CONFIGS[name])
    assert sum(p.numel() for p in net.parameters()) == parameters
