from __future__ import annotations

import pytest
import torch

from arena.nets.lite import MULTIPLE, LiteNet, LiteNets, count_networks, pack, unpack


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


def alone(net: LiteNet) -> LiteNet:
    """The same without what only training needs."""
    bare = LiteNet().eval()
    bare.load_state_dict({name: t for name, t in net.state_dict().items() if not name.startswith("side.")})
    return bare


def read(packed: dict[str, torch.Tensor]) -> LiteNets:
    state = unpack(packed)
    nets = LiteNets(count_networks(state)).eval()
    nets.load_state_dict(state)
    return nets


def test_one_network_is_kept_in_half_precision(net: LiteNet) -> None:
    packed = pack([net.state_dict()])
    assert not any(name.startswith("side.") for name in packed)
    assert {t.dtype for t in packed.values()} == {torch.float16, torch.float32, torch.int64}
    nets = read(packed)
    x = torch.randn(1, 3, 64, 64)
    assert len(nets.networks) == 1
    torch.testing.assert_close(nets(x, 5), alone(net)(x), atol=2e-2, rtol=0)
    # A file from before there were several, and a checkpoint with the coarse output, are read too.
    torch.testing.assert_close(read(net.state_dict())(x), alone(net)(x))


def test_several_networks_are_kept_in_8_bits_and_fit_the_box(net: LiteNet) -> None:
    other = LiteNet(deep_supervision=True).eval()
    packed = pack([net.state_dict(), other.state_dict()])
    assert sum(t.numel() * t.element_size() for t in packed.values()) < 4_000_000
    nets = read(packed)
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        for number, original in enumerate((net, other)):
            expected = alone(original)(x)
            error = (nets(x, number) - expected).abs().mean()
            assert error < 0.05 * expected.abs().mean(), number
            torch.testing.assert_close(nets(x, number + 2), nets(x, number))
        both = torch.stack([nets(x, 0), nets(x, 1)]).mean(dim=0)
        torch.testing.assert_close(nets(x), both)
        torch.testing.assert_close(nets.prepare()(x), both, atol=1e-4, rtol=1e-4)


def test_each_weight_of_8_bits_is_off_by_half_a_step_at_most(net: LiteNet) -> None:
    packed = pack([net.state_dict()] * 2)
    state = unpack(packed)
    for name, original in net.state_dict().items():
        if f"networks.1.{name}.scale" not in packed:
            continue
        scale = packed[f"networks.1.{name}.scale"].view(-1, *[1] * (original.ndim - 1))
        assert ((state[f"networks.1.{name}"] - original).abs() <= scale * 0.5001).all(), name
