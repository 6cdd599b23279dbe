"""The default background blur against the textbook one: seconds, error against a known truth, and look.

    python benchmarks/compositor.py [--kernel 101] [--rounds 7]

The speed part draws its own picture; with the developers' reference data (``ARENA_SHARED``, or ``shared`` beside the
checkout) it also times ``render_blur``, which estimates the subject's own colours first, on mattes of hair. The truth
part needs that data and scikit-image, and is left out without them: each photo of ``data/mattes`` is laid over a plate
that is known, so the ideal result is ``alpha * photo + (1 - alpha) * blur(plate)``.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from arena.compose import blur_background, blur_plate, composite
from arena.compose.bokeh import aperture, to_light
from arena.compose.light import levels_of
from arena.matte import Matte, MatteKind
from arena.photo import Photo
from arena.refine import feather
from arena.render import render_blur

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

CORES = 2
ROWS, COLUMNS = 3000, 4000
TRUTH_KERNEL = 61
SKIMAGE_PLATES = ("coffee", "chelsea", "rocket")
HAIR = ("p_22fc0130", "p_07141906")
"""Curls around a whole head, and an ordinary portrait."""
SOFT_MODEL = "birefnet"
"""Any model whose card leaves its mattes as they are."""
PHOTO_PLATES = ("06-long-hair-planks-plants.jpg",)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kernel", type=int, default=101, help="kernel of the speed part")
    parser.add_argument("--rounds", type=int, default=7, help="repetitions of the fast method")
    arguments = parser.parse_args()
    cv2.setNumThreads(CORES)
    shared = Path(os.environ.get("ARENA_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    speed(arguments.kernel, arguments.rounds)
    default_path(shared / "data" / "mattes", arguments.kernel, arguments.rounds)
    likeness()
    if (shared / "data" / "mattes").is_dir():
        truth(shared / "data")
    else:
        print("\nNo reference data: the truth part is left out.")


def synthetic_portrait() -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """A 12-megapixel picture with detail at several scales, and a head and shoulders that fill a third of it."""
    rng = np.random.default_rng(0)
    rgb = np.zeros((ROWS, COLUMNS, 3), np.float32)
    for cell in (4, 40, 400):
        noise = rng.random((ROWS // cell, COLUMNS // cell, 3), dtype=np.float32)
        rgb += cv2.resize(noise, (COLUMNS, ROWS), interpolation=cv2.INTER_LINEAR) * 85
    alpha = np.zeros((ROWS, COLUMNS), np.float32)
    cv2.ellipse(alpha, (COLUMNS // 2, 1100), (550, 750), 0, 0, 360, 1.0, -1)
    cv2.ellipse(alpha, (COLUMNS // 2, ROWS), (1300, 1100), 0, 0, 360, 1.0, -1)
    return rgb.astype(np.uint8), feather(alpha)


def enlarged(photo: NDArray[np.uint8], alpha: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Both at as many pixels as the synthetic picture has."""
    ratio = (ROWS * COLUMNS / alpha.size) ** 0.5
    size = (round(alpha.shape[1] * ratio), round(alpha.shape[0] * ratio))
    large = np.asarray(cv2.resize(photo, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    return large, np.clip(np.asarray(cv2.resize(alpha, size, interpolation=cv2.INTER_LINEAR), np.float32), 0, 1)


def never_quite(alpha: NDArray[np.float32]) -> NDArray[np.float32]:
    """The matte as a sigmoid gives it: no pixel at 0 or 1, so nothing can be skipped."""
    return np.asarray(np.clip(alpha, 0.01, 0.99), np.float32)


def seconds(work: Callable[[], Any], rounds: int) -> float:
    """Median of several rounds, after one to warm up if there is more than one."""
    return timed(work, rounds)[0]


def timed(work: Callable[[], Any], rounds: int) -> tuple[float, float]:
    """The same, and the processor time of all threads, which other programs on the machine hardly change."""
    if rounds > 1:
        work()
    times = []
    for _ in range(rounds):
        start = time.perf_counter(), time.process_time()
        work()
        times.append((time.perf_counter() - start[0], time.process_time() - start[1]))
    wall, processor = zip(*times, strict=True)
    return statistics.median(wall), statistics.median(processor)


def speed(kernel: int, rounds: int) -> None:
    rgb, alpha = synthetic_portrait()
    loose = never_quite(alpha)
    reference = seconds(lambda: blur_background(rgb, alpha, kernel, fill="telea"), 1)
    passes = seconds(lambda: cv2.GaussianBlur(rgb, (kernel, kernel), 0), 3) * 3
    print(f"Speed: {ROWS * COLUMNS / 1e6:.0f} megapixels, kernel {kernel}, {cv2.getNumThreads()} threads\n")
    print("| method | ms | Telea / this |\n| --- | ---: | ---: |")
    rows = {
        "Telea at full size, 3 passes (reference)": reference,
        "the 3 Gaussian passes alone": passes,
        "push-pull (default)": seconds(lambda: blur_background(rgb, alpha, kernel), rounds),
        "push-pull, no pixel at exactly 0 or 1": seconds(lambda: blur_background(rgb, loose, kernel), rounds),
    }
    for size in (5, 21, 51, 255):
        rows[f"push-pull, kernel {size}"] = seconds(partial(blur_background, rgb, alpha, size), rounds)
    rows["the disc of the same kernel at full size alone"] = seconds(partial(full_disc, rgb, kernel), 1)
    for size in (5, 21, 51, kernel, 255):
        rows[f"bokeh disc, kernel {size}"] = seconds(partial(blur_background, rgb, alpha, size, bokeh="disc"), rounds)
    # Feet at nine tenths of the picture's height, and somebody of eight tenths of it.
    away = np.abs(np.linspace(0, 1, len(alpha), dtype=np.float32)[:, None] - np.float32(0.9)) / np.float32(0.4)
    ground = np.minimum(away, 1)
    # The same ground, and in front of it a row of things that stand upright, each at a distance of its own.
    depth = np.repeat(ground, alpha.shape[1], axis=1)
    for number, left in enumerate(range(0, alpha.shape[1], alpha.shape[1] // 8)):
        depth[len(alpha) // 4 : len(alpha) // 2, left : left + alpha.shape[1] // 16] = number / 8
    for name, amount in (("the ground sharp", ground), ("by depth", depth)):
        for shape in ("gaussian", "disc"):
            blur = partial(blur_background, rgb, alpha, kernel, bokeh=shape, amount=amount)
            rows[f"{name}, {shape}, kernel {kernel}"] = seconds(blur, rounds)
    for name, taken in rows.items():
        print(f"| {name} | {taken * 1000:.1f} | {reference / taken:.0f} |")


def full_disc(rgb: NDArray[np.uint8], kernel: int) -> NDArray[np.uint8]:
    """What a lens makes of a picture, in linear light, by OpenCV's own filter."""
    # The standard deviation that OpenCV gives a kernel of this size, three times applied; a disc has half its radius.
    sigma = (0.3 * ((kernel - 1) / 2 - 1) + 0.8) * 3**0.5
    spread = cv2.filter2D(to_light(rgb), -1, aperture("disc", 2 * sigma), borderType=cv2.BORDER_REFLECT)
    return np.rint(levels_of(np.asarray(spread, np.float32))).astype(np.uint8)


def default_path(folder: Path, kernel: int, rounds: int) -> None:
    """What page, shell and ``arena.render_blur`` do with a soft matte, each picture against its own Telea."""
    rgb, alpha = synthetic_portrait()
    pairs = {"synthetic": (rgb, alpha), "synthetic, no pixel at 0 or 1": (rgb, never_quite(alpha))}
    for name in HAIR if folder.is_dir() else ():
        pairs[name] = enlarged(read(folder / f"{name}.jpg"), read_matte(folder / f"{name}.alpha.png"))
    print("\nSpeed with the subject's own colours: ms; Telea on the same picture over each, also by processor time\n")
    print("| picture | mixed | Telea | blur alone | Telea / it | render_blur | Telea / it | by processor |")
    print("| --- |" + " ---: |" * 7)
    for name, (picture, matte) in pairs.items():
        photo, soft = Photo.from_array(picture), Matte(matte, MatteKind.ALPHA, SOFT_MODEL)
        # The machine's mood changes over seconds, so the reference is taken before and after, and the quicker counts.
        telea = partial(blur_background, picture, matte, kernel, fill="telea")
        before = timed(telea, 1)
        blur = seconds(partial(blur_background, picture, matte, kernel), rounds)
        whole, busy = timed(partial(render_blur, photo, soft, kernel), rounds)
        reference, reference_busy = (min(pair) for pair in zip(before, timed(telea, 1), strict=True))
        mixed = ((matte > 0) & (matte < 1)).mean()
        times = f"{blur * 1000:.0f} | {reference / blur:.0f} | {whole * 1000:.0f} | {reference / whole:.0f}"
        ratio = reference_busy / busy
        print(f"| {name} | {mixed:.1%} | {reference * 1000:.0f} | {times} | {ratio:.0f} |", flush=True)


def likeness() -> None:
    """How far the reduced blur is from the textbook's where both have the same fill: an empty scene."""
    rgb = synthetic_portrait()[0][:1000, :1500]
    rng = np.random.default_rng(1)
    blocks = np.kron(rng.integers(0, 256, (84, 125, 3)), np.ones((12, 12, 1))).astype(np.uint8)[:1000]
    empty = np.zeros(rgb.shape[:2], np.float32)
    print(
        "\nLook: levels between the reduced and the textbook blur at identical fill (mean, max; max off the border)\n"
    )
    print("| kernel | soft picture | hard-edged blocks |\n| ---: | ---: | ---: |")
    for kernel in (3, 5, 9, 15, 17, 21, 35, 51, 75, 101, 151, 255):
        cells = []
        for picture in (rgb, blocks):
            ours = blur_plate(picture, empty, kernel).astype(int)
            off = np.abs(ours - blur_plate(picture, empty, kernel, fill="telea"))
            cells.append(f"{off.mean():.2f}, {off.max()}; {off[64:-64, 64:-64].max()}")
        print(f"| {kernel} | {cells[0]} | {cells[1]} |")


def truth(data: Path) -> None:
    plates = known_plates(data)
    names = sorted((data / "mattes").glob("*.jpg"))
    print(f"\nTruth: mean error in levels where blur meets subject, kernel {TRUTH_KERNEL}\n")
    print("| plate | matte | Telea | push-pull | ratio | floor |\n| --- | --- | ---: | ---: | ---: | ---: |")
    totals = []
    for plate_name, plate in plates.items():
        for name in names:
            alpha_path = name.with_suffix(".alpha.png")
            row = errors(read(name), read_matte(alpha_path), plate)
            totals.append(row)
            telea, ours, floor = row
            print(f"| {plate_name} | {name.stem} | {telea:.2f} | {ours:.2f} | {ours / telea:.2f} | {floor:.2f} |")
    telea, ours, floor = np.mean(totals, axis=0)
    print(f"| all | mean | {telea:.2f} | {ours:.2f} | {ours / telea:.2f} | {floor:.2f} |")
    better = sum(ours < telea for telea, ours, _ in totals)
    print(f"\nBetter than Telea on {better} of {len(totals)}; {1 - (ours - floor) / (telea - floor):.0%} of the")
    print("error above the floor is gone (the floor: the true plate, with the subject's own fringe left in).")


def known_plates(data: Path) -> dict[str, NDArray[np.uint8]]:
    plates = {name: read(data / "photos" / name) for name in PHOTO_PLATES}
    try:
        from skimage import data as pictures
    except ImportError:
        return plates
    return {name: np.asarray(getattr(pictures, name)()) for name in SKIMAGE_PLATES} | plates


def read(path: Path) -> NDArray[np.uint8]:
    picture = cv2.imread(str(path))
    if picture is None:
        raise SystemExit(f"{path} cannot be read.")
    return np.ascontiguousarray(picture[..., ::-1], np.uint8)


def read_matte(path: Path) -> NDArray[np.float32]:
    return (read(path)[..., 0] / np.float32(255)).astype(np.float32)


def covering(plate: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """The plate scaled to cover a size, its middle cut out."""
    scale = max(height / plate.shape[0], width / plate.shape[1])
    size = (max(width, round(plate.shape[1] * scale)), max(height, round(plate.shape[0] * scale)))
    scaled = cv2.resize(plate, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    top, left = (size[1] - height) // 2, (size[0] - width) // 2
    return np.ascontiguousarray(scaled[top : top + height, left : left + width], np.uint8)


def errors(
    subject: NDArray[np.uint8], alpha: NDArray[np.float32], plate: NDArray[np.uint8]
) -> tuple[float, float, float]:
    """Error of Telea, of the default, and of the default if it knew the plate."""
    behind = covering(plate, *alpha.shape)
    mixed = composite(subject, behind, alpha)
    true_blur = blur_plate(behind, np.zeros_like(alpha), TRUTH_KERNEL, fill="telea")
    share = alpha[..., None]
    ideal = share * subject + (1 - share) * true_blur
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (TRUTH_KERNEL, TRUTH_KERNEL))
    near = cv2.dilate((alpha > 0.5).astype(np.uint8), ellipse) > 0
    where = near & (alpha < 0.98)

    def error(result: NDArray[np.uint8]) -> float:
        return float(np.abs(result - ideal)[where].mean())

    return (
        error(blur_background(mixed, alpha, TRUTH_KERNEL, fill="telea")),
        error(blur_background(mixed, alpha, TRUTH_KERNEL)),
        error(composite(mixed, true_blur, alpha)),
    )


if __name__ == "__main__":
    main()
