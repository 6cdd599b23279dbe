"""The pictures that models are judged on: a photo, and the matte that it should give."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from arena.errors import OptionError
from arena.photo import Photo
from arena.training.pictures import DataError, Sample, find_pairs, open_pair, upper_body

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    Alpha = NDArray[np.float32]


class Split(StrEnum):
    """Which pictures of a folder are taken."""

    CLEAN = "clean"
    """All but those whose mask is known to lack something."""
    VALIDATION = "validation"
    """Those of ``clean`` that training never sees."""
    NOISY = "noisy"
    """Those whose mask is known to lack something."""
    ALL = "all"
    """``clean`` and ``noisy``."""


class Crop(StrEnum):
    """Which part of each picture is taken."""

    NONE = "none"
    """The whole of it."""
    UPPER_BODY = "upper-body"
    """What a portrait shows: see :func:`arena.training.pictures.upper_body`."""


@dataclass(frozen=True, slots=True)
class Pair:
    """The two files of a picture."""

    name: str
    """What reports call it: the photo's file name, with its folder where another has the same."""
    photo: Path
    """The photo."""
    truth: Path
    """Its mask or matte, of the photo's size."""

    def digest(self) -> str:
        """Identifies the contents of both files.

        Raises:
            DataError: One of them cannot be read.
        """
        digest = hashlib.blake2b(digest_size=16)
        for path in (self.photo, self.truth):
            try:
                digest.update(hashlib.blake2b(path.read_bytes()).digest())
            except OSError as error:
                raise DataError(f"{path.name} cannot be read: {error.strerror or error}.") from error
        return digest.hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A picture, decoded."""

    photo: Photo
    """What the model sees."""
    truth: Alpha
    """What it should make of it: float32, H x W of the photo, 0 to 1."""


def choose_pairs(data: Path, split: Split, limit: int | None, seed: int) -> tuple[list[Pair], tuple[str, ...]]:
    """The pictures that are to be judged.

    Args:
        data: A folder, index or table, as :func:`arena.training.pictures.find_pairs` reads it.
        split: Which of them.
        limit: If there are more, that many are drawn at random; None for all.
        seed: The same seed draws the same pictures.

    Returns:
        The pairs, by name; and what could not be used, and why.

    Raises:
        DataError: There is no such folder or file, or no picture for this split in it.
        OptionError: The limit is below 1, or the seed below 0.
    """
    if limit is not None and limit < 1:
        raise OptionError(f"The limit is {limit}: it must be at least 1 picture.")
    if seed < 0:
        raise OptionError(f"The seed is {seed}: it must not be negative.")
    index = find_pairs(data)
    clean = index.training + index.validation
    chosen = {
        Split.CLEAN: clean,
        Split.VALIDATION: index.validation,
        Split.NOISY: index.noisy,
        Split.ALL: clean + index.noisy,
    }[split]
    if not chosen:
        raise DataError(f"{data} has no picture in its split {split.value!r}.", "Choose another split.")
    pairs = _named(chosen, data if data.is_dir() else data.parent)
    if limit is not None and limit < len(pairs):
        drawn = np.random.default_rng(seed).choice(len(pairs), limit, replace=False)
        pairs = [pairs[place] for place in sorted(drawn)]
    return pairs, index.skipped


def _named(chosen: Iterable[tuple[Path, Path]], folder: Path) -> list[Pair]:
    """The pairs by name; a table may list a photo twice, and photos of the same name."""
    truths = dict(chosen)
    count = Counter(photo.name for photo in truths)
    names = {photo: photo.name if count[photo.name] == 1 else _below(photo, folder) for photo in truths}
    return sorted((Pair(names[photo], photo, truth) for photo, truth in truths.items()), key=lambda pair: pair.name)


def _below(photo: Path, folder: Path) -> str:
    return photo.relative_to(folder).as_posix() if photo.is_relative_to(folder) else photo.as_posix()


def open_case(pair: Pair, crop: Crop) -> Case:
    """Decode a picture and its truth.

    Args:
        pair: The files.
        crop: Which part of them.

    Returns:
        Photo and truth, of one size.

    Raises:
        ArenaError: One of the files cannot be decoded, their sizes differ, or there is nobody to crop to.
    """
    photo, truth = open_pair(pair.photo, pair.truth)
    if crop is Crop.NONE:
        return Case(photo, truth)
    levels = np.rint(truth * np.float32(255)).astype(np.uint8)
    rgb, alpha = upper_body(Sample.from_arrays(photo.name, photo.rgb, levels))
    return Case(Photo.from_array(rgb, photo.name), (alpha / np.float32(255)).astype(np.float32))
