"""The background's light on the subject's edge."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arena.compose import wrap_light
from arena.errors import OptionError
from tests.compose.scenes import RELAID, matte, noise, quick, scenes

SIDE = 240


def half_subject() -> tuple[Any, Any]:
    """Dark on the right half, cut by three borders."""
    alpha = np.zeros((SIDE, SIDE), np.float32)
    alpha[:, SIDE // 2 :] = 1
    return np.full((SIDE, SIDE, 3), 40, np.uint8), alpha


@quick
@given(scenes(), st.floats(0, 1))
def test_light_is_only_ever_added_and_only_to_the_subject(scene: Any, strength: float) -> None:
    rgb, alpha, _ = scene
    background = noise(alpha.shape[0], alpha.shape[1], 9)
    out = wrap_light(rgb, alpha, background, strength)
    assert (out >= rgb).all()
    np.testing.assert_array_equal(out[alpha == 0], rgb[alpha == 0])
    np.testing.assert_array_equal(wrap_light(rgb, alpha, background, 0.0), rgb)
    np.testing.assert_array_equal(wrap_light(rgb, alpha, np.zeros_like(background), strength), rgb)


def test_it_fades_from_the_edge_and_leaves_the_inside_and_the_cut_borders_alone() -> None:
    rgb, alpha = half_subject()
    out = wrap_light(rgb, alpha, np.full_like(rgb, (250, 200, 100)), 1.0).astype(int)
    edge = SIDE // 2
    row = out[SIDE // 2, edge:, 0]
    assert row[0] > 40 + 30
    assert (np.diff(row) <= 0).all()
    np.testing.assert_array_equal(out[:, edge + SIDE // 10 :], 40)
    assert np.abs(out[0] - out[SIDE // 2]).max() <= 1
    added = out[SIDE // 2, edge] - 40
    assert added[0] > added[1] > added[2] > 0


def test_twice_the_strength_is_twice_the_light() -> None:
    rgb, alpha = half_subject()
    white = np.full_like(rgb, 255)
    weak, strong = (wrap_light(rgb, alpha, white, strength)[9, SIDE // 2, 0] - 40.0 for strength in (0.4, 0.8))
    assert strong == pytest.approx(2 * weak, abs=1.5)


@pytest.mark.parametrize("layout", RELAID)
def test_the_memory_layout_changes_nothing(layout: str) -> None:
    arrays = noise(97, 61, 1), matte(97, 61, 3), noise(97, 61, 2)
    relaid = [RELAID[layout](array) for array in arrays]
    np.testing.assert_array_equal(wrap_light(relaid[0], relaid[1], relaid[2]), wrap_light(*arrays))


def test_what_does_not_fit_is_named() -> None:
    rgb, alpha = half_subject()
    with pytest.raises(OptionError, match=r"^background"):
        wrap_light(rgb, alpha, rgb[:5])
    with pytest.raises(OptionError, match=r"^strength"):
        wrap_light(rgb, alpha, rgb, 2)
