"""The depth map that a phone has put into a photo's file.

Three kinds are read: the auxiliary picture of HEIC (ISO/IEC 23008-12), which iPhones write beside portraits; the map
that is appended to a JPEG (Google, Dynamic Depth 1.0), which Android phones write; and the one in a JPEG's XMP (Google,
Depthmap Metadata), which they wrote before.
"""

from __future__ import annotations

import base64
import io
import re
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from PIL import ExifTags, Image, ImageOps

from arena.checks import shows_the_same

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_INVERSE_DISTANCE, _DISPARITY, _DISTANCE, _CURVED_DISPARITY = range(4)
"""What samples stand for (ITU-T H.265, ``depth_representation_type``)."""

_LEAST, _MOST = 1e-9, 1e9
"""Distances that no phone measures, in whatever unit."""

LARGEST_MAP = 16_000_000
"""Pixels of a map. Phones write one or two million at most, and a file may claim anything."""

LARGEST_XMP = 16_000_000
"""Bytes that are searched, for the same reason."""

MOST_ITEMS = 64
"""Pictures in a file, and places at which a property is looked for."""

_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_MORE_XMP = b"http://ns.adobe.com/xmp/extension/\0"
_NAME, _HEADER = 32, 40
"""Bytes before each part of what did not fit into one segment: its name, then the whole's length and the part's place,
four each."""

_PICTURES = (b"\xff\xd8\xff", b"\x89PNG")


def embedded_depth(image: Image.Image, data: bytes) -> NDArray[np.float32] | None:
    """Read the depth map that lies beside the photo in its file.

    Args:
        image: An opened file, not yet turned upright; its pixels need not be decoded.
        data: All of that file.

    Returns:
        Relative inverse depth, h x w, float32, upright: larger is nearer. None if there is none, or none that can be
        read, or one of another view, as in a photo that was cropped later: a photo is worth opening without it.
    """
    try:
        if image.format == "HEIF":
            return _of_heif(image)
        if image.format in ("JPEG", "MPO"):
            return _of_jpeg(image, data)
    except Exception:  # noqa: BLE001 - whatever is wrong with it, the photo beside it may be fine
        return None
    return None


def _fits(held: tuple[int, int], photo: tuple[int, int]) -> bool:
    """Whether a map of this size may be the photo's; no camera measures more finely than it sees."""
    width, height = held
    return width <= photo[0] and height <= photo[1] and width * height <= LARGEST_MAP and shows_the_same(held, photo)


def _of_heif(image: Image.Image) -> NDArray[np.float32] | None:
    """The library turns photo and map, each as the file says of it."""
    for held in image.info.get("depth_images", ()):
        if not _fits(held.size, image.size):
            continue
        samples = np.asarray(held.to_pillow())
        told = held.info["metadata"]
        kind = told.get("representation_type", _DISPARITY)
        # Their unit and zero are of no interest, which is all that limits say of inverse distance and disparity.
        depth = samples.astype(np.float32)
        if kind == _DISTANCE:
            near, far = told["z_near"], told["z_far"]
            return _inverse(depth / np.float32(np.iinfo(samples.dtype).max), near, far)
        if kind in (_INVERSE_DISTANCE, _DISPARITY, _CURVED_DISPARITY):
            return depth
    return None


def _of_jpeg(image: Image.Image, data: bytes) -> NDArray[np.float32] | None:
    said = _xmp(image)
    if written := _property(said, "GDepth:Data"):
        room, picture = "GDepth", base64.b64decode(written)
    else:
        room, picture = "DepthMap", _appended(said, data)
    if not picture:
        return None
    with Image.open(io.BytesIO(picture), formats=("JPEG", "PNG")) as held:
        if not _fits(held.size, image.size):
            return None
        # Laid out as the photo's own pixels are, whatever way up those are to be looked at.
        held.getexif()[ExifTags.Base.Orientation] = image.getexif().get(ExifTags.Base.Orientation, 1)
        upright = ImageOps.exif_transpose(held)
    # Pillow's own conversion would clip 16 bits at 255 instead of scaling.
    deep = upright.mode.startswith("I")
    share = np.asarray(upright if deep else upright.convert("L")).astype(np.float32) / np.float32(
        65535 if deep else 255
    )
    # From near to far, that is: black is near.
    if _property(said, f"{room}:Format") == b"RangeLinear":
        near, far = (float(_property(said, f"{room}:{limit}")) for limit in ("Near", "Far"))
        return _inverse(share, near, far)
    return -share


def _inverse(share: NDArray[np.float32], near: float, far: float) -> NDArray[np.float32] | None:
    """Inverse distance of samples that go from 0 at ``near`` to 1 at ``far``, both in the same unit."""
    if not _LEAST < near < far < _MOST:
        return None
    return np.reciprocal(np.float32(near) + share * np.float32(far - near))


def _appended(said: bytes, data: bytes) -> bytes:
    """The depth map among the pictures behind the photo in a file; empty if there is none."""
    for directory in islice(_DIRECTORY.finditer(said), MOST_ITEMS):
        place = len(data)
        # From the end: how long the photo is, which is the first one, is not said.
        for item in reversed(_ITEM.split(directory[1], MOST_ITEMS)[1:]):
            length = int(_property(item, "Item:Length") or b"0")
            place -= length
            if not 0 < place < len(data):
                continue
            named = _property(item, "Item:Semantic") == b"Depth" or _property(item, "Item:DataURI").endswith(
                b"depthmap"
            )
            if named and data.startswith(_PICTURES, place):
                return data[place : place + length]
    return b""


def _property(said: bytes, name: str) -> bytes:
    """A property, written as an attribute or as an element; empty if it is not there."""
    tag = name.encode()
    place = -1
    for _ in range(MOST_ITEMS):
        place = said.find(tag, place + 1)
        if place < 0:
            break
        end = place + len(tag)
        if found := _ATTRIBUTE.match(said, end):
            return found[1].strip()
        if said[place - 1 : place] == b"<" and (found := _ELEMENT.match(said, end)):
            return found[1].strip()
    return b""


_DIRECTORY = re.compile(rb":Directory>(.*?):Directory>", re.DOTALL)
_ITEM = re.compile(rb"<(?:rdf:li|Container:Item)\b")
_ATTRIBUTE = re.compile(rb"""\s{0,9}=\s{0,9}["']([^"']*)["']""")
_ELEMENT = re.compile(rb">([^<]*)</")


def _xmp(image: Image.Image) -> bytes:
    """What a JPEG says in XMP: its main part, and what that names as its continuation because it did not fit."""
    said, more = b"", list[bytes]()
    for part in _segments(image):
        if part.startswith(_MORE_XMP):
            more.append(part.removeprefix(_MORE_XMP))
        elif part.startswith(_XMP) and not said:
            said = part.removeprefix(_XMP)
    name = _property(said, "HasExtendedXMP")
    parts = [part for part in more if part[:_NAME] == name]
    parts.sort(key=lambda part: part[_HEADER - 4 : _HEADER])
    whole = said + b"".join(part[_HEADER:] for part in parts)
    return whole if len(whole) <= LARGEST_XMP else b""


def _segments(image: Image.Image) -> Iterator[bytes]:
    for marker, body in getattr(image, "applist", ()):
        if marker == "APP1":
            yield body
