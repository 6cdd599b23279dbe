"""SAM: boxes and points to masks, encode once and ask many times."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from arena.catalog import CARDS, ModelCard, Task, get_card
from arena.comparison import compare
from arena.errors import ArenaError, CheckpointError, OptionError
from arena.models import sam
from arena.models.base import Segmenter
from arena.models.pool import ModelPool
from arena.models.sam import SamPredictor, SamSegmenter, photo_logits, to_sam_input
from arena.nets.sam import build_sam, load_sam
from arena.photo import Photo
from tests.models import sam_tiny
from tests.models.random_weights import picture
from tests.nets.published import manifest
from tests.nets.recipe import MEAN, STD, grow, weight
from tests.nets.test_accelerators import accelerator, no_float64

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from tests.hub import HubEmulator

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
TOLERANCE = 5e-5
"""Largest difference of the logits, from the golden cases' README."""

BOX, OTHER = (10.0, 20.0, 90.0, 60.0), (60.0, 5.0, 140.0, 95.0)


@pytest.fixture(scope="module")
def photo() -> Photo:
    return Photo.from_array(picture(100, 150), "small")


@pytest.fixture
def predictor() -> SamPredictor:
    return SamPredictor(sam_tiny.network(), "cpu")


@pytest.fixture
def segmenter(predictor: SamPredictor) -> SamSegmenter:
    return SamSegmenter(sam_tiny.card(), "cpu", predictor)


# --- into the network and back ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "inside"),
    [((600, 800), (768, 1024)), ((1500, 1000), (1024, 683)), ((1, 5000), (1, 1024)), ((1, 1), (1024, 1024))],
)
def test_the_longer_side_fills_the_input_and_the_rest_is_zero(size: tuple[int, int], inside: tuple[int, int]) -> None:
    pixels, shape = to_sam_input(np.full((*size, 3), 200, np.uint8))
    assert pixels.shape == (1, 3, 1024, 1024)
    assert shape == inside
    height, width = inside
    torch.testing.assert_close(pixels[0, :, height - 1, width - 1], ((200 / 255 - MEAN) / STD).flatten())
    assert not pixels[..., height:, :].any()
    assert not pixels[..., :, width:].any()


def test_masks_come_back_to_where_they_were_in_the_photo() -> None:
    # A photo of 80 x 160 lies in the upper half of the 128 x 128 input, whose masks are 32 x 32.
    low_res = torch.full((1, 1, 32, 32), -4.0)
    low_res[..., 8:16, 16:] = 4.0
    low_res[..., 16:, :] = 100.0  # padding
    logits = photo_logits(low_res, (64, 128), 80, 160)
    assert logits.shape == (1, 80, 160)
    mask = logits[0] > 0
    assert mask[42:76, 82:].all()
    assert not mask[:38].any()
    assert not mask[:76, :78].any()


# --- the predictor ----------------------------------------------------------------------------------------------


def test_asking_gives_what_the_network_gives(predictor: SamPredictor, photo: Photo) -> None:
    predictor.encode(photo)
    answer = predictor.ask([BOX, OTHER])
    pixels, inside = to_sam_input(photo.rgb, sam_tiny.SIDE)
    assert inside == (85, 128)
    scale = torch.tensor([128 / 150, 85 / 100, 128 / 150, 85 / 100])
    with torch.inference_mode():
        expected = predictor.net(
            pixel_values=pixels, input_boxes=torch.tensor([[BOX, OTHER]]) * scale, multimask_output=False
        )
    torch.testing.assert_close(answer.low_res, expected.pred_masks[0], rtol=0, atol=1e-5)
    torch.testing.assert_close(answer.scores, expected.iou_scores[0, :, 0], rtol=0, atol=1e-5)
    assert answer.logits.shape == (2, 100, 150)
    torch.testing.assert_close(answer.merged(), answer.logits.amax(dim=0))


def test_a_photo_is_encoded_once(predictor: SamPredictor, photo: Photo, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    encoder = predictor.net.vision_encoder
    encode = encoder.forward

    def counted(pixels: Tensor) -> Any:
        looks.append(pixels.shape)
        return encode(pixels)

    monkeypatch.setattr(encoder, "forward", counted)
    assert predictor.encode(photo) > 0
    first = predictor.ask([BOX]).low_res
    assert predictor.encode(Photo.from_array(photo.rgb.copy(), "the same contents")) == 0
    assert torch.equal(predictor.ask([BOX]).low_res, first)
    other = Photo.from_array(picture(100, 151))
    assert predictor.encode(other) > 0
    assert not torch.equal(predictor.ask([BOX]).low_res, first)
    assert predictor.encode(photo) > 0
    assert torch.equal(predictor.ask([BOX]).low_res, first)
    assert len(looks) == 3


def test_photos_without_a_digest_are_looked_at_each_time(predictor: SamPredictor) -> None:
    # None is kept to be compared with: whoever took a photo away need not find it in memory.
    one = Photo(picture(40, 50), "one")
    assert predictor.encode(one) > 0
    assert predictor.encode(one) > 0
    same = Photo(picture(40, 50), "one", digest="same")
    assert predictor.encode(same) > 0
    assert predictor.encode(dataclasses.replace(same, name="renamed")) == 0


def test_many_boxes_are_asked_in_portions(
    predictor: SamPredictor, photo: Photo, monkeypatch: pytest.MonkeyPatch
) -> None:
    boxes = [(x, 10.0, x + 30, 80.0) for x in range(0, 110, 10)]
    predictor.encode(photo)
    together = predictor.ask(boxes, points=[(75, 50)])
    monkeypatch.setattr(sam, "PROMPTS_AT_ONCE", 4)
    portions: list[int] = []
    decode = predictor.net.mask_decoder.forward

    def counted(*args: Any, **kwargs: Any) -> Any:
        portions.append(kwargs["sparse_prompt_embeddings"].shape[1])
        return decode(*args, **kwargs)

    monkeypatch.setattr(predictor.net.mask_decoder, "forward", counted)
    apart = predictor.ask(boxes, points=[(75, 50)])
    assert portions == [4, 4, 3]
    torch.testing.assert_close(apart.low_res, together.low_res)
    torch.testing.assert_close(apart.scores, together.scores)


def test_a_single_point_gets_the_best_scored_of_three_masks(predictor: SamPredictor, photo: Photo) -> None:
    predictor.encode(photo)
    answer = predictor.ask(points=[(75, 50)])
    pixels, _ = to_sam_input(photo.rgb, sam_tiny.SIDE)
    with torch.inference_mode():
        three = predictor.net(
            pixel_values=pixels, input_points=torch.tensor([[[[75 * 128 / 150, 50 * 0.85]]]]), multimask_output=True
        )
    best = int(three.iou_scores[0, 0].argmax())
    assert three.pred_masks.shape[2] == 3
    torch.testing.assert_close(answer.low_res[0, 0], three.pred_masks[0, 0, best], rtol=0, atol=1e-5)
    assert answer.scores.tolist() == pytest.approx([three.iou_scores.max().item()], abs=1e-5)


def test_several_points_get_one_mask_together_and_labels_matter(predictor: SamPredictor, photo: Photo) -> None:
    predictor.encode(photo)
    both = predictor.ask(points=[(75, 50), (20, 20)])
    but = predictor.ask(points=[(75, 50), (20, 20)], labels=[1, 0])
    pixels, _ = to_sam_input(photo.rgb, sam_tiny.SIDE)
    places = torch.tensor([[[[75.0, 50.0], [20.0, 20.0]]]]) * torch.tensor([128 / 150, 0.85])
    with torch.inference_mode():
        single = predictor.net(pixel_values=pixels, input_points=places, multimask_output=False).pred_masks
    torch.testing.assert_close(both.low_res, single[0], rtol=0, atol=1e-5)
    assert both.low_res.shape == but.low_res.shape == (1, 1, 32, 32)
    assert not torch.equal(both.low_res, but.low_res)


def test_points_count_for_every_box(predictor: SamPredictor, photo: Photo) -> None:
    predictor.encode(photo)
    plain = predictor.ask([BOX, OTHER]).low_res
    told = predictor.ask([BOX, OTHER], points=[(75, 50)], labels=[0]).low_res
    for number, box in enumerate((BOX, OTHER)):
        assert not torch.equal(told[number], plain[number])
        torch.testing.assert_close(told[number], predictor.ask([box], points=[(75, 50)], labels=[0]).low_res[0])


@pytest.mark.parametrize(
    ("prompts", "complaint"),
    [
        ({}, "has to be shown what to segment"),
        ({"boxes": [], "points": []}, "has to be shown what to segment"),
        ({"points": [(75, 50)], "labels": [0]}, "has to be shown what to segment.*--box"),
        ({"boxes": [(200, 0, 300, 50)]}, "Box 1 .* outside of the photo, which is 150 x 100"),
        ({"boxes": [(20, 20, 20, 50)]}, "Box 1 .* no area"),
        ({"points": [(151, 50)]}, "Point 1 .* outside of the photo"),
        ({"boxes": [BOX], "labels": [1]}, "1 labels for 0 points"),
    ],
)
def test_prompts_that_show_nothing_are_refused_before_the_photo_is_encoded(
    segmenter: SamSegmenter, photo: Photo, prompts: dict[str, Any], complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter.predictor.encode(photo)
    with pytest.raises(OptionError, match=complaint):
        segmenter.predictor.ask(**prompts)
    monkeypatch.setattr(segmenter.predictor, "encode", lambda photo: pytest.fail("it was encoded"))
    with pytest.raises(OptionError, match=complaint):
        segmenter.segment(photo, **prompts)


def test_asking_before_encoding_is_the_wrong_order(predictor: SamPredictor) -> None:
    with pytest.raises(OptionError, match="Call encode before ask"):
        predictor.ask([BOX])


def test_numbers_out_of_range_are_an_error_and_no_empty_mask(predictor: SamPredictor, photo: Photo) -> None:
    predictor.net.vision_encoder.neck.layer_norm2.weight.fill_(torch.inf)
    with pytest.raises(ArenaError, match="numbers left the range"):
        predictor.encode(photo)


def test_half_of_the_bits_in_the_encoder_change_little(photo: Photo) -> None:
    single, reduced = (
        SamPredictor(load_sam(sam_tiny.state(), dtype=dtype), "cpu", dtype) for dtype in (torch.float32, torch.bfloat16)
    )
    answers = []
    for predictor in (single, reduced):
        predictor.encode(photo)
        answers.append(predictor.ask([BOX, OTHER]))
    exact, rough = answers
    assert rough.low_res.dtype is torch.float32
    assert 0 < (exact.low_res - rough.low_res).abs().max() < 0.2 * exact.low_res.std()
    torch.testing.assert_close(exact.scores, rough.scores, rtol=0, atol=0.05)


@pytest.mark.skipif(accelerator() is None, reason="there is neither CUDA nor MPS")
def test_a_gpu_gives_the_masks_of_the_cpu(photo: Photo, tmp_path: Path) -> None:
    path = sam_tiny.save_transformers(tmp_path / "model.safetensors")
    answers = []
    for device in ("cpu", accelerator()):
        assert device is not None
        predictor = SamPredictor.load(path, device)
        predictor.encode(photo)
        answers.append(predictor.ask([BOX, OTHER], points=[(75, 50)]))
    exact, rough = answers
    assert (exact.low_res - rough.low_res.cpu()).abs().max() < 0.1 * exact.low_res.std()


def test_a_device_without_float64_is_not_asked_for_it() -> None:
    with FakeTensorMode(), no_float64(), torch.no_grad():
        with torch.device("cuda"):
            net = build_sam(sam_tiny.config()).eval()
        embedding = net.vision_encoder(torch.zeros(1, 3, 128, 128, device="cuda")).last_hidden_state
        boxes, points = torch.zeros(1, 3, 4, device="cuda"), torch.zeros(1, 3, 2, 2, device="cuda")
        labels = torch.ones(1, 3, 2, dtype=torch.long, device="cuda")
        answer = net(
            image_embeddings=embedding,
            input_boxes=boxes,
            input_points=points,
            input_labels=labels,
            multimask_output=False,
        )
        logits = photo_logits(answer.pred_masks[0], (85, 128), 100, 150)
    assert logits.device.type == "cuda"
    assert logits.shape == (3, 100, 150)


# --- the segmenter ----------------------------------------------------------------------------------------------


def test_the_matte_is_the_union_of_the_boxes_masks(segmenter: SamSegmenter, photo: Photo) -> None:
    alone = [segmenter.segment(photo, boxes=[box]) for box in (BOX, OTHER)]
    together = segmenter.segment(photo, boxes=np.array([BOX, OTHER]))
    assert set(np.unique(together.alpha)) == {0.0, 1.0}
    np.testing.assert_array_equal(together.alpha, np.maximum(alone[0].alpha, alone[1].alpha))
    assert 0 < alone[0].alpha.mean() < together.alpha.mean()
    assert together.scores == pytest.approx(alone[0].scores + alone[1].scores, abs=1e-5)
    first, second = together.scores
    assert together.notes[-1] == f"Box 1: score {first:.2f}; box 2: score {second:.2f}."


def test_a_second_prompt_says_that_the_photo_was_encoded_before(segmenter: SamSegmenter, photo: Photo) -> None:
    first = segmenter.segment(photo, boxes=[BOX])
    second = segmenter.segment(photo, points=[(75, 50)])
    assert not any("earlier prompt" in note for note in first.notes)
    assert any("earlier prompt" in note for note in second.notes)
    assert second.notes[-1] == f"Points: score {second.scores[0]:.2f}."
    assert second.seconds > 0


def test_a_photo_alone_is_not_enough_and_no_other_words_are_taken(segmenter: SamSegmenter, photo: Photo) -> None:
    with pytest.raises(OptionError, match="SAM ViT-B has to be shown what to segment"):
        segmenter.segment(photo)
    with pytest.raises(OptionError, match="SAM ViT-B cannot be told prompt"):
        segmenter.segment(photo, prompt="person")


@pytest.mark.parametrize("size", [(1, 1), (3, 900), (900, 3)])
def test_photos_of_any_shape_work(segmenter: SamSegmenter, size: tuple[int, int]) -> None:
    height, width = size
    matte = segmenter.segment(Photo.from_array(picture(*size)), boxes=[(0, 0, width, height)])
    assert matte.alpha.shape == size


@pytest.mark.parametrize("card", [card for card in CARDS if card.available], ids=lambda card: card.key)
def test_cards_say_what_their_models_can_be_told(card: ModelCard) -> None:
    module, _, name = card.adapter.partition(":")
    adapter = getattr(importlib.import_module(module), name)
    # What gives no mattes is told nothing.
    prompts = adapter.prompts if issubclass(adapter, Segmenter) else frozenset()
    assert issubclass(adapter, Segmenter) == (card.task in {Task.PORTRAIT, Task.PROMPTED})
    assert card.text_prompt == ("prompt" in prompts)
    assert card.box_prompt == ("boxes" in prompts)
    assert card.point_prompt == ("points" in prompts)
    if card.task is Task.PROMPTED:
        assert card.box_prompt


# --- from the hub -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["sam-vit-b", "sam-vit-l", "sam-vit-h"])
@pytest.mark.parametrize(
    ("file", "save"),
    [("model.safetensors", sam_tiny.save_transformers), ("sam_vit_b_01ec64.pth", sam_tiny.save_segment_anything)],
    ids=["transformers", "segment-anything"],
)
def test_a_published_file_is_fetched_loaded_and_asked(
    hub: HubEmulator,
    use_cards: Callable[..., None],
    photo: Photo,
    segmenter: SamSegmenter,
    tmp_path: Path,
    key: str,
    file: str,
    save: Callable[[Path], Path],
) -> None:
    use_cards(hub.publish(sam_tiny.card(key, file), save(tmp_path / file).read_bytes()))
    (result,) = compare(photo, key, prompts={key: {"boxes": [BOX]}}, pool=ModelPool(), device="cpu")
    assert result.error is None
    assert result.matte is not None
    assert result.matte.kind == "binary"
    np.testing.assert_array_equal(result.matte.alpha, segmenter.segment(photo, boxes=[BOX]).alpha)
    assert result.summary()["scores"] == [round(result.matte.scores[0], 4)]


def test_nothing_is_downloaded_for_a_photo_without_a_prompt(
    hub: HubEmulator, use_cards: Callable[..., None], photo: Photo, tmp_path: Path
) -> None:
    path = sam_tiny.save_transformers(tmp_path / "model.safetensors")
    use_cards(hub.publish(sam_tiny.card(), path.read_bytes()), get_card("classic"))
    without, other = compare(photo, ["sam-vit-b", "classic"], pool=ModelPool(), device="cpu")
    assert isinstance(without.error, OptionError)
    assert "SAM ViT-B has to be shown what to segment. Draw a box" in str(without.error)
    assert other.error is None
    assert not hub.transfers


def test_a_file_of_another_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    torch.save({"image_encoder.pos_embed": torch.zeros(1, 4, 4, 8)}, path)
    with pytest.raises(CheckpointError, match="not a SAM"):
        SamSegmenter.load(get_card("sam-vit-b"), path, "cpu")
    with pytest.raises(OptionError, match="needs a file of weights"):
        SamSegmenter.load(get_card("sam-vit-b"), None, "cpu")


# --- the published size -----------------------------------------------------------------------------------------


def golden_photo() -> tuple[Photo, dict[str, Any], dict[str, Tensor]]:
    with np.load(GOLDEN / "sam_vit_b_predictor_600x800_seed32.npz") as file:
        meta = json.loads(bytes(file["meta"]))
        arrays = {name: torch.from_numpy(file[name]) for name in file.files if name not in ("meta", "image_small_u8")}
        rgb = grow(file["image_small_u8"], 32, meta["H"], meta["W"])
    return Photo.from_array(rgb), meta, arrays


def test_a_photo_is_resized_as_by_the_original() -> None:
    photo, meta, _ = golden_photo()
    pixels, inside = to_sam_input(photo.rgb)
    assert [*inside, 3] == meta["resized_shape"]
    inner = pixels[0, :, : inside[0], : inside[1]]
    # What was resized, from what was made of it.
    resized = ((inner * STD[0] + MEAN[0]) * 255).round().byte().permute(1, 2, 0).contiguous()
    assert hashlib.sha256(resized.numpy().tobytes()).hexdigest() == meta["resized_sha256"]


@pytest.mark.slow
def test_a_box_on_a_photo_gives_what_the_original_gives() -> None:
    net = load_sam({n: weight(n, s, gain=1.0) for n, (s, _) in manifest(GOLDEN / "sam_vit_b.keys.json").items()})
    photo, meta, arrays = golden_photo()
    predictor = SamPredictor(net, "cpu")
    predictor.encode(photo)
    answer = predictor.ask([meta["box_xyxy"]])
    torch.testing.assert_close(answer.low_res[0], arrays["low_res_logits"], rtol=0, atol=TOLERANCE)
    torch.testing.assert_close(answer.scores, arrays["iou_predictions"], rtol=0, atol=TOLERANCE)
    torch.testing.assert_close(answer.logits[:, 200:264, 300:364], arrays["mask_logits_crop"], rtol=0, atol=TOLERANCE)
    mask = np.unpackbits(arrays["mask_packed"].numpy())[: meta["H"] * meta["W"]].reshape(meta["H"], meta["W"])
    # A pixel whose logit is 0 within the tolerance may fall on either side.
    assert np.count_nonzero((answer.merged() > 0).numpy() != mask) <= 3
