from __future__ import annotations

import pytest
import torch

from arena.nets.hair import LIMIT, HairNet


def inputs(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    chance = torch.Generator().manual_seed(0)
    return torch.rand(2, 3, height, width, generator=chance) - 0.5, 3 * torch.randn(
        2, 1, height, width, generator=chance
    )


@pytest.mark.parametrize("size", [(64, 64), (30, 46), (2, 2)])
def test_logits_have_the_pictures_size(size: tuple[int, int]) -> None:
    assert HairNet()(*inputs(*size)).shape == (2, 1, *size)


def test_before_training_it_changes_nothing_that_was_not_sure() -> None:
    rgb, logits = inputs(32, 32)
    torch.testing.assert_close(HairNet()(rgb, logits), logits.clamp(-LIMIT, LIMIT))


def test_it_is_small_and_sees_as_far_as_strands_are_long() -> None:
    net = HairNet()
    assert sum(p.numel() for p in net.parameters()) < 100_000
    torch.nn.init.ones_(net.head.weight)
    rgb, logits = inputs(160, 160)
    rgb.requires_grad_()
    net(rgb, logits)[0, 0, 80, 80].backward()
    assert rgb.grad is not None
    columns = rgb.grad[0].abs().sum(dim=(0, 1)).nonzero()[:, 0]
    assert int(columns.min()) < 80 - 30
    assert int(columns.max()) > 80 + 30
