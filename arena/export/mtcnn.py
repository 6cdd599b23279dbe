"""The three networks of the face detector, whose cascade is in :mod:`arena.faces`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from arena.export.parts import Axis, Part, Port
from arena.faces import FaceDetector
from arena.nets.mtcnn import ONet, PNet, RNet

if TYPE_CHECKING:
    from torch import Tensor, nn

LARGEST_LEVEL = 8192
"""Pixels of a side of a picture in the pyramid."""

_BATCH = Axis("batch", maximum=4096)
_FACTS = {
    "samples": "less 127.5, divided by 128",
    "boxes": "dx1, dy1, dx2, dy2 to be added, in sides of the window or crop",
    "landmarks": "five x, then five y, in sides of the crop from its top left corner",
    "scores": "probabilities: no face, face",
}


def mtcnn_parts() -> list[Part]:
    """Proposal, refinement and output network, with the weights of the installed distribution.

    Returns:
        Three parts.

    Raises:
        WeightsError: The distribution's files are missing or not the published ones.
    """
    proposal, refinement, output = FaceDetector().networks
    height, width = (Axis(name, minimum=PNet.WINDOW, maximum=LARGEST_LEVEL) for name in ("height", "width"))
    return [
        Part(
            name="pnet",
            net=proposal,
            reference=proposal,
            inputs=(Port("pixels", {0: _BATCH, 2: height, 3: width}),),
            outputs=("boxes", "scores"),
            example=(_noise(2, 51, 70),),
            checks=((_noise(1, 240, 320),), (_noise(3, 33, PNet.WINDOW),)),
            facts={
                "input": "pixels: float32, batch x 3 x height x width, RGB; every level of a pyramid of the photo",
                "window": f"{PNet.WINDOW} pixels, every {PNet.STRIDE} pixels",
                **_FACTS,
            },
        ),
        _crops_part("rnet", refinement, RNet.INPUT, ("boxes", "scores")),
        _crops_part("onet", output, ONet.INPUT, ("boxes", "landmarks", "scores")),
    ]


def _crops_part(name: str, net: nn.Module, side: int, outputs: tuple[str, ...]) -> Part:
    """A network that sees what the one before it has found."""
    return Part(
        name=name,
        net=net,
        reference=net,
        inputs=(Port("pixels", {0: _BATCH}),),
        outputs=outputs,
        example=(_noise(3, side, side),),
        checks=((_noise(64, side, side),), (_noise(1, side, side),)),
        facts={"input": f"pixels: float32, batch x 3 x {side} x {side}, RGB crops", **_FACTS},
    )


def _noise(batch: int, height: int, width: int) -> Tensor:
    return torch.rand((batch, 3, height, width), generator=torch.Generator().manual_seed(height)) * 2 - 1
