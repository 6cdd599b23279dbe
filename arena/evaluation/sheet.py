"""A sheet of the worst pictures, to look at: numbers say how much is wrong, and only pictures say what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from arena.compose import mask_overlay
from arena.errors import ArenaError
from arena.evaluation.journal import SIDE
from arena.evaluation.scores import RANKING
from arena.photo import fit_within

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from arena.evaluation.cases import Case
    from arena.evaluation.report import Report

    Alpha = NDArray[np.float32]
    Pixels = NDArray[np.uint8]

GAP = 8
"""Pixels between pictures."""
TEXT = 14
"""Height of the letters in pixels."""
PAPER, INK = (250, 250, 250), (20, 20, 20)


def draw_sheet(
    report: Report,
    pictures: Sequence[str],
    open_case: Callable[[str], Case],
    small_matte: Callable[[str, str], Pixels],
) -> Pixels:
    """Draw pictures with what each model made of them.

    Args:
        report: Says which models there are, and what they scored.
        pictures: Names of pictures, at least one: a line for each, in this order.
        open_case: Gives a picture by its name.
        small_matte: Gives the matte of a model and a picture, uint8, of a size of its own.

    Returns:
        uint8, H x W x 3: the photo, the truth, and the photo with each model's mask on it, with its score above. Of a
        picture that cannot be read any more there is only the name.
    """
    lines = []
    for name in pictures:
        try:
            case = open_case(name)
        except ArenaError:
            # It was there when it was scored: the others are worth their sheet all the same.
            blank = np.full((2 * TEXT, SIDE, 3), PAPER, np.uint8)
            lines.append(_line([(f"{name}: gone", blank), *[("", blank)] * (1 + len(report.models))]))
            continue
        small = fit_within(case.photo.rgb, SIDE)
        cells = [(name, small), ("truth", np.dstack([_levels(case.truth, small)] * 3))]
        for model in report.models:
            row = report.row(model, name)
            if row is None:
                cells.append((f"{report.titles[model]}: not scored", np.full_like(small, PAPER)))
                continue
            alpha = small_matte(model, name).astype(np.float32) / np.float32(255)
            title = f"{report.titles[model]}: {RANKING.label} {row.scores[RANKING.key]:.{RANKING.digits}f}"
            cells.append((title, mask_overlay(small, _fitted(alpha, small))))
        lines.append(_line(cells))
    return np.vstack(lines)


def _levels(truth: Alpha, like: Pixels) -> Pixels:
    return np.rint(_fitted(truth, like) * np.float32(255)).astype(np.uint8)


def _fitted(alpha: Alpha, like: Pixels) -> Alpha:
    size = (like.shape[1], like.shape[0])
    fitted = alpha if alpha.shape == like.shape[:2] else cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
    # Averages of ones exceed one by rounding.
    return np.asarray(np.clip(fitted, 0, 1), dtype=np.float32)


def _line(cells: Sequence[tuple[str, Pixels]]) -> Pixels:
    """Pictures beside each other, each with its title above."""
    height = max(picture.shape[0] for _, picture in cells)
    head = 2 * TEXT
    sheet = Image.new("RGB", (GAP + len(cells) * (SIDE + GAP), head + height + GAP), PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(TEXT)
    for number, (title, picture) in enumerate(cells):
        left = GAP + number * (SIDE + GAP)
        pen.text((left, TEXT // 2), _shortened(title, font), INK, font)
        sheet.paste(Image.fromarray(picture), (left, head))
    return np.asarray(sheet)


def _shortened(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """The end of a text that is too long for a cell: a path's end says more than its beginning."""
    if font.getlength(text) <= SIDE:
        return text
    while text and font.getlength(f"…{text}") > SIDE:
        text = text[1:]
    return f"…{text}"
