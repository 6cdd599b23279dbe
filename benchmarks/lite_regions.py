"""The weights by which Arena Lite settles regions in doubt, and what settling them changes.

    python -m benchmarks.lite_regions SHARED/data

The weights are fitted to the upper bodies of every other training picture of ``ccp/`` (Clothing Co-Parsing) by a
logistic regression on the pixels in doubt that are away from the masks' outlines, and printed beside those in use. With
those in use, pictures are scored with settling and without it in the same run: the training pictures, on which more
than the weights was chosen; the validation pictures; and the eight of ``mattes/``, as they are and mirrored.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from unittest.mock import patch

import cv2
import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from arena.catalog import get_card
from arena.metrics import iou
from arena.models import lite, lite_regions
from arena.models.lite_regions import Shrunk, gather_evidence
from arena.models.pool import load_adapter
from arena.photo import Photo
from arena.training.pictures import find_pairs, read_samples, upper_body

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from arena.models.base import Segmenter

    FloatArray = NDArray[np.float32]
    Pixels = NDArray[np.uint8]

AWAY = 2
"""Pixels from the mask's outline: nearer, a mask is as uncertain as the networks."""
PULL = 1e-3
"""Weight of the regression's ridge, for features of unit variance."""


class Picture(NamedTuple):
    """One picture, and what Arena Lite makes of it."""

    truth: FloatArray
    probability: FloatArray
    rgb: Pixels
    plain: FloatArray
    """Alpha without settling."""
    settled: FloatArray
    seconds: tuple[float, float]
    """Of the whole segmenter, without settling and with it."""


def look(segmenter: Segmenter, rgb: Pixels, alpha: Pixels) -> Picture:
    handed: list[tuple[FloatArray, Pixels]] = []

    def keep(probability: FloatArray, small: Pixels) -> FloatArray:
        handed.append((probability.copy(), small))
        return probability

    photo = Photo.from_array(rgb)
    start = time.perf_counter()
    with patch.object(lite, "settle_regions", keep):
        plain = segmenter.segment(photo).alpha
    between = time.perf_counter()
    settled = segmenter.segment(photo).alpha
    seconds = between - start, time.perf_counter() - between
    return Picture((alpha / 255).astype(np.float32), *handed[0], plain, settled, seconds)


def pixels_in_doubt(picture: Picture) -> tuple[FloatArray, NDArray[np.bool_]] | None:
    """Evidence, N x 3, and truth of the pixels that teach."""
    small = Shrunk.of(picture.probability, picture.rgb)
    evidence = gather_evidence(small)
    if evidence is None:
        return None
    truth = np.asarray(cv2.resize(picture.truth, small.likely.shape[::-1], interpolation=cv2.INTER_AREA)) > 0.5
    inside = truth.astype(np.uint8)
    away = [np.asarray(cv2.distanceTransform(side, cv2.DIST_L2, 3)) for side in (inside, 1 - inside)]
    wanted = small.doubtful & (np.maximum(*away) > AWAY)
    return evidence[wanted], truth[wanted]


def fit(pictures: Iterable[Picture]) -> NDArray[np.float64]:
    """Weights of networks, colour and place, and the bias."""
    evidence, truth = (
        np.concatenate(parts) for parts in zip(*filter(None, map(pixels_in_doubt, pictures)), strict=True)
    )
    mean, spread = evidence.mean(axis=0), evidence.std(axis=0)
    features = np.c_[(evidence - mean) / spread, np.ones(len(evidence))].astype(np.float64)

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        odds = features @ weights
        value = np.mean(np.logaddexp(0, odds) - truth * odds) + 0.5 * PULL * weights @ weights
        return float(value), features.T @ (expit(odds) - truth) / len(features) + PULL * weights

    weights = minimize(loss, np.zeros(4), jac=True, method="L-BFGS-B").x
    slopes = weights[:3] / spread
    return np.append(slopes, weights[3] - slopes @ mean)


def row(name: str, pictures: Sequence[Picture]) -> None:
    def scores(alphas: Callable[[Picture], FloatArray]) -> str:
        overlaps = [iou(alphas(picture) > 0.5, picture.truth > 0.5) for picture in pictures]
        away = np.mean([np.abs(alphas(picture) - picture.truth).mean() for picture in pictures])
        return f"{np.mean(overlaps):.4f} | {np.percentile(overlaps, 10):.4f} | {away:.4f}"

    print(f"| {name} ({len(pictures)}) | {scores(lambda p: p.plain)} | {scores(lambda p: p.settled)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--weights", type=Path, help="another file of networks than the shipped one")
    arguments = parser.parse_args()
    segmenter = load_adapter(get_card("lite"), arguments.weights, "cpu")
    ccp, mattes = (find_pairs(arguments.data / name) for name in ("ccp", "mattes"))
    training, validation, eight = (
        read_samples(pairs)[0] for pairs in (ccp.training[::2], ccp.validation, (*mattes.training, *mattes.validation))
    )
    sets = {
        "training": [look(segmenter, *upper_body(sample)) for sample in training],
        "validation": [look(segmenter, *upper_body(sample)) for sample in validation],
        "mattes": [look(segmenter, sample.rgb, sample.alpha) for sample in eight],
        "mattes, mirrored": [
            look(segmenter, *(np.ascontiguousarray(part[:, ::-1]) for part in (sample.rgb, sample.alpha)))
            for sample in eight
        ],
    }
    fitted = fit(sets["training"])
    used = [getattr(lite_regions, f"W_{name}") for name in ("NETWORKS", "COLOUR", "PLACE", "BIAS")]
    print("networks, colour, place, bias")
    print("fitted:", *(f"{weight:.2f}" for weight in fitted))
    print("in use:", *(f"{weight:.2f}" for weight in used))
    print("\n| | IoU | tenth percentile | MAD | IoU, settled | tenth percentile | MAD |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, pictures in sets.items():
        row(name, pictures)
    before, after = np.median([picture.seconds for picture in sets["validation"]], axis=0)
    print(f"\nA validation picture takes {after / before:.2f} of the time ({(after - before) * 1e3:+.0f} ms)")


if __name__ == "__main__":
    main()
