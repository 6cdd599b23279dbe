"""``Photo``: a picture file decoded once, deliberately, and pictures encoded on the way out.

Everything behind this module sees upright 8-bit sRGB pixels and never thinks of orientation tags, colour profiles,
ink, palettes or bit depths again.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import os
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageOps, TiffImagePlugin, UnidentifiedImageError

from arena.checks import checked_depth, shows_the_same
from arena.embedded import embedded_depth
from arena.errors import OptionError, PhotoError
from arena.paths import replacing

FileFormat = Literal["JPEG", "PNG", "WEBP"]

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".heic", ".heif", ".avif")
"""File name endings of what can be opened; the contents decide, not the name."""

FORMATS_IN_WORDS = "JPEG, PNG, WebP, TIFF, BMP, GIF (first frame), HEIC and AVIF"

DEFAULT_MEGAPIXELS = 100.0
"""Largest photo that is decoded, in millions of pixels, unless ``ARENA_MAX_MEGAPIXELS`` says otherwise."""

JPEG_QUALITY = 92
"""Where JPEG artefacts stop being visible at ordinary viewing distance."""

GREY_WITHIN = 8
"""Levels by which the channels of a grey picture may differ: formats that lose a little keep colour apart from
brightness."""

NO_DATA = 1e30
"""Floating samples of this size stand for what was not measured."""

WHITE = 255

# Pillow opens no other format for us, so that neither Ghostscript nor a scientific reader ever sees an upload. Its
# JPEG reader also opens the MPO files that many phones write under the name .jpg.
_PILLOW_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "DIB", "GIF", "AVIF")
_HEIF_FORMATS = (*_PILLOW_FORMATS, "HEIF")

_OTHER_CONTENTS = (
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive or an office document"),
    (b"%!PS", "a PostScript document"),
    (b"<svg", "an SVG drawing"),
    (b"<?xml", "an XML document"),
    (b"<!DOCTYPE", "a web page"),
    (b"<html", "a web page"),
    (b"\x1a\x45\xdf\xa3", "a video"),
    (b"\x1f\x8b", "a compressed archive"),
    (b"8BPS", "a Photoshop document"),
)
_RAW_SUFFIXES = frozenset({".cr2", ".cr3", ".nef", ".arw", ".dng", ".raf", ".orf", ".rw2", ".pef"})
_RAW = "it is a camera's raw file, which has to be developed first"
_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_SRGB_COLOUR_SPACE = 1
"""As EXIF has it."""
_OF_THE_FILE = frozenset(
    {
        ExifTags.Base.NewSubfileType,
        ExifTags.Base.ImageWidth,
        ExifTags.Base.ImageLength,
        ExifTags.Base.BitsPerSample,
        ExifTags.Base.Compression,
        ExifTags.Base.PhotometricInterpretation,
        ExifTags.Base.StripOffsets,
        ExifTags.Base.SamplesPerPixel,
        ExifTags.Base.RowsPerStrip,
        ExifTags.Base.StripByteCounts,
        ExifTags.Base.PlanarConfiguration,
        ExifTags.Base.Predictor,
        ExifTags.Base.ColorMap,
        ExifTags.Base.TileWidth,
        ExifTags.Base.TileLength,
        ExifTags.Base.TileOffsets,
        ExifTags.Base.TileByteCounts,
        ExifTags.Base.SubIFDs,
        ExifTags.Base.ExtraSamples,
        ExifTags.Base.SampleFormat,
        ExifTags.Base.InterColorProfile,
    }
)
"""Tags that say how a TIFF holds its samples, and nothing of the photo."""
_DECODE_ERRORS = (OSError, ValueError, SyntaxError, EOFError, RuntimeError, TypeError, IndexError, KeyError)

_bomb_lock = threading.Lock()


@dataclass(frozen=True, slots=True, eq=False)
class Photo:
    """A decoded photo. The arrays are read-only by contract."""

    rgb: Pixels
    """uint8, H x W x 3, sRGB, upright; transparent parts lie on white."""
    name: str
    """The file's stem, or what the caller named it."""
    rgba: Pixels | None = None
    """uint8, H x W x 4, straight alpha, if the file has transparent pixels; else None."""
    exif: bytes = b""
    """The file's EXIF block with its orientation reset; empty if it has none."""
    digest: str = field(default="", repr=False)
    """Identifies the contents: two photos of the same digest are the same picture."""
    path: Path | None = field(default=None, repr=False)
    """The file it was read from, if it was one."""
    depth: NDArray[np.float32] | None = field(default=None, repr=False)
    """Relative inverse depth, h x w, float32, of the same view at any size: larger is nearer. Some phones put it into
    the file (:mod:`arena.embedded`); None if it is unknown."""

    @classmethod
    def open(
        cls,
        source: str | os.PathLike[str] | bytes | IO[bytes],
        *,
        name: str | None = None,
        max_megapixels: float | None = None,
    ) -> Photo:
        """Decode a photo: JPEG, PNG, WebP, TIFF, BMP, GIF (first frame), HEIC or AVIF.

        EXIF orientation is applied, an embedded ICC profile is converted to sRGB, ink, palettes, grey and 16-bit
        samples become 8-bit RGB, and transparency is composited on white and kept beside it. A depth map that a phone
        has put into the file comes with the photo.

        Args:
            source: A path, the file's bytes, or a binary file.
            name: File name to call it by; by default that of ``source``, or ``photo``.
            max_megapixels: Larger pictures are refused before they are decoded, in millions of pixels; by default
                ``ARENA_MAX_MEGAPIXELS`` or 100.

        Returns:
            The photo; its ``name`` is the file name's stem.

        Raises:
            PhotoError: There is no such file, or it is empty, truncated, too large or not a picture of these formats.
        """
        filename = name or _filename(source)
        data = _read(source, filename)
        with _decoding(data, filename, megapixel_limit(max_megapixels)) as image:
            depth = embedded_depth(image, data)
            upright = ImageOps.exif_transpose(image)
            # After turning: it resets the tag that the turning reads.
            exif = _exif(image, upright.size)
            rgb, rgba = _to_srgb(upright, white_is_zero=_is_white_zero(image))
        digest = hashlib.blake2b(data, digest_size=16).hexdigest()
        path = Path(source) if isinstance(source, (str, os.PathLike)) else None
        photo = cls(rgb=rgb, name=Path(filename).stem or "photo", rgba=rgba, exif=exif, digest=digest, path=path)
        return photo.with_depth(depth)

    @classmethod
    def from_array(cls, pixels: Pixels, name: str = "photo") -> Photo:
        """Wrap pixels that are already upright sRGB.

        Args:
            pixels: uint8, H x W x 3, H x W x 4 (straight alpha) or H x W (grey).
            name: What to call it.

        Returns:
            A photo with a copy of the pixels.

        Raises:
            OptionError: Another shape or dtype, or no pixels.
        """
        if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or not pixels.size:
            raise OptionError(
                f"A photo is a uint8 array of H x W, H x W x 3 or H x W x 4, not {pixels.dtype} of {pixels.shape}."
            )
        if pixels.ndim == 3 and pixels.shape[2] not in (3, 4):
            raise OptionError(f"A photo has 3 or 4 channels, not {pixels.shape[2]}.")
        image = Image.fromarray(np.ascontiguousarray(pixels))
        rgb, rgba = _to_srgb(image)
        digest = hashlib.blake2b(np.ascontiguousarray(pixels).tobytes(), digest_size=16)
        digest.update(repr(pixels.shape).encode())
        return cls(rgb=rgb, name=name, rgba=rgba, digest=digest.hexdigest())

    def with_depth(self, depth: NDArray[Any] | None) -> Photo:
        """The same photo, its depth known.

        Args:
            depth: Relative inverse depth, h x w, float32, of the same view at any size: larger is nearer, in any unit
                and from any zero. None takes what is known away.

        Returns:
            A photo that shares this one's arrays.

        Raises:
            OptionError: It is no such map, or its proportions are not the photo's.
        """
        known = None if depth is None else checked_depth(depth)
        if known is not None:
            height, width = known.shape
            if not shows_the_same((width, height), self.size):
                raise OptionError(
                    f"A depth map of {width} x {height} px is not of a photo of {self.width} x {self.height} px.",
                    "It must show the same view, neither cropped nor turned.",
                )
        return replace(self, depth=known)

    @property
    def width(self) -> int:
        """In pixels."""
        return int(self.rgb.shape[1])

    @property
    def height(self) -> int:
        """In pixels."""
        return int(self.rgb.shape[0])

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.width, self.height

    @property
    def straight_rgb(self) -> Pixels:
        """uint8, H x W x 3: the subject's own colours for a cut-out, without the white behind transparent pixels."""
        return self.rgb if self.rgba is None else self.rgba[..., :3]

    def cutout_alpha(self, alpha: NDArray[np.float32]) -> NDArray[np.float32]:
        """What a cut-out keeps: a matte times the transparency that the file had.

        Args:
            alpha: float32, H x W, 0 to 1.

        Returns:
            float32, H x W, 0 to 1; ``alpha`` itself for a photo without transparency.
        """
        if self.rgba is None:
            return alpha
        return alpha * (self.rgba[..., 3].astype(np.float32) / np.float32(255))


def size_within(height: int, width: int, side: int) -> tuple[int, int]:
    """The size of a picture that is shrunk, if need be, to a longest side.

    Args:
        height: Of the picture, in pixels.
        width: Of the picture, in pixels.
        side: Longest side of the result in pixels, at least 1.

    Returns:
        Width and height in pixels, proportions kept; the picture's own if it is small enough.
    """
    scale = min(1.0, side / max(height, width))
    return max(1, round(width * scale)), max(1, round(height * scale))


def fit_within(pixels: Pixels, side: int) -> Pixels:
    """Shrink a picture for the screen.

    Args:
        pixels: uint8, H x W or H x W x C.
        side: Longest side of the result in pixels, at least 1.

    Returns:
        The picture shrunk with its proportions kept; ``pixels`` itself if it is small enough.
    """
    height, width = pixels.shape[:2]
    target = size_within(height, width, side)
    if max(height, width) <= side:
        return pixels
    shrunk = Image.fromarray(np.ascontiguousarray(pixels)).resize(target, Image.Resampling.BOX, reducing_gap=2.0)
    return np.asarray(shrunk)


def encode(
    pixels: Pixels | NDArray[np.uint16],
    file_format: FileFormat = "PNG",
    *,
    quality: int = JPEG_QUALITY,
    exif: bytes = b"",
) -> bytes:
    """Encode a picture, with an sRGB profile unless it is grey.

    Args:
        pixels: uint8 H x W x 3 or H x W x 4 (straight alpha); uint8 or uint16 H x W (grey).
        file_format: ``"JPEG"`` and ``"WEBP"`` lose a little, ``"PNG"`` nothing. JPEG cannot hold alpha.
        quality: Of JPEG and WebP, 1 to 100.
        exif: EXIF block to carry over.

    Returns:
        The file's bytes.

    Raises:
        OptionError: A quality outside 1 to 100, or a picture that the format cannot hold.
    """
    if not 1 <= quality <= 100:
        raise OptionError(f"A quality of {quality} is outside 1 to 100.")
    if file_format == "JPEG" and (pixels.dtype != np.uint8 or (pixels.ndim == 3 and pixels.shape[2] == 4)):
        raise OptionError("JPEG holds neither transparency nor 16-bit samples.", "Use a name that ends in .png.")
    if file_format == "WEBP" and pixels.dtype != np.uint8:
        raise OptionError("WebP holds no 16-bit samples.", "Use a name that ends in .png.")
    image = Image.fromarray(np.ascontiguousarray(pixels))
    options: dict[str, object] = {}
    if pixels.ndim == 3:
        options["icc_profile"] = _srgb_bytes()
    if exif:
        options["exif"] = exif
    if file_format == "PNG":
        # Level 1 is three times as fast as the default for a file that is a tenth larger.
        options["compress_level"] = 1
    else:
        options["quality"] = quality
    if file_format == "JPEG":
        # Full colour resolution: halved chroma would draw a coloured fringe along the subject's edge.
        # Not with "optimize", which saves a twentieth: Pillow then needs the file in one buffer of a byte a pixel, and
        # grain takes more.
        options["subsampling"] = "4:4:4"
    with io.BytesIO() as buffer:
        try:
            image.save(buffer, file_format, **options)
        except (OSError, ValueError) as error:
            # WebP ends at 16383 pixels a side, JPEG at 65500.
            raise OptionError(
                f"{file_format} cannot hold a picture of {image.width} x {image.height} pixels ({error}).",
                "Use a name that ends in .png.",
            ) from error
        return buffer.getvalue()


def read_depth(source: str | os.PathLike[str] | bytes | IO[bytes]) -> NDArray[np.float32]:
    """Read a depth map from a picture: grey, near is bright, as depth networks write it.

    Args:
        source: A path, the file's bytes, or a binary file; 8 or 16 bits or floating samples. Of a photo into which a
            phone has put a depth map, that map.

    Returns:
        Relative inverse depth, h x w, float32, upright: larger is nearer; what :meth:`Photo.with_depth` takes.

    Raises:
        PhotoError: There is no such file, or it is no picture, or a coloured one.
    """
    filename = _filename(source)
    data = _read(source, filename)
    with _decoding(data, filename, megapixel_limit()) as image:
        if (own := embedded_depth(image, data)) is not None:
            return own
        upright = ImageOps.exif_transpose(image)
        if upright.mode in {"1", "P", "PA", "LA", "RGBA", "RGBX", "CMYK", "YCbCr"}:
            upright = upright.convert("RGB")
        samples = np.asarray(upright)
    depth = samples.astype(np.float32)
    if depth.ndim == 3:
        if float((depth.max(axis=2) - depth.min(axis=2)).max()) > GREY_WITHIN:
            raise PhotoError(
                f"{filename} is coloured, and a depth map is grey.", "Save it without a colour scale, near as white."
            )
        depth = depth.mean(axis=2)
    if not (np.abs(depth) < NO_DATA).all():
        raise PhotoError(f"{filename} has samples that are no numbers.", "Save it anew, far things as 0.")
    # Up to 8 bits Pillow has turned it round itself.
    return -depth if _is_white_zero(image) and image.mode not in {"1", "L"} else depth


def brings_depth(source: str | os.PathLike[str] | bytes | IO[bytes]) -> bool:
    """Whether a phone has put a depth map into a photo's file; the photo itself is not decoded.

    Args:
        source: A path, the file's bytes, or a binary file.

    Returns:
        Whether there is one; False for what cannot be opened.
    """
    filename = _filename(source)
    try:
        data = _read(source, filename)
        image = _identify(data, filename)
        _check_size(image, filename, megapixel_limit())
        return embedded_depth(image, data) is not None
    except (PhotoError, MemoryError, *_DECODE_ERRORS):
        return False


def encode_depth(depth: NDArray[np.float32]) -> bytes:
    """Encode a depth map as a picture that :func:`read_depth` reads.

    Args:
        depth: Relative inverse depth, h x w, float32: larger is nearer.

    Returns:
        A PNG of 16-bit grey, the farthest black and the nearest white: factor and zero of such a map mean nothing.

    Raises:
        OptionError: It is no such map.
    """
    nearness = checked_depth(depth)
    lowest, highest = float(nearness.min()), float(nearness.max())
    share = (nearness - lowest) / (highest - lowest or 1.0)
    return encode(np.rint(share * 65535).astype(np.uint16))


def format_of(path: Path, *, transparent: bool = False) -> FileFormat:
    """Which format a file name asks for.

    Args:
        path: Where the picture is to be written.
        transparent: Whether the picture has alpha.

    Returns:
        The format.

    Raises:
        OptionError: The name ends in something that is not written here, or in a format that cannot hold alpha.
    """
    formats: dict[str, FileFormat] = {
        ".jpg": "JPEG",
        ".jpeg": "JPEG",
        ".png": "PNG",
        ".webp": "WEBP",
    }
    try:
        chosen = formats[path.suffix.lower()]
    except KeyError:
        ending = f'ends in "{path.suffix}"' if path.suffix else "has no ending"
        raise OptionError(
            f"{path.name} {ending}, which says no format that is written.",
            f"Use one of {', '.join(formats)}.",
        ) from None
    if transparent and chosen == "JPEG":
        raise OptionError(f"{path.name} would be a JPEG, which holds no transparency.", "Use a name that ends in .png.")
    return chosen


def save(
    path: str | os.PathLike[str],
    pixels: Pixels | NDArray[np.uint16],
    *,
    quality: int = JPEG_QUALITY,
    exif: bytes = b"",
) -> Path:
    """Write a picture; its format follows the name, its folder is made if it is missing.

    Args:
        path: A name ending in .jpg, .jpeg, .png or .webp.
        pixels: As for :func:`encode`.
        quality: Of JPEG and WebP, 1 to 100.
        exif: EXIF block to carry over.

    Returns:
        The path.

    Raises:
        OptionError: The name or the quality cannot be used for this picture.
        PhotoError: The file cannot be written.
    """
    path = Path(path)
    transparent = pixels.ndim == 3 and pixels.shape[2] == 4
    return write_file(path, encode(pixels, format_of(path, transparent=transparent), quality=quality, exif=exif))


def write_file(path: Path, contents: bytes) -> Path:
    """Write a file whole or not at all; its folder is made if it is missing.

    Args:
        path: Where to.
        contents: What.

    Returns:
        The path.

    Raises:
        PhotoError: The file cannot be written; what was there before still is.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            partial.write_bytes(contents)
    except OSError as error:
        raise PhotoError(
            f"{path} cannot be written: {error.strerror or error}.",
            "Choose another folder, or free some space.",
        ) from error
    return path


def _filename(source: str | os.PathLike[str] | bytes | IO[bytes]) -> str:
    if isinstance(source, (str, os.PathLike)):
        return Path(source).name
    name = "" if isinstance(source, bytes) else getattr(source, "name", "")
    return Path(name).name if isinstance(name, str) and name else "photo"


def _read(source: str | os.PathLike[str] | bytes | IO[bytes], filename: str) -> bytes:
    if isinstance(source, bytes):
        data = source
    elif isinstance(source, (str, os.PathLike)):
        try:
            data = Path(source).read_bytes()
        except FileNotFoundError as error:
            raise PhotoError(f"There is no file {source}.", "Check the name and the folder.") from error
        except IsADirectoryError as error:
            raise PhotoError(f"{source} is a folder, not a photo.") from error
        except OSError as error:
            raise PhotoError(f"{source} cannot be read: {error.strerror or error}.") from error
    else:
        data = source.read()
    if not data:
        raise PhotoError(f"{filename} is empty.", "Copy it again from where it came from.")
    return data


def megapixel_limit(max_megapixels: float | None = None) -> float:
    """The largest photo that is decoded.

    Args:
        max_megapixels: The caller's own limit; None for ``ARENA_MAX_MEGAPIXELS`` or 100.

    Returns:
        Millions of pixels.

    Raises:
        OptionError: The limit is no number above 0.
    """
    if max_megapixels is None:
        text = os.environ.get("ARENA_MAX_MEGAPIXELS", "")
        try:
            max_megapixels = float(text) if text else DEFAULT_MEGAPIXELS
        except ValueError:
            raise OptionError(f"ARENA_MAX_MEGAPIXELS is {text!r}, which is no number.", "Set it to 100, say.") from None
    if not max_megapixels > 0:
        raise OptionError(f"A limit of {max_megapixels:g} megapixels lets no photo through.")
    return max_megapixels


@contextlib.contextmanager
def _decoding(data: bytes, filename: str, limit: float) -> Iterator[Image.Image]:
    """The decoded picture of a file; what goes wrong until the end of the block is told of the file."""
    try:
        image = _identify(data, filename)
        _check_size(image, filename, limit)
        image.load()
        yield image
    except PhotoError:
        raise
    except Image.DecompressionBombError as error:
        raise PhotoError(f"{filename} holds a frame that is too large: {error}.") from error
    except MemoryError as error:
        raise PhotoError(f"{filename} does not fit into memory.", "Make it smaller.") from error
    except _DECODE_ERRORS as error:
        raise PhotoError(
            f"{filename} is damaged and cannot be decoded: {_cause(error)}.",
            "Copy it again from where it came from, or save it anew in another program.",
        ) from error


def _check_size(image: Image.Image, filename: str, limit: float) -> None:
    width, height = image.size
    if width * height > limit * 1e6:
        raise PhotoError(
            f"{filename} has {width} x {height} pixels, more than the limit of {limit:g} megapixels.",
            "Make it smaller, or set ARENA_MAX_MEGAPIXELS to a higher limit.",
        )


@functools.cache
def _register_heif() -> None:
    import pillow_heif  # noqa: PLC0415 - costs as much as all of Pillow, and most photos are JPEGs

    pillow_heif.register_heif_opener()


@contextlib.contextmanager
def _own_size_limit() -> Iterator[None]:
    """Keep Pillow from refusing or warning by its own limit: ours is checked right after the header is read."""
    with _bomb_lock:
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _identify(data: bytes, filename: str) -> Image.Image:
    formats: tuple[str, ...] = _PILLOW_FORMATS
    if data[4:8] == b"ftyp":
        _register_heif()
        formats = _HEIF_FORMATS
    try:
        with _own_size_limit():
            image = Image.open(io.BytesIO(data), formats=formats)
    except UnidentifiedImageError as error:
        raise _no_picture(filename, _what_it_is(data, filename)) from error
    if _is_raw(image, filename):
        raise _no_picture(filename, _RAW)
    return image


def _no_picture(filename: str, what: str) -> PhotoError:
    return PhotoError(f"{filename} is not a picture that can be opened: {what}.", f"Use {FORMATS_IN_WORDS}.")


def _is_raw(image: Image.Image, filename: str) -> bool:
    """Whether a TIFF is a camera's raw file, of which Pillow would see the thumbnail alone."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return False
    # TIFF 6.0, NewSubfileType: a reduced version of another picture, which is in a directory below.
    reduced = int(image.tag_v2.get(ExifTags.Base.NewSubfileType, 0)) & 1 and ExifTags.Base.SubIFDs in image.tag_v2
    return bool(reduced) or Path(filename).suffix.lower() in _RAW_SUFFIXES


def _what_it_is(data: bytes, filename: str) -> str:
    head = data[:512].lstrip()
    for magic, words in _OTHER_CONTENTS:
        if head[: len(magic)].lower() == magic.lower():
            return f"its contents are {words}"
    suffix = Path(filename).suffix.lower()
    if suffix in _RAW_SUFFIXES:
        return _RAW
    if data[:4] in _TIFF_MAGIC:
        return "its contents are a TIFF of a kind that is not supported; 8 or 16 bits a sample, grey or RGB, are"
    if data[4:8] == b"ftyp":
        return "its contents are a video, or a HEIC variant that is not supported"
    if suffix in SUFFIXES:
        return f"its name ends in {suffix}, but its contents are no picture, or its first bytes are damaged"
    return "its contents are of no known picture format"


def _cause(error: BaseException) -> str:
    text = str(error).strip().rstrip(".") or type(error).__name__
    if "truncated" in text or "bytes not processed" in text:
        return "the file is truncated, its end is missing"
    return text[0].lower() + text[1:]


def _exif(image: Image.Image, size: tuple[int, int]) -> bytes:
    """The EXIF block without what would be wrong for the result: upright 8-bit sRGB, in another file.

    Its orientation is reset, its size is the upright one, its colour space sRGB; thumbnail, and how a TIFF laid out its
    samples, are dropped.
    """
    try:
        exif = image.getexif()
        if not exif:
            return b""
        # Reading them makes Pillow write these blocks back, even empty.
        for block in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
            if block in exif:
                exif.get_ifd(block)
        for tag in _OF_THE_FILE & exif.keys():
            del exif[tag]
        exif[ExifTags.Base.Orientation] = 1
        shot = exif.get_ifd(ExifTags.IFD.Exif) if ExifTags.IFD.Exif in exif else {}
        upright = (ExifTags.Base.ExifImageWidth, size[0]), (ExifTags.Base.ExifImageHeight, size[1])
        for tag, value in (*upright, (ExifTags.Base.ColorSpace, _SRGB_COLOUR_SPACE)):
            if tag in shot:
                shot[tag] = value
        fresh = exif.tobytes()
    except _DECODE_ERRORS:
        # A damaged EXIF block is no reason to refuse a photo whose pixels are fine.
        return b""
    # A JPEG segment holds no more than this.
    return fresh if len(fresh) < 65_000 else b""


@functools.cache
def _srgb_bytes() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _to_srgb(image: Image.Image, *, white_is_zero: bool = False) -> tuple[Pixels, Pixels | None]:
    """Any Pillow mode to sRGB on white, and to straight RGBA if any pixel is transparent."""
    alpha: Image.Image | None = None
    if image.mode in ("I;16", "I;16B", "I;16L", "I;16N", "I", "F"):
        alpha = _deep_transparency(image)
        image = _deep_grey_to_8_bit(image, white_is_zero=white_is_zero)
    elif image.has_transparency_data:
        # Grey stays grey: its profile, if it has one, is of grey.
        grey = image.mode in ("1", "L", "LA", "La")
        alpha = image.convert("RGBA").getchannel("A")
        image = image.convert("LA").convert("L") if grey else image.convert("RGBA").convert("RGB")
    elif image.mode == "P":
        image = image.convert("RGB")
    elif image.mode == "1":
        image = image.convert("L")
    image = _profile_to_srgb(image)
    # np.array copies: Pillow's own buffer is freed with the image, and callers get an array that owns its memory.
    rgb = np.array(image.convert("RGB"))
    if alpha is None:
        return rgb, None
    coverage = np.asarray(alpha)
    if coverage.min() == 255:
        return rgb, None
    rgba = np.dstack([rgb, coverage])
    weight = coverage[..., None].astype(np.uint16)
    on_white = (rgb * weight + WHITE * (255 - weight) + 127) // 255
    return on_white.astype(np.uint8), rgba


def _deep_transparency(image: Image.Image) -> Image.Image | None:
    """Coverage of 16-bit grey of which one level is transparent (tRNS of PNG); None if there is none."""
    level = image.info.get("transparency")
    if not isinstance(level, int):
        return None
    return Image.fromarray(np.where(np.asarray(image) == level, 0, 255).astype(np.uint8))


def _deep_grey_to_8_bit(image: Image.Image, *, white_is_zero: bool) -> Image.Image:
    """16-bit and floating-point grey; Pillow's own conversion would clip at 255 instead of scaling."""
    samples = np.asarray(image).astype(np.float32)
    samples = np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)
    # Floating-point grey is 0 to 1 by convention, and may overshoot; some programs write 0 to 255.
    largest = 65535.0 if image.mode != "F" else 1.0 if np.percentile(samples, 99) <= 2.0 else 255.0
    if white_is_zero:
        samples = largest - samples
    scale = 255.0 / largest
    result = Image.fromarray(np.clip(np.rint(samples * scale), 0, 255).astype(np.uint8))
    result.info = image.info
    return result


def _is_white_zero(image: Image.Image) -> bool:
    """Whether a TIFF's 0 is white; up to 8 bits Pillow sees to that itself."""
    tags = image.tag_v2 if isinstance(image, TiffImagePlugin.TiffImageFile) else {}
    return tags.get(ExifTags.Base.PhotometricInterpretation) == 0


def _profile_to_srgb(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in ("RGB", "L", "CMYK", "LAB"):
        return image
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(
            image,
            source,
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, *_DECODE_ERRORS):
        # Browsers, too, show a picture with a damaged or mismatched profile as if it had none.
        return image
    return image if converted is None else converted
