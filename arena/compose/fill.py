"""The background behind the subject: what a camera would have seen there, guessed from what it saw around.

Only pixels that the matte calls background are ever read, so that no colour of the subject bleeds into the plate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from arena.compose._strips import for_each_strip

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

VISIBLE_UP_TO = 0.15
"""Alpha up to which a pixel counts as visible background.

The background nearest to the subject matters most for the fill, and each such pixel brings in its share of the subject.
Over the pictures of benchmarks/compositor.py 0.1 has 2 % more mean error; 0.25 has 3 % less, but its worst case is
worse, and where hair is thin over a wide stretch it lets in a quarter of the hair's colour."""

MARGIN_PER_SIDE = 1 / 1000
"""Width of the border around the subject that is not read either, as a share of the picture's shorter side.

Networks make their mattes at about this many pixels, so an edge is seldom better than one of theirs, and a row of the
subject's own pixels, read as background, is a glow around it. Twice this margin has 4 % more error over the pictures of
the benchmark, whose mattes are exact."""

KNOWN_COVERAGE = 0.25
"""Share of a cell that must be visible for its mean colour to be trusted fully."""

NOTHING_VISIBLE = 128.0
"""Level of the plate where the subject covers the whole picture."""

RELAXATION_SWEEPS = 2
"""Jacobi steps a level: two take some 60 % of what a converged solution would take off the error."""

RELAXATION_CELLS = 400_000
"""Levels with more cells than this are not relaxed: what it would change there is finer than the blur keeps."""

NEIGHBOURS = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], np.float32) / 4
"""Mean of the four neighbours: a Jacobi step of Laplace's equation."""

TELEA_PRESENCE = 0.1
TELEA_DILATION = 15
TELEA_RADIUS = 5
"""The textbook recipe: presence mask, its dilation and the inpainting radius in pixels."""


@dataclass(frozen=True)
class Visibility:
    """Which pixels of a picture the fill may read."""

    limit: np.float32
    """Pixels with a larger alpha are hidden."""

    margin: int
    """So are those at most this many rows and columns away from a hidden one."""

    @classmethod
    def choices(cls, height: int, width: int) -> tuple[Visibility, ...]:
        """From the best to the last resort, for mattes that leave little or nothing to see; none admits alpha 1.

        Args:
            height: Rows of the picture.
            width: Columns of the picture.
        """
        limit = np.float32(VISIBLE_UP_TO)
        margin = max(1, round(MARGIN_PER_SIDE * min(height, width)))
        return cls(limit, margin), cls(limit, 0), cls(np.nextafter(np.float32(1), np.float32(0)), 0)

    def rows(self, alpha: NDArray[np.float32], top: int, bottom: int) -> NDArray[np.uint8]:
        """The visible pixels of some rows.

        Args:
            alpha: Matte, H x W, float32 in [0, 1].
            top: First row.
            bottom: Row after the last.

        Returns:
            (bottom - top) x W, uint8: 255 where visible, 0 where hidden.
        """
        first, last = max(0, top - self.margin), min(len(alpha), bottom + self.margin)
        mask: NDArray[Any] = np.negative((alpha[first:last] <= self.limit).view(np.uint8))
        if self.margin:
            side = 2 * self.margin + 1
            mask = cv2.erode(mask, np.ones((side, side), np.uint8)).reshape(mask.shape)
        return mask[top - first : bottom - first]


def visible_means(
    rgb: NDArray[np.uint8],
    alpha: NDArray[np.float32],
    visibility: Visibility,
    scale: int,
    rows_of: Callable[[int, int], NDArray[Any]] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Reduce a picture to the mean colour of the visible pixels of each cell.

    Args:
        rgb: Picture, H x W x 3, uint8, C-contiguous.
        alpha: Matte, H x W, float32 in [0, 1], C-contiguous.
        visibility: Which pixels may be read.
        scale: Side of a cell in pixels, 1 to 16, a divisor of the strip height.
        rows_of: ``rows_of(top, bottom)`` gives what the mean is taken of instead of these rows' levels, called from
            several threads.

    Returns:
        Means, h x w x 3, float32 in [0, 255] if they are of levels, 0 where nothing is visible; and coverage, h x w,
        float32: the visible share of each cell in [0, 1]. h and w are H / scale and W / scale, rounded up.
    """
    height, width = alpha.shape
    rows, columns = -(-height // scale), -(-width // scale)
    means = np.empty((rows, columns, 3), np.float32)
    coverage = np.empty((rows, columns), np.float32)

    def reduce_strip(top: int, bottom: int) -> None:
        first, last = top // scale, -(-bottom // scale)
        below, right = last * scale - bottom, columns * scale - width
        # 0 or 255, so that the rounded mean below is 0 or 255 only where all pixels of a cell agree.
        mask: NDArray[Any] = visibility.rows(alpha, top, bottom)
        picture: NDArray[Any] = rgb[top:bottom] if rows_of is None else rows_of(top, bottom)
        if below or right:
            mask = cv2.copyMakeBorder(mask, 0, below, 0, right, cv2.BORDER_CONSTANT, value=0)
            picture = cv2.copyMakeBorder(picture, 0, below, 0, right, cv2.BORDER_REPLICATE)
        _reduce_cells(picture, mask, scale, means[first:last], coverage[first:last])

    for_each_strip(height, reduce_strip)
    return means, coverage


def _reduce_cells(
    picture: NDArray[Any],
    mask: NDArray[np.uint8],
    scale: int,
    means: NDArray[np.float32],
    coverage: NDArray[np.float32],
) -> None:
    """Write mean and coverage of every cell; whole cells go through OpenCV, the few cut ones are summed exactly."""
    rows, columns = coverage.shape
    size = (columns, rows)
    whole = cv2.resize(mask, size, interpolation=cv2.INTER_AREA)
    means[...] = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    np.equal(whole, 255, out=coverage)
    means[whole == 0] = 0.0
    y, x = np.nonzero((whole > 0) & (whole < 255))
    if not len(y):
        return
    weights = mask.reshape(rows, scale, columns, scale)[y, :, x].reshape(len(y), 1, -1).astype(np.float32) / 255
    colours = picture.reshape(rows, scale, columns, scale, 3)[y, :, x].reshape(len(y), -1, 3).astype(np.float32)
    counts = weights.sum(axis=2)
    means[y, x] = (weights @ colours)[:, 0] / counts
    coverage[y, x] = counts[:, 0] / scale**2


def push_pull(
    means: NDArray[np.float32], coverage: NDArray[np.float32], nothing: float = NOTHING_VISIBLE
) -> NDArray[np.float32]:
    """Fill the cells that nothing is known of, smoothly, from all around.

    A pyramid of weighted means (Gortler et al., "The Lumigraph", SIGGRAPH 1996) gives a first guess at every level;
    a few Jacobi sweeps a level bring it close to the solution of Laplace's equation. For a picture whose power
    spectrum falls with the square of the frequency, as that of photographs does, this is the expected value of what
    is hidden, and a blur of the expected value is the expected value of the blur.

    Args:
        means: Known colours, h x w x 3, float32; levels or light.
        coverage: How much of each cell is known, h x w, float32 in [0, 1].
        nothing: Value of every cell where none is known.

    Returns:
        h x w x 3, float32: the known colours where coverage is at least ``KNOWN_COVERAGE``, fading into the fill.
    """
    trust = np.minimum(coverage / KNOWN_COVERAGE, 1.0)
    if not trust.any():
        return np.full_like(means, nothing)
    levels = [(means, trust)]
    while levels[-1][1].size > 1:
        levels.append(_pull(*levels[-1]))
    filled = levels[-1][0]
    for known, weight in reversed(levels[:-1]):
        filled = _push(filled, known, weight)
    return filled


def _pull(means: NDArray[np.float32], trust: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The next coarser level: a trusted mean of 2 x 2 cells; one trusted cell of the four is enough."""
    height, width = trust.shape
    below, right = height % 2, width % 2
    weighted: NDArray[Any] = means * trust[..., None]
    weights: NDArray[Any] = trust
    if below or right:
        weighted = cv2.copyMakeBorder(weighted, 0, below, 0, right, cv2.BORDER_CONSTANT, value=0)
        weights = cv2.copyMakeBorder(trust, 0, below, 0, right, cv2.BORDER_CONSTANT, value=0)
    size = ((width + right) // 2, (height + below) // 2)
    total: NDArray[Any] = cv2.resize(weights, size, interpolation=cv2.INTER_AREA).reshape(size[::-1])
    sums: NDArray[Any] = cv2.resize(weighted, size, interpolation=cv2.INTER_AREA).reshape(*size[::-1], 3)
    colours = sums / np.maximum(total, np.finfo(np.float32).tiny)[..., None]
    return colours, np.minimum(total * 4, 1.0)


def _push(coarse: NDArray[np.float32], means: NDArray[np.float32], trust: NDArray[np.float32]) -> NDArray[np.float32]:
    """The next finer level: what is known there, and the coarser level in the rest, relaxed."""
    height, width = trust.shape
    rows, columns = coarse.shape[:2]
    guess: NDArray[Any] = cv2.resize(coarse, (columns * 2, rows * 2), interpolation=cv2.INTER_LINEAR)
    guess = guess.reshape(rows * 2, columns * 2, 3)[:height, :width]
    weight = trust[..., None]
    kept, open_share = means * weight, 1.0 - weight
    filled: NDArray[np.float32] = guess * open_share + kept
    if trust.size <= RELAXATION_CELLS:
        for _ in range(RELAXATION_SWEEPS):
            around = cv2.filter2D(filled, -1, NEIGHBOURS, borderType=cv2.BORDER_REFLECT).reshape(filled.shape)
            filled = around * open_share + kept
    return filled


def telea(rgb: NDArray[np.uint8], alpha: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The textbook fill: the subject, grown a little, inpainted at full size by fast marching.

    After Telea, "An image inpainting technique based on the fast marching method", 2004. Slow, and it carries edges
    of the background into the subject as streaks; kept as the reference that the default is measured against.

    Args:
        rgb: Picture, H x W x 3, uint8.
        alpha: Matte, H x W, float32 in [0, 1].

    Returns:
        H x W x 3, uint8.
    """
    presence = (alpha > TELEA_PRESENCE).astype(np.uint8)
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (TELEA_DILATION, TELEA_DILATION))
    mask = cv2.dilate(presence, ellipse).reshape(presence.shape)
    filled: NDArray[Any] = cv2.inpaint(rgb, mask, TELEA_RADIUS, cv2.INPAINT_TELEA)
    return filled.reshape(rgb.shape)
