"""Pictures and mattes for the tests of replacement, at the sizes that break things."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

SIDES = st.sampled_from([1, 2, 3, 7, 31, 61, 131, 257])

quick = settings(max_examples=40, deadline=None)

RELAID: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "fortran": np.asfortranarray,
    "reversed": lambda array: np.ascontiguousarray(array[::-1, ::-1])[::-1, ::-1],
    "strided": lambda array: np.repeat(array, 2, axis=1)[:, ::2],
    "transposed": lambda array: np.ascontiguousarray(array.swapaxes(0, 1)).swapaxes(0, 1),
}
"""The same values in another memory layout."""


def noise(height: int, width: int, seed: int, channels: int = 3) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def matte(height: int, width: int, seed: int, offset: float = 0.5) -> NDArray[np.float32]:
    """Many pixels at exactly 0 and 1, the rest between."""
    values = np.random.default_rng(seed).normal(offset, 1, (height, width))
    return np.clip(values, 0, 1).astype(np.float32)


@st.composite
def scenes(draw: st.DrawFn) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.uint8]]:
    """A noisy photo, its matte, and a noisy background of another size."""
    height, width, seed = draw(SIDES), draw(SIDES), draw(st.integers(0, 2**31))
    photo = noise(height, width, seed)
    alpha = matte(height, width, seed + 1, draw(st.floats(-0.5, 1.5)))
    return photo, alpha, noise(draw(SIDES), draw(SIDES), seed + 2, draw(st.sampled_from([3, 4])))


def portrait(height: int = 48, width: int = 36) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Head and shoulders in skin colour and blue, with a soft edge, cut by the lower border; grey behind."""
    rgb: NDArray[Any] = np.full((height, width, 3), 120, np.uint8)
    alpha: NDArray[Any] = np.zeros((height, width), np.float32)
    shoulders = ((width // 2, height), (width // 3, height // 3))
    head = ((width // 2, height // 3), (width // 6, height // 5))
    for (centre, axes), colour in ((shoulders, (40, 60, 150)), (head, (205, 160, 135))):
        cv2.ellipse(rgb, centre, axes, 0, 0, 360, colour, -1)
        cv2.ellipse(alpha, centre, axes, 0, 0, 360, 1.0, -1)
    shade = np.linspace(1.1, 0.7, width, dtype=np.float32)[None, :, None]
    soft: NDArray[Any] = cv2.GaussianBlur(alpha, (5, 5), 0)
    return (rgb * shade).clip(0, 255).astype(np.uint8), soft


def scenery(height: int = 40, width: int = 60) -> NDArray[np.uint8]:
    """Sky, sun and meadow."""
    out: NDArray[Any] = np.zeros((height, width, 3), np.uint8)
    out[: height // 2] = (110, 160, 230)
    out[height // 2 :] = (70, 110, 40)
    cv2.circle(out, (width // 4, height // 4), height // 8, (255, 230, 150), -1)
    return out
