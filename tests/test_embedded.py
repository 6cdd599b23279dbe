"""Depth maps that phones put into their files."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image

from arena.errors import PhotoError
from arena.photo import Photo, brings_depth, encode, read_depth
from tests.heic import CURVED, DISPARITY, DISTANCE, INVERSE, heic_with_depth
from tests.models.random_weights import picture

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

PICTURE = picture(192, 256)
RAMP = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (48, 1))
"""Nearer on the right, if near is bright."""


def alike(one: NDArray[np.float32] | None, other: NDArray[Any]) -> bool:
    """Whether two maps are the same but for unit and zero, up to a level and a half of 255."""
    assert one is not None
    assert one.dtype == np.float32
    assert one.shape == other.shape
    spans = [(values - values.min()) / np.ptp(values) for values in (one, other.astype(np.float64))]
    return bool(np.abs(spans[0] - spans[1]).max() < 1.5 / 255)


def said(*bodies: bytes) -> bytes:
    """A JPEG in whose first segments something is said."""
    plain = encode(PICTURE, "JPEG")
    return plain[:2] + b"".join(b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body for body in bodies) + plain[2:]


def continued(text: bytes) -> tuple[bytes, list[bytes]]:
    """XMP that does not fit into one segment: its name, and its parts, not in their order."""
    name = hashlib.md5(text, usedforsecurity=False).hexdigest().upper().encode()
    parts = []
    for start in range(0, len(text), 1000):
        place = len(text).to_bytes(4, "big") + start.to_bytes(4, "big")
        parts.append(b"http://ns.adobe.com/xmp/extension/\0" + name + place + text[start : start + 1000])
    return name, parts[::-1]


def google(
    depth: NDArray[Any],
    *,
    layout: str = "RangeInverse",
    apart: bool = False,
    as_element: bool = False,
    orientation: int = 1,
    file_format: str = "PNG",
) -> bytes:
    """A JPEG with a depth map in its XMP, all of it in the main part or the map in extended ones."""
    with io.BytesIO() as file:
        Image.fromarray(depth).save(file, file_format, quality=100)
        data = base64.b64encode(file.getvalue()).decode()
    held = f"<GDepth:Data>{data}</GDepth:Data>" if as_element else f'GDepth:Data="{data}"'
    facts = f'GDepth:Format="{layout}" GDepth:Near="0.5" GDepth:Far="8.0" GDepth:Mime="image/png"'
    name, parts = continued(f"<rdf:Description {held}/>".encode()) if apart else (b"", [])
    main = f"<rdf:Description {facts} xmpNote:HasExtendedXMP='{name.decode()}' {'' if apart else held}/>"
    # What another program has left behind.
    _, stale = continued(b"<rdf:Description GDepth:Data='no picture'/>")
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return said(exif.tobytes(), *stale, b"http://ns.adobe.com/xap/1.0/\0" + main.encode(), *parts)


def listed(*items: tuple[str, int | None], as_elements: bool = False) -> str:
    """A directory of the pictures in a file, by their names and lengths."""
    found = ""
    for name, length in items:
        facts: dict[str, object] = {} if length is None else {"Length": length}
        facts |= {"Mime": "image/jpeg", "DataURI" if "/" in name or "_" in name else "Semantic": name}
        if as_elements:
            found += "<rdf:li>" + "".join(f"<Item:{k}>{v}</Item:{k}>" for k, v in facts.items()) + "</rdf:li>"
        else:
            found += "<rdf:li><Container:Item " + " ".join(f'Item:{k}="{v}"' for k, v in facts.items()) + "/></rdf:li>"
    return f"<Container:Directory><rdf:Seq>{found}</rdf:Seq></Container:Directory>"


MAP = encode(RAMP, "JPEG", quality=100)
REST = 500
"""Bytes of something else that lies behind the map."""


def dynamic(*directories: str, layout: str = "RangeInverse") -> bytes:
    """A JPEG with its depth map behind it, and something else behind that."""
    lists = "".join(directories) or listed(
        ("primary_image", 0), ("android/depthmap", len(MAP)), ("android/confidencemap", REST)
    )
    facts = f'<Camera:DepthMap DepthMap:Format="{layout}" DepthMap:Near="0.5" DepthMap:Far="8.0"/>'
    return said(b"http://ns.adobe.com/xap/1.0/\0" + (lists + facts).encode()) + MAP + bytes(REST)


@pytest.mark.parametrize("kind", [None, INVERSE, DISPARITY, CURVED])
def test_a_heic_file_brings_its_depth(kind: int | None) -> None:
    data = heic_with_depth(PICTURE, RAMP, kind, d_min=1.5, d_max=4.4)
    photo = Photo.open(data)
    assert photo.depth is not None
    assert photo.size == (256, 192)
    np.testing.assert_array_equal(photo.depth, RAMP)
    assert brings_depth(data)


def test_distances_in_a_heic_file_are_inverted() -> None:
    photo = Photo.open(heic_with_depth(PICTURE, RAMP, DISTANCE, z_near=0.5, z_far=8.0))
    assert alike(photo.depth, 1 / (0.5 + RAMP / 255 * 7.5))


@pytest.mark.parametrize("limits", [{}, {"z_near": 0.5}, {"z_near": 8.0, "z_far": 0.5}])
def test_distances_of_no_known_unit_are_not_guessed_at(limits: dict[str, float]) -> None:
    data = heic_with_depth(PICTURE, RAMP, DISTANCE, **limits)
    assert Photo.open(data).depth is None
    assert not brings_depth(data)


def test_a_map_of_another_view_or_finer_than_its_photo_is_left_out() -> None:
    assert Photo.open(heic_with_depth(PICTURE, RAMP[:, :32])).depth is None
    assert not brings_depth(heic_with_depth(PICTURE, RAMP[:, :32]))
    assert Photo.open(google(RAMP[:, :32])).depth is None
    assert not brings_depth(google(RAMP[:, :32]))
    assert Photo.open(heic_with_depth(PICTURE, np.zeros((384, 512), np.uint8))).depth is None


def test_a_damaged_map_does_not_stop_a_photo() -> None:
    data = heic_with_depth(PICTURE, RAMP)
    # The map's samples are the file's last bytes.
    photo = Photo.open(data[:-40] + bytes(40))
    assert photo.size == (256, 192)
    assert photo.depth is None or photo.depth.shape == RAMP.shape
    photo = Photo.open(google(RAMP).replace(b"iVBORw", b"******"))
    assert photo.size == (256, 192)
    assert photo.depth is None


WHOLE = {"heic": heic_with_depth(PICTURE, RAMP), "xmp": google(RAMP, apart=True), "appended": dynamic()}


@given(
    flips=st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 255)), min_size=1, max_size=20),
    kind=st.sampled_from(list(WHOLE)),
    early=st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_damaged_files_open_or_raise_photo_error(flips: list[tuple[int, int]], kind: str, *, early: bool) -> None:
    data = bytearray(WHOLE[kind])
    for position, value in flips:
        data[position % (1000 if early else len(data))] = value
    with contextlib.suppress(PhotoError):
        assert Photo.open(bytes(data), max_megapixels=4).rgb.ndim == 3
    brings_depth(bytes(data))


@pytest.mark.parametrize("file_format", ["PNG", "JPEG"])
@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("as_element", [False, True])
def test_a_jpeg_of_googles_camera_brings_its_depth(file_format: str, *, apart: bool, as_element: bool) -> None:
    data = google(RAMP, apart=apart, as_element=as_element, file_format=file_format)
    # Black is near there.
    assert alike(Photo.open(data).depth, 255 - RAMP.astype(int))
    assert brings_depth(data)


def test_sixteen_bits_are_scaled_and_not_clipped() -> None:
    fine = np.tile(np.linspace(0, 65_535, 64).astype(np.uint16), (48, 1))
    assert alike(Photo.open(google(fine)).depth, -fine.astype(int))


OURS, ANOTHERS = ("Depth", len(MAP)), ("GainMap", REST)


@pytest.mark.parametrize(
    "directories",
    [
        [],
        [listed(("primary_image", 0), ("android/depthmap", len(MAP)), ("android/rest", REST), as_elements=True)],
        [listed(("Primary", None), OURS, ANOTHERS)],
        # Two lists, one of which knows nothing of what another program has appended.
        [listed(("primary_image", 0), ("android/depthmap", len(MAP))), listed(("Primary", 0), OURS, ANOTHERS)],
        [listed(("Primary", 0), OURS, ANOTHERS), listed(("primary_image", 0), ("android/depthmap", len(MAP)))],
    ],
)
def test_a_jpeg_with_its_depth_behind_it_brings_it(directories: list[str]) -> None:
    data = dynamic(*directories)
    assert alike(Photo.open(data).depth, 255 - RAMP.astype(int))
    assert brings_depth(data)
    # Programs that edit a photo keep what was said of it, and not always what lies behind it.
    assert Photo.open(data[:-700]).depth is None
    assert not brings_depth(data[:-700])


def test_distances_in_a_jpeg_are_inverted() -> None:
    goal = 1 / (0.5 + RAMP / 255 * 7.5)
    assert alike(Photo.open(google(RAMP, layout="RangeLinear")).depth, goal)
    assert alike(Photo.open(dynamic(layout="RangeLinear")).depth, goal)


@pytest.mark.parametrize(
    "pattern", [b"Item", b"<Item:a>", b"<rdf:li", b":Directory>", b"GDepth:Data", b"Item:Length='"]
)
def test_a_hostile_text_costs_next_to_nothing(pattern: bytes) -> None:
    """Each took minutes, or gigabytes, with the patterns that come to mind first."""
    text = b"<Container:Directory>" + pattern * (4_000_000 // len(pattern))
    name, _ = continued(text)
    head = b"http://ns.adobe.com/xmp/extension/\0" + name
    parts = [
        head + len(text).to_bytes(4, "big") + start.to_bytes(4, "big") + text[start : start + 60_000]
        for start in range(0, len(text), 60_000)
    ]
    data = said(b"http://ns.adobe.com/xap/1.0/\0<x xmpNote:HasExtendedXMP='" + name + b"'/>", *parts)
    tracemalloc.start()
    try:
        assert Photo.open(data).depth is None
        assert tracemalloc.get_traced_memory()[1] < 10 * len(data)
    finally:
        tracemalloc.stop()


def test_a_photo_above_the_limit_is_not_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARENA_MAX_MEGAPIXELS", "0.01")
    assert not brings_depth(google(RAMP))
    monkeypatch.delenv("ARENA_MAX_MEGAPIXELS")
    monkeypatch.setattr("arena.embedded.LARGEST_MAP", 1000)
    assert not brings_depth(google(RAMP))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_map_of_a_jpeg_is_turned_as_its_photo_is(orientation: int) -> None:
    # Both show the same thing, so that they stay alike however they are turned.
    shades = np.add.outer(np.arange(48) * 2, np.arange(64)).astype(np.uint8)
    with io.BytesIO(google(shades, orientation=orientation)) as file, Image.open(file) as image:
        assert image.getexif()[ExifTags.Base.Orientation] == orientation
        exif = image.info["exif"]
    turned = Photo.open(encode(np.dstack([shades] * 3), "JPEG", quality=100, exif=exif)).rgb[..., 0]
    assert alike(Photo.open(google(shades, orientation=orientation)).depth, -turned.astype(int))


def test_other_files_bring_none(tmp_path: Path) -> None:
    assert Photo.open(encode(PICTURE, "JPEG")).depth is None
    assert not brings_depth(encode(PICTURE))
    assert not brings_depth(b"no picture")
    assert not brings_depth(tmp_path / "missing.heic")


def test_the_map_of_one_file_can_be_taken_for_another(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read_depth(heic_with_depth(PICTURE, RAMP)), RAMP)
    (tmp_path / "me.jpg").write_bytes(encode(PICTURE, "JPEG"))
    with pytest.raises(PhotoError, match="is coloured"):
        read_depth(tmp_path / "me.jpg")
