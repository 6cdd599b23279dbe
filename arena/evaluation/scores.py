"""What is measured of each picture: the metrics that evaluation prints, with their units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from arena import metrics

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Alpha = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Metric:
    """One number that is measured of a matte."""

    key: str
    """Its name in CSV and JSON, and in :class:`arena.metrics.Scores`."""
    label: str
    """What tables call it."""
    unit: str
    """What it is counted in."""
    digits: int
    """Decimals in tables."""
    higher_is_better: bool
    """Else lower is."""
    mattes_only: bool = False
    """It is about partial coverage, which a binary truth does not have."""


METRICS: tuple[Metric, ...] = (
    Metric("iou", "IoU", "share", 4, True),
    Metric("boundary_iou", "Boundary IoU", "share", 4, True),
    Metric("pixel_accuracy", "Pixel accuracy", "share", 4, True),
    Metric("mad", "MAD", "mean of 0 to 1", 4, False),
    Metric("mse", "MSE", "mean of 0 to 1", 4, False),
    Metric("sad", "SAD", "sum in thousands", 2, False),
    Metric("gradient", "Gradient", "sum in thousands", 2, False, mattes_only=True),
    Metric("connectivity", "Connectivity", "sum in thousands", 2, False, mattes_only=True),
)
"""In the order of tables and files. :mod:`arena.metrics` defines them."""

RANKING = METRICS[0]
"""By which the worst pictures are found."""


def is_matte(truth: Alpha) -> bool:
    """Whether a truth knows partial coverage.

    Args:
        truth: float32, H x W in [0, 1].

    Returns:
        False if every pixel is 0 or 1.
    """
    return bool(((truth > 0) & (truth < 1)).any())


def score(alpha: Alpha, truth: Alpha, *, as_matte: bool) -> dict[str, float]:
    """Measure a matte.

    Args:
        alpha: The matte, float32, H x W in [0, 1].
        truth: What it should be, float32, H x W in [0, 1].
        as_matte: Whether to measure what ``mattes_only`` metrics do, which takes several times as long.

    Returns:
        Values by the keys of ``METRICS``. Metrics of masks compare where each matte is at least
        ``metrics.MASK_THRESHOLD``.
    """
    if as_matte:
        scores = metrics.evaluate(alpha, truth)
        return {metric.key: getattr(scores, metric.key) for metric in METRICS}
    mask, true_mask = alpha >= metrics.MASK_THRESHOLD, truth >= metrics.MASK_THRESHOLD
    return {
        "iou": metrics.iou(mask, true_mask),
        "boundary_iou": metrics.boundary_iou(mask, true_mask),
        "pixel_accuracy": metrics.pixel_accuracy(mask, true_mask),
        "mad": metrics.mad(alpha, truth),
        "mse": metrics.mse(alpha, truth),
        "sad": metrics.sad(alpha, truth),
    }
