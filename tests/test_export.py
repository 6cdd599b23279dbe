"""Networks as ONNX files: verified, free in size where the network is, and telling how to use them."""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from arena.catalog import InputSize, get_card
from arena.errors import ArenaError, CheckpointError, ModelUnavailableError, OptionError
from arena.export import exporter
from arena.export.exporter import OPSET, export_onnx
from arena.export.matting import matting_part
from arena.export.parts import Axis, Part, Port, parts_of
from arena.export.traceable import TraceableDeformableConv, make_traceable, onnx_forms
from arena.models import birefnet
from arena.nets import BiRefNet, swin
from arena.nets.ben2 import GlobalLocalExchange, positional_code
from arena.nets.deform import DeformableConv
from arena.nets.swin import SwinConfig, SwinTransformer
from tests.models import sam_tiny
from tests.models.random_weights import random_state, save
from tests.nets.recipe import make_state

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from arena.export.exporter import Exported

onnxruntime = pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")

LITE = get_card("lite")


def run(path: Path, *inputs: Tensor) -> list[Any]:
    session = onnxruntime.InferenceSession(path)
    names = [port.name for port in session.get_inputs()]
    outputs: list[Any] = session.run(None, dict(zip(names, (tensor.numpy() for tensor in inputs), strict=True)))
    return outputs


def facts(path: Path) -> dict[str, str]:
    return {entry.key: entry.value for entry in onnx.load(path, load_external_data=False).metadata_props}


def export_alone(net: nn.Module, example: Tensor, shapes: dict[int, Any], path: Path) -> Path:
    from onnxscript import opset20

    program = torch.onnx.export(
        net.eval(),
        (example,),
        dynamo=True,
        opset_version=OPSET,
        dynamic_shapes=(shapes,),
        custom_translation_table=onnx_forms(opset20),
        verbose=False,
    )
    assert program is not None
    program.save(str(path))
    return path


class Toy(nn.Module):
    """Ends in a matte, and is exported in a second."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 1, 3, padding=1)
        self.load_state_dict(random_state(self))
        self.requires_grad_(False)

    def forward(self, pixels: Tensor) -> Tensor:
        result: Tensor = self.conv(pixels)
        return result


class Brighter(Toy):
    """The same network, and yet not."""

    def forward(self, pixels: Tensor) -> Tensor:
        return super().forward(pixels) + 0.01


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Exported]]:
    def export(path: Path, reference: nn.Module | None = None) -> list[Exported]:
        net = Toy()
        part = Part(
            name="head",
            net=net,
            reference=reference or net,
            inputs=(Port("pixels", {0: Axis("batch"), 2: Axis("height", multiple=4)}),),
            outputs=("alpha",),
            example=(torch.zeros(2, 3, 12, 8),),
            checks=((torch.rand(1, 3, 8, 8),), (torch.rand(3, 3, 20, 8),)),
            facts={"mean": "0.5"},
        )
        monkeypatch.setattr(exporter, "parts_of", lambda card, weights: [part])
        return list(export_onnx(LITE, path))

    return export


def test_a_file_is_verified_timed_and_explains_itself(tmp_path: Path, toy: Callable[..., list[Exported]]) -> None:
    (file,) = toy(tmp_path / "new" / "net.onnx")
    assert file.path == tmp_path / "new" / "net.head.onnx"
    assert list(file.path.parent.iterdir()) == [file.path]
    assert file.bytes == file.path.stat().st_size
    assert file.axes == ("pixels: batch, height (multiple of 4)",)
    assert 0 <= file.difference < 1e-5
    assert file.ratio == file.onnx_seconds / file.torch_seconds > 0
    model = onnx.load(file.path)
    assert [entry.version for entry in model.opset_import if not entry.domain] == [OPSET]
    assert model.producer_name == "portrait-blur-arena"
    told = facts(file.path)
    assert told["model"] == "lite"
    assert told["licence"] == "Apache-2.0"
    assert told["mean"] == "0.5"
    assert [dim.dim_param or dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim][1::2] == [3, 8]


def test_a_file_that_differs_is_an_error_and_not_kept(tmp_path: Path, toy: Callable[..., list[Exported]]) -> None:
    with pytest.raises(ArenaError, match=r"differ from PyTorch's by 0\.01"):
        toy(tmp_path / "net.onnx", Brighter())
    assert not list(tmp_path.iterdir())


def test_outputs_that_are_no_numbers_differ(tmp_path: Path, toy: Callable[..., list[Exported]]) -> None:
    broken = Toy()
    broken.conv.bias = nn.Parameter(torch.full((1,), torch.nan), requires_grad=False)
    with pytest.raises(ArenaError, match="by inf"):
        toy(tmp_path / "net.onnx", broken)


def test_a_place_where_nothing_can_be_written_is_named(tmp_path: Path, toy: Callable[..., list[Exported]]) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ArenaError, match=r"net\.onnx cannot be written: "):
        toy(tmp_path / "file" / "net.onnx")


def test_weights_too_large_for_the_format_lie_beside_the_file(
    tmp_path: Path, toy: Callable[..., list[Exported]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporter, "LARGEST_FILE", 0)
    (file,) = toy(tmp_path / "net.onnx")
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["net.head.onnx", "net.head.onnx.data"]
    assert file.bytes == sum((tmp_path / name).stat().st_size for name in names)
    assert run(file.path, torch.zeros(1, 3, 8, 8))[0].shape == (1, 1, 8, 8)


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_is_named_with_the_command_that_brings_it(
    tmp_path: Path, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(OptionError, match=rf"package {package},.*portrait-blur-arena\[export\]"):
        list(export_onnx(LITE, tmp_path / "lite.onnx"))


def test_what_cannot_be_exported_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"does not end in \.onnx"):
        list(export_onnx(LITE, tmp_path / "lite.pb"))
    with pytest.raises(ModelUnavailableError):
        list(export_onnx(dataclasses.replace(get_card("u2netp"), adapter=""), tmp_path / "net.onnx"))
    with pytest.raises(OptionError, match="ViTMatte Small is not exported"):
        list(export_onnx(get_card("vitmatte-small"), tmp_path / "net.onnx"))
    with pytest.raises(OptionError, match="SAM 3 is not exported: its network is another project's"):
        list(export_onnx(get_card("sam3"), tmp_path / "sam3.onnx"))
    with pytest.raises(OptionError, match="takes no other weights"):
        list(export_onnx(get_card("classic"), tmp_path / "faces.onnx", checkpoint=tmp_path / "mine.pth"))
    assert not list(tmp_path.iterdir())


def test_other_weights_than_the_networks_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "toy.safetensors", Toy().state_dict())
    with pytest.raises(CheckpointError):
        list(export_onnx(LITE, tmp_path / "lite.onnx", checkpoint=path))


def test_a_file_says_all_that_its_input_and_output_need(small_birefnet: Path) -> None:
    lite = matting_part(LITE, None).facts
    assert lite["resize"].endswith("each side a multiple of 32")
    assert lite["contrast"] == "clip((alpha - 0.5) * 1.6 + 0.5, 0, 1)"
    # What is sure of the steeper alpha is not of this one.
    assert "presence_threshold" not in lite
    dynamic = matting_part(get_card("birefnet-dynamic"), small_birefnet).facts
    assert dynamic["resize"].endswith("padded to multiples of 64 by mirroring, to the right and below")
    assert "crop what was padded" in dynamic["output"]
    assert float(dynamic["presence_threshold"]) > 0


def test_windows_are_cut_at_run_time_for_any_size(tmp_path: Path) -> None:
    """A map smaller than a window, one of whole windows, and ragged ones; more pictures than one."""
    config = SwinConfig(width=32, depths=(2, 1, 2, 1), window=7)
    net = SwinTransformer(config).eval().requires_grad_(False)
    net.load_state_dict(random_state(net))
    traced = SwinTransformer(config)
    traced.load_state_dict(net.state_dict())
    height, width = torch.export.Dim("h", min=1, max=9), torch.export.Dim("w", min=1, max=9)
    path = export_alone(
        make_traceable(traced.requires_grad_(False)),
        torch.zeros(2, 3, 96, 160),
        {0: torch.export.Dim("batch", max=8), 2: 32 * height, 3: 32 * width},
        tmp_path / "swin.onnx",
    )
    for batch, rows, columns in ((1, 32, 32), (1, 224, 64), (3, 96, 128)):
        pixels = torch.randn(batch, 3, rows, columns, generator=torch.Generator().manual_seed(rows))
        with torch.inference_mode():
            expected = net(pixels)
        for found, level in zip(run(path, pixels), expected, strict=True):
            torch.testing.assert_close(torch.from_numpy(found), level, atol=2e-5, rtol=1e-4)


def test_the_deformable_convolution_is_onnx_own(tmp_path: Path) -> None:
    conv = DeformableConv(4, 6, 3).eval().requires_grad_(False)
    conv.load_state_dict(random_state(conv, gain=3.0))
    pixels = torch.randn(2, 4, 9, 11, generator=torch.Generator().manual_seed(1))
    path = export_alone(TraceableDeformableConv(conv), pixels, {}, tmp_path / "deform.onnx")
    assert "DeformConv" in {node.op_type for node in onnx.load(path).graph.node}
    with torch.inference_mode():
        torch.testing.assert_close(torch.from_numpy(run(path, pixels)[0]), conv(pixels), atol=1e-4, rtol=1e-4)


def test_what_was_traced_leaves_nothing_behind_in_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """BEN2 keeps its position codes between runs; those of the tracing have no numbers in them."""
    net = GlobalLocalExchange().eval().requires_grad_(False)
    net.load_state_dict(random_state(net))
    positional_code.cache_clear()
    maps = torch.randn(5, 128, 4, 4, generator=torch.Generator().manual_seed(3))
    part = Part("", net, net, (Port("maps"),), ("refreshed",), (torch.zeros(5, 128, 4, 4),), ((maps,),), {})
    monkeypatch.setattr(exporter, "parts_of", lambda card, weights: [part])
    (file,) = export_onnx(LITE, tmp_path / "net.onnx")
    assert file.difference < 1e-4


@pytest.fixture
def small_birefnet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of a BiRefNet on a backbone a third as wide as the published one."""
    monkeypatch.setitem(swin.SWIN_CONFIGS, "swin_v1_t", SwinConfig(width=32, depths=(1, 2, 1, 1), window=7))
    monkeypatch.setattr(birefnet, "_BACKBONES", {32: "swin_v1_t"})
    with torch.device("meta"):
        net = BiRefNet("swin_v1_t")
    return save(tmp_path / "small.safetensors", make_state(net, 1.2))


@pytest.mark.slow
def test_a_whole_birefnet_is_exported(tmp_path: Path, small_birefnet: Path) -> None:
    card = dataclasses.replace(get_card("birefnet-lite"), input_size=InputSize(side=64, multiple=32))
    (file,) = export_onnx(card, tmp_path / "net.onnx", checkpoint=small_birefnet)
    assert file.axes == ("pixels: batch",)
    assert file.difference < 1e-4
    told = facts(file.path)
    assert told["resize"] == "bilinear, squashed to the square"
    assert told["mean"] == "0.485, 0.456, 0.406"


@pytest.mark.slow
def test_a_dynamic_birefnet_takes_any_size(tmp_path: Path, small_birefnet: Path) -> None:
    (file,) = export_onnx(get_card("birefnet-dynamic"), tmp_path / "net.onnx", checkpoint=small_birefnet)
    assert file.axes == ("pixels: batch, height (multiple of 64), width (multiple of 64)",)
    assert file.difference < 1e-4
    assert run(file.path, torch.zeros(2, 3, 256, 512))[0].shape == (2, 1, 256, 512)


@pytest.mark.parametrize("halves", ["transformers", "segment_anything"])
def test_sam_is_exported_in_two_halves_that_answer_like_the_whole(tmp_path: Path, halves: str) -> None:
    if halves == "transformers":
        weights = sam_tiny.save_transformers(tmp_path / "sam.safetensors")
    else:
        weights = sam_tiny.save_segment_anything(tmp_path / "sam.pth")
    encoder, decoder = parts_of(sam_tiny.card(), weights)
    net = sam_tiny.network()
    pixels = torch.randn(1, 3, sam_tiny.SIDE, sam_tiny.SIDE, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        embedding = encoder.net(pixels)
        boxes = torch.tensor([[10.0, 20, 90, 100], [30, 5, 120, 60]])
        masks, scores = decoder.net(embedding, boxes.view(2, 2, 2), torch.tensor([[2, 3]] * 2))
        whole = net(image_embeddings=embedding, input_boxes=boxes[None], multimask_output=False)
        torch.testing.assert_close(masks[:, :1], whole.pred_masks[0], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(scores[:, :1], whole.iou_scores[0], atol=1e-5, rtol=1e-5)
        # The original ends a question without a box by a point that is none.
        point = torch.tensor([[[40.0, 50], [0, 0]]])
        masks, _ = decoder.net(embedding, point, torch.tensor([[1, -1]]))
        whole = net(
            image_embeddings=embedding,
            input_points=point[None, :, :1],
            input_labels=torch.tensor([[[1]]]),
            multimask_output=True,
        )
        torch.testing.assert_close(masks[:, 1:], whole.pred_masks[0], atol=1e-5, rtol=1e-5)


def test_sams_files_take_any_number_of_questions_and_points(tmp_path: Path) -> None:
    weights = sam_tiny.save_transformers(tmp_path / "sam.safetensors")
    encoder, decoder = export_onnx(sam_tiny.card("remback"), tmp_path / "sam.onnx", checkpoint=weights)
    assert [file.path.name for file in (encoder, decoder)] == ["sam.encoder.onnx", "sam.decoder.onnx"]
    assert encoder.axes == ("pixels: batch",)
    assert decoder.axes == ("points: questions, points", "labels: questions, points")
    assert max(encoder.difference, decoder.difference) < 1e-4
    (embedding,) = run(encoder.path, torch.zeros(1, 3, sam_tiny.SIDE, sam_tiny.SIDE))
    masks, scores = run(decoder.path, torch.from_numpy(embedding), torch.rand(3, 5, 2), torch.ones(3, 5).long())
    assert masks.shape == (3, 4, 32, 32)
    assert scores.shape == (3, 4)
    assert facts(decoder.path)["labels"].startswith("-1 none")
    told = facts(encoder.path)
    assert told["model"] == "remback"
    # Whose they are nobody knows: not the published ones.
    assert told["source"].startswith("sam.safetensors")
    assert "MIT" not in told["licence"]


def test_the_face_detector_is_exported_as_three_networks(tmp_path: Path) -> None:
    files = list(export_onnx(get_card("classic"), tmp_path / "faces.onnx"))
    assert [file.part for file in files] == ["pnet", "rnet", "onet"]
    assert max(file.difference for file in files) < 1e-4
    boxes, scores = run(files[0].path, torch.zeros(1, 3, 40, 64))
    assert boxes.shape[1] == 4
    np.testing.assert_allclose(scores.sum(1), 1, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("key", ["u2netp", "ben2"])
def test_the_published_sizes_of_other_networks_are_exported(tmp_path: Path, key: str) -> None:
    from arena.nets import BEN2, U2Net

    with torch.device("meta"):
        net: nn.Module = U2Net("small") if key == "u2netp" else BEN2()
    weights = save(tmp_path / "net.safetensors", make_state(net, 1.4))
    (file,) = export_onnx(get_card(key), tmp_path / "net.onnx", checkpoint=weights)
    assert file.difference < 1e-3
