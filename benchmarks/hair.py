"""The hair refiner against the mask as it is and the guided filter, in the same run; cross-validated.

    python -m benchmarks.hair SHARED/data/mattes [SHARED/data/ccp] --out FOLDER [--shipped]

Eight photographs with recorded hair-level alphas. SAM's own logits cannot be had without its weights, so they are
simulated: the alpha made as small, smooth and solid as SAM's masks are, in four ways a picture. Each picture is scored
by weights that have not seen it (four trainings, each without two of the pictures); ``--shipped`` scores the weights in
the box instead, which have seen all of them. What is looked at is the whole photo at its own size.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from arena.metrics import gradient_error, mad
from arena.models.hair import HairRefiner
from arena.refine import PRESETS, refine
from arena.training.hair import coarsen, take_apart, to_matte
from arena.training.hair_run import SHIPPED_PLAN, HairPlan, HairRun, read_hair_plan
from arena.training.pictures import Sample, find_pairs, read_samples

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from arena.training.trainer import Progress

    Refiner = Callable[[NDArray[np.float32], NDArray[np.uint8]], NDArray[np.float32]]

FOLDS = 4
WAYS = 4
"""In which each alpha is made coarse."""


def as_it_is(logits: NDArray[np.float32], rgb: NDArray[np.uint8]) -> NDArray[np.float32]:  # noqa: ARG001
    return (logits > 0).astype(np.float32)


def guided(logits: NDArray[np.float32], rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    return refine(as_it_is(logits, rgb), rgb, PRESETS["hair"])


def scores(sample: Sample, refiners: dict[str, Refiner]) -> dict[str, NDArray[np.float64]]:
    """MAD, gradient error and seconds of each, the mean over the ways."""
    truth, small = to_matte(sample.alpha), to_matte(take_apart(sample).alpha)
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in refiners}
    for way in range(WAYS):
        logits = coarsen(small, np.random.default_rng([way, len(sample.name)]))
        full = np.asarray(cv2.resize(logits, truth.shape[::-1], interpolation=cv2.INTER_LINEAR), dtype=np.float32)
        for name, refiner in refiners.items():
            start = time.perf_counter()
            alpha = refiner(full, sample.rgb)
            seconds = time.perf_counter() - start
            found[name].append((mad(alpha, truth), gradient_error(alpha, truth), seconds))
    return {name: np.array(rows).mean(axis=0) for name, rows in found.items()}


def train(plan: HairPlan, folders: list[Path], out: Path, left_out: tuple[str, ...]) -> Path:
    settings = dataclasses.replace(plan.settings, leave_out=left_out)

    def show(progress: Progress) -> None:
        if progress.scores:
            print(f"without {', '.join(left_out)}, step {progress.step}: {progress.scores}", flush=True)

    return HairRun(dataclasses.replace(plan, settings=settings), folders, out).run(show)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+", help="the first folder is scored")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--plan", type=Path, default=SHIPPED_PLAN)
    parser.add_argument("--shipped", action="store_true", help="score the weights in the box")
    arguments = parser.parse_args()
    index = find_pairs(arguments.data[0])
    samples, _ = read_samples(index.training + index.validation)
    samples.sort(key=lambda sample: sample.name)
    plan = read_hair_plan(arguments.plan)
    rows: dict[str, dict[str, NDArray[np.float64]]] = {}
    for fold in range(FOLDS):
        part = samples[fold::FOLDS]
        left_out = tuple(sample.name for sample in part)
        weights = None if arguments.shipped else train(plan, arguments.data, arguments.out / str(fold), left_out)
        refiners: dict[str, Refiner] = {
            "the mask as it is": as_it_is,
            "guided filter": guided,
            "hair refiner": HairRefiner.load(weights).refine,
        }
        rows |= {sample.name: scores(sample, refiners) for sample in part}
    names = list(next(iter(rows.values())))
    print("\n| | MAD | of the mask's | gradient error | of the mask's | better in both on | seconds |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    table = {name: np.array([row[name] for row in rows.values()]) for name in names}
    base = table[names[0]]
    for name, values in table.items():
        mean, of = values.mean(axis=0), values.mean(axis=0) / base.mean(axis=0)
        better = int((values[:, :2] < base[:, :2]).all(axis=1).sum())
        told = f"{better} of {len(values)}" if name != names[0] else ""
        print(f"| {name} | {mean[0]:.4f} | {of[0]:.2f} | {mean[1]:.1f} | {of[1]:.2f} | {told} | {mean[2]:.2f} |")
    print("\n| picture |" + "".join(f" {name} |" for name in names))
    print("| --- |" + " ---: |" * len(names))
    for picture, row in rows.items():
        print(f"| {picture} |" + "".join(f" {row[name][0]:.4f}, {row[name][1]:.1f} |" for name in names))


if __name__ == "__main__":
    main()
