"""Size rules, normalisation, the way back to the photo, precision and timing."""

from __future__ import annotations

import dataclasses
import shutil
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor, nn

from arena.catalog import InputSize, get_card
from arena.errors import ArenaError, OptionError
from arena.models import torch_base
from arena.models.base import Prediction
from arena.models.torch_base import (
    CompiledNet,
    Placement,
    TorchSegmenter,
    place,
    to_input,
    to_photo,
    wants_compilation,
    working_dtype,
)
from arena.nets import U2Net, load_state
from arena.photo import Photo
from tests.models.random_weights import picture
from tests.nets.recipe import make_state

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DYNAMIC = get_card("birefnet-dynamic").input_size
BILINEAR = Image.Resampling.BILINEAR


def test_a_fixed_size_squashes() -> None:
    assert place(4000, 3000, InputSize(side=1024, multiple=32)) == Placement(1024, 1024, 1024, 1024)


@pytest.mark.parametrize(
    ("photo", "expected"),
    [
        ((1000, 700), Placement(1000, 700, 1024, 704)),  # its own size, padded
        ((1024, 704), Placement(1024, 704, 1024, 704)),  # nothing to do
        ((4608, 3456), Placement(2304, 1728, 2304, 1728)),  # the longer side limited
        ((64, 64), Placement(256, 256, 256, 256)),  # the shorter side at least 256
        ((100, 800), Placement(256, 2048, 256, 2048)),
        ((100, 1600), Placement(144, 2304, 256, 2304)),  # too long for both: the limit wins, the rest is padding
        ((9798, 1225), Placement(2304, 288, 2304, 320)),
        ((1, 12000), Placement(1, 2304, 256, 2304)),
    ],
)
def test_a_free_size_keeps_the_photos_shape(photo: tuple[int, int], expected: Placement) -> None:
    assert place(*photo, DYNAMIC) == expected


@given(width=st.integers(1, 12_000), height=st.integers(1, 12_000))
def test_a_free_size_is_always_one_that_the_network_takes(width: int, height: int) -> None:
    placement = place(width, height, DYNAMIC)
    for side, padded in ((placement.width, placement.padded_width), (placement.height, placement.padded_height)):
        assert padded % 64 == 0
        assert 256 <= padded <= 2304
        assert 1 <= side <= padded
        assert padded - side < 64 or side < 256
    scale = max(placement.width, placement.height) / max(width, height)
    assert abs(placement.width - width * scale) <= 1
    assert abs(placement.height - height * scale) <= 1


def test_the_input_is_normalised_and_padded_with_mirrored_pixels() -> None:
    rgb = picture(5, 3)
    pixels = to_input(rgb, Placement(3, 5, 4, 8), BILINEAR)
    assert pixels.shape == (1, 3, 8, 4)
    assert pixels.dtype is torch.float32
    mirrored = np.pad(rgb, ((0, 3), (0, 1), (0, 0)), mode="symmetric")
    np.testing.assert_array_equal(mirrored[5, :3], rgb[4])
    expected = (mirrored / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(pixels[0].permute(1, 2, 0), expected, rtol=1e-5, atol=1e-6)


def test_the_input_can_be_scaled_by_its_own_brightest_sample() -> None:
    dark = picture(6, 6, brightest=51)
    dark[0, 0] = 51
    pixels = to_input(dark, Placement(6, 6, 6, 6), BILINEAR, white=None)
    expected = (dark / 51 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(pixels[0].permute(1, 2, 0), expected, rtol=1e-5, atol=1e-6)
    black = to_input(np.zeros((4, 4, 3), np.uint8), Placement(4, 4, 4, 4), BILINEAR, white=None)
    assert torch.isfinite(black).all()


def test_the_photo_is_not_changed() -> None:
    rgb = picture(30, 40)
    before = rgb.copy()
    to_input(rgb, place(40, 30, InputSize(side=16)), BILINEAR)
    np.testing.assert_array_equal(rgb, before)


def test_the_way_back_crops_the_padding() -> None:
    alpha = torch.zeros(1, 1, 8, 8)
    alpha[..., 5:, :] = 1
    alpha[..., 3:] = 1
    assert not to_photo(alpha, Placement(3, 5, 8, 8), 3, 5).any()
    assert to_photo(alpha, Placement(3, 5, 8, 8), 30, 50).shape == (50, 30)


@pytest.mark.parametrize("resample", [Image.Resampling.BICUBIC, Image.Resampling.LANCZOS])
def test_a_hard_edge_does_not_overshoot_on_its_way_back(resample: Image.Resampling) -> None:
    alpha = torch.zeros(1, 1, 16, 16)
    alpha[..., 8:] = 1
    enlarged = to_photo(alpha, Placement(16, 16, 16, 16), 160, 160, resample)
    assert enlarged.dtype == np.float32
    assert enlarged.min() == 0
    assert enlarged.max() == 1
    unclipped = np.asarray(Image.fromarray(alpha[0, 0].numpy()).resize((160, 160), resample))
    assert unclipped.max() > 1  # so there was something to clip


def test_small_differences_survive_the_way_back() -> None:
    # 8 bits could not tell these apart.
    alpha = torch.tensor([0.5, 0.5005]).repeat_interleave(8).expand(1, 1, 16, 16)
    enlarged = to_photo(alpha, Placement(16, 16, 16, 16), 64, 64)
    assert 0.0004 < enlarged.max() - enlarged.min() < 0.0006


@pytest.mark.parametrize("shape", [(16, 16), (32, 24)])
def test_the_networks_own_output_is_not_changed(shape: tuple[int, int]) -> None:
    alpha = torch.full((1, 1, 16, 16), 1.5)
    to_photo(alpha, Placement(16, 16, 16, 16), *shape)
    assert (alpha == 1.5).all()


def test_precision_follows_the_device_and_the_owners_wish(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ARENA_CPU_DTYPE", raising=False)
    assert working_dtype("cpu") == (torch.float32, ())
    assert working_dtype("mps") == (torch.float32, ())
    assert working_dtype("cuda:1") == (torch.float16, ())
    monkeypatch.setenv("ARENA_CPU_DTYPE", "bfloat16")
    monkeypatch.setattr(torch_base, "cpu_has_bfloat16", lambda: True)
    assert working_dtype("cpu") == (torch.bfloat16, ())
    assert working_dtype("cuda:0")[0] is torch.float16
    monkeypatch.setattr(torch_base, "cpu_has_bfloat16", lambda: False)
    dtype, notes = working_dtype("cpu")
    assert dtype is torch.float32
    assert "bfloat16" in notes[0]
    monkeypatch.setenv("ARENA_CPU_DTYPE", "int4")
    with pytest.raises(OptionError, match="ARENA_CPU_DTYPE"):
        working_dtype("cpu")


class Net(nn.Module):
    """Answers with a function of its input."""

    def __init__(self, answer: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, pixels: Tensor) -> Tensor:
        return self.answer(pixels)


class PlainSegmenter(TorchSegmenter):
    """The least that an adapter can do."""

    resample = BILINEAR

    @staticmethod
    def _build(card: Any, state: Any) -> Any:
        raise AssertionError("it is built by hand")

    def _predict(self, photo: Photo, **prompts: Any) -> Prediction:
        placement = place(photo.width, photo.height, self.card.input_size)
        alpha, seconds = self._run(to_input(photo.rgb, placement, self.resample))
        return Prediction(to_photo(alpha, placement, photo.width, photo.height), seconds, self._notes)


def plain(answer: Callable[[Tensor], Tensor], notes: tuple[str, ...] = ()) -> PlainSegmenter:
    card = dataclasses.replace(get_card("birefnet"), input_size=InputSize(side=32, multiple=32))
    return PlainSegmenter(card, "cpu", Net(answer), torch.float32, notes)


def test_seconds_are_the_forward_pass_alone() -> None:
    def slow(pixels: Tensor) -> Tensor:
        time.sleep(0.05)
        return pixels[:, :1].sigmoid()

    start = time.perf_counter()
    matte = plain(slow).segment(Photo.from_array(picture(3000, 4000)))
    assert 0.05 <= matte.seconds < time.perf_counter() - start - 0.02


def test_notes_of_the_precision_reach_the_matte() -> None:
    matte = plain(lambda pixels: pixels[:, :1].sigmoid(), ("It ran in float32.",)).segment(
        Photo.from_array(picture(8, 8))
    )
    assert matte.notes == ("It ran in float32.",)


def test_values_that_are_no_numbers_are_an_error_and_not_an_empty_matte() -> None:
    with pytest.raises(ArenaError, match="numbers left the range"):
        plain(lambda pixels: pixels[:, :1] * float("nan")).segment(Photo.from_array(picture(8, 8)))


def test_the_network_runs_without_gradients() -> None:
    seen = []

    def look(pixels: Tensor) -> Tensor:
        seen.append(torch.is_inference_mode_enabled())
        return pixels[:, :1].sigmoid()

    plain(look).segment(Photo.from_array(picture(8, 8)))
    assert seen == [True]


def test_weights_are_needed() -> None:
    with pytest.raises(OptionError, match="weights"):
        PlainSegmenter.load(get_card("birefnet"), None, "cpu")


def compiled(answer: Callable[[Tensor], Tensor]) -> PlainSegmenter:
    segmenter = plain(answer)
    segmenter.net = CompiledNet(segmenter.net)
    return segmenter


def test_a_failing_compiler_costs_a_note_and_not_the_matte(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def broken(_net: nn.Module) -> Callable[[Tensor], Tensor]:
        def call(_pixels: Tensor) -> Tensor:
            calls.append(1)
            raise RuntimeError("no compiler")

        return call

    monkeypatch.setattr(torch, "compile", broken)
    photo = Photo.from_array(picture(8, 8))
    segmenter = compiled(lambda pixels: pixels[:, :1].sigmoid())
    expected = plain(lambda pixels: pixels[:, :1].sigmoid()).segment(photo)
    for _ in range(2):
        matte = segmenter.segment(photo)
        assert len(matte.notes) == 1
        assert "torch.compile failed (RuntimeError)" in matte.notes[0]
        np.testing.assert_array_equal(matte.alpha, expected.alpha)
    # It is not tried again for every photo.
    assert calls == [1]


def test_running_out_of_memory_is_no_failure_of_the_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    def hungry(_pixels: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("full")

    monkeypatch.setattr(torch, "compile", lambda _net: hungry)
    net = CompiledNet(Net(lambda pixels: pixels))
    with pytest.raises(torch.OutOfMemoryError):
        net(torch.zeros(1))
    assert not net.note


@pytest.mark.parametrize(("wanted", "expected"), [("", False), ("0", False), ("1", True)])
def test_compiling_is_a_wish_of_the_owner(monkeypatch: pytest.MonkeyPatch, wanted: str, expected: bool) -> None:
    monkeypatch.setenv("ARENA_COMPILE", wanted)
    assert wants_compilation() is expected


def test_another_wish_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARENA_COMPILE", "yes")
    with pytest.raises(OptionError, match="ARENA_COMPILE"):
        wants_compilation()


@pytest.mark.slow
@pytest.mark.skipif(not any(map(shutil.which, ("c++", "g++", "clang++", "cl"))), reason="there is no C++ compiler")
def test_a_compiled_block_of_u2netp_gives_the_same_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    with torch.device("meta"):
        net = U2Net("small")
    # The whole network takes more than a minute.
    block = load_state(net, make_state(net, 1.4)).prepare().get_submodule("stage4")
    features = torch.randn(1, 64, 24, 16, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = block(features)
        ready = CompiledNet(block)
        found = ready(features)
    assert not ready.note
    torch.testing.assert_close(found, expected, rtol=0, atol=5e-5)
