"""What every refinement asks of its arguments, so that a wrong one is named before any work is done."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from arena.errors import OptionError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def checked_matte(alpha: NDArray[Any]) -> NDArray[np.float32]:
    """The matte as a C-contiguous array.

    Args:
        alpha: Matte, H x W, float32 in [0, 1], any memory layout.

    Returns:
        The same matte, C-contiguous; a copy only where the layout asks for one.

    Raises:
        OptionError: It is not a float32 matte, or has a value that is outside [0, 1] or not a number.
    """
    if not isinstance(alpha, np.ndarray) or alpha.dtype != np.float32 or alpha.ndim != 2 or not alpha.size:
        raise OptionError(f"alpha must be a float32 array of the shape H x W, but is {described(alpha)}.")
    lowest, highest = float(alpha.min()), float(alpha.max())
    # Written so that a NaN, which min and max hand on, fails the test.
    if not (lowest >= 0.0 and highest <= 1.0):
        raise OptionError(f"alpha must lie in [0, 1], but reaches from {lowest:g} to {highest:g}.")
    return np.ascontiguousarray(alpha)


def checked_photo(rgb: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """The photo that a matte belongs to, as a C-contiguous array.

    Args:
        rgb: Photo, H x W x 3, uint8, any memory layout.
        shape: H and W of the matte.

    Returns:
        The same photo, C-contiguous; a copy only where the layout asks for one.

    Raises:
        OptionError: It is no such photo, or of another size than the matte.
    """
    if not isinstance(rgb, np.ndarray) or rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
        raise OptionError(f"rgb must be a uint8 array of the shape H x W x 3, but is {described(rgb)}.")
    if rgb.shape[:2] != tuple(shape):
        raise OptionError(f"The matte is {tuple(shape)} but the picture is {rgb.shape[:2]}; the two must agree.")
    return np.ascontiguousarray(rgb)


def checked_kernel(name: str, kernel: object) -> int:
    """The size of a kernel.

    Args:
        name: Of the argument, for the message.
        kernel: Odd number of pixels, at least 1.

    Returns:
        The size as a plain integer.

    Raises:
        OptionError: It is not an odd integer of at least 1.
    """
    if not is_whole(kernel) or kernel < 1 or kernel % 2 == 0:
        raise OptionError(f"{name} must be an odd whole number of at least 1, but is {kernel!r}.", "1 changes nothing.")
    return int(kernel)


def checked_whole(name: str, value: object, lowest: int) -> int:
    """A count.

    Args:
        name: Of the argument, for the message.
        value: Whole number, at least ``lowest``.
        lowest: The least value allowed.

    Returns:
        The value as a plain integer.

    Raises:
        OptionError: It is not a whole number, or too small.
    """
    if not is_whole(value) or value < lowest:
        raise OptionError(f"{name} must be a whole number of at least {lowest}, but is {value!r}.")
    return int(value)


def checked_number(
    name: str, value: object, lowest: float = -math.inf, highest: float = math.inf, *, above: float = -math.inf
) -> float:
    """A finite number in a range.

    Args:
        name: Of the argument, for the message.
        value: The number.
        lowest: The least value allowed.
        highest: The largest value allowed.
        above: The value must be larger than this.

    Returns:
        The value as a plain float.

    Raises:
        OptionError: It is no number, not finite, or out of range.
    """
    if is_number(value) and math.isfinite(value) and lowest <= value <= highest and value > above:
        return float(value)
    words = [f"above {above:g}"] if above > -math.inf else []
    words += [f"at least {lowest:g}"] if lowest > -math.inf else []
    words += [f"at most {highest:g}"] if highest < math.inf else []
    raise OptionError(f"{name} must be a finite number {' and '.join(words)}".rstrip() + f", but is {value!r}.")


def is_whole(value: object) -> TypeGuard[int]:
    """Whether a value is an integer, which a truth value is not meant to be."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value is a real number, which a truth value is not meant to be."""
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def described(value: object) -> str:
    """An argument in the words of an error message."""
    return f"{value.dtype} of {value.shape}" if isinstance(value, np.ndarray) else f"of type {type(value).__name__}"
