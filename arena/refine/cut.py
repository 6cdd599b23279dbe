"""Cutting a subject out of a picture: what its colours say, what its colours say here, and the cut that agrees best.

C. Rother, V. Kolmogorov and A. Blake, "GrabCut: Interactive Foreground Extraction using Iterated Graph Cuts",
SIGGRAPH 2004. OpenCV's GrabCut is what fits the mixtures and cuts; here the evidence is put together from more than
colour.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float32]
    ByteArray = NDArray[np.uint8]
    Mask = NDArray[np.bool_]

_COMPONENTS = 5
"""Colours in each of OpenCV's mixtures."""
_NO_RECTANGLE = (0, 0, 1, 1)
"""OpenCV reads its rectangle only where no labels are given."""


def labels_of(subject: Mask, surely_subject: Mask, surely_background: Mask) -> ByteArray:
    """What is known of each pixel, as OpenCV's GrabCut writes it.

    Args:
        subject: H x W: the best guess.
        surely_subject: H x W: what no evidence overrules.
        surely_background: H x W: the same of the background.

    Returns:
        uint8, H x W, of ``cv2.GC_FGD``, ``GC_BGD``, ``GC_PR_FGD`` and ``GC_PR_BGD``.
    """
    labels = np.where(subject, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[surely_subject] = cv2.GC_FGD
    labels[surely_background] = cv2.GC_BGD
    return labels


class Mixtures(NamedTuple):
    """The colours of both sides, each a mixture of five Gaussians as OpenCV's GrabCut keeps them."""

    subject: NDArray[np.float64]
    background: NDArray[np.float64]

    @classmethod
    def learned(cls, rgb: ByteArray, labels: ByteArray) -> Mixtures | None:
        """Fit them by one round of GrabCut.

        Args:
            rgb: uint8, H x W x 3, sRGB.
            labels: uint8, H x W; see :func:`labels_of`.

        Returns:
            The mixtures, the same for the same input; None if either side has too few pixels to learn from.
        """
        of_subject = int(np.count_nonzero(labels & 1))
        # OpenCV's k-means refuses fewer samples than clusters.
        if min(of_subject, labels.size - of_subject) < _COMPONENTS:
            return None
        subject, background = np.zeros((1, 65)), np.zeros((1, 65))
        # The generator is the calling thread's own, so a seed here makes the result the same on every call.
        cv2.setRNGSeed(0)
        picture = np.ascontiguousarray(rgb)
        cv2.grabCut(picture, labels.copy(), _NO_RECTANGLE, background, subject, 1, cv2.GC_INIT_WITH_MASK)
        return cls(subject, background)

    def odds(self, rgb: ByteArray) -> FloatArray:
        """Log-odds of subject against background by colour alone.

        Args:
            rgb: uint8, ... x 3, sRGB.

        Returns:
            float32, of the shape of ``rgb`` without its last axis.
        """
        pixels = rgb.reshape(-1, 3).astype(np.float32)
        odds = _log_likelihood(pixels, self.subject) - _log_likelihood(pixels, self.background)
        return odds.reshape(rgb.shape[:-1]).astype(np.float32)


def _log_likelihood(pixels: FloatArray, mixture: NDArray[np.float64]) -> FloatArray:
    """Log density of pixels N x 3 under one of OpenCV's mixtures: 5 weights, 5 means, 5 covariances in a row."""
    weights, means, covariances = np.split(mixture.ravel(), [_COMPONENTS, 4 * _COMPONENTS])
    parts = []
    for weight, mean, covariance in zip(weights, means.reshape(-1, 3), covariances.reshape(-1, 3, 3), strict=True):
        if weight <= 0:
            continue
        # One grey level of variance: rounding alone spreads colours that far, and flat colours have none.
        regular = covariance + np.eye(3)
        # With the root of the inverse the distance is a plain sum of squares.
        root = np.linalg.cholesky(np.linalg.inv(regular)).astype(np.float32)
        distance = np.square((pixels - mean.astype(np.float32)) @ root).sum(axis=1)
        parts.append(np.float32(np.log(weight) - 0.5 * np.linalg.slogdet(regular)[1]) - 0.5 * distance)
    stacked = np.stack(parts)
    most = stacked.max(axis=0)
    return np.asarray(most + np.log(np.exp(stacked - most).sum(axis=0)), dtype=np.float32)


def place_odds(lab: ByteArray, probability: FloatArray) -> FloatArray:
    """Log-odds of a colour at a place: which side has this colour near here.

    A histogram over place and colour, smoothed in all five dimensions (the bilateral grid of J. Chen, S. Paris and
    F. Durand, SIGGRAPH 2007). Black hair before a pale wall is told from black window frames elsewhere.

    Args:
        lab: uint8, H x W x 3, as OpenCV scales CIELAB.
        probability: float32, H x W, 0 to 1: of the subject, as far as it is known.

    Returns:
        float32, H x W.
    """
    cell, bins = 24, 16
    height, width = probability.shape
    down = np.rint(np.arange(height) / cell).astype(np.intp)
    across = np.rint(np.arange(width) / cell).astype(np.intp)
    lightness = lab[..., 0].astype(np.intp) >> 4
    # Photographs seldom leave the middle half of the chroma axes.
    chroma = np.clip((lab[..., 1:].astype(np.intp) - 64) >> 3, 0, bins - 1)
    reach = 2
    colours, ranges = [], []
    for axis in (lightness, chroma[..., 0], chroma[..., 1]):
        # What lies beyond the colours of the picture is not needed, but for what the smoothing reaches.
        first, last = max(0, int(axis.min()) - reach), min(bins - 1, int(axis.max()) + reach)
        colours.append(axis - first)
        ranges.append(last - first + 1)
    shape = (int(down[-1]) + 1, int(across[-1]) + 1, *ranges)
    index = np.ravel_multi_index((down[:, None], across[None, :], *colours), shape)
    counts = []
    for weight in (probability, 1 - probability):
        grid = np.bincount(index.ravel(), weight.ravel(), int(np.prod(shape))).reshape(shape).astype(np.float32)
        smooth = ndimage.gaussian_filter(grid, (1.5, 1.5, 0.8, 0.8, 0.8), truncate=2.0)
        # A fiftieth of a pixel keeps colours that are nowhere near from deciding anything.
        counts.append(smooth.ravel()[index] + 0.02)
    return np.asarray(np.log(counts[0] / counts[1]), dtype=np.float32)


def minimum_cut(odds: FloatArray, lab: ByteArray, labels: ByteArray | None = None) -> Mask:
    """The labelling that best agrees with log-odds and cuts along contrast.

    OpenCV has no minimum cut of its own, but GrabCut with frozen mixtures is one: the log-odds are written into
    the first channel of a picture, on which two Gaussians of equal variance differ linearly, and the other two channels
    hold lightness and chroma, on which the Gaussians are so wide that they only matter to the contrast. To that each of
    the odds is three levels, and infinite ones are 24.

    Args:
        odds: float32, H x W: log-odds of the subject, of up to 8 either way.
        lab: uint8, H x W x 3: the picture, as OpenCV scales CIELAB.
        labels: What is certain, see :func:`labels_of`; None: what has infinite odds.

    Returns:
        H x W: True for the subject.
    """
    step, most = 1 / 3, 24
    level = np.clip(np.rint(odds / step), -most, most)
    # Equal parts of both chroma axes, centred.
    chroma = np.clip(0.7 * lab[..., 1].astype(np.float32) + 0.7 * lab[..., 2] - 51, 0, 255)
    picture = np.dstack([level + 128, lab[..., 0], chroma]).astype(np.uint8)
    variance, wide = 100.0, 1e6
    apart = variance * step

    def gaussian(mean: float) -> NDArray[np.float64]:
        mixture = np.zeros((1, 65))
        mixture[0, 0] = 1.0
        mixture[0, _COMPONENTS : _COMPONENTS + 3] = mean, 128, 128
        mixture[0, 4 * _COMPONENTS : 4 * _COMPONENTS + 9] = np.diag([variance, wide, wide]).ravel()
        return mixture

    cut = labels_of(odds > 0, np.isposinf(odds), np.isneginf(odds)) if labels is None else labels.copy()
    if min(picture.shape[:2]) < 2:
        return (cut & 1).astype(bool)
    cv2.grabCut(
        picture, cut, _NO_RECTANGLE, gaussian(128 - apart / 2), gaussian(128 + apart / 2), 1, cv2.GC_EVAL_FREEZE_MODEL
    )
    return (cut & 1).astype(bool)
