"""Numbers among a compositor's arguments, checked before any work is done."""

from __future__ import annotations

import math
from typing import Any

from arena.errors import OptionError


def checked_number(value: Any, lowest: float, highest: float, name: str) -> float:
    """A number within bounds.

    Args:
        value: What was passed.
        lowest: Smallest value allowed.
        highest: Largest value allowed.
        name: What the caller calls this argument.

    Returns:
        The value as a plain float.

    Raises:
        OptionError: It is no number, not finite, or outside the bounds.
    """
    try:
        # A bool or a text that reads like a number is a mistake, not a number.
        number = math.nan if isinstance(value, bool | str | bytes) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not lowest <= number <= highest:
        raise OptionError(f"{name} must be a number from {lowest:g} to {highest:g}, but is {value!r}.")
    return number


def checked_strength(value: Any, name: str) -> float:
    """How much of an effect is wanted.

    Args:
        value: 0, none of it, to 1, all of it.
        name: What the caller calls this argument.

    Returns:
        The value as a plain float.

    Raises:
        OptionError: It is no number in [0, 1].
    """
    return checked_number(value, 0.0, 1.0, name)


def rounded(value: float) -> int:
    """The nearest whole number, halves upwards; Python's ``round`` goes to the even one, and pictures would jitter.

    Args:
        value: Any finite number.

    Returns:
        The whole number.
    """
    return math.floor(value + 0.5)
