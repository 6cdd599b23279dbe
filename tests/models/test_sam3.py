"""SAM 3: what Ultralytics computes, without what it does beside computing."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from arena.catalog import get_card
from arena.errors import CheckpointError, OptionError, PhotoError
from arena.models import sam3_network
from arena.models.sam3 import (
    CONFIDENCE,
    EXAMPLE,
    Sam3Segmenter,
    check_prompt,
    instance_in,
    merge_masks,
    select_instances,
)
from arena.photo import Photo
from tests.models import sam3_tiny

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor


def finding(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same weights, but sure that the picture has what is asked for, with scores on both sides of the least."""
    scores = "dot_prod_scoring.hs_proj"
    return state | {
        "transformer.decoder.presence_token_head.layers.2.bias": torch.tensor([4.0]),
        "transformer.decoder.query_embed.weight": 8 * state["transformer.decoder.query_embed.weight"],
        f"{scores}.weight": 0.7 * state[f"{scores}.weight"],
        f"{scores}.bias": 0.7 * state[f"{scores}.bias"],
    }


@pytest.fixture(scope="module")
def small_state() -> dict[str, Tensor]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        sam3_tiny.shrink(monkeypatch)
        return sam3_tiny.random_state(sam3_network.build_network())


@pytest.fixture(scope="module")
def small_file(small_state: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sam3_tiny.save(tmp_path_factory.mktemp("sam3") / "sam3.pt", finding(small_state))


def load(path: Path) -> Sam3Segmenter:
    with pytest.MonkeyPatch.context() as monkeypatch:
        sam3_tiny.shrink(monkeypatch)
        return Sam3Segmenter.load(sam3_tiny.CARD, path, "cpu")


@pytest.fixture(scope="module")
def segmenter(small_file: Path) -> Sam3Segmenter:
    return load(small_file)


def picture(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), dtype=np.uint8)


def ultralytics_union(path: Path, rgb: NDArray[np.uint8], prompt: str) -> NDArray[np.bool_]:
    """The union of the masks that Ultralytics' own predictor returns, with its own loader."""
    sam = sam3_network.import_ultralytics()
    options = {"imgsz": sam3_tiny.SIDE, "device": "cpu", "model": str(path), "conf": 0.25, "verbose": False}
    predictor = sam.SAM3SemanticPredictor(overrides=options | {"save": False})
    with (
        pytest.MonkeyPatch.context() as monkeypatch,
        sam3_network._open_clip_as_clip(),
        sam3_network._thread_counts_kept(),
    ):
        sam3_tiny.shrink(monkeypatch)
        predictor.setup_model(verbose=False)
    with torch.inference_mode():
        (result,) = predictor(np.ascontiguousarray(rgb[..., ::-1]), text=[prompt])
    if result.masks is None:
        return np.zeros(rgb.shape[:2], bool)
    union: NDArray[np.bool_] = result.masks.data.any(0).numpy()
    return union


@pytest.mark.parametrize("prompt", ["person", "a red umbrella"])
@pytest.mark.parametrize("size", [(90, 120), (300, 170)])
def test_its_matte_cut_at_one_half_is_the_union_of_ultralytics_masks(
    segmenter: Sam3Segmenter, small_file: Path, size: tuple[int, int], prompt: str
) -> None:
    rgb = picture(*size)
    expected = ultralytics_union(small_file, rgb, prompt)
    alpha = segmenter.segment(Photo.from_array(rgb), prompt=prompt).alpha
    assert 0 < expected.mean() < 1
    np.testing.assert_array_equal(alpha > 0.5, expected)


@pytest.mark.parametrize("text", [None, "umbrella"])
def test_a_box_is_put_to_the_network_as_ultralytics_does(segmenter: Sam3Segmenter, text: str | None) -> None:
    photo = Photo.from_array(picture(90, 120))
    segmenter._encode(photo)
    assert segmenter._encoding is not None
    predictor, features = segmenter._predictor, segmenter._encoding.features
    box = torch.tensor([[12.0, 9.0, 60.0, 72.0]])
    with torch.inference_mode():
        boxes, labels = predictor._prepare_geometric_prompts((90, 120), box)
        theirs = predictor._inference_features(dict(features), boxes, labels, text=text)
        ours = segmenter._ground(text or EXAMPLE, box / torch.tensor([120.0, 90.0, 120.0, 90.0]))
    for name in ("pred_logits", "pred_boxes", "pred_masks"):
        torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=2e-4)


def test_a_box_gives_the_instance_in_it_alone_and_several_boxes_their_union(
    segmenter: Sam3Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = Photo.from_array(picture(200, 300))
    boxes = [(0, 0, 120, 100), (150, 80, 300, 200), (0, 0, 300, 200)]
    monkeypatch.setattr("arena.models.sam3.BOXES_AT_ONCE", 2)
    alone = [segmenter.segment(photo, boxes=[box]) for box in boxes]
    together = segmenter.segment(photo, boxes=boxes)
    assert together.scores == pytest.approx([matte.scores[0] for matte in alone], abs=1e-5)
    np.testing.assert_allclose(together.alpha, np.max([matte.alpha for matte in alone], axis=0), atol=1e-5)
    # The random network finds something in some of them, at places that suit itself.
    found = [score > CONFIDENCE for score in together.scores]
    assert found == [True, False, True]
    assert [matte.found for matte in alone] == found
    first, _, third = together.scores
    assert together.notes[-1] == f"Box 1: score {first:.2f}; box 2: nothing found; box 3: score {third:.2f}."


def test_a_text_says_what_is_to_be_in_a_box(segmenter: Sam3Segmenter) -> None:
    photo, boxes = Photo.from_array(picture(200, 300)), [(0, 0, 300, 200)]
    anything = segmenter.segment(photo, boxes=boxes)
    named = segmenter.segment(photo, boxes=boxes, prompt="umbrella")
    assert len(anything.scores) == len(named.scores) == 1
    assert not np.array_equal(anything.alpha, named.alpha)
    np.testing.assert_array_equal(anything.alpha, segmenter.segment(photo, boxes=boxes, prompt=EXAMPLE).alpha)


def test_a_box_outside_of_the_photo_is_refused_before_the_photo_is_encoded(
    segmenter: Sam3Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segmenter, "_encode", lambda photo: pytest.fail("it was encoded"))
    with pytest.raises(OptionError, match=r"^Box 1 .* is outside of the photo"):
        segmenter.segment(Photo.from_array(picture(20, 21)), boxes=[(30, 30, 40, 40)])


def test_instances_have_scores_best_first(segmenter: Sam3Segmenter) -> None:
    scores = segmenter.segment(Photo.from_array(picture(90, 120))).scores
    assert len(scores) > 1
    assert list(scores) == sorted(scores, reverse=True)
    assert scores[-1] > CONFIDENCE


def test_its_edge_is_soft(segmenter: Sam3Segmenter) -> None:
    alpha = segmenter.segment(Photo.from_array(picture(200, 200))).alpha
    assert np.count_nonzero((alpha > 0.02) & (alpha < 0.98)) > 100


def test_the_prompt_is_person_unless_told_and_changes_the_matte(segmenter: Sam3Segmenter) -> None:
    photo = Photo.from_array(picture(80, 80))
    default = segmenter.segment(photo).alpha
    np.testing.assert_array_equal(default, segmenter.segment(photo, prompt=" person ").alpha)
    assert not np.array_equal(default, segmenter.segment(photo, prompt="umbrella").alpha)


def test_a_second_prompt_reuses_the_encoding_and_says_so(
    segmenter: Sam3Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    encode = segmenter._predictor.get_im_features

    def counted(pixels: Tensor) -> Any:
        calls.append(pixels.shape)
        return encode(pixels)

    monkeypatch.setattr(segmenter._predictor, "get_im_features", counted)
    one, other = Photo.from_array(picture(60, 60)), Photo.from_array(picture(61, 60))
    first = segmenter.segment(one, prompt="dog")
    second = segmenter.segment(one, prompt="cat")
    assert len(calls) == 1
    assert not any("earlier prompt" in note for note in first.notes)
    assert any("earlier prompt" in note for note in second.notes)
    segmenter.segment(other, prompt="dog")
    np.testing.assert_array_equal(segmenter.segment(one, prompt="dog").alpha, first.alpha)
    assert len(calls) == 3


@pytest.mark.parametrize("size", [(64, 64), (3000, 4000), (100, 800), (800, 100), (1, 1)])
def test_mattes_have_the_photos_size(segmenter: Sam3Segmenter, size: tuple[int, int]) -> None:
    matte = segmenter.segment(Photo.from_array(picture(*size)))
    assert matte.alpha.shape == size
    assert matte.alpha.dtype == np.float32
    assert 0 <= matte.alpha.min() <= matte.alpha.max() <= 1


def test_a_grey_picture_works(segmenter: Sam3Segmenter) -> None:
    assert segmenter.segment(Photo.from_array(picture(50, 70)[..., 0])).alpha.shape == (50, 70)


def test_nothing_is_found_where_the_network_is_not_confident(
    small_state: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unsure = load(sam3_tiny.save(tmp_path / "sam3.pt", small_state))
    matte = unsure.segment(Photo.from_array(picture(50, 50)), prompt="zebra")
    assert not matte.found
    assert not matte.alpha.any()
    assert any("zebra" in note for note in matte.notes)


def test_a_prompt_that_is_cut_short_says_so(segmenter: Sam3Segmenter) -> None:
    photo = Photo.from_array(picture(40, 40))
    whole = segmenter.segment(photo, prompt="dog " * 30)
    cut = segmenter.segment(photo, prompt="dog " * 30 + "cat")
    np.testing.assert_array_equal(whole.alpha, cut.alpha)
    assert not any("left out" in note for note in whole.notes)
    assert any("30 tokens" in note for note in cut.notes)


@pytest.mark.parametrize("prompt", ["", "  \n", 3, ["person"]])
def test_a_prompt_that_names_nothing_is_refused(segmenter: Sam3Segmenter, prompt: Any) -> None:
    with pytest.raises(OptionError, match="person"):
        segmenter.segment(Photo.from_array(picture(20, 20)), prompt=prompt)
    with pytest.raises(OptionError):
        check_prompt(prompt)


def test_bfloat16_on_a_cpu_changes_the_matte_a_little(
    small_file: Path, segmenter: Sam3Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = Photo.from_array(picture(120, 90))
    exact = segmenter.segment(photo).alpha
    monkeypatch.setattr("arena.models.torch_base.cpu_has_bfloat16", lambda: True)
    monkeypatch.setenv("ARENA_CPU_DTYPE", "bfloat16")
    reduced = load(small_file).segment(photo).alpha
    assert 0 < np.abs(exact - reduced).mean() < 0.02


def outputs(logits: list[float], presence: float, boxes: list[list[float]]) -> dict[str, Tensor]:
    masks = torch.stack([torch.full((4, 4), float(index)) for index in range(len(logits))])
    return {
        "pred_logits": torch.tensor(logits)[None, :, None],
        "presence_logit_dec": torch.tensor([[presence]]),
        "pred_boxes_xyxy": torch.tensor(boxes)[None],
        "pred_masks": masks[None],
    }


LEFT, NEARLY_LEFT, RIGHT = [0.0, 0.0, 0.4, 1.0], [0.0, 0.0, 0.41, 1.0], [0.6, 0.0, 1.0, 1.0]


def test_the_score_is_the_product_of_both_probabilities() -> None:
    # sigmoid(0) = 0.5, sigmoid(-0.5) = 0.378: with a presence of 0.5 only the first scores above 0.2.
    kept = select_instances(outputs([0.0, -0.5], 0.0, [LEFT, RIGHT]), confidence=0.2)
    assert [mask[0, 0].item() for mask in kept.masks] == [0.0]
    assert kept.scores.tolist() == [0.25]
    # Neither alone is enough: 0.5 x 0.5 is not above 0.25.
    assert len(select_instances(outputs([0.0], 0.0, [LEFT]), confidence=0.25).masks) == 0


def test_an_instance_that_was_found_twice_counts_once_and_by_its_better_score() -> None:
    kept = select_instances(outputs([2.0, 3.0, 1.0], 9.0, [LEFT, NEARLY_LEFT, RIGHT]))
    assert [mask[0, 0].item() for mask in kept.masks] == [1.0, 2.0]
    assert kept.boxes.tolist() == [pytest.approx(NEARLY_LEFT), pytest.approx(RIGHT)]


@pytest.mark.parametrize(
    ("drawn", "meant"),
    [
        ([0.0, 0.0, 0.5, 1.0], 1),  # both people are inside, and the larger one fills it better
        ([0.0, 0.0, 0.2, 0.4], 0),
        ([0.55, 0.0, 1.0, 1.0], 2),
        ([0.3, 0.0, 0.7, 1.0], None),  # parts of two, and most of neither
        ([0.45, 0.0, 0.55, 1.0], None),
    ],
)
def test_a_box_means_the_instance_that_lies_in_it_and_fills_it_best(drawn: list[float], meant: int | None) -> None:
    candidates = torch.tensor([[0.05, 0.05, 0.2, 0.4], LEFT, RIGHT])
    assert instance_in(torch.tensor(drawn), candidates) == meant
    assert instance_in(torch.tensor(drawn), candidates[:0]) is None


def test_merged_masks_are_enlarged_as_logits() -> None:
    mask = torch.tensor([[-8.0, 8.0]])
    alpha = merge_masks(mask[None], 1, 8)
    # The ramp between the two samples is straight in logits, so it is steep in alpha.
    np.testing.assert_allclose(alpha[0], torch.tensor([-8.0, -8, -6, -2, 2, 6, 8, 8]).sigmoid(), atol=1e-6)


def test_merging_takes_the_surest_mask_of_each_pixel() -> None:
    masks = torch.tensor([[[3.0, -5.0]], [[-5.0, 2.0]]])
    np.testing.assert_allclose(merge_masks(masks, 1, 2)[0], torch.tensor([3.0, 2.0]).sigmoid())
    assert not merge_masks(masks[:0], 3, 5).any()


# --- the checkpoint ---------------------------------------------------------------------------------------------


def test_a_checkpoint_without_a_tensor_is_an_error_that_names_it(
    small_state: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "backbone.language_backbone.encoder.positional_embedding"
    path = sam3_tiny.save(tmp_path / "sam3.pt", {key: tensor for key, tensor in small_state.items() if key != name})
    with pytest.raises(CheckpointError, match=f"1 missing: {name}"):
        load(path)


def test_a_checkpoint_with_other_shapes_is_an_error(
    small_state: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "transformer.decoder.query_embed.weight"
    path = sam3_tiny.save(tmp_path / "sam3.pt", small_state | {name: torch.zeros(3, 256)})
    with pytest.raises(CheckpointError, match=r"1 misshapen: .*query_embed"):
        load(path)


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "it ran"),)

    path = tmp_path / "sam3.pt"
    path.write_bytes(pickle.dumps({"detector.x": Bomb()}, protocol=2))
    with pytest.raises(CheckpointError):
        load(path)
    torch.save({"detector.x": Bomb()}, path)
    with pytest.raises(CheckpointError):
        load(path)
    assert not (tmp_path / "it ran").exists()


def test_a_flat_checkpoint_loads_as_a_nested_one(
    small_state: dict[str, Tensor], small_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sam3.pt"
    torch.save({f"detector.{name}": tensor for name, tensor in finding(small_state).items()}, path)
    photo = Photo.from_array(picture(30, 30))
    flat = load(path).segment(photo).alpha
    np.testing.assert_array_equal(flat, load(small_file).segment(photo).alpha)


def test_the_weights_stay_mapped_from_the_file_and_cannot_be_trained(segmenter: Sam3Segmenter) -> None:
    network = segmenter._predictor.model
    assert not network.training
    assert not any(tensor.is_meta for tensor in [*network.parameters(), *network.buffers()])


# --- side effects -----------------------------------------------------------------------------------------------


def test_an_installed_clip_is_not_touched(small_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = type(sys)("clip")
    monkeypatch.setitem(sys.modules, "clip", installed)
    sam3_tiny.shrink(monkeypatch)
    sam3_network.build_network()
    assert sys.modules["clip"] is installed
    assert not hasattr(installed, "simple_tokenizer")


def test_thread_counts_and_environment_are_as_before(small_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sam3_tiny.shrink(monkeypatch)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    counts = cv2.getNumThreads(), torch.get_num_threads()
    try:
        cv2.setNumThreads(3)
        torch.set_num_threads(3)
        load(small_file)
        assert (cv2.getNumThreads(), torch.get_num_threads()) == (3, 3)
        assert "OMP_NUM_THREADS" not in os.environ
    finally:
        cv2.setNumThreads(counts[0])
        torch.set_num_threads(counts[1])


WATCHED = """
import json, os, sys
import cv2
import torch, torchvision  # PyTorch's own import asks the linker about CUDA: that is not what is watched here

EVENTS = ("socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "urllib.")
seen = []

def watch(event, args):
    if event.startswith(EVENTS):
        seen.append(f"{event} {args!r}"[:200])

def threads():
    return [cv2.getNumThreads(), torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")]

before = threads()
sys.addaudithook(watch)
sys.path.insert(0, sys.argv[1])

import numpy as np
import pytest
from pathlib import Path
from arena.models.sam3 import Sam3Segmenter
from arena.photo import Photo
from tests.models import sam3_tiny

with pytest.MonkeyPatch.context() as monkeypatch:
    sam3_tiny.shrink(monkeypatch)
    segmenter = Sam3Segmenter.load(sam3_tiny.CARD, Path(sys.argv[2]), "cpu")
photo = Photo.from_array(np.full((40, 40, 3), 128, np.uint8))
segmenter.segment(photo)
segmenter.segment(photo, prompt="dog")
careful = list(seen)

import ultralytics
from ultralytics.utils import events
report = {"before": before, "after": threads(), "careful": careful}
report |= {"sync": ultralytics.settings["sync"], "enabled": events.events.enabled}
# What Ultralytics would do if left to itself: the watch has to notice it.
events._post("http://127.0.0.1:9/", {})
import subprocess
subprocess.run([sys.executable, "-c", ""])
report["careless"] = seen[len(careful):]
print(json.dumps(report))
"""


@pytest.fixture(scope="module")
def watched(small_file: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """What a fresh process reports that imports, builds and predicts; and its home folder."""
    home = tmp_path_factory.mktemp("home")
    root = Path(sam3_tiny.__file__).parents[2]
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("YOLO_", "OMP_"))}
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, str(root), str(small_file)],
        env=environment | {"XDG_CACHE_HOME": str(home), "HOME": str(home)},
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.strip().splitlines()
    assert len(lines) == 1, f"something else wrote to standard output: {lines}"
    return json.loads(lines[0]), home


def test_importing_building_and_predicting_opens_no_socket_and_starts_no_process(
    watched: tuple[dict[str, Any], Path],
) -> None:
    report, _ = watched
    assert report["careful"] == []
    assert report["sync"] is False
    assert report["enabled"] is False


def test_that_watch_notices_sockets_and_processes(watched: tuple[dict[str, Any], Path]) -> None:
    report, _ = watched
    for event in ("socket.connect", "subprocess.Popen"):
        assert any(seen.startswith(event) for seen in report["careless"]), event


def test_importing_ultralytics_turns_nobodys_threads_down(watched: tuple[dict[str, Any], Path]) -> None:
    report, _ = watched
    assert report["after"] == report["before"]
    assert report["before"][2] is None


def test_ultralytics_settings_are_kept_apart_from_the_users_own(watched: tuple[dict[str, Any], Path]) -> None:
    _, home = watched
    assert {path.relative_to(home).parts[0] for path in home.rglob("settings.json")} == {"portrait-blur-arena"}


# --- full size --------------------------------------------------------------------------------------------------


@pytest.mark.shared
def test_the_network_has_the_published_names_and_shapes(shared: Path) -> None:
    manifest = json.loads((shared / "golden" / "sam3.keys.json").read_text())
    published = {name: tuple(shape) for name, shape, _ in manifest["keys"]}
    network = sam3_network.build_network()
    own = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    unused = {name for name in published if ".sam2_convs." in name}
    assert unused
    assert own == {name: shape for name, shape in published.items() if name not in unused}


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_it_computes_what_the_original_computes(shared: Path, tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("recipe", shared / "golden" / "recipe.py")
    assert spec is not None
    assert spec.loader is not None
    recipe = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(recipe)
    golden = np.load(shared / "golden" / "sam3_1008_seed51.npz")
    meta = json.loads(bytes(golden["meta"]))

    shapes = {name: tensor.shape for name, tensor in sam3_network.build_network().state_dict().items()}
    state = {name: recipe.fill_value(name, shape, meta["gain"]) for name, shape in shapes.items()}
    path = sam3_tiny.save(tmp_path / "sam3.pt", state)
    del state
    segmenter = Sam3Segmenter.load(get_card("sam3"), path, "cpu")

    rgb = recipe.upscale_u8(golden["image_small_u8"], 32, meta["H"], meta["W"])
    seconds = segmenter._encode(Photo.from_array(rgb))
    with torch.inference_mode():
        computed = segmenter._ground(meta["text"])
    print(f"encoding: {seconds:.1f} s")  # noqa: T201 - shown with -s
    for name in ("presence_logit_dec", "pred_logits", "pred_boxes", "pred_boxes_xyxy"):
        np.testing.assert_allclose(computed[name].numpy(), golden[name], atol=1e-3, err_msg=name)
    crop = computed["pred_masks"][:, :8, 100:164, 100:164].numpy()
    np.testing.assert_allclose(crop, golden["pred_masks_crop"], atol=1e-3)
    matte = dataclasses.asdict(segmenter.segment(Photo.from_array(rgb), prompt=meta["text"]))
    assert matte["alpha"].shape == (meta["H"], meta["W"])
    path.unlink()


def test_other_libraries_keep_their_functions() -> None:
    sam3_network.import_ultralytics()
    assert Image.open.__module__ == "PIL.Image"
    assert torch.save.__module__ == "torch.serialization"
    # Ultralytics' own Image.open would look for a package to install here.
    with pytest.raises(PhotoError):
        Photo.open(b"no picture")
