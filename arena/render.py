"""A photo and its matte to pictures, by the rules of the model's card; and those pictures to files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from arena.catalog import get_card
from arena.compose import blur_plate, composite, cutout, mask_overlay
from arena.photo import encode
from arena.refine import feather
from arena.refine.foreground import estimate_foreground

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from arena.comparison import Result
    from arena.matte import Matte
    from arena.photo import Photo

    Pixels = NDArray[np.uint8]

DEFAULT_KERNEL = 101
"""Blur strength of page and shell: the look of a fast portrait lens on a photo of a few megapixels."""

Picture = Literal["masks", "alpha", "blurred", "cutout"]
PICTURES: tuple[Picture, ...] = ("masks", "alpha", "blurred", "cutout")
"""What is written for each photo and model, by the name of its folder."""


def compositing_alpha(matte: Matte) -> NDArray[np.float32]:
    """The alpha to composite with: hard outlines are feathered if the card says that they need it.

    Args:
        matte: A matte of any kind.

    Returns:
        float32, H x W, 0 to 1.
    """
    return feather(matte.alpha) if get_card(matte.model).needs_feather else matte.alpha


def render_blur(photo: Photo, matte: Matte, kernel: int = DEFAULT_KERNEL) -> Pixels:
    """The photo with its background blurred.

    Args:
        photo: The photo.
        matte: Its matte.
        kernel: Odd size of the Gaussian kernel in pixels of the photo, 1 (no blur) to 255.

    Returns:
        uint8, H x W x 3.
    """
    alpha = compositing_alpha(matte)
    return blur_over(subject_colours(photo.rgb, alpha, matte), photo.rgb, alpha, kernel)


def subject_colours(rgb: Pixels, alpha: NDArray[np.float32], matte: Matte) -> Pixels:
    """The subject's own colours where it mixes with the background, so that no fringe of it is carried along.

    Args:
        rgb: uint8, H x W x 3.
        alpha: float32, H x W, what is composited with.
        matte: The matte that it comes from.

    Returns:
        uint8, H x W x 3; ``rgb`` itself for a hard outline, whose softened edge says nothing of mixed colours.
    """
    return rgb if get_card(matte.model).needs_feather else estimate_foreground(rgb, alpha)


def blur_over(foreground: Pixels, rgb: Pixels, alpha: NDArray[np.float32], kernel: int) -> Pixels:
    """A subject before the blurred background of its photo.

    Args:
        foreground: uint8, H x W x 3, the subject's colours.
        rgb: uint8, H x W x 3, the photo.
        alpha: float32, H x W, 0 to 1.
        kernel: Odd size of the Gaussian kernel in pixels; 1 gives back the photo.

    Returns:
        uint8, H x W x 3.
    """
    if kernel == 1:
        return rgb.copy()
    return composite(foreground, blur_plate(rgb, alpha, kernel=kernel), alpha)


def render_cutout(photo: Photo, matte: Matte) -> Pixels:
    """The subject alone, on transparency.

    Args:
        photo: The photo.
        matte: Its matte.

    Returns:
        uint8, H x W x 4, straight alpha; what was transparent in the file stays so.
    """
    alpha = compositing_alpha(matte)
    return cutout(subject_colours(photo.straight_rgb, alpha, matte), photo.cutout_alpha(alpha))


def render_overlay(photo: Photo, matte: Matte) -> Pixels:
    """The photo with the mask drawn over it.

    Args:
        photo: The photo.
        matte: Its matte.

    Returns:
        uint8, H x W x 3.
    """
    return mask_overlay(photo.rgb, matte.alpha)


def render_png(picture: Picture, photo: Photo, matte: Matte, kernel: int = DEFAULT_KERNEL) -> bytes:
    """One of the pictures as a PNG file.

    Args:
        picture: ``"masks"`` (overlay), ``"alpha"`` (16-bit grey), ``"blurred"`` or ``"cutout"``.
        photo: The photo.
        matte: Its matte.
        kernel: Blur strength of ``"blurred"``.

    Returns:
        The file's bytes, with an sRGB profile and, for blurred photo and cut-out, the EXIF block of the original.
    """
    match picture:
        case "masks":
            return encode(render_overlay(photo, matte))
        case "alpha":
            return encode(np.rint(matte.alpha * np.float32(65535)).astype(np.uint16))
        case "blurred":
            return encode(render_blur(photo, matte, kernel), exif=photo.exif)
        case "cutout":
            return encode(render_cutout(photo, matte), exif=photo.exif)


def result_files(
    result: Result, kernel: int = DEFAULT_KERNEL, pictures: Iterable[Picture] = PICTURES
) -> Iterator[tuple[str, bytes]]:
    """The files of one result, made one by one.

    Args:
        result: A result; one without a subject or with an error has no files.
        kernel: Blur strength.
        pictures: Which ones.

    Yields:
        Path inside the result folder (``portrait/masks/classic.png``) and contents.
    """
    if result.photo is None or result.matte is None or not result.found:
        return
    for picture in pictures:
        path = f"{result.photo_name}/{picture}/{result.model}.png"
        yield path, render_png(picture, result.photo, result.matte, kernel)


class Summary:
    """``results.json``: per photo and model found, seconds, device, size and error. Keeps numbers, not pictures."""

    def __init__(self, kernel: int = DEFAULT_KERNEL) -> None:
        """Start without results.

        Args:
            kernel: The blur strength that the pictures are made with.
        """
        self._kernel = kernel
        self._photos: dict[str, dict[str, Any]] = {}

    def add(self, result: Result) -> None:
        """Note a result.

        Args:
            result: A result of the comparison; a later one of the same photo and model replaces an earlier.
        """
        self._photos.setdefault(result.photo_name, {})[result.model] = result.summary()

    def to_json(self) -> str:
        """The file's text."""
        return json.dumps({"kernel": self._kernel, "photos": self._photos}, indent=2, ensure_ascii=False) + "\n"
