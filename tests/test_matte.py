"""The value type between models and compositors."""

import numpy as np
import pytest

from arena.errors import OptionError
from arena.matte import Matte, MatteKind


def matte(alpha: object, **fields: object) -> Matte:
    return Matte(alpha=alpha, kind=MatteKind.ALPHA, model="disc", **fields)  # type: ignore[arg-type]


def test_somebody_is_found_only_above_the_presence_threshold() -> None:
    faint = np.full((3, 4), 0.1, np.float32)
    assert not matte(faint).found
    assert matte(faint, presence_threshold=0.05).found
    faint[1, 2] = 0.11
    assert matte(faint).found


def test_size_is_width_then_height() -> None:
    assert matte(np.zeros((3, 4), np.float32)).size == (4, 3)


@pytest.mark.parametrize("alpha", [np.zeros((3, 4)), np.zeros((3, 4, 1), np.float32), np.zeros((3, 4), np.uint8)])
def test_anything_but_a_float32_plane_is_refused_with_what_it_is(alpha: np.ndarray) -> None:
    with pytest.raises(OptionError, match=str(alpha.dtype)):
        matte(alpha)
