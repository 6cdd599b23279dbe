"""``arena export``, as its user types it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from arena.catalog import get_card
from arena.cli.app import app
from arena.errors import OptionError, WeightsNotFoundError
from arena.models.lite import WEIGHTS, LiteSegmenter
from arena.models.torch_base import normalise
from tests.models.random_weights import picture

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result

    from arena.catalog import ModelCard

onnxruntime = pytest.importorskip("onnxruntime")


def arena(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def test_the_model_in_the_box_becomes_a_file_that_gives_the_same_alpha(tmp_path: Path) -> None:
    path = tmp_path / "new" / "lite.onnx"
    result = arena("export", "lite", "--onnx", path)
    assert result.exit_code == 0, result.output
    for words in (
        f"{path}: ",
        "MB, ONNX operators of version 20",
        "dynamic axes: pixels: batch, height (multiple of 32), width (multiple of 32)",
        "ratio",
    ):
        assert words in result.stdout
    assert [file.name for file in path.parent.iterdir()] == ["lite.onnx"]

    session = onnxruntime.InferenceSession(path)
    told = session.get_modelmeta().custom_metadata_map
    assert told["source"] == "in the package"
    pixels = normalise(picture(96, 160))
    net = LiteSegmenter.read(get_card("lite"), WEIGHTS).prepare()
    with torch.inference_mode():
        expected = net(pixels).sigmoid().numpy()
    (alpha,) = session.run(["alpha"], {"pixels": pixels.numpy()})
    np.testing.assert_allclose(alpha, expected, atol=1e-5)


def test_a_file_that_is_no_checkpoint_is_named(tmp_path: Path) -> None:
    result = arena("export", "u2netp", "--onnx", tmp_path / "net.onnx", "--checkpoint", tmp_path / "none.pth")
    assert isinstance(result.exception, WeightsNotFoundError)
    assert "none.pth" in str(result.exception)


def test_without_the_optional_packages_it_says_how_to_install_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    result = arena("export", "lite", "--onnx", tmp_path / "lite.onnx")
    assert isinstance(result.exception, OptionError)
    assert "pip install 'portrait-blur-arena[export]'" in str(result.exception)
    assert not list(tmp_path.iterdir())


def test_what_is_not_exported_is_not_downloaded_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(card: ModelCard) -> None:
        raise AssertionError(card.key)

    monkeypatch.setattr("arena.cli.export.download", download)
    result = arena("export", "sam3", "--onnx", tmp_path / "sam3.onnx")
    assert isinstance(result.exception, OptionError)
    assert "another project's" in str(result.exception)
