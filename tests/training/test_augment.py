from __future__ import annotations

import dataclasses
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from arena.errors import OptionError
from arena.training.augment import MIRRORED, UNCHANGED, AugmentSettings, Change, apply_changes
from tests.training.people import portrait

SIDE = 96


def chance(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def applied(change: Change, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    height, width = pictures.shape[2:]
    return apply_changes(pictures, change.matrix(width, height)[None], torch.tensor([change.light]))


def picture(seed: int = 1) -> torch.Tensor:
    rgb, mask = portrait(seed, SIDE)
    return torch.from_numpy(np.dstack([rgb, mask])).permute(2, 0, 1)[None]


def test_unchanged_is_unchanged() -> None:
    rgb, alpha = applied(UNCHANGED, picture())
    torch.testing.assert_close(rgb, picture()[:, :3] / 255, rtol=0, atol=1e-4)
    torch.testing.assert_close(alpha, picture()[:, 3:] / 255, rtol=0, atol=1e-4)


def test_mirrored_is_mirrored() -> None:
    rgb, alpha = applied(MIRRORED, picture())
    torch.testing.assert_close(rgb, picture()[:, :3].flip(3) / 255, rtol=0, atol=1e-4)
    torch.testing.assert_close(alpha, picture()[:, 3:].flip(3) / 255, rtol=0, atol=1e-4)
    assert MIRRORED.move_box(torch.tensor([10.0, 20, 30, 40]), SIDE, SIDE).tolist() == [SIDE - 30, 20, SIDE - 10, 40]


@pytest.mark.parametrize("seed", range(8))
def test_picture_mask_box_and_points_move_together(seed: int) -> None:
    change = Change.draw(chance(seed), dataclasses.replace(AugmentSettings(), shift=0.1))
    black = torch.zeros(1, 4, SIDE, SIDE, dtype=torch.uint8)
    black[..., 40:52, 30:50] = 255
    rgb, alpha = applied(dataclasses.replace(change, light=UNCHANGED.light), black)
    torch.testing.assert_close(rgb[:, :1], alpha)
    rows, columns = np.nonzero(alpha[0, 0].numpy() > 0.5)
    middle = torch.tensor([[columns.mean() + 0.5, rows.mean() + 0.5]], dtype=torch.float32)
    point = change.move_points(torch.tensor([[40.0, 46.0]]), SIDE, SIDE)
    torch.testing.assert_close(point, middle, rtol=0, atol=0.3)
    box = change.move_box(torch.tensor([30.0, 40, 50, 52]), SIDE, SIDE)
    torch.testing.assert_close((box[None, :2] + box[None, 2:]) / 2, middle, rtol=0, atol=0.3)
    torch.testing.assert_close(box[2:] - box[:2], torch.tensor([20.0, 12.0]) * change.zoom)


def test_a_change_depends_on_its_generator_alone() -> None:
    first = Change.draw(chance(3), AugmentSettings())
    Change.draw(chance(4), AugmentSettings())
    assert Change.draw(chance(3), AugmentSettings()) == first
    assert Change.draw(chance(5), AugmentSettings()) != first


def test_changes_keep_to_their_limits() -> None:
    limits = AugmentSettings(flip=0, turn=5, zoom=0.2, shift=0.1, light=0.3, colour=0.4, grey=0)
    changes = [Change.draw(chance(seed), limits) for seed in range(200)]
    assert max(abs(change.angle) for change in changes) <= 5
    assert max(change.zoom for change in changes) <= 1.2
    assert min(change.zoom for change in changes) >= 1 / 1.2
    assert max(max(map(abs, change.shift)) for change in changes) <= 0.1
    assert not any(change.mirror for change in changes)
    assert all(abs(change.light[0] - 1) <= 0.3 and abs(change.light[2] - 1) <= 0.4 for change in changes)
    assert Change.draw(chance(0), AugmentSettings(**dict.fromkeys(_NAMES, 0.0))) == UNCHANGED


_NAMES = [item.name for item in dataclasses.fields(AugmentSettings)]


def test_light_changes_the_picture_and_not_the_mask() -> None:
    grey = dataclasses.replace(UNCHANGED, light=(0.5, 1.0, 0.0))
    rgb, alpha = applied(grey, picture())
    torch.testing.assert_close(alpha, picture()[:, 3:] / 255, rtol=0, atol=1e-4)
    # Both OpenCV and kornia round the weights of Rec. 601 in their own way.
    expected = cv2.cvtColor(portrait(1, SIDE)[0], cv2.COLOR_RGB2GRAY) / 510
    for channel in rgb[0]:
        np.testing.assert_allclose(channel.numpy(), expected, atol=0.01)


@pytest.mark.parametrize("change", [{"flip": 1.5}, {"turn": 200.0}, {"zoom": -0.1}, {"grey": 2.0}])
def test_settings_out_of_range_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=next(iter(change))):
        AugmentSettings(**change)
