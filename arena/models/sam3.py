"""SAM 3 through Ultralytics: everything in the photo that a text names, or what is in boxes, as one matte.

A box is an example to SAM 3: shown one, it looks for everything alike. Whoever draws a box means the thing in it, so
each box is asked for by itself, and of what is found the instance is taken that fits it best.

Nicolas Carion et al., "SAM 3: Segment Anything with Concepts", 2025, arXiv:2511.16719.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate
from torchvision.ops import box_area, box_convert, box_iou, nms

from arena.devices import Stopwatch
from arena.errors import OptionError
from arena.models.base import Prediction, Segmenter
from arena.models.sam3_network import box_prompt, build_network, build_predictor, load_checkpoint
from arena.models.torch_base import ENCODED_EARLIER, working_dtype
from arena.prompts import checked_boxes, scores_in_words

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

    from arena.catalog import ModelCard
    from arena.photo import Photo

DEFAULT_PROMPT = "person"
CONFIDENCE = 0.25
"""Least score of an instance; Ultralytics' default."""
_FRAME = 2
"""Tokens of the context that mark the prompt's start and end."""
OVERLAP = 0.7
"""Intersection over union from which two boxes are one instance; Ultralytics' default."""

EXAMPLE = "visual"
"""The text that goes with boxes when nothing is named; the original's."""
LEAST_INSIDE = 0.5
"""How much of an instance's own box has to be in the box that is drawn for it."""
BOXES_AT_ONCE = 4
"""Each takes about as much memory as a text prompt."""


class _Encoding(NamedTuple):
    """A photo as the image encoder sees it; any number of prompts can be answered from it."""

    digest: str
    features: dict[str, Any]


class Instances(NamedTuple):
    """What was found, best score first."""

    masks: Tensor
    """Float, M x h x w: mask logits."""
    scores: Tensor
    """Float, M: 0 to 1."""
    boxes: Tensor
    """Float, M x 4: left, top, right and bottom as shares of the photo's width and height."""


class Sam3Segmenter(Segmenter):
    """Segments what is named or drawn around; the last photo's encoding is kept, so its next prompt takes less."""

    prompts = frozenset({"prompt", "boxes"})

    def __init__(self, card: ModelCard, device: str, predictor: Any) -> None:
        """Wrap a predictor that is ready to run.

        Args:
            card: The model's card.
            device: A resolved device: where the predictor's network is.
            predictor: What ``build_predictor`` returns.

        Raises:
            OptionError: The environment asks for a precision that does not exist.
        """
        super().__init__(card, device)
        self._predictor = predictor
        self._dtype, self._notes = working_dtype(device)
        if device.startswith("cuda") and torch.cuda.is_bf16_supported():
            # The original runs in bfloat16, whose range no activation leaves.
            self._dtype = torch.bfloat16
        self._encoding: _Encoding | None = None

    @classmethod
    def load(cls, card: ModelCard, weights: Path | None, device: str) -> Self:
        """Build the network and give it the file's tensors.

        Args:
            card: The model's card.
            weights: The verified ``sam3.pt``.
            device: A resolved device.

        Returns:
            A segmenter that is ready to run.

        Raises:
            CheckpointError: The file is damaged, would run code, or does not cover the network.
            OptionError: No file was given, or the card names no input size.
        """
        if weights is None or card.input_size.side is None:
            raise OptionError(f"{card.label} needs a file of weights and a card with a fixed input size.")
        network = load_checkpoint(build_network(), weights)
        return cls(card, device, build_predictor(network, card.input_size.side, device))

    @classmethod
    def check_told(cls, card: ModelCard, prompts: Mapping[str, Any]) -> None:
        """See that it can work with what it is told; see :meth:`arena.models.base.Segmenter.check_told`."""
        super().check_told(card, prompts)
        if prompts.get("prompt") is not None:
            check_prompt(prompts["prompt"])

    def _predict(
        self,
        photo: Photo,
        *,
        prompt: str | None = None,
        boxes: ArrayLike | None = None,
        **prompts: Any,  # noqa: ARG002
    ) -> Prediction:
        """Segment all that the prompt names, or what is in the boxes.

        Args:
            photo: The photo.
            prompt: A noun phrase, for instance ``"person"`` or ``"woman in a red dress"``. None: a person, or with
                boxes whatever is in these.
            boxes: N x 4: left, top, right and bottom in pixels of the photo. Each stands for the thing in it, which
                has to be what ``prompt`` names, if it names something.
            **prompts: Nothing else: the base class has looked.

        Returns:
            The matte of all instances together, with their scores: one for each box, 0 where nothing was found in it.

        Raises:
            OptionError: An empty prompt, or one that is no text; a box that is not in the photo.
        """
        drawn = checked_boxes(boxes, photo.width, photo.height)
        text = check_prompt(prompt) if prompt is not None else EXAMPLE if len(drawn) else DEFAULT_PROMPT
        notes = list(self._notes)
        if self._encoding is not None and photo.digest and self._encoding.digest == photo.digest:
            notes.append(ENCODED_EARLIER)
            seconds = 0.0
        else:
            seconds = self._encode(photo)
        with torch.inference_mode(), Stopwatch(self.device) as watch:
            if len(drawn):
                masks, scores = self._in_boxes(text, torch.from_numpy(drawn) / torch.tensor([*photo.size, *photo.size]))
            else:
                masks, found, _ = select_instances(self._ground(text))
                scores = found.tolist()
        with torch.inference_mode():
            alpha = merge_masks(masks, photo.height, photo.width)
        language = self._predictor.model.backbone.language_backbone
        longest = language.context_length - _FRAME
        if len(language.tokenizer.encode(text)) > longest:
            notes.append(f"It reads {longest} tokens of a prompt; the rest of this one was left out.")
        if len(drawn):
            notes.append(scores_in_words(scores, len(drawn)))
        elif not scores:
            notes.append(f'It found no "{text}" with a score above {CONFIDENCE:g}.')
        return Prediction(alpha, seconds + watch.seconds, tuple(notes), scores=tuple(scores))

    def _encode(self, photo: Photo) -> float:
        """Run the image encoder and keep what it gives; returns its seconds."""
        self._encoding = None  # two photos' encodings need not be in memory at once
        pixels = self._predictor.preprocess([np.ascontiguousarray(photo.rgb[..., ::-1])])
        reduced = self._dtype is not torch.float32
        precision = torch.autocast(torch.device(self.device).type, self._dtype) if reduced else contextlib.nullcontext()
        with torch.inference_mode(), Stopwatch(self.device) as watch, precision:
            features = self._predictor.get_im_features(pixels)
        for name in ("backbone_fpn", "vision_pos_enc"):
            features[name] = [feature.float() for feature in features[name]]
        self._encoding = _Encoding(photo.digest, features)
        return watch.seconds

    def _in_boxes(self, text: str, boxes: Tensor) -> tuple[Tensor, list[float]]:
        """Masks of what is in the boxes, and a score for each box: 0 where nothing is, so there may be fewer masks.

        Args:
            text: What is to be in them.
            boxes: Float, N x 4: left, top, right and bottom as shares of the photo's width and height.

        Returns:
            Float, M x h x w, and N numbers.
        """
        masks: list[Tensor] = []
        scores: list[float] = []
        for some in torch.split(boxes.to(self._predictor.device), BOXES_AT_ONCE):
            outputs = self._ground(text, some)
            for number, box in enumerate(some):
                found = select_instances(outputs, item=number)
                chosen = instance_in(box, found.boxes)
                masks.append(found.masks[chosen : chosen + 1] if chosen is not None else found.masks[:0])
                scores.append(found.scores[chosen].item() if chosen is not None else 0.0)
        return torch.cat(masks), scores

    def _ground(self, text: str, boxes: Tensor | None = None) -> Mapping[str, Tensor]:
        """Answer a prompt from the encoding.

        Args:
            text: What to look for.
            boxes: Float, N x 4: an example each of what to look for, left, top, right and bottom as shares of the
                photo's width and height.

        Returns:
            What the network returns for one prompt, or for N.
        """
        if self._encoding is None:
            raise OptionError("There is no encoded photo to answer a prompt from.")
        network, device = self._predictor.model, self._predictor.device
        if network.names != [text]:
            network.set_classes([text])
        # Boxes are a sequence of one for each of N prompts of the same text.
        example = None if boxes is None else box_prompt(box_convert(boxes, "xyxy", "cxcywh")[None])
        count = 1 if boxes is None else len(boxes)
        # A copy, because the network adds the prompt's features to what it is given.
        outputs: Mapping[str, Tensor] = network.forward_grounding(
            dict(self._encoding.features), torch.zeros(count, dtype=torch.long, device=device), example
        )
        return outputs


def check_prompt(prompt: object) -> str:
    """The text of a prompt without blanks around it.

    Args:
        prompt: What the user gave.

    Returns:
        A text that is not empty.

    Raises:
        OptionError: It is empty, or no text.
    """
    if not isinstance(prompt, str) or not prompt.strip():
        raise OptionError(
            f"SAM 3 cannot look for {prompt!r}.", 'Name what it is to find: "person", or "woman in a red dress".'
        )
    return prompt.strip()


def select_instances(
    outputs: Mapping[str, Tensor], confidence: float = CONFIDENCE, overlap: float = OVERLAP, item: int = 0
) -> Instances:
    """The instances that the network is confident of, each once.

    Args:
        outputs: Of the network for B prompts and N queries: ``pred_logits`` B x N x 1, ``presence_logit_dec`` B x 1,
            ``pred_boxes_xyxy`` B x N x 4 (0 to 1), ``pred_masks`` B x N x h x w.
        confidence: An instance's score, the probability that it is one times the probability that the picture has any,
            must exceed this.
        overlap: Of two boxes with a larger intersection over union, the one of the lower score is dropped.
        item: For which of the prompts.

    Returns:
        What was found; M may be 0.
    """
    scores = (outputs["pred_logits"].sigmoid() * outputs["presence_logit_dec"].sigmoid()[:, None])[item, :, 0]
    confident = scores > confidence
    boxes, scores = outputs["pred_boxes_xyxy"][item, confident].float(), scores[confident].float()
    kept = nms(boxes, scores, overlap)
    return Instances(outputs["pred_masks"][item, confident][kept], scores[kept], boxes[kept])


def instance_in(box: Tensor, candidates: Tensor) -> int | None:
    """Which instance somebody means who draws a box: of those that lie mostly inside, the one that fills it best.

    Args:
        box: Float, 4: left, top, right and bottom as shares of the photo's width and height.
        candidates: Float, M x 4: the instances' own boxes; what is outside of the photo does not count.

    Returns:
        Its number; None if none lies mostly inside.
    """
    drawn, seen = box[None], candidates.clamp(0, 1)
    shared = torch.minimum(seen[:, 2:], drawn[:, 2:]) - torch.maximum(seen[:, :2], drawn[:, :2])
    inside = shared.clamp(min=0).prod(dim=1) >= LEAST_INSIDE * box_area(seen)
    if not inside.any():
        return None
    return int(box_iou(drawn, seen)[0].masked_fill(~inside, -1.0).argmax())


def merge_masks(masks: Tensor, height: int, width: int) -> NDArray[np.float32]:
    """One soft matte of all instances: each mask's logits are enlarged, a pixel belongs to the surest of them.

    Enlarging before the sigmoid keeps the edge as narrow as the network drew it; cut at one half, the result is the
    union of the masks that Ultralytics returns.

    Args:
        masks: Float, M x h x w: mask logits; M may be 0.
        height: Of the photo, in pixels.
        width: Of the photo, in pixels.

    Returns:
        float32, height x width, in [0, 1]; all 0 if there is no mask.
    """
    if not len(masks):
        return np.zeros((height, width), np.float32)
    surest = torch.full((height, width), -torch.inf, device=masks.device)
    # One at a time: fifty masks of a 12-megapixel photo together would take 2.4 GB.
    for mask in masks:
        enlarged = interpolate(mask[None, None].float(), (height, width), mode="bilinear", align_corners=False)
        torch.maximum(surest, enlarged[0, 0], out=surest)
    alpha: NDArray[np.float32] = surest.sigmoid_().cpu().numpy()
    return alpha
