"""What an evaluation found, and its way to CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from arena.evaluation.scores import METRICS, RANKING
from arena.metrics import bootstrap_interval

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from arena.errors import ArenaError

LEVEL = 0.95
"""Share of the bootstrap's means inside the intervals."""

_DECIMALS = 6
"""In files: far more than a score of one picture means."""


@dataclass(frozen=True, slots=True)
class Row:
    """What one model scored on one picture."""

    picture: str
    """The photo's file name."""
    model: str
    """As it was named."""
    truth: str
    """``"mask"`` if every pixel of the truth is 0 or 1, else ``"matte"``."""
    width: int
    """In pixels, of what was judged."""
    height: int
    """In pixels, of what was judged."""
    found: bool
    """Whether the model saw anybody. If not, what it gave is scored all the same."""
    seconds: float
    """The forward pass alone."""
    scores: Mapping[str, float]
    """By the keys of ``METRICS``."""

    def flat(self) -> dict[str, Any]:
        """The row as a table has it: one value a column, missing scores left out."""
        values = {name: getattr(self, name) for name in ("picture", "model", "truth", "width", "height", "found")}
        values["seconds"] = _rounded(self.seconds)
        return values | {key: _rounded(value) for key, value in self.scores.items()}


@dataclass(frozen=True, slots=True)
class Skip:
    """Something that could not be scored."""

    error: ArenaError
    """Why."""
    picture: str = ""
    """The photo's file name; empty if it concerns all pictures of the model."""
    model: str = ""
    """As it was named; empty if it concerns all models."""

    @property
    def subject(self) -> str:
        """What it is about, in words."""
        return ", ".join(part for part in (self.picture or "every picture", self.model) if part)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over pictures, and how well it is known."""

    mean: float
    """Over the pictures."""
    low: float
    """Lower end of the 95 % interval: percentile bootstrap over pictures."""
    high: float
    """Upper end of it."""

    @classmethod
    def of(cls, values: Sequence[float], seed: int) -> Estimate:
        """Estimate the mean.

        Args:
            values: One for each picture, at least one.
            seed: The same seed gives the same interval.

        Returns:
            The estimate.
        """
        return cls(float(np.mean(values)), *bootstrap_interval(values, LEVEL, seed=seed))

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval lies on one side of 0."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, slots=True)
class Summary:
    """One metric of one model over all pictures."""

    model: str
    """As it was named."""
    metric: str
    """A key of ``METRICS``."""
    count: int
    """Pictures that have this metric."""
    estimate: Estimate
    """The mean over them."""
    median: float
    """Over them."""
    difference: Estimate | None
    """Of this model's score minus the first model's, picture by picture; None for the first model."""

    @property
    def differs(self) -> bool:
        """Whether the difference to the first model is more than the choice of pictures explains."""
        # The interval of one picture has no width.
        return self.difference is not None and self.count > 1 and self.difference.excludes_zero

    def flat(self) -> dict[str, Any]:
        """The summary as a table has it: one value a column."""
        units = {metric.key: metric.unit for metric in METRICS}
        values: dict[str, Any] = {"model": self.model, "metric": self.metric, "unit": units[self.metric]}
        values |= {"count": self.count, "mean": _rounded(self.estimate.mean)}
        values |= {"low": _rounded(self.estimate.low), "high": _rounded(self.estimate.high)}
        values["median"] = _rounded(self.median)
        for name in ("mean", "low", "high"):
            value = None if self.difference is None else _rounded(getattr(self.difference, name))
            values["difference" if name == "mean" else f"difference_{name}"] = value
        return values


@dataclass(frozen=True)
class Report:
    """What an evaluation found."""

    models: tuple[str, ...]
    """As they were named, in that order."""
    pictures: tuple[str, ...]
    """The photos that were to be judged, by file name."""
    rows: tuple[Row, ...]
    """Model by model, and within a model picture by picture."""
    skipped: tuple[Skip, ...] = ()
    """What has no row, and why."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """How it was run, as plain JSON values."""
    seed: int = 0
    """Of the bootstrap."""

    @cached_property
    def titles(self) -> Mapping[str, str]:
        """Short names of the models, for tables and pictures: files without their folders where that is clear."""
        short = {model: _without_folder(model) for model in self.models}
        count = Counter(short.values())
        return {model: title if count[title] == 1 else model for model, title in short.items()}

    @cached_property
    def common(self) -> tuple[str, ...]:
        """The pictures that every model scored, of those that scored any: means over them can be compared."""
        scored = self._scored
        return tuple(name for name in self.pictures if scored and all(name in rows for rows in scored.values()))

    @cached_property
    def summaries(self) -> tuple[Summary, ...]:
        """Every metric of every model that scored anything, over the pictures in ``common``."""
        found: list[Summary] = []
        first: dict[str, list[float]] = {}
        for model, rows in self._scored.items():
            for metric in METRICS:
                values = [rows[name].scores[metric.key] for name in self.common if metric.key in rows[name].scores]
                if not values:
                    continue
                # The same picture has the same metrics whatever the model: the lists go together.
                rival = first.setdefault(metric.key, values)
                difference = None
                if rival is not values:
                    difference = Estimate.of(np.subtract(values, rival).tolist(), self.seed)
                estimate = Estimate.of(values, self.seed)
                median = float(np.median(values))
                found.append(Summary(model, metric.key, len(values), estimate, median, difference))
        return tuple(found)

    def of(self, model: str) -> tuple[Row, ...]:
        """The rows of a model that are in ``common``.

        Args:
            model: As it was named.

        Returns:
            Its rows, picture by picture.
        """
        rows = self._scored.get(model, {})
        return tuple(rows[name] for name in self.common if name in rows)

    def worst(self, count: int) -> tuple[str, ...]:
        """The pictures that the first model does worst on, by intersection over union.

        Args:
            count: How many at most.

        Returns:
            Names of pictures, the worst first; of the first model that scored anything.
        """
        for rows in self._scored.values():
            order = sorted(rows.values(), key=lambda row: row.scores[RANKING.key])
            return tuple(row.picture for row in order[:count])
        return ()

    def row(self, model: str, picture: str) -> Row | None:
        """The row of a model and a picture; None if there is none."""
        return self._scored.get(model, {}).get(picture)

    def scores_csv(self) -> str:
        """A line for each picture and model."""
        names = ("picture", "model", "truth", "width", "height", "found", "seconds", *(m.key for m in METRICS))
        return _csv(names, (row.flat() for row in self.rows))

    def summary_csv(self) -> str:
        """A line for each model and metric."""
        names = ("model", "metric", "unit", "count", "mean", "low", "high", "median")
        differences = ("difference", "difference_low", "difference_high")
        return _csv((*names, *differences), (summary.flat() for summary in self.summaries))

    def to_json(self) -> str:
        """Everything, with the units."""
        everything = {
            "options": {**self.options, "seed": self.seed},
            "metrics": {
                metric.key: {"label": metric.label, "unit": metric.unit, "higher_is_better": metric.higher_is_better}
                for metric in METRICS
            },
            "models": list(self.models),
            "pictures": {"chosen": len(self.pictures), "in_means": len(self.common)},
            "level": LEVEL,
            "summary": [summary.flat() for summary in self.summaries],
            "skipped": [
                {"picture": skip.picture or None, "model": skip.model or None, "reason": str(skip.error)}
                for skip in self.skipped
            ],
            "scores": [row.flat() for row in self.rows],
        }
        return json.dumps(everything, indent=2, ensure_ascii=False) + "\n"

    @cached_property
    def _scored(self) -> dict[str, dict[str, Row]]:
        """Rows by model and picture, without the models that have none."""
        found: dict[str, dict[str, Row]] = {model: {} for model in self.models}
        for row in self.rows:
            found[row.model][row.picture] = row
        return {model: rows for model, rows in found.items() if rows}


def _without_folder(model: str) -> str:
    key, equals, file = model.partition("=")
    return f"{key}{equals}{Path(file).name}"


def _csv(names: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    with io.StringIO(newline="") as buffer:
        writer = csv.DictWriter(buffer, names, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return buffer.getvalue()


def _rounded(value: float) -> float:
    return round(value, _DECIMALS)
