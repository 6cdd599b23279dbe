"""The ground that a subject stands on: sharp at its feet, and out of focus the farther it is from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from arena.checks import checked_alpha

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE = 512
"""Longest side in pixels at which feet are looked for."""

SOMEBODY = 0.1
"""Parts smaller than this share of the largest have no feet of their own."""

CUT_OFF = 0.01
"""Whose lowest part is nearer to the picture's lower border than this share of its height stands outside of it."""

DEPTH_OF_FIELD = 0.01
"""How far from the feet the ground is sharp, as a share of the subject's height."""

REACH = 0.5
"""Over how much of the subject's height above its feet the blur grows to all of it.

Seen from the height of the eyes, the ground at half of that height is twice as far away as the subject. On flat ground
the circle of confusion of a lens grows evenly with the row: it goes with 1 - s / z, s and z being the distances of
subject and ground, and the distance of a row of the picture with one over how far it lies below the horizon (Potmesil
and Chakravarty, "A Lens and Aperture Camera Model for Synthetic Image Generation", SIGGRAPH 1981)."""


def ground_blur(alpha: NDArray[Any]) -> NDArray[np.float32] | None:
    """How much of the blur each row of a background gets if the subject stands on flat ground.

    Of several people, the ground between the nearest and the farthest feet is sharp.

    Args:
        alpha: Matte, H x W, float32 in [0, 1].

    Returns:
        H x 1, float32, 0 at the feet, 1 from half of the subject's height above them on and as far below them; None
        if there is nobody, or the feet are not in the picture.

    Raises:
        OptionError: It is of another type.
    """
    matte = checked_alpha(alpha)
    height, width = matte.shape
    scale = min(1.0, SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(matte, size, interpolation=cv2.INTER_AREA) if scale < 1 else matte
    _, _, stats, _ = cv2.connectedComponentsWithStats((small > 0.5).astype(np.uint8), connectivity=8)
    parts = stats[1:]
    parts = parts[parts[:, cv2.CC_STAT_AREA] >= SOMEBODY * parts[:, cv2.CC_STAT_AREA].max(initial=0)]
    feet = (parts[:, cv2.CC_STAT_TOP] + parts[:, cv2.CC_STAT_HEIGHT]) / size[1]
    tall = parts[:, cv2.CC_STAT_HEIGHT] / size[1]
    if not feet.size or feet.max() > 1 - CUT_OFF:
        return None
    rows = (np.arange(height) + 0.5) / height
    away = np.maximum(rows - feet.max(), feet.min() - rows)
    amount = np.clip((away / tall.max() - DEPTH_OF_FIELD) / REACH, 0, 1)
    return np.asarray(amount[:, None], np.float32)
