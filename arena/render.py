"""A photo and its matte to pictures, by the rules of the model's card; and those pictures to files."""

from __future__ import annotations

import dataclasses
import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np

from arena.catalog import get_card
from arena.compose import (
    Gradient,
    Plain,
    Transparent,
    blur_background,
    cutout,
    depth_blur,
    ground_blur,
    mask_overlay,
    replace_background,
)
from arena.devices import AUTO, resolve_device
from arena.errors import DeviceError, OptionError, UnknownModelError
from arena.finish import Effect, Finish, finish_to_mapping, read_backdrop
from arena.matte import MatteKind
from arena.photo import Photo, encode
from arena.refine import feather, refine
from arena.refine.foreground import estimate_foreground
from arena.refine.guided import guided_upsample

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from arena.comparison import Result
    from arena.finish import Backdrop, Distance, OwnColours
    from arena.matte import Matte
    from arena.refine import RefineOptions
    from arena.refine.matting import Solver

    Pixels = NDArray[np.uint8]
    Alpha = NDArray[np.float32]

Picture = Literal["masks", "alpha", "blurred", "replaced", "cutout"]
PICTURES: tuple[Picture, ...] = ("masks", "alpha", "blurred", "cutout")
"""What is written for each photo and model, by the name of its folder; "replaced" where a background was given."""

EFFECT_PICTURES: dict[Effect, Picture] = {
    Effect.BLUR: "blurred",
    Effect.REPLACE: "replaced",
    Effect.CUTOUT: "cutout",
}
"""The picture that an effect makes."""

_EFFECTS = {picture: effect for effect, picture in EFFECT_PICTURES.items()}
_AS_IS = Finish()

DEPTH_RADIUS = 2
"""Half width of the window in which the edges of a depth map are fitted to the photo's, in pixels of the map."""


def refined_alpha(photo: Photo, matte: Matte, options: RefineOptions) -> Alpha:
    """The alpha of a matte after its refinement.

    Args:
        photo: The photo.
        matte: Its matte.
        options: What to do.

    Returns:
        float32, H x W, 0 to 1; the matte's own if nothing is to be done.

    Raises:
        OptionError: No pixel is left that is more subject than not, and there was one before.
        ArenaError: The network of the matting cannot be had, or does not fit the device.
    """
    if options.changes_nothing:
        return matte.alpha
    refined = refine(matte.alpha, photo.rgb, options, _network(options, matte.device))
    if not (refined > 0.5).any() and (matte.alpha > 0.5).any():
        raise OptionError(
            f"The refinement leaves nobody in {photo.name}.",
            "Make its steps smaller: opening, threshold, or growth below 0.",
        )
    return refined


def _network(options: RefineOptions, device: str) -> Solver | None:
    """What the refinement needs beside the photo, run where the matte was made; loaded when an edge is to be solved."""
    if options.matting != "vitmatte":
        return None

    def solve(photo: NDArray[np.float64], trimap: NDArray[np.float64]) -> NDArray[np.float64]:
        from arena.models.vitmatte import load_matting  # noqa: PLC0415 - it imports PyTorch and transformers

        return load_matting(device=_here(device)).solve(photo, trimap)

    return solve


def _here(device: str) -> str:
    """A matte's device, or the best that there is if it was made elsewhere."""
    try:
        return resolve_device(device)
    except DeviceError:
        return AUTO


def compositing_alpha(alpha: Alpha, matte: Matte, options: RefineOptions) -> Alpha:
    """The alpha to composite with: hard outlines are feathered if the card says that they need it.

    Args:
        alpha: float32, H x W, refined.
        matte: The matte that it comes from.
        options: How it was refined: what has been feathered there is not feathered again.

    Returns:
        float32, H x W, 0 to 1.
    """
    return feather(alpha) if _is_hard(matte, options) and options.feather_sigma == 0 else alpha


def _is_hard(matte: Matte, options: RefineOptions) -> bool:
    """Whether the outline says nothing of mixed colours: the model's is hard and nothing has looked at the photo."""
    if matte.kind is MatteKind.ALPHA or options.needs_photo:
        return False
    try:
        return get_card(matte.model).needs_feather
    except UnknownModelError:
        # A matte from elsewhere.
        return matte.kind is MatteKind.BINARY


def subject_colours(
    rgb: Pixels, alpha: Alpha, matte: Matte, options: RefineOptions, colours: OwnColours = "auto"
) -> Pixels:
    """The subject's own colours where it mixes with the background, so that no fringe of it is carried along.

    Args:
        rgb: uint8, H x W x 3.
        alpha: float32, H x W, what is composited with.
        matte: The matte that it comes from.
        options: How that was refined.
        colours: As in :class:`arena.finish.Finish`.

    Returns:
        uint8, H x W x 3; ``rgb`` itself where nothing is to be estimated: with ``"off"``, and with ``"auto"`` for a
        hard outline, whose softened edge says nothing of mixed colours.
    """
    if colours == "off" or (colours == "auto" and _is_hard(matte, options)):
        return rgb
    return estimate_foreground(rgb, alpha, method="multilevel" if colours == "multilevel" else "fast")


def blur_amount(rgb: Pixels, alpha: Alpha, distance: Distance, depth: Alpha | None) -> Alpha | None:
    """How much of the blur each pixel of the background gets.

    Args:
        rgb: uint8, H x W x 3, the photo.
        alpha: float32, H x W, what is composited with.
        distance: What the blur goes by.
        depth: Relative inverse depth, float32, of the same view at any size; None if it is unknown.

    Returns:
        float32, H x W or H x 1, in [0, 1]; None if all of it is blurred alike.

    Raises:
        OptionError: The blur is to go by a depth that is not known.
    """
    if distance == "alike":
        return None
    if distance == "ground":
        return ground_blur(alpha)
    if depth is None:
        raise OptionError(
            "The photo has no depth map to blur it by.", "Make one with arena.estimate_depth, or read_depth a picture."
        )
    amount, (height, width) = depth_blur(depth, alpha), alpha.shape
    if amount.shape[0] > height or amount.shape[1] > width:
        amount = np.asarray(cv2.resize(amount, (width, height), interpolation=cv2.INTER_AREA))
    # The map is coarse, and blur that begins beside an edge instead of at it is seen.
    return guided_upsample(np.clip(amount, 0, 1), rgb, radius=DEPTH_RADIUS)


def apply_effect(
    front: Pixels,
    rgb: Pixels,
    alpha: Alpha,
    finish: Finish,
    light: Alpha | None = None,
    amount: Alpha | None = None,
) -> Pixels:
    """The effect alone: what page and files have in common, at any size.

    Args:
        front: uint8, H x W x 3, the subject's colours.
        rgb: uint8, H x W x 3, the photo.
        alpha: float32, H x W, what is composited with.
        finish: The effect and its settings, in pixels of these arrays.
        light: float32, H x W x 3: that of a larger version of the photo, for the blur of a lens; None takes this one's.
        amount: float32, H x W or H x 1: how much of the blur each pixel gets, as :func:`blur_amount` has it.

    Returns:
        uint8, H x W x 3, or H x W x 4 with straight alpha where the background is transparent.
    """
    match finish.effect:
        case Effect.BLUR:
            return blur_background(
                rgb, alpha, finish.kernel, foreground=front, bokeh=finish.bokeh, light=light, amount=amount
            )
        case Effect.CUTOUT:
            return cutout(front, alpha)
        case Effect.REPLACE:
            return replace_background(
                rgb,
                alpha,
                _pixels_of(finish.background),
                foreground=front,
                fit=finish.fit,
                anchor=finish.anchor,
                scale=finish.background_scale,
                fill=finish.fill,
                kernel=finish.background_kernel,
                bokeh=finish.bokeh,
                subject=finish.subject,
                harmonise=finish.harmonise,
                light_wrap=finish.light_wrap,
                linear=finish.linear,
            )


def _pixels_of(background: Backdrop) -> Pixels | Plain | Gradient | Transparent:
    if isinstance(background, (Plain, Gradient, Transparent)):
        return background
    return background.rgb if background.rgba is None else background.rgba


class Subject:
    """A photo and its refined matte; what several pictures share is worked out once, when the first asks for it."""

    def __init__(self, photo: Photo, matte: Matte, finish: Finish) -> None:
        """Keep them; nothing is worked out yet.

        Args:
            photo: The photo.
            matte: Its matte.
            finish: What becomes of them.
        """
        self._photo, self._matte, self._finish = photo, matte, finish

    @cached_property
    def refined(self) -> Alpha:
        """The matte after its refinement; raises OptionError if that leaves nobody."""
        return refined_alpha(self._photo, self._matte, self._finish.refine)

    @cached_property
    def _alpha(self) -> Alpha:
        return compositing_alpha(self.refined, self._matte, self._finish.refine)

    @cached_property
    def _colours(self) -> Pixels:
        return self._estimated(self._photo.rgb)

    @cached_property
    def _straight_colours(self) -> Pixels:
        # Without transparency the two are one picture.
        return self._colours if self._photo.rgba is None else self._estimated(self._photo.straight_rgb)

    def _estimated(self, rgb: Pixels) -> Pixels:
        return subject_colours(rgb, self._alpha, self._matte, self._finish.refine, self._finish.colours)

    def picture(self, effect: Effect) -> Pixels:
        """What an effect makes of it.

        Args:
            effect: The effect; the finish has its settings.

        Returns:
            uint8, H x W x 3, or H x W x 4 with straight alpha.
        """
        finish = dataclasses.replace(self._finish, effect=effect)
        if effect is Effect.BLUR:
            if finish.kernel == 1:
                return self._photo.rgb.copy()
            amount = blur_amount(self._photo.rgb, self._alpha, finish.distance, self._photo.depth)
            return apply_effect(self._colours, self._photo.rgb, self._alpha, finish, amount=amount)
        alpha = self._photo.cutout_alpha(self._alpha)
        return apply_effect(self._straight_colours, self._photo.straight_rgb, alpha, finish)

    def png(self, picture: Picture) -> bytes:
        """The file of a picture.

        Args:
            picture: Which one.

        Returns:
            A PNG's bytes.
        """
        match picture:
            case "masks":
                return encode(mask_overlay(self._photo.rgb, self.refined))
            case "alpha":
                return encode(np.rint(self.refined * np.float32(65535)).astype(np.uint16))
            case "blurred" | "replaced" | "cutout":
                return encode(self.picture(_EFFECTS[picture]), exif=self._photo.exif)


def render_finish(photo: Photo, matte: Matte, finish: Finish = _AS_IS) -> Pixels:
    """The finished picture.

    Args:
        photo: The photo.
        matte: Its matte.
        finish: What becomes of them; by default, the background is blurred.

    Returns:
        uint8, H x W x 3, or H x W x 4 with straight alpha where the background is transparent. What was transparent
        in the file belongs to the background of a cut-out or a replacement.

    Raises:
        OptionError: The refinement leaves nobody, or a setting does not fit the photo.
    """
    return Subject(photo, matte, finish).picture(finish.effect)


def render_blur(photo: Photo, matte: Matte, kernel: int | None = None, finish: Finish = _AS_IS) -> Pixels:
    """The photo with its background blurred.

    Args:
        photo: The photo.
        matte: Its matte.
        kernel: Odd size of the Gaussian kernel in pixels of the photo, 1 (no blur) to 255; None: the finish's, 101
            unless it says otherwise.
        finish: How the matte is refined before; its effect does not count.

    Returns:
        uint8, H x W x 3.
    """
    finish = dataclasses.replace(finish, effect=Effect.BLUR, kernel=finish.kernel if kernel is None else kernel)
    return render_finish(photo, matte, finish)


def render_cutout(photo: Photo, matte: Matte, finish: Finish = _AS_IS) -> Pixels:
    """The subject alone, on transparency.

    Args:
        photo: The photo.
        matte: Its matte.
        finish: How the matte is refined before; its effect does not count.

    Returns:
        uint8, H x W x 4, straight alpha; what was transparent in the file stays so.
    """
    return render_finish(photo, matte, dataclasses.replace(finish, effect=Effect.CUTOUT))


def render_replace(photo: Photo, matte: Matte, background: Backdrop | str | Path, finish: Finish = _AS_IS) -> Pixels:
    """The subject before another background.

    Args:
        photo: The photo.
        matte: Its matte.
        background: A picture, ``Plain``, ``Gradient`` or ``Transparent``; or the path or the words of one, see
            :func:`arena.finish.read_backdrop`.
        finish: How it is laid there; its effect and its background do not count.

    Returns:
        uint8, H x W x 3, or H x W x 4 with straight alpha where the background is transparent.

    Raises:
        OptionError: There is no such background, the refinement leaves nobody, or a setting does not fit the photo.
        PhotoError: The background is a file and no picture.
    """
    if isinstance(background, Path):
        # Not by its words: a file may be called "white".
        background = Photo.open(background)
    backdrop = read_backdrop(background) if isinstance(background, str) else background
    return render_finish(photo, matte, dataclasses.replace(finish, effect=Effect.REPLACE, background=backdrop))


def render_overlay(photo: Photo, matte: Matte, finish: Finish = _AS_IS) -> Pixels:
    """The photo with the mask drawn over it.

    Args:
        photo: The photo.
        matte: Its matte.
        finish: How the matte is refined before; the rest of it changes no mask.

    Returns:
        uint8, H x W x 3.
    """
    return mask_overlay(photo.rgb, refined_alpha(photo, matte, finish.refine))


def render_png(picture: Picture, photo: Photo, matte: Matte, finish: Finish = _AS_IS) -> bytes:
    """One of the pictures as a PNG file.

    Args:
        picture: ``"masks"`` (overlay), ``"alpha"`` (16-bit grey), or an effect's: ``"blurred"``, ``"replaced"``,
            ``"cutout"``.
        photo: The photo.
        matte: Its matte.
        finish: Refinement, and the settings of the effect; the picture, not ``finish.effect``, says which effect.

    Returns:
        The file's bytes, with an sRGB profile and, for effects, the EXIF block of the original.
    """
    return Subject(photo, matte, finish).png(picture)


def result_files(
    result: Result, finish: Finish = _AS_IS, pictures: Iterable[Picture] = PICTURES
) -> Iterator[tuple[str, bytes]]:
    """The files of one result, made one by one.

    Args:
        result: A result; one without a subject or with an error has no files.
        finish: Refinement and effect.
        pictures: Which ones.

    Yields:
        Path inside the result folder (``portrait/masks/classic.png``) and contents.

    Raises:
        OptionError: The refinement leaves nobody, or a setting does not fit the photo.
    """
    if result.photo is None or result.matte is None or not result.found:
        return
    subject = Subject(result.photo, result.matte, finish)
    for picture in pictures:
        yield f"{result.photo_name}/{picture}/{result.model}.png", subject.png(picture)


class Summary:
    """``results.json``: the options, and per photo and model found, seconds, device, size and error. No pictures."""

    def __init__(self, finish: Finish = _AS_IS) -> None:
        """Start without results.

        Args:
            finish: What the pictures are made with. Its kernel is always noted, the rest where it is not the default.
        """
        self._options = {"kernel": finish.kernel} | finish_to_mapping(finish)
        self._photos: dict[str, dict[str, Any]] = {}

    def add(self, result: Result) -> None:
        """Note a result.

        Args:
            result: A result of the comparison; a later one of the same photo and model replaces an earlier.
        """
        self._photos.setdefault(result.photo_name, {})[result.model] = result.summary()

    @property
    def is_empty(self) -> bool:
        """Whether no result was noted."""
        return not self._photos

    def to_json(self) -> str:
        """The file's text."""
        return json.dumps(self._options | {"photos": self._photos}, indent=2, ensure_ascii=False) + "\n"
