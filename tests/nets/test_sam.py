from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
import torch
from transformers.models.sam.modeling_sam import SamVisionSdpaAttention

from arena.errors import CheckpointError
from arena.nets.sam import (
    DECODER_EPS,
    HeadwiseAttention,
    Sam,
    Variant,
    build_sam,
    config_of,
    from_segment_anything,
    is_segment_anything,
    load_sam,
    to_segment_anything,
)
from tests.models import sam_tiny
from tests.nets.published import entries, manifest
from tests.nets.recipe import MEAN, STD, grow, weight

if TYPE_CHECKING:
    from torch import Tensor

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
KEYS = GOLDEN / "sam_vit_b.keys.json"
TOLERANCE = 5e-5
"""Largest difference of the logits, from the golden cases' README."""

POSITIONS = "shared_image_embedding.positional_embedding"
POSITIONS_AGAIN = "prompt_encoder.shared_embedding.positional_embedding"


def blank(variant: Variant) -> Sam:
    with torch.device("meta"):
        return build_sam(variant)


def answer(net: Sam) -> Tensor:
    pixels = torch.randn(1, 3, sam_tiny.SIDE, sam_tiny.SIDE, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        masks: Tensor = net(pixel_values=pixels, input_boxes=torch.tensor([[[10.0, 20.0, 90.0, 100.0]]])).pred_masks
    return masks


def test_every_name_is_translated_as_published_and_back() -> None:
    published = json.loads(KEYS.read_text())["hf_key_mapping"]
    theirs = {name: torch.tensor(number) for number, name in enumerate(published)}
    translated = from_segment_anything(theirs)
    assert {name: int(tensor) for name, tensor in translated.items()} == {
        name: int(theirs[original]) for original, names in published.items() for name in names
    }
    assert to_segment_anything(translated) == theirs


def test_has_the_published_tensors() -> None:
    net = blank("vit_b")
    assert entries(cast("Any", _Named(to_segment_anything(net.state_dict())))) == manifest(KEYS)


class _Named:
    """Stands in for a module that has these tensors."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        self.state = state

    def state_dict(self) -> dict[str, Tensor]:
        return self.state


@pytest.mark.parametrize(
    ("variant", "parameters"), [("vit_b", 93_735_472), ("vit_l", 312_342_832), ("vit_h", 641_090_608)]
)
def test_shapes_tell_which_network_it_is(variant: Variant, parameters: int) -> None:
    net = blank(variant)
    assert config_of(net.state_dict()).to_dict() == net.config.to_dict()
    assert config_of(to_segment_anything(net.state_dict())).to_dict() == net.config.to_dict()
    # The position code is a constant, as in the original, and not counted there either.
    assert sum(parameter.numel() for parameter in net.parameters() if parameter.requires_grad) == parameters


def test_both_layouts_give_the_same_network(tmp_path: Path) -> None:
    from arena.weights import load_tensors

    transformers = load_tensors(sam_tiny.save_transformers(tmp_path / "model.safetensors"))
    original = load_tensors(sam_tiny.save_segment_anything(tmp_path / "sam.pth"))
    assert not is_segment_anything(transformers)
    assert is_segment_anything(original)
    one, other = load_sam(transformers), load_sam(original)
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name
    # Of the same numbers: one file is mapped and the other read, and how memory is aligned decides the last bit.
    torch.testing.assert_close(answer(one), answer(other), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("absent", [POSITIONS, POSITIONS_AGAIN])
def test_the_position_code_may_stand_under_either_of_its_names(absent: str) -> None:
    state = sam_tiny.state()
    whole = answer(load_sam(state))
    del state[absent]
    net = load_sam(state)
    assert torch.equal(answer(net), whole)
    assert net.shared_image_embedding.positional_embedding is net.prompt_encoder.shared_embedding.positional_embedding


def test_what_a_training_script_puts_around_the_tensors_is_taken_off() -> None:
    state = {f"module.{name}": tensor for name, tensor in to_segment_anything(sam_tiny.state()).items()}
    assert torch.equal(answer(load_sam({"model": state})), answer(sam_tiny.network()))


@pytest.mark.parametrize("build", [lambda: build_sam(sam_tiny.config()), sam_tiny.network], ids=["built", "loaded"])
def test_the_decoder_has_the_epsilon_of_the_original(build: Any) -> None:
    assert sam_tiny.config().mask_decoder_config.layer_norm_eps != DECODER_EPS
    for block in build().mask_decoder.transformer.layers:
        assert [getattr(block, f"layer_norm{number}").eps for number in (1, 2, 3, 4)] == [DECODER_EPS] * 4


def test_building_leaves_the_configuration_as_it_was() -> None:
    config = sam_tiny.config()
    build_sam(config)
    assert config.to_dict() == sam_tiny.config().to_dict()


def test_half_precision_reduces_the_image_encoders_matrices_alone() -> None:
    net = load_sam(sam_tiny.state(), dtype=torch.float16)
    halved = {name for name, tensor in net.named_parameters() if tensor.dtype is torch.float16}
    encoder = {name for name, _ in net.named_parameters() if name.startswith("vision_encoder.")}
    assert halved == {n for n in encoder if "layer_norm" not in n and n != "vision_encoder.pos_embed"}


def test_attention_head_by_head_is_transformers_attention() -> None:
    encoder = sam_tiny.network().vision_encoder
    assert [isinstance(layer.attn, HeadwiseAttention) for layer in encoder.layers] == [False, True]
    tokens = torch.randn(2, 8, 8, 32, generator=torch.Generator().manual_seed(2))
    attention = encoder.layers[1].attn
    with torch.inference_mode():
        ours, _ = attention(tokens)
        theirs, _ = SamVisionSdpaAttention.forward(attention, tokens)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


def test_training_reaches_every_tensor_but_the_position_code() -> None:
    net = sam_tiny.network().train()
    pixels = torch.randn(1, 3, sam_tiny.SIDE, sam_tiny.SIDE, generator=torch.Generator().manual_seed(1))
    prompts = {
        "input_boxes": torch.tensor([[[10.0, 20.0, 90.0, 100.0]]]),
        "input_points": torch.tensor([[[[50.0, 60.0], [5.0, 5.0]]]]),
        "input_labels": torch.tensor([[[1, 0]]]),
        "input_masks": torch.randn(1, 1, 32, 32, generator=torch.Generator().manual_seed(3)),
    }
    answer = net(pixel_values=pixels, **prompts)
    (answer.pred_masks.sum() + answer.iou_scores.sum()).backward()
    idle = {name for name, parameter in net.named_parameters() if parameter.grad is None}
    # What only other prompts need: padding of points alone, and the embedding for no mask.
    unused = {"prompt_encoder.not_a_point_embed.weight", "prompt_encoder.no_mask_embed.weight"}
    assert idle - unused == {POSITIONS}


@pytest.mark.parametrize(
    ("name", "tensor", "complaint"),
    [
        ("mask_decoder.iou_token.weight", None, "1 tensor is missing, e.g. mask_decoder.iou_token.weight"),
        ("image_encoder.surplus", torch.zeros(1), "1 tensor is not part of it, e.g. image_encoder.surplus"),
        ("image_encoder.neck.1.bias", torch.zeros(3), "1 tensor is of another shape"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(name: str, tensor: Tensor | None, complaint: str) -> None:
    state = to_segment_anything(sam_tiny.state())
    if tensor is None:
        del state[name]
    else:
        state[name] = tensor
    with pytest.raises(CheckpointError, match=complaint):
        load_sam(state)


@pytest.mark.parametrize("state", [{}, {"weight": torch.zeros(2)}, {"image_encoder.pos_embed": torch.zeros(3)}])
def test_another_kind_of_file_is_refused(state: dict[str, Tensor]) -> None:
    with pytest.raises(CheckpointError, match="not a SAM"):
        load_sam(state)


@pytest.mark.slow
def test_agrees_with_the_original_at_its_own_size() -> None:
    net = load_sam({name: weight(name, shape, gain=1.0) for name, (shape, _) in manifest(KEYS).items()})
    with np.load(GOLDEN / "sam_vit_b_1024_seed31.npz") as file:
        picture = torch.from_numpy(grow(file["input_small_u8"], 32, 1024, 1024)).permute(2, 0, 1)[None].float()
        boxes = torch.from_numpy(file["boxes_xyxy"])
        logits, scores = torch.from_numpy(file["low_res_logits"]), torch.from_numpy(file["iou_predictions"])
    pixels = (picture - 255 * MEAN) / (255 * STD)
    with torch.inference_mode():
        result = net(pixel_values=pixels, input_boxes=boxes[None], multimask_output=False)
    torch.testing.assert_close(result.pred_masks[0], logits, rtol=0, atol=TOLERANCE)
    torch.testing.assert_close(result.iou_scores[0], scores, rtol=0, atol=TOLERANCE)
