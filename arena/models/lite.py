"""Arena Lite: our own small networks, whose weights are in the box, and the way from their outline to the photo's edge.

Two networks see the whole photo, one of them at two sizes and the other mirrored, and say where the subject is. If the
subject fills only a part of the photo, that part is looked at again at the same cost and several times the detail.
Whole regions of which they stay unsure are settled by colours. What is left of the outline's softness is then fitted
to the photo's own colours by a guided filter at full resolution, or, where strands of hair are asked for, by the
network that follows them.
"""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from arena.devices import Stopwatch
from arena.faces import detect_faces
from arena.models.base import Prediction
from arena.models.hair import SIDE as EDGE_SIDE
from arena.models.hair import default_refiner, enlarge
from arena.models.lite_input import clarify, measure_tone, to_input
from arena.models.lite_regions import settle_regions
from arena.models.torch_base import TorchSegmenter
from arena.nets.lite import LiteNets, count_networks, unpack
from arena.photo import size_within
from arena.refine.guided import guided_upsample

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from arena.catalog import ModelCard
    from arena.photo import Photo

    FloatArray = NDArray[np.float32]
    Pixels = NDArray[np.uint8]

WEIGHTS = Path(__file__).parents[1] / "boxed" / "lite" / "lite.safetensors"
"""In the package."""


class Look(NamedTuple):
    """One pass of one network over a picture."""

    network: int
    """Which of them, counted on from the first after the last."""
    side: int
    """Square root of the area, in pixels, at which it looks."""
    mirrored: bool = False


LOOKS = (Look(0, 224), Look(1, 352, mirrored=True), Look(0, 352))
"""What networks, sizes and sides agree on is rarely wrong: the mean of each network's looks counts, and of those means
the mean. Small pictures show what the whole is, large ones where it ends."""
LARGE_ENOUGH = 0.6
"""A subject whose surroundings take more than this part of the photo is not looked at again."""
SURROUNDINGS = 0.2
"""How much more than the subject is looked at again, as a part of its width and height, to each side."""
_LEAST = 3e-3
"""Alpha is this far from 0 and from 1 where the network is sure: logits of up to 6, as SAM's are."""
EDGE_RADIUS = 5
"""Half width of the guided filter's window, in pixels of ``EDGE_SIDE``."""
EDGE_EPSILON = 1e-3
"""Colour variance, for samples from 0 to 1, that the guided filter takes for noise."""
CONTRAST = 1.6
"""How much steeper alpha rises than the networks' probability: what they are unsure of is rarely half transparent."""
SMALLEST_SHARE = 0.04
"""Components smaller than this part of the largest are specks."""
VEIL = 0.22
"""Probability of the faintest connection between a veil and somebody."""
PRESENT_SHARE = 0.002
"""The part of the photo that somebody covers at least."""
LARGE_SHARE = 0.1
"""Who covers this part of the photo is large enough to be sure of."""
DOUBT = 0.72
"""Doubtful pixels away from the outline, for each of somebody large, from which on it is nobody. Measured: upper
bodies of the pictures that were never trained on have 0.70 at most, of the whole ones five of 70 more; a cup of coffee
has 0.76, a motorcycle 0.77, a cat 0.84."""
DOUBT_OF_SMALL = 2.0
"""The same of somebody smaller: a rocket has 2.1, a retina 3.9, grass 19."""

FACE_SIDE = 640
"""Longest side in pixels at which a face is looked for where there is doubt."""
FACE_SCORE = 0.9
"""How sure the detector is of a face that takes the doubt away."""


class LiteSegmenter(TorchSegmenter):
    """The networks in the box, their second look, and their edge."""

    # All passes take some 30 ms on two cores: half precision has nothing to win.
    half_precision = False
    prompts = frozenset({"hair"})

    @classmethod
    def load(cls, card: ModelCard, weights: Path | None, device: str) -> Self:
        """Build the segmenter from the weights in the package.

        Args:
            card: The model's card.
            weights: Another file of one or several such networks, for instance one trained here; None for the one in
                the box.
            device: A resolved device.

        Returns:
            A segmenter that is ready to run.

        Raises:
            CheckpointError: The file's tensors do not fit the network.
        """
        return super().load(card, weights or WEIGHTS, device)

    @staticmethod
    def _unpack(state: dict[str, Tensor]) -> dict[str, Tensor]:
        return unpack(state)

    @staticmethod
    def _build(card: ModelCard, state: Mapping[str, Tensor]) -> LiteNets:  # noqa: ARG004 - the tensors tell
        return LiteNets(count_networks(state))

    def _predict(self, photo: Photo, *, hair: bool = False, **prompts: Any) -> Prediction:  # noqa: ARG002
        """Segment the people.

        Args:
            photo: The photo.
            hair: Follow the strands beyond the outline (see :mod:`arena.models.hair`).
            **prompts: Nothing else: the base class has looked.

        Returns:
            The matte.
        """
        seconds = 0.0

        def network(pixels: Tensor, which: int) -> Tensor:
            nonlocal seconds
            logits, passed = self._run(pixels, which)
            seconds += passed
            return logits

        def look(rgb: Pixels) -> FloatArray:
            return probability_of(rgb, network)

        def strands(alpha: FloatArray, small: Pixels, rgb: Pixels) -> FloatArray:
            nonlocal seconds
            with Stopwatch() as watch:
                refined = along_strands(alpha, small, rgb)
            seconds += watch.seconds
            return refined

        alpha, peak = segment_lite(photo.rgb, look, strands if hair else along_colours)
        if peak <= self.card.presence_threshold:
            peak = max(peak, face_on(alpha, photo.rgb))
        return Prediction(alpha, seconds, self._notes, peak=peak)


def along_colours(alpha: FloatArray, small: Pixels, rgb: Pixels) -> FloatArray:
    """Fit a matte to the photo's colours and bring it to the photo's size.

    Args:
        alpha: float32, h x w, 0 to 1.
        small: uint8, h x w x 3: the photo at that size.
        rgb: uint8, H x W x 3, sRGB.

    Returns:
        float32, H x W, 0 to 1.
    """
    # What is noise in a photo of full contrast may be the outline in one through fog.
    epsilon = EDGE_EPSILON / measure_tone(small).gain ** 2
    return guided_upsample(alpha, rgb, radius=EDGE_RADIUS, epsilon=epsilon, rgb_small=small)


def along_strands(alpha: FloatArray, small: Pixels, rgb: Pixels) -> FloatArray:
    """The same, following the strands of hair with a network; see :func:`along_colours` for arguments and result."""
    logits = np.log(np.clip(alpha, _LEAST, None) / np.clip(1 - alpha, _LEAST, None))
    return enlarge(default_refiner().refine_small(logits, small), rgb)


def segment_lite(
    rgb: Pixels,
    look: Callable[[Pixels], FloatArray],
    edge: Callable[[FloatArray, Pixels, Pixels], FloatArray] = along_colours,
) -> tuple[FloatArray, float]:
    """The matte of a photo, and how sure it is that anybody is there.

    Args:
        rgb: uint8, H x W x 3, sRGB.
        look: The networks: RGB of any size in, probability of a size of its own out.
        edge: What brings the matte to the photo's edges and size.

    Returns:
        float32, H x W, 0 to 1; and its :func:`presence` at the first look.
    """
    height, width = rgb.shape[:2]
    size = size_within(height, width, EDGE_SIDE)
    small = (
        rgb
        if size == (width, height)
        else np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    )
    first = look(small)
    peak = presence(steeper(first))
    likely = _enlarge(without_specks(first), size)
    box = surroundings(steeper(likely))
    if box is not None:
        rows, columns = box
        second = look(np.ascontiguousarray(small[rows, columns]))
        part = (columns.stop - columns.start, rows.stop - rows.start)
        trust = _fade(part, box, likely.shape)
        likely[rows, columns] += trust * (_enlarge(without_specks(second), part) - likely[rows, columns])
    return edge(steeper(settle_regions(likely, clarify(small))), small, rgb), peak


def presence(alpha: FloatArray) -> float:
    """How sure it is that anybody is there.

    Args:
        alpha: float32, h x w, 0 to 1: what the networks see.

    Returns:
        The alpha that at least ``PRESENT_SHARE`` of the picture has; far less where what was found is mostly doubt, as
        animals and things are that have something of a person.
    """
    peak = float(np.quantile(alpha, 1 - PRESENT_SHARE, method="higher"))
    inside = (alpha > 0.5).astype(np.uint8)
    count = int(inside.sum())
    most = DOUBT if count >= LARGE_SHARE * alpha.size else DOUBT_OF_SMALL
    # The outline of a person is soft as well.
    near = np.ones((5, 5), np.uint8)
    away = np.asarray(cv2.dilate(inside, near)) == np.asarray(cv2.erode(inside, near))
    doubtful = int(((alpha > 0.05) & (alpha < 0.95) & away).sum())
    return peak * count / (count + doubtful) if doubtful > most * count else peak


def face_on(alpha: FloatArray, rgb: Pixels) -> float:
    """A second opinion on whether anybody is there: whoever shows a face is nobody's doubt.

    Args:
        alpha: float32, H x W, 0 to 1: what was found.
        rgb: uint8, H x W x 3, sRGB.

    Returns:
        Score of the surest face most of which was found, 0 to 1; 0 if there is none above ``FACE_SCORE``.
    """
    if float(alpha.max()) <= 0.5:
        return 0.0
    height, width = alpha.shape
    size = size_within(height, width, FACE_SIDE)
    small, found = (np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA)) for part in (rgb, alpha))
    best = 0.0
    for face in detect_faces(small.astype(np.uint8), min_score=FACE_SCORE):
        left, top, right, bottom = (round(float(edge)) for edge in face.box)
        inside = found[top : bottom + 1, left : right + 1]
        if inside.mean() > 0.5:
            best = max(best, face.score)
    return best


def probability_of(rgb: Pixels, network: Callable[[Tensor, int], Tensor]) -> FloatArray:
    """What the networks see of a picture, each with the same say, however often it looks.

    Args:
        rgb: uint8, H x W x 3, sRGB.
        network: Normalised pixels and the number of the network in, logits of the same size out.

    Returns:
        float32, h x w of the largest input, 0 to 1.
    """
    clear = clarify(rgb)
    inputs = [to_input(clear, side).flip(3) if mirrored else to_input(clear, side) for _, side, mirrored in LOOKS]
    largest = max((pixels.shape[2:] for pixels in inputs), key=math.prod)
    looks = Counter(which for which, _, _ in LOOKS)
    mean = torch.zeros(1, 1, *largest)
    for (which, _, mirrored), pixels in zip(LOOKS, inputs, strict=True):
        seen = network(pixels, which).float().sigmoid().cpu()
        enlarged = F.interpolate(seen, largest, mode="bilinear", align_corners=False)
        mean += (enlarged.flip(3) if mirrored else enlarged) / (looks[which] * len(looks))
    return np.asarray(mean[0, 0].numpy(), dtype=np.float32)


def steeper(probability: FloatArray) -> FloatArray:
    """Alpha from the networks' probability, of the same layout; see ``CONTRAST``."""
    return np.asarray(np.clip((probability - 0.5) * CONTRAST + 0.5, 0, 1), dtype=np.float32)


def without_specks(probability: FloatArray) -> FloatArray:
    """What the networks see without its small components: of several people all stay, of specks none.

    Args:
        probability: float32, h x w, 0 to 1.

    Returns:
        float32, h x w; a new array.
    """
    count, components, stats, _ = cv2.connectedComponentsWithStats((probability > 0.5).astype(np.uint8), connectivity=4)
    if count < 2:
        return probability.copy()
    areas = stats[1:, cv2.CC_STAT_AREA]
    kept = np.concatenate([[False], areas >= SMALLEST_SHARE * areas.max()])[components]
    # A veil that touches nobody is nobody's.
    veils, islands = cv2.connectedComponents((probability > VEIL).astype(np.uint8), connectivity=4)
    touching = np.zeros(veils, bool)
    touching[np.unique(islands[kept])] = True
    touching[0] = True
    clean = np.where(touching[islands], probability, np.float32(0))
    if count > 2:
        # Soft pixels belong to what they touch: what is nearer to a speck than to somebody goes with it.
        specks = ~kept & (components > 0)
        near_kept, near_speck = (
            np.asarray(cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 3)) for mask in (kept, specks)
        )
        if specks.any():
            clean[near_speck < near_kept] = 0
    return clean


def surroundings(alpha: FloatArray) -> tuple[slice, slice] | None:
    """The part of the photo that is worth a second look.

    Args:
        alpha: float32, H x W, 0 to 1.

    Returns:
        Rows and columns, or None if there is nobody or the whole photo is close enough already.
    """
    height, width = alpha.shape
    rows = np.flatnonzero((alpha > 0.3).any(axis=1))
    columns = np.flatnonzero((alpha > 0.3).any(axis=0))
    if rows.size == 0:
        return None
    margin = SURROUNDINGS * (rows[-1] - rows[0] + 1), SURROUNDINGS * (columns[-1] - columns[0] + 1)
    top, bottom = max(0, int(rows[0] - margin[0])), min(height, int(rows[-1] + 1 + margin[0]))
    left, right = max(0, int(columns[0] - margin[1])), min(width, int(columns[-1] + 1 + margin[1]))
    if (bottom - top) * (right - left) > LARGE_ENOUGH * height * width:
        return None
    return slice(top, bottom), slice(left, right)


def _enlarge(alpha: FloatArray, size: tuple[int, int]) -> FloatArray:
    return np.asarray(cv2.resize(alpha, size, interpolation=cv2.INTER_LINEAR), dtype=np.float32)


def _fade(part: tuple[int, int], box: tuple[slice, slice], shape: tuple[int, ...]) -> FloatArray:
    """1 inside the box, falling to 0 at those of its sides that are not the photo's own."""
    width, height = part
    rows, columns = box

    def ramp(length: int, span: slice, full: int) -> FloatArray:
        at = np.arange(length, dtype=np.float32) + np.float32(0.5)
        reach = np.float32(max(1.0, 0.5 * SURROUNDINGS * length / (1 + 2 * SURROUNDINGS)))
        rising = np.minimum(1, at / reach) if span.start > 0 else np.ones_like(at)
        falling = np.minimum(1, at[::-1] / reach) if span.stop < full else np.ones_like(at)
        return np.asarray(rising * falling, dtype=np.float32)

    return ramp(height, rows, shape[0])[:, None] * ramp(width, columns, shape[1])[None]
