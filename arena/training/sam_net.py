"""SAM in two halves for training: the blocks that stay as they are, and those that learn."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

import torch
from torch import Tensor

from arena.errors import OptionError

if TYPE_CHECKING:
    from torch.nn import Parameter
    from transformers.models.sam import SamConfig, SamVisionConfig

    from arena.nets.sam import Sam

NO_POINT = -10
"""Label of a point that is none; transformers leaves its embedding 0."""


class Prompts(NamedTuple):
    """What SAM is told of each picture of a batch, in pixels of its input."""

    boxes: Tensor
    """float32, N x 4: left, top, right and bottom; not a number where there is no box."""
    points: Tensor
    """float32, N x P x 2: x and y."""
    labels: Tensor
    """int64, N x P: 1 on the subject, 0 beside it, -10 if there is no such point."""


def freeze(net: Sam, trained_blocks: int) -> Sam:
    """Let the image encoder's first blocks stay as they are, with the patches and positions before them.

    Args:
        net: The network.
        trained_blocks: How many of the last blocks are trained, with the neck behind them; 0 freezes the whole encoder,
            and as many as there are freezes nothing.

    Returns:
        ``net``.

    Raises:
        OptionError: The encoder has fewer blocks.
    """
    encoder = net.vision_encoder
    count = len(encoder.layers)
    check_blocks(net.config, trained_blocks)
    if trained_blocks < count:
        encoder.patch_embed.requires_grad_(requires_grad=False)
        cast("Parameter", encoder.pos_embed).requires_grad = False
    for block in encoder.layers[: count - trained_blocks]:
        block.requires_grad_(requires_grad=False)
    if not trained_blocks:
        encoder.neck.requires_grad_(requires_grad=False)
    return net


def check_blocks(config: SamConfig, trained_blocks: int) -> None:
    """Refuse to train more blocks than there are.

    Args:
        config: The network's.
        trained_blocks: As for :func:`freeze`.

    Raises:
        OptionError: The encoder has fewer.
    """
    count = cast("SamVisionConfig", config.vision_config).num_hidden_layers
    if trained_blocks > count:
        raise OptionError(f"{trained_blocks} blocks cannot be trained: this SAM has {count}.")


def first_blocks(net: Sam, pixels: Tensor, trained_blocks: int) -> Tensor:
    """The part of the image encoder that :func:`freeze` freezes.

    Args:
        net: The network.
        pixels: float32, N x 3 x S x S, normalised.
        trained_blocks: As for :func:`freeze`.

    Returns:
        Floating, N x S/16 x S/16 x C.
    """
    encoder = net.vision_encoder
    hidden: Tensor = encoder.patch_embed(pixels) + encoder.pos_embed
    for block in encoder.layers[: len(encoder.layers) - trained_blocks]:
        hidden = block(hidden)
    return hidden


def last_blocks(net: Sam, hidden: Tensor, trained_blocks: int) -> Tensor:
    """The rest of the image encoder.

    Args:
        net: The network.
        hidden: What :func:`first_blocks` gave.
        trained_blocks: As for :func:`freeze`.

    Returns:
        The image embedding, floating, N x 256 x S/16 x S/16.
    """
    encoder = net.vision_encoder
    for block in encoder.layers[len(encoder.layers) - trained_blocks :]:
        hidden = block(hidden)
    embedding: Tensor = encoder.neck(hidden)
    return embedding


def mask_logits(net: Sam, embedding: Tensor, prompts: Prompts) -> Tensor:
    """What the mask decoder makes of pictures and prompts.

    Args:
        net: The network.
        embedding: float32, N x 256 x g x g.
        prompts: One for each picture.

    Returns:
        float32, N x 1 x 4g x 4g: logits of the mask that SAM gives where it is asked for one.
    """
    has_box = ~prompts.boxes.isnan().any(dim=1)
    # Those with and those without a box differ in how many tokens they have.
    groups = [rows for rows in (has_box.nonzero()[:, 0], (~has_box).nonzero()[:, 0]) if len(rows)]
    parts = [_decode(net, embedding[rows], Prompts(*(part[rows] for part in prompts))) for rows in groups]
    return torch.cat(parts)[torch.cat(groups).argsort()]


def _decode(net: Sam, embedding: Tensor, prompts: Prompts) -> Tensor:
    used = int((prompts.labels != NO_POINT).sum(dim=1).max()) if prompts.labels.numel() else 0
    boxes = None if prompts.boxes.isnan().any() else prompts.boxes[:, None]
    points = prompts.points[:, None, :used] if used else None
    labels = prompts.labels[:, None, :used] if used else None
    sparse, dense = net.prompt_encoder(points, labels, boxes, None)
    positions: Tensor = net.get_image_wide_positional_embeddings()
    positions = positions.expand(len(embedding), -1, -1, -1)
    masks, _ = net.mask_decoder(embedding, positions, sparse, dense, multimask_output=False)
    logits: Tensor = masks[:, 0]
    return logits
