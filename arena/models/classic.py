"""Classic: face-guided GrabCut, the segmenter that needs no download.

Each face found by MTCNN places a soft silhouette of head and shoulders. GrabCut's colour mixtures are learned
under that silhouette; then colour, place, neighbourhood and sharpness are weighed together and a minimum cut along the
picture's contrast decides. A guided filter carries the edge to full resolution.

C. Rother, V. Kolmogorov and A. Blake, "GrabCut: Interactive Foreground Extraction using Iterated Graph Cuts",
SIGGRAPH 2004.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Self

import cv2
import numpy as np
from scipy import ndimage

from arena.errors import OptionError
from arena.faces import Face, default_detector, detect_faces
from arena.models.base import Prediction, Segmenter
from arena.refine.cut import Mixtures, labels_of, minimum_cut, place_odds
from arena.refine.guided import guided_upsample

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from arena.catalog import ModelCard
    from arena.photo import Photo

    FloatArray = NDArray[np.float32]
    ByteArray = NDArray[np.uint8]

WORKING_SIDE = 400
"""Longest side in pixels at which the cut is made."""
_EDGE_SIDE = 1024
"""Longest side in pixels at which the edge's colours are fitted."""
_DETECTION_SIDE = 640
"""Longest side in pixels at which faces are looked for."""

_MIN_FACE_FRACTION = 15
"""The smallest face looked for is this part of the picture's short side."""
_MIN_FACE_SCORE = 0.9
"""The published 0.8 lets small false positives through at high resolution."""
_MIN_FACE_RATIO = 0.45
"""Faces shorter than this part of the tallest belong to passers-by, or to nobody."""
_SMALLER, _BLURRED = 0.75, 0.8
"""A face below both of these parts of the tallest face's height and sharpness is behind the focus: a passer-by. People
who pose together are in focus together, and in focus a smaller face is the one with more detail a pixel."""

NO_FACE = (
    "No face found; the subject is taken to be what stands out in the middle of the photo, which may be no person."
)
"""The note on a result without a face."""

_SILHOUETTE = np.array(
    [
        (-1.50, -0.86, 0.35),
        (-1.25, -0.50, 0.34),
        (-1.00, 0.01, 0.21),
        (-0.75, 0.43, 0.13),
        (-0.50, 0.59, 0.10),
        (-0.25, 0.66, 0.10),
        (0.00, 0.67, 0.11),
        (0.25, 0.64, 0.14),
        (0.50, 0.64, 0.18),
        (0.75, 0.77, 0.21),
        (1.00, 1.05, 0.21),
        (1.25, 1.26, 0.18),
        (1.50, 1.35, 0.17),
        (2.00, 1.43, 0.18),
        (2.50, 1.48, 0.21),
        (3.00, 1.51, 0.23),
        (3.50, 1.51, 0.24),
        (4.00, 1.55, 0.26),
        (4.50, 1.67, 0.29),
    ],
    dtype=np.float32,
)
"""The average person about a face: height below the face's centre, half width, and softness of the side, all in face
sizes (root of the box's area). Logistic fits to the masks of the even ids of Clothing Co-Parsing (W. Yang, P. Luo and
L. Lin, CVPR 2014; Apache-2.0)."""

_PRIOR_LIMIT = 6.0
_CENTRAL_LIMIT = 2.0
"""Log-odds in the middle of a photo without a face."""
_SEED_SUBJECT, _SEED_BACKGROUND = 3.0, -4.0
"""Log-odds of the silhouette beyond which a pixel is a seed while the colour mixtures are learned."""

_CORE = 4.5
"""Log-odds of the silhouette that nothing overrules: the face, and the middle of the body below it."""
_CORE_FRACTION = 0.02
"""Parts of the subject that hold less of the core than this are not the subject's."""

_ROUNDS = 3
_PRIOR_WEIGHT = 0.5
"""Weight of the silhouette against the mixtures while these are learned."""
_COLOUR_LIMIT = 6.0

# Weights of the last decision: a logistic regression on the same masks as the silhouette.
W_BIAS = 0.49
W_PRIOR = 0.22
W_COLOUR = 0.70
W_PLACE = 0.81
W_FINE = 3.13
W_COARSE = -2.48

_SHARPENING = 4.0
"""The last decision's log-odds against the cut's contrast: their parts know the neighbourhood, so they may weigh more.
The best of 2, 4 and 8."""

_THREAD = 0.035
"""Half the width, in face sizes, of what is too thin to be a part of a person."""
_HOLE_FRACTION = 0.01
"""Holes below this part of the subject are filled; larger ones may be the gap between arm and body."""


class ClassicSegmenter(Segmenter):
    """Face-guided GrabCut; see the module."""

    @classmethod
    def load(cls, card: ModelCard, weights: Path | None, device: str) -> Self:
        """Make the segmenter, and load the face detector that all of them share: no photo's time should hold that."""
        del weights
        default_detector()
        return cls(card, device)

    def _predict(self, photo: Photo, **prompts: Any) -> Prediction:
        del prompts
        start = time.perf_counter()
        faces = find_subject_faces(photo.rgb)
        alpha = segment_classic(photo.rgb, faces)
        return Prediction(alpha, time.perf_counter() - start, () if faces else (NO_FACE,))


def find_subject_faces(rgb: ByteArray) -> list[Face]:
    """The faces of the people whom the photo is about, in pixels of the photo.

    Args:
        rgb: uint8, H x W x 3, sRGB, upright.

    Returns:
        The faces that are certain, not much smaller than the tallest, and not small and out of focus at once; the most
        certain first.
    """
    small, factor_y, factor_x = _shrunk(rgb, _DETECTION_SIDE)
    smallest = max(20.0, min(small.shape[:2]) / _MIN_FACE_FRACTION)
    faces = detect_faces(small, min_face_size=smallest, min_score=_MIN_FACE_SCORE)
    if not faces:
        return []
    tallest = max(faces, key=lambda face: face.height)
    lightness = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), dtype=np.float32)
    focus = _sharpness(lightness, tallest)

    def poses(face: Face) -> bool:
        if face.height >= _SMALLER * tallest.height:
            return True
        return face.height >= _MIN_FACE_RATIO * tallest.height and _sharpness(lightness, face) >= _BLURRED * focus

    return [face.scaled(1 / factor_x, 1 / factor_y) for face in faces if poses(face)]


def segment_classic(rgb: ByteArray, faces: Sequence[Face]) -> FloatArray:
    """Cut the people with these faces out of a photo.

    Args:
        rgb: uint8, H x W x 3, sRGB.
        faces: In pixels of ``rgb``. None: the subject is whatever stands out in the middle.

    Returns:
        float32 alpha, H x W in [0, 1]; the same for the same input, whatever ran before.

    Raises:
        OptionError: ``rgb`` has another layout.
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or 0 in rgb.shape:
        raise OptionError(f"A photo is a uint8 array of H x W x 3, not {rgb.dtype} of {rgb.shape}.")
    small, factor_y, factor_x = _shrunk(rgb, WORKING_SIDE)
    near = [face.scaled(factor_x, factor_y) for face in faces]
    prior = silhouette(small.shape[:2], near) if near else central_prior(small.shape[:2])
    size = _typical_size(small, near)
    mask = _clean(_cut_out(small, prior, size), prior > _CORE, size)
    edge = _shrunk(rgb, _EDGE_SIDE)[0]
    coarse = cv2.resize(mask.astype(np.float32), edge.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    # Interpolation draws the working size's stairs; smoothing and a steep step about 1/2 draw a line instead.
    coarse = cv2.GaussianBlur(coarse, (0, 0), max(0.5, 0.5 * edge.shape[1] / small.shape[1]))
    coarse = np.clip((coarse - 0.5) * 2 + 0.5, 0, 1).astype(np.float32)
    return guided_upsample(coarse, rgb, radius=max(1, max(edge.shape[:2]) // 170))


def silhouette(shape: tuple[int, int], faces: Sequence[Face]) -> FloatArray:
    """Log-odds of being part of a person, from the places of the faces alone.

    Args:
        shape: Height and width of the picture in pixels.
        faces: In pixels of the picture, at least one.

    Returns:
        float32, H x W, between -6 and 6.
    """
    height, width = shape
    rows, columns = np.arange(height, dtype=np.float32), np.arange(width, dtype=np.float32)
    odds = np.full(shape, -np.inf, np.float32)
    for face in faces:
        x, y = (face.box[:2] + face.box[2:]) / 2
        size = face.size
        below = (rows - y) / size
        half_width = np.interp(below, _SILHOUETTE[:, 0], _SILHOUETTE[:, 1])
        # Above the table the head has ended: the odds fall on with the distance.
        half_width += 2 * np.minimum(below - _SILHOUETTE[0, 0], 0)
        softness = np.interp(below, _SILHOUETTE[:, 0], _SILHOUETTE[:, 2])
        aside = np.abs(columns - x) / size
        one = (half_width[:, None] - aside[None, :]) / softness[:, None]
        odds = np.maximum(odds, one.astype(np.float32))
    return np.asarray(np.clip(odds, -_PRIOR_LIMIT, _PRIOR_LIMIT), dtype=np.float32)


def central_prior(shape: tuple[int, int]) -> FloatArray:
    """Log-odds for a photo without a face: a body that stands in the middle and is cut off by the lower edge.

    Args:
        shape: Height and width of the picture in pixels.

    Returns:
        float32, H x W, between -6 and 2.
    """
    height, width = shape
    y = ((np.arange(height, dtype=np.float32) + 0.5) / height - 0.62) / 0.5
    x = ((np.arange(width, dtype=np.float32) + 0.5) / width - 0.5) / 0.33
    # The lower half is a column, the upper half an ellipse.
    radius = np.sqrt(x[None, :] ** 2 + np.minimum(y, 0)[:, None] ** 2)
    # Never so sure as to be a seed of the subject: what is in the middle has to look different from the rim.
    return np.asarray(np.clip(_PRIOR_LIMIT * (1 - radius), -_PRIOR_LIMIT, _CENTRAL_LIMIT), dtype=np.float32)


def _sharpness(lightness: FloatArray, face: Face) -> float:
    """The fine part of the detail in a face, which defocus takes first: about 0.2 to 0.4 for a sharp one."""
    x1, y1, x2, y2 = (round(float(edge)) for edge in face.box)
    # Enough about the face for the wider blur to see.
    margin = 12
    top, left = max(0, y1 - margin), max(0, x1 - margin)
    around = lightness[top : y2 + margin, left : x2 + margin]

    def energy(sigma: float) -> float:
        detail = np.abs(around - cv2.GaussianBlur(around, (0, 0), sigma))
        return float(detail[y1 - top : y2 - top, x1 - left : x2 - left].mean())

    # Half a grey level: a face without any detail is not sharp.
    return energy(1.0) / (energy(4.0) + 0.5)


def _typical_size(picture: ByteArray, faces: Sequence[Face]) -> float:
    if faces:
        return float(np.median([face.size for face in faces]))
    return max(1.0, float(min(picture.shape[:2])) / 5)


def _shrunk(rgb: ByteArray, side: int) -> tuple[ByteArray, float, float]:
    """The picture with its longest side at most ``side``, and the factors of height and width."""
    height, width = rgb.shape[:2]
    factor = min(1.0, side / max(height, width))
    if factor == 1.0:
        return rgb, 1.0, 1.0
    size = max(1, round(width * factor)), max(1, round(height * factor))
    small = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return small, size[1] / height, size[0] / width


def _cut_out(rgb: ByteArray, prior: FloatArray, size: float) -> NDArray[np.bool_]:
    """The subject in a small picture, from the log-odds of its place; ``size`` is that of a face in pixels."""
    rgb = np.ascontiguousarray(rgb)
    lab = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB), dtype=np.uint8)
    mask = prior > 0
    colour = np.zeros_like(prior)
    seeds = prior > _SEED_SUBJECT, prior < _SEED_BACKGROUND
    for _ in range(_ROUNDS):
        mixtures = Mixtures.learned(rgb, labels_of(mask, *seeds))
        if mixtures is None:
            break
        colour = mixtures.odds(rgb)
        odds = _PRIOR_WEIGHT * prior + colour
        mask = minimum_cut(odds, lab, labels_of(odds > 0, *seeds))
    odds = _evidence(lab, prior, colour, mask, size)
    return minimum_cut(np.where(prior > _CORE, np.inf, _SHARPENING * odds).astype(np.float32), lab)


def _evidence(
    lab: ByteArray, prior: FloatArray, colour: FloatArray, mask: NDArray[np.bool_], size: float
) -> FloatArray:
    """Log-odds from everything that is known: place, colour, colour near by, and sharpness against the subject's."""
    fine, coarse = _detail(lab, size)
    clipped = (_COLOUR_LIMIT * np.tanh(colour / _COLOUR_LIMIT)).astype(np.float32)
    if mask.any():
        fine = fine - fine[mask].mean()
        coarse = coarse - coarse[mask].mean()
    odds = (
        W_BIAS
        + W_PRIOR * prior
        + W_COLOUR * cv2.GaussianBlur(clipped, (0, 0), max(1.0, 0.08 * size))
        + W_PLACE * place_odds(lab, (1 / (1 + np.exp(-prior))).astype(np.float32))
        + W_FINE * fine
        + W_COARSE * coarse
    )
    return np.asarray(odds, dtype=np.float32)


def _detail(lab: ByteArray, size: float) -> tuple[FloatArray, FloatArray]:
    """Log of the fine and of the coarse detail about each pixel: a lens keeps the fine one for what is in focus."""
    lightness = lab[..., 0].astype(np.float32)
    window = max(2.0, 0.12 * size)

    def energy(sigma: float) -> FloatArray:
        detail = np.abs(lightness - cv2.GaussianBlur(lightness, (0, 0), sigma))
        # Sensor noise is worth about a third of a grey level.
        return np.asarray(np.log(cv2.GaussianBlur(detail, (0, 0), window) + 0.3), dtype=np.float32)

    return energy(1.0), energy(4.0)


def _clean(mask: NDArray[np.bool_], core: NDArray[np.bool_], size: float) -> NDArray[np.bool_]:
    """Keep the components that hold a part of the core (without a core: the largest) and fill small holes."""
    # Opening cuts what hangs on by a thread (a flag's stripe, a gap between planks); the second dilation gives the
    # subject's own corners back.
    radius = max(1, round(_THREAD * size))
    kernel = np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)), np.uint8)
    opened = cv2.erode(mask.astype(np.uint8), kernel, borderType=cv2.BORDER_REPLICATE)
    opened = cv2.dilate(opened, kernel, borderType=cv2.BORDER_REPLICATE)
    labels, count = ndimage.label(opened)
    if count == 0:
        return mask
    held = np.bincount(labels[core], minlength=count + 1)
    kept = held > max(0.0, _CORE_FRACTION * np.count_nonzero(core))
    kept[0] = False
    if not kept.any():
        kept[1 + np.bincount(labels.ravel(), minlength=count + 1)[1:].argmax()] = True
    subject = cv2.dilate(kept[labels].astype(np.uint8), kernel).astype(bool) & mask
    filled = ndimage.binary_fill_holes(subject)
    holes, count = ndimage.label(filled & ~subject)
    sizes = np.bincount(holes.ravel(), minlength=count + 1)
    small = sizes < _HOLE_FRACTION * np.count_nonzero(subject)
    small[0] = False
    return np.asarray(subject | small[holes], dtype=np.bool_)
