"""Depth maps that phones put into their files."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
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
    from collections.abc import Callable
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


def google(
    depth: NDArray[np.uint8],
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
    main = f"<rdf:Description {facts} xmpNote:HasExtendedXMP='x' {'' if apart else held}/>".encode()
    segments = [b"http://ns.adobe.com/xap/1.0/\0" + main]
    if apart:
        rest = f"<rdf:Description {held}/>".encode()
        name = hashlib.md5(rest, usedforsecurity=False).hexdigest().upper().encode()
        parts = []
        for start in range(0, len(rest), 1000):
            place = len(rest).to_bytes(4, "big") + start.to_bytes(4, "big")
            parts.append(b"http://ns.adobe.com/xmp/extension/\0" + name + place + rest[start : start + 1000])
        # Their order in the file is not their order in the text.
        segments += parts[::-1]
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    plain = encode(PICTURE, "JPEG", exif=exif.tobytes())
    more = b"".join(b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body for body in segments)
    return plain[:2] + more + plain[2:]


def dynamic(
    depth: NDArray[np.uint8], *, layout: str = "RangeInverse", as_elements: bool = False, trailer: int = 500
) -> bytes:
    """A JPEG with its depth map behind it, and something else behind that."""
    held = encode(depth, "JPEG", quality=100)
    items = [("primary_image", 0), ("android/depthmap", len(held)), ("android/confidencemap", trailer)]
    if as_elements:
        said = "".join(
            f"<rdf:li><Item:Mime>image/jpeg</Item:Mime><Item:Length>{length}</Item:Length>"
            f"<Item:DataURI>{name}</Item:DataURI></rdf:li>"
            for name, length in items
        )
    else:
        said = "".join(
            f'<Container:Item Item:Mime="image/jpeg" Item:Length="{length}" Item:Padding="0" Item:DataURI="{name}"/>'
            for name, length in items
        )
    said += f'<Camera:DepthMap DepthMap:Format="{layout}" DepthMap:Near="0.5" DepthMap:Far="8.0"/>'
    body = b"http://ns.adobe.com/xap/1.0/\0" + said.encode()
    photo = encode(PICTURE, "JPEG")
    segment = b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body
    return photo[:2] + segment + photo[2:] + held + bytes(trailer)


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


WHOLE = {"heic": heic_with_depth(PICTURE, RAMP), "xmp": google(RAMP, apart=True), "appended": dynamic(RAMP)}


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


@pytest.mark.parametrize("as_elements", [False, True])
def test_a_jpeg_with_its_depth_behind_it_brings_it(*, as_elements: bool) -> None:
    data = dynamic(RAMP, as_elements=as_elements)
    assert alike(Photo.open(data).depth, 255 - RAMP.astype(int))
    assert brings_depth(data)
    # Programs that edit a photo keep what was said of it, and not always what lies behind it.
    assert Photo.open(data[:-700]).depth is None


@pytest.mark.parametrize("make", [google, dynamic])
def test_distances_in_a_jpeg_are_inverted(make: Callable[..., bytes]) -> None:
    assert alike(Photo.open(make(RAMP, layout="RangeLinear")).depth, 1 / (0.5 + RAMP / 255 * 7.5))


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
