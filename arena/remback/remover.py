"""``BackgroundRemover``: a portrait in, the person without the background out."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from arena.catalog import get_card
from arena.compose import Plain, cutout, replace_background
from arena.devices import AUTO, usable_device
from arena.errors import NobodyFoundError, OptionError
from arena.metrics import MASK_THRESHOLD
from arena.models.pool import load_adapter, load_model
from arena.models.remback import RembackOptions, choose_faces, find_faces, padded_boxes
from arena.paths import expanded
from arena.photo import WHITE, Photo, format_of, save
from arena.refine.edges import soften
from arena.refine.foreground import estimate_foreground
from arena.remback.retouch import retouch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from arena.faces import Face

    Alpha = NDArray[np.float32]
    Pixels = NDArray[np.uint8]

type Source = Photo | NDArray[np.uint8] | str | os.PathLike[str] | bytes | IO[bytes]
"""A photo that is open already, its pixels (uint8, H x W x 3, RGB), its path, its bytes, or a binary file."""

MODEL = "remback"
"""Key of the published weights in the catalog."""


@dataclass(frozen=True, slots=True, eq=False)
class CutOut:
    """A person cut out of a photo."""

    photo: Photo
    """What was cut from."""
    mask: Alpha
    """float32, H x W: 1 where the person is, else 0."""
    alpha: Alpha
    """float32, H x W, 0 to 1: the mask with a soft edge."""
    faces: tuple[Face, ...]
    """Whose person it is, in pixels of the photo."""
    faces_seen: int
    """How many faces there are in the photo."""
    boxes: NDArray[np.float32]
    """N x 4: x0, y0, x1, y1 in pixels of the photo: what SAM was asked about, a box for each face."""
    seconds: float
    """SAM's; the face detector's are not in it."""
    options: RembackOptions
    """How it was cut."""

    def on_white(self) -> Pixels:
        """The person before white.

        Returns:
            uint8, H x W x 3: white where alpha is below ``alpha_cut``, the retouched photo elsewhere. With ``hair``
            nothing is cut: what is half hair is half white, without the old background in it.
        """
        if self.options.hair:
            rgb = self._colours(self.photo.rgb)
            white = Plain((WHITE, WHITE, WHITE))
            return replace_background(rgb, self.alpha, white, foreground=self._own(rgb))
        kept = self.alpha >= np.float32(self.options.alpha_cut)
        return np.where(kept[..., None], self._colours(self.photo.rgb), np.uint8(WHITE))

    def transparent(self) -> Pixels:
        """The person alone; with ``hair`` without the old background in what is half hair.

        Returns:
            uint8, H x W x 4, straight alpha; what was transparent in the file stays so.
        """
        rgb = self._colours(self.photo.straight_rgb)
        return cutout(self._own(rgb) if self.options.hair else rgb, self.photo.cutout_alpha(self.alpha))

    def _own(self, rgb: Pixels) -> Pixels:
        """The person's own colours where hair and background mix."""
        return estimate_foreground(rgb, self.alpha)

    def save(self, path: str | os.PathLike[str]) -> Pixels:
        """Write the picture, with the photo's EXIF data.

        Args:
            path: A .jpg gets a white background, a .png or .webp a transparent one.

        Returns:
            What was written: as :meth:`on_white` or :meth:`transparent` gives it.

        Raises:
            OptionError: The name says no format that is written.
            PhotoError: The file cannot be written.
        """
        picture = self.on_white() if format_of(Path(path)) == "JPEG" else self.transparent()
        save(path, picture, quality=self.options.quality, exif=self.photo.exif)
        return picture

    def save_mask(self, path: str | os.PathLike[str]) -> None:
        """Write the binary mask, white where the person is.

        Args:
            path: A .png keeps it as it is.

        Raises:
            OptionError: The name says no format that is written.
            PhotoError: The file cannot be written.
        """
        save(path, (self.mask * 255).astype(np.uint8))

    def _colours(self, rgb: Pixels) -> Pixels:
        own = self.options
        return retouch(rgb, self.alpha, sharp=own.sharp, sigma=own.sharp_sigma, contrast=own.contrast)


class BackgroundRemover:
    """Removes the background of portraits. Any number of threads may share one: one photo runs at a time."""

    def __init__(
        self,
        checkpoint: str | os.PathLike[str] | None = None,
        options: RembackOptions | None = None,
        *,
        device: str = AUTO,
    ) -> None:
        """Load the network.

        Args:
            checkpoint: A SAM ViT in segment-anything's layout (``remback_v4.pth``, ``sam_vit_b_01ec64.pth``, what
                ``arena finetune`` writes) or transformers'. None takes Remback's own, downloaded at its first use.
            options: Every number of the pipeline; by default those that were published.
            device: ``"auto"`` (CUDA, then MPS, then CPU), ``"cpu"``, ``"mps"``, ``"cuda"`` or ``"cuda:N"``.

        Raises:
            OptionError: There is no such file.
            WeightsError: The weights could not be had, or are of another network; the subclass says why.
            DeviceError: There is no such device.
            OutOfMemoryError: The network does not fit the device.
        """
        self.options = options or RembackOptions()
        if checkpoint is None:
            self._segmenter = load_model(MODEL, device)
            return
        path = expanded(checkpoint)
        if not path.is_file():
            raise OptionError(
                f"There is no checkpoint {path}.", "Check the name, or leave it out: Remback's own is taken then."
            )
        self._segmenter = load_adapter(get_card(MODEL), path, usable_device(device))

    def remove_background(
        self,
        input: Source,  # noqa: A002 - what its users call it
        output: str | os.PathLike[str] | None = None,
        sharp: float = 0,
        contrast: float = 1.0,
        debug_mask: str | os.PathLike[str] | None = None,
    ) -> Pixels:
        """Remove the background of one portrait.

        Args:
            input: The photo: a path, bytes, a binary file, pixels (uint8, H x W x 3, RGB) or a ``Photo``.
            output: Where the picture is written, if anywhere: .jpg has a white background, .png and .webp a
                transparent one. EXIF data is carried over.
            sharp: Strength of an unsharp mask on the cut-out person, added to that of the options; 0 is none.
            contrast: What the person's levels are multiplied by, beside the options' own factor; 1 changes nothing.
            debug_mask: Where the binary mask is written, if anywhere: white where the person is.

        Returns:
            What was written: uint8, H x W x 4 (RGB and straight alpha) for a format with transparency, else
            H x W x 3 (RGB) before white.

        Raises:
            NobodyFoundError: There is no face in the photo, or nobody about it.
            PhotoError: The input is no photo, or a file cannot be written.
            OptionError: A name or a number cannot be used.
        """
        # A name that cannot be written is told before the network has run.
        for path in (output, debug_mask):
            if path is not None:
                format_of(Path(path))
        own = self.options
        cut = self.cut_out(input, replace(own, sharp=own.sharp + sharp, contrast=own.contrast * contrast))
        if debug_mask is not None:
            cut.save_mask(debug_mask)
        return cut.on_white() if output is None else cut.save(output)

    def cut_out(self, source: Source, options: RembackOptions | None = None) -> CutOut:
        """Find the person and what there is to know of the way to them.

        Args:
            source: As ``input`` of :meth:`remove_background`.
            options: Other numbers than the remover's.

        Returns:
            Mask, alpha, faces and boxes, and the pictures that come of them.

        Raises:
            NobodyFoundError: There is no face in the photo, or nobody about it.
            PhotoError: The source is no photo.
        """
        options = options or self.options
        photo = _opened(source)
        seen = find_faces(photo.rgb, options)
        if not seen:
            raise NobodyFoundError(
                f"No face was found in {photo.name}, and Remback looks for people by their faces.",
                "Take a photo in which the face is larger and seen from the front, or lower min_score or min_face.",
            )
        faces = choose_faces(seen, options)
        boxes = padded_boxes(faces, photo.width, photo.height, options)
        # The last step is done here, for the mask before it is wanted too.
        matte = self._segmenter.segment(photo, boxes=boxes, options=replace(options, sigma=0.0))
        if not matte.found:
            raise NobodyFoundError(
                f"A face was found in {photo.name}, but nobody in the box around it.",
                "Lower mask_thresh, or try another checkpoint.",
            )
        mask = (matte.alpha > MASK_THRESHOLD).astype(np.float32)
        alpha = matte.alpha if options.hair else soften(mask, options.sigma)
        return CutOut(photo, mask, alpha, tuple(faces), len(seen), boxes, matte.seconds, options)


def _opened(source: Source) -> Photo:
    if isinstance(source, Photo):
        return source
    if isinstance(source, np.ndarray):
        return Photo.from_array(source)
    return Photo.open(source)
