"""SAM's two halves: the image encoder, run once a photo, and prompts with the mask decoder, run for each question."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from arena.errors import OptionError
from arena.export.parts import SAMPLE, Axis, Part, Port
from arena.models.sam import MASK_SCALE, to_sam_input
from arena.models.torch_base import IMAGENET_MEAN, IMAGENET_STD
from arena.nets.sam import load_sam
from arena.photo import Photo
from arena.samples import get_sample
from arena.weights import load_tensors

if TYPE_CHECKING:
    from pathlib import Path

    from arena.nets.sam import Sam

NO_POINT, OUTSIDE, INSIDE, TOP_LEFT, BOTTOM_RIGHT = -1, 0, 1, 2, 3
"""Labels of points, those of segment-anything's own export: a box is two points."""


class ImageEncoder(nn.Module):
    """Picture in, embedding out."""

    def __init__(self, net: Sam) -> None:
        super().__init__()
        self.encoder = net.vision_encoder

    def forward(self, pixels: Tensor) -> Tensor:
        """Batch x 3 x side x side, normalised, to batch x channels x side/16 x side/16."""
        embedding: Tensor = self.encoder(pixels).last_hidden_state
        return embedding


class PromptDecoder(nn.Module):
    """Embedding and prompts in, all of the network's masks and their scores out."""

    def __init__(self, net: Sam) -> None:
        super().__init__()
        self.side: int = net.config.vision_config.image_size
        self.decoder = net.mask_decoder
        prompts = net.prompt_encoder
        self.positions = prompts.shared_embedding
        kinds = [prompts.not_a_point_embed, *prompts.point_embed]
        self.kinds = nn.Buffer(torch.cat([kind.weight for kind in kinds]).detach())
        self.no_mask = nn.Buffer(prompts.no_mask_embed.weight.detach().view(1, -1, 1, 1))
        self.places = nn.Buffer(net.get_image_wide_positional_embeddings().detach())

    def forward(self, embedding: Tensor, points: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Answer questions about a picture.

        Args:
            embedding: 1 x channels x h x w, the encoder's.
            points: Questions x points x 2: x and y in pixels of the encoder's input.
            labels: int64, questions x points: -1 none, 0 outside, 1 inside, 2 a box's top left corner, 3 its bottom
                right one. A question without a box ends with a point of label -1, as in the original.

        Returns:
            Mask logits, questions x 4 x 4h x 4w, and scores, questions x 4: the first mask answers boxes and several
            points; of the others a single point takes the one of the best score.
        """
        decoder, count = self.decoder, points.shape[0]
        coded = self.positions((points[None] + 0.5) / self.side)
        sparse = coded * (labels >= 0)[None, ..., None] + self.kinds[labels + 1]
        own = torch.cat((decoder.iou_token.weight, decoder.mask_tokens.weight))
        tokens, seen = decoder.transformer(
            point_embeddings=torch.cat((own.expand(1, count, -1, -1), sparse), dim=2),
            image_embeddings=(embedding + self.no_mask).expand(count, -1, -1, -1),
            image_positional_embeddings=self.places.expand(count, -1, -1, -1),
            attention_similarity=None,
        )
        height, width = embedding.shape[-2:]
        grown = decoder.upscale_conv1(seen.flatten(0, 1).transpose(1, 2).unflatten(2, (height, width)))
        grown = decoder.activation(decoder.upscale_layer_norm(grown))
        grown = decoder.activation(decoder.upscale_conv2(grown))
        makers = decoder.output_hypernetworks_mlps
        weights = torch.stack([make(tokens[0, :, 1 + index]) for index, make in enumerate(makers)], dim=1)
        masks = (weights @ grown.flatten(2)).unflatten(2, (MASK_SCALE * height, MASK_SCALE * width))
        return masks, decoder.iou_prediction_head(tokens[0, :, 0])


def sam_parts(weights: Path | None) -> list[Part]:
    """The two halves of a SAM, Remback's included.

    Args:
        weights: Its verified file, of segment-anything's or transformers' layout.

    Returns:
        Encoder and decoder.

    Raises:
        OptionError: No file was given.
        CheckpointError: The file is not a SAM.
    """
    if weights is None:
        raise OptionError("A SAM needs a file of weights.")
    net = load_sam(load_tensors(weights)).requires_grad_(requires_grad=False)
    side: int = net.config.vision_config.image_size
    encoder, decoder = ImageEncoder(net), PromptDecoder(net)
    pixels, _ = to_sam_input(Photo.open(get_sample(SAMPLE).path).rgb, side)
    prompts = net.config.prompt_encoder_config
    grid = prompts.image_embedding_size
    shape = (1, prompts.hidden_size, grid, grid)
    embedding = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    box = torch.tensor([[[0.2, 0.1], [0.8, 0.9]]]) * side
    three = torch.tensor([[[0.5, 0.5], [0.1, 0.9], [0.0, 0.0]]]).expand(2, -1, -1) * side
    questions, points = Axis("questions", maximum=256), Axis("points", maximum=256)
    asked = (Port("embedding"), Port("points", {0: questions, 1: points}), Port("labels", {0: questions, 1: points}))
    return [
        Part(
            name="encoder",
            net=encoder,
            reference=encoder,
            inputs=(Port("pixels", {0: Axis("batch", maximum=64)}),),
            outputs=("embedding",),
            example=(torch.zeros(2, *pixels.shape[1:]),),
            checks=((pixels,),),
            facts={
                "input": "pixels: float32, batch x 3 x height x width, RGB",
                "input_size": f"{side} x {side}",
                "resize": f"bilinear, proportions kept, longer side {side}; zeros to the right and below, after the "
                "normalisation",
                "samples": "divided by 255, less the mean, divided by the deviation",
                "mean": ", ".join(map(str, IMAGENET_MEAN)),
                "std": ", ".join(map(str, IMAGENET_STD)),
                "output": "embedding: what the decoder takes",
            },
        ),
        Part(
            name="decoder",
            net=decoder,
            reference=decoder,
            inputs=asked,
            outputs=("masks", "scores"),
            example=(embedding, three.clone(), torch.tensor([[INSIDE, OUTSIDE, NO_POINT]] * 2)),
            checks=(
                (embedding, box, torch.tensor([[TOP_LEFT, BOTTOM_RIGHT]])),
                (embedding, three, torch.tensor([[INSIDE, INSIDE, NO_POINT], [INSIDE, OUTSIDE, NO_POINT]])),
            ),
            facts={
                "input": "embedding: the encoder's, of one picture; points: float32, questions x points x 2, x and y "
                "in pixels of the encoder's input; labels: int64, questions x points",
                "labels": "-1 none, 0 outside, 1 inside, 2 a box's top left corner, 3 its bottom right corner; a "
                "question without a box ends with a point of label -1",
                "output": "masks: float32 logits, questions x 4 x height x width; scores: questions x 4. The first "
                "mask answers boxes and several points; of the others a single point takes the one of the best score",
                "enlarge": f"masks {MASK_SCALE} times, bilinearly, then crop the picture's part and resize it",
            },
        ),
    ]
