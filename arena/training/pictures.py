"""Pictures with mattes, as training wants them: decoded once, kept in memory, split once by a written rule."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from arena.errors import ArenaError, OptionError
from arena.photo import SUFFIXES, Photo, megapixel_limit

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

_PHOTO_FOLDERS = ("photos", "images")
_ALPHA = ".alpha"
"""Before the suffix of a matte that lies beside its photo."""
_INDEX = "index.json"
VALIDATION_DIGIT = 4
"""Pictures whose number ends in this digit are for validation, and never trained on."""
LEAST_WHITE = 0.25
"""Share of white that the lightest shade of a mask has at least: darker ones are numbers of classes."""
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


def find_pairs(source: Path) -> Index:
    """Look for photos and masks.

    - A folder: ``photos/NAME.*`` (or ``images/``) and ``masks/NAME.*``, or ``NAME.*`` beside ``NAME.alpha.*``. If there
      is an ``index.json`` in it, that decides what is used.
    - An index, JSON: a list ``clean`` of names in the folder where it lies; those of a list ``noisy`` are kept apart.
    - A table, CSV, with columns ``image`` and ``mask``: paths that start from its folder. A column ``split`` may say
      ``train`` or ``validation``.

    Without such a column, names that are numbers are for validation if the last digit is 4; of other names every tenth
    in the order of the alphabet is, beginning with the fifth.

    Args:
        source: The folder or file.

    Returns:
        The pairs.

    Raises:
        DataError: There is no such folder or file, or no pair in it.
    """
    if source.is_dir():
        index = _in_folder(source, _name_lists(source / _INDEX) if (source / _INDEX).is_file() else {})
    elif source.is_file() and source.suffix.lower() == ".json":
        index = _in_folder(source.parent, _name_lists(source))
    elif source.is_file() and source.suffix.lower() == ".csv":
        index = _in_table(source)
    else:
        kind = "is neither a folder nor an index (.json, .csv)" if source.exists() else "does not exist"
        raise DataError(f"{source} {kind}.", "Name the folder that has photos/ and masks/ in it.")
    if not index.training and not index.validation:
        raise DataError(
            f"No photo with a mask in {source}.",
            "It should hold photos/NAME.jpg and masks/NAME.png.",
            "; ".join(index.skipped[:3]),
        )
    return index


def _in_folder(folder: Path, lists: dict[str, set[str]]) -> Index:
    photos = next((folder / name for name in _PHOTO_FOLDERS if (folder / name).is_dir()), folder)
    if photos == folder:
        masks = {path.stem.removesuffix(_ALPHA): path for path in _pictures(folder) if path.stem.endswith(_ALPHA)}
        wanted = f"{_ALPHA}.png"
    else:
        masks = {path.stem: path for path in _pictures(folder / "masks")}
        wanted = ".png"
    training: list[tuple[Path, Path]] = []
    validation: list[tuple[Path, Path]] = []
    noisy: list[tuple[Path, Path]] = []
    skipped: list[str] = []
    found = [path for path in _pictures(photos) if photos != folder or not path.stem.endswith(_ALPHA)]
    for number, photo in enumerate(found):
        if lists and photo.stem not in lists["clean"] | lists["noisy"]:
            continue
        mask = masks.get(photo.stem)
        if mask is None:
            skipped.append(f"{photo.name}: there is no {photo.stem}{wanted}")
            continue
        held_out = _last_digit(photo.stem, number) == VALIDATION_DIGIT
        if lists and photo.stem in lists["noisy"]:
            noisy += [] if held_out else [(photo, mask)]
        else:
            (validation if held_out else training).append((photo, mask))
    if lists:
        lost = sorted((lists["clean"] | lists["noisy"]) - {photo.stem for photo in found})
        skipped += [f"{name}: there is no photo of that name" for name in lost]
    return Index(tuple(training), tuple(validation), tuple(noisy), tuple(skipped))


def _pictures(folder: Path) -> list[Path]:
    """Picture files by name; macOS leaves a hidden ``._`` file beside each on foreign disks."""
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))


def _in_table(table: Path) -> Index:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table} cannot be read as CSV: {error}.") from error
    columns = set(rows[0]) if rows else set()
    if not {"image", "mask"} <= columns:
        raise DataError(f"{table} has no columns image and mask.", "Its first line names its columns.")
    training: list[tuple[Path, Path]] = []
    validation: list[tuple[Path, Path]] = []
    skipped: list[str] = []
    for number, row in enumerate(rows):
        photo, mask = (table.parent / (row[name] or "") for name in ("image", "mask"))
        missing = [path.name for path in (photo, mask) if not path.is_file()]
        if missing:
            skipped.append(f"{table.name}, line {number + 2}: there is no {' and no '.join(missing)}")
            continue
        split = (row.get("split") or "").strip().lower()
        if split not in {"", "train", "validation"}:
            raise DataError(f"{table}, line {number + 2}: split is {split!r}.", "It is train, validation or nothing.")
        held_out = split == "validation" if split else _last_digit(photo.stem, number) == VALIDATION_DIGIT
        (validation if held_out else training).append((photo, mask))
    return Index(tuple(training), tuple(validation), (), tuple(skipped))


def _name_lists(index: Path) -> dict[str, set[str]]:
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
            samples.append(Sample.from_arrays(photo.stem, *read_pair(photo, mask)))
        except ArenaError as error:
            skipped.append(f"{photo.name}: {error}")
    return samples, skipped


def read_pair(photo: Path, mask: Path) -> tuple[Pixels, Pixels]:
    """Decode a photo and its mask.

    Args:
        photo: The photo.
        mask: Its mask, of the same size.

    Returns:
        RGB (uint8, H x W x 3) and alpha (uint8, H x W, 255 is the subject).

    Raises:
        ArenaError: One of them cannot be decoded, or their sizes differ.
    """
    opened, truth = open_pair(photo, mask)
    return opened.rgb, np.rint(truth * np.float32(255)).astype(np.uint8)


def open_pair(photo: Path, mask: Path) -> tuple[Photo, NDArray[np.float32]]:
    """Decode a photo and its mask, with all that they hold.

    Args:
        photo: The photo.
        mask: Its mask, of the same size.

    Returns:
        The photo, and the truth as :func:`read_truth` gives it.

    Raises:
        ArenaError: One of them cannot be decoded, or their sizes differ.
    """
    opened, truth = Photo.open(photo), read_truth(mask)
    if truth.shape != opened.rgb.shape[:2]:
        height, width = truth.shape
        raise DataError(
            f"{photo.name} has {opened.width} x {opened.height} pixels, but {mask.name} {width} x {height}.",
            "A mask has the size of its photo.",
        )
    return opened, truth


def read_truth(path: Path) -> NDArray[np.float32]:
    """Decode a mask or matte.

    Its samples are taken as they are: a colour profile, which photo editors put into grey pictures too, says how they
    look and not what they mean. Of a picture that is transparent anywhere the alpha is the truth.

    Args:
        path: A grey picture of 1, 8 or 16 bits or of floating point from 0 to 1, white where the subject is; or a
            cut-out.

    Returns:
        float32, H x W in [0, 1].

    Raises:
        DataError: It cannot be decoded, or it holds labels instead of shades.
    """
    limit = megapixel_limit()
    try:
        with Image.open(path) as image:
            if image.width * image.height > limit * 1e6:
                raise DataError(f"{path.name} has more than {limit:g} megapixels.", "Set ARENA_MAX_MEGAPIXELS higher.")
            upright = ImageOps.exif_transpose(image)
            alpha = np.asarray(upright.convert("RGBA"))[..., 3] if upright.has_transparency_data else None
            # Editors write a mask with an alpha channel that says nothing, too.
            if alpha is not None and alpha.min(initial=255) < 255:
                levels = alpha
            elif upright.mode == "P" and not _is_ramp(upright):
                raise DataError(
                    f"{path.name} has a palette: whether its numbers are shades or classes is not known.",
                    "Save it in grey, white where the subject is.",
                )
            else:
                deep = upright.mode.startswith("I;16") or upright.mode in ("I", "F")
                levels = np.asarray(upright if deep else upright.convert("L"))
    except UnidentifiedImageError as error:
        raise DataError(f"{path.name} is not a picture that can be opened.") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path.name} is damaged and cannot be decoded: {error}.") from error
    # Floating point is 0 to 1 by convention; Pillow has 16-bit samples in 32 bits, too.
    white = {"uint8": 255.0, "float32": 1.0}.get(str(levels.dtype), 65535.0)
    largest = float(levels.max(initial=0))
    if not np.isfinite(levels).all() or largest > 1.01 * white or levels.min(initial=0) < 0:
        raise DataError(f"{path.name} has values beyond {white:g}, its white.", "Save it in grey of 8 or 16 bits.")
    if 0 < largest < white * LEAST_WHITE:
        raise DataError(
            f"The largest value of {path.name} is {largest:g} of {white:g}: those are numbers of classes, not shades.",
            f"Make the subject {white:g} and all else 0.",
        )
    truth: NDArray[np.float32] = levels.astype(np.float32) / np.float32(white)
    return truth.clip(0, 1)


def _is_ramp(image: Image.Image) -> bool:
    """Whether the palette of a picture has a grey of its own number for each number."""
    palette = np.asarray(image.convert("RGB"))
    return bool((palette == np.asarray(image)[..., None]).all())


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
    "open_pair",
    "read_pair",
    "read_samples",
    "read_truth",
    "side_strips",
    "upper_body",
]
