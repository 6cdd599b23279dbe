from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from arena.cli.app import app
from arena.errors import OptionError
from arena.metrics import iou
from arena.models.hair import HairRefiner
from arena.training.hair import HairRecipe, HairSettings, coarsen, to_matte
from arena.training.hair_run import SHIPPED_PLAN, HairPlan, HairRun, read_hair_plan
from arena.training.pictures import DataError, Sample
from arena.training.trainer import Schedule, Trainer
from tests.training.people import figure, write_folder

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def shaggy(seed: int, side: int = 200) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """RGB and matte of a dark ball with strands of hair on light ground."""
    chance = np.random.default_rng(seed)
    alpha = np.zeros((side, side), np.uint8)
    centre = np.array([side / 2, side / 2])
    cv2.circle(alpha, (side // 2, side // 2), side // 5, (255,), -1)
    for angle in chance.uniform(0, 2 * np.pi, 90):
        way = np.array([np.cos(angle), np.sin(angle)])
        ends = [centre + way * side * reach for reach in (0.19, 0.21 + chance.uniform(0.02, 0.09))]
        (x0, y0), (x1, y1) = ((int(v) for v in end * 16) for end in ends)
        cv2.line(alpha, (x0, y0), (x1, y1), (255,), 1, cv2.LINE_AA, 4)
    alpha = np.asarray(cv2.GaussianBlur(alpha, (0, 0), 0.6), np.uint8)
    front, back = chance.uniform(0, 90, 3), chance.uniform(150, 255, 3)
    weight = alpha[..., None] / 255
    rgb = weight * front + (1 - weight) * back + chance.normal(0, 4, (side, side, 3))
    return np.clip(rgb, 0, 255).astype(np.uint8), alpha


def hairy(count: int) -> list[Sample]:
    return [Sample.from_arrays(f"hair{seed}", *shaggy(seed)) for seed in range(count)]


def settings(**changes: Any) -> HairSettings:
    return HairSettings(**{"batch": 4, "side": 64} | changes)


def test_it_learns_to_find_the_strands_of_pictures_it_has_not_seen(tmp_path: Path) -> None:
    recipe = HairRecipe(hairy(4), settings(leave_out=("hair3",)))
    before = recipe.validate(recipe.build().eval())["gain"]
    schedule = Schedule(steps=80, learning_rate=5e-3, decay=0.9, validate_every=80, weight_decay=0.0)
    after = recipe.validate(Trainer(recipe, schedule, tmp_path).run())["gain"]
    assert before < 0.2
    assert after > 0.4


def test_a_coarse_mask_is_nearly_the_matte_but_has_no_strands() -> None:
    alpha = to_matte(shaggy(1)[1])
    strands = (
        (alpha > 0.3)
        & (cv2.erode(alpha, np.ones((9, 9))) < 0.3)
        & (cv2.morphologyEx(alpha, cv2.MORPH_OPEN, np.ones((7, 7))) < 0.3)
    )
    for seed in range(8):
        logits = coarsen(alpha, np.random.default_rng(seed))
        assert logits.shape == alpha.shape
        assert iou(logits > 0, alpha > 0.5) > 0.7
        kept = (logits > 0)[strands].mean()
        solid = (logits > 0)[alpha > 0.9].mean()
        assert kept < solid
    again = coarsen(alpha, np.random.default_rng(7))
    np.testing.assert_array_equal(logits, again)


def test_parts_of_a_batch_are_the_batch() -> None:
    recipe = HairRecipe(hairy(2), settings())
    whole = recipe.batch(5)
    parts = [recipe.batch(5, part, 2) for part in range(2)]
    for index, tensor in enumerate(whole):
        assert torch.equal(tensor[0::2], parts[0][index])
        assert torch.equal(tensor[1::2], parts[1][index])


def test_the_loss_is_least_for_the_truth() -> None:
    recipe = HairRecipe(hairy(2), settings())
    batch = recipe.batch(0)

    class Told(torch.nn.Module):
        def __init__(self, logits: torch.Tensor) -> None:
            super().__init__()
            self.logits = logits

        def forward(self, rgb: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
            return self.logits

    right = torch.logit(batch[2].clamp(1e-4, 1 - 1e-4))
    losses = [float(recipe.loss(Told(logits), batch)) for logits in (right, batch[1], -right)]
    assert losses[0] < 0.01 < losses[1] < losses[2]


def test_what_is_left_out_is_not_learned_from_but_scored() -> None:
    recipe = HairRecipe(hairy(3), settings(leave_out=("hair1",)))
    assert [subject.name for subject in recipe.training] == ["hair0", "hair2"]
    assert [subject.name for subject in recipe.validation] == ["hair1"]


def test_masks_give_backgrounds_and_no_hair() -> None:
    wide = [Sample.from_arrays(f"wide{seed}", *figure(seed, width=400)) for seed in range(2)]
    recipe = HairRecipe([*hairy(1), *wide], settings())
    assert [subject.name for subject in recipe.training] == ["hair0"]
    assert recipe.backgrounds
    assert all(strip[..., 0].mean() < 60 for strip in recipe.backgrounds)
    with pytest.raises(DataError, match="soft"):
        HairRecipe(wide, settings())


@pytest.mark.parametrize("change", [{"batch": 0}, {"side": 33}, {"side": 10}, {"exchange": 1.5}, {"seed": -1}])
def test_settings_out_of_range_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        settings(**change)


def test_the_plan_of_the_shipped_weights_can_be_read() -> None:
    assert read_hair_plan(SHIPPED_PLAN).schedule.steps > 0


@pytest.mark.parametrize(
    ("text", "named"), [("bach = 2", "batch"), ("[schedule]\nstep = 3", "steps"), ("batch =", "TOML")]
)
def test_a_mistake_in_a_plan_is_named(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(text)
    with pytest.raises(OptionError, match=named):
        read_hair_plan(path)


def write(folder: Path, count: int) -> Path:
    folder.mkdir()
    for seed in range(count):
        rgb, alpha = shaggy(seed, 120)
        Image.fromarray(rgb).save(folder / f"{seed}.png")
        Image.fromarray(alpha).save(folder / f"{seed}.alpha.png")
    return folder


def test_a_run_leaves_weights_that_the_refiner_loads_and_is_not_run_again(tmp_path: Path) -> None:
    plan = HairPlan(settings(), Schedule(steps=2, validate_every=2))
    folders = [write(tmp_path / "hair", 2)]
    weights = HairRun(plan, folders, tmp_path / "out").run()
    assert (tmp_path / "out" / "curves.png").is_file()
    rgb, alpha = shaggy(9, 120)
    refined = HairRefiner.load(weights).refine((to_matte(alpha) - np.float32(0.5)) * np.float32(9), rgb)
    assert refined.shape == (120, 120)
    before = weights.read_bytes()
    assert HairRun(plan, folders, tmp_path / "out").run().read_bytes() == before
    # Masks have no hair, but give backgrounds.
    masks = write_folder(tmp_path / "masks", 3)
    with pytest.raises(OptionError, match="other settings or pictures"):
        HairRun(plan, [*folders, masks], tmp_path / "out").run()


def test_the_command_trains(tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text("batch = 2\nside = 32\n[schedule]\nsteps = 1\n")
    folder = write(tmp_path / "hair", 2)
    (folder / "2.png").write_bytes((folder / "1.png").read_bytes())
    words = ["train", "hair", str(folder), "--out", str(tmp_path / "out"), "--config", str(plan), "--device", "cpu"]
    result = CliRunner().invoke(app, words, env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == str(tmp_path / "out" / "hair.safetensors")
    assert "Not used: 2.png" in result.stderr
