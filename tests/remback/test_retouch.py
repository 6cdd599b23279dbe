"""Unsharp mask and contrast on a person who has been cut out."""

from __future__ import annotations

import cv2
import numpy as np

from arena.remback.retouch import retouch
from tests.models.random_weights import picture

RGB = picture(40, 60)
EVERYWHERE = np.ones((40, 60), np.float32)
LEFT = np.zeros((40, 60), np.float32)
LEFT[:, :30] = 1


def test_nothing_to_do_leaves_the_photo_itself() -> None:
    assert retouch(RGB, LEFT) is RGB


def test_contrast_multiplies_and_ends_at_white() -> None:
    brighter = retouch(RGB, EVERYWHERE, contrast=1.5)
    np.testing.assert_array_equal(brighter, np.rint(np.minimum(RGB * 1.5, 255)).astype(np.uint8))
    assert retouch(RGB, EVERYWHERE, contrast=0.5).max() <= 128


def test_the_unsharp_mask_adds_the_difference_to_the_blur() -> None:
    levels = RGB.astype(np.float32)
    expected = levels + 2 * (levels - cv2.GaussianBlur(levels, (0, 0), 1.5))
    sharper = retouch(RGB, EVERYWHERE, sharp=2, sigma=1.5)
    np.testing.assert_allclose(sharper, np.clip(np.rint(expected), 0, 255), atol=1)
    assert np.abs(sharper.astype(int) - RGB).max() > 3


def test_a_plain_person_stays_plain_whatever_is_behind() -> None:
    rgb = np.full((40, 60, 3), 100, np.uint8)
    for behind in (0, 255):
        rgb[:, 30:] = behind
        np.testing.assert_array_equal(retouch(rgb, LEFT, sharp=3, sigma=2)[:, :30], 100)


def test_nobody_at_all_is_no_failure() -> None:
    np.testing.assert_array_equal(retouch(RGB, np.zeros_like(LEFT), sharp=1), RGB)
