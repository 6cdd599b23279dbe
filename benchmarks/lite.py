"""How well Arena Lite does on people it has not seen, against ``classic`` in the same run; and how fast.

    python -m benchmarks.lite SHARED/data [--weights FILE] [--only-mattes NAME...] [--no-classic] [--views]

``ccp/`` (Clothing Co-Parsing) gives upper bodies of the clean pictures whose number ends in 4, which were never trained
on; ``mattes/`` eight photographs with hair-level alphas, which the shipped weights have never seen either. They are
few and each counts for much, so they are scored mirrored as well. Weights of a cross-validation are scored on what they
have not seen by ``--weights`` of a fold and ``--only-mattes`` its names.
"""

from __future__ import annotations

import argparse
import importlib
import threading
import time
from collections import Counter, defaultdict
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from unittest.mock import patch

import cv2
import numpy as np
import psutil
from PIL import Image, ImageOps

from arena.catalog import get_card
from arena.evaluation import evaluate
from arena.metrics import bootstrap_interval, iou
from arena.models import lite
from arena.models.lite_input import Tone
from arena.models.pool import load_adapter
from arena.photo import Photo
from arena.training.pictures import find_pairs, read_samples, upper_body

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

    from arena.evaluation import Row
    from arena.models.base import Segmenter


def table(title: str, models: dict[str, list[Row]]) -> None:
    count = len(next(iter(models.values())))
    print(f"\n{title}, {count} pictures\n")
    print("| | IoU (95 % interval) | median | tenth percentile | boundary IoU | MAD | gradient error |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for model, rows in models.items():
        overlaps, boundaries, differences, gradients = (
            np.array([row.scores[key] for row in rows]) for key in ("iou", "boundary_iou", "mad", "gradient")
        )
        low, high = bootstrap_interval(overlaps)
        print(
            f"| {model} | {overlaps.mean():.4f} ({low:.4f} to {high:.4f}) | {np.median(overlaps):.4f} "
            f"| {np.percentile(overlaps, 10):.4f} | {boundaries.mean():.4f} | {differences.mean():.4f} "
            f"| {gradients.mean():.2f} |"
        )


def speed(segmenters: dict[str, Segmenter], rgb: NDArray[np.uint8]) -> None:
    """Seconds for 12 megapixels, in turns, the best of five."""
    factor = (12e6 / (rgb.shape[0] * rgb.shape[1])) ** 0.5
    photo = Photo.from_array(np.asarray(cv2.resize(rgb, None, fx=factor, fy=factor), dtype=np.uint8))
    whole: dict[str, list[float]] = {key: [] for key in segmenters}
    network: dict[str, list[float]] = {key: [] for key in segmenters}
    for _ in range(6):
        for key, segmenter in segmenters.items():
            start = time.perf_counter()
            matte = segmenter.segment(photo)
            whole[key].append(time.perf_counter() - start)
            network[key].append(matte.seconds)
    print(f"\n{photo.width} x {photo.height}, the best of five after a first one\n")
    print("| | network | in all | against classic |\n| --- | --- | --- | --- |")
    reference = min(whole.get("classic", whole["lite"])[1:])
    for key in segmenters:
        best = min(whole[key][1:])
        print(f"| {key} | {min(network[key][1:]) * 1e3:.0f} ms | {best * 1e3:.0f} ms | {best / reference:.2f} |")


def memory(rgb: NDArray[np.uint8]) -> None:
    """What a first 12-megapixel photo takes on top of the imports, loading the weights included."""
    photo = Photo.from_array(np.asarray(cv2.resize(rgb, (4000, 3000)), dtype=np.uint8))
    process = psutil.Process()
    before = process.memory_info().rss
    highest, done = before, threading.Event()

    def watch() -> None:
        nonlocal highest
        while not done.wait(0.002):
            highest = max(highest, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    load_adapter(get_card("lite"), None, "cpu").segment(photo)
    done.set()
    watcher.join()
    print(f"\nMemory at the peak, on top of imports, photo and what ran before: {(highest - before) / 2**20:.0f} MiB")


WITHOUT_PEOPLE = (
    "binary_blobs",
    "brick",
    "cat",
    "cell",
    "checkerboard",
    "clock",
    "coffee",
    "coins",
    "colorwheel",
    "grass",
    "gravel",
    "horse",
    "hubble_deep_field",
    "immunohistochemistry",
    "logo",
    "microaneurysms",
    "moon",
    "page",
    "retina",
    "rocket",
    "shepp_logan_phantom",
    "text",
    "stereo_motorcycle",
)
"""Names of scikit-image's own pictures that nobody is in."""


def picture_without_people(name: str) -> NDArray[np.uint8]:
    made = getattr(importlib.import_module("skimage.data"), name)()
    pixels = np.asarray(made[0] if isinstance(made, tuple) else made)
    if pixels.dtype != np.uint8:
        pixels = (pixels.astype(np.float64) / max(1e-9, float(pixels.max())) * 255).astype(np.uint8)
    return np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else np.ascontiguousarray(pixels[..., :3])


def views_of_people(
    rgb: NDArray[np.uint8], alpha: NDArray[np.uint8]
) -> dict[str, tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """One picture in other lights and cut off in other ways, if enough of somebody is left, each with its matte."""
    height, width = rgb.shape[:2]
    grey = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)
    views = {
        "as it is": rgb,
        "grey": np.repeat(grey[..., None], 3, axis=2),
        "dark": (rgb * 0.25).astype(np.uint8),
        "pale": (255 - (255 - rgb.astype(np.float32)) * 0.4).astype(np.uint8),
    }
    for part in (400, 200, 100):
        blurred = cv2.GaussianBlur(rgb, (0, 0), max(height, width) / part)
        views[f"blurred by 1/{part}"] = np.asarray(blurred, np.uint8)
    grain = np.random.default_rng(0).normal(0, 4, rgb.shape)
    views["blurred by 1/200, grain"] = np.clip(views["blurred by 1/200"] + grain, 0, 255).astype(np.uint8)
    for across in (160, 80):
        size = across, max(1, round(across * height / width))
        views[f"{across} pixels wide"] = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
    whole = {name: (view, alpha) for name, view in views.items()}
    rows, columns = slice(None), slice(None)
    parts = {
        "left half": (rows, slice(width // 2)),
        "right half": (rows, slice(width // 2, None)),
        "upper half": (slice(height // 2), columns),
        "lower half": (slice(height // 2, None), columns),
    }
    cut = {name: (np.ascontiguousarray(rgb[part]), alpha[part]) for name, part in parts.items()}
    return whole | {name: pair for name, pair in cut.items() if pair[1].mean() > 0.04 * 255}


def presence(data: Path, weights: Path | None) -> None:
    """Whether somebody is found where there is somebody, and nobody where there is nobody."""
    segmenter = load_adapter(get_card("lite"), weights, "cpu")
    noise = np.random.default_rng(0).integers(0, 256, (400, 600, 3), dtype=np.uint8)
    empty = {name: picture_without_people(name) for name in WITHOUT_PEOPLE}
    empty |= {"noise": noise, "coarse noise": np.ascontiguousarray(noise[::16, ::16].repeat(16, 0).repeat(16, 1))}
    found = [name for name, rgb in empty.items() if segmenter.segment(Photo.from_array(rgb)).found]
    print(f"\nNobody is found in {len(empty) - len(found)} of {len(empty)} pictures without a person; somebody in:")
    print(", ".join(found) or "none")
    lights: Counter[str] = Counter()
    for rgb in empty.values():
        for name, (view, _) in views_of_people(rgb, np.full(rgb.shape[:2], 255, np.uint8)).items():
            lights[name] += segmenter.segment(Photo.from_array(view)).found
    print("The same in other views:", ", ".join(f"{name} {count}" for name, count in lights.items() if count))
    pairs = find_pairs(data / "ccp").validation + find_pairs(data / "mattes").training
    samples, _ = read_samples(pairs)
    plain = patch.multiple(lite, clarify=lambda rgb: rgb, measure_tone=lambda _: Tone(0, 255, 0))
    ways: dict[str, AbstractContextManager[object]] = {"as they are": plain, "shown clearer": nullcontext()}
    seen: Counter[str] = Counter()
    missed: Counter[tuple[str, str]] = Counter()
    overlap: dict[tuple[str, str], float] = defaultdict(float)
    for sample in samples:
        for name, (view, truth) in views_of_people(*upper_body(sample)).items():
            seen[name] += 1
            size = truth.shape[1], truth.shape[0]
            for way, shown in ways.items():
                with shown:
                    matte = segmenter.segment(Photo.from_array(view))
                missed[name, way] += not matte.found
                enlarged = np.asarray(cv2.resize(matte.alpha, size, interpolation=cv2.INTER_LINEAR))
                overlap[name, way] += iou(enlarged > 0.5, truth > 127)
    print("\n| views of people | seen |", " | ".join(f"missed {way} | IoU" for way in ways), "|")
    print("| --- | --- |", " | ".join("--- | ---" for _ in ways), "|")
    for name, count in seen.items():
        scores = (f"{missed[name, way]} | {overlap[name, way] / count:.3f}" for way in ways)
        print(f"| {name} | {count} |", " | ".join(scores), "|")


def mirrored(folder: Path, target: Path) -> Path:
    """The pictures and mattes of a folder, left for right, in another one."""
    target.mkdir()
    for path in sorted(folder.glob("*.*g")):
        with Image.open(path) as image:
            # Losslessly: only the side is to be another.
            ImageOps.mirror(ImageOps.exif_transpose(image)).save(target / f"{path.stem}.png")
    return target


def is_wanted(row: Row, names: list[str] | None) -> bool:
    return not names or Path(row.picture).stem in names


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--weights", type=Path, help="another file than the shipped one")
    parser.add_argument("--only-mattes", nargs="+", metavar="NAME", help="score these mattes alone")
    parser.add_argument("--no-classic", action="store_true")
    parser.add_argument("--views", action="store_true", help="only who is found in other lights, cuts and sizes")
    parser.add_argument("--each", action="store_true", help="print every picture's scores")
    arguments = parser.parse_args()
    if arguments.views:
        presence(arguments.data, arguments.weights)
        return
    of = f"={arguments.weights}" if arguments.weights else ""
    models = {"lite": f"lite{of}", "lite, following hair": f"lite+hair{of}"}
    if not arguments.no_classic:
        models["classic"] = "classic"
    mattes = evaluate(arguments.data / "mattes", models.values(), device="cpu")
    reports = {"mattes": mattes}
    with TemporaryDirectory() as place:
        turned = mirrored(arguments.data / "mattes", Path(place) / "mirrored")
        reports["mattes, mirrored"] = evaluate(turned, models.values(), device="cpu")
    if not arguments.only_mattes:
        ccp = arguments.data / "ccp"
        crops = evaluate(ccp, models.values(), split="validation", crop="upper-body", as_mattes=True, device="cpu")
        reports = {"ccp, upper bodies of validation": crops, **reports}
    for title, report in reports.items():
        rows = {
            key: [row for row in report.of(name) if is_wanted(row, arguments.only_mattes)]
            for key, name in models.items()
        }
        table(title, rows)
        if arguments.each:
            for row in rows["lite"]:
                print(row.picture, *(f"{row.scores[key]:.4f}" for key in ("iou", "boundary_iou", "mad", "gradient")))
    if not arguments.only_mattes:
        weights = {"lite": arguments.weights}
        segmenters: dict[str, Segmenter] = {
            key: load_adapter(get_card(key), weights.get(key), "cpu") for key in ("lite", "classic") if key in models
        }
        photo = Photo.open(arguments.data / "mattes" / mattes.pictures[0])
        speed(segmenters, photo.rgb)
        presence(arguments.data, arguments.weights)
        memory(photo.rgb)


if __name__ == "__main__":
    main()
