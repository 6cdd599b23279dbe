"""What every compositor asks of its arguments, so that a wrong one is named before any work is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from arena.errors import OptionError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_KERNEL = 255
"""The largest Gaussian kernel that is offered, in pixels."""


def checked_rgb(rgb: NDArray[Any], name: str = "rgb") -> NDArray[np.uint8]:
    """The picture as a C-contiguous array.

    Args:
        rgb: Picture, H x W x 3, uint8, any memory layout.
        name: What the caller calls this argument.

    Returns:
        The same picture, H x W x 3, uint8, C-contiguous; a copy only where the layout asks for one.

    Raises:
        OptionError: It is not a uint8 picture with three channels and at least one pixel.
    """
    if not isinstance(rgb, np.ndarray) or rgb.dtype != np.uint8:
        raise OptionError(f"{name} must be a uint8 array, but is {_described(rgb)}.")
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.size == 0:
        raise OptionError(f"{name} must have the shape H x W x 3, but has {rgb.shape}.")
    return np.ascontiguousarray(rgb)


def checked_alpha(alpha: NDArray[Any], height: int | None = None, width: int | None = None) -> NDArray[np.float32]:
    """The matte as a C-contiguous array.

    Args:
        alpha: Matte, H x W, float32 in [0, 1], any memory layout.
        height: Rows that the matte must have; None takes any.
        width: Columns that the matte must have; None takes any.

    Returns:
        The same matte, H x W, float32, C-contiguous; a copy only where the layout asks for one.

    Raises:
        OptionError: It is not a float32 matte, has another size, or a value that is outside [0, 1] or not a number.
    """
    if not isinstance(alpha, np.ndarray) or alpha.dtype != np.float32:
        raise OptionError(f"alpha must be a float32 array, but is {_described(alpha)}.")
    if alpha.ndim != 2 or alpha.size == 0:
        raise OptionError(f"alpha must have the shape H x W, but has {alpha.shape}.")
    if height is not None and width is not None and alpha.shape != (height, width):
        raise OptionError(f"alpha is {alpha.shape} but the picture is {(height, width)}; the two must agree.")
    lowest, highest = float(alpha.min()), float(alpha.max())
    # Written so that a NaN, which min and max hand on, fails the test.
    if not (lowest >= 0.0 and highest <= 1.0):
        raise OptionError(f"alpha must lie in [0, 1], but reaches from {lowest:g} to {highest:g}.")
    return np.ascontiguousarray(alpha)


def checked_pair(rgb: NDArray[Any], alpha: NDArray[Any]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Picture and matte of one size, both C-contiguous.

    Args:
        rgb: Picture, H x W x 3, uint8.
        alpha: Matte, H x W, float32 in [0, 1].

    Returns:
        Both, in the same order.

    Raises:
        OptionError: One of them is not what it must be, or their sizes differ.
    """
    picture = checked_rgb(rgb)
    return picture, checked_alpha(alpha, *picture.shape[:2])


def checked_kernel(kernel: object, largest: int = MAX_KERNEL, name: str = "kernel") -> int:
    """The size of a Gaussian kernel.

    Args:
        kernel: Odd size in pixels, 1 to ``largest``.
        largest: The largest size allowed.
        name: What the caller calls this argument.

    Returns:
        The size as a plain integer.

    Raises:
        OptionError: It is not an odd integer in that range.
    """
    if not _is_whole(kernel) or kernel % 2 == 0 or not 1 <= kernel <= largest:
        raise OptionError(
            f"{name} must be an odd whole number from 1 to {largest}, but is {kernel!r}.", "1 means no blur."
        )
    return int(kernel)


def checked_passes(passes: object) -> int:
    """How often the kernel is applied.

    Args:
        passes: 1 or more.

    Returns:
        The number as a plain integer.

    Raises:
        OptionError: It is not a whole number of at least 1.
    """
    if not _is_whole(passes) or passes < 1:
        raise OptionError(f"passes must be a whole number of at least 1, but is {passes!r}.")
    return int(passes)


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _described(value: object) -> str:
    return f"an array of {value.dtype}" if isinstance(value, np.ndarray) else f"of type {type(value).__name__}"
