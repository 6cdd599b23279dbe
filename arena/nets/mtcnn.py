"""The three networks of MTCNN, the cascade that finds faces and their five landmarks.

Zhang, Zhang, Li and Qiao, "Joint Face Detection and Alignment using Multi-task Cascaded Convolutional Networks",
IEEE Signal Processing Letters 23 (2016). The published weights were trained with channels-last layouts, so
:func:`state_from_keras` rearranges them once and the networks stay ordinary channels-first modules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from arena.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

FACE_CLASS = 1
"""Index of the face in the two-class outputs; index 0 is everything else."""


class PNet(nn.Module):
    """The proposal network: fully convolutional, one 12 x 12 window every second pixel."""

    WINDOW = 12
    """Side of the receptive field in pixels; no side of an input may be smaller."""
    STRIDE = 2

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 10, 3)
        self.prelu1 = nn.PReLU(10)
        self.conv2 = nn.Conv2d(10, 16, 3)
        self.prelu2 = nn.PReLU(16)
        self.conv3 = nn.Conv2d(16, 32, 3)
        self.prelu3 = nn.PReLU(32)
        self.box = nn.Conv2d(32, 4, 1)
        self.score = nn.Conv2d(32, 2, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Score every window of a picture.

        Args:
            x: Pictures, N x 3 x H x W, RGB, (value - 127.5) / 128, H and W at least :attr:`WINDOW`.

        Returns:
            Box corrections N x 4 x h x w (dx1, dy1, dx2, dy2 in window sides) and class probabilities N x 2 x h x w.
        """
        x = self.prelu1(self.conv1(x))
        # Ceiling mode stands for the original's "same" padding, which falls on the right and bottom only.
        x = F.max_pool2d(x, 2, 2, ceil_mode=True)
        x = self.prelu2(self.conv2(x))
        x = self.prelu3(self.conv3(x))
        return self.box(x), self.score(x).softmax(dim=1)


class RNet(nn.Module):
    """The refinement network: one 24 x 24 crop in, one corrected box out."""

    INPUT = 24

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 28, 3)
        self.prelu1 = nn.PReLU(28)
        self.conv2 = nn.Conv2d(28, 48, 3)
        self.prelu2 = nn.PReLU(48)
        self.conv3 = nn.Conv2d(48, 64, 2)
        self.prelu3 = nn.PReLU(64)
        self.fc4 = nn.Linear(64 * 3 * 3, 128)
        self.prelu4 = nn.PReLU(128)
        self.box = nn.Linear(128, 4)
        self.score = nn.Linear(128, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Score crops.

        Args:
            x: Crops, N x 3 x 24 x 24, RGB, (value - 127.5) / 128.

        Returns:
            Box corrections N x 4 (in box sides) and class probabilities N x 2.
        """
        x = F.max_pool2d(self.prelu1(self.conv1(x)), 3, 2, ceil_mode=True)
        x = F.max_pool2d(self.prelu2(self.conv2(x)), 3, 2)
        x = self.prelu3(self.conv3(x)).flatten(1)
        x = self.prelu4(self.fc4(x))
        return self.box(x), self.score(x).softmax(dim=1)


class ONet(nn.Module):
    """The output network: one 48 x 48 crop in, the final box and five landmarks out."""

    INPUT = 48

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 3)
        self.prelu1 = nn.PReLU(32)
        self.conv2 = nn.Conv2d(32, 64, 3)
        self.prelu2 = nn.PReLU(64)
        self.conv3 = nn.Conv2d(64, 64, 3)
        self.prelu3 = nn.PReLU(64)
        self.conv4 = nn.Conv2d(64, 128, 2)
        self.prelu4 = nn.PReLU(128)
        self.fc5 = nn.Linear(128 * 3 * 3, 256)
        self.prelu5 = nn.PReLU(256)
        self.box = nn.Linear(256, 4)
        self.landmarks = nn.Linear(256, 10)
        self.score = nn.Linear(256, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Score crops and place the landmarks.

        Args:
            x: Crops, N x 3 x 48 x 48, RGB, (value - 127.5) / 128.

        Returns:
            Box corrections N x 4 (in box sides), landmarks N x 10 (five x, then five y, in box sides from the
            top-left corner) and class probabilities N x 2.
        """
        x = F.max_pool2d(self.prelu1(self.conv1(x)), 3, 2, ceil_mode=True)
        x = F.max_pool2d(self.prelu2(self.conv2(x)), 3, 2)
        x = F.max_pool2d(self.prelu3(self.conv3(x)), 2, 2, ceil_mode=True)
        x = self.prelu4(self.conv4(x)).flatten(1)
        x = self.prelu5(self.fc5(x))
        return self.box(x), self.landmarks(x), self.score(x).softmax(dim=1)


def state_from_keras(net: nn.Module, arrays: Sequence[NDArray[np.float32]]) -> dict[str, Tensor]:
    """Rearrange channels-last arrays into the state dict of one of the three networks.

    Args:
        net: The network that the arrays belong to; its own parameters give names, order and shapes.
        arrays: The arrays in layer order, heads last: kernels height x width x in x out or in x out, biases, and
            PReLU slopes of any shape with one value a channel.

    Returns:
        A state dict for ``net.load_state_dict``.

    Raises:
        CheckpointError: The arrays are not those of this network.
    """
    parameters = net.state_dict()
    name_of_net = type(net).__name__
    if len(arrays) != len(parameters):
        raise CheckpointError(
            f"{name_of_net} has {len(parameters)} parameters, but {len(arrays)} arrays were given.",
            "Install the mtcnn package again.",
        )
    state: dict[str, Tensor] = {}
    for (name, parameter), array in zip(parameters.items(), arrays, strict=True):
        if array.size != parameter.numel():
            raise CheckpointError(
                f"{name_of_net}.{name} is {tuple(parameter.shape)}, but an array of {array.shape} was given.",
                "Install the mtcnn package again.",
            )
        state[name] = _channels_first(name, torch.from_numpy(np.array(array, dtype=np.float32)))
    return state


def _channels_first(name: str, values: Tensor) -> Tensor:
    """Turn one channels-last array into the layout of the parameter of this name."""
    if values.ndim == 4:
        return values.permute(3, 2, 0, 1).contiguous()
    if values.ndim == 2 and name.startswith("fc"):
        # The original flattens its last map as width, height, channel; this map is 3 x 3 in both networks.
        inputs, outputs = values.shape
        return values.reshape(3, 3, inputs // 9, outputs).permute(3, 2, 1, 0).reshape(outputs, inputs)
    if values.ndim == 2:
        return values.T.contiguous()
    return values.flatten()
