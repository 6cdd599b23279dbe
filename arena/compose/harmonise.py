"""The subject's colours moved towards those of its new background.

E. Reinhard, M. Ashikhmin, B. Gooch and P. Shirley, "Color Transfer between Images", IEEE Computer Graphics and
Applications 2001: each channel of an opponent colour space is given the other picture's mean and standard deviation.
Theirs is for whole pictures of like scenes. A person does not take on the colours of a meadow, only some of its light,
so here, in CIE Lab, the way to the other picture's statistics is walked only so far.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from arena.checks import checked_pair, checked_rgb, checked_share
from arena.compose._strips import for_each_strip
from arena.compose.composite import INVISIBLE, TILE_COLUMNS

if TYPE_CHECKING:
    from numpy.typing import NDArray

LIGHTNESS_LIMIT = 15.0
"""How far the mean lightness may move, in units of Lab: some two thirds of a stop around mid-grey.

With ``CONTRAST_LIMIT`` it is the most at which the curve of lightness still rises all the way from 0 to 100 (15 and
10 % of 100 are the 25 that a parabola of height 1 over it allows): no highlights are blown and no shadows crushed."""

GREEN_RED_LIMIT = 4.0
BLUE_YELLOW_LIMIT = 10.0
"""How far the mean may move on a* and b*. Skin lies some 15 units from grey on each. Light varies along blue to
yellow, as sun, sky and lamps do; a shift along green to red makes a face look ill before it looks lit."""

MID_GREY = np.array([50, 0, 0], np.float32)
"""A background of this mean has no light of its own to give.

The subject's mean is its clothes' as much as its light's: a blue shirt before a grey wall would turn the face yellow if
the mean had its way. So the subject takes on as much of a background's departure from mid-grey as it lacks, and never
the opposite of it."""

CONTRAST_LIMIT = 1.1
"""Largest factor on a standard deviation, and its inverse the smallest."""

PLAIN_SPREAD = 10.0
"""Standard deviation of a background, in units of Lab, below which it says little about contrast: a plain wall must
not take the contrast out of a face."""

STATISTICS_SIDE = 64
"""Both pictures are reduced to this longer side before they are measured, so that a preview and an export agree,
and fine grain does not count as contrast."""


@dataclass(frozen=True)
class _Statistics:
    """Of the three channels of Lab."""

    mean: NDArray[np.float32]
    spread: NDArray[np.float32]
    """Standard deviation."""


def harmonise_colours(
    rgb: NDArray[Any], alpha: NDArray[Any], background: NDArray[Any], strength: float = 0.5
) -> NDArray[np.uint8]:
    """Move the subject's colours towards a background's.

    In Lab, the mean moves towards the background's, by no more than that departs from mid-grey and at most 15 of
    lightness, 4 of a* and 10 of b*, whatever lies between the two; the standard deviations change by at most 10 %.
    Both fade out towards black and white, which stay black and white. So skin keeps its hue, highlights are not blown
    and the order of tones is kept.

    Args:
        rgb: The subject's colours, H x W x 3, uint8: best the estimated foreground, since the photo's own pixels
            carry the old background at the edge.
        alpha: Matte, H x W, float32 in [0, 1]: the weight of each pixel in the subject's statistics.
        background: The new background, of any size, h x w x 3, uint8. It is only measured.
        strength: 0, exactly ``rgb``, to 1.

    Returns:
        H x W x 3, uint8: new colours where there is any of the subject. Where alpha is 0 they mean nothing.

    Raises:
        OptionError: An argument is of another type, size or range.
    """
    photo, matte = checked_pair(rgb, alpha)
    scenery = checked_rgb(background, "background")
    amount = checked_share("strength", strength)
    out = photo.copy()
    if amount == 0.0:
        return out
    subject = _measured(photo, matte)
    if subject is None:
        return out
    target = _measured(scenery, None)
    if target is None:
        return out
    shift, gain = _limited(subject, target)
    shift, gain = shift * np.float32(amount), (gain - 1) * np.float32(amount)

    def recolour(top: int, bottom: int) -> None:
        for left in range(0, matte.shape[1], TILE_COLUMNS):
            tile = (slice(top, bottom), slice(left, left + TILE_COLUMNS))
            if cv2.minMaxLoc(matte[tile])[1] > INVISIBLE:
                out[tile] = _moved(photo[tile], subject.mean, shift, gain)

    for_each_strip(len(out), recolour)
    return out


def _moved(
    pixels: NDArray[np.uint8], mean: NDArray[np.float32], shift: NDArray[np.float32], gain: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """Colours with another mean and spread; ``gain`` is the change of the factor on the spread."""
    planes: Any = cv2.split(_lab(pixels))
    light = planes[0] / np.float32(100)
    # 1 in the mid-tones, 0 at black and white: specular highlights and shadows keep what they are.
    share = 4 * light * (1 - light)
    # Plane by plane: NumPy is ten times slower along an axis of three.
    moved = [
        plane + share * (plane * gain[channel] + (shift[channel] - gain[channel] * mean[channel]))
        for channel, plane in enumerate(planes)
    ]
    levels: NDArray[Any] = cv2.convertScaleAbs(cv2.cvtColor(cv2.merge(moved), cv2.COLOR_Lab2RGB), alpha=255)
    return levels.reshape(pixels.shape)


def _limited(subject: _Statistics, target: _Statistics) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """How far each mean moves, and by which factor each standard deviation changes."""
    cast = target.mean - MID_GREY
    lacking = (target.mean - subject.mean).clip(np.minimum(cast, 0), np.maximum(cast, 0))
    lightness, green_red, blue_yellow = (float(way) for way in lacking)
    # Hyperbolic tangents, not clipping: a small difference is made up for in full, a large one in part, without a kink.
    hue = math.hypot(green_red / GREEN_RED_LIMIT, blue_yellow / BLUE_YELLOW_LIMIT)
    part = math.tanh(hue) / hue if hue else 1.0
    shift = (LIGHTNESS_LIMIT * math.tanh(lightness / LIGHTNESS_LIMIT), green_red * part, blue_yellow * part)
    limit = math.log(CONTRAST_LIMIT)
    evidence = target.spread / (target.spread + PLAIN_SPREAD)
    # One unit of Lab is invisible, and keeps the ratio finite for flat colours.
    ratio = np.log((target.spread + 1) / (subject.spread + 1)) * evidence
    return np.array(shift, np.float32), np.exp(limit * np.tanh(ratio / limit)).astype(np.float32)


def _measured(rgb: NDArray[np.uint8], weights: NDArray[np.float32] | None) -> _Statistics | None:
    """Weighted statistics of a picture; None if the weights are all 0."""
    height, width = rgb.shape[:2]
    reduction = max(1.0, max(height, width) / STATISTICS_SIDE)
    size = (max(1, round(width / reduction)), max(1, round(height / reduction)))

    def reduced(plane: NDArray[Any]) -> NDArray[np.float32]:
        return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.float32)

    if weights is None:
        small = reduced(rgb).reshape(size[1], size[0], 3)
        share = np.ones(size[0] * size[1])
    else:
        covered = reduced(weights)
        # Weighted before they are averaged: what lies where alpha is 0, black or the old background, has no part in it.
        planes = [reduced(plane * weights) / np.maximum(covered, np.float32(1e-6)) for plane in cv2.split(rgb)]
        small = np.stack(planes, axis=-1)
        share = covered.astype(np.float64).ravel()
    lab = _lab(small).reshape(-1, 3).astype(np.float64)
    total = share.sum()
    if total <= INVISIBLE:
        return None
    mean = share @ lab / total
    spread = np.sqrt(share @ (lab - mean) ** 2 / total)
    return _Statistics(mean.astype(np.float32), spread.astype(np.float32))


def _lab(pixels: NDArray[Any]) -> NDArray[np.float32]:
    """CIE Lab (D65), float32, of sRGB from 0 to 255: lightness in [0, 100], a* and b* in about [-127, 127]."""
    unit = pixels.astype(np.float32) / np.float32(255)
    lab: NDArray[Any] = cv2.cvtColor(unit, cv2.COLOR_RGB2Lab)
    return lab.reshape(pixels.shape)
