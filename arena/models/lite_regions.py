"""Whole regions of which Arena Lite's networks are unsure: colours and the photo's contrast decide where they belong.

A sleeve before a dark wall, a window beside a cheek: the networks have seen few of each, and half-transparent they are
wrong whichever it is. Which colours the subject has, which the background, and which of them are near by, the networks'
own leaning and a minimum cut along the photo's contrast settle them. Only what is wide is settled so, with the outline
of what changes sides; any other outline stays the networks', who know hair.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from arena.refine.cut import Mixtures, labels_of, minimum_cut, place_odds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float32]
    Mask = NDArray[np.bool_]
    Pixels = NDArray[np.uint8]

SIDE = 192
"""Square root of the area, in pixels, at which it is decided."""
UNSURE = 0.05
"""The networks are sure of what has a probability of less than this, or of more than 1 less this."""
WIDE = 5
"""Narrower than this many pixels is an outline, not a region; what the frame cuts off may go on beyond it."""

# Weights of the decision: a logistic regression on the pixels in doubt, away from the masks' outlines, of the upper
# bodies of every other training picture (Clothing Co-Parsing); `python -m benchmarks.lite_regions` makes it.
W_BIAS = -0.39
W_NETWORKS = 1.40
W_COLOUR = 0.59
W_PLACE = 0.41
SHARPENING = 6.0
"""The log-odds against the cut's contrast: their parts know the neighbourhood. Of 3, 5, 6 and 8 the smaller ones lose
on the training pictures, and 8, which follows contrast least, on the validation pictures."""

_LEAST = 3e-3
"""A probability is at least so far from 0 and 1: log-odds of up to 6."""
_COLOUR_LIMIT = 6.0
"""Log-odds from which on a colour is as telling as can be."""
_COLOUR_BLUR = 2.0
"""Standard deviation in pixels: a region is asked, not its every button."""
_SEAM = 1.0
"""Standard deviation in pixels of the border between what was settled and what stays."""
_STAIRS = 0.8
"""The same of the cut's outline, which is made of pixels."""


class Shrunk(NamedTuple):
    """A photo and what the networks say of it, at the size at which regions are settled."""

    likely: FloatArray
    """h x w, 0 to 1: the networks' probability."""
    doubtful: Mask
    """h x w: where they are not sure."""
    rgb: Pixels
    """h x w x 3, sRGB."""
    lab: Pixels
    """The same as OpenCV scales CIELAB."""

    @property
    def labels(self) -> NDArray[np.uint8]:
        """Foreground, background and what probably is; see :func:`arena.refine.cut.labels_of`."""
        subject = self.likely > 0.5
        return labels_of(subject, subject & ~self.doubtful, ~subject & ~self.doubtful)

    @classmethod
    def of(cls, probability: FloatArray, rgb: Pixels) -> Shrunk:
        """From any size; see :func:`settle_regions`."""
        height, width = probability.shape
        factor = min(1.0, SIDE / math.sqrt(height * width))
        size = max(1, round(width * factor)), max(1, round(height * factor))
        likely = np.asarray(cv2.resize(probability, size, interpolation=cv2.INTER_AREA), dtype=np.float32)
        doubtful = (likely >= UNSURE) & (likely <= 1 - UNSURE)
        small = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        return cls(likely, doubtful, small, np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2LAB), dtype=np.uint8))


def settle_regions(probability: FloatArray, rgb: Pixels) -> FloatArray:
    """Decide to whom wide regions in doubt belong.

    Args:
        probability: float32, H x W, 0 to 1: the networks' mean, before anything makes it steeper.
        rgb: uint8, h x w x 3, sRGB: the photo at any size, as clear as the networks saw it: in fog all colours are one.

    Returns:
        float32, H x W, 0 to 1: near 0 or 1 in regions that were settled, the same away from them; ``probability``
        itself if there are none.
    """
    small = Shrunk.of(probability, rgb)
    settled = _wide_parts(small.doubtful)
    if not settled.any():
        return probability
    evidence = gather_evidence(small)
    if evidence is None:
        return probability
    odds = SHARPENING * (evidence @ np.array([W_NETWORKS, W_COLOUR, W_PLACE], np.float32) + np.float32(W_BIAS))
    # What is certain is in the labels alone: as odds it would be contrast, and a region's rim a cheap place for a cut.
    odds[~small.doubtful] = 0
    subject = minimum_cut(odds, small.lab, small.labels)
    # A region that changes sides takes its outline with it.
    changed = subject != (small.likely > 0.5)
    _, regions = cv2.connectedComponents(changed.astype(np.uint8), connectivity=4)
    settled |= np.isin(regions, regions[changed & _wide_parts(changed)])
    reach = np.asarray(cv2.dilate(settled.astype(np.float32), np.ones((3, 3), np.uint8)))
    outline = cv2.GaussianBlur(subject.astype(np.float32), (0, 0), _STAIRS)
    change = cv2.GaussianBlur(reach, (0, 0), _SEAM) * (outline - small.likely)
    enlarged = cv2.resize(change, probability.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.clip(probability + enlarged, 0, 1), dtype=np.float32)


def gather_evidence(small: Shrunk) -> FloatArray | None:
    """What speaks for the subject, pixel by pixel.

    Args:
        small: The photo and what the networks say of it.

    Returns:
        float32, h x w x 3: log-odds of the networks; of the colour, near what is in doubt, 0 elsewhere; of the colour
        at this place. None if the networks lean to one side everywhere: the other has no colours.
    """
    likely, doubtful, rgb, lab = small
    # Every second row and column has all the colours. Those in doubt are learned from too, as the networks lean:
    # without them the eight mattes lose most of what is won.
    mixtures = Mixtures.learned(rgb[::2, ::2], small.labels[::2, ::2])
    if mixtures is None:
        return None
    clipped = np.clip(likely, _LEAST, 1 - _LEAST)
    reach = 2 * math.ceil(3 * _COLOUR_BLUR) + 1
    near = np.asarray(cv2.dilate(doubtful.astype(np.uint8), np.ones((reach, reach), np.uint8))) > 0
    colour = np.zeros_like(likely)
    colour[near] = _COLOUR_LIMIT * np.tanh(mixtures.odds(rgb[near]) / _COLOUR_LIMIT)
    known = np.where(doubtful, likely, likely > 0.5).astype(np.float32)
    odds = np.log(clipped / (1 - clipped)), cv2.GaussianBlur(colour, (0, 0), _COLOUR_BLUR), place_odds(lab, known)
    return np.stack(odds, axis=2).astype(np.float32)


def _wide_parts(mask: Mask) -> Mask:
    """The parts of a mask that a disc of ``WIDE`` fits into."""
    disc = np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (WIDE, WIDE)), np.uint8)
    return np.asarray(cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, disc)) > 0
