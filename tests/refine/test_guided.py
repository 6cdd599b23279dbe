"""Edge-aware upsampling."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arena.errors import OptionError
from arena.refine.guided import guided_upsample

if TYPE_CHECKING:
    from numpy.typing import NDArray


def disc(side: int, radius: float) -> NDArray[np.float32]:
    """Coverage of a disc, with a shaky outline so that a blocky enlargement cannot follow it."""
    y, x = np.mgrid[:side, :side] - side / 2 + 0.5
    wobble = radius * (1 + 0.04 * np.sin(40 * np.arctan2(y, x)))
    return np.asarray(np.clip(wobble - np.hypot(x, y) + 0.5, 0, 1), dtype=np.float32)


def test_the_edge_follows_the_photo_better_than_plain_enlargement() -> None:
    truth = disc(800, 250)
    noise = np.random.default_rng(0).normal(0, 4, (800, 800, 3))
    rgb = np.clip(truth[..., None] * (200, 60, 40) + (1 - truth[..., None]) * (40, 90, 160) + noise, 0, 255)
    small = (cv2.resize(truth, (100, 100), interpolation=cv2.INTER_AREA) > 0.5).astype(np.float32)
    plain = cv2.resize(small, (800, 800), interpolation=cv2.INTER_LINEAR)
    fine = guided_upsample(small, rgb.astype(np.uint8), radius=3)
    assert np.abs(fine - truth).mean() < 0.4 * np.abs(plain - truth).mean()


def test_far_from_an_edge_nothing_changes() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    small = np.zeros((75, 100), np.float32)
    small[:, :50] = 1
    fine = guided_upsample(small, rgb, radius=2)
    assert (fine[:, :140] == 1).all()
    assert (fine[:, 260:] == 0).all()


def test_the_edge_is_soft_where_the_photo_blends() -> None:
    ramp = np.clip((np.arange(400) - 180) / 40, 0, 1)
    rgb = np.repeat(np.repeat((255 * ramp).astype(np.uint8)[None, :, None], 200, axis=0), 3, axis=2)
    small = np.zeros((50, 100), np.float32)
    small[:, 50:] = 1
    fine = guided_upsample(small, rgb, radius=4)
    middle = fine[100, 185:215]
    assert ((middle > 0.05) & (middle < 0.95)).sum() > 15
    assert (np.diff(middle) >= -1e-3).all()


@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 12), st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_any_size_stays_in_range_and_keeps_its_inputs(height: int, width: int, radius: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    rgb = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
    small = (random.random((max(1, height // 3), max(1, width // 2))) > 0.5).astype(np.float32)
    before = rgb.copy(), small.copy()
    fine = guided_upsample(small, rgb, radius=radius)
    assert fine.shape == (height, width)
    assert fine.dtype == np.float32
    assert fine.min() >= 0
    assert fine.max() <= 1
    assert np.array_equal(rgb, before[0])
    assert np.array_equal(small, before[1])


@pytest.mark.parametrize("size", [(150, 700), (700, 150), (333, 334)])
def test_rows_and_columns_are_interpolated_alike(size: tuple[int, int]) -> None:
    """Each by code of its own, in strips and in runs of columns that are near an edge."""
    height, width = size
    rng = np.random.default_rng(3)
    rgb = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    alpha = np.zeros((height // 3, width // 3), np.float32)
    # Two that lie apart, and one at the border.
    for row, column in ((0.2, 0.1), (0.7, 0.85), (0.99, 0.4)):
        y, x = int(row * alpha.shape[0]), int(column * alpha.shape[1])
        alpha[max(0, y - 6) : y + 6, max(0, x - 6) : x + 6] = 1
    small = rng.integers(0, 256, (*alpha.shape, 3), dtype=np.uint8)
    lying = guided_upsample(alpha, rgb, radius=2, rgb_small=small)
    turned, small = (np.ascontiguousarray(photo.transpose(1, 0, 2)) for photo in (rgb, small))
    standing = guided_upsample(np.ascontiguousarray(alpha.T), turned, radius=2, rgb_small=small)
    # OpenCV's ellipse is not the same lying and standing, so what counts as near an edge differs by a pixel.
    assert np.abs(lying - standing.T).max() < 5e-3
    plain = np.asarray(cv2.resize(alpha, (width, height)))
    assert np.abs(lying - plain).max() > 0.1


def test_a_small_photo_at_hand_is_used_and_has_to_fit() -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    alpha = np.zeros((30, 40), np.float32)
    alpha[10:20, 10:30] = 1
    small = np.asarray(cv2.resize(rgb, (40, 30), interpolation=cv2.INTER_AREA), np.uint8)
    assert np.array_equal(guided_upsample(alpha, rgb, rgb_small=small), guided_upsample(alpha, rgb))
    with pytest.raises(OptionError, match="size"):
        guided_upsample(alpha, rgb, rgb_small=rgb)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_flat_matte_stays_flat(value: float) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    assert (guided_upsample(np.full((30, 40), value, np.float32), rgb) == value).all()


def test_bad_arguments_are_named() -> None:
    rgb, alpha = np.zeros((8, 8, 3), np.uint8), np.zeros((4, 4), np.float32)
    with pytest.raises(OptionError, match="rgb_full"):
        guided_upsample(alpha, rgb[..., 0])
    with pytest.raises(OptionError, match="float32"):
        guided_upsample(alpha.astype(np.float64), rgb)
    with pytest.raises(OptionError, match="larger than its photo"):
        guided_upsample(np.zeros((9, 8), np.float32), rgb)
    with pytest.raises(OptionError, match="radius"):
        guided_upsample(alpha, rgb, radius=0)
