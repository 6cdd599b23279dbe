"""What has been scored, kept on the disk as it comes, so that work which was interrupted is not lost."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from arena.errors import PhotoError
from arena.evaluation.report import Row
from arena.photo import encode, fit_within, write_file

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Alpha = NDArray[np.float32]
    Pixels = NDArray[np.uint8]

SIDE = 320
"""Longest side in pixels of the small mattes that are kept for the sheet."""

_FILE = "scores.jsonl"


def fingerprint(parts: dict[str, Any]) -> str:
    """A name for all that a score depends on: of equal parts, the scores are equal.

    Args:
        parts: Plain JSON values: contents of the files, model, options.

    Returns:
        Hexadecimal digits.
    """
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


class Journal:
    """Rows by their fingerprints, in ``scores.jsonl`` of a folder, and beside it a small matte for each."""

    def __init__(self, folder: Path, *, overwrite: bool = False) -> None:
        """Read what is there.

        Args:
            folder: Where to; it is made if it is missing.
            overwrite: Give nothing of what is there; what is added takes its place.

        Raises:
            PhotoError: The folder cannot be written to.
        """
        self._folder = folder
        self._file = folder / _FILE
        self._rows = _read(self._file)
        self._stale = set(self._rows) if overwrite else set()
        # Without the line that an interruption tore: the next one would go on in it.
        write_file(self._file, "".join(_line(name, row) for name, row in self._rows.items()).encode())

    def get(self, name: str) -> Row | None:
        """What was scored before.

        Args:
            name: A fingerprint.

        Returns:
            The row, or None.
        """
        there = name not in self._stale and self._matte_file(name).is_file()
        return self._rows.get(name) if there else None

    def add(self, name: str, row: Row, alpha: Alpha) -> None:
        """Keep a row.

        Args:
            name: Its fingerprint.
            row: The scores.
            alpha: The matte that they are of, float32, H x W in [0, 1].

        Raises:
            PhotoError: It cannot be written.
        """
        small = fit_within(np.rint(alpha * np.float32(255)).astype(np.uint8), SIDE)
        write_file(self._matte_file(name), encode(small))
        try:
            with self._file.open("a", encoding="utf-8") as file:
                file.write(_line(name, row))
        except OSError as error:
            raise PhotoError(
                f"{self._file} cannot be written: {error.strerror or error}.", "Free some space, then run it again."
            ) from error
        self._rows[name] = row
        self._stale.discard(name)

    def small_matte(self, name: str) -> Pixels:
        """The matte of a row, small.

        Args:
            name: The fingerprint of a row that is there.

        Returns:
            uint8, h x w, at most ``SIDE`` on its longer side.
        """
        with Image.open(self._matte_file(name)) as image:
            return np.asarray(image)

    def _matte_file(self, name: str) -> Path:
        return self._folder / f"{name}.png"


def _line(name: str, row: Row) -> str:
    return json.dumps({"fingerprint": name, **dataclasses.asdict(row)}) + "\n"


def _read(file: Path) -> dict[str, Row]:
    rows: dict[str, Row] = {}
    try:
        text = file.read_text("utf-8", errors="replace")
    except FileNotFoundError:
        return rows
    except OSError as error:
        raise PhotoError(f"{file} cannot be read: {error.strerror or error}.", "Name another folder.") from error
    for line in text.splitlines():
        try:
            values = json.loads(line)
            name = values.pop("fingerprint")
            rows[name] = Row(**values)
        except (ValueError, TypeError, KeyError, AttributeError):
            # The end of a line that an interruption tore, or one of another version: it is scored again.
            continue
    return rows
