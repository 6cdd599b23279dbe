"""``arena finetune`` without its words: settings and pictures in, tuned weights of SAM out.

A run lies in one folder: ``config.toml`` and ``pictures.json`` say what it was made of and make it again; ``log.csv``
and ``curves.png`` what came of it; ``checkpoint.pt`` goes on where it was broken off; ``sam.pth`` is the result, in
segment-anything's layout.
"""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch

from arena.catalog import get_card
from arena.errors import ArenaError, OptionError
from arena.nets.sam import config_of, to_segment_anything
from arena.training.augment import AugmentSettings
from arena.training.curves import plot
from arena.training.files import make_folder, write_whole
from arena.training.launch import check_batch, is_first, wait_for_all
from arena.training.pictures import DataError, find_pairs, read_pair
from arena.training.prompts import Boxes, Prompt, choose_prompt, prompts_beside, read_prompts
from arena.training.sam import LossWeights, SamRecipe, SamSettings
from arena.training.sam_net import check_blocks
from arena.training.sam_views import Picture
from arena.training.tables import build, read_table, write_table
from arena.training.trainer import BEST, CHECKPOINT, LOG, Precision, Progress, Schedule, Trainer
from arena.weights import fetch, load_tensors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

WEIGHTS = "sam.pth"
CONFIG = "config.toml"
PICTURES = "pictures.json"


@dataclass(frozen=True, slots=True)
class FinetuneSettings:
    """Everything that decides what comes out, but for the pictures' contents."""

    data: tuple[str, ...] = ()
    """Folders, indices and tables, as :func:`arena.training.pictures.find_pairs` reads them."""
    validation: tuple[str, ...] = ()
    """The same, all for validation; then those of ``data`` are all for training. Empty: ``data`` is split."""
    prompts: str = ""
    """File or folder of prompts, as :func:`arena.training.prompts.read_prompts` reads it."""
    boxes: Boxes = "face"
    """Where the box of a picture without a prompt comes from."""
    checkpoint: str = ""
    """The weights to begin with; empty: those of ``model``."""
    model: str = "sam-vit-b"
    """A model of the catalog whose published weights to begin with."""
    epochs: int = 10
    learning_rate: float = 3e-5
    weight_decay: float = 1e-4
    clip: float = 1.0
    """Largest norm of a gradient."""
    patience: int = 2
    """End after this many epochs without a better mean IoU; 0 never does. The best is kept all the same."""
    precision: Precision | Literal["auto"] = "auto"
    """``auto`` is float16 on CUDA and float32 elsewhere."""
    seed: int = 0
    batch: int = 4
    trained_blocks: int = 3
    jitter: float = 0.1
    cached_views: int = 0
    """These five are told at :class:`arena.training.sam.SamSettings`."""
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    loss: LossWeights = field(default_factory=LossWeights)

    def __post_init__(self) -> None:
        if self.boxes not in get_args(Boxes):
            raise OptionError(f"boxes is one of {', '.join(get_args(Boxes))}, not {self.boxes!r}.")
        if self.precision not in ("auto", *get_args(Precision)):
            raise OptionError(f"precision is one of auto, {', '.join(get_args(Precision))}, not {self.precision!r}.")
        if self.epochs < 1:
            raise OptionError(f"{self.epochs} epochs are not at least one.")
        # Both check the rest.
        self.recipe(), self.schedule(1, "cpu")

    def recipe(self) -> SamSettings:
        """What of it the recipe is told."""
        names = [item.name for item in dataclasses.fields(SamSettings)]
        return SamSettings(**{name: getattr(self, name) for name in names})

    def schedule(self, pictures: int, device: str) -> Schedule:
        """What of it the trainer is told.

        Args:
            pictures: How many there are to learn from.
            device: A resolved device.
        """
        epoch = math.ceil(pictures / self.batch)
        precision = self.precision
        if precision == "auto":
            precision = "float16" if device.startswith("cuda") else "float32"
        return Schedule(
            steps=self.epochs * epoch,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            # Remback's recipe averages no weights.
            decay=0.0,
            clip=self.clip,
            validate_every=epoch,
            save_every=epoch,
            patience=self.patience,
            precision=precision,
        )


def read_settings(path: Path) -> FinetuneSettings:
    """Read settings from TOML, such as the ``config.toml`` of a run.

    Args:
        path: The file. Relative paths in it start from its folder.

    Returns:
        The settings.

    Raises:
        OptionError: It is no TOML, or a key or value means nothing; the message names it.
    """
    table = read_table(path)
    parts = {
        name: build(kind, table.pop(name, {}), f"{path.name}, [{name}]")
        for name, kind in (("augment", AugmentSettings), ("loss", LossWeights))
    }
    settings = build(FinetuneSettings, table, path.name)
    for name in ("data", "validation"):
        if not all(isinstance(value, str) for value in getattr(settings, name)):
            raise OptionError(f"{path.name}: {name} is {list(getattr(settings, name))}, where paths are wanted.")
    paths: dict[str, Any] = {
        name: tuple(str(path.parent / value) for value in getattr(settings, name)) for name in ("data", "validation")
    }
    paths |= {
        name: str(path.parent / value) for name in ("prompts", "checkpoint") if (value := getattr(settings, name))
    }
    return dataclasses.replace(settings, **paths, **parts)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Survey:
    """The pictures of a run."""

    training: tuple[Picture, ...]
    validation: tuple[Picture, ...]
    skipped: tuple[str, ...]
    """What could not be used, and why."""

    def written(self) -> str:
        """JSON, of which :meth:`read` makes the same."""

        def rows(pictures: Iterable[Picture]) -> list[dict[str, Any]]:
            return [{"image": str(p.photo), "mask": str(p.mask), **p.prompt.written()} for p in pictures]

        lists = {"training": rows(self.training), "validation": rows(self.validation), "skipped": self.skipped}
        return json.dumps(lists, indent=1)

    @classmethod
    def read(cls, text: str) -> Survey:
        """What :meth:`written` wrote."""

        def picture(row: dict[str, Any]) -> Picture:
            photo, mask = Path(row.pop("image")), Path(row.pop("mask"))
            prompt = Prompt.read(row, photo.name)
            assert prompt is not None  # noqa: S101 - none is written
            return Picture(photo, mask, prompt)

        lists = json.loads(text)
        training, validation = (tuple(map(picture, lists[name])) for name in ("training", "validation"))
        return cls(training, validation, tuple(lists["skipped"]))


Pair = tuple[Path, Path, Path]
"""The folder or index that it is of, photo and mask."""


def list_pairs(settings: FinetuneSettings) -> tuple[list[Pair], list[Pair], list[str]]:
    """Find the pictures, without opening them.

    Args:
        settings: Where they are.

    Returns:
        Those to learn from, those to validate with, and what could not be used and why.

    Raises:
        DataError: A folder cannot be used, or a picture is to be both.
    """
    training: list[Pair] = []
    validation: list[Pair] = []
    skipped: list[str] = []
    for source in map(Path, settings.data):
        index = find_pairs(source)
        training += [(source, *pair) for pair in index.training]
        (training if settings.validation else validation).extend((source, *pair) for pair in index.validation)
        skipped += index.skipped
    for source in map(Path, settings.validation):
        index = find_pairs(source)
        validation += [(source, *pair) for pair in index.training + index.validation]
        skipped += index.skipped
    if twice := {photo.resolve() for _, photo, _ in training} & {photo.resolve() for _, photo, _ in validation}:
        raise DataError(f"{min(twice).name} is given both to learn from and to validate with.", "Leave it out of one.")
    return training, validation, skipped


def survey(settings: FinetuneSettings, report: Callable[[int, int], None] | None = None) -> Survey:
    """Find the pictures, look at each once, and decide what SAM is told of it.

    Args:
        settings: Where they are.
        report: Told how many of how many were looked at.

    Returns:
        Those that can be used, and why others cannot.

    Raises:
        DataError: There is none to learn from, or none to validate with.
    """
    given = read_prompts(Path(settings.prompts)) if settings.prompts else {}
    training, validation, skipped = list_pairs(settings)
    beside = {source: prompts_beside(source) for source, *_ in training + validation}
    total = len(training) + len(validation)
    kept: list[list[Picture]] = [[], []]
    done = 0
    for pictures, rows in zip(kept, (training, validation), strict=True):
        for source, photo, mask in rows:
            try:
                rgb, alpha = read_pair(photo, mask)
                prompt = choose_prompt(photo, rgb, alpha, (given, beside[source]), settings.boxes)
                pictures.append(Picture(photo.resolve(), mask.resolve(), prompt))
            except ArenaError as error:
                skipped.append(f"{photo.name}: {error.problem}")
            done += 1
            if report:
                report(done, total)
    for name, pictures in (("to learn from", kept[0]), ("to validate with", kept[1])):
        if not pictures:
            raise DataError(f"There is no picture {name}.", "Give more, or others.", "; ".join(skipped[:3]))
    return Survey(tuple(kept[0]), tuple(kept[1]), tuple(skipped))


class FinetuneRun:
    """A run in a folder, going on where an earlier one of the same settings ended."""

    def __init__(
        self,
        settings: FinetuneSettings,
        out: Path,
        device: str = "cpu",
        report: Callable[[str, int, int], None] | None = None,
    ) -> None:
        """Look at the pictures and the weights.

        Args:
            settings: What is to be done.
            out: Where everything goes.
            device: A resolved device.
            report: Told of what comes before the training: its name, how much of how much is done.

        Raises:
            ArenaError: Pictures or weights cannot be used, or the folder holds a run of other settings.
        """
        self.settings, self.out, self.device = settings, out, device
        self._report = report
        check_batch(settings.batch)
        # What is quickly seen to be wrong comes before what takes a while: a download, and a look at every picture.
        list_pairs(settings)
        if is_first():
            self._check_folder()
        self.checkpoint = self._weights()
        check_blocks(config_of(load_tensors(self.checkpoint)), settings.trained_blocks)
        if is_first():
            self._begin()
        wait_for_all()
        self.survey = Survey.read((out / PICTURES).read_text("utf-8"))

    def run(self, report: Callable[[Progress], None] | None = None) -> Path:
        """Train.

        Args:
            report: Told of the progress.

        Returns:
            The file of the best weights, in segment-anything's layout.
        """
        recipe = SamRecipe(self.survey.training, self.survey.validation, self.checkpoint, self.settings.recipe())
        schedule = self.settings.schedule(len(self.survey.training), self.device)
        trainer = Trainer(recipe, schedule, self.out, device=self.device, seed=self.settings.seed)
        features = self.out / "features"
        if self.settings.cached_views and not trainer.ended:
            recipe.keep_features(features, self.device, self._reporter("features"))

        def draw(progress: Progress) -> None:
            if progress.scores and is_first():
                plot(self.out / LOG, self.out / "curves.png")
            if report:
                report(progress)

        trainer.run(draw)
        path = self.out / WEIGHTS
        if is_first():
            best = torch.load(self.out / BEST, map_location="cpu", weights_only=True)["average"]
            tensors = {name: t.contiguous() for name, t in to_segment_anything(best).items()}
            write_whole(path, lambda partial: torch.save(tensors, partial))
            # Many gigabytes, and of no use any more.
            shutil.rmtree(features, ignore_errors=True)
        wait_for_all()
        return path

    def _weights(self) -> Path:
        """The checkpoint to begin with."""
        if self.settings.checkpoint:
            return Path(self.settings.checkpoint)
        card = get_card(self.settings.model)
        # Before gigabytes have come for nothing.
        if card.family != "sam":
            raise OptionError(f"{card.label} is no SAM.", "Choose sam-vit-b, or name a file with --checkpoint.")
        report = self._reporter("weights")
        path = fetch(card, progress=report and (lambda state: report(state.done, state.total)))
        assert path is not None  # noqa: S101 - for the type checker: every SAM of the catalog has a file
        return path

    def _begin(self) -> None:
        """Write down what the run is made of, or see that it is the one that is there."""
        config, pictures = self.out / CONFIG, self.out / PICTURES
        if self._is_same() and pictures.is_file():
            return
        found = survey(self.settings, self._reporter("pictures"))
        pictures.write_text(found.written(), "utf-8")
        config.write_text(self._written(), "utf-8")

    def _written(self) -> str:
        return write_table(_absolute(self.settings))

    def _is_same(self) -> bool:
        """Whether the folder holds a run of these settings."""
        config = self.out / CONFIG
        return config.is_file() and config.read_text("utf-8") == self._written()

    def _check_folder(self) -> None:
        """Refuse a folder that cannot be used, or whose contents would be lost."""
        make_folder(self.out)
        if not self._is_same() and (self.out / CHECKPOINT).is_file():
            raise OptionError(
                f"{self.out} holds a run of other settings.",
                f"Name another folder, or go on with it by --config {self.out / CONFIG}.",
            )
        if self.settings.checkpoint and Path(self.settings.checkpoint).resolve() == (self.out / WEIGHTS).resolve():
            raise OptionError(f"{self.out / WEIGHTS} would be overwritten by the result.", "Name another folder.")

    def _reporter(self, name: str) -> Callable[[int, int], None] | None:
        report = self._report
        return None if report is None else lambda done, total: report(name, done, total)


def _absolute(settings: FinetuneSettings) -> FinetuneSettings:
    """The settings with paths that mean the same from everywhere."""
    paths: dict[str, Any] = {
        name: tuple(str(Path(value).resolve()) for value in getattr(settings, name)) for name in ("data", "validation")
    }
    paths |= {
        name: str(Path(value).resolve()) for name in ("prompts", "checkpoint") if (value := getattr(settings, name))
    }
    return dataclasses.replace(settings, **paths)
