from __future__ import annotations

import csv
import itertools
import statistics
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

from arena.errors import ArenaError, OptionError
from arena.training.trainer import BEST, CHECKPOINT, LOG, Batch, Precision, Progress, Schedule, Trainer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Line:
    """Learns y = 2 x - 1 with a normalisation on the way, so that buffers matter too."""

    def __init__(self, spoiled_at: int = -1, score: float | None = None, scores: Sequence[float] = ()) -> None:
        self.spoiled_at = spoiled_at
        self.score = score
        self.scores = iter(scores)
        self.seen: list[Tensor] = []
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
        self.seen.append(net.state_dict()["0.weight"].clone())
        if self.score is not None:
            return {"score": self.score}
        if (score := next(self.scores, None)) is not None:
            return {"score": score}
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


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_a_resumed_run_equals_an_unbroken_one_bit_for_bit(tmp_path: Path, precision: str) -> None:
    whole = Trainer(Line(), schedule(precision=precision), tmp_path / "whole").run()

    class BrokenOff(Exception):  # noqa: N818 - it is no error
        pass

    def stop(progress: Progress) -> None:
        if progress.step >= 40:
            raise BrokenOff

    with pytest.raises(BrokenOff):
        Trainer(Line(), schedule(precision=precision), tmp_path / "broken").run(stop)
    recipe = Line()
    resumed = Trainer(recipe, schedule(precision=precision), tmp_path / "broken")
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


def test_a_run_goes_on_with_the_same_settings_alone(tmp_path: Path) -> None:
    Trainer(Line(), schedule(), tmp_path, facts={"pictures": ["a"]}).run()
    for steps, seed, pictures in ((61, 0, ["a"]), (60, 1, ["a"]), (60, 0, ["b"])):
        with pytest.raises(OptionError, match="other settings or pictures"):
            Trainer(Line(), schedule(steps=steps), tmp_path, seed=seed, facts={"pictures": pictures})
    # Begun on a GPU, ended without one.
    assert Trainer(Line(), schedule(precision="bfloat16"), tmp_path, facts={"pictures": ["a"]}).ended


@pytest.mark.parametrize("first", ["float32", "float16"])
def test_a_run_goes_on_in_another_precision(tmp_path: Path, first: Precision) -> None:
    with pytest.raises(ArenaError, match="no number"):
        Trainer(Line(spoiled_at=32), schedule(precision=first), tmp_path).run()
    second: Precision = "float16" if first == "float32" else "float32"
    trainer = Trainer(Line(), schedule(precision=second), tmp_path)
    assert trainer.step == 30
    trainer.run()
    assert trainer.ended


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"mine")
    with pytest.raises(OptionError, match="out cannot be made"):
        Trainer(Line(), schedule(), tmp_path / "out")


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("file write failed")])
def test_a_full_disk_is_said_and_the_older_checkpoint_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    with pytest.raises(ArenaError, match="no number"):
        Trainer(Line(spoiled_at=32), schedule(), tmp_path).run()
    before = (tmp_path / CHECKPOINT).read_bytes()

    def full(_: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise error

    trainer = Trainer(Line(), schedule(), tmp_path)
    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(ArenaError, match="Free some space"):
        trainer.run()
    assert (tmp_path / CHECKPOINT).read_bytes() == before
    assert not list(tmp_path.glob("*.part"))


def test_the_rate_rises_then_falls_to_nothing(tmp_path: Path) -> None:
    trainer = Trainer(Line(), schedule(steps=100), tmp_path)
    rates = [trainer.learning_rate(step) for step in range(100)]
    assert rates[0] < rates[1] == max(rates)
    assert rates[-1] < 0.01 * max(rates)
    assert all(a >= b for a, b in itertools.pairwise(rates[1:]))


def test_patience_ends_a_run_that_gets_no_better(tmp_path: Path) -> None:
    Trainer(Line(score=0.5), schedule(steps=500, patience=2), tmp_path).run()
    assert [int(row["step"]) for row in rows(tmp_path)] == [20, 40, 60]


def test_a_run_that_patience_ended_is_not_gone_on_with(tmp_path: Path) -> None:
    Trainer(Line(score=0.5), schedule(steps=500, patience=2), tmp_path).run()
    before = (tmp_path / CHECKPOINT).read_bytes()
    recipe = Line(score=0.5)
    Trainer(recipe, schedule(steps=500, patience=2), tmp_path).run()
    assert recipe.asked == []
    assert (tmp_path / CHECKPOINT).read_bytes() == before


def test_with_patience_the_best_network_is_the_result_not_the_last(tmp_path: Path) -> None:
    recipe = Line(scores=[0.2, 0.9, 0.5, 0.4, 0.3])
    trainer = Trainer(recipe, schedule(steps=500, patience=2), tmp_path)
    net = trainer.run()
    assert [float(row["score"]) for row in rows(tmp_path)] == [0.2, 0.9, 0.5, 0.4]
    assert torch.equal(net.state_dict()["0.weight"], recipe.seen[1])
    assert not torch.equal(recipe.seen[1], recipe.seen[3])
    assert trainer.result == tmp_path / BEST
    kept = torch.load(trainer.result, weights_only=True)
    assert (kept["step"], kept["score"]) == (40, 0.9)
    assert torch.equal(kept["average"]["0.weight"], recipe.seen[1])


def test_without_patience_the_last_network_is_the_result_and_the_best_is_kept_beside_it(tmp_path: Path) -> None:
    recipe = Line(scores=[0.2, 0.9, 0.5])
    trainer = Trainer(recipe, schedule(), tmp_path)
    net = trainer.run()
    assert torch.equal(net.state_dict()["0.weight"], recipe.seen[2])
    assert trainer.result == tmp_path / CHECKPOINT
    assert torch.equal(torch.load(tmp_path / BEST, weights_only=True)["average"]["0.weight"], recipe.seen[1])


def test_a_resumed_run_knows_the_best_of_the_run_before(tmp_path: Path) -> None:
    def stop(progress: Progress) -> None:
        if progress.step == 40:
            raise KeyboardInterrupt

    first = Line(scores=[0.9, 0.5])
    with pytest.raises(KeyboardInterrupt):
        Trainer(first, schedule(steps=500, patience=3), tmp_path).run(stop)
    second = Line(scores=[0.6, 0.7])
    net = Trainer(second, schedule(steps=500, patience=3), tmp_path).run()
    assert [float(row["score"]) for row in rows(tmp_path)] == [0.9, 0.5, 0.6, 0.7]
    assert torch.equal(net.state_dict()["0.weight"], first.seen[0])


def test_in_half_precision_gradients_are_scaled_and_clipped_at_their_own_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    norms = []
    clip = nn.utils.clip_grad_norm_
    monkeypatch.setattr(nn.utils, "clip_grad_norm_", lambda *args: norms.append(float(clip(*args))))
    trainer = Trainer(Line(), schedule(steps=200, precision="float16"), tmp_path)
    assert trainer.scaler.get_scale() > 1000
    trainer.run()
    # Not the largest: at first the scale is too large, and steps are left out.
    assert 0 < statistics.median(norms) < 100
    assert float(rows(tmp_path)[-1]["score"]) > -0.3


def test_a_step_whose_gradients_overflow_is_left_out_and_the_scale_halved(tmp_path: Path) -> None:
    class Steep(Line):
        def loss(self, net: nn.Module, batch: Batch) -> Tensor:
            # Times the scale of 65536 it is beyond the largest number.
            return super().loss(net, batch) * 1e35

    trainer = Trainer(Steep(), schedule(steps=1, precision="float16", validate_every=1), tmp_path)
    before = trainer.net.state_dict()["0.weight"].clone()
    scale = trainer.scaler.get_scale()
    trainer.run()
    assert torch.equal(trainer.net.state_dict()["0.weight"], before)
    assert trainer.scaler.get_scale() == scale / 2


def test_the_average_of_what_is_frozen_stays_what_it_was(tmp_path: Path) -> None:
    class Frozen(Line):
        def build(self) -> nn.Module:
            net = super().build()
            assert isinstance(net, nn.Sequential)
            net[0].requires_grad_(requires_grad=False)
            return net

    trainer = Trainer(Frozen(), schedule(), tmp_path)
    before = trainer.net.state_dict()["0.weight"].clone()
    average = trainer.run().state_dict()
    assert torch.equal(average["0.weight"], before)
    assert int(average["1.num_batches_tracked"]) == 60


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


@pytest.mark.parametrize(
    "change",
    [{"steps": 0}, {"learning_rate": 0.0}, {"decay": 1.0}, {"clip": -1.0}, {"patience": -1}, {"precision": "half"}],
)
def test_a_schedule_out_of_range_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        schedule(**change)
