"""The depth map that a phone has put into a photo's file.

Three kinds are read: the auxiliary picture of HEIC (ISO/IEC 23008-12), which iPhones write beside portraits; the map
that is appended to a JPEG (Google, Dynamic Depth 1.0), which Android phones write; and the one in a JPEG's XMP (Google,
Depthmap Metadata), which they wrote before.
"""

from __future__ import annotations

import base64
import io
import re
from typing import TYPE_CHECKING

import numpy as np
from PIL import ExifTags, Image, ImageOps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_INVERSE_DISTANCE, _DISPARITY, _DISTANCE, _CURVED_DISPARITY = range(4)
"""What samples stand for (ITU-T H.265, ``depth_representation_type``)."""

_LEAST, _MOST = 1e-9, 1e9
"""Distances that no phone measures, in whatever unit."""

_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_MORE_XMP = b"http://ns.adobe.com/xmp/extension/\0"
_MORE_HEADER = 40
"""Bytes before each part of what did not fit into one segment: a name of 32, the whole's length, the part's place."""


def embedded_depth(image: Image.Image, data: bytes) -> NDArray[np.float32] | None:
    """Read the depth map that lies beside the photo in its file.

    Args:
        image: An opened file, not yet turned upright.
        data: All of that file.

    Returns:
        Relative inverse depth, h x w, float32, upright: larger is nearer. None if there is none, or none that can be
        read: a photo is worth opening without it.
    """
    try:
        if image.format == "HEIF":
            return _of_heif(image)
        if image.format in ("JPEG", "MPO"):
            return _of_jpeg(image, data)
    except Exception:  # noqa: BLE001 - whatever is wrong with it, the photo beside it may be fine
        return None
    return None


def _of_heif(image: Image.Image) -> NDArray[np.float32] | None:
    """The file turns the map as it turns the photo, and the library does so to both."""
    for held in image.info.get("depth_images", ()):
        # No camera measures more finely than it sees.
        if held.size[0] > image.width or held.size[1] > image.height:
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
    said = b"".join(_xmp(image))
    if written := _property(said, "GDepth:Data"):
        room, picture = "GDepth", base64.b64decode(written)
    else:
        room, picture = "DepthMap", _appended(said, data)
    if not picture:
        return None
    with Image.open(io.BytesIO(picture), formats=("JPEG", "PNG")) as held:
        if held.width > image.width or held.height > image.height:
            return None
        # Laid out as the photo's own pixels are, whatever way up those are to be looked at.
        held.getexif()[ExifTags.Base.Orientation] = image.getexif().get(ExifTags.Base.Orientation, 1)
        upright = ImageOps.exif_transpose(held).convert("L")
    share = np.asarray(upright, np.float32) / np.float32(255)
    # From near to far, that is: black is near.
    if _property(said, f"{room}:Format") == b"RangeLinear":
        near, far = (float(_property(said, f"{room}:{limit}")) for limit in ("Near", "Far"))
        return _inverse(share, near, far)
    return -share


def _appended(said: bytes, data: bytes) -> bytes:
    """The depth map among the pictures behind the photo in a file; empty if there is none."""
    place = len(data)
    for item in reversed(_items(said)):
        length = int(item.get("Length", b"0"))
        place -= length
        if place <= 0:
            break
        if length and (item.get("Semantic") == b"Depth" or item.get("DataURI", b"").endswith(b"depthmap")):
            return data[place : place + length]
    return b""


def _items(said: bytes) -> list[dict[str, bytes]]:
    """What is said of each picture of a file, in their order; the first one is the photo."""
    items: list[dict[str, bytes]] = [{}]
    for found in re.finditer(rb"""Item\w*:(\w+)\s*=\s*["']([^"']*)["']|<Item\w*:(\w+)>([^<]*)</""", said):
        name = (found[1] or found[3]).decode()
        # What was said already is said of the next one.
        if name in items[-1]:
            items.append({})
        items[-1][name] = (found[2] or found[4] or b"").strip()
    return items


def _inverse(share: NDArray[np.float32], near: float, far: float) -> NDArray[np.float32] | None:
    """Inverse distance of samples that go from 0 at ``near`` to 1 at ``far``, both in the same unit."""
    if not _LEAST < near < far < _MOST:
        return None
    return np.reciprocal(np.float32(near) + share * np.float32(far - near))


def _property(said: bytes, name: str) -> bytes:
    """A property, written as an attribute or as an element; empty if it is not there."""
    tag = name.encode()
    found = re.search(tag + rb"""\s*=\s*["']([^"']*)["']|<""" + tag + rb">([^<]*)</", said)
    return b"" if found is None else (found[1] or found[2] or b"").strip()


def _xmp(image: Image.Image) -> Iterator[bytes]:
    """What a JPEG says in XMP: its main part, and the parts that did not fit into it, in order."""
    more: list[tuple[int, bytes]] = []
    for marker, body in getattr(image, "applist", ()):
        if marker != "APP1":
            continue
        if body.startswith(_XMP):
            yield body.removeprefix(_XMP)
        elif body.startswith(_MORE_XMP):
            part = body.removeprefix(_MORE_XMP)
            more.append((int.from_bytes(part[36:_MORE_HEADER], "big"), part[_MORE_HEADER:]))
    yield from (part for _, part in sorted(more))
