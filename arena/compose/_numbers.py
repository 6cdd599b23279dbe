"""Whole numbers from others, for placing pictures."""

from __future__ import annotations

import math


def rounded(value: float) -> int:
    """The nearest whole number, halves upwards; Python's ``round`` goes to the even one, and pictures would jitter.

    Args:
        value: Any finite number.

    Returns:
        The whole number.
    """
    return math.floor(value + 0.5)
