"""HEIC files with a depth map beside the photo, as phones write them.

No library writes them: what pillow-heif writes, two pictures, is made into one picture and its depth (ISO/IEC 23008-12,
auxiliary pictures; ITU-T H.265, depth representation information).
"""

from __future__ import annotations

import io
import math
import struct
from typing import TYPE_CHECKING

import pillow_heif
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

INVERSE, DISPARITY, DISTANCE, CURVED = range(4)
"""What the samples are: 1/Z, disparity, Z, disparity along a curve."""

_DEPTH = b"urn:mpeg:hevc:2015:auxid:2\0"


def heic_with_depth(
    photo: NDArray[np.uint8], depth: NDArray[np.uint8], kind: int | None = DISPARITY, **limits: float
) -> bytes:
    """A HEIC file.

    Args:
        photo: H x W x 3.
        depth: h x w.
        kind: What the samples of the map are; None leaves it unsaid.
        **limits: ``z_near``, ``z_far``, ``d_min`` and ``d_max``.

    Returns:
        The file.
    """
    with io.BytesIO() as file:
        pictures = pillow_heif.from_pillow(Image.fromarray(photo))
        pictures.add_from_pillow(Image.fromarray(depth))
        pictures.save(file, quality=-1)
        plain = file.getvalue()
    top = dict(_boxes(plain))
    meta = top[b"meta"]
    parts = dict(_boxes(meta[4:]))
    properties = dict(_boxes(parts[b"iprp"]))
    auxiliary = _box(b"auxC", bytes(4), _DEPTH, b"" if kind is None else _told(kind, limits))
    number = len(list(_boxes(properties[b"ipco"]))) + 1
    held = bytearray(properties[b"ipma"])
    # Version and count; then an item's number, how many properties it has, and which.
    first = 8
    second = first + 3 + held[first + 2]
    held[second + 2] += 1
    parts[b"iprp"] = _box(b"ipco", properties[b"ipco"], auxiliary) + _box(
        b"ipma", bytes(held), bytes([_ESSENTIAL | number])
    )
    parts[b"iref"] = bytes(4) + _box(b"auxl", struct.pack(">HHH", 2, 1, 1))
    grown = len(_box(b"meta", meta[:4], *(_box(name, body) for name, body in parts.items()))) - len(meta) - 8
    places = bytearray(parts[b"iloc"])
    for item in range(2):
        # An item's number and file; then where it begins.
        at = 8 + 18 * item + 4
        struct.pack_into(">I", places, at, struct.unpack_from(">I", places, at)[0] + grown)
    parts[b"iloc"] = bytes(places)
    top[b"meta"] = meta[:4] + b"".join(_box(name, body) for name, body in parts.items())
    return b"".join(_box(name, body) for name, body in top.items())


_ESSENTIAL = 0x80


def _box(name: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), name) + body


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at < len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        yield name, data[at + 8 : at + length]
        at += length


def _told(kind: int, limits: dict[str, float]) -> bytes:
    """The message that says what the samples are, as a unit of the codec with its length."""
    values = [limits.get(name) for name in ("z_near", "z_far", "d_min", "d_max")]
    bits = "".join("0" if value is None else "1" for value in values) + _universal(kind)
    if limits.keys() & {"d_min", "d_max"}:
        # The view that disparities are of.
        bits += _universal(0)
    bits += "".join(_floating(value) for value in values if value is not None)
    if kind == CURVED:
        bits += _universal(0) + _universal(0)
    bits += "1"
    bits += "0" * (-len(bits) % 8)
    message = int(bits, 2).to_bytes(len(bits) // 8, "big")
    # Prefix message, number 177.
    unit = bytes([39 << 1, 1, 177, len(message)]) + message + b"\x80"
    unit = struct.pack(">I", len(unit)) + unit
    return struct.pack(">I", len(unit)) + unit


def _universal(value: int) -> str:
    digits = f"{value + 1:b}"
    return "0" * (len(digits) - 1) + digits


def _floating(value: float) -> str:
    mantissa, exponent = math.frexp(value)
    return f"0{exponent - 1 + 31:07b}{31:05b}{round((2 * mantissa - 1) * (1 << 32)):032b}"
