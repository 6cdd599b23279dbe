"""A training of the hair refiner: one TOML file, pictures with mattes, and weights out.

::

    batch = 6
    exchange = 0.6

    [schedule]
    steps = 3000
    learning_rate = 2e-3
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from arena.training.curves import plot
from arena.training.hair import HairRecipe, HairSettings
from arena.training.launch import check_batch, is_first, wait_for_all
from arena.training.pictures import find_pairs, read_samples
from arena.training.plan import export
from arena.training.tables import build, read_table
from arena.training.trainer import LOG, Progress, Schedule, Trainer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from arena.training.pictures import Sample

WEIGHTS = "hair.safetensors"
SHIPPED_PLAN = Path(__file__).parents[1] / "boxed" / "hair" / "plan.toml"
"""That of the weights in the box."""


@dataclass(frozen=True, slots=True)
class HairPlan:
    """Everything that decides what comes out, but for the pictures."""

    settings: HairSettings
    schedule: Schedule


def read_hair_plan(path: Path) -> HairPlan:
    """Read a plan.

    Args:
        path: A TOML file as shown at the top of this module.

    Returns:
        The plan.

    Raises:
        OptionError: It is no TOML, or has a key or value that means nothing; the message names it.
    """
    table = read_table(path)
    schedule = build(Schedule, table.pop("schedule", {}), f"{path.name}, [schedule]")
    return HairPlan(build(HairSettings, table, path.name), schedule)


class HairRun:
    """Carries out a plan in a folder, going on where an earlier run of it ended."""

    def __init__(self, plan: HairPlan, folders: Sequence[Path], out: Path, device: str = "cpu") -> None:
        """Read the pictures.

        Args:
            plan: The plan.
            folders: Pictures with mattes.
            out: Where checkpoint, log and weights go.
            device: A resolved device.

        Raises:
            DataError: A folder cannot be used, or no matte is soft.
        """
        self.plan, self.out, self.device = plan, out, device
        check_batch(plan.settings.batch)
        self.skipped: list[str] = []
        """Pictures that were not used, and why."""
        samples: list[Sample] = []
        for folder in folders:
            index = find_pairs(folder)
            read, skipped = read_samples(index.training + index.validation)
            samples += read
            self.skipped += [*index.skipped, *skipped]
        self.recipe = HairRecipe(samples, plan.settings)
        # Masks are no subjects, but give backgrounds.
        self._pictures = [sample.name for sample in samples]

    def run(self, report: Callable[[Progress], None] | None = None) -> Path:
        """Train.

        Args:
            report: Told of the progress.

        Returns:
            The file of weights: the averaged network in half precision.
        """
        settings = self.plan.settings
        facts = {"settings": asdict(settings), "pictures": self._pictures}
        trainer = Trainer(
            self.recipe, self.plan.schedule, self.out, device=self.device, seed=settings.seed, facts=facts
        )
        net = trainer.run(report)
        path = self.out / WEIGHTS
        if is_first():
            export([net.state_dict()], path)
            if (self.out / LOG).is_file():
                plot(self.out / LOG, self.out / "curves.png")
        wait_for_all()
        return path
