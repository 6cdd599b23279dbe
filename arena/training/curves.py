"""A run's log as a picture."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


_FIRST_SCORE = 4
"""Columns before it: step, seconds, loss and learning rate."""


def plot(log: Path, picture: Path) -> Path:
    """Draw the loss, and the score that counts, over the steps.

    Args:
        log: A trainer's ``log.csv``.
        picture: The PNG to be written.

    Returns:
        ``picture``.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - it takes half a second

    with log.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    steps = [int(row["step"]) for row in rows]
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(steps, [float(row["loss"]) for row in rows])
    left.set(xlabel="step", ylabel="training loss")
    names = list(rows[0])[_FIRST_SCORE:] if rows else []
    # The score that counts is the first one; its median and the like are called after it.
    for name in names:
        if name.startswith(names[0]):
            right.plot(steps, [float(row[name]) for row in rows], label=name)
    right.set(xlabel="step", ylabel="validation")
    right.legend()
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.savefig(picture, dpi=100)
    return picture
