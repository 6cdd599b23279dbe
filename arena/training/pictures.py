"""Pictures with mattes, as training wants them: decoded once, kept in memory, split once by a written rule."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image

from arena.errors import ArenaError, OptionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
VALIDATION_DIGIT = 4
"""Pictures whose number ends in this digit are for validation, and never trained on."""
_LEVELS = 3
"""Sizes kept of each picture: whole, half, quarter, so that shrinking never skips pixels."""


class DataError(ArenaError):
    """Training data that cannot be used."""


@dataclass(frozen=True)
class Sample:
    """One picture and its matte, with smaller copies."""

    name: str
    """The file's stem."""
    levels: tuple[tuple[Pixels, Pixels], ...]
    """RGB (uint8, H x W x 3) and alpha (uint8, H x W) at full, half and quarter size."""
    box: tuple[int, int, int, int]
    """Left, top, right and bottom of the subject in pixels; right and bottom are exclusive."""

    @property
    def rgb(self) -> Pixels:
        """uint8, H x W x 3."""
        return self.levels[0][0]

    @property
    def alpha(self) -> Pixels:
        """uint8, H x W, 255 is the subject."""
        return self.levels[0][1]

    @classmethod
    def from_arrays(cls, name: str, rgb: Pixels, alpha: Pixels) -> Sample:
        """A sample of a decoded picture and matte.

        Args:
            name: What to call it.
            rgb: uint8, H x W x 3, sRGB.
            alpha: uint8, H x W.

        Returns:
            The sample.

        Raises:
            DataError: The sizes differ, or nobody is in the matte.
        """
        if rgb.shape[:2] != alpha.shape:
            raise DataError(f"{name}: the photo has {rgb.shape[1::-1]} pixels and its mask {alpha.shape[::-1]}.")
        rows = np.flatnonzero((alpha > 127).any(axis=1))
        columns = np.flatnonzero((alpha > 127).any(axis=0))
        if rows.size == 0:
            raise DataError(f"{name}: nobody is in its mask.")
        levels = [(rgb, alpha)]
        for _ in range(_LEVELS - 1):
            levels.append(tuple(_half(part) for part in levels[-1]))  # type: ignore[arg-type]
        return cls(name, tuple(levels), (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1))


def _half(picture: Pixels) -> Pixels:
    size = (max(1, picture.shape[1] // 2), max(1, picture.shape[0] // 2))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


@dataclass(frozen=True)
class Index:
    """Where the pairs of a folder are, and which of them are for training."""

    training: tuple[tuple[Path, Path], ...]
    """Photo and mask."""
    validation: tuple[tuple[Path, Path], ...]
    """Photo and mask; disjoint from ``training``."""
    noisy: tuple[tuple[Path, Path], ...] = ()
    """Photo and a mask that is known to lack something; none of validation's digit."""
    skipped: tuple[str, ...] = field(default=())
    """What could not be used, and why."""


def find_pairs(folder: Path) -> Index:
    """Look for photos and masks: ``photos/NAME.*`` and ``masks/NAME.png``, or ``NAME.jpg`` beside ``NAME.alpha.png``.

    If there is an ``index.json`` with a list ``clean``, only those names are used, and those of a list ``noisy`` are
    kept apart. Names that are numbers are for validation if the last digit is 4; of other names every tenth in the
    order of the alphabet is, beginning with the fifth.

    Args:
        folder: The folder.

    Returns:
        The pairs.

    Raises:
        DataError: There is no such folder, or no pair in it.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder.", "Name the folder that has photos/ and masks/ in it.")
    photos, suffix = (folder / "photos", ".png") if (folder / "photos").is_dir() else (folder, ".alpha.png")
    masks = folder / "masks" if photos != folder else folder
    lists = _name_lists(folder / "index.json")
    training: list[tuple[Path, Path]] = []
    validation: list[tuple[Path, Path]] = []
    noisy: list[tuple[Path, Path]] = []
    skipped: list[str] = []
    found = sorted(p for p in photos.iterdir() if p.suffix.lower() in PHOTO_SUFFIXES and ".alpha" not in p.name)
    for number, photo in enumerate(found):
        if lists and photo.stem not in lists["clean"] | lists["noisy"]:
            continue
        mask = masks / f"{photo.stem}{suffix}"
        if not mask.is_file():
            skipped.append(f"{photo.name}: there is no {mask.name}")
            continue
        held_out = _last_digit(photo.stem, number) == VALIDATION_DIGIT
        if lists and photo.stem in lists["noisy"]:
            noisy += [] if held_out else [(photo, mask)]
        else:
            (validation if held_out else training).append((photo, mask))
    if not training:
        raise DataError(f"No photo with a mask in {folder}.", "It should hold photos/NAME.jpg and masks/NAME.png.")
    return Index(tuple(training), tuple(validation), tuple(noisy), tuple(skipped))


def _name_lists(index: Path) -> dict[str, set[str]]:
    if not index.is_file():
        return {}
    try:
        lists = json.loads(index.read_text("utf-8"))
        return {"clean": set(lists["clean"]), "noisy": set(lists.get("noisy", ()))}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{index} is no index of pictures: {error}.", 'It is JSON with a list "clean".') from error


def _last_digit(stem: str, place: int) -> int:
    return int(stem) % 10 if stem.isdecimal() else place % 10


def read_samples(pairs: Iterable[tuple[Path, Path]]) -> tuple[list[Sample], list[str]]:
    """Decode pairs of photo and mask.

    Args:
        pairs: Photo and mask files.

    Returns:
        The samples, and for each pair that cannot be used its name and why.
    """
    samples, skipped = [], []
    for photo, mask in pairs:
        try:
            rgb = np.array(Image.open(photo).convert("RGB"))
            alpha = np.array(Image.open(mask).convert("L"))
            samples.append(Sample.from_arrays(photo.stem, rgb, alpha))
        except (OSError, ArenaError) as error:
            skipped.append(f"{photo.name}: {error}")
    return samples, skipped


def side_strips(sample: Sample, *, margin: int = 8, least: int = 90) -> list[Pixels]:
    """The parts of a picture to the left and right of its subject: real backgrounds without the subject.

    Args:
        sample: A picture.
        margin: Columns next to the subject that are left out, in pixels.
        least: Narrower strips are of no use.

    Returns:
        uint8, H x w x 3 views, none to two.
    """
    left, _, right, _ = sample.box
    strips = [sample.rgb[:, : max(0, left - margin)], sample.rgb[:, right + margin :]]
    return [strip for strip in strips if strip.shape[1] >= least]


def upper_body(sample: Sample, *, above: int = 25, part: float = 0.45) -> tuple[Pixels, Pixels]:
    """A picture cut to what a portrait shows: from a little above the head over the upper part of the body.

    Args:
        sample: A picture.
        above: Rows kept above the subject's first one.
        part: Share of the subject's height that is kept below it.

    Returns:
        RGB and alpha, all columns wide.
    """
    _, top, _, bottom = sample.box
    rows = slice(max(0, top - above), top + round(part * (bottom - top)))
    return np.ascontiguousarray(sample.rgb[rows]), np.ascontiguousarray(sample.alpha[rows])


def check_fraction(name: str, value: float) -> None:
    """Refuse a probability outside of 0 to 1.

    Raises:
        OptionError: It is.
    """
    if not 0 <= value <= 1:
        raise OptionError(f"{name} is {value:g}: it must be from 0 to 1.")


__all__: Sequence[str] = [
    "DataError",
    "Index",
    "Sample",
    "check_fraction",
    "find_pairs",
    "read_samples",
    "side_strips",
    "upper_body",
]
