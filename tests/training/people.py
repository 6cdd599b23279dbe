"""Synthetic people: a red figure on a blue ground, which a network of any size learns in seconds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image

from arena.training.pictures import Sample

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def figure(seed: int, height: int = 240, width: int = 160) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """RGB and mask of one figure: a head on a body that leaves the frame."""
    chance = np.random.default_rng(seed)
    mask = np.zeros((height, width), np.uint8)
    centre = int(chance.integers(width // 3, 2 * width // 3))
    top = int(chance.integers(20, 60))
    cv2.ellipse(mask, (centre, top + 25), (18, 24), 0, 0, 360, (255,), -1)
    cv2.rectangle(mask, (centre - 38, top + 50), (centre + 38, height), (255,), -1)
    rgb = np.where(mask[..., None] > 0, np.array([200, 40, 30]), np.array([30, 60, 190])).astype(np.uint8)
    return np.clip(rgb + chance.normal(0, 8, rgb.shape), 0, 255).astype(np.uint8), mask


def portrait(seed: int, side: int = 96) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """RGB and mask of a head on shoulders that leave the frame; any colours, as long as the two differ."""
    chance = np.random.default_rng(seed)
    mask = np.zeros((side, side), np.uint8)
    x, y = int(chance.integers(3 * side // 8, 5 * side // 8)), int(chance.integers(side // 4, 3 * side // 8))
    radius = int(chance.integers(side // 7, side // 5))
    cv2.circle(mask, (x, y), radius, (255,), -1)
    cv2.ellipse(mask, (x, side), (int(2.2 * radius), side - y - int(0.8 * radius)), 0, 180, 360, (255,), -1)
    front, back = chance.uniform(0, 110, 3), chance.uniform(145, 255, 3)
    rgb = np.where(mask[..., None] > 0, front, back) + chance.normal(0, 8, (side, side, 3))
    return np.clip(rgb, 0, 255).astype(np.uint8), mask


def write_portraits(folder: Path, count: int) -> Path:
    """A folder of such portraits; two in fifteen are for validation."""
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    for seed in range(1, count + 1):
        rgb, mask = portrait(seed)
        Image.fromarray(rgb).save(folder / "images" / f"{seed:04d}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{seed:04d}.png")
    return folder


def samples(count: int, first: int = 0) -> list[Sample]:
    return [Sample.from_arrays(f"{seed:04d}", *figure(seed)) for seed in range(first, first + count)]


def write_folder(folder: Path, count: int, noisy: tuple[int, ...] = ()) -> Path:
    """A folder of photos, masks and an index, as training reads it."""
    (folder / "photos").mkdir(parents=True)
    (folder / "masks").mkdir()
    names = [f"{seed:04d}" for seed in range(1, count + 1)]
    for name in names:
        rgb, mask = figure(int(name))
        if int(name) in noisy:
            mask[-40:] = 0
        Image.fromarray(rgb).save(folder / "photos" / f"{name}.jpg", quality=95)
        Image.fromarray(mask).convert("1").save(folder / "masks" / f"{name}.png")
    lists = {
        "clean": [name for name in names if int(name) not in noisy],
        "noisy": [name for name in names if int(name) in noisy],
    }
    (folder / "index.json").write_text(json.dumps(lists), "utf-8")
    return folder
