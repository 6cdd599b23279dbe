from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from arena.catalog import get_card
from arena.errors import OptionError
from arena.metrics import iou
from arena.models.lite import LiteSegmenter
from arena.nets.lite import LiteNet, count_networks, unpack
from arena.photo import Photo
from arena.training import launch
from arena.training.lite import LiteRecipe, averaged, edge_weight, relabel
from arena.training.pictures import DataError, Sample
from arena.training.plan import SHIPPED_PLAN, LiteRun, mean_of, read_plan
from arena.training.views import Source
from tests.training.people import figure, samples, write_folder

if TYPE_CHECKING:
    from pathlib import Path

TINY = """
seed = 3
networks = [["base", "more"]]

[[stages]]
name = "base"
batch = 2
large = 0.25
[stages.schedule]
steps = 3
validate_every = 2
[stages.sources.ccp]

[[stages]]
name = "more"
batch = 2
large = 0.25
relabel = 0.05
[stages.schedule]
steps = 2
[stages.views]
grey = 0.5
[stages.sources.ccp]
share = 0.7
[stages.sources.near]
share = 0.3
seen = [0.5, 1.2]
hold_out = false
leave_out = ["0002"]
"""


def test_a_batch_is_shared_equally(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "part_of_work", lambda: (0, 3))
    folder = write_folder(tmp_path / "ccp", 6)
    with pytest.raises(OptionError, match="2 cannot be shared equally by 3 processes"):
        LiteRun(read_plan(write(tmp_path / "plan.toml")), [folder, folder], tmp_path / "run")


def test_without_pictures_nothing_begins(tmp_path: Path) -> None:
    plan = read_plan(write(tmp_path / "plan.toml"))
    folders = [write_folder(tmp_path / "ccp", 3), write_folder(tmp_path / "near", 3)]
    with pytest.raises(DataError, match="base has no picture to validate with"):
        LiteRun(plan, folders, tmp_path / "run")
    for photo in (tmp_path / "ccp" / "photos").iterdir():
        photo.write_bytes(b"broken")
    with pytest.raises(DataError, match="could be used"):
        LiteRun(plan, folders, tmp_path / "run")


def write(path: Path, text: str = TINY) -> Path:
    path.write_text(text, "utf-8")
    return path


def test_the_plan_of_the_shipped_weights_can_be_read() -> None:
    assert read_plan(SHIPPED_PLAN).stages


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("batch = 2", "bach = 2", "batch"),
        ("batch = 2", "batch = 0", "batch of base is at least 1"),
        ("large = 0.25", "large = 0.0", "large above 0"),
        ("relabel = 0.05", "relabel = 1.5", "relabel of more"),
        ("seed = 3", "seed = -1", "negative"),
        ("steps = 3", "stepps = 3", "steps"),
        ("grey = 0.5", "grey = 5.0", "grey"),
        ("share = 0.7", "share = 0", "share"),
        ("seen = [0.5, 1.2]", "seen = [2.0, 1.0]", "seen"),
        ("seen = [0.5, 1.2]", "seen = [0.5]", "seen"),
        ("seen = [0.5, 1.2]", 'seen = ["head", "toe"]', "seen"),
        ('name = "more"', 'name = "base"', "same name"),
        ("seed = 3", "seed =", "TOML"),
        ('"base", "more"]]', '"base", "mor"]]', "mor"),
        ('[["base", "more"]]', '["base"]', "list of lists"),
    ],
)
def test_a_mistake_in_a_plan_is_named(tmp_path: Path, old: str, new: str, named: str) -> None:
    with pytest.raises(OptionError, match=named):
        read_plan(write(tmp_path / "plan.toml", TINY.replace(old, new)))


def test_a_plan_without_stages_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="stages"):
        read_plan(write(tmp_path / "plan.toml", "seed = 1"))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('stages = ["base"]', "is no stage"),
        ('[[stages]]\nname = "base"\nsources = ["ccp"]', "is no stage"),
        ('networks = 5\n[[stages]]\nname = "base"', "list of lists"),
    ],
)
def test_what_is_no_table_in_a_plan_is_named(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(OptionError, match=named):
        read_plan(write(tmp_path / "plan.toml", text))


def test_a_plan_becomes_weights_that_the_segmenter_loads(tmp_path: Path) -> None:
    plan = read_plan(write(tmp_path / "plan.toml"))
    folders = [write_folder(tmp_path / "ccp", 14, noisy=(3,)), write_folder(tmp_path / "near", 5)]
    seen = []
    run = LiteRun(plan, folders, tmp_path / "out")
    weights = run.run(lambda stage, progress: seen.append((stage.name, progress.step)))
    assert ("base", 2) in seen
    assert ("more", 2) in seen
    for part in ("base/checkpoint.pt", "base/log.csv", "base/curves.png", "more/checkpoint.pt"):
        assert (tmp_path / "out" / part).is_file(), part
    segmenter = LiteSegmenter.load(get_card("lite"), weights, "cpu")
    matte = segmenter.segment(Photo.from_array(figure(1)[0]))
    assert matte.alpha.shape == (240, 160)
    again = LiteRun(plan, folders, tmp_path / "out").run()
    assert again.read_bytes() == weights.read_bytes()


def test_a_fresh_stage_begins_another_network_beside_the_first(tmp_path: Path) -> None:
    text = TINY.replace('[["base", "more"]]', '[["base"], ["more"]]').replace(
        "relabel = 0.05", "fresh = true\nseed = 3"
    )
    plan = read_plan(write(tmp_path / "plan.toml", text))
    folders = [write_folder(tmp_path / "ccp", 14), write_folder(tmp_path / "near", 5)]
    weights = LiteRun(plan, folders, tmp_path / "out").run()
    state = unpack(load_file(weights))
    assert count_networks(state) == 2
    nets = LiteSegmenter.read(get_card("lite"), weights)
    ends = [averaged(tmp_path / "out" / name / "checkpoint.pt").state_dict() for name in ("base", "more")]
    for number, end in enumerate(ends):
        name = "levels.0.0.conv.weight"
        kept = nets.state_dict()[f"networks.{number}.{name}"]
        torch.testing.assert_close(kept, end[name], atol=2e-3, rtol=0)
    # Of the same seed, it begins with the same weights: two steps later they are still near, as no stage's end is.
    assert not torch.equal(ends[0][name], ends[1][name])
    torch.testing.assert_close(ends[0][name], ends[1][name], atol=2e-2, rtol=0)


def test_the_weights_are_the_mean_of_the_stages_that_the_plan_names(tmp_path: Path) -> None:
    nets = [LiteNet(deep_supervision=True) for _ in range(2)]
    paths = [tmp_path / f"{index}.pt" for index in range(2)]
    for net, path in zip(nets, paths, strict=True):
        torch.save({"average": net.state_dict()}, path)
    mean = mean_of(paths)
    first, second = (net.state_dict() for net in nets)
    for name, value in mean.items():
        torch.testing.assert_close(value.double(), (first[name].double() + second[name].double()) / 2)


def test_a_folder_that_the_plan_wants_must_be_given(tmp_path: Path) -> None:
    plan = read_plan(write(tmp_path / "plan.toml"))
    with pytest.raises(DataError, match="near"):
        LiteRun(plan, [write_folder(tmp_path / "ccp", 3)], tmp_path / "out")


def test_a_folder_that_the_plan_does_not_name_is_said_and_two_of_one_name_are_refused(tmp_path: Path) -> None:
    plan = read_plan(write(tmp_path / "plan.toml"))
    folders = [write_folder(tmp_path / name, 14) for name in ("ccp", "near", "other")]
    assert f"{folders[2]}: the plan names no other" in LiteRun(plan, folders, tmp_path / "out").skipped
    with pytest.raises(DataError, match="Two folders are called ccp"):
        LiteRun(plan, [*folders, write_folder(tmp_path / "elsewhere" / "ccp", 3)], tmp_path / "out")


def test_parts_of_a_batch_are_the_batch() -> None:
    recipe = LiteRecipe([Source(samples(3))], [])
    whole = recipe.batch(7)
    parts = [recipe.batch(7, part, 2) for part in range(2)]
    for index, tensor in enumerate(whole):
        assert torch.equal(tensor[0::2], parts[0][index])
        assert torch.equal(tensor[1::2], parts[1][index])


def test_a_loss_falls_when_the_logits_are_right() -> None:
    recipe = LiteRecipe([Source(samples(3))], [])
    inputs, alpha, weight = recipe.batch(0)

    class Known(torch.nn.Module):
        def __init__(self, sharpness: float) -> None:
            super().__init__()
            self.sharpness = sharpness

        def forward_with_side(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            logits = (alpha - 0.5) * self.sharpness
            return logits, torch.nn.functional.interpolate(logits, scale_factor=1 / 8, mode="area")

    losses = [float(recipe.loss(Known(sharpness), (inputs, alpha, weight))) for sharpness in (-10, 0, 10)]
    assert losses[0] > losses[1] > losses[2]


def test_a_mask_that_lacks_something_is_completed_by_the_network() -> None:
    rgb, mask = figure(5)
    lacking = mask.copy()
    lacking[-40:] = 0
    sample = Sample.from_arrays("0005", rgb, lacking)

    class Red(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x[:, :1] - x[:, 2:]) * 50

    (completed,), dropped = relabel(Red(), [sample], 0.5, torch.device("cpu"))
    assert dropped == []
    assert iou(completed.alpha > 127, mask > 127) > 0.97 > iou(lacking > 127, mask > 127)
    kept, dropped = relabel(Red(), [sample], 0.99, torch.device("cpu"))
    assert kept == []
    assert dropped[0].startswith("0005")


def test_weights_are_greatest_at_the_outline() -> None:
    alpha = np.zeros((64, 64), np.float32)
    alpha[20:40, 20:40] = 1
    weight = edge_weight(alpha)
    assert weight[20, 30] == weight.max() > weight[0, 0] == 1
