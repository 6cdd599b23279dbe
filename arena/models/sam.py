"""SAM told by boxes and points: a photo is encoded once, and each question about it is answered in a moment.

Alexander Kirillov et al., "Segment Anything", 2023, arXiv:2304.02643.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate, pad

from arena.devices import Stopwatch
from arena.errors import OptionError
from arena.matte import MatteKind
from arena.models.base import Prediction
from arena.models.hair import refine_hair
from arena.models.sam_base import SamBacked
from arena.models.torch_base import (
    ENCODED_EARLIER,
    IMAGENET_MEAN,
    IMAGENET_STD,
    check_finite,
    wants_int8,
    working_dtype,
)
from arena.nets.sam import load_sam
from arena.prompts import INSIDE, checked_boxes, checked_points, nothing_shown, scores_in_words
from arena.quantize import quantize_linears
from arena.weights import load_tensors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

    from arena.nets.sam import Sam
    from arena.photo import Photo

SIDE = 1024
"""Of the published networks' input, in pixels."""

MASK_SCALE = 4
"""Pixels of the input in one of the network's mask."""

MASK_THRESHOLD = 0.0
"""Logit above which a pixel belongs to the mask; the original's."""

PROMPTS_AT_ONCE = 16
"""Each takes about 50 MB in the mask decoder of the published sizes."""


def to_sam_input(rgb: NDArray[np.uint8], side: int = SIDE) -> tuple[Tensor, tuple[int, int]]:
    """Bring a photo to the network's size as the original does: the longer side fills it, the rest is 0.

    Args:
        rgb: uint8, H x W x 3, sRGB.
        side: Of the network's input, in pixels.

    Returns:
        float32, 1 x 3 x side x side, normalised; and height and width of the photo inside, in its top left corner.
    """
    resized = to_sam_size(rgb, side)
    height, width = resized.shape[:2]
    pixels = torch.from_numpy(resized).float().div_(255.0)
    pixels.sub_(torch.tensor(IMAGENET_MEAN)).div_(torch.tensor(IMAGENET_STD))
    return pad(pixels.permute(2, 0, 1)[None], (0, side - width, 0, side - height)), (height, width)


def to_sam_size(picture: NDArray[np.uint8], side: int = SIDE) -> NDArray[np.uint8]:
    """Resize a photo or its mask as the original does, until the longer side fills the network's input.

    Args:
        picture: uint8, H x W x 3 or H x W.
        side: Of the network's input, in pixels.

    Returns:
        uint8, h x w x 3 or h x w; the longer of h and w is ``side``.
    """
    scale = side / max(picture.shape[:2])
    height, width = (max(1, int(length * scale + 0.5)) for length in picture.shape[:2])
    return np.array(Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR))


def photo_logits(low_res: Tensor, inside: tuple[int, int], height: int, width: int) -> Tensor:
    """Bring the network's masks to the photo's size as the original does: enlarged, cropped, and resized.

    Args:
        low_res: Floating, N x 1 x h x w: mask logits.
        inside: Height and width of the photo inside of the network's input: the second that :func:`to_sam_input` gives.
        height: Of the photo, in pixels.
        width: Of the photo, in pixels.

    Returns:
        float32, N x height x width: mask logits.
    """
    full = interpolate(low_res.float(), scale_factor=MASK_SCALE, mode="bilinear", align_corners=False)
    cropped = full[..., : inside[0], : inside[1]]
    return interpolate(cropped, (height, width), mode="bilinear", align_corners=False)[:, 0]


class _Encoding(NamedTuple):
    """A photo as the image encoder sees it, without the photo itself: others need not keep what a user took away."""

    digest: str
    size: tuple[int, int]
    """Width and height in pixels."""
    embedding: Tensor
    inside: tuple[int, int]


@dataclass(frozen=True)
class Answer:
    """What the network says to a question: a mask for each box, or one for the points."""

    low_res: Tensor
    """float32, N x 1 x h x w: mask logits of the network's own size."""
    scores: Tensor
    """float32, N, on the CPU: how well the network thinks that each mask fits, as intersection over union."""
    inside: tuple[int, int]
    """Height and width of the photo inside of the network's input."""
    size: tuple[int, int]
    """Width and height of the photo."""
    seconds: float
    """The forward pass of prompts and decoder, device-synchronised."""

    @cached_property
    def logits(self) -> Tensor:
        """float32, N x H x W: mask logits of the photo's size, 4 bytes a pixel and mask."""
        return photo_logits(self.low_res, self.inside, self.size[1], self.size[0])

    def merged(self) -> Tensor:
        """float32, H x W: for each pixel of the photo the largest logit, so the union of the masks.

        One mask at a time: fifty of a 12-megapixel photo would take 2.4 GB together.
        """
        largest, *others = (photo_logits(mask[None], self.inside, self.size[1], self.size[0]) for mask in self.low_res)
        for other in others:
            torch.maximum(largest, other, out=largest)
        return largest[0]


class SamPredictor:
    """SAM around one photo: ``encode`` it, then ``ask`` as often as you like. Not to be shared between threads."""

    def __init__(self, net: Sam, device: str, dtype: torch.dtype = torch.float32) -> None:
        """Wrap a network.

        Args:
            net: The network with its weights.
            device: A resolved device, to which the network is moved.
            dtype: In which the image encoder runs; with half precision, load the network in it too.
        """
        self.net = net.to(device).eval().requires_grad_(requires_grad=False)
        self.device = device
        self.dtype = dtype
        self.side: int = net.config.vision_config.image_size
        self._encoding: _Encoding | None = None

    @classmethod
    def load(cls, path: Path, device: str) -> Self:
        """Read a checkpoint, of segment-anything's layout or of transformers'.

        Args:
            path: ``.safetensors``, ``.pth`` and the like.
            device: A resolved device.

        Returns:
            A predictor in the device's working precision.

        Raises:
            CheckpointError: The file is damaged, would run code, or is not a SAM.
            OptionError: The environment asks for a precision that does not exist.
        """
        dtype, _ = working_dtype(device)
        net = load_sam(load_tensors(path), dtype=dtype)
        if wants_int8(device):
            quantize_linears(net.vision_encoder)
        return cls(net, device, dtype)

    def encode(self, photo: Photo) -> float:
        """Look at a photo, unless it is the one that was looked at last.

        Args:
            photo: The photo.

        Returns:
            Seconds of the image encoder, device-synchronised; 0 if its result was kept.

        Raises:
            ArenaError: The result holds values that are no numbers.
        """
        if self._encoding is not None and photo.digest and self._encoding.digest == photo.digest:
            return 0.0
        self._encoding = None  # two photos' embeddings need not be in memory at once
        pixels, inside = to_sam_input(photo.rgb, self.side)
        reduced = self.dtype is not torch.float32
        precision = torch.autocast(torch.device(self.device).type, self.dtype) if reduced else contextlib.nullcontext()
        pixels = pixels.to(self.device)
        with torch.inference_mode(), Stopwatch(self.device) as watch, precision:
            embedding = self.net.vision_encoder(pixels).last_hidden_state.float()
        check_finite(embedding, "SAM", self.dtype, self.device)
        self._encoding = _Encoding(photo.digest, photo.size, embedding, inside)
        return watch.seconds

    def ask(
        self, boxes: ArrayLike | None = None, points: ArrayLike | None = None, labels: ArrayLike | None = None
    ) -> Answer:
        """Segment what prompts show on the photo that was encoded.

        Args:
            boxes: N x 4: left, top, right and bottom in pixels of the photo. Each gets a mask.
            points: M x 2: x and y in pixels of the photo. With boxes, they count for each of these; alone, they get
                one mask together.
            labels: M: 1 for a point on what is meant, 0 for one on what is not. None: all are meant.

        Returns:
            N masks, or one of the points.

        Raises:
            OptionError: No photo was encoded, no prompt shows what is meant, or one is not in the photo.
        """
        if self._encoding is None:
            raise OptionError("No photo was encoded.", "Call encode before ask.")
        _, size, embedding, inside = self._encoding
        checked = checked_boxes(boxes, *size)
        places, kinds = checked_points(points, labels, *size)
        if not len(checked) and not (kinds == INSIDE).any():
            raise nothing_shown("SAM")
        # Not one factor: each side was rounded to whole pixels.
        scale = np.array([inside[1] / size[0], inside[0] / size[1]], np.float32)
        count = max(1, len(checked))
        spots = self._tensor(places * scale).expand(1, count, -1, -1) if len(places) else None
        signs = torch.as_tensor(kinds, device=self.device).expand(1, count, -1) if len(places) else None
        corners = self._tensor(checked * np.tile(scale, 2))[None] if len(checked) else None
        with torch.inference_mode(), Stopwatch(self.device) as watch:
            parts = [
                self.net(
                    image_embeddings=embedding,
                    input_boxes=None if corners is None else corners[:, part],
                    input_points=None if spots is None else spots[:, part],
                    input_labels=None if signs is None else signs[:, part],
                    multimask_output=len(checked) == 0 and len(places) == 1,
                )
                for part in _parts(count)
            ]
            masks = torch.cat([part.pred_masks[0] for part in parts])
            scores = torch.cat([part.iou_scores[0] for part in parts])
            # A single point may mean a part or the whole: of the three masks that it gets, the best-scored one. For
            # all other prompts there is one, from the token that the original takes for them.
            best = scores.argmax(dim=1, keepdim=True)
            masks, scores = masks.take_along_dim(best[..., None, None], dim=1), scores.take_along_dim(best, dim=1)
        return Answer(masks, scores[:, 0].cpu(), inside, size, watch.seconds)

    def _tensor(self, values: NDArray[np.float32]) -> Tensor:
        return torch.as_tensor(values, dtype=torch.float32, device=self.device)


class SamSegmenter(SamBacked):
    """Segments what boxes and points show; the last photo's encoding is kept, so its next prompt takes a moment."""

    prompts = frozenset({"boxes", "points", "labels", "hair"})

    def _predict(
        self,
        photo: Photo,
        *,
        boxes: ArrayLike | None = None,
        points: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        hair: bool = False,
        **prompts: Any,  # noqa: ARG002
    ) -> Prediction:
        """Segment what the prompts show.

        Args:
            photo: The photo.
            boxes: N x 4: left, top, right and bottom in pixels of the photo. Their masks are united.
            points: M x 2: x and y in pixels of the photo.
            labels: M: 1 for a point on what is meant, 0 for one on what is not. None: all are meant.
            hair: Follow the strands beyond the masks' outline (see :mod:`arena.models.hair`).
            **prompts: Nothing else: the base class has looked.

        Returns:
            The union of the masks, and each one's score.

        Raises:
            OptionError: No prompt, or one that is not in the photo.
        """
        # Before the encoder has worked for seconds.
        drawn = checked_boxes(boxes, photo.width, photo.height)
        _, kinds = checked_points(points, labels, photo.width, photo.height)
        if not len(drawn) and not (kinds == INSIDE).any():
            raise nothing_shown(self.card.label)
        seconds = self.predictor.encode(photo)
        answer = self.predictor.ask(drawn, points, labels)
        scores = answer.scores.tolist()
        notes = [*self._notes, *([] if seconds else [ENCODED_EARLIER]), scores_in_words(scores, len(drawn))]
        with torch.inference_mode():
            logits = answer.merged().float().cpu().numpy()
        seconds += answer.seconds
        if not hair:
            alpha = (logits > MASK_THRESHOLD).astype(np.float32)
            return Prediction(alpha, seconds, tuple(notes), scores=tuple(scores))
        with Stopwatch() as watch:
            alpha = refine_hair(logits, photo.rgb)
        kind = MatteKind.ALPHA
        return Prediction(alpha, seconds + watch.seconds, tuple(notes), scores=tuple(scores), kind=kind)


def _parts(count: int) -> Iterator[slice]:
    """A count in portions that the decoder takes at once."""
    return (slice(start, start + PROMPTS_AT_ONCE) for start in range(0, count, PROMPTS_AT_ONCE))
