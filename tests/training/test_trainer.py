from __future__ import annotations

import csv
import itertools
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

from arena.errors import ArenaError, OptionError
from arena.training.trainer import CHECKPOINT, LOG, Batch, Progress, Schedule, Trainer

if TYPE_CHECKING:
    from pathlib import Path


class Line:
    """Learns y = 2 x - 1 with a normalisation on the way, so that buffers matter too."""

    def __init__(self, spoiled_at: int = -1, score: float | None = None) -> None:
        self.spoiled_at = spoiled_at
        self.score = score
        self.asked: list[int] = []

    def build(self) -> nn.Module:
        return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1))

    def batch(self, step: int, part: int, parts: int) -> Batch:
        self.asked.append(step)
        x = torch.randn(16, 4, generator=torch.Generator().manual_seed(step))[part::parts]
        y = 2 * x[:, :1] - 1
        return x, y * torch.nan if step == self.spoiled_at else y

    def loss(self, net: nn.Module, batch: Batch) -> Tensor:
        return nn.functional.mse_loss(net(batch[0]), batch[1])

    def validate(self, net: nn.Module) -> dict[str, float]:
        if self.score is not None:
            return {"score": self.score}
        x = torch.randn(64, 4, generator=torch.Generator().manual_seed(10**6))
        return {"score": -float((net(x) - (2 * x[:, :1] - 1)).square().mean())}


def schedule(**changes: Any) -> Schedule:
    return Schedule(**{"steps": 60, "learning_rate": 3e-2, "validate_every": 20, "save_every": 10} | changes)


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / LOG).open() as file:
        return list(csv.DictReader(file))


def test_it_learns(tmp_path: Path) -> None:
    Trainer(Line(), schedule(steps=200), tmp_path).run()
    scores = [float(row["score"]) for row in rows(tmp_path)]
    assert scores[-1] > 0.2 * scores[0]
    assert scores[-1] > -0.3


def test_a_resumed_run_equals_an_unbroken_one_bit_for_bit(tmp_path: Path) -> None:
    whole = Trainer(Line(), schedule(), tmp_path / "whole").run()

    class BrokenOff(Exception):  # noqa: N818 - it is no error
        pass

    def stop(progress: Progress) -> None:
        if progress.step >= 40:
            raise BrokenOff

    with pytest.raises(BrokenOff):
        Trainer(Line(), schedule(), tmp_path / "broken").run(stop)
    recipe = Line()
    resumed = Trainer(recipe, schedule(), tmp_path / "broken")
    assert 0 < resumed.step <= 40
    net = resumed.run()
    assert min(recipe.asked) > 0
    for a, b in zip(whole.state_dict().values(), net.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    strip = [{k: v for k, v in row.items() if k != "seconds"} for row in rows(tmp_path / "whole")]
    assert [{k: v for k, v in row.items() if k != "seconds"} for row in rows(tmp_path / "broken")] == strip


def test_a_finished_run_is_not_run_again(tmp_path: Path) -> None:
    Trainer(Line(), schedule(), tmp_path).run()
    before = rows(tmp_path)
    Trainer(Line(), schedule(), tmp_path).run()
    assert rows(tmp_path) == before


def test_the_rate_rises_then_falls_to_nothing(tmp_path: Path) -> None:
    trainer = Trainer(Line(), schedule(steps=100), tmp_path)
    rates = [trainer.learning_rate(step) for step in range(100)]
    assert rates[0] < rates[1] == max(rates)
    assert rates[-1] < 0.01 * max(rates)
    assert all(a >= b for a, b in itertools.pairwise(rates[1:]))


def test_patience_ends_a_run_that_gets_no_better(tmp_path: Path) -> None:
    Trainer(Line(score=0.5), schedule(steps=500, patience=2), tmp_path).run()
    assert [int(row["step"]) for row in rows(tmp_path)] == [20, 40, 60]


def test_a_loss_that_is_no_number_ends_the_run_and_keeps_the_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(ArenaError, match="step 33"):
        Trainer(Line(spoiled_at=32), schedule(), tmp_path).run()
    assert Trainer(Line(), schedule(), tmp_path).step == 30


def test_frozen_parameters_do_not_move(tmp_path: Path) -> None:
    class Frozen(Line):
        def build(self) -> nn.Module:
            net = super().build()
            assert isinstance(net, nn.Sequential)
            net[0].requires_grad_(requires_grad=False)
            return net

    trainer = Trainer(Frozen(), schedule(), tmp_path)
    before = {name: value.clone() for name, value in trainer.net.state_dict().items()}
    after = trainer.run().state_dict()
    assert torch.equal(before["0.weight"], after["0.weight"])
    assert not torch.equal(before["3.weight"], after["3.weight"])


@pytest.mark.parametrize("spoil", ["bytes", "network"])
def test_a_checkpoint_that_does_not_fit_is_named(tmp_path: Path, spoil: str) -> None:
    if spoil == "bytes":
        (tmp_path / CHECKPOINT).write_bytes(b"none")
    else:
        Trainer(Line(), schedule(), tmp_path).run()

    class Other(Line):
        def build(self) -> nn.Module:
            return nn.Linear(4, 1)

    with pytest.raises(ArenaError, match=CHECKPOINT):
        Trainer(Other(), schedule(), tmp_path)


@pytest.mark.parametrize("change", [{"steps": 0}, {"learning_rate": 0.0}, {"decay": 1.0}, {"clip": -1.0}])
def test_a_schedule_out_of_range_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        schedule(**change)
