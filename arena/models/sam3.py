"""SAM 3 through Ultralytics: everything in the photo that a text names, as one matte.

Nicolas Carion et al., "SAM 3: Segment Anything with Concepts", 2025, arXiv:2511.16719.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate
from torchvision.ops import nms

from arena.devices import Stopwatch
from arena.errors import OptionError
from arena.models.base import Prediction, Segmenter
from arena.models.sam3_network import build_network, build_predictor, load_checkpoint
from arena.models.torch_base import working_dtype

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from arena.catalog import ModelCard
    from arena.photo import Photo

DEFAULT_PROMPT = "person"
CONFIDENCE = 0.25
"""Least score of an instance; Ultralytics' default."""
_FRAME = 2
"""Tokens of the context that mark the prompt's start and end."""
OVERLAP = 0.7
"""Intersection over union from which two boxes are one instance; Ultralytics' default."""


class _Encoding(NamedTuple):
    """A photo as the image encoder sees it; any number of prompts can be answered from it."""

    digest: str
    features: dict[str, Any]


class Sam3Segmenter(Segmenter):
    """Segments what ``prompt`` names; the last photo's encoding is kept, so its next prompt is answered quickly."""

    prompts = frozenset({"prompt"})

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

    def _predict(self, photo: Photo, *, prompt: str = DEFAULT_PROMPT, **prompts: Any) -> Prediction:  # noqa: ARG002
        """Segment all that the prompt names.

        Args:
            photo: The photo.
            prompt: A noun phrase, for instance ``"person"`` or ``"woman in a red dress"``.
            **prompts: Nothing else: the base class has looked.

        Returns:
            The matte of all instances together.

        Raises:
            OptionError: An empty prompt, or one that is no text.
        """
        text = check_prompt(prompt)
        notes = list(self._notes)
        if self._encoding is not None and photo.digest and self._encoding.digest == photo.digest:
            notes.append("The photo was encoded for an earlier prompt; the time is that of this prompt alone.")
            seconds = 0.0
        else:
            seconds = self._encode(photo)
        with torch.inference_mode(), Stopwatch(self.device) as watch:
            outputs = self._ground(text)
        seconds += watch.seconds
        with torch.inference_mode():
            masks = select_instances(outputs)
            alpha = merge_masks(masks, photo.height, photo.width)
        language = self._predictor.model.backbone.language_backbone
        longest = language.context_length - _FRAME
        if len(language.tokenizer.encode(text)) > longest:
            notes.append(f"It reads {longest} tokens of a prompt; the rest of this one was left out.")
        if not len(masks):
            notes.append(f'It found no "{text}" with a score above {CONFIDENCE:g}.')
        return Prediction(alpha, seconds, tuple(notes))

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

    def _ground(self, text: str) -> Mapping[str, Tensor]:
        """Answer a prompt from the encoding."""
        if self._encoding is None:
            raise OptionError("There is no encoded photo to answer a prompt from.")
        network = self._predictor.model
        if network.names != [text]:
            network.set_classes([text])
        # A copy, because the network adds the prompt's features to what it is given.
        outputs: Mapping[str, Tensor] = network.forward_grounding(
            dict(self._encoding.features), torch.zeros(1, dtype=torch.long, device=self._predictor.device)
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


def select_instances(outputs: Mapping[str, Tensor], confidence: float = CONFIDENCE, overlap: float = OVERLAP) -> Tensor:
    """The masks of the instances that the network is confident of, each instance once.

    Args:
        outputs: Of the network for one prompt and N queries: ``pred_logits`` 1 x N x 1, ``presence_logit_dec`` 1 x 1,
            ``pred_boxes_xyxy`` 1 x N x 4 (0 to 1), ``pred_masks`` 1 x N x h x w.
        confidence: An instance's score, the probability that it is one times the probability that the picture has any,
            must exceed this.
        overlap: Of two boxes with a larger intersection over union, the one of the lower score is dropped.

    Returns:
        Float, M x h x w: mask logits, best score first; M may be 0.
    """
    scores = (outputs["pred_logits"].sigmoid() * outputs["presence_logit_dec"].sigmoid()[:, None])[0, :, 0]
    confident = scores > confidence
    boxes, scores = outputs["pred_boxes_xyxy"][0, confident], scores[confident]
    kept = nms(boxes.float(), scores.float(), overlap)
    return outputs["pred_masks"][0, confident][kept]


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
