"""Remback: SAM told where the person is by the face, for portraits.

MTCNN finds the face, the box about it is widened to the shoulders, and a SAM ViT-B that was tuned on portraits says
what belongs to the person in that box. The steps and their numbers are those of the package ``remback``
(duriantaco/remback, MIT); :class:`RembackOptions` has them all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from arena.checks import checked_kernel, checked_number, checked_whole
from arena.devices import Stopwatch
from arena.errors import OptionError
from arena.faces import detect_faces
from arena.finish import check_known
from arena.matte import MatteKind
from arena.models.base import Prediction
from arena.models.sam_base import SamBacked
from arena.models.torch_base import ENCODED_EARLIER
from arena.photo import JPEG_QUALITY, fit_within
from arena.prompts import checked_boxes
from arena.refine.edges import soften
from arena.refine.morphology import closing, largest_components, opening

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import ArrayLike, NDArray

    from arena.faces import Face
    from arena.photo import Photo

    FloatArray = NDArray[np.float32]
    Pixels = NDArray[np.uint8]

Faces = Literal["largest", "all"]
FACES: tuple[Faces, ...] = get_args(Faces)

SMALLEST_FACE = 20.0
"""Pixels; MTCNN's published setting, below which a share of the picture may not go."""

LARGEST_KERNEL = 99
"""Pixels; time grows with the square."""

NO_FACE = "No face was found, and Remback looks for people by their faces."
"""The note on a matte of a photo without one."""

NOBODY_IN_BOX = "SAM saw nobody in the box."
"""The note on a matte that is empty although there was a box to look in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RembackOptions:
    """Every number on the way from a photo to a cut-out, in the order in which they are used.

    Lengths are in pixels of the photo, whatever its size, as in the original.
    """

    face_side: int = 640
    """Longest side in pixels of the picture in which faces are looked for; larger photos are shrunk to it."""
    min_face: float = 0.06
    """Height of the smallest face that is looked for, as a share of the picture's shorter side, above 0 to 1. Small
    ones are mostly mistakes: MTCNN finds some in every large photo."""
    min_score: float = 0.9
    """Probability above which something is a face, 0 to 1; for the same reason above MTCNN's own 0.8."""
    faces: Faces = "largest"
    """Whose person it is: ``"largest"`` takes the face whose area times probability is largest, ``"all"`` takes
    everybody."""
    pad_sides: float = 1.20
    """How far the box goes beyond the face to the left and to the right, in widths of the face, 0 to 10."""
    pad_up: float = 0.05
    """How far it goes above the face, in heights of the face, 0 to 10."""
    pad_down: float = 0.20
    """How far it goes below the face, in heights of the face, 0 to 10."""
    mask_thresh: float = 0.10
    """SAM's logit above which a pixel is the person; 0 is where SAM itself draws the line."""
    components: int = 1
    """How many of the largest connected parts of a mask stay; 0 keeps all."""
    opening: int = 5
    """Diameter of the opening that removes specks, odd; 1 leaves it out."""
    closing: int = 5
    """Diameter of the closing that seals pinholes, odd; 1 leaves it out."""
    hair: bool = False
    """Follow the strands beyond the mask's outline (see :mod:`arena.models.hair`), instead of softening it by
    ``sigma``."""
    sigma: float = 0.5
    """Standard deviation of the Gaussian that makes the mask an alpha, 0 to 100; 0 leaves it hard."""
    alpha_cut: float = 0.40
    """Alpha below which a picture without transparency is white, above 0 to 1."""
    sharp: float = 0.0
    """Strength of the unsharp mask on the cut-out person, 0 (none) to 10."""
    sharp_sigma: float = 1.0
    """Standard deviation of the Gaussian that the unsharp mask compares with, above 0 to 100."""
    contrast: float = 1.0
    """What the levels of the cut-out person are multiplied by, above 0 to 10."""
    quality: int = JPEG_QUALITY
    """Of a JPEG or WebP, 1 to 100."""

    def __post_init__(self) -> None:
        checked_whole("face_side", self.face_side, math.ceil(SMALLEST_FACE))
        checked_number("min_face", self.min_face, highest=1, above=0)
        checked_number("min_score", self.min_score, 0, 1)
        if self.faces not in FACES:
            raise OptionError(f"faces must be one of {', '.join(FACES)}, but is {self.faces!r}.")
        for name in ("pad_sides", "pad_up", "pad_down", "sharp"):
            checked_number(name, getattr(self, name), 0, 10)
        checked_number("mask_thresh", self.mask_thresh)
        checked_whole("components", self.components, 0)
        for name in ("opening", "closing"):
            if checked_kernel(name, getattr(self, name)) > LARGEST_KERNEL:
                raise OptionError(f"{name} must be at most {LARGEST_KERNEL}, but is {getattr(self, name)}.")
        if not isinstance(self.hair, bool):
            raise OptionError(f"hair must be true or false, but is {self.hair!r}.")
        checked_number("sigma", self.sigma, 0, 100)
        checked_number("alpha_cut", self.alpha_cut, highest=1, above=0)
        checked_number("sharp_sigma", self.sharp_sigma, highest=100, above=0)
        checked_number("contrast", self.contrast, highest=10, above=0)
        if checked_whole("quality", self.quality, 1) > 100:
            raise OptionError(f"quality must be at most 100, but is {self.quality}.")

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any], base: RembackOptions | None = None) -> RembackOptions:
        """Options from plain values, as a TOML file has them.

        Args:
            mapping: Values by the names of the fields.
            base: Where the values come from that ``mapping`` does not name.

        Returns:
            The options.

        Raises:
            OptionError: A name is unknown, or a value of another type or out of range; the message names it.
        """
        check_known(mapping, [field.name for field in fields(cls)], "")
        return replace(base or cls(), **mapping)


_AS_PUBLISHED = RembackOptions()


class RembackSegmenter(SamBacked):
    """The person about the largest face; the last photo's encoding is kept, so other boxes in it are quick.

    ``segment(photo, boxes=[(x0, y0, x1, y1)])`` looks in boxes, in pixels of the photo, instead of for faces, and
    ``segment(photo, options=RembackOptions(faces="all"))`` takes other numbers; ``hair=True`` is short for the option.
    """

    prompts = frozenset({"boxes", "options", "hair"})

    def _predict(
        self,
        photo: Photo,
        *,
        boxes: ArrayLike | None = None,
        options: RembackOptions = _AS_PUBLISHED,
        hair: bool = False,
        **prompts: Any,  # noqa: ARG002 - the base class has looked
    ) -> Prediction:
        if not isinstance(options, RembackOptions):
            raise OptionError(f"options must be RembackOptions, but are {options!r}.")
        if hair:
            options = replace(options, hair=True)
        notes = self._notes
        asked = checked_boxes(boxes, photo.width, photo.height)
        with Stopwatch() as search:
            if not len(asked):
                faces = find_faces(photo.rgb, options)
                people = choose_faces(faces, options)
                asked = padded_boxes(people, photo.width, photo.height, options)
                if len(people) < len(faces):
                    notes += (f"{len(faces)} faces were found; this is the person of the largest.",)
        if not len(asked):
            return Prediction(np.zeros((photo.height, photo.width), np.float32), search.seconds, (NO_FACE,))
        encoding = self.predictor.encode(photo)
        seconds = search.seconds + encoding
        alpha = np.zeros((photo.height, photo.width), np.float32)
        scores: list[float] = []
        # One at a time: twenty masks of a 12-megapixel photo would take a gigabyte together.
        for box in asked:
            answer = self.predictor.ask(boxes=box[None])
            with Stopwatch() as shaping:
                np.maximum(alpha, person_alpha(answer.logits[0].cpu().numpy(), photo.rgb, options), out=alpha)
            scores += answer.scores.tolist()
            # Strands are followed by a network, too.
            seconds += answer.seconds + (shaping.seconds if options.hair else 0)
        if not encoding:
            notes += (ENCODED_EARLIER,)
        if not alpha.any():
            notes += (NOBODY_IN_BOX,)
        kind = MatteKind.ALPHA if options.hair else None
        if not options.hair:
            alpha = soften(alpha, options.sigma)
        return Prediction(alpha, seconds, notes, scores=tuple(scores), kind=kind)


def find_faces(rgb: Pixels, options: RembackOptions = _AS_PUBLISHED) -> list[Face]:
    """All faces in a photo, in a copy of it that is small enough to be quick.

    Args:
        rgb: uint8, H x W x 3, sRGB, upright.
        options: ``face_side``, ``min_face`` and ``min_score`` count.

    Returns:
        Faces in pixels of ``rgb``, the most certain first.
    """
    small = fit_within(rgb, options.face_side)
    smallest = max(SMALLEST_FACE, options.min_face * min(small.shape[:2]))
    found = detect_faces(small, min_face_size=smallest, min_score=options.min_score)
    factors = rgb.shape[1] / small.shape[1], rgb.shape[0] / small.shape[0]
    return [face.scaled(*factors) for face in found]


def choose_faces(faces: Iterable[Face], options: RembackOptions = _AS_PUBLISHED) -> list[Face]:
    """The faces whose people are cut out.

    Args:
        faces: Those that were found.
        options: ``faces`` counts.

    Returns:
        The one whose area times probability is largest, or all of them, that one first. A small mistake at a high
        probability and a large blur at a low one both lose against a face.
    """
    chosen = sorted(faces, key=_weight, reverse=True)
    return chosen if options.faces == "all" else chosen[:1]


def _weight(face: Face) -> float:
    return face.score * face.width * face.height


def padded_boxes(faces: Iterable[Face], width: int, height: int, options: RembackOptions = _AS_PUBLISHED) -> FloatArray:
    """The box around each face's person that SAM is asked about.

    Args:
        faces: In pixels of the photo.
        width: Of the photo, in pixels.
        height: Of the photo, in pixels.
        options: ``pad_sides``, ``pad_up`` and ``pad_down`` count.

    Returns:
        float32, N x 4: x0, y0, x1, y1 in pixels, clipped to the photo.
    """
    boxes = np.array([face.box for face in faces], np.float32).reshape(-1, 4)
    across, down = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    boxes[:, 0] -= options.pad_sides * across
    boxes[:, 1] -= options.pad_up * down
    boxes[:, 2] += options.pad_sides * across
    boxes[:, 3] += options.pad_down * down
    return checked_boxes(boxes, width, height)


def person_alpha(logits: FloatArray, rgb: Pixels, options: RembackOptions = _AS_PUBLISHED) -> FloatArray:
    """One person: the mask, or with ``hair`` the matte that follows the strands beyond it.

    Args:
        logits: float32, H x W: SAM's, at the photo's size.
        rgb: The photo, uint8, H x W x 3.
        options: Those of :func:`person_mask` count, and ``hair``.

    Returns:
        float32, H x W, 0 to 1.
    """
    mask = person_mask(logits, options)
    if not options.hair:
        return mask
    # Here for the reason that SamPredictor is imported in load.
    from arena.models.hair import refine_hair  # noqa: PLC0415

    # What was cleaned away stays away, and what was filled stays filled.
    sure = np.maximum(np.abs(logits - np.float32(options.mask_thresh)), np.float32(1e-3))
    return refine_hair(np.where(mask > 0, sure, -sure), rgb)


def person_mask(logits: FloatArray, options: RembackOptions = _AS_PUBLISHED) -> FloatArray:
    """The mask of one person: what exceeds the threshold, without specks beside it and pinholes in it.

    Args:
        logits: float32, H x W: SAM's, at the photo's size.
        options: ``mask_thresh``, ``components``, ``opening`` and ``closing`` count.

    Returns:
        float32, H x W: 1 where the person is, else 0.
    """
    mask = (logits > np.float32(options.mask_thresh)).astype(np.float32)
    if options.components:
        mask = largest_components(mask, options.components)
    return closing(opening(mask, options.opening), options.closing)
