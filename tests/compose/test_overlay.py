"""The matte shown on the photo."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from arena.compose import mask_overlay
from arena.errors import OptionError

GREY = (100, 100, 100)
TINT = (50, 177, 50)
GREEN = (0, 255, 0)


def test_the_subject_is_tinted_outlined_and_the_rest_untouched() -> None:
    rgb = np.full((100, 120, 3), GREY, np.uint8)
    alpha = np.zeros((100, 120), np.float32)
    alpha[30:70, 30:90] = 1
    out = mask_overlay(rgb, alpha)
    assert tuple(out[50, 60]) == TINT
    assert tuple(out[50, 30]) == GREEN
    assert tuple(out[10, 10]) == GREY
    assert (rgb == 100).all()


def test_a_pixel_must_be_more_than_half_the_subjects() -> None:
    rgb = np.full((20, 20, 3), GREY, np.uint8)
    np.testing.assert_array_equal(mask_overlay(rgb, np.full((20, 20), 0.5, np.float32)), rgb)
    assert (mask_overlay(rgb, np.full((20, 20), 0.51, np.float32)) != rgb).any()


def test_pinholes_close_and_larger_holes_have_no_outline() -> None:
    rgb = np.full((200, 200, 3), GREY, np.uint8)
    alpha = np.zeros((200, 200), np.float32)
    alpha[20:180, 20:180] = 1
    alpha[50, 50] = 0
    alpha[90:120, 90:120] = 0
    out = mask_overlay(rgb, alpha)
    assert tuple(out[50, 50]) == TINT
    assert tuple(out[105, 105]) == GREY
    assert tuple(out[105, 87]) == TINT


def test_the_outline_grows_with_the_picture() -> None:
    def share_of_outline(side: int) -> float:
        rgb = np.full((side, side, 3), GREY, np.uint8)
        alpha = np.zeros((side, side), np.float32)
        cv2.circle(alpha, (side // 2, side // 2), side // 3, 1.0, -1)
        return float((mask_overlay(rgb, alpha) == GREEN).all(axis=2).mean())

    assert share_of_outline(4000) == pytest.approx(share_of_outline(1000), rel=0.3)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (4, 1), (2, 3)])
def test_tiny_pictures_work(shape: tuple[int, int]) -> None:
    rgb = np.full((*shape, 3), GREY, np.uint8)
    assert mask_overlay(rgb, np.ones(shape, np.float32)).shape == rgb.shape


def test_a_matte_of_another_size_is_named() -> None:
    with pytest.raises(OptionError, match=r"^alpha"):
        mask_overlay(np.zeros((4, 4, 3), np.uint8), np.zeros((5, 4), np.float32))
