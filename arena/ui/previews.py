"""Screen-sized pictures from kept mattes: what makes the controls answer at once. Knows nothing of Streamlit."""

from __future__ import annotations

import dataclasses
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from arena.compose import fit_background, mask_overlay
from arena.compose.blur import scene_light
from arena.finish import Effect
from arena.photo import Photo, encode, fit_within
from arena.refine import feather
from arena.render import apply_effect, blur_amount, compositing_alpha, refined_alpha, subject_colours

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from arena.finish import Backdrop, Distance, Finish, OwnColours
    from arena.matte import Matte
    from arena.refine import RefineOptions

    Pixels = NDArray[np.uint8]
    Alpha = NDArray[np.float32]

PREVIEW_SIDE = 1080
"""Longest side of what is shown, in pixels: a sharp picture in the widest column, and quick to blur."""

PREVIEW_QUALITY = 88

FEATHER_SIZE, FEATHER_SIGMA = 15, 5.0
"""What :func:`arena.refine.feather` does to a hard outline at full size."""

CHECK = 12
"""Side in pixels of the squares that stand for transparency."""

CHECK_COLOURS = (255, 205)
"""Greys of those squares: told apart on white and on black, and darker than no dark hair."""


class _Front(NamedTuple):
    """What all effects start from."""

    alpha: Alpha
    colours: Pixels
    """The subject's own, of the photo as it is shown."""
    straight_colours: Pixels
    """The same, of the photo without what lies behind its transparent parts."""


class Preview:
    """One photo and its matte at screen size.

    Of each step the last outcome is kept: a slider that moves repeats only what comes after it.
    """

    def __init__(self, photo: Photo, matte: Matte, side: int = PREVIEW_SIDE) -> None:
        """Shrink both once.

        Args:
            photo: The photo.
            matte: Its matte.
            side: Longest side of the pictures in pixels.
        """
        pixels = photo.rgb if photo.rgba is None else photo.rgba
        shrunk = fit_within(pixels, side)
        self._original = photo, matte
        self._photo = photo if shrunk is pixels else Photo.from_array(shrunk, photo.name)
        self._scale = self._photo.width / photo.width
        self._matte = dataclasses.replace(matte, alpha=_resized(matte.alpha, self._photo.height, self._photo.width))
        self._refined: tuple[RefineOptions, Alpha] | None = None
        self._overlay: tuple[RefineOptions, bytes] | None = None
        self._front: tuple[tuple[RefineOptions, OwnColours], _Front] | None = None
        self._amount: tuple[tuple[RefineOptions, Distance], Alpha | None] | None = None
        self._backdrop: tuple[tuple[object, ...], Photo] | None = None
        self._finished: tuple[Finish, bytes] | None = None

    def overlay(self, options: RefineOptions) -> bytes:
        """The photo with the mask drawn over it.

        Args:
            options: How the matte is refined.

        Returns:
            A JPEG file.
        """
        if self._overlay is None or self._overlay[0] != options:
            picture = mask_overlay(self._photo.rgb, self._refined_alpha(options))
            self._overlay = options, encode(picture, "JPEG", quality=PREVIEW_QUALITY)
        return self._overlay[1]

    def finished(self, finish: Finish) -> bytes:
        """The finished picture.

        Args:
            finish: What becomes of the background, in pixels of the full-size photo, so that the value shown is the
                value exported.

        Returns:
            A JPEG file; what is transparent lies on a checkerboard.
        """
        if self._finished is None or self._finished[0] != finish:
            picture = self._composited(finish)
            if picture.shape[2] == 4:
                picture = _on_checkerboard(picture)
            self._finished = finish, encode(picture, "JPEG", quality=PREVIEW_QUALITY)
        return self._finished[1]

    def _composited(self, finish: Finish) -> Pixels:
        front = self._front_of(finish.refine, finish.colours)
        small = finish.scaled(self._scale)
        if finish.effect is Effect.BLUR:
            return self._photo.rgb if small.kernel == 1 else self._blurred(front, small)
        if isinstance(finish.background, Photo):
            # Filled already, frame by frame of the full size.
            small = dataclasses.replace(
                small, background=self._fitted(finish), fit="stretch", anchor="centre", background_scale=1.0
            )
        return apply_effect(
            front.straight_colours, self._photo.straight_rgb, self._photo.cutout_alpha(front.alpha), small
        )

    def _blurred(self, front: _Front, finish: Finish) -> Pixels:
        light = self._light if finish.bokeh != "gaussian" and self._scale != 1 else None
        wanted = finish.refine, finish.distance
        if self._amount is None or self._amount[0] != wanted:
            amount = blur_amount(self._photo.rgb, front.alpha, finish.distance, self._original[0].depth)
            self._amount = wanted, amount
        return apply_effect(front.colours, self._photo.rgb, front.alpha, finish, light, self._amount[1])

    @cached_property
    def _light(self) -> Alpha:
        """Of the full-size photo, at the size that is shown: lamps are pixels small."""
        photo, matte = self._original
        return scene_light(photo.rgb, matte.alpha, self._photo.height, self._photo.width)

    def _refined_alpha(self, options: RefineOptions) -> Alpha:
        if self._refined is None or self._refined[0] != options:
            self._refined = options, refined_alpha(self._photo, self._matte, options)
        return self._refined[1]

    def _front_of(self, options: RefineOptions, colours: OwnColours) -> _Front:
        wanted = options, colours
        if self._front is None or self._front[0] != wanted:
            alpha = self._softened(self._refined_alpha(options), options)
            own = self._own_colours(self._photo.rgb, alpha, options, colours)
            opaque = self._photo.rgba is None
            straight = own if opaque else self._own_colours(self._photo.straight_rgb, alpha, options, colours)
            self._front = wanted, _Front(alpha, own, straight)
        return self._front[1]

    def _own_colours(self, rgb: Pixels, alpha: Alpha, options: RefineOptions, colours: OwnColours) -> Pixels:
        return subject_colours(rgb, alpha, self._matte, options, colours)

    def _softened(self, alpha: Alpha, options: RefineOptions) -> Alpha:
        """What the export composites with; the feather of a hard outline shrinks with the photo."""
        if self._scale == 1 or compositing_alpha(alpha, self._matte, options) is alpha:
            return compositing_alpha(alpha, self._matte, options)
        size = 2 * round((FEATHER_SIZE - 1) * self._scale / 2) + 1
        return feather(alpha, size, FEATHER_SIGMA * self._scale)

    def _fitted(self, finish: Finish) -> Photo:
        """The background picture at the size of the preview: it is large, and one fit does for all that follows."""
        wanted = finish.background, finish.fit, finish.anchor, finish.background_scale, finish.fill
        if self._backdrop is None or self._backdrop[0] != wanted:
            pixels = _pixels(finish.background)
            # Tiles go by pixels of the full-size photo, all others by shares of it.
            scale = finish.background_scale * (self._scale if finish.fit == "tile" else 1.0)
            frame = self._photo.height, self._photo.width
            fitted = fit_background(pixels, frame, finish.fit, finish.anchor, scale, finish.fill)
            self._backdrop = wanted, Photo.from_array(fitted)
        return self._backdrop[1]


def _pixels(background: Backdrop) -> Pixels:
    # Only pictures are asked for.
    assert isinstance(background, Photo)  # noqa: S101
    return background.rgb if background.rgba is None else background.rgba


def _resized(alpha: Alpha, height: int, width: int) -> Alpha:
    if alpha.shape == (height, width):
        return alpha
    shrunk = Image.fromarray(alpha).resize((width, height), Image.Resampling.BOX)
    return np.clip(np.asarray(shrunk, dtype=np.float32), 0, 1)


def _on_checkerboard(rgba: Pixels) -> Pixels:
    rows, columns = np.ogrid[: rgba.shape[0], : rgba.shape[1]]
    odd = (rows // CHECK + columns // CHECK) % 2
    board = np.asarray(CHECK_COLOURS, np.uint8)[odd]
    picture = Image.fromarray(np.repeat(board[..., None], 3, axis=2))
    picture.paste(Image.fromarray(rgba[..., :3].copy()), mask=Image.fromarray(rgba[..., 3].copy()))
    return np.asarray(picture)
