"""How well Arena Lite does on people it has not seen, against ``classic`` in the same run; and how fast.

    python -m benchmarks.lite SHARED/data [--weights FILE] [--only-mattes NAME...] [--no-classic]

``ccp/`` (Clothing Co-Parsing) gives upper bodies of the clean pictures whose number ends in 4, which were never trained
on; ``mattes/`` eight photographs with hair-level alphas. The pictures of ``mattes`` were trained on by the shipped
weights: their honest scores come from cross-validation, where each is scored by weights that have not seen it
(``--weights`` of that fold, ``--only-mattes`` its names).
"""

from __future__ import annotations

import argparse
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import psutil

from arena.catalog import get_card
from arena.devices import resolve_device
from arena.metrics import bootstrap_interval, boundary_iou, gradient_error, iou, mad
from arena.models.lite import LiteSegmenter
from arena.models.pool import load_adapter
from arena.photo import Photo
from arena.training.pictures import find_pairs, read_samples, upper_body

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from arena.models.base import Segmenter


def crops(folder: Path) -> list[tuple[str, NDArray[np.uint8], NDArray[np.float32]]]:
    """Upper bodies of the validation pictures."""
    samples, _ = read_samples(find_pairs(folder).validation)
    return [(s.name, *_float(*upper_body(s))) for s in samples]


def mattes(folder: Path, names: set[str]) -> list[tuple[str, NDArray[np.uint8], NDArray[np.float32]]]:
    """Whole photographs with alphas."""
    index = find_pairs(folder)
    samples, _ = read_samples(index.training + index.validation)
    return [(s.name, *_float(s.rgb, s.alpha)) for s in samples if not names or s.name in names]


def _float(rgb: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    return rgb, (alpha / np.float32(255)).astype(np.float32)


def scores(
    segmenter: Segmenter, pictures: Iterable[tuple[str, NDArray[np.uint8], NDArray[np.float32]]]
) -> dict[str, tuple[float, float, float, float]]:
    """IoU, boundary IoU, MAD and gradient error of each picture."""
    found = {}
    for name, rgb, truth in pictures:
        alpha = segmenter.segment(Photo.from_array(rgb)).alpha
        mask, person = alpha > 0.5, truth > 0.5
        found[name] = (
            iou(mask, person),
            boundary_iou(mask, person),
            mad(alpha, truth),
            gradient_error(alpha, truth),
        )
    return found


def table(title: str, rows: dict[str, dict[str, tuple[float, float, float, float]]]) -> None:
    count = len(next(iter(rows.values())))
    print(f"\n{title}, {count} pictures\n")
    print("| | IoU (95 % interval) | median | tenth percentile | boundary IoU | MAD | gradient error |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for model, found in rows.items():
        values = np.array(list(found.values()))
        low, high = bootstrap_interval(values[:, 0])
        print(
            f"| {model} | {values[:, 0].mean():.4f} ({low:.4f} to {high:.4f}) | {np.median(values[:, 0]):.4f} "
            f"| {np.percentile(values[:, 0], 10):.4f} | {values[:, 1].mean():.4f} | {values[:, 2].mean():.4f} "
            f"| {values[:, 3].mean():.2f} |"
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--weights", type=Path, help="another file than the shipped one")
    parser.add_argument("--only-mattes", nargs="+", metavar="NAME", help="score these mattes alone")
    parser.add_argument("--no-classic", action="store_true")
    parser.add_argument("--each", action="store_true", help="print every picture's scores")
    arguments = parser.parse_args()
    device = resolve_device("cpu")
    segmenters: dict[str, Segmenter] = {"lite": LiteSegmenter.load(get_card("lite"), arguments.weights, device)}
    chosen = mattes(arguments.data / "mattes", set(arguments.only_mattes or ()))
    if not arguments.no_classic:
        segmenters["classic"] = load_adapter(get_card("classic"), None, device)
    sets = {"mattes": chosen}
    if not arguments.only_mattes:
        sets = {"ccp, upper bodies of validation": crops(arguments.data / "ccp"), **sets}
    for title, pictures in sets.items():
        rows = {key: scores(segmenter, pictures) for key, segmenter in segmenters.items()}
        table(title, rows)
        if arguments.each:
            for name, values in rows["lite"].items():
                print(name, *(f"{value:.4f}" for value in values))
    if not arguments.only_mattes:
        speed(segmenters, chosen[0][1])
        memory(chosen[0][1])


if __name__ == "__main__":
    main()
