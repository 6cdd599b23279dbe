from __future__ import annotations

import dataclasses
import shutil
import socket
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from arena.errors import ArenaError, CheckpointError, OptionError
from arena.models.sam import SamPredictor, to_sam_input
from arena.nets.sam import Sam
from arena.photo import Photo
from arena.training.augment import UNCHANGED, AugmentSettings
from arena.training.features import CachedBatch
from arena.training.finetune import FinetuneSettings, survey
from arena.training.prompts import Prompt
from arena.training.sam import LossWeights, SamRecipe, SamSettings, mask_loss
from arena.training.sam_net import NO_POINT, Prompts, first_blocks, last_blocks, mask_logits
from arena.training.sam_views import Picture, SamBatch, make_view, prepare
from arena.training.trainer import BEST, Progress, Schedule, Trainer
from tests.conftest import ROOT
from tests.models import sam_tiny
from tests.training.people import write_folder, write_portraits

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from arena.training.finetune import Survey

BLOCKS = 2
"""Of the small network's encoder."""
STILL = AugmentSettings(**{item.name: 0.0 for item in dataclasses.fields(AugmentSettings)})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_portraits(tmp_path_factory.mktemp("portraits"), 15)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sam_tiny.save_segment_anything(tmp_path_factory.mktemp("start") / "start.pth")


@pytest.fixture(scope="module")
def pictures(folder: Path) -> Survey:
    return survey(FinetuneSettings(data=(str(folder),), boxes="mask"))


def recipe(pictures: Survey, start: Path, **changes: Any) -> SamRecipe:
    settings = SamSettings(**{"batch": 2, "trained_blocks": 1} | changes)
    return SamRecipe(pictures.training, pictures.validation, start, settings)


def schedule(**changes: Any) -> Schedule:
    every = {"steps": 4, "validate_every": 2, "save_every": 1, "decay": 0.0, "learning_rate": 1e-3}
    return Schedule(**every | changes)


def test_from_random_weights_it_learns_to_outline_portraits_it_has_not_seen(
    pictures: Survey, start: Path, tmp_path: Path
) -> None:
    tuned = recipe(pictures, start, batch=4, trained_blocks=BLOCKS)
    before = tuned.validate(tuned.build())["iou"]
    steps = schedule(steps=36, validate_every=36, learning_rate=3e-3)
    net = Trainer(tuned, steps, tmp_path).run()
    after = tuned.validate(net)["iou"]
    assert before < 0.6
    assert after > 0.9


def test_what_is_frozen_does_not_move_and_the_rest_does(pictures: Survey, start: Path, tmp_path: Path) -> None:
    trainer = Trainer(recipe(pictures, start), schedule(steps=2), tmp_path)
    before = {name: value.clone() for name, value in trainer.net.state_dict().items()}
    after = trainer.run().state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    frozen = ("vision_encoder.patch_embed.", "vision_encoder.pos_embed", "vision_encoder.layers.0.")
    fixed = "positional_embedding"
    assert not [name for name in moved if name.startswith(frozen) or name.endswith(fixed)]
    learning = ("vision_encoder.layers.1.", "vision_encoder.neck.", "mask_decoder.transformer.", "prompt_encoder.no_")
    # A key's bias adds the same to all that is compared, so it has no gradient.
    still = {name for name in before if name.startswith(learning) and "k_proj.bias" not in name} - moved
    assert not still
    assert {"prompt_encoder.point_embed.2.weight", "mask_decoder.output_hypernetworks_mlps.0.proj_out.bias"} <= moved


@pytest.mark.parametrize(
    ("trained", "learning"), [(0, []), (1, ["layers.1", "neck"]), (2, ["layers.0", "patch", "pos"])]
)
def test_how_much_of_the_encoder_learns_is_told(
    pictures: Survey, start: Path, trained: int, learning: list[str]
) -> None:
    net = recipe(pictures, start, trained_blocks=trained).build()
    names = [name for name, p in net.vision_encoder.named_parameters() if p.requires_grad]
    for stem in learning:
        assert any(name.startswith(stem) for name in names), stem
    assert bool(names) == bool(trained)
    assert any(name.startswith("layers.0") for name in names) == (trained == BLOCKS)


def test_more_blocks_than_there_are_cannot_learn(pictures: Survey, start: Path) -> None:
    with pytest.raises(OptionError, match="has 2"):
        recipe(pictures, start, trained_blocks=3).build()


def test_a_file_that_is_no_sam_is_named(pictures: Survey, tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save({"conv.weight": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="not a SAM"):
        recipe(pictures, path)


@pytest.mark.parametrize("cached_views", [0, 2])
def test_a_resumed_run_equals_an_unbroken_one_bit_for_bit(
    pictures: Survey, start: Path, tmp_path: Path, cached_views: int
) -> None:
    def train(folder: Path, stop_at: int = 0) -> Sam:
        tuned = recipe(pictures, start, cached_views=cached_views)
        if cached_views:
            tuned.keep_features(folder / "features", "cpu")

        def stop(progress: Progress) -> None:
            if progress.step == stop_at:
                raise KeyboardInterrupt

        net = Trainer(tuned, schedule(), folder).run(stop)
        assert isinstance(net, Sam)
        return net

    whole = train(tmp_path / "whole").state_dict()
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "broken", stop_at=2)
    resumed = train(tmp_path / "broken").state_dict()
    assert [name for name in whole if not torch.equal(whole[name], resumed[name])] == []
    best = [torch.load(tmp_path / name / BEST, weights_only=True) for name in ("whole", "broken")]
    assert best[0]["score"] == best[1]["score"]


def test_parts_of_a_batch_are_the_batch(pictures: Survey, start: Path) -> None:
    tuned = recipe(pictures, start, batch=4)
    whole = tuned.batch(3)
    parts = [tuned.batch(3, part, 2) for part in range(2)]
    for index, tensor in enumerate(whole):
        for part in range(2):
            torch.testing.assert_close(tensor[part::2], parts[part][index], rtol=0, atol=0, equal_nan=True)


def test_every_picture_has_its_turn_in_every_epoch(pictures: Survey, start: Path) -> None:
    tuned = recipe(pictures, start, batch=1, augment=STILL)
    count = len(pictures.training)
    for epoch in range(2):
        seen = {tuned.batch(step)[0].numpy().tobytes() for step in range(epoch * count, (epoch + 1) * count)}
        assert len(seen) == count


def test_batches_leave_the_generator_of_the_process_alone(pictures: Survey, start: Path) -> None:
    tuned = recipe(pictures, start)
    before = torch.get_rng_state()
    prepare(SamBatch(*tuned.batch(0)))
    assert torch.equal(before, torch.get_rng_state())


def test_a_view_without_change_is_what_the_segmenter_sees(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, 1)
    picture = Picture(folder / "photos" / "0001.jpg", folder / "masks" / "0001.png", Prompt((1, 1, 9, 9)))
    row = make_view(picture, UNCHANGED, sam_tiny.SIDE, points=0)
    pixels, truth = prepare(SamBatch(*(part[None] for part in row)))
    photo = Photo.open(picture.photo)
    expected, inside = to_sam_input(photo.rgb, sam_tiny.SIDE)
    assert inside[1] < sam_tiny.SIDE
    torch.testing.assert_close(pixels, expected, rtol=0, atol=1e-4)
    assert tuple(row.sizes.tolist()) == inside
    assert truth.shape == (1, 1, sam_tiny.SIDE // 4, sam_tiny.SIDE // 4)


def test_the_two_halves_of_the_encoder_are_the_encoder() -> None:
    net = sam_tiny.network()
    pixels = torch.randn(2, 3, sam_tiny.SIDE, sam_tiny.SIDE, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        whole = net.vision_encoder(pixels).last_hidden_state
        for trained in range(BLOCKS + 1):
            torch.testing.assert_close(last_blocks(net, first_blocks(net, pixels, trained), trained), whole)


def test_boxes_and_points_in_one_batch_are_asked_as_the_predictor_asks() -> None:
    net = sam_tiny.network()
    rgb = np.random.default_rng(0).integers(0, 256, (sam_tiny.SIDE, sam_tiny.SIDE, 3), dtype=np.uint8)
    predictor = SamPredictor(sam_tiny.network(), "cpu")
    predictor.encode(Photo.from_array(rgb))
    expected = [
        predictor.ask(points=[(30, 40), (50, 60)]).low_res,
        predictor.ask(boxes=[(10, 20, 90, 100)]).low_res,
        predictor.ask(points=[(30, 40), (100, 9)], labels=[1, 0]).low_res,
    ]
    nothing = [torch.nan] * 4
    prompts = Prompts(
        torch.tensor([nothing, [10.0, 20, 90, 100], nothing]),
        torch.tensor([[[30.0, 40], [50, 60]], [[0, 0], [0, 0]], [[30, 40], [100, 9]]]),
        torch.tensor([[1, 1], [NO_POINT, NO_POINT], [1, 0]]),
    )
    with torch.inference_mode():
        embedding = net.vision_encoder(to_sam_input(rgb, sam_tiny.SIDE)[0]).last_hidden_state.expand(3, -1, -1, -1)
        alone = [mask_logits(net, embedding[:1], Prompts(*(part[i : i + 1] for part in prompts))) for i in range(3)]
        together = mask_logits(net, embedding, prompts)
    torch.testing.assert_close(torch.cat(alone), torch.cat(expected))
    torch.testing.assert_close(together, torch.cat(expected))


def test_cached_features_give_the_loss_of_the_pictures_themselves(
    pictures: Survey, start: Path, tmp_path: Path
) -> None:
    fresh = recipe(pictures, start, augment=STILL)
    cached = recipe(pictures, start, cached_views=1)
    cached.keep_features(tmp_path, "cpu")
    net = fresh.build()
    with torch.inference_mode():
        loss = fresh.loss(net, _unjittered(fresh, 0))
        again = cached.loss(net, _unjittered(cached, 0))
        # The features are kept in half precision.
        torch.testing.assert_close(again, loss, rtol=1e-3, atol=0)
        assert cached.validate(net)["iou"] == pytest.approx(fresh.validate(net)["iou"], abs=0.01)


def _unjittered(tuned: SamRecipe, step: int) -> tuple[torch.Tensor, ...]:
    still = dataclasses.replace(tuned.settings, jitter=0.0)
    tuned.settings, kept = still, tuned.settings
    batch = tuned.batch(step)
    tuned.settings = kept
    return batch


def test_features_are_made_once_and_anew_for_other_weights(pictures: Survey, start: Path, tmp_path: Path) -> None:
    def rows_made(checkpoint: Path) -> int:
        seen: list[int] = []
        recipe(pictures, checkpoint, cached_views=2).keep_features(tmp_path, "cpu", lambda done, _: seen.append(done))
        return len(seen)

    rows = 2 * len(pictures.training) + len(pictures.validation)
    assert rows_made(start) == rows
    assert rows_made(start) == 0
    other = tmp_path / "other.pth"
    state = {name: value * 1.01 for name, value in torch.load(start, weights_only=True).items()}
    torch.save(state, other)
    assert rows_made(other) == rows


def test_features_that_the_disk_cannot_hold_are_refused(
    pictures: Survey, start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10_000))
    with pytest.raises(ArenaError, match="has room for 10"):
        recipe(pictures, start, cached_views=2).keep_features(tmp_path, "cpu")
    assert not list(tmp_path.glob("*.npy"))


def test_half_written_features_are_not_taken_for_those_that_were_there(
    pictures: Survey, start: Path, tmp_path: Path
) -> None:
    def made(report: Callable[[int, int], None], **changes: Any) -> None:
        recipe(pictures, start, cached_views=1, **changes).keep_features(tmp_path, "cpu", report)

    def stop(done: int, _: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    seen: list[int] = []
    made(lambda done, _: seen.append(done))
    with pytest.raises(KeyboardInterrupt):
        made(stop, seed=1)
    made(lambda done, _: seen.append(done))
    assert len(seen) == 2 * (len(pictures.training) + len(pictures.validation))


def test_a_cached_batch_holds_mirror_images_too(pictures: Survey, start: Path, tmp_path: Path) -> None:
    tuned = recipe(pictures, start, batch=1, cached_views=2)
    tuned.keep_features(tmp_path, "cpu")
    truths = {CachedBatch(*tuned.batch(step)).truths.numpy().tobytes() for step in range(6 * len(pictures.training))}
    assert len(truths) == 2 * len(pictures.training)


def test_the_loss_falls_when_the_logits_are_right_and_padding_does_not_count() -> None:
    truth = torch.zeros(1, 1, 32, 32)
    truth[..., 10:20, 8:18] = 1
    inside = torch.ones(1, 1, 32, 32)
    inside[..., 24:, :] = 0
    losses = [float(mask_loss((truth - 0.5) * sharpness, truth, inside, LossWeights())) for sharpness in (-9, 0, 9, 40)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.01
    logits = (truth - 0.5) * 40
    logits[..., 24:, :] = 20
    assert float(mask_loss(logits, truth, inside, LossWeights())) == pytest.approx(losses[-1], abs=1e-6)


@pytest.mark.parametrize("only", ["cross_entropy", "dice", "boundary"])
def test_each_part_of_the_loss_counts(only: str) -> None:
    weights = LossWeights(**{"cross_entropy": 0.0, "dice": 0.0, "boundary": 0.0} | {only: 1.0})
    truth = torch.zeros(1, 1, 32, 32)
    truth[..., 10:20, 8:18] = 1
    logits = (0.1 * truth).requires_grad_()
    mask_loss(logits, truth, torch.ones_like(truth), weights).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert logits.grad.abs().max() > 0


@pytest.mark.parametrize(
    "change", [{"batch": 0}, {"trained_blocks": -1}, {"jitter": 1.5}, {"cached_views": -1}, {"seed": -1}]
)
def test_settings_out_of_range_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        SamSettings(**change)


def test_a_point_that_leaves_the_picture_is_told_no_more(pictures: Survey) -> None:
    picture = dataclasses.replace(pictures.training[0], prompt=Prompt(None, ((95.0, 40.0), (20.0, 40.0)), (0, 1)))
    change = dataclasses.replace(UNCHANGED, shift=(0.2, 0.0))
    row = make_view(picture, change, sam_tiny.SIDE, points=3)
    assert row.labels.tolist() == [1, NO_POINT, NO_POINT]
    assert row.points[0, 0] == pytest.approx((20 / 96 + 0.2) * sam_tiny.SIDE, abs=0.01)


@pytest.mark.slow
def test_two_processes_make_the_weights_of_one(pictures: Survey, start: Path, tmp_path: Path) -> None:
    def train(rank: int, world: int, port: int, out: Path) -> subprocess.Popen[str]:
        places: dict[str, Any] = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "LOCAL_WORLD_SIZE": world}
        places |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": 1}
        lines = [f"import os; os.environ.update({ {key: str(value) for key, value in places.items()} })", _DISTRIBUTED]
        return subprocess.Popen(
            [sys.executable, "-c", "\n".join(lines), str(folder_of(pictures)), str(start), str(out)],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    both = [train(rank, 2, port, tmp_path / "two") for rank in range(2)]
    Trainer(recipe(pictures, start), schedule(steps=3), tmp_path / "one").run()
    for process in both:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
    before = recipe(pictures, start).build().state_dict()
    one, two = (torch.load(tmp_path / name / BEST, weights_only=True)["average"] for name in ("one", "two"))
    ways = [torch.cat([(after[name] - before[name]).flatten() for name in before]) for after in (one, two)]
    # Sums are taken in another order, and where there is hardly a gradient Adam makes much of that.
    assert float((ways[0] - ways[1]).norm() / ways[0].norm()) < 0.02


def folder_of(pictures: Survey) -> Path:
    return pictures.training[0].photo.parents[1]


_DISTRIBUTED = """
import sys
from pathlib import Path
from arena.training.finetune import FinetuneSettings, survey
from arena.training.launch import distributed
from arena.training.trainer import Trainer
from tests.training.test_sam import recipe, schedule
with distributed("cpu"):
    pictures = survey(FinetuneSettings(data=(sys.argv[1],), boxes="mask"))
    Trainer(recipe(pictures, Path(sys.argv[2])), schedule(steps=3), Path(sys.argv[3])).run()
"""
