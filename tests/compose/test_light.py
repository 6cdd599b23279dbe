"""Compositing in linear light."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arena.compose import composite, composite_linear
from arena.errors import OptionError
from tests.compose.scenes import RELAID, SIDES, matte, noise, quick

BLACK = np.zeros((1, 1, 3), np.uint8)
WHITE = np.full((1, 1, 3), 255, np.uint8)


def test_half_of_white_light_over_black_is_188_and_not_128() -> None:
    half = np.full((1, 1), 0.5, np.float32)
    # IEC 61966-2-1: 255 * (1.055 * 0.5 ** (1 / 2.4) - 0.055) = 187.5.
    assert composite_linear(WHITE, BLACK, half)[0, 0, 0] in {187, 188}
    assert composite(WHITE, BLACK, half)[0, 0, 0] in {127, 128}


@quick
@given(SIDES, SIDES, st.integers(0, 2**31))
def test_both_ends_are_exact_and_the_mean_is_of_light(height: int, width: int, seed: int) -> None:
    front, back, alpha = noise(height, width, seed), noise(height, width, seed + 1), matte(height, width, seed)
    out = composite_linear(front, back, alpha)
    np.testing.assert_array_equal(out[alpha == 1], front[alpha == 1])
    np.testing.assert_array_equal(out[alpha == 0], back[alpha == 0])
    assert (out >= np.minimum(front, back)).all()
    assert (out <= np.maximum(front, back)).all()
    assert (out.astype(int) - composite(front, back, alpha)).min() >= -3


def test_every_level_survives_the_way_to_light_and_back() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    out = composite_linear(levels, levels, np.full((16, 16), 0.3, np.float32))
    np.testing.assert_array_equal(out, levels)


def test_the_last_step_of_an_eight_bit_matte_leaves_no_grey_contour() -> None:
    almost = np.full((1, 1), 254 / 255, np.float32)
    assert composite_linear(BLACK, WHITE, almost).max() == 0
    assert composite_linear(WHITE, BLACK, 1 - almost).max() == 0


@pytest.mark.parametrize("layout", RELAID)
def test_the_memory_layout_changes_nothing(layout: str) -> None:
    arrays = noise(97, 61, 1), noise(97, 61, 2), matte(97, 61, 3)
    relaid = [RELAID[layout](array) for array in arrays]
    np.testing.assert_array_equal(composite_linear(relaid[0], relaid[1], relaid[2]), composite_linear(*arrays))


def test_a_background_of_another_size_is_named() -> None:
    with pytest.raises(OptionError, match=r"^background"):
        composite_linear(BLACK, WHITE.repeat(2, axis=0), np.zeros((1, 1), np.float32))
