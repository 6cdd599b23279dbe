"""The subject's own colours in mixed pixels: error against known colours, and seconds, beside named references.

    python benchmarks/foreground.py [--pymatting PYTHON] [--rounds 5]

``--pymatting`` names an interpreter that has ``pymatting``, which this project does not install. The error part needs
the developers' reference data (``ARENA_SHARED``, or ``shared`` beside the checkout): each photo of ``data/mattes`` is
laid over a known plate, its foreground estimated from the composite, and laid over the default blurred background; the
ideal is ``alpha * F + (1 - alpha) * blur(plate)``. F is the photo itself, whose mixed pixels hold some of its own old
background; and, as a second truth, the photo with its opaque colours continued into them, streaked like hair.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from arena.compose import blur_plate, composite
from arena.compose.fill import push_pull
from arena.refine.foreground import METHODS, estimate_foreground
from benchmarks.compositor import (
    COLUMNS,
    CORES,
    HAIR,
    ROWS,
    TRUTH_KERNEL,
    covering,
    enlarged,
    known_plates,
    never_quite,
    read,
    read_matte,
    seconds,
    synthetic_portrait,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]
    Matte = NDArray[np.float32]
    Estimate = Callable[[Picture, Matte], Picture]

STREAKS = 30.0
"""Standard deviation in levels of what the continued colours are streaked with."""
MIXED = (0.1, 0.9)
"""Alpha of the pixels that are judged as mixed."""

PYMATTING = """
import sys, time, pathlib
import numpy as np
from pymatting import estimate_foreground_ml
def work(path):
    pair = np.load(path)
    rgb, alpha = pair["rgb"].astype(np.float32) / np.float32(255), pair["alpha"]
    start = time.perf_counter()
    found = estimate_foreground_ml(rgb, alpha)
    taken = time.perf_counter() - start
    np.save(path.with_suffix(".npy"), np.clip(np.rint(found * 255), 0, 255).astype(np.uint8))
    return taken
paths = sorted(pathlib.Path(sys.argv[1]).glob("*.npz"))
work(paths[0])
print(*(work(path) for path in paths))
"""
"""Its multi-level method, compiled by a first call; the time is that of the call alone."""


@dataclass(frozen=True, eq=False)
class Case:
    """A composite whose foreground is known."""

    photo: Picture
    alpha: Matte
    front: Picture
    plate: Picture
    """The true background, blurred."""
    backdrop: Picture
    """The background as the compositor blurs it."""

    def errors(self, found: Picture) -> tuple[float, float, float]:
        """Levels where blur meets subject; in mixed pixels; and of the colour itself in mixed pixels, times alpha."""
        share = self.alpha[..., None]
        ideal = share * self.front + (1 - share) * self.plate
        off = np.abs(composite(found, self.backdrop, self.alpha) - ideal)
        ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (TRUTH_KERNEL, TRUTH_KERNEL))
        near = cv2.dilate((self.alpha > 0.5).astype(np.uint8), ellipse) > 0
        mixed = (self.alpha > MIXED[0]) & (self.alpha < MIXED[1])
        colour = share * np.abs(found.astype(np.float32) - self.front)
        return float(off[near & (self.alpha < 0.98)].mean()), float(off[mixed].mean()), float(colour[mixed].mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pymatting", help="an interpreter that has pymatting")
    parser.add_argument("--rounds", type=int, default=5, help="repetitions of a timing")
    arguments = parser.parse_args()
    cv2.setNumThreads(CORES)
    shared = Path(os.environ.get("ARENA_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    folder = shared / "data" / "mattes"
    speed(folder, arguments.rounds, arguments.pymatting)
    if not folder.is_dir():
        print("\nNo reference data: the error part is left out.")
        return
    for title, continued in (("the photos as they are", False), ("their opaque colours continued", True)):
        truth(shared / "data", title, continued, arguments.pymatting)


def blur_fusion(photo: Picture, alpha: Matte) -> Picture:
    """Blur fusion as published: two passes at full size over the whole picture, boxes of 90 and 6 pixels."""
    image, share = photo.astype(np.float32) / np.float32(255), alpha[..., None]
    front, back = image, image
    for size in (90, 6):
        smooth = partial(cv2.blur, ksize=(size, size))
        opaque = np.asarray(smooth(alpha))[..., None]
        near = np.asarray(smooth(front * share)) / (opaque + 1e-5)
        back = np.asarray(smooth(back * (1 - share)) / (1 - opaque + 1e-5), np.float32)
        front = np.clip(near + share * (image - share * near - (1 - share) * back), 0, 1)
    return np.asarray(np.rint(front * 255), np.uint8)


def unchanged(photo: Picture, alpha: Matte) -> Picture:
    """No estimation: the photo's own pixels."""
    return photo if alpha.size else photo[:0]


METHODS_COMPARED: dict[str, Estimate] = {
    "none": unchanged,
    "blur fusion as published": blur_fusion,
    **{f"ours, {method}": partial(estimate_foreground, method=method) for method in METHODS},
}


def speed(folder: Path, rounds: int, python: str | None) -> None:
    rgb, alpha = synthetic_portrait()
    pairs = {"synthetic": (rgb, alpha), "synthetic, no pixel at 0 or 1": (rgb, never_quite(alpha))}
    for name in HAIR if folder.is_dir() else ():
        pairs[name] = enlarged(read(folder / f"{name}.jpg"), read_matte(folder / f"{name}.alpha.png"))
    references = pymatting(list(pairs.values()), python)[1] if python else [float("nan")] * len(pairs)
    print(f"Speed: ms at {ROWS * COLUMNS / 1e6:.0f} megapixels, {cv2.getNumThreads()} threads\n")
    names = [name for name in METHODS_COMPARED if name != "none"]
    print(f"| picture | mixed | {' | '.join(names)} | pymatting | pymatting / fast |")
    print("| --- |" + " ---: |" * (len(names) + 3))
    for (name, (photo, matte)), reference in zip(pairs.items(), references, strict=True):
        taken = {
            method: seconds(partial(METHODS_COMPARED[method], photo, matte), rounds if "fast" in method else 1)
            for method in names
        }
        share = ((matte > 0) & (matte < 1)).mean()
        cells = " | ".join(f"{time * 1000:.0f}" for time in taken.values())
        ratio = reference / taken["ours, fast"]
        print(f"| {name} | {share:.1%} | {cells} | {reference * 1000:.0f} | {ratio:.1f} |", flush=True)


def truth(data: Path, title: str, continued: bool, python: str | None) -> None:
    cases = known_cases(data, continued)
    print(f"\nError in levels, {len(cases)} composites, kernel {TRUTH_KERNEL}; true colours: {title}\n")
    print("| method | blur meets subject | mixed pixels | colour times alpha |\n| --- | ---: | ---: | ---: |")
    found = {name: [estimate(case.photo, case.alpha) for case in cases] for name, estimate in METHODS_COMPARED.items()}
    if python:
        found["pymatting, multi-level"] = pymatting([(case.photo, case.alpha) for case in cases], python)[0]
    found["the true colours"] = [case.front for case in cases]
    for name, pictures in found.items():
        rows = [case.errors(picture) for case, picture in zip(cases, pictures, strict=True)]
        print(f"| {name} | {' | '.join(f'{mean:.2f}' for mean in np.mean(rows, axis=0))} |", flush=True)


def known_cases(data: Path, continued: bool) -> list[Case]:
    cases = []
    rng = np.random.default_rng(0)
    for plate in known_plates(data).values():
        for name in sorted((data / "mattes").glob("*.jpg")):
            front, alpha = read(name), read_matte(name.with_suffix(".alpha.png"))
            if continued:
                front = continue_opaque(front, alpha, rng)
            behind = covering(plate, *alpha.shape)
            photo = composite(front, behind, alpha)
            true_blur = blur_plate(behind, np.zeros_like(alpha), TRUTH_KERNEL, fill="telea")
            cases.append(Case(photo, alpha, front, true_blur, blur_plate(photo, alpha, TRUTH_KERNEL)))
    return cases


def continue_opaque(photo: Picture, alpha: Matte, rng: np.random.Generator) -> Picture:
    """The subject as it would be without its old background: colours from opaque pixels alone."""
    solid = np.asarray(cv2.erode((alpha > 0.98).astype(np.float32), np.ones((3, 3), np.uint8)), np.float32)
    smooth = push_pull(photo * solid[..., None], solid)
    streaks = cv2.blur(rng.normal(0, STREAKS, alpha.shape).astype(np.float32), (1, 9))
    levels = np.clip(np.rint(smooth + np.asarray(streaks)[..., None]), 0, 255).astype(np.uint8)
    return np.where(solid[..., None] > 0, photo, levels)


def pymatting(pairs: list[tuple[Picture, Matte]], python: str) -> tuple[list[Picture], list[float]]:
    """Foregrounds and seconds of pymatting, in an interpreter of its own with as many threads."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, (rgb, alpha) in enumerate(pairs):
            np.savez(folder / f"{number:03}.npz", rgb=rgb, alpha=alpha)
        run = subprocess.run(
            [python, "-c", PYMATTING, name],
            check=True,
            capture_output=True,
            text=True,
            env=os.environ | {"NUMBA_NUM_THREADS": str(CORES)},
        )
        found = [np.load(path) for path in sorted(folder.glob("*.npy"))]
    return found, [float(word) for word in run.stdout.split()]


if __name__ == "__main__":
    main()
