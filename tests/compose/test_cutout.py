"""The subject alone."""

from __future__ import annotations

import numpy as np
import pytest

from arena.compose import cutout
from arena.errors import OptionError


@pytest.mark.parametrize("shape", [(1, 1), (4, 1), (37, 53)])
def test_colours_are_the_photos_and_alpha_is_the_matte(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    rgb = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    alpha = rng.random(shape, dtype=np.float32)
    alpha[0, 0] = 1
    out = cutout(rgb[::-1], alpha)
    assert out.dtype == np.uint8
    np.testing.assert_array_equal(out[..., :3], rgb[::-1])
    assert np.abs(out[..., 3] - alpha * 255).max() <= 0.5
    assert out[0, 0, 3] == 255


def test_a_matte_of_another_type_is_named() -> None:
    with pytest.raises(OptionError, match=r"^alpha"):
        cutout(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), bool))
