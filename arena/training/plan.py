"""A plan of training in one TOML file, and its execution: stages that go on where the one before ended.

::

    seed = 0
    networks = [["base", "closer"]]

    [[stages]]
    name = "base"
    batch = 16
    [stages.schedule]
    steps = 6000
    [stages.sources.ccp]

    [[stages]]
    name = "closer"
    relabel = 0.9
    [stages.schedule]
    steps = 1000
    learning_rate = 5e-4
    [stages.sources.ccp]
    share = 0.8
    [stages.sources.portraits]
    share = 0.2
    seen = [0.5, 1.2]

A source is named like the folder that it comes from.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file

from arena.checks import is_number
from arena.errors import OptionError
from arena.nets.lite import pack
from arena.training.curves import plot
from arena.training.files import write_whole
from arena.training.launch import check_batch, is_first, wait_for_all
from arena.training.lite import LiteRecipe, LiteSettings, averaged, relabel
from arena.training.pictures import DataError, check_fraction, find_pairs, read_samples
from arena.training.tables import build, read_table
from arena.training.trainer import LOG, Progress, Schedule, Trainer
from arena.training.views import Source, ViewSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from arena.training.pictures import Sample

WEIGHTS = "lite.safetensors"
SHIPPED_PLAN = Path(__file__).parents[1] / "boxed" / "lite" / "plan.toml"
"""That of the weights in the box."""


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """One folder's part in a stage."""

    share: float = 1.0
    """How often its pictures are taken, relative to the other folders."""
    seen: tuple[float, float] = (0.15, 1.1)
    """How much of the subject's height a view shows, least and most."""
    hold_out: bool = True
    """Keep its validation pictures out of training, and take scores on them."""
    leave_out: tuple[str, ...] = ()
    """Names that are not used at all: for cross-validation."""

    def __post_init__(self) -> None:
        if not self.share > 0:
            raise OptionError(f"A share of {self.share:g} is not above 0.")
        if not (len(self.seen) == 2 and all(map(is_number, self.seen)) and 0 < self.seen[0] <= self.seen[1]):
            raise OptionError(f"seen is [least, most], both above 0, not {list(self.seen)}.")


@dataclass(frozen=True, slots=True)
class Stage:
    """One run of the trainer."""

    name: str
    schedule: Schedule = field(default_factory=Schedule)
    views: ViewSettings = field(default_factory=ViewSettings)
    sources: Mapping[str, SourceSettings] = field(default_factory=dict)
    fresh: bool = False
    """Begin from nothing instead of where the stage before ended: another network."""
    seed: int = -1
    """Of the views, and of a fresh network's weights; below 0 it is counted on from the plan's, so that no stage sees
    the views of another."""
    batch: int = 16
    large: float = 1.0
    """Sides of the views, as a multiple of the recipe's."""
    relabel: float = 0.0
    """Above 0: pictures with incomplete masks are used too, completed by the stage before, where both agree so far."""

    def __post_init__(self) -> None:
        if self.batch < 1 or not self.large > 0:
            raise OptionError(f"The batch of {self.name} is at least 1, and large above 0.")
        check_fraction(f"relabel of {self.name}", self.relabel)


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that decides what comes out, but for the pictures."""

    stages: tuple[Stage, ...]
    seed: int = 0
    """Of the first stage; the others count on from it."""
    networks: tuple[Sequence[str], ...] = ()
    """For each network of the result the stages whose weights are averaged; empty makes one network, the last stage's.
    Stages that start from each other lie in one valley, and its middle makes fewer mistakes than its rim (Wortsman et
    al., "Model soups", ICML 2022)."""

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise OptionError(f"seed is {self.seed}: it must not be negative.")
        names = {stage.name for stage in self.stages}
        if len(names) < len(self.stages):
            raise OptionError("Two stages have the same name.")
        if not all(isinstance(stages, (list, tuple)) and stages for stages in self.networks):
            raise OptionError("networks is a list of lists of stages.")
        if unknown := [name for stages in self.networks for name in stages if name not in names]:
            raise OptionError(f"There is no stage {unknown[0]!r} to be averaged.", f"Stages are {', '.join(names)}.")


def read_plan(path: Path) -> Plan:
    """Read a plan.

    Args:
        path: A TOML file as shown at the top of this module.

    Returns:
        The plan.

    Raises:
        OptionError: It is no TOML, or has a key or value that means nothing; the message names it.
    """
    table = read_table(path)
    stages = table.pop("stages", None)
    if not isinstance(stages, list) or not stages:
        raise OptionError(f"{path} has no [[stages]].")
    networks = table.pop("networks", [])
    if not isinstance(networks, list):
        raise OptionError("networks is a list of lists of stages.")
    parts = {"stages": tuple(_stage(entry) for entry in stages), "networks": tuple(networks)}
    return build(Plan, table | parts, path.name)


def _stage(table: dict[str, Any]) -> Stage:
    if not isinstance(table, dict) or not isinstance(table.get("sources", {}), dict):
        raise OptionError(f"{table!r} is no stage.", "It is a table [[stages]] with tables [stages.sources.NAME].")
    name = str(table.get("name", "?"))
    parts = dict(table)
    parts["schedule"] = build(Schedule, table.get("schedule", {}), f"{name}.schedule")
    parts["views"] = build(ViewSettings, table.get("views", {}), f"{name}.views")
    parts["sources"] = {key: build(SourceSettings, source, key) for key, source in table.get("sources", {}).items()}
    return build(Stage, parts, name)


class LiteRun:
    """Carries out a plan in a folder, going on where an earlier run of it ended."""

    def __init__(self, plan: Plan, folders: Sequence[Path], out: Path, device: str = "cpu") -> None:
        """Read the pictures.

        Args:
            plan: The plan.
            folders: Pictures with mattes; the plan's sources name them by their last part.
            out: Where checkpoints, logs and weights go.
            device: A resolved device.

        Raises:
            DataError: A folder cannot be used, or one that the plan names was not given.
        """
        self.plan, self.out, self.device = plan, out, device
        for stage in plan.stages:
            check_batch(stage.batch)
        self.skipped: list[str] = []
        """Pictures that were not used, and why."""
        self._dropped: dict[str, str] = {}
        self._clean: dict[str, list[Sample]] = {}
        self._held_out: dict[str, list[Sample]] = {}
        self._noisy: dict[str, list[Sample]] = {}
        wanted = {name for stage in plan.stages for name in stage.sources}
        given: dict[str, Path] = {}
        for folder in folders:
            name = folder.resolve().name
            if name in given:
                raise DataError(f"Two folders are called {name}.", "A plan knows them by their names: rename one.")
            given[name] = folder
        if missing := sorted(wanted - given.keys()):
            raise DataError(f"The plan wants pictures from {', '.join(missing)}.", "Name a folder so called.")
        for name, folder in given.items():
            if name not in wanted:
                self.skipped.append(f"{folder}: the plan names no {name}")
                continue
            index = find_pairs(folder)
            if not index.training:
                raise DataError(f"All pictures of {folder} are for validation.", "Name a folder with more of them.")
            self.skipped += index.skipped
            for kept, pairs in (
                (self._clean, index.training),
                (self._held_out, index.validation),
                (self._noisy, index.noisy),
            ):
                kept[name], skipped = read_samples(pairs)
                self.skipped += skipped
            if not self._clean[name]:
                raise DataError(f"No picture of {folder} could be used.", "Give others.", "; ".join(self.skipped[:3]))
        for stage in plan.stages:
            if not self._validation(stage):
                raise DataError(
                    f"The stage {stage.name} has no picture to validate with.",
                    "Give more pictures.",
                )

    def run(self, report: Callable[[Stage, Progress], None] | None = None) -> Path:
        """Carry out all stages.

        Args:
            report: Told of the progress.

        Returns:
            The file of weights: one network in half precision, several in 8 bits.
        """
        before: Path | None = None
        results: dict[str, Path] = {}
        for number, stage in enumerate(self.plan.stages):
            seed = stage.seed if stage.seed >= 0 else self.plan.seed + number
            before = results[stage.name] = self._run_stage(stage, seed, None if stage.fresh else before, report)
        self.skipped += self._dropped.values()
        path = self.out / WEIGHTS
        if is_first():
            networks = self.plan.networks or ([self.plan.stages[-1].name],)
            export([mean_of([results[name] for name in stages]) for stages in networks], path)
        return path

    def _run_stage(
        self, stage: Stage, seed: int, before: Path | None, report: Callable[[Stage, Progress], None] | None
    ) -> Path:
        settings = LiteSettings(seed, stage.batch, stage.large, str(before or ""), stage.views)
        sources = self._sources(stage, before)
        recipe = LiteRecipe(sources, self._validation(stage), settings)
        folder = self.out / stage.name
        facts = {
            "stage": asdict(stage),
            "pictures": [[s.name for s in source.samples] for source in sources],
            "validation": [s.name for s in self._validation(stage)],
        }
        trainer = Trainer(recipe, stage.schedule, folder, device=self.device, seed=seed, facts=facts)
        trainer.run(None if report is None else lambda progress: report(stage, progress))
        if is_first() and (folder / LOG).is_file():
            plot(folder / LOG, folder / "curves.png")
        # The next stage begins with a file that the first process has just written.
        wait_for_all()
        return trainer.result

    def _validation(self, stage: Stage) -> list[Sample]:
        return [s for name, source in stage.sources.items() if source.hold_out for s in self._held_out[name]]

    def _sources(self, stage: Stage, before: Path | None) -> list[Source]:
        sources = []
        for name, settings in stage.sources.items():
            samples = list(self._clean[name])
            if not settings.hold_out:
                samples += self._held_out[name]
            if stage.relabel and before and self._noisy[name]:
                teacher = averaged(before).to(self.device).eval().requires_grad_(requires_grad=False)
                completed, dropped = relabel(teacher, self._noisy[name], stage.relabel, torch.device(self.device))
                samples += completed
                # Two stages may drop the same picture, with other agreements: it is said once.
                self._dropped |= {line.partition(":")[0]: line for line in dropped}
            samples = [sample for sample in samples if sample.name not in settings.leave_out]
            sources.append(Source(samples, settings.share, settings.seen))
        return sources


def mean_of(checkpoints: Sequence[Path]) -> dict[str, torch.Tensor]:
    """The mean of the averaged networks of several checkpoints.

    Args:
        checkpoints: Files of one architecture, at least one.

    Returns:
        Tensors by name; whole numbers (counters) are those of the last one.
    """
    states = [averaged(checkpoint).state_dict() for checkpoint in checkpoints]
    return {
        name: torch.stack([state[name] for state in states]).mean(dim=0) if last.is_floating_point() else last
        for name, last in states[-1].items()
    }


def export(states: Sequence[Mapping[str, torch.Tensor]], path: Path) -> Path:
    """Write networks' tensors as they are shipped; see :func:`arena.nets.lite.pack`.

    Args:
        states: Tensors of each network by name.
        path: The safetensors file.

    Returns:
        ``path``.
    """
    tensors = pack(states)
    return write_whole(path, lambda partial: save_file(tensors, partial))
