"""Laying one picture over another."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arena.compose import composite
from arena.errors import OptionError

SIDES = st.sampled_from([1, 2, 5, 127, 129, 257, 300])


@settings(max_examples=40, deadline=None)
@given(SIDES, SIDES, st.integers(0, 2**32 - 1))
def test_the_blend_is_the_weighted_mean_and_exact_at_both_ends(height: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    front, back = rng.integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    alpha = np.clip(rng.uniform(-0.5, 1.5, (height, width)), 0, 1).astype(np.float32)
    out = composite(front, back, alpha)
    np.testing.assert_array_equal(out[alpha == 1], front[alpha == 1])
    np.testing.assert_array_equal(out[alpha == 0], back[alpha == 0])
    ideal = back + alpha[..., None] * (front.astype(np.float32) - back)
    assert np.abs(out - ideal).max() <= 0.51


def test_the_background_is_named_when_its_size_differs() -> None:
    front = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(OptionError, match=r"^background"):
        composite(front, front[:3], np.zeros((4, 4), np.float32))
