"""How well ``classic`` finds people: intersection over union on upper-body crops with human-made masks.

    python benchmarks/classic.py SHARED/data/ccp [--every N] [--photo FILE]

The folder is a copy of Clothing Co-Parsing (W. Yang, P. Luo and L. Lin, CVPR 2014) with ``photos/NNNN.jpg``,
``masks/NNNN.png`` and ``index.json`` whose list ``clean`` is used.

The crop: all columns; rows from 25 above the mask's first row to 45 % of the mask's bounding box below that first row.
The reference in the same run is plain GrabCut as OpenCV has it, started from the same faces and silhouette: five rounds
at 384 pixels and the largest component. Even ids gave the silhouette and the weights; none was fitted to odd ids.
"""

from __future__ import annotations

import argparse
import json
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch

from arena.metrics import iou
from arena.models.classic import central_prior, find_subject_faces, segment_classic, silhouette

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from arena.faces import Face

MARGIN_ABOVE = 25
UPPER_PART = 0.45


def crop(folder: Path, name: str) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The upper body of one picture, as RGB, and its mask."""
    photo = cv2.imread(str(folder / "photos" / f"{name}.jpg"))
    mask = cv2.imread(str(folder / "masks" / f"{name}.png"), cv2.IMREAD_GRAYSCALE)
    if photo is None or mask is None:
        raise SystemExit(f"{folder} has no picture and mask {name}")
    rows = np.flatnonzero((mask > 127).any(axis=1))
    first, height = int(rows[0]), int(rows[-1] - rows[0] + 1)
    part = slice(max(0, first - MARGIN_ABOVE), first + round(UPPER_PART * height))
    return np.ascontiguousarray(photo[part, :, ::-1], dtype=np.uint8), np.asarray(mask[part]) > 127


def plain_grabcut(rgb: NDArray[np.uint8], faces: list[Face]) -> NDArray[np.bool_]:
    """The reference."""
    factor = min(1.0, 384 / max(rgb.shape[:2]))
    small = cv2.resize(rgb, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    shape = (small.shape[0], small.shape[1])
    near = [face.scaled(factor, factor) for face in faces]
    prior = silhouette(shape, near) if near else central_prior(shape)
    labels = np.where(prior > 0, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[prior > 3] = cv2.GC_FGD
    labels[prior < -4] = cv2.GC_BGD
    cv2.setRNGSeed(0)
    cv2.grabCut(small, labels, (0, 0, 1, 1), np.zeros((1, 65)), np.zeros((1, 65)), 5, cv2.GC_INIT_WITH_MASK)
    count, components, stats, _ = cv2.connectedComponentsWithStats(labels & 1)
    if count > 1:
        labels = (components == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))).astype(np.uint8)
    enlarged = cv2.resize((labels & 1).astype(np.float32), rgb.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(enlarged > 0.5, dtype=np.bool_)


def measure(task: tuple[Path, str]) -> tuple[str, int, float, float]:
    """Id, faces, and the overlaps of the reference and of ``classic``."""
    folder, name = task
    rgb, truth = crop(folder, name)
    faces = find_subject_faces(rgb)
    return (
        name,
        len(faces),
        iou(plain_grabcut(rgb, faces), truth),
        iou(segment_classic(rgb, faces) > 0.5, truth),
    )


def one_thread() -> None:
    """Each process has a core to itself."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def table(rows: list[tuple[str, int, float, float]]) -> None:
    print(f"{'ids':<12}{'n':>5}  {'method':<15}{'mean':>8}{'median':>8}{'p10':>8}{'error vs plain':>16}")
    groups = {
        "even (fitted)": [r for r in rows if int(r[0]) % 2 == 0],
        "odd": [r for r in rows if int(r[0]) % 2],
        "all": rows,
        "one face": [r for r in rows if r[1] == 1],
        "no face": [r for r in rows if r[1] == 0],
    }
    for label, group in groups.items():
        if not group:
            continue
        plain = np.array([r[2] for r in group])
        for method, values in (("plain GrabCut", plain), ("classic", np.array([r[3] for r in group]))):
            ratio = (1 - values.mean()) / max(1e-9, 1 - plain.mean())
            print(
                f"{label:<14}{len(group):>4}  {method:<14}{values.mean():>8.4f}{np.median(values):>8.4f}"
                f"{np.percentile(values, 10):>8.4f}{ratio:>15.2f}x"
            )


def time_stages(photo: Path) -> None:
    """Seconds on one photo, the best of three, and each stage's share."""
    image = cv2.imread(str(photo))
    if image is None:
        raise SystemExit(f"{photo} is no picture")
    height, width = image.shape[:2]
    factor = (12e6 / (height * width)) ** 0.5
    rgb = np.ascontiguousarray(cv2.resize(image, None, fx=factor, fy=factor)[:, :, ::-1], dtype=np.uint8)
    find_subject_faces(rgb)
    finding, cutting = [], []
    for _ in range(3):
        start = time.perf_counter()
        faces = find_subject_faces(rgb)
        middle = time.perf_counter()
        segment_classic(rgb, faces)
        finding.append(middle - start)
        cutting.append(time.perf_counter() - middle)
    whole = min(finding) + min(cutting)
    print(
        f"{rgb.shape[1]} x {rgb.shape[0]}: faces {min(finding):.2f} s ({min(finding) / whole:.0%}), "
        f"matte {min(cutting):.2f} s ({min(cutting) / whole:.0%}), together {whole:.2f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", type=int, default=1, metavar="N", help="take each Nth id only")
    parser.add_argument("--photo", type=Path, help="time this photo, resized to 12 megapixels")
    parser.add_argument("--worst", type=int, default=0, metavar="N", help="name the N worst ids")
    arguments = parser.parse_args()
    names = json.loads((arguments.folder / "index.json").read_text())["clean"][:: arguments.every]
    with ProcessPoolExecutor(initializer=one_thread) as pool:
        rows = list(pool.map(measure, [(arguments.folder, name) for name in names], chunksize=4))
    table(rows)
    for row in sorted(rows, key=lambda row: row[3])[: arguments.worst]:
        print(f"{row[0]}: {row[1]} face(s), plain {row[2]:.3f}, classic {row[3]:.3f}")
    if arguments.photo:
        time_stages(arguments.photo)


if __name__ == "__main__":
    main()
