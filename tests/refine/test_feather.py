"""The soft edge of binary mattes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.ndimage import correlate1d

from arena.errors import OptionError
from arena.refine import feather


def test_it_is_the_gaussian_of_that_size_and_sigma() -> None:
    alpha = (np.random.default_rng(2).random((40, 50)) > 0.5).astype(np.float32)
    weights = np.exp(-(np.arange(-7, 8) ** 2) / 50.0)
    weights /= weights.sum()
    expected = correlate1d(correlate1d(alpha.astype(float), weights, 0, mode="mirror"), weights, 1, mode="mirror")
    np.testing.assert_allclose(feather(alpha), expected, atol=1e-6)


def test_away_from_the_edge_nothing_changes() -> None:
    alpha = np.zeros((60, 90), np.float32)
    alpha[:, 45:] = 1
    kept = alpha.copy()
    soft = feather(alpha)
    np.testing.assert_array_equal(alpha, kept)
    assert (soft[:, :38] == 0).all()
    assert (soft[:, 52:] == 1).all()
    assert (np.diff(soft[30, 36:54]) >= 0).all()
    assert 0 < soft[30, 44] < 0.5 < soft[30, 45] < 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1)])
def test_tiny_mattes_keep_their_shape_and_range(shape: tuple[int, int]) -> None:
    soft = feather(np.ones(shape, np.float32))
    assert soft.shape == shape
    assert (soft == 1).all()


@pytest.mark.parametrize(
    "arguments", [{"size": 14}, {"size": 0}, {"size": 5.0}, {"sigma": 0.0}, {"sigma": float("nan")}]
)
def test_a_wrong_argument_is_named(arguments: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=f"^{next(iter(arguments))}"):
        feather(np.zeros((4, 4), np.float32), **arguments)
