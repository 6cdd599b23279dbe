from __future__ import annotations

import pytest
import torch

from arena.nets.lite import MULTIPLE, LiteNet


@pytest.fixture
def net() -> LiteNet:
    torch.manual_seed(0)
    net = LiteNet(deep_supervision=True)
    net.train()
    with torch.no_grad():
        # Running means and variances other than 0 and 1, or folding would have nothing to prove.
        for _ in range(4):
            net(torch.randn(4, 3, 64, 64))
    return net.eval()


@pytest.mark.parametrize("size", [(32, 32), (64, 96), (160, 32)])
def test_logits_have_the_inputs_size(net: LiteNet, size: tuple[int, int]) -> None:
    logits, side = net.forward_with_side(torch.randn(2, 3, *size))
    assert logits.shape == (2, 1, *size)
    assert side.shape == (2, 1, size[0] // 8, size[1] // 8)


def test_prepared_it_gives_the_same_numbers(net: LiteNet) -> None:
    x = torch.randn(1, 3, 3 * MULTIPLE, 2 * MULTIPLE)
    expected = net(x)
    torch.testing.assert_close(net.prepare()(x), expected, atol=1e-5, rtol=1e-5)
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in net.modules())


def test_it_is_small_enough_to_ship(net: LiteNet) -> None:
    assert 2 * sum(p.numel() for p in net.parameters()) < 4_000_000


def test_every_part_of_the_picture_counts_for_every_other(net: LiteNet) -> None:
    x = torch.randn(1, 3, 128, 128, requires_grad=True)
    net(x)[0, 0, :8, :8].sum().backward()
    assert x.grad is not None
    assert x.grad[..., -8:, -8:].abs().max() > 0


def test_without_deep_supervision_there_is_no_coarse_output() -> None:
    with pytest.raises(RuntimeError, match="deep_supervision"):
        LiteNet().eval().forward_with_side(torch.randn(1, 3, 32, 32))
