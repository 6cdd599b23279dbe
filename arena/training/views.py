"""Views: endlessly many different pictures from a few hundred photographs with mattes.

Every view is a function of a random generator alone, so a run can be repeated and resumed: view ``i`` of a run is made
with a generator seeded by the run's seed and ``i``.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from arena.training.pictures import Sample, check_fraction, side_strips

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.random import Generator
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]
    FloatArray = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ViewSettings:
    """How often each change happens, as probabilities."""

    empty: float = 0.04
    """Nobody in the picture: a background alone."""
    exchange: float = 0.30
    """The background is exchanged for another."""
    invented: float = 0.25
    """An exchanged background is drawn (gradients, stripes, shapes, letters) instead of photographed."""
    second: float = 0.12
    """Somebody else stands beside, and belongs to the subject."""
    defocus: float = 0.15
    """The background is blurred as by a portrait lens."""
    grey: float = 0.14
    """Black and white."""
    tint: float = 0.06
    """All in one colour of light, as on a stage."""
    silhouette: float = 0.04
    """The subject dark against the light."""
    smear: float = 0.10
    """The face blurred out, as published pictures have it: the outline must do without."""
    large_turn: float = 0.04
    """Turned by up to a right angle, instead of a few degrees."""
    letters: float = 0.04
    """Lettering before the background."""
    things: float = 0.0
    """Things stand about that stick out and are nobody; in most of the pictures without anybody, if it is above 0."""
    bystanders: float = 0.0
    """People who do not belong to the subject are behind it, smaller or out of focus."""
    statues: float = 0.0
    """Figures all of one colour stand about, smaller than the subject and as sharp, and are nobody."""
    crowd: float = 0.0
    """A street full of people behind the subject, nearly as sharp as it and half as large or more, with their heads at
    its height: only their size and place tell that they do not belong to it."""
    patches: float = 0.0
    """Parts of the subject have another colour or pattern: sleeves, gloves, bags and prints that nobody had there."""
    hue: float = 0.0
    """Colours of the background are turned, and half as often those of the subject: clothes nobody wore there."""
    bend: float = 0.0
    """Everything is bent as by rubber: bodies and poses that nobody had."""
    focus: float = 0.0
    """An exchanged background is no sharper than a subject that had to be enlarged: portraits are not the other way."""
    sharpen: float = 0.0
    """Outlines are overdone, as telephones do."""
    noise: float = 0.3
    blur: float = 0.15
    compression: float = 0.2

    def __post_init__(self) -> None:
        for item in fields(self):
            check_fraction(item.name, getattr(self, item.name))


@dataclass(frozen=True, slots=True)
class Source:
    """Pictures that are treated alike."""

    samples: Sequence[Sample]
    """Pictures with mattes."""
    share: float = 1.0
    """How often one of them is taken, relative to the other sources."""
    seen: tuple[float, float] = (0.15, 1.1)
    """How much of the subject's height a view shows, least and most. Of a standing person 0.14 is the head and 0.45 the
    upper body; of a head-and-shoulders portrait a third is the face."""


class _Shown(NamedTuple):
    """Somebody in a frame."""

    rgb: Pixels
    alpha: FloatArray
    enlarged: float
    """How many times larger than in the photograph."""
    tall: float
    """Height of all that the photograph shows of the subject, in pixels of the frame, which may show less."""


class Views:
    """Makes views of samples."""

    def __init__(self, sources: Sequence[Source], settings: ViewSettings | None = None) -> None:
        """Keep the samples and find the backgrounds among them.

        Args:
            sources: Where the pictures come from.
            settings: How often what happens.
        """
        self.sources = list(sources)
        self.settings = settings or ViewSettings()
        self.backgrounds = [strip for source in sources for sample in source.samples for strip in side_strips(sample)]
        shares = np.array([source.share for source in sources], np.float64)
        self._bounds = np.cumsum(shares / shares.sum())

    def __call__(self, rng: Generator, height: int, width: int) -> tuple[Pixels, FloatArray]:
        """Make one view.

        Args:
            rng: Where all chance comes from.
            height: Of the view, in pixels.
            width: Of the view, in pixels.

        Returns:
            RGB, uint8, height x width x 3, and alpha, float32, height x width, 0 to 1.
        """
        chance = self.settings
        size = (width, height)
        if rng.random() < chance.empty:
            rgb = self._background(rng, size)
            if chance.things and rng.random() < 0.75:
                rgb = self._add_things(rng, rgb)
            return self._develop(rng, rgb), np.zeros((height, width), np.float32)
        rgb, alpha, enlarged, tall = self._subject(rng, size, chance.large_turn)
        rgb, alpha = self._change_subject(rng, rgb, alpha)
        if rng.random() < chance.exchange:
            # The old background still shines through the rim of a binary mask, so the rim is given up.
            alpha = np.asarray(cv2.GaussianBlur(cv2.erode(alpha, np.ones((3, 3))), (0, 0), 0.7), dtype=np.float32)
            background = self._background(rng, size)
            if enlarged > 1.2 and _happens(rng, chance.focus):
                sigma = rng.uniform(0.3, 0.6) * enlarged
                background = np.asarray(cv2.GaussianBlur(background, (0, 0), sigma), dtype=np.uint8)
            rgb = _blend(rgb, background, alpha)
        elif rng.random() < chance.defocus:
            rgb = _blend(rgb, _defocus(rgb, alpha, rng.uniform(1.0, 6.0)), alpha)
        rgb = self._change_background(rng, rgb, alpha, tall)
        if rng.random() < chance.second:
            rgb, alpha = self._add_second(rng, rgb, alpha)
        return self._develop(rng, rgb), alpha

    def _change_subject(self, rng: Generator, rgb: Pixels, alpha: FloatArray) -> tuple[Pixels, FloatArray]:
        """Another pose, another face, other colours, another light."""
        chance = self.settings
        if _happens(rng, chance.bend):
            rgb, alpha = _bend(rng, rgb, alpha)
        if rng.random() < chance.smear:
            rgb = _smear_face(rng, rgb, alpha)
        if _happens(rng, chance.hue / 2):
            rgb = _blend(_turn_hue(rng, rgb), rgb, alpha)
        if _happens(rng, chance.patches):
            rgb = self._add_patches(rng, rgb, alpha)
        if rng.random() < 0.3:
            # Subject and background under a light of their own, so that brightness does not tell them apart.
            rgb = _blend(relight(rng, rgb), rgb, alpha)
        if rng.random() < chance.silhouette:
            rgb = _blend((rgb * rng.uniform(0.03, 0.3)).astype(np.uint8), rgb, alpha)
        return rgb, alpha

    def _change_background(self, rng: Generator, rgb: Pixels, alpha: FloatArray, tall: float) -> Pixels:
        """Other colours, and who and what stands there and is none of the subject."""
        chance = self.settings
        if _happens(rng, chance.hue):
            rgb = _blend(rgb, _turn_hue(rng, rgb), alpha)
        if _happens(rng, chance.bystanders):
            rgb = _blend(rgb, self._add_bystanders(rng, rgb), alpha)
        if _happens(rng, chance.crowd):
            rgb = _blend(rgb, self._add_crowd(rng, rgb, alpha, tall), alpha)
        if _happens(rng, chance.statues):
            rgb = _blend(rgb, self._add_statues(rng, rgb), alpha)
        if _happens(rng, chance.things):
            rgb = _blend(rgb, self._add_things(rng, rgb), alpha)
        if rng.random() < chance.letters:
            rgb = _blend(rgb, _letter(rng, rgb.copy()), alpha)
        return rgb

    def _add_second(self, rng: Generator, rgb: Pixels, alpha: FloatArray) -> tuple[Pixels, FloatArray]:
        """Put somebody beside the subject who belongs to it, behind or before the first one."""
        friend, shape, *_ = self._subject(rng, (rgb.shape[1], rgb.shape[0]), 0.0)
        shape = np.asarray(cv2.GaussianBlur(cv2.erode(shape, np.ones((3, 3))), (0, 0), 0.7), dtype=np.float32)
        if rng.random() < 0.5:
            shape = shape * (1 - alpha)
        return _blend(friend, rgb, shape), alpha + shape - alpha * shape

    def _subject(self, rng: Generator, size: tuple[int, int], large_turn: float) -> _Shown:
        sample, source = self._pick(rng)
        return _warp(sample, rng, size, large_turn, source.seen)

    def _pick(self, rng: Generator) -> tuple[Sample, Source]:
        # One source needs no draw, so that a run's views do not depend on how sources are chosen.
        number = int(np.searchsorted(self._bounds, rng.random())) if len(self.sources) > 1 else 0
        source = self.sources[min(number, len(self.sources) - 1)]
        return source.samples[int(rng.integers(len(source.samples)))], source

    def _add_things(self, rng: Generator, rgb: Pixels) -> Pixels:
        """Put a few shapes into a picture, each with a surface, a light and a rim of its own."""
        size = (rgb.shape[1], rgb.shape[0])
        for _ in range(int(rng.integers(1, 4))):
            surface = self._background(rng, size)
            if rng.random() < 0.5:
                colour = rng.integers(0, 256, 3).astype(np.float32)
                surface = (surface * np.float32(0.3) + colour * np.float32(0.7)).astype(np.uint8)
            shape = _shape(rng, size)
            # Lit from one side, as solid things are.
            ramp = np.linspace(rng.uniform(0.4, 1.0), rng.uniform(0.7, 1.3), size[0], dtype=np.float32)
            lit = np.clip(surface * ramp[None, :, None], 0, 255).astype(np.uint8)
            rgb = _blend(lit, rgb, shape)
        return rgb

    def _add_bystanders(self, rng: Generator, rgb: Pixels) -> Pixels:
        """Put a few people into a picture who are none of its subject: far away and small, or close and blurred."""
        height, width = rgb.shape[:2]
        for _ in range(int(rng.integers(1, 5))):
            share = float(np.exp(rng.uniform(np.log(0.3), np.log(1.8))))
            figure, shape = self._figure(rng, round(share * height))
            # The larger they are, the more only the lens tells them from the subject.
            blur = rng.uniform(1.2, 4.2) if share >= 0.6 else rng.uniform(0.4, 3.4)
            left = int(rng.integers(-shape.shape[1] // 2, width - shape.shape[1] // 2 + 1))
            # Heads are at about one height in a street, feet anywhere below the frame.
            top = round(height * rng.uniform(0.0, max(0.05, min(0.6, 1 - share))))
            rgb = _paste(rgb, figure, shape, (left, top), blur)
        return rgb

    def _add_crowd(self, rng: Generator, rgb: Pixels, alpha: FloatArray, tall: float) -> Pixels:
        """Put people behind a subject who are smaller than it and stand on the same ground."""
        height, width = alpha.shape
        rows = np.flatnonzero((alpha > 0.5).any(axis=1))
        # Seen from the height of somebody's eyes, everybody's eyes are at one height, however far away.
        eyes = (rows[0] if rows.size else 0) + 0.06 * tall
        shares = rng.uniform(0.35, 0.8, int(rng.integers(2, 7)))
        for share in sorted(shares):
            own = min(share * tall, 3.0 * height)
            figure, shape = self._figure(rng, round(own))
            left = int(rng.integers(-shape.shape[1] // 2, width - shape.shape[1] // 2 + 1))
            top = round(eyes - 0.06 * own + rng.normal(0, 0.03) * tall)
            rgb = _paste(rgb, figure, shape, (left, top), rng.uniform(0.3, 1.8))
        return rgb

    def _add_patches(self, rng: Generator, rgb: Pixels, alpha: FloatArray) -> Pixels:
        """Dye a few parts of a subject, or clothe them in what some background shows; folds stay where they are."""
        size = (rgb.shape[1], rgb.shape[0])
        for _ in range(int(rng.integers(1, 4))):
            cover = _shape(rng, size) * alpha
            if rng.random() < 0.5:
                cloth = self._background(rng, size).astype(np.float32)
            else:
                cloth = rng.integers(0, 256, 3).astype(np.float32)
            light = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), dtype=np.float32)[..., None]
            inside = float((light[..., 0] * cover).sum() / max(1.0, float(cover.sum())))
            folds = np.clip(light / max(24.0, inside), 0.3, 2.5)
            rgb = _blend(np.clip(cloth * folds, 0, 255).astype(np.uint8), rgb, cover)
        return rgb

    def _add_statues(self, rng: Generator, rgb: Pixels) -> Pixels:
        """Put one or two figures of stone, bronze or wood into a picture."""
        height, width = rgb.shape[:2]
        for _ in range(int(rng.integers(1, 3))):
            share = float(np.exp(rng.uniform(np.log(0.25), np.log(0.9))))
            figure, shape = self._figure(rng, round(share * height))
            grey = np.asarray(cv2.cvtColor(figure, cv2.COLOR_RGB2GRAY), dtype=np.float32)[..., None]
            stone = np.float32(rng.uniform(90, 255)) + rng.normal(0, 25, 3).astype(np.float32)
            figure = np.clip(grey * stone / 255 + rng.standard_normal(grey.shape) * 8, 0, 255).astype(np.uint8)
            # The upper part stands before the frame's lower border, or all of it somewhere.
            left = int(rng.integers(-shape.shape[1] // 2, width - shape.shape[1] // 2 + 1))
            top = round(height * rng.uniform(0.1, 1 - 0.4 * share))
            rgb = _paste(rgb, figure, shape, (left, top), rng.uniform(0.3, 1.0))
        return rgb

    def _figure(self, rng: Generator, height: int) -> tuple[Pixels, FloatArray]:
        """Somebody cut out of a photograph, upright: RGB and alpha, ``height`` pixels tall."""
        sample = self._pick(rng)[0]
        left, top, right, bottom = sample.box
        scale = height / (bottom - top)
        level = int(np.clip(np.floor(np.log2(max(1.0, 1 / scale))), 0, len(sample.levels) - 1))
        rgb, alpha = sample.levels[level]
        factor = rgb.shape[0] / sample.rgb.shape[0]
        box = (
            slice(int(top * factor), max(int(top * factor) + 1, int(bottom * factor))),
            slice(int(left * factor), max(int(left * factor) + 1, int(right * factor))),
        )
        size = (max(2, round((right - left) * scale)), max(2, height))
        mirror = -1 if rng.random() < 0.5 else 1
        figure = cv2.resize(np.ascontiguousarray(rgb[box][:, ::mirror]), size, interpolation=cv2.INTER_LINEAR)
        shape = cv2.resize(np.ascontiguousarray(alpha[box][:, ::mirror]), size, interpolation=cv2.INTER_LINEAR)
        figure = relight(rng, np.asarray(figure, dtype=np.uint8))
        return figure, np.asarray(shape, dtype=np.float32) / np.float32(255)

    def _background(self, rng: Generator, size: tuple[int, int]) -> Pixels:
        if not self.backgrounds or rng.random() < self.settings.invented:
            return _invent(rng, size)
        strip = self.backgrounds[rng.integers(len(self.backgrounds))]
        aspect = size[0] / size[1] * rng.uniform(0.7, 1.4)
        width = min(strip.shape[1], strip.shape[0] * aspect) * rng.uniform(0.6, 1.0)
        height = width / aspect
        left = rng.uniform(0, strip.shape[1] - width)
        top = rng.uniform(0, strip.shape[0] - height)
        part = strip[int(top) : int(top + height) + 1, int(left) : int(left + width) + 1]
        picture = np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_LINEAR), dtype=np.uint8)
        if rng.random() < 0.5:
            picture = np.ascontiguousarray(picture[:, ::-1])
        if rng.random() < 0.4:
            picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.8, 6)), dtype=np.uint8)
        return relight(rng, picture) if rng.random() < 0.5 else picture

    def _develop(self, rng: Generator, rgb: Pixels) -> Pixels:
        """What light, film and file format do to a picture."""
        chance = self.settings
        rgb = relight(rng, rgb)
        draw = rng.random()
        if draw < chance.grey + chance.tint:
            grey = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), dtype=np.float32)
            colour = rng.uniform(0.25, 1.0, 3) if draw > chance.grey else np.ones(3)
            tinted = grey[..., None] * colour.astype(np.float32)
            keep = np.float32(rng.uniform(0.0, 0.35)) if draw > chance.grey else np.float32(0)
            rgb = (rgb * keep + tinted * (1 - keep)).astype(np.uint8)
        elif rng.random() < 0.5:
            grey = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), dtype=np.float32)[..., None]
            amount = np.float32(rng.uniform(0.3, 1.5))
            rgb = np.clip(grey + amount * (rgb - grey), 0, 255).astype(np.uint8)
        if rng.random() < chance.blur:
            rgb = np.asarray(cv2.GaussianBlur(rgb, (0, 0), rng.uniform(0.4, 1.6)), dtype=np.uint8)
        if _happens(rng, chance.sharpen):
            soft = np.asarray(cv2.GaussianBlur(rgb, (0, 0), rng.uniform(0.6, 2.0)), dtype=np.uint8)
            overdone = rng.uniform(0.3, 1.5)
            rgb = np.asarray(cv2.addWeighted(rgb, 1 + overdone, soft, -overdone, 0), dtype=np.uint8)
        if rng.random() < chance.noise:
            grain = rng.standard_normal(rgb.shape, dtype=np.float32) * np.float32(rng.uniform(1, 12))
            rgb = np.clip(rgb + grain, 0, 255).astype(np.uint8)
        if rng.random() < chance.compression:
            quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 90))]
            rgb = np.asarray(cv2.imdecode(cv2.imencode(".jpg", rgb, quality)[1], cv2.IMREAD_COLOR), dtype=np.uint8)
        return rgb


def _happens(rng: Generator, chance: float) -> bool:
    """Without a draw for what never happens, so that plans from before there was such a change give the same views."""
    return chance > 0 and rng.random() < chance


def _warp(
    sample: Sample, rng: Generator, size: tuple[int, int], large_turn: float, shown: tuple[float, float]
) -> _Shown:
    """A part of a photograph, from a face that fills the frame to somebody small in it, turned and mirrored."""
    width, height = size
    left, top, right, bottom = sample.box
    tall = bottom - top
    # Evenly in the logarithm: a face that fills the frame is as frequent as a whole person.
    seen = tall * float(np.exp(rng.uniform(np.log(shown[0]), np.log(shown[1]))))
    above = rng.uniform(-0.04, 0.4) if rng.random() < 0.9 else rng.uniform(-0.3, 0.0)
    crop_height = seen * (1 + max(above, 0.0))
    crop_width = crop_height * width / height * float(np.exp(rng.normal(0, 0.1)))
    centre_y = top - above * seen + crop_height / 2
    body = (left + right) / 2 if seen > 0.5 * tall else _head_column(sample)
    centre_x = body + rng.normal(0, 0.17) * crop_width
    # The frame stays on the photograph as far as it fits, because mirrored people at its border look like nothing real.
    full_height, full_width = sample.rgb.shape[:2]
    centre_x = _within(centre_x, crop_width / 2, full_width)
    if above > 0:
        centre_y = _within(centre_y, crop_height / 2, full_height)
    angle = rng.uniform(-90, 90) if rng.random() < large_turn else rng.normal(0, 7)
    turn = np.deg2rad(angle)
    mirror = -1.0 if rng.random() < 0.5 else 1.0
    # The smallest stored copy that still has a pixel for every one of the view.
    scale = height / crop_height
    level = int(np.clip(np.floor(np.log2(max(1.0, 1 / scale))), 0, len(sample.levels) - 1))
    rgb, alpha = sample.levels[level]
    factor = rgb.shape[0] / full_height
    matrix = np.array(
        [
            [mirror * np.cos(turn) * width / crop_width, -mirror * np.sin(turn) * width / crop_width],
            [np.sin(turn) * scale, np.cos(turn) * scale],
        ]
    )
    offset = np.array([width / 2, height / 2]) - matrix @ np.array([centre_x, centre_y])
    affine = np.hstack([matrix / factor, offset[:, None]])
    out = [
        cv2.warpAffine(part, affine, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        for part in (rgb, alpha)
    ]
    cover = np.asarray(out[1], dtype=np.float32) / np.float32(255)
    return _Shown(np.asarray(out[0], dtype=np.uint8), cover, enlarged=scale, tall=tall * scale)


def _bend(rng: Generator, rgb: Pixels, alpha: FloatArray) -> tuple[Pixels, FloatArray]:
    """Move everything by a smooth random field (Simard et al., "Best Practices for CNNs", ICDAR 2003)."""
    height, width = alpha.shape
    cells = int(rng.integers(3, 7))
    # Neighbouring cells never change places: the finer the field, the less it moves.
    reach = rng.uniform(0.05, 0.22) / cells
    field = (rng.standard_normal((cells, cells, 2)) * reach).astype(np.float32)
    smooth = np.asarray(cv2.resize(field, (width, height), interpolation=cv2.INTER_CUBIC))
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    at = columns + smooth[..., 0] * np.float32(width), rows + smooth[..., 1] * np.float32(height)
    bent = [cv2.remap(part, at[0], at[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101) for part in (rgb, alpha)]
    return np.asarray(bent[0], dtype=np.uint8), np.asarray(bent[1], dtype=np.float32)


_TO_CHROMA = np.array([[0.299, 0.587, 0.114], [0.5, -0.4187, -0.0813], [-0.1687, -0.3313, 0.5]])
"""Brightness and two differences of colour from RGB (ITU-R BT.601)."""


def _turn_hue(rng: Generator, rgb: Pixels) -> Pixels:
    """All colours turned around grey by one angle."""
    angle = rng.uniform(-np.pi, np.pi)
    turn = np.eye(3)
    turn[1:, 1:] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return np.asarray(cv2.transform(rgb, np.linalg.inv(_TO_CHROMA) @ turn @ _TO_CHROMA), dtype=np.uint8)


def _paste(rgb: Pixels, figure: Pixels, shape: FloatArray, place: tuple[int, int], blur: float) -> Pixels:
    """Put a cut-out figure with its upper left corner at a place of a picture, blurred."""
    height, width = rgb.shape[:2]
    shift = np.array([[1, 0, place[0]], [0, 1, place[1]]], np.float32)
    layer, cover = (cv2.warpAffine(part, shift, (width, height)) for part in (figure, shape))
    # Blurred with its colours weighted by its matte: what surrounds it does not shine in.
    weighted = np.asarray(cv2.GaussianBlur(layer * cover[..., None], (0, 0), blur), dtype=np.float32)
    cover = np.asarray(cv2.GaussianBlur(cover, (0, 0), blur), dtype=np.float32)
    return (np.clip(weighted + rgb * (1 - cover[..., None]), 0, 255) + 0.5).astype(np.uint8)


def _head_column(sample: Sample) -> float:
    """Where the head is: the middle of the subject's upper eighth."""
    _, top, _, bottom = sample.box
    columns = np.flatnonzero((sample.alpha[top : top + max(1, (bottom - top) // 8)] > 127).any(axis=0))
    return float(columns.mean()) if columns.size else (sample.box[0] + sample.box[2]) / 2


def _within(centre: float, half: float, full: float) -> float:
    return full / 2 if 2 * half >= full else min(max(centre, half), full - half)


def _blend(front: Pixels, back: Pixels, alpha: FloatArray) -> Pixels:
    weight = alpha[..., None]
    return (front * weight + back * (1 - weight) + 0.5).astype(np.uint8)


def relight(rng: Generator, rgb: Pixels) -> Pixels:
    """Exposure, contrast, gamma and colour of the light, through one table per channel."""
    steps = np.arange(256, dtype=np.float64) / 255
    gamma, contrast, gain = np.exp(rng.normal(0, 0.3)), np.exp(rng.normal(0, 0.2)), np.exp(rng.normal(0, 0.18))
    cast = np.exp(rng.normal(0, 0.06, 3))
    curve = ((steps**gamma - 0.5) * contrast + 0.5) * gain + rng.normal(0, 0.04)
    table = np.clip(curve[:, None] * cast[None] * 255, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(rgb, table[:, None, :]), dtype=np.uint8)


def _defocus(rgb: Pixels, alpha: FloatArray, sigma: float) -> Pixels:
    """The background blurred without the subject's colours running into it."""
    outside = (1 - alpha)[..., None]
    colours = np.asarray(cv2.GaussianBlur(rgb * outside, (0, 0), sigma))
    weight = np.asarray(cv2.GaussianBlur(outside, (0, 0), sigma)).reshape(outside.shape)
    blurred = np.where(weight > 0.02, colours / np.maximum(weight, 0.02), rgb)
    return np.clip(blurred, 0, 255).astype(np.uint8)


def _smear_face(rng: Generator, rgb: Pixels, alpha: FloatArray) -> Pixels:
    """Blur an ellipse near the top of the subject."""
    height, width = alpha.shape
    rows = np.flatnonzero((alpha > 0.5).any(axis=1))
    if rows.size == 0:
        return rgb
    top = int(rows[0]) + rng.uniform(0.02, 0.25) * height
    columns = np.flatnonzero(alpha[min(height - 1, int(top))] > 0.5)
    if columns.size == 0:
        return rgb
    spread = max(4.0, float(columns.size))
    spot = np.zeros((height, width), np.float32)
    axes = (int(spread * rng.uniform(0.25, 0.5)) + 1, int(spread * rng.uniform(0.3, 0.6)) + 1)
    cv2.ellipse(spot, (int(columns.mean()), int(top + axes[1] * 0.7)), axes, 0, 0, 360, (1.0,), -1)
    blurred = np.asarray(cv2.GaussianBlur(rgb, (0, 0), max(2.0, spread * 0.15)), dtype=np.uint8)
    return _blend(blurred, rgb, spot)


def _invent(rng: Generator, size: tuple[int, int]) -> Pixels:
    """A background that nobody photographed: a gradient, and on it stripes, shapes, clouds or letters."""
    width, height = size
    colours = rng.integers(0, 256, (4, 3)).astype(np.float32)
    if rng.random() < 0.5:
        colours = colours[0] + (colours - colours[0]) * np.float32(0.3)
    rgb = np.asarray(cv2.resize(colours.reshape(2, 2, 3), size, interpolation=cv2.INTER_LINEAR), dtype=np.float32)
    kind = rng.integers(4)
    if kind == 0:
        rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
        angle = rng.uniform(0, np.pi)
        wave = np.sin((columns * np.cos(angle) + rows * np.sin(angle)) / rng.uniform(2, 20))
        stripes = np.asarray(wave > rng.uniform(-0.6, 0.6), dtype=np.float32)[..., None]
        rgb += stripes * rng.integers(-150, 151, 3).astype(np.float32)
    elif kind == 1:
        for _ in range(int(rng.integers(3, 25))):
            place = tuple(int(v) for v in rng.integers(0, (width, height)))
            colour = tuple(float(v) for v in rng.integers(0, 256, 3))
            extent = tuple(int(v) for v in rng.integers(3, max(4, min(size) // 3), 2))
            if rng.random() < 0.5:
                cv2.ellipse(rgb, place, extent, float(rng.uniform(0, 180)), 0, 360, colour, -1)
            else:
                cv2.rectangle(rgb, place, (place[0] + extent[0], place[1] + extent[1]), colour, -1)
    elif kind == 2:
        cells = int(rng.integers(3, 48))
        clouds = rng.uniform(-1, 1, (cells, cells, 3 if rng.random() < 0.5 else 1)).astype(np.float32)
        smooth = np.asarray(cv2.resize(clouds, size, interpolation=cv2.INTER_CUBIC)).reshape(height, width, -1)
        rgb += smooth * np.float32(rng.uniform(10, 120))
    picture = np.clip(rgb, 0, 255).astype(np.uint8)
    return _letter(rng, picture) if rng.random() < 0.3 else picture


def _shape(rng: Generator, size: tuple[int, int]) -> FloatArray:
    """The outline of a thing: a round, a box, or anything between a pebble and a star, sometimes with a hole."""
    width, height = size
    canvas = np.zeros((height, width), np.float32)
    centre = rng.uniform(0.05, 0.95, 2) * size
    reach = float(np.exp(rng.uniform(np.log(0.08), np.log(0.6)))) * min(size)
    kind = rng.integers(3)
    if kind == 0:
        angles = np.linspace(0, 2 * np.pi, 72, endpoint=False)
        radius = np.ones_like(angles)
        for wave in range(1, int(rng.integers(2, 7))):
            radius += rng.normal(0, 0.25 / wave) * np.cos(wave * angles + rng.uniform(0, 2 * np.pi))
        radius = reach * np.clip(radius, 0.2, 2.0)
        stretch = np.exp(rng.normal(0, 0.3))
        points = np.stack([np.cos(angles) * radius * stretch, np.sin(angles) * radius / stretch], axis=1) + centre
        cv2.fillPoly(canvas, [points.astype(np.int32)], (1.0,), lineType=cv2.LINE_AA)
    else:
        extent = (reach * np.exp(rng.normal(0, 0.5)), reach * np.exp(rng.normal(0, 0.5)))
        box = cv2.boxPoints((tuple(centre), (2 * extent[0], 2 * extent[1]), float(rng.uniform(-30, 30))))
        if kind == 1:
            cv2.fillPoly(canvas, [box.astype(np.int32)], (1.0,), lineType=cv2.LINE_AA)
        else:
            place = (int(centre[0]), int(centre[1]))
            axes = (int(extent[0]) + 1, int(extent[1]) + 1)
            cv2.ellipse(canvas, place, axes, float(rng.uniform(0, 180)), 0, 360, (1.0,), -1, cv2.LINE_AA)
            if rng.random() < 0.25:
                hole = (int(axes[0] * 0.6) + 1, int(axes[1] * 0.6) + 1)
                cv2.ellipse(canvas, place, hole, 0, 0, 360, (0.0,), -1, cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.4, 1.2)), dtype=np.float32)


_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 &!"


def _letter(rng: Generator, rgb: Pixels) -> Pixels:
    """Words across a picture, written into it."""
    height, width = rgb.shape[:2]
    for _ in range(int(rng.integers(1, 5))):
        word = "".join(_ALPHABET[i] for i in rng.integers(0, len(_ALPHABET), int(rng.integers(3, 11))))
        at = (int(rng.integers(-width // 4, width)), int(rng.integers(0, height)))
        colour = tuple(float(v) for v in rng.integers(0, 256, 3))
        cv2.putText(rgb, word, at, int(rng.integers(0, 8)), rng.uniform(0.4, 2.5), colour, int(rng.integers(1, 6)))
    return rgb
