"""Sheets to look at: every photo of the reference data with its background blurred in three ways.

    python -m benchmarks.sheets SHARED/data --out FOLDER [--kernel 61] [--per-sheet 8] [--only ccp]

A row a photo: the photo; naive (the whole photo blurred, the subject laid over it: a halo of its own colours); Telea
(the subject inpainted away, then blurred: the textbook's way); ours, with the subject's own colours; and the subject
over plain green, where every fringe shows. ``mattes`` and ``ccp`` have mattes and masks, ``photos`` get theirs from
Arena Lite. What was seen is written in sheets.md.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from arena.compose import Plain, blur_background, composite, replace_background
from arena.photo import Photo, fit_within
from arena.refine import feather
from arena.refine.foreground import estimate_foreground

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]
    Alpha = NDArray[np.float32]

SIDE = 360
"""Longest side of a picture on a sheet, in pixels."""
WORKING_SIDE = 1200
"""Longest side at which the effects are made."""
GREEN = Plain((60, 190, 90))


def find(data: Path, only: str | None) -> Iterator[tuple[str, Path, Path | None]]:
    """Set, photo and matte file; no matte file: a model makes it."""
    for photo in sorted((data / "mattes").glob("*.jpg")):
        yield "mattes", photo, photo.with_suffix("").with_suffix(".alpha.png")
    for photo in sorted((data / "photos").glob("*.jpg")):
        yield "photos", photo, None
    if only in (None, "ccp"):
        for photo in sorted((data / "ccp" / "photos").glob("*.jpg")):
            yield "ccp", photo, data / "ccp" / "masks" / f"{photo.stem}.png"


def matte_of(photo: Photo, file: Path | None) -> Alpha:
    if file is None:
        from arena.models.pool import load_model

        return load_model("lite", "cpu").segment(photo).alpha
    alpha = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
    if alpha is None:
        raise SystemExit(f"{file} is no picture")
    soft = (alpha / np.float32(255)).astype(np.float32)
    # Hard masks are softened as a model's are.
    return feather(soft) if len(np.unique(alpha)) == 2 else soft


def row(task: tuple[str, Path, Path | None], kernel: int) -> tuple[str, Pixels]:
    """One photo in five pictures."""
    name, path, file = task
    cv2.setNumThreads(1)
    photo = Photo.open(path)
    alpha = matte_of(photo, file)
    rgb = fit_within(photo.rgb, WORKING_SIDE)
    shrunk = np.asarray(cv2.resize(alpha, rgb.shape[1::-1], interpolation=cv2.INTER_AREA), dtype=np.float32)
    # Averages of ones exceed one by rounding.
    alpha = np.clip(shrunk, 0, 1)
    naive = np.asarray(cv2.GaussianBlur(rgb, (kernel, kernel), 0), dtype=np.uint8)
    front = estimate_foreground(rgb, alpha)
    pictures = [
        rgb,
        composite(rgb, naive, alpha),
        blur_background(rgb, alpha, kernel, passes=1, fill="telea"),
        blur_background(rgb, alpha, kernel, foreground=front),
        replace_background(rgb, alpha, GREEN, foreground=front),
    ]
    return name, np.hstack([_framed(picture) for picture in pictures])


def _framed(picture: Pixels) -> Pixels:
    small = fit_within(picture, SIDE)
    frame = np.full((SIDE, SIDE, 3), 32, np.uint8)
    frame[: small.shape[0], : small.shape[1]] = small
    return frame


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--kernel", type=int, default=61)
    parser.add_argument("--per-sheet", type=int, default=8)
    parser.add_argument("--only", choices=["mattes", "photos", "ccp"])
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    tasks = [task for task in find(arguments.data, arguments.only) if arguments.only in (None, task[0])]
    sheets: dict[str, list[Pixels]] = {}
    count = 0
    with ProcessPoolExecutor() as pool:
        for name, line in pool.map(partial(row, kernel=arguments.kernel), tasks):
            sheets.setdefault(name, []).append(line)
            if len(sheets[name]) == arguments.per_sheet:
                count += write(arguments.out, name, count, sheets.pop(name))
    for name, lines in sheets.items():
        count += write(arguments.out, name, count, lines)
    print(f"{len(tasks)} photos on {count} sheets in {arguments.out}")


def write(folder: Path, name: str, number: int, lines: list[Pixels]) -> int:
    cv2.imwrite(str(folder / f"{name}-{number:03d}.jpg"), np.vstack(lines)[..., ::-1])
    return 1


if __name__ == "__main__":
    main()
