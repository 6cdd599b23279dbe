"""The three networks against the values that the original package gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from arena.errors import CheckpointError
from arena.faces import WEIGHT_FILES, read_weights, weights_folder
from arena.nets.mtcnn import FACE_CLASS, ONet, PNet, RNet, state_from_keras


def load[Net: (PNet, RNet, ONet)](net: Net) -> Net:
    name = type(net).__name__.lower()
    net.load_state_dict(state_from_keras(net, read_weights(weights_folder() / f"{name}.lz4", WEIGHT_FILES[name])))
    return net.eval()


def check_input(side: int) -> torch.Tensor:
    c, y, x = np.mgrid[:3, :side, :side]
    return torch.from_numpy((((7 * c + 3 * y + 5 * x) % 17) / 8 - 1).astype(np.float32))[None]


def close(actual: torch.Tensor, expected: list[float]) -> None:
    np.testing.assert_allclose(actual.numpy().ravel(), expected, atol=2e-6)


@torch.inference_mode()
def test_pnet_gives_the_published_values() -> None:
    net = load(PNet())
    box, score = net(check_input(12))
    close(box, [0.199555, 0.153415, -0.179042, -0.018791])
    close(score, [0.990083, 0.009917])
    box, score = net(check_input(15))
    close(box[0, :, 2, 0], [0.143446, 0.076839, -0.174533, -0.028695])
    close(score[0, :, 2, 0], [0.968572, 0.031428])


@torch.inference_mode()
def test_rnet_gives_the_published_values() -> None:
    box, score = load(RNet())(check_input(24))
    close(box, [0.062014, 0.011914, -0.043056, 0.128353])
    close(score, [0.999485, 0.000515])


@torch.inference_mode()
def test_onet_gives_the_published_values() -> None:
    box, landmarks, score = load(ONet())(check_input(48))
    close(box, [0.010515, -0.120173, 0.034096, 0.175808])
    close(score, [0.999417, 0.000583])
    close(
        landmarks,
        [0.195328, 0.518210, 0.291199, 0.323553, 0.595030, 0.348518, 0.204490, 0.569396, 0.896267, 0.785206],
    )


@torch.inference_mode()
def test_pnet_looks_at_any_size_every_second_pixel() -> None:
    box, score = PNet()(torch.zeros(2, 3, 40, 31))
    assert box.shape == (2, 4, 15, 11)
    assert score.shape == (2, 2, 15, 11)
    assert torch.allclose(score.sum(dim=1), torch.ones(2, 15, 11))
    assert FACE_CLASS == 1


def test_arrays_of_another_network_are_refused() -> None:
    arrays = read_weights(weights_folder() / "rnet.lz4", WEIGHT_FILES["rnet"])
    with pytest.raises(CheckpointError, match="13 parameters"):
        state_from_keras(PNet(), arrays)
    arrays[3] = arrays[3][:2]
    with pytest.raises(CheckpointError, match=r"conv2\.weight"):
        state_from_keras(RNet(), arrays)
