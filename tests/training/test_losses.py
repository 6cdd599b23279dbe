from __future__ import annotations

import pytest
import torch

from arena.training.losses import boundary_loss, dice_loss


def square(left: int, right: int) -> torch.Tensor:
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 16:48, left:right] = 1
    return mask


def test_dice_knows_the_same_from_the_opposite() -> None:
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., :32] = 1
    assert float(dice_loss(mask, mask)) == pytest.approx(0, abs=1e-6)
    assert float(dice_loss(1 - mask, mask)) > 0.9
    assert float(dice_loss(torch.zeros_like(mask), torch.zeros_like(mask))) == pytest.approx(0)


def test_an_outline_is_wrong_by_how_far_it_is_off_and_not_by_how_long_it_is() -> None:
    everywhere = torch.ones(1, 1, 64, 64)
    losses = [float(boundary_loss(square(16, 48 + off), square(16, 48), everywhere, 1.0)) for off in (0, 1, 4)]
    assert losses[0] == pytest.approx(0, abs=1e-6)
    assert 0.02 < losses[0 + 1] < losses[2] < 0.7


def test_what_lies_in_the_padding_is_no_edge() -> None:
    inside = torch.ones(1, 1, 64, 64)
    inside[..., 32:] = 0
    cut = square(16, 32)
    assert float(boundary_loss(square(16, 60), cut, inside)) == pytest.approx(0, abs=1e-6)
    assert float(boundary_loss(square(16, 60), cut, torch.ones_like(inside))) > 0.05
