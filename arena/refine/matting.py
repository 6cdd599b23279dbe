"""Matting from a trimap: alpha where it is unknown, solved from the photo and from where it is known.

The solvers are pymatting's, an optional dependency, imported when one is asked for, or a network that is given. A
solution's cost grows faster than the area, so it is found at a limited size inside the bounding box of what is unknown,
and brought up to the photo's size by the guided filter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np

from arena.checks import checked_alpha, checked_number, checked_photo, checked_whole, described
from arena.errors import OptionError
from arena.refine.guided import guided_upsample
from arena.refine.morphology import disc

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Alpha = NDArray[np.float32]
    Trimap = NDArray[np.uint8]
    Solver = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]
    """Photo in [0, 1] and trimap of 0, 1/2 and 1 to alpha."""

BACKGROUND, UNKNOWN, FOREGROUND = 0, 128, 255
"""The three values of a trimap."""

SURE = 0.05
"""Alpha within this of 0 or 1 counts as known, unless it is close to what is not."""

LARGEST_SIDE = {"closed-form": 1200, "knn": 500, "vitmatte": 1024}
"""Longer side in pixels of what is solved by default: seconds on two cores for an ordinary portrait."""

MARGIN = 16
"""Pixels at the solved size that are taken in around what is unknown: known colours to go by."""

LEAST_SIDE = 5
"""Pixels: closed-form matting looks at windows of 3 x 3, and KNN matting at the 20 nearest of all pixels."""

UPSAMPLE_RADIUS = 2
"""Half width of the guided filter's window at the solved size: the solution is finer than a network's matte."""

INSTALL = (
    "Install it with `pip install 'portrait-blur-arena[matting]'`. "
    "It brings numba, whose releases for a new Python come some months late."
)


def make_trimap(alpha: Alpha, width: float = 5.0) -> Trimap:
    """Say of a matte what is sure: the soft part is unknown, and so is what lies near it.

    Args:
        alpha: float32, H x W, 0 to 1.
        width: Pixels, rounded, by which the unknown band reaches into what is opaque and what is transparent; 0 to 100.

    Returns:
        uint8, H x W: 0 background, 128 unknown, 255 foreground.

    Raises:
        OptionError: ``width`` is out of range, or ``alpha`` is no matte.
    """
    matte = checked_alpha(alpha)
    reach = disc(round(checked_number("width", width, 0, 100)))
    trimap = np.full(matte.shape, UNKNOWN, np.uint8)
    for value, sure in ((FOREGROUND, matte >= np.float32(1 - SURE)), (BACKGROUND, matte <= np.float32(SURE))):
        inner = cv2.morphologyEx(sure.view(np.uint8), cv2.MORPH_ERODE, reach)
        trimap[np.asarray(inner).reshape(matte.shape) > 0] = value
    return trimap


def closed_form(rgb: NDArray[Any], trimap: NDArray[Any], largest_side: int = LARGEST_SIDE["closed-form"]) -> Alpha:
    """Closed-form matting: alpha is locally a linear function of colour.

    A. Levin, D. Lischinski and Y. Weiss, "A Closed-Form Solution to Natural Image Matting", IEEE Transactions on
    Pattern Analysis and Machine Intelligence 30(2), 2008.

    Args:
        rgb: The photo, uint8, H x W x 3.
        trimap: uint8, H x W: 0 background, 255 foreground, anything between unknown; see :func:`make_trimap`.
        largest_side: Longer side in pixels, at least 16, of what is solved; a larger area is reduced to it first.

    Returns:
        float32, H x W, 0 to 1; exactly 0 and 1 where the trimap is.

    Raises:
        OptionError: The trimap knows no foreground or no background, pymatting is not installed, an array has another
            layout, or the two differ in size.
    """
    return _solve(lambda: _pymatting("closed-form"), rgb, trimap, largest_side)


def knn(rgb: NDArray[Any], trimap: NDArray[Any], largest_side: int = LARGEST_SIDE["knn"]) -> Alpha:
    """KNN matting: pixels of like colour have like alpha, wherever they are.

    Q. Chen, D. Li and C.-K. Tang, "KNN Matting", IEEE Transactions on Pattern Analysis and Machine Intelligence 35(9),
    2013.

    Args:
        rgb: The photo, uint8, H x W x 3.
        trimap: uint8, H x W: 0 background, 255 foreground, anything between unknown; see :func:`make_trimap`.
        largest_side: Longer side in pixels, at least 16, of what is solved; a larger area is reduced to it first.

    Returns:
        float32, H x W, 0 to 1; exactly 0 and 1 where the trimap is.

    Raises:
        OptionError: The trimap knows no foreground or no background, pymatting is not installed, an array has another
            layout, or the two differ in size.
    """
    return _solve(lambda: _pymatting("knn"), rgb, trimap, largest_side)


def by_network(
    network: Solver, rgb: NDArray[Any], trimap: NDArray[Any], largest_side: int = LARGEST_SIDE["vitmatte"]
) -> Alpha:
    """Matting by a network that was trained for it.

    Args:
        network: Photo (H x W x 3, 0 to 1) and trimap (H x W: 0, 0.5 and 1) to alpha (H x W), all in double precision.
        rgb: The photo, uint8, H x W x 3.
        trimap: uint8, H x W: 0 background, 255 foreground, anything between unknown; see :func:`make_trimap`.
        largest_side: Longer side in pixels, at least 16, of what it sees; a larger area is reduced to it first.

    Returns:
        float32, H x W, 0 to 1; exactly 0 and 1 where the trimap is.

    Raises:
        OptionError: The trimap knows no foreground or no background, an array has another layout, or the two differ in
            size.
    """
    return _solve(lambda: network, rgb, trimap, largest_side)


def solvable(trimap: Trimap) -> bool:
    """Whether a trimap leaves something to find and knows enough to find it.

    Args:
        trimap: uint8, H x W.

    Returns:
        True if foreground, background and unknown are all there.
    """
    foreground, background = trimap == FOREGROUND, trimap == BACKGROUND
    return bool(foreground.any() and background.any() and not (foreground | background).all())


def _solve(solver_of: Callable[[], Solver], rgb: NDArray[Any], trimap: NDArray[Any], largest_side: int) -> Alpha:
    if not isinstance(trimap, np.ndarray) or trimap.dtype != np.uint8 or trimap.ndim != 2 or not trimap.size:
        raise OptionError(f"trimap must be a uint8 array of the shape H x W, but is {described(trimap)}.")
    photo = checked_photo(rgb, trimap.shape, "trimap")
    largest_side = checked_whole("largest_side", largest_side, 16)
    foreground, background = trimap == FOREGROUND, trimap == BACKGROUND
    unknown = ~(foreground | background)
    out: Alpha = foreground.astype(np.float32)
    if not unknown.any():
        return out
    if not (foreground.any() and background.any()):
        side = "background" if foreground.any() else "foreground"
        raise OptionError(f"The trimap has no sure {side}.", "Make its unknown band narrower.")
    solver = solver_of()
    rows, columns = _area(unknown, largest_side)
    fine = _reduced_solution(
        solver, photo[rows, columns], foreground[rows, columns], background[rows, columns], largest_side
    )
    target = out[rows, columns]
    target[...] = np.where(unknown[rows, columns], fine, target)
    return out


def _pymatting(method: Literal["closed-form", "knn"]) -> Solver:
    # Not at the top: the package is optional, and takes seconds to import.
    try:
        from pymatting import estimate_alpha_cf, estimate_alpha_knn  # noqa: PLC0415
    except ImportError as error:
        name = "Closed-form" if method == "closed-form" else "KNN"
        raise OptionError(f"{name} matting needs the package pymatting, which cannot be imported.", INSTALL) from error
    solver: Solver = estimate_alpha_cf if method == "closed-form" else estimate_alpha_knn
    return solver


def _area(unknown: NDArray[np.bool_], largest_side: int) -> tuple[slice, slice]:
    """The bounding box of what is unknown, with a margin."""
    spans = [np.flatnonzero(unknown.any(axis=axis)) for axis in (1, 0)]
    extent = max(int(span[-1]) - int(span[0]) for span in spans) + 1
    margin = int(np.ceil(MARGIN * max(1.0, extent / largest_side)))
    rows, columns = (
        slice(max(0, int(span[0]) - margin), min(length, int(span[-1]) + 1 + margin))
        for span, length in zip(spans, unknown.shape, strict=True)
    )
    return rows, columns


def _reduced_solution(
    solver: Solver,
    photo: NDArray[np.uint8],
    foreground: NDArray[np.bool_],
    background: NDArray[np.bool_],
    largest_side: int,
) -> Alpha:
    """Alpha of an area at its own size, solved at a size of at most ``largest_side``."""
    height, width = foreground.shape
    reduction = max(1.0, max(height, width) / largest_side)
    size = (max(LEAST_SIDE, round(width / reduction)), max(LEAST_SIDE, round(height / reduction)))
    # Known at the smaller size is only what is known in every pixel of it.
    front, back = (np.asarray(_resized(mask.astype(np.float32), size)) >= 1 for mask in (foreground, background))
    known = np.where(front, 1.0, np.where(back, 0.0, 0.5))
    if (known != 0.5).all() or not front.any() or not back.any():
        # With one side alone given, that side everywhere is the smoothest solution.
        small = np.where(front, 1.0, np.where(back, 0.0, float(front.any())))
    else:
        try:
            small = solver(np.asarray(_resized(photo, size), np.float64) / 255, known)
        except ValueError as error:
            raise OptionError(
                f"The matting found no solution: {error}", "Try another width of the trimap, or leave the matting out."
            ) from error
    alpha = np.clip(small, 0, 1).astype(np.float32)
    if size == (width, height):
        return alpha
    if size[0] > width or size[1] > height:
        return np.asarray(_resized(alpha, (width, height)), np.float32).reshape(height, width)
    return guided_upsample(alpha, photo, radius=UPSAMPLE_RADIUS)


def _resized(values: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    resized: NDArray[Any] = np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA))
    return resized
