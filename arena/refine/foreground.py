"""The subject's own colours where it mixes with the background, so that no compositor carries the old background along.

A pixel of the photo is ``alpha * F + (1 - alpha) * B``: three equations for six unknowns. Both methods guess F and B
from their surroundings and then move the two guesses onto the photo's own equation; they differ in the surroundings.

M. Forte and F. Pitié, "Approximate Fast Foreground Colour Estimation", ICIP 2021 (blur fusion); T. Germer,
T. Uelwer, S. Conrad and S. Harmeling, "Fast Multi-Level Foreground Estimation", ICPR 2020.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np

from arena.checks import checked_pair
from arena.errors import OptionError
from arena.parallel import on_all_cores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Plane = NDArray[np.float32]
    """One channel or the matte, rows x columns, float32 in [0, 1]."""

Method = Literal["fast", "multilevel"]
METHODS: tuple[Method, ...] = ("fast", "multilevel")

TILE = 128
"""Side in pixels of the squares that are worked on where they hold a mixed pixel, and left alone where not."""

REFERENCE_SIDE = 1080
"""Shorter side in pixels of the pictures that the radii below were measured on; they grow with the picture.

Left at their size, they have a quarter more error at a third of the scale; at 2.5 times of it a sixth more on smooth
colours and 3 % less on photographed hair."""

WIDE_RADIUS = 45
FINE_RADIUS = 3
"""Half widths of the two boxes of blur fusion: 90 and 6 pixels across, as its authors have them."""

SAMPLES_PER_RADIUS = 9
"""The wide means are taken over every so-many-th pixel, so that some 300 pixels are left in each."""

PURITY = 4
"""Power of its share that a pixel's colour has as weight in the wide means; 1 in the paper.

The purer a pixel, the less of the other side it brings along: a tenth less error on smooth colours, and half where
the soft edge is as wide as the box."""

FUSION_FREEDOM = 0.25
LEVEL_FREEDOM = 0.1
"""How much of what departs from both guesses is the background's doing, against 1 for the subject's.

Blur fusion as published moves F by ``alpha * residual`` and so leaves the photo's equation unsolved. Solving it, and
the more of it by the subject, who is the more varied of the two at hair, takes a third off the error in mixed pixels.
On colours without texture 1 would suit blur fusion a tenth better than 0.25, on photographed hair it is a third worse;
and a matte that is off favours small values (benchmarks/foreground.md)."""

INVISIBLE = 1 / (4 * 255)
"""A share below this moves no level by more than a quarter, so such a pixel is not mixed."""

WEAK = 1e-4
"""Weight of the plain mean, for surroundings that hold none of a side."""

SMOOTHNESS = 1e-3
EDGE_SMOOTHNESS = 0.01
"""Multi-level: how strongly neighbours share a colour, and how much more so per step of alpha between them."""

SMALL_SIDE = 32
SMALL_SWEEPS = 10
LARGE_SWEEPS = 4
"""Multi-level: sweeps over a level whose longer side is up to ``SMALL_SIDE`` cells, and over the larger ones."""


def estimate_foreground(rgb: NDArray[Any], alpha: NDArray[Any], method: Method = "fast") -> NDArray[np.uint8]:
    """Take the old background out of the pixels that the subject shares with it.

    Args:
        rgb: Photo, H x W x 3, uint8, any size from 1 x 1, any memory layout.
        alpha: Matte, H x W, float32 in [0, 1]: the subject's share of each pixel.
        method: ``"fast"`` is blur fusion in two passes; ``"multilevel"`` relaxes from the coarsest scale to the finest.

    Returns:
        H x W x 3, uint8, a new array: the subject's colour where it mixes with the background, exactly the photo
        where alpha is 1, and also where it is 0 and there is no subject to have a colour.

    Raises:
        OptionError: An argument is of another type, size or range.
    """
    photo, matte = checked_pair(rgb, alpha)
    if method not in METHODS:
        raise OptionError(f"method must be one of {', '.join(METHODS)}, but is {method!r}.")
    out = photo.copy()
    tiles = _mixed_tiles(matte)
    if tiles:
        (_fuse if method == "fast" else _relax_levels)(photo, matte, tiles, out)
    return out


@dataclass(frozen=True, slots=True)
class _Tile:
    """A rectangle of a picture."""

    top: int
    left: int
    bottom: int
    right: int

    def grown(self, margin: int, height: int, width: int) -> _Tile:
        return _Tile(
            max(0, self.top - margin),
            max(0, self.left - margin),
            min(height, self.bottom + margin),
            min(width, self.right + margin),
        )

    def within(self, outer: _Tile) -> tuple[slice, slice]:
        """Where this tile lies in an array that holds ``outer``."""
        rows = slice(self.top - outer.top, self.bottom - outer.top)
        return rows, slice(self.left - outer.left, self.right - outer.left)

    @property
    def area(self) -> tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)


@dataclass(frozen=True, slots=True)
class _Guess:
    """Foreground and background of a whole picture, kept at a smaller size."""

    front: NDArray[np.float32]
    back: NDArray[np.float32]
    """h x w x channels, float32, in the unit of the method."""
    step: tuple[float, float]
    """Cells a pixel, down and across."""
    start: tuple[float, float]
    """Cell coordinates of the pixel at the top left."""

    def enlarged(self, tile: _Tile) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Both at a tile's own size, new arrays."""
        (down, across), (first_row, first_column) = self.step, self.start
        to_cells = np.array(
            [[across, 0, first_column + across * tile.left], [0, down, first_row + down * tile.top]], np.float64
        )
        size = (tile.right - tile.left, tile.bottom - tile.top)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        front, back = (
            np.asarray(cv2.warpAffine(side, to_cells, size, flags=flags, borderMode=cv2.BORDER_REPLICATE), np.float32)
            for side in (self.front, self.back)
        )
        return front, back


def _fuse(photo: NDArray[np.uint8], matte: Plane, tiles: list[_Tile], out: NDArray[np.uint8]) -> None:
    """Blur fusion: guesses from wide boxes, moved onto the photo, then the subject's again from fine boxes.

    Colours are four levels a pixel, the last one always 255: it turns into the weights of the fine boxes by itself,
    and OpenCV handles four channels faster than three.
    """
    height, width = matte.shape
    ratio = min(height, width) / REFERENCE_SIDE
    radius = max(1, round(FINE_RADIUS * ratio))
    wide = _wide_means(photo, matte, max(1, round(WIDE_RADIUS * ratio)))

    def work(tile: _Tile) -> None:
        outer = tile.grown(radius, height, width)
        inner = tile.within(outer)
        alpha = np.ascontiguousarray(matte[outer.area])
        share, gain = (_repeated(plane) for plane in (alpha, _gains(alpha, FUSION_FREEDOM, np.float32(0))[0]))
        first, behind = wide.enlarged(outer)
        # The background's guess is as smooth as a fine box could make it.
        rest = _levels(photo[outer.area]) - (1 - share) * behind
        first += gain * (rest - share * first)
        np.clip(first, 0, 255, out=first)
        second: NDArray[np.float32] = _box(first * share, radius)[inner] + WEAK * first[inner]
        second *= _repeated(np.float32(255) / second[..., 3])
        second += gain[inner] * (rest[inner] - share[inner] * second)
        _write(np.asarray(cv2.cvtColor(_rounded(second), cv2.COLOR_RGBA2RGB), np.uint8), alpha[inner], out[tile.area])

    on_all_cores(work, tiles)


def _wide_means(photo: NDArray[np.uint8], matte: Plane, radius: int) -> _Guess:
    """Mean colours of subject and background around every so-many-th pixel.

    Pixels are skipped and not averaged first: in an averaged one, colour and share no longer belong together.
    """
    stride = max(1, radius // SAMPLES_PER_RADIUS)
    first = stride // 2
    alpha = np.ascontiguousarray(matte[first::stride, first::stride])
    colours = _levels(photo[first::stride, first::stride])
    cells = max(1, round(radius / stride))
    mean = _box(colours, cells)

    def side(share: Plane) -> NDArray[np.float32]:
        weight = share**PURITY
        total = _box(weight, cells)[..., None]
        colour: NDArray[np.float32] = (_box(colours * weight[..., None], cells) + WEAK * mean) / (total + WEAK)
        return colour

    return _Guess(side(alpha), side(1 - alpha), (1 / stride, 1 / stride), (-first / stride, -first / stride))


def _relax_levels(photo: NDArray[np.uint8], matte: Plane, tiles: list[_Tile], out: NDArray[np.uint8]) -> None:
    """Multi-level estimation: each scale starts from the one half its size and lets neighbours agree."""
    height, width = matte.shape
    levels = _pyramid(photo, matte)
    front, back = _side_means(levels)
    for colours, alpha in reversed(levels[:-1]):
        front, back = _relaxed_level(colours, alpha, front, back)
    down, across = front.shape[0] / height, front.shape[1] / width
    # Cells and pixels cover the same picture, so it is the corners that agree and not the first centres.
    guess = _Guess(front, back, (down, across), (down / 2 - 0.5, across / 2 - 0.5))

    def work(tile: _Tile) -> None:
        outer = tile.grown(LARGE_SWEEPS, height, width)
        fronts, backs = (_planes(side) for side in guess.enlarged(outer))
        alpha = np.ascontiguousarray(matte[outer.area])
        colours = _unit_planes(photo[outer.area])
        _sweep(colours, alpha, fronts, backs, LARGE_SWEEPS)
        inner = tile.within(outer)
        levels = np.asarray(cv2.merge([front[inner] for front in fronts]), np.float32) * np.float32(255)
        _write(_rounded(levels), alpha[inner], out[tile.area])

    on_all_cores(work, tiles)


def _pyramid(photo: NDArray[np.uint8], matte: Plane) -> list[tuple[NDArray[np.uint8], Plane]]:
    """Photo and matte at half the size, a quarter and so on down to one cell; the full size only if it is one pixel."""
    levels: list[tuple[NDArray[np.uint8], Plane]] = []
    colours, alpha = photo, matte
    while not levels or alpha.size > 1:
        size = (-(-alpha.shape[1] // 2), -(-alpha.shape[0] // 2))
        colours = np.asarray(cv2.resize(colours, size, interpolation=cv2.INTER_AREA), np.uint8)
        colours = colours.reshape(size[1], size[0], 3)
        alpha = np.asarray(cv2.resize(alpha, size, interpolation=cv2.INTER_AREA), np.float32).reshape(size[::-1])
        levels.append((colours, alpha))
    return levels


def _side_means(levels: list[tuple[NDArray[np.uint8], Plane]]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The single cell of the coarsest level, its two sides told apart by a level that has enough cells to."""
    colours, alpha = next((level for level in reversed(levels) if max(level[1].shape) >= SMALL_SIDE), levels[0])
    unit, share = colours.astype(np.float32) / np.float32(255), alpha[..., None]

    def mean(weight: NDArray[np.float32]) -> NDArray[np.float32]:
        weight = weight + np.float32(WEAK)
        return np.asarray((unit * weight).sum(axis=(0, 1), keepdims=True) / weight.sum(), np.float32)

    return mean(share), mean(1 - share)


def _relaxed_level(
    colours: NDArray[np.uint8], alpha: Plane, coarse_front: NDArray[np.float32], coarse_back: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Both sides at this level's size, relaxed where it is mixed; what lies between is only enlarged."""
    height, width = alpha.shape
    small = max(height, width) <= SMALL_SIDE
    sweeps = SMALL_SWEEPS if small else LARGE_SWEEPS
    tiles = [_Tile(0, 0, height, width)] if small else _mixed_tiles(alpha)
    front, back = (
        np.asarray(cv2.resize(side, (width, height), interpolation=cv2.INTER_LINEAR), np.float32).reshape(
            *alpha.shape, 3
        )
        for side in (coarse_front, coarse_back)
    )
    relaxed_front, relaxed_back = front.copy(), back.copy()

    def work(tile: _Tile) -> None:
        outer = tile.grown(sweeps, height, width)
        fronts, backs = _planes(front[outer.area]), _planes(back[outer.area])
        share = np.ascontiguousarray(alpha[outer.area])
        _sweep(_unit_planes(colours[outer.area]), share, fronts, backs, sweeps)
        inner = tile.within(outer)
        for channel in range(3):
            relaxed_front[(*tile.area, channel)] = fronts[channel][inner]
            relaxed_back[(*tile.area, channel)] = backs[channel][inner]

    on_all_cores(work, tiles)
    return relaxed_front, relaxed_back


def _sweep(colours: list[Plane], alpha: Plane, fronts: list[Plane], backs: list[Plane], sweeps: int) -> None:
    """Jacobi steps: both sides move to their neighbours' mean, then onto the photo's equation; in place."""
    weights = _neighbour_weights(alpha)
    total = weights[0] + weights[1] + weights[2] + weights[3]
    weights = [weight / total for weight in weights]
    others = 1 - alpha
    front_gain, back_gain = _gains(alpha, LEVEL_FREEDOM, total)
    for _ in range(sweeps):
        for channel, colour in enumerate(colours):
            front, back = _neighbour_mean(fronts[channel], weights), _neighbour_mean(backs[channel], weights)
            residual = colour - alpha * front - others * back
            fronts[channel] = np.clip(front + front_gain * residual, 0, 1)
            backs[channel] = np.clip(back + back_gain * residual, 0, 1)


def _neighbour_weights(alpha: Plane) -> list[Plane]:
    """How much a cell listens to the one above, below, left and right; cells outside repeat the border's."""
    padded = cv2.copyMakeBorder(alpha, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    return [np.asarray(SMOOTHNESS + EDGE_SMOOTHNESS * np.abs(side - alpha), np.float32) for side in _neighbours(padded)]


def _neighbour_mean(plane: Plane, weights: list[Plane]) -> Plane:
    padded = np.asarray(cv2.copyMakeBorder(plane, 1, 1, 1, 1, cv2.BORDER_REPLICATE), np.float32)
    above, below, left, right = _neighbours(padded)
    mean: Plane = weights[0] * above
    mean += weights[1] * below
    mean += weights[2] * left
    mean += weights[3] * right
    return mean


def _neighbours(padded: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    return padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]


def _gains(alpha: Plane, freedom: float, stiffness: Plane | np.float32) -> tuple[Plane, Plane]:
    """What share of a residual foreground and background take on.

    The least move of both, the background's made dearer by 1 / ``freedom``, that brings alpha F + (1 - alpha) B to the
    photo; less than that where ``stiffness`` holds them to their neighbours.
    """
    others = 1 - alpha
    dearness = alpha * alpha + freedom * others * others + stiffness
    return alpha / dearness, freedom * others / dearness


def _mixed_tiles(matte: Plane) -> list[_Tile]:
    """What is left of the tiles when trimmed to their mixed pixels; they cover all such pixels once."""
    height, width = matte.shape
    tops, lefts = range(0, height, TILE), list(range(0, width, TILE))
    found: list[list[_Tile]] = [[] for _ in tops]

    def look(row: int) -> None:
        top = tops[row]
        strip = matte[top : top + TILE]
        # A few long reductions spare the many tiles that are all subject or all background a look of their own, for
        # which the threads would take turns at the interpreter.
        highest = np.maximum.reduceat(strip.max(axis=0), lefts)
        lowest = np.minimum.reduceat(strip.min(axis=0), lefts)
        for column in np.flatnonzero((highest > INVISIBLE) & (lowest < 1 - INVISIBLE)):
            left = lefts[column]
            mask = _mixed(strip[:, left : left + TILE]).view(np.uint8)
            x, y, columns, rows = cv2.boundingRect(mask)
            if columns:
                found[row].append(_Tile(top + y, left + x, top + y + rows, left + x + columns))

    on_all_cores(look, list(range(len(tops))))
    return [tile for row in found for tile in row]


def _mixed(alpha: Plane) -> NDArray[np.bool_]:
    return (alpha > INVISIBLE) & (alpha < 1 - INVISIBLE)


def _write(levels: NDArray[np.uint8], alpha: Plane, out: NDArray[np.uint8]) -> None:
    """Levels where the pixel is mixed."""
    mask = _mixed(alpha).view(np.uint8)
    out[...] = cv2.copyTo(levels, mask, np.ascontiguousarray(out)).reshape(out.shape)


def _rounded(levels: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.asarray(cv2.convertScaleAbs(np.clip(levels, 0, 255)), np.uint8)


def _box(values: NDArray[np.float32], radius: int) -> NDArray[np.float32]:
    side = 2 * radius + 1
    mean: NDArray[Any] = cv2.blur(values, (side, side))
    return mean.reshape(values.shape)


def _planes(picture: NDArray[Any]) -> list[Plane]:
    return [np.ascontiguousarray(picture[..., channel], np.float32) for channel in range(3)]


def _levels(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Four float32 channels of a picture of three, the last one all 255."""
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2RGBA), np.float32)


def _repeated(plane: Plane) -> NDArray[np.float32]:
    """A plane in each of four channels."""
    return np.asarray(cv2.merge([plane] * 4), np.float32)


def _unit_planes(picture: NDArray[np.uint8]) -> list[Plane]:
    scale = np.float32(1 / 255)
    return [picture[..., channel] * scale for channel in range(3)]
