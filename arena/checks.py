"""What functions ask of their arguments, so that a wrong one is named before any work is done."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from arena.errors import OptionError

if TYPE_CHECKING:
    from numpy.typing import NDArray


LARGEST_KERNEL = 255
"""The largest Gaussian kernel that compositors offer, in pixels."""

SKEW = 0.02
"""By how much the proportions of two pictures of the same view may differ: networks round the sides of their maps."""


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
    if not isinstance(rgb, np.ndarray) or rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or not rgb.size:
        raise OptionError(f"{name} must be a uint8 array of the shape H x W x 3, but is {described(rgb)}.")
    return np.ascontiguousarray(rgb)


def checked_alpha(alpha: NDArray[Any]) -> NDArray[np.float32]:
    """The matte as a C-contiguous array.

    Args:
        alpha: Matte, H x W, float32 in [0, 1], any memory layout.

    Returns:
        The same matte, H x W, float32, C-contiguous; a copy only where the layout asks for one.

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


def checked_depth(depth: NDArray[Any]) -> NDArray[np.float32]:
    """A depth map as a C-contiguous array.

    Args:
        depth: Relative inverse depth, h x w, float32, any memory layout.

    Returns:
        The same map, C-contiguous; a copy only where the layout asks for one.

    Raises:
        OptionError: It is not a float32 map with at least one pixel, or has values that are no finite numbers.
    """
    if not isinstance(depth, np.ndarray) or depth.dtype != np.float32 or depth.ndim != 2 or not depth.size:
        raise OptionError(f"depth must be a float32 array of the shape H x W, but is {described(depth)}.")
    if not np.isfinite(depth).all():
        raise OptionError("depth has values that are no finite numbers.")
    return np.ascontiguousarray(depth)


def shows_the_same(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two pictures may be of the same view: their proportions are alike.

    Args:
        one: Width and height in pixels.
        other: Those of the other one, which may be much larger.

    Returns:
        Whether they are, but for sides that were rounded.
    """
    (width, height), (wide, high) = one, other
    # One of few pixels has rounded sides.
    return abs(width * high - height * wide) <= SKEW * width * high + max(other)


def checked_photo(rgb: NDArray[Any], shape: tuple[int, ...], of: str = "alpha") -> NDArray[np.uint8]:
    """The photo that a matte belongs to, as a C-contiguous array.

    Args:
        rgb: Photo, H x W x 3, uint8, any memory layout.
        shape: H and W of the matte.
        of: What the caller calls the matte.

    Returns:
        The same photo, C-contiguous; a copy only where the layout asks for one.

    Raises:
        OptionError: It is no such photo, or of another size than the matte.
    """
    photo = checked_rgb(rgb)
    if photo.shape[:2] != shape:
        raise OptionError(f"{of} is {shape} but the picture is {photo.shape[:2]}; the two must agree.")
    return photo


def checked_pair(rgb: NDArray[Any], alpha: NDArray[Any]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Photo and matte of one size, both C-contiguous.

    Args:
        rgb: Photo, H x W x 3, uint8.
        alpha: Matte, H x W, float32 in [0, 1].

    Returns:
        Both, in the same order.

    Raises:
        OptionError: One of them is not what it must be, or their sizes differ.
    """
    matte = checked_alpha(alpha)
    return checked_photo(rgb, matte.shape), matte


def checked_kernel(name: str, kernel: object, largest: int | None = None) -> int:
    """The size of a kernel.

    Args:
        name: What the caller calls this argument.
        kernel: Odd number of pixels, 1 to ``largest``.
        largest: The largest size allowed; None allows any.

    Returns:
        The size as a plain integer.

    Raises:
        OptionError: It is not an odd whole number in that range.
    """
    if is_whole(kernel) and kernel >= 1 and (largest is None or kernel <= largest):
        if kernel % 2:
            return int(kernel)
        remedy = f"Use {kernel - 1} or {kernel + 1}."
    else:
        remedy = "1 changes nothing."
    span = "of at least 1" if largest is None else f"from 1 to {largest}"
    raise OptionError(f"{name} must be an odd whole number {span}, but is {kernel!r}.", remedy)


def checked_whole(name: str, value: object, lowest: int) -> int:
    """A count.

    Args:
        name: What the caller calls this argument.
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
        name: What the caller calls this argument.
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
    if lowest > -math.inf and highest < math.inf:
        span = f"number from {lowest:g} to {highest:g}"
    else:
        words = [f"above {above:g}"] if above > -math.inf else []
        words += [f"at least {lowest:g}"] if lowest > -math.inf else []
        words += [f"at most {highest:g}"] if highest < math.inf else []
        span = f"finite number {' and '.join(words)}".rstrip()
    raise OptionError(f"{name} must be a {span}, but is {value!r}.")


def checked_share(name: str, value: object) -> float:
    """How much of something is wanted.

    Args:
        name: What the caller calls this argument.
        value: 0, none of it, to 1, all of it.

    Returns:
        The value as a plain float.

    Raises:
        OptionError: It is no number in [0, 1].
    """
    return checked_number(name, value, 0.0, 1.0)


def is_whole(value: object) -> TypeGuard[int]:
    """Whether a value is an integer, which a truth value is not meant to be."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value is a real number, which a truth value is not meant to be."""
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def described(value: object) -> str:
    """An argument in the words of an error message."""
    return f"{value.dtype} of {value.shape}" if isinstance(value, np.ndarray) else f"of type {type(value).__name__}"
