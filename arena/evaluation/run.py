"""Pictures times models, scored: model by model, each row kept as it comes."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from arena.comparison import Event, Stage, as_arena_error
from arena.devices import AUTO, usable_device
from arena.errors import ArenaError, OptionError
from arena.evaluation.cases import Crop, Split, choose_pairs, open_case
from arena.evaluation.contenders import Boxes, Contender
from arena.evaluation.journal import Journal, fingerprint
from arena.evaluation.report import Report, Row, Skip
from arena.evaluation.scores import is_matte, score
from arena.evaluation.sheet import draw_sheet
from arena.models.pool import default_pool
from arena.photo import encode, write_file
from arena.training.pictures import DataError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Sequence
    from enum import StrEnum

    import numpy as np
    from numpy.typing import NDArray

    from arena.evaluation.cases import Case, Pair
    from arena.models.base import Segmenter
    from arena.models.pool import ModelPool

    Pixels = NDArray[np.uint8]

WORST = 8
"""Pictures on the sheet."""
MOST_WORST = 100
"""Pictures of a sheet: more rows would be higher than a JPEG can be."""
CACHE, SCORES, SUMMARY, REPORT, SHEET = "cache", "scores.csv", "summary.csv", "report.json", "worst.jpg"
"""What is in the folder of results."""


def evaluate(
    data: str | os.PathLike[str],
    models: str | Iterable[str],
    *,
    out: str | os.PathLike[str] | None = None,
    split: str = Split.CLEAN,
    limit: int | None = None,
    crop: str = Crop.NONE,
    boxes: str = Boxes.FACE,
    as_mattes: bool = False,
    device: str = AUTO,
    seed: int = 0,
    worst: int = WORST,
    overwrite: bool = False,
    on_event: Callable[[Event], None] | None = None,
    pool: ModelPool | None = None,
) -> Report:
    """Run models on pictures whose mattes are known, and say how near they come.

    A picture that cannot be used, or that a model fails on, is named in the report and left out of all means, so that
    those of all models are over the same pictures. A model that sees nobody has not failed: what it gave is scored.

    Args:
        data: A folder of photos and masks, or an index or table of them, as
            :func:`arena.training.pictures.find_pairs` reads it. A truth of nothing but 0 and 1 is scored as a mask,
            any other as a matte too.
        models: Model keys, ``"KEY=FILE"`` for other weights of that model, ``"KEY+hair"`` for one that is to follow
            hair, and ``"face-box"`` for the baseline of the padded face's box as the whole mask. The others are
            compared with the first.
        out: Folder for the scores, their summary, the report and the sheet of the worst pictures. What it has of an
            earlier run with the same models, options and pictures is not computed again. None writes nothing.
        split: Which pictures: see :class:`Split`.
        limit: How many of them at most, drawn by the seed; None for all.
        crop: Which part of each: see :class:`Crop`.
        boxes: Where the boxes come from for models that take them: see :class:`Boxes`.
        as_mattes: Score truths of nothing but 0 and 1 as mattes, too.
        device: ``"auto"``, ``"cpu"``, ``"mps"``, ``"cuda"`` or ``"cuda:N"``.
        seed: Of the drawing and of the intervals: the same one gives the same report.
        worst: How many pictures the sheet shows; 0 for no sheet.
        overwrite: Compute again what ``out`` has.
        on_event: Told of every change of stage.
        pool: Where models are loaded; by default the one that everything shares.

    Returns:
        Scores, means and intervals, and what was skipped.

    Raises:
        ArenaError: There is no such data, model, file or device, or an option is none that exists; the subclass
            says which. Failures on a picture are not raised.
    """
    choices = {
        "split": _choice("split", Split, split),
        "crop": _choice("crop", Crop, crop),
        "boxes": _choice("boxes", Boxes, boxes),
    }
    names = list(dict.fromkeys([models] if isinstance(models, str) else models))
    if not names:
        raise OptionError("There is nothing to evaluate.", "Name at least one model.")
    if not 0 <= worst <= MOST_WORST:
        raise OptionError(f"The sheet cannot show {worst} pictures.", f"It shows up to {MOST_WORST}; 0 is none.")
    contenders = [Contender.read(name, Boxes(choices["boxes"])) for name in names]
    place = usable_device(device)
    pairs, unused = choose_pairs(Path(data), Split(choices["split"]), limit, seed)
    journal = None if out is None else Journal(Path(out) / CACHE, overwrite=overwrite)
    run = _Run(pairs, Crop(choices["crop"]), as_mattes, place, journal, on_event or _ignore, pool or default_pool())
    run.judge(contenders)
    report = Report(
        models=tuple(names),
        pictures=tuple(pair.name for pair in pairs),
        rows=tuple(run.rows),
        skipped=(*_unused(unused), *run.skipped),
        options={"data": str(data), **choices, "as_mattes": as_mattes, "limit": limit, "device": place},
        seed=seed,
    )
    if out is not None:
        _write(Path(out), report, run, worst)
    return report


def _choice(name: str, kind: type[StrEnum], value: str) -> str:
    try:
        return kind(value).value
    except ValueError:
        raise OptionError(f"{name} is {value!r}.", f"It is one of {', '.join(kind)}.") from None


def _ignore(event: Event) -> None:
    """Stand in for a listener where nobody listens."""
    del event


def _unused(lines: Iterable[str]) -> tuple[Skip, ...]:
    """What the reader of the folder could not use, each line a picture and a reason."""
    parts = (line.partition(": ") for line in lines)
    return tuple(Skip(DataError(f"{reason[:1].upper()}{reason[1:]}."), picture) for picture, _, reason in parts)


def _write(folder: Path, report: Report, run: _Run, worst: int) -> None:
    # Names of files may hold bytes that are no text.
    for name, text in (
        (SCORES, report.scores_csv()),
        (SUMMARY, report.summary_csv()),
        (REPORT, report.to_json()),
    ):
        write_file(folder / name, text.encode(errors="backslashreplace"))
    pictures = report.worst(worst)
    if pictures:
        write_file(folder / SHEET, encode(draw_sheet(report, pictures, run.case, run.small_matte), "JPEG"))
    else:
        # Not to be taken for one of this run.
        (folder / SHEET).unlink(missing_ok=True)


class _Run:
    """One evaluation under way."""

    def __init__(
        self,
        pairs: Sequence[Pair],
        crop: Crop,
        as_mattes: bool,
        device: str,
        journal: Journal | None,
        tell: Callable[[Event], None],
        pool: ModelPool,
    ) -> None:
        self._pairs = {pair.name: pair for pair in pairs}
        self._crop = crop
        self._as_mattes = as_mattes
        self._device = device
        self._journal = journal
        self._tell = tell
        self._pool = pool
        self._digests: dict[str, str] = {}
        self._unusable: set[str] = set()
        self._marks: dict[tuple[str, str], str] = {}
        self.rows: list[Row] = []
        self.skipped: list[Skip] = []

    def case(self, picture: str) -> Case:
        """A picture by its name, decoded."""
        return open_case(self._pairs[picture], self._crop)

    def small_matte(self, model: str, picture: str) -> Pixels:
        """The kept matte of a row."""
        assert self._journal is not None  # noqa: S101 - for the type checker: there is a sheet only beside a journal
        return self._journal.small_matte(self._marks[model, picture])

    def judge(self, contenders: Sequence[Contender]) -> None:
        """Fill ``rows`` and ``skipped``."""
        for contender in contenders:
            self._tell(Event(contender.name, Stage.WAITING, photos=len(self._pairs)))
        for contender in contenders:
            self._judge(contender)

    def _judge(self, contender: Contender) -> None:
        total = len(self._pairs)
        kept = self._kept(contender)
        before = len(self.skipped)
        segmenter: Segmenter | None = None
        if self._pairs.keys() - kept.keys() - self._unusable:
            try:
                segmenter = self._load(contender)
            except Exception as error:  # noqa: BLE001 - one model's failure must not end the evaluation
                failure = as_arena_error(error, contender.card)
                self.skipped.append(Skip(failure, model=contender.name))
        for number, name in enumerate(self._pairs, start=1):
            row = kept.get(name)
            if row is None and segmenter is not None:
                self._tell(Event(contender.name, Stage.RUNNING, number, total))
                row = self._attempt(contender, segmenter, name)
            if row is not None:
                self.rows.append(row)
        failures = [skip.error for skip in self.skipped[before:]]
        stage = Stage.FAILED if failures else Stage.DONE
        self._tell(Event(contender.name, stage, total, total, error=failures[-1] if failures else None))

    def _kept(self, contender: Contender) -> dict[str, Row]:
        """What the journal has of a model, by picture."""
        if self._journal is None:
            return {}
        self._mark(contender)
        kept = {}
        for name in self._pairs:
            mark = self._marks.get((contender.name, name))
            row = None if mark is None else self._journal.get(mark)
            if row is not None:
                # The files may have had other names.
                kept[name] = dataclasses.replace(row, picture=name, model=contender.name)
        return kept

    def _mark(self, contender: Contender) -> None:
        """Name what a model makes of each picture by all that it depends on."""
        settings = {"crop": self._crop, "as_mattes": self._as_mattes}
        identity = contender.identity(self._device) | settings
        for name in self._pairs:
            contents = self._digest(name)
            if contents is not None:
                self._marks[contender.name, name] = fingerprint({**identity, "pair": contents})

    def _digest(self, name: str) -> str | None:
        """What identifies a picture's contents; None if it cannot be read."""
        if name not in self._digests and name not in self._unusable:
            try:
                self._digests[name] = self._pairs[name].digest()
            except ArenaError as error:
                self._give_up(name, error)
        return self._digests.get(name)

    def _load(self, contender: Contender) -> Segmenter:
        total = len(self._pairs)
        segmenter = contender.load(
            self._device,
            self._pool,
            progress=lambda done: self._tell(Event(contender.name, Stage.DOWNLOADING, photos=total, download=done)),
            on_load=lambda: self._tell(Event(contender.name, Stage.LOADING, photos=total)),
        )
        if self._journal is not None:
            # What was just downloaded may be other than what was there.
            self._mark(contender)
        return segmenter

    def _attempt(self, contender: Contender, segmenter: Segmenter, name: str) -> Row | None:
        case = self._open(name)
        if case is None:
            return None
        try:
            matte = contender.segment(segmenter, case)
            soft = is_matte(case.truth)
            scores = score(matte.alpha, case.truth, as_matte=soft or self._as_mattes)
        except Exception as error:  # noqa: BLE001 - one picture's failure must not end the evaluation
            self.skipped.append(Skip(as_arena_error(error, contender.card), name, contender.name))
            return None
        row = Row(
            picture=name,
            model=contender.name,
            truth="matte" if soft else "mask",
            width=case.photo.width,
            height=case.photo.height,
            found=matte.found,
            seconds=matte.seconds,
            scores=scores,
        )
        if self._journal is not None:
            self._journal.add(self._marks[contender.name, name], row, matte.alpha)
        return row

    def _open(self, name: str) -> Case | None:
        """A picture, or None if it cannot be used."""
        if name in self._unusable:
            return None
        try:
            return self.case(name)
        except ArenaError as error:
            self._give_up(name, error)
            return None

    def _give_up(self, name: str, error: ArenaError) -> None:
        """Skip a picture; that is said once, however many models there are."""
        self._unusable.add(name)
        self.skipped.append(Skip(error, name))
