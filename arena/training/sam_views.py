"""Pictures as SAM is trained on them: read, changed together with mask and prompt, and brought to its input's size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import kornia.enhance
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from arena.models.sam import MASK_SCALE, to_sam_size
from arena.models.torch_base import IMAGENET_MEAN, IMAGENET_STD
from arena.training.augment import Change, apply_changes
from arena.training.pictures import read_pair
from arena.training.sam_net import NO_POINT, Prompts

if TYPE_CHECKING:
    from pathlib import Path

    from arena.training.prompts import Prompt


@dataclass(frozen=True, slots=True)
class Picture:
    """A photo with its mask, and what SAM is told of it."""

    photo: Path
    mask: Path
    prompt: Prompt


class SamBatch(NamedTuple):
    """Pictures as they come from their files, and what is to be done to them."""

    pictures: Tensor
    """uint8, N x 4 x S x S: RGB and alpha, in the top left corner of the input."""
    matrices: Tensor
    """float32, N x 3 x 3: how they are to be moved."""
    lights: Tensor
    """float32, N x 3: how they are to be lit."""
    sizes: Tensor
    """int64, N x 2: height and width of the pictures inside of the input."""
    boxes: Tensor
    points: Tensor
    labels: Tensor
    """Prompts, moved with the pictures already; as :class:`arena.training.sam_net.Prompts` has them."""


def make_view(picture: Picture, change: Change, side: int, points: int) -> SamBatch:
    """Read a picture that is to be changed.

    Args:
        picture: The picture.
        change: What is to be done to it.
        side: Of the network's input, in pixels.
        points: How many points a row of the batch has room for.

    Returns:
        A row of a batch, without the batch's dimension.

    Raises:
        ArenaError: A file cannot be decoded any more.
    """
    rgb, alpha = read_pair(picture.photo, picture.mask)
    small = np.dstack([to_sam_size(rgb, side), to_sam_size(alpha, side)])
    height, width = small.shape[:2]
    # The border goes on into the padding, so that a picture that is moved has no black edge.
    filled = np.pad(small, ((0, side - height), (0, side - width), (0, 0)), mode="edge")
    scale = width / rgb.shape[1], height / rgb.shape[0]
    return SamBatch(
        torch.from_numpy(filled).permute(2, 0, 1),
        change.matrix(width, height),
        torch.tensor(change.light),
        torch.tensor([height, width]),
        *_moved(picture.prompt, scale, change, width, height, points),
    )


def prepare(batch: SamBatch) -> tuple[Tensor, Tensor]:
    """Change the pictures of a batch, on its device.

    Args:
        batch: Pictures and what is to be done to them.

    Returns:
        The network's input, float32, N x 3 x S x S, normalised and 0 beyond the pictures; and the truth at the size of
        its masks, float32, N x 1 x S/4 x S/4, 0 to 1.
    """
    with torch.autocast(batch.pictures.device.type, enabled=False):
        rgb, alpha = apply_changes(batch.pictures, batch.matrices, batch.lights)
        mean, deviation = (torch.tensor(values, device=rgb.device) for values in (IMAGENET_MEAN, IMAGENET_STD))
        pixels = kornia.enhance.normalize(rgb, mean, deviation) * inside_of(batch.sizes, rgb.shape[-1])
        return pixels, F.avg_pool2d(alpha, MASK_SCALE)


def inside_of(sizes: Tensor, side: int) -> Tensor:
    """Where pictures are in a square.

    Args:
        sizes: N x 2: height and width of each, in pixels.
        side: Of the square.

    Returns:
        float32, N x 1 x side x side: 1 in the picture, 0 beyond.
    """
    at = torch.arange(side, device=sizes.device)
    rows, columns = (at < sizes[:, axis, None] for axis in (0, 1))
    return (rows[:, :, None] & columns[:, None, :])[:, None].float()


def jitter(box: Tensor, size: Tensor, most: float, chance: np.random.Generator) -> Tensor:
    """Move the edges of a box, each by itself: no detector and no hand puts it at the same place twice.

    Args:
        box: float32, 4: left, top, right and bottom in pixels.
        size: Height and width of the picture, in pixels.
        most: Largest way of an edge, as a share of the box's side.
        chance: Where all chance comes from.

    Returns:
        float32, 4, inside of the picture.
    """
    moves = torch.from_numpy(chance.uniform(-most, most, 4).astype(np.float32))
    return _inside(box + moves * (box[2:] - box[:2]).repeat(2), int(size[1]), int(size[0]))


def _moved(prompt: Prompt, scale: tuple[float, float], change: Change, width: int, height: int, room: int) -> Prompts:
    """A prompt in pixels of the photo as one in pixels of the changed input."""
    box = torch.full((4,), torch.nan)
    if prompt.box is not None:
        edges = torch.tensor(prompt.box) * torch.tensor(scale * 2)
        box = _inside(change.move_box(edges, width, height), width, height)
    points = torch.zeros(room, 2)
    labels = torch.full((room,), NO_POINT)
    count = len(prompt.points)
    if count:
        points[:count] = change.move_points(torch.tensor(prompt.points) * torch.tensor(scale), width, height)
        labels[:count] = torch.tensor(prompt.labels)
        gone = ((points < 0) | (points > torch.tensor([width, height]))).any(dim=1)
        labels[gone] = NO_POINT
        order = (labels == NO_POINT).int().argsort(stable=True)
        points, labels = points[order], labels[order]
    return Prompts(box, points, labels)


def _inside(box: Tensor, width: int, height: int) -> Tensor:
    return torch.minimum(box.clamp_min(0), torch.tensor([width, height] * 2, dtype=torch.float32))
