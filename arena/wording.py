"""Numbers and names in words, the same in page and shell."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_STEP = 1000.0


def format_bytes(count: float) -> str:
    """A number of bytes for people, in decimal units as file managers and the hub show them.

    Args:
        count: Bytes.

    Returns:
        For instance ``"884.9 MB"``.
    """
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < _STEP:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= _STEP
    return f"{count:.1f} TB"


def format_seconds(seconds: float) -> str:
    """A duration as users read it.

    Args:
        seconds: Not negative.

    Returns:
        For instance ``"0.42 s"`` or ``"2 min 5 s"``.
    """
    if seconds < 60:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def format_transfer(done: int, total: int, rate: float) -> str:
    """How far a download is.

    Args:
        done: Bytes that are there.
        total: Bytes in all; 0 if that is not known yet.
        rate: Bytes a second.

    Returns:
        For instance ``"412 of 885 MB at 31.4 MB/s"``.
    """
    whole = f" of {total / 1e6:.0f}" if total else ""
    return f"{done / 1e6:.0f}{whole} MB at {rate / 1e6:.1f} MB/s"


def did_you_mean(name: object, names: Iterable[str]) -> str:
    """A hint at the name that was meant.

    Args:
        name: What was written.
        names: What there is.

    Returns:
        ``"Did you mean kernel?"``, or nothing if no name is near.
    """
    near = difflib.get_close_matches(str(name), list(names), n=1)
    return f"Did you mean {near[0]}?" if near else ""
