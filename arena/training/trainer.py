"""The trainer: batches in, weights out. It knows nothing of pictures; a recipe brings those.

Several processes that ``torchrun`` starts share each batch: every one works on its part, and gradients are averaged.
That is worth it on one CPU too: a thread for each half of the batch waits for the other once a step, where two threads
inside of every operation wait for each other a thousand times.

A run is a function of its recipe and its seed. Batch ``i`` depends on ``i`` alone, so a run that was broken off goes on
from its last checkpoint as if it never had been: on a CPU the weights come out the same, bit for bit.
"""

from __future__ import annotations

import copy
import csv
import json
import math
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

import torch
import torch.distributed as dist
from torch import Tensor, nn

from arena.errors import ArenaError, OptionError
from arena.training.files import make_folder, write_whole
from arena.training.launch import part_of_work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

type Batch = tuple[Tensor, ...]
Precision = Literal["float32", "bfloat16", "float16"]

CHECKPOINT = "checkpoint.pt"
"""Everything that going on needs."""
BEST = "best.pt"
"""The averaged network that scored best so far."""
LOG = "log.csv"
_REPORT_EVERY = 20
"""Steps."""
_WARM_UP_SHARE = 0.02
"""Share of the steps over which the learning rate rises."""


class Recipe(Protocol):
    """What is trained and on what."""

    def build(self) -> nn.Module:
        """The network before its first step."""

    def batch(self, step: int, part: int, parts: int) -> Batch:
        """Inputs and targets of one of the equal parts of a step, the same whenever asked; on a thread of its own."""

    def loss(self, net: nn.Module, batch: Batch) -> Tensor:
        """The scalar to be made small."""

    def validate(self, net: nn.Module) -> dict[str, float]:
        """Scores of a network; the first is the one that counts, larger is better."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast."""

    steps: int = 8000
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    decay: float = 0.999
    """Of the exponential moving average of the weights, which is what is kept (Polyak averaging)."""
    clip: float = 5.0
    """Largest norm of a gradient."""
    validate_every: int = 500
    save_every: int = 250
    patience: int = 0
    """End after this many validations without a better one, and take the best; 0 never does, and takes the last."""
    precision: Precision = "float32"
    """What is multiplied in, where the network does not ask for more. Gradients of float16, which ends at 6e-8, are
    scaled by as much as they bear (Micikevicius et al., "Mixed Precision Training", ICLR 2018)."""

    def __post_init__(self) -> None:
        if self.precision not in get_args(Precision):
            raise OptionError(f"precision is one of {', '.join(get_args(Precision))}, not {self.precision!r}.")
        if self.patience < 0:
            raise OptionError(f"patience is {self.patience}: it must not be negative.")
        if min(self.steps, self.validate_every, self.save_every) < 1:
            raise OptionError("steps, validate_every and save_every are at least 1.")
        if not (self.learning_rate > 0 and self.clip > 0 and 0 <= self.decay < 1 and self.weight_decay >= 0):
            raise OptionError("learning_rate and clip are above 0, decay from 0 to below 1, weight_decay not below 0.")


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run is."""

    step: int
    steps: int
    loss: float
    """Mean since the last validation."""
    seconds: float
    """Since this process began to train."""
    scores: dict[str, float] | None = None
    """After a validation."""


class Trainer:
    """Trains one network in one folder, resuming what it finds there."""

    def __init__(
        self,
        recipe: Recipe,
        schedule: Schedule,
        folder: Path,
        *,
        device: str = "cpu",
        seed: int = 0,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        """Build the network, or take up the run that is in the folder.

        Args:
            recipe: What is trained.
            schedule: How long and how fast.
            folder: Where checkpoint and log are kept; made if it is not there.
            device: A resolved device.
            seed: Of the first weights; the recipe has its own for the data.
            facts: What else decides what comes out, as plain values: a run goes on only with the same.

        Raises:
            ArenaError: The folder holds a run of another schedule, seed, network or other facts, or cannot be made.
        """
        self.recipe, self.schedule, self.folder, self.device = recipe, schedule, folder, device
        make_folder(folder)
        decisive = asdict(schedule)
        # Not of the same bits, but of the same run: what was begun on a GPU may go on without one.
        del decisive["precision"]
        self._facts = json.dumps({"schedule": decisive, "seed": seed, **(facts or {})}, sort_keys=True)
        torch.manual_seed(seed)
        self.net = recipe.build().to(device)
        self.average: nn.Module = copy.deepcopy(self.net).requires_grad_(requires_grad=False)
        trained = [p for p in self.net.parameters() if p.requires_grad]
        self._frozen = {name for name, p in self.net.named_parameters(remove_duplicate=False) if not p.requires_grad}
        # Normalisations and biases are not pulled towards zero.
        groups = [
            {"params": [p for p in trained if p.ndim > 1], "weight_decay": schedule.weight_decay},
            {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
        ]
        # Fused: otherwise a third of a step on a CPU goes into thousands of tiny operations.
        self.optimizer = torch.optim.AdamW(groups, lr=schedule.learning_rate, fused=True)
        self.kind = device.split(":", maxsplit=1)[0]
        self.scaler = torch.amp.GradScaler(self.kind, enabled=schedule.precision == "float16")
        self.part, self.parts = part_of_work()
        self.step = 0
        self.best = float("-inf")
        self.since_best = 0
        self._losses: list[float] = []
        """Since the last validation."""
        if (folder / CHECKPOINT).is_file():
            self._resume()

    @property
    def result(self) -> Path:
        """The file that holds the run's outcome under ``"average"``."""
        return self.folder / (BEST if self.schedule.patience else CHECKPOINT)

    @property
    def ended(self) -> bool:
        """Whether there is nothing left to do."""
        impatient = bool(self.schedule.patience and self.since_best >= self.schedule.patience)
        return impatient or self.step >= self.schedule.steps

    def run(self, report: Callable[[Progress], None] | None = None) -> nn.Module:
        """Train to the end of the schedule, or until patience ends.

        Args:
            report: Told of the progress, every few steps and after each validation.

        Returns:
            The averaged network, in evaluation mode: the best one if there is patience to be lost, else the last one.
        """
        started = perf_counter()
        with ThreadPoolExecutor(1, thread_name_prefix="batches") as ahead:
            for batch in self._batches(ahead):
                self._losses.append(self._train(batch))
                if math.isnan(self._losses[-1]):
                    raise ArenaError(
                        f"The loss is no number any more at step {self.step}.",
                        "Begin again in another folder with a lower learning rate.",
                    )
                last = self.step == self.schedule.steps
                mean, seconds = sum(self._losses) / len(self._losses), perf_counter() - started
                scores = None
                if last or self.step % self.schedule.validate_every == 0:
                    scores = self._validate(mean, seconds)
                    self._losses = []
                if scores or self.step % self.schedule.save_every == 0:
                    self._save()
                if report and (scores or self.step % _REPORT_EVERY == 0):
                    report(Progress(self.step, self.schedule.steps, mean, seconds, scores))
        if self.schedule.patience and not self.part:
            self.average.load_state_dict(self._read(self.result)["average"])
        self.average.eval()
        return self.average

    def learning_rate(self, step: int) -> float:
        """Of one step: a short rise, then half a cosine down to zero (Loshchilov and Hutter, "SGDR", ICLR 2017)."""
        rise = max(1, round(_WARM_UP_SHARE * self.schedule.steps))
        if step < rise:
            return self.schedule.learning_rate * (step + 1) / rise
        share = (step - rise) / max(1, self.schedule.steps - rise)
        return self.schedule.learning_rate * float(0.5 * (1 + torch.cos(torch.tensor(share * torch.pi))))

    def _batches(self, ahead: ThreadPoolExecutor) -> Iterator[Batch]:
        """One batch after the other, the next made while this one trains."""
        if self.ended:
            return
        following = ahead.submit(self.recipe.batch, self.step, self.part, self.parts)
        while not self.ended:
            batch = following.result()
            if self.step + 1 < self.schedule.steps:
                following = ahead.submit(self.recipe.batch, self.step + 1, self.part, self.parts)
            yield batch

    def _train(self, batch: Batch) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate(self.step)
        self.net.train()
        placed = tuple(part.to(self.device, non_blocking=True) for part in batch)
        with torch.autocast(self.kind, self._dtype(), enabled=self.schedule.precision != "float32"):
            loss = self.recipe.loss(self.net, placed)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self._average_gradients()
        # After the average: an overflow in one process is one in all of them, and all leave the step out.
        self.scaler.unscale_(self.optimizer)
        nn.utils.clip_grad_norm_(self.net.parameters(), self.schedule.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.step += 1
        self._follow()
        return float(loss.detach())

    def _dtype(self) -> torch.dtype:
        return torch.float16 if self.schedule.precision == "float16" else torch.bfloat16

    def _average_gradients(self) -> None:
        """Make the gradients of all processes the same, in one message."""
        if self.parts == 1:
            return
        gradients = [p.grad for p in self.net.parameters() if p.grad is not None]
        together = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(together)
        together /= self.parts
        for gradient, part in zip(gradients, torch.split(together, [g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    @torch.no_grad()
    def _follow(self) -> None:
        """Move the average towards the weights; quickly at first, when there is nothing worth remembering."""
        share = 1 - min(self.schedule.decay, (1 + self.step) / (10 + self.step))
        followed = self.average.state_dict()
        pairs = [(followed[name], new) for name, new in self.net.state_dict().items() if name not in self._frozen]
        floating = [pair for pair in pairs if pair[0].is_floating_point()]
        torch._foreach_lerp_([kept for kept, _ in floating], [new for _, new in floating], share)
        for kept, new in pairs:
            if not kept.is_floating_point():
                kept.copy_(new)

    def _validate(self, loss: float, seconds: float) -> dict[str, float]:
        self.average.eval()
        with torch.inference_mode():
            scores = self.recipe.validate(self.average)
        if self.parts > 1:
            # The processes' running means differ a little, and all have to agree on when patience ends.
            held = [scores]
            dist.broadcast_object_list(held)
            scores = held[0]
        score = next(iter(scores.values()))
        better = score > self.best
        self.since_best = 0 if better else self.since_best + 1
        self.best = max(self.best, score)
        if self.part:
            return scores
        if better:
            # Before the checkpoint that knows of it: what is done twice after a crash comes out the same.
            self._write({"step": self.step, "score": score, "average": self.average.state_dict()}, BEST)
        row = {"step": self.step, "seconds": round(seconds), "loss": f"{loss:.5f}"}
        row |= {"learning_rate": f"{self.learning_rate(self.step - 1):.3g}"}
        row |= {name: f"{value:.5f}" for name, value in scores.items()}
        path = self.folder / LOG
        fresh = not path.is_file()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, row)
            if fresh:
                writer.writeheader()
            writer.writerow(row)
        return scores

    def _save(self) -> None:
        if self.part:
            return
        state = {
            "facts": self._facts,
            "step": self.step,
            "best": self.best,
            "since_best": self.since_best,
            "losses": self._losses,
            "net": self.net.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "random": torch.get_rng_state(),
        }
        self._write(state, CHECKPOINT)

    def _write(self, state: dict[str, Any], name: str) -> None:
        write_whole(self.folder / name, lambda path: torch.save(state, path))

    def _resume(self) -> None:
        path = self.folder / CHECKPOINT
        state = self._read(path)
        if state.get("facts") != self._facts:
            raise OptionError(
                f"{self.folder} holds a run of other settings or pictures.",
                "Name another folder, or take this one away.",
            )
        try:
            self.net.load_state_dict(state["net"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            # A run that was begun in another precision has scaled nothing yet.
            if state["scaler"]:
                self.scaler.load_state_dict(state["scaler"])
            self.step, self.best, self.since_best = state["step"], state["best"], state["since_best"]
            self._losses = state["losses"]
            torch.set_rng_state(state["random"])
        except (RuntimeError, KeyError, ValueError) as error:
            raise _unfit(path, error) from error
        self._forget_rows_after(self.step)

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except (RuntimeError, ValueError, OSError, EOFError, pickle.UnpicklingError) as error:
            raise _unfit(path, error) from error
        return state

    def _forget_rows_after(self, step: int) -> None:
        """Rows of the log that the resumed run will write again."""
        path = self.folder / LOG
        if not path.is_file():
            return
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        kept = [row for row in rows if int(row["step"]) <= step]
        if not kept:
            path.unlink()
        elif len(kept) < len(rows):
            with path.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, kept[0])
                writer.writeheader()
                writer.writerows(kept)


def _unfit(path: Path, error: Exception) -> ArenaError:
    return ArenaError(f"{path} is no checkpoint of this network: {error}", "Name another folder, or remove the file.")
