"""Decoding and encoding of pictures."""

from __future__ import annotations

import contextlib
import io
import struct
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageCms, TiffImagePlugin

from arena.errors import OptionError, PhotoError
from arena.photo import Photo, encode, encode_depth, fit_within, format_of, read_depth, save


def encoded(image: Image.Image, file_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def linear_grey_profile() -> bytes:
    """An ICC profile (ICC.1:2001-04) of grey whose levels are proportional to light."""
    d50 = struct.pack(">3i", *(round(value * 65536) for value in (0.9642, 1.0, 0.8249)))
    tags = {b"wtpt": b"XYZ " + bytes(4) + d50, b"kTRC": b"curv" + bytes(8)}
    start, table, contents = 128 + 4 + 12 * len(tags), b"", b""
    for name, data in tags.items():
        table += name + struct.pack(">2I", start + len(contents), len(data))
        contents += data
    header = struct.pack(
        ">I4xI4s4s4s12x4s28x12s48x", start + len(contents), 0x02400000, b"mntr", b"GRAY", b"XYZ ", b"acsp", d50
    )
    return header + struct.pack(">I", len(tags)) + table + contents


def halves(mode: str = "RGB", width: int = 40, height: int = 24) -> Image.Image:
    """Left half red, right half blue: a picture that shows how it lies."""
    image = Image.new("RGB", (width, height), (200, 30, 40))
    image.paste((20, 40, 210), (width // 2, 0, width, height))
    return image.convert(mode)


@pytest.mark.parametrize(
    ("file_format", "options"),
    [
        ("JPEG", {"quality": 98, "subsampling": 0}),
        ("PNG", {}),
        ("WEBP", {"lossless": True}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("BMP", {}),
        ("GIF", {}),
        ("AVIF", {"quality": 95, "subsampling": "4:4:4"}),
        ("HEIF", {"quality": 95, "chroma": 444}),
    ],
)
def test_every_format_is_opened(file_format: str, options: dict[str, Any]) -> None:
    if file_format == "HEIF":
        import pillow_heif

        pillow_heif.register_heif_opener()
    photo = Photo.open(encoded(halves(), file_format, **options), name="holiday.any")
    assert photo.size == (40, 24)
    assert photo.name == "holiday"
    assert photo.rgb.dtype == np.uint8
    assert np.abs(photo.rgb[:, 2:16].astype(int) - (200, 30, 40)).max() < 14
    assert np.abs(photo.rgb[:, -16:-2].astype(int) - (20, 40, 210)).max() < 14


def test_only_the_first_frame_of_a_gif_counts() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert tuple(Photo.open(data).rgb[4, 4]) == (255, 0, 0)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_and_then_reset(orientation: int) -> None:
    upright = np.arange(6 * 4, dtype=np.uint8).reshape(6, 4) * 10
    # The inverse of what each orientation value asks a viewer to do.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright),
        7: upright[::-1, ::-1].T,
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.Make] = "Camera"
    photo = Photo.open(encoded(Image.fromarray(np.ascontiguousarray(stored)), "PNG", exif=exif))
    np.testing.assert_array_equal(photo.rgb[..., 0], upright)
    again = Photo.open(encode(photo.rgb, "JPEG", exif=photo.exif))
    assert again.size == photo.size
    kept = Image.open(io.BytesIO(encode(photo.rgb, "JPEG", exif=photo.exif))).getexif()
    assert kept[ExifTags.Base.Orientation] == 1
    assert kept[ExifTags.Base.Make] == "Camera"


def test_exif_blocks_within_blocks_survive_saving() -> None:
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2024:05:01 12:00:00"
    photo = Photo.open(encoded(halves(), "JPEG", exif=exif))
    kept = Image.open(io.BytesIO(encode(photo.rgb, "JPEG", exif=photo.exif))).getexif()
    assert kept.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] == "2024:05:01 12:00:00"


def test_what_exif_says_of_the_file_and_not_of_the_photo_is_left_out() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Camera"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    photo = Photo.open(encoded(halves("RGBA"), "TIFF", exif=exif, compression="tiff_lzw", icc_profile=profile))
    kept = Image.open(io.BytesIO(encode(photo.rgb, "JPEG", exif=photo.exif))).getexif()
    assert set(kept) == {ExifTags.Base.Make, ExifTags.Base.Orientation}
    exif[ExifTags.Base.Orientation] = 6
    shot = exif.get_ifd(ExifTags.IFD.Exif)
    shot |= {ExifTags.Base.ExifImageWidth: 40, ExifTags.Base.ExifImageHeight: 24, ExifTags.Base.ColorSpace: 65535}
    photo = Photo.open(encoded(halves(), "JPEG", exif=exif))
    kept = Image.open(io.BytesIO(encode(photo.rgb, "JPEG", exif=photo.exif))).getexif()
    shot = kept.get_ifd(ExifTags.IFD.Exif)
    assert (shot[ExifTags.Base.ExifImageWidth], shot[ExifTags.Base.ExifImageHeight]) == photo.size == (24, 40)
    assert shot[ExifTags.Base.ColorSpace] == 1
    assert ExifTags.IFD.GPSInfo not in kept


def test_a_damaged_exif_block_does_not_stop_a_photo() -> None:
    data = bytearray(encoded(halves(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\0\0"))
    photo = Photo.open(bytes(data))
    assert photo.size == (40, 24)


def test_an_icc_profile_is_converted_to_srgb() -> None:
    # In L*a*b* the same three bytes mean another colour than in sRGB.
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), lab, "RGB", "LAB")
    image = ImageCms.applyTransform(halves(), to_lab)
    assert image is not None
    photo = Photo.open(encoded(image, "TIFF", icc_profile=lab.tobytes()))
    assert np.abs(photo.rgb[4, 4].astype(int) - (200, 30, 40)).max() <= 3


def test_grey_with_alpha_keeps_its_profile() -> None:
    # Linear light: the level 128 is far brighter in sRGB.
    linear = linear_grey_profile()
    alone = Photo.open(encoded(Image.new("L", (8, 8), 128), "PNG", icc_profile=linear))
    image = Image.new("LA", (8, 8), (128, 255))
    image.putpixel((0, 0), (128, 0))
    both = Photo.open(encoded(image, "PNG", icc_profile=linear))
    assert alone.rgb[4, 4].tolist() == both.rgb[4, 4].tolist() == [188, 188, 188]
    assert both.rgba is not None
    assert both.rgba[..., 3].tolist()[0][:2] == [0, 255]


@pytest.mark.parametrize("quality", [1, 88, 92, 100])
def test_grain_does_not_keep_a_jpeg_from_being_written(quality: int) -> None:
    grain = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    assert Photo.open(encode(grain, "JPEG", quality=quality)).size == (300, 300)


def test_16_bit_grey_of_which_0_is_white() -> None:
    samples = np.linspace(0, 65535, 24 * 40).astype(np.uint16).reshape(24, 40)
    usual = Photo.open(encoded(Image.fromarray(samples), "TIFF"))
    turned = encoded(Image.fromarray(65535 - samples), "TIFF", tiffinfo={ExifTags.Base.PhotometricInterpretation: 0})
    np.testing.assert_array_equal(Photo.open(turned).rgb, usual.rgb)


def test_floating_point_grey_may_overshoot() -> None:
    samples = np.linspace(0, 1, 24 * 40, dtype=np.float32).reshape(24, 40)
    usual = Photo.open(encoded(Image.fromarray(samples), "TIFF"))
    samples[0, 0], samples[0, 1] = 1.2, 40.0
    photo = Photo.open(encoded(Image.fromarray(samples), "TIFF"))
    np.testing.assert_array_equal(photo.rgb[1:], usual.rgb[1:])
    assert photo.rgb[0, :2].min() == 255


@pytest.mark.parametrize("name", ["DSC_0001.NEF", "renamed.tif"])
def test_the_thumbnail_of_a_raw_file_is_not_taken_for_it(name: str) -> None:
    info = TiffImagePlugin.ImageFileDirectory_v2()
    info[ExifTags.Base.NewSubfileType] = 1
    info[ExifTags.Base.SubIFDs] = 8
    info.tagtype[ExifTags.Base.SubIFDs] = 4
    raw = encoded(halves(), "TIFF", tiffinfo=info)
    with pytest.raises(PhotoError, match="a camera's raw file, which has to be developed first"):
        Photo.open(raw, name=name)
    assert Photo.open(encoded(halves(), "TIFF"), name="usual.tif").size == (40, 24)


def test_a_tiff_of_a_kind_that_is_not_supported_is_not_called_damaged() -> None:
    # Of IEEE floating point: SampleFormat 3, with the 8 bits that it has.
    info = TiffImagePlugin.ImageFileDirectory_v2()
    info[ExifTags.Base.SampleFormat] = (3, 3, 3)
    with pytest.raises(PhotoError, match="a TIFF of a kind that is not supported; 8 or 16 bits a sample"):
        Photo.open(encoded(halves(), "TIFF", tiffinfo=info), name="deep.tif")


def test_16_bit_grey_keeps_its_transparent_level() -> None:
    levels = np.full((6, 8), 40_000, np.uint16)
    levels[:, :3] = 7
    photo = Photo.open(encoded(Image.fromarray(levels), "PNG", transparency=7))
    assert photo.rgba is not None
    assert photo.rgba[0, :, 3].tolist() == [0] * 3 + [255] * 5
    assert photo.rgb[0, 0].tolist() == [255, 255, 255]
    assert photo.rgb[0, 7].tolist() == [156, 156, 156]


def test_a_broken_icc_profile_is_ignored() -> None:
    photo = Photo.open(encoded(halves(), "PNG", icc_profile=b"no profile at all"))
    assert tuple(photo.rgb[4, 4]) == (200, 30, 40)


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "L", "1"])
def test_every_colour_mode_becomes_rgb(mode: str) -> None:
    image = halves(mode)
    photo = Photo.open(encoded(image, "TIFF"))
    expected = np.asarray(image.convert("RGB"))
    assert np.abs(photo.rgb.astype(int) - expected).max() <= 2


def test_a_palette_with_transparency_keeps_its_alpha() -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 10, 120, 30])
    image.putpixel((0, 0), 0)
    photo = Photo.open(encoded(image, "PNG", transparency=0))
    assert tuple(photo.rgb[0, 0]) == (255, 255, 255)
    assert tuple(photo.rgb[3, 3]) == (10, 120, 30)
    assert photo.rgba is not None
    assert photo.rgba[0, 0, 3] == 0


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    samples = np.array([[0, 257, 32896, 65535]], np.uint16)
    photo = Photo.open(encoded(Image.fromarray(samples), "PNG"))
    assert photo.rgb[0, :, 1].tolist() == [0, 1, 128, 255]


@pytest.mark.parametrize("largest", [1.0, 255.0])
def test_floating_point_grey_is_scaled_by_its_range(largest: float) -> None:
    samples = np.array([[0, 0.5, 1]], np.float32) * np.float32(largest)
    photo = Photo.open(encoded(Image.fromarray(samples), "TIFF"))
    assert photo.rgb[0, :, 0].tolist() == [0, 128, 255]


def test_alpha_lies_on_white_for_models_and_is_kept_for_cutouts() -> None:
    pixels = np.zeros((2, 3, 4), np.uint8)
    pixels[..., 0] = 100
    pixels[..., 3] = [[0, 51, 255], [255, 255, 255]]
    photo = Photo.open(encoded(Image.fromarray(pixels), "PNG"))
    assert photo.rgb[0].tolist() == [[255, 255, 255], [224, 204, 204], [100, 0, 0]]
    assert photo.straight_rgb[0, 0].tolist() == [100, 0, 0]
    kept = photo.cutout_alpha(np.full((2, 3), 0.5, np.float32))
    np.testing.assert_allclose(kept, [[0, 0.1, 0.5], [0.5, 0.5, 0.5]], atol=1e-6)


def test_an_opaque_alpha_channel_is_no_transparency() -> None:
    photo = Photo.open(encoded(halves("RGBA"), "PNG"))
    assert photo.rgba is None


def test_a_photo_above_the_limit_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(Image.new("1", (2000, 1500)), "PNG")
    with pytest.raises(PhotoError, match=r"big\.png has 2000 x 1500 pixels, more than the limit of 2 megapixels"):
        Photo.open(data, name="big.png", max_megapixels=2)
    monkeypatch.setenv("ARENA_MAX_MEGAPIXELS", "2.5")
    with pytest.raises(PhotoError, match=r"limit of 2\.5 megapixels"):
        Photo.open(data)
    monkeypatch.setenv("ARENA_MAX_MEGAPIXELS", "3")
    assert Photo.open(data).size == (2000, 1500)


def test_a_bomb_of_a_few_bytes_is_refused_by_its_header() -> None:
    data = encoded(Image.new("1", (60_000, 60_000)), "PNG", compress_level=9)
    before = Image.MAX_IMAGE_PIXELS
    with pytest.raises(PhotoError, match="60000 x 60000"):
        Photo.open(data)
    assert before == Image.MAX_IMAGE_PIXELS


def test_a_limit_above_pillows_own_is_honoured() -> None:
    data = encoded(Image.new("1", (16_000, 12_000)), "PNG")
    assert Photo.open(data, max_megapixels=200).size == (16_000, 12_000)


@pytest.mark.parametrize("limit", ["many", "0", "-3"])
def test_a_limit_that_makes_no_sense_is_named(monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setenv("ARENA_MAX_MEGAPIXELS", limit)
    with pytest.raises(OptionError):
        Photo.open(encoded(halves(), "PNG"))


@pytest.mark.parametrize(
    ("contents", "cause"),
    [
        (b"", "is empty"),
        (b"%PDF-1.7 ...", "a PDF document"),
        (b"PK\x03\x04 ...", "a ZIP archive"),
        (b"<!doctype html><p>404", "a web page"),
        (b"Just some words.", "its contents are no picture"),
        (b"\xff\xd8\xff\xe0", "no picture"),
    ],
)
def test_files_that_are_no_pictures_say_what_they_are(contents: bytes, cause: str) -> None:
    with pytest.raises(PhotoError, match=cause) as caught:
        Photo.open(contents, name="me.jpg")
    assert "me.jpg" in str(caught.value)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "AVIF"])
def test_a_truncated_file_is_refused_with_its_name(file_format: str) -> None:
    rng = np.random.default_rng(1)
    data = encoded(Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)), file_format)
    with pytest.raises(PhotoError, match=r"half\.img"):
        Photo.open(data[: len(data) // 2], name="half.img")


def test_a_picture_under_a_wrong_name_is_opened_by_its_contents() -> None:
    assert Photo.open(encoded(halves(), "PNG"), name="really-a-png.jpg").size == (40, 24)


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match="There is no file"):
        Photo.open(tmp_path / "nowhere.jpg")
    with pytest.raises(PhotoError, match="is a folder"):
        Photo.open(tmp_path)


def test_a_path_and_a_stream_give_the_same_photo(tmp_path: Path) -> None:
    path = tmp_path / "portrait.png"
    path.write_bytes(encoded(halves(), "PNG"))
    with path.open("rb") as stream:
        from_stream = Photo.open(stream)
    from_path = Photo.open(path)
    assert from_stream.name == from_path.name == "portrait"
    assert from_stream.digest == from_path.digest
    np.testing.assert_array_equal(from_stream.rgb, from_path.rgb)


def test_photos_decode_in_parallel() -> None:
    data = encoded(halves(), "JPEG")
    sizes: list[tuple[int, int]] = []
    threads = [threading.Thread(target=lambda: sizes.append(Photo.open(data).size)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sizes == [(40, 24)] * 8


@given(
    width=st.integers(1, 40),
    height=st.integers(1, 40),
    channels=st.sampled_from([3, 4]),
    file_format=st.sampled_from(["PNG", "WEBP", "JPEG"]),
    seed=st.integers(0, 2**16),
)
@settings(max_examples=60, deadline=None)
def test_what_is_encoded_can_be_opened_again(
    width: int, height: int, channels: int, file_format: Any, seed: int
) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)
    if file_format == "JPEG" and channels == 4:
        with pytest.raises(OptionError, match="neither transparency"):
            encode(pixels, file_format)
        return
    photo = Photo.open(encode(pixels, file_format))
    assert photo.size == (width, height)
    if file_format == "PNG" and channels == 3:
        np.testing.assert_array_equal(photo.rgb, pixels)
    if file_format == "PNG" and channels == 4 and photo.rgba is not None:
        np.testing.assert_array_equal(photo.rgba, pixels)


@given(data=st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_no_bytes_at_all_escape_as_another_exception(data: bytes) -> None:
    with pytest.raises(PhotoError):
        Photo.open(data)


@given(
    flips=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=20),
    kind=st.sampled_from(["JPEG", "PNG", "GIF", "TIFF", "WEBP"]),
)
@settings(max_examples=150, deadline=None)
def test_damaged_pictures_open_or_raise_photo_error(flips: list[tuple[int, int]], kind: str) -> None:
    data = bytearray(encoded(halves(), kind))
    for position, value in flips:
        data[position % len(data)] = value
    with contextlib.suppress(PhotoError):
        assert Photo.open(bytes(data), max_megapixels=4).rgb.ndim == 3


def test_sixteen_bit_grey_survives_png() -> None:
    samples = np.array([[0, 1, 30_000, 65_535]], np.uint16)
    with Image.open(io.BytesIO(encode(samples))) as image:
        assert image.mode == "I;16"
        np.testing.assert_array_equal(np.asarray(image), samples)


def test_encoded_colour_carries_an_srgb_profile() -> None:
    for file_format in ("JPEG", "PNG", "WEBP"):
        with Image.open(io.BytesIO(encode(np.zeros((4, 4, 3), np.uint8), file_format))) as image:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
            assert "sRGB" in ImageCms.getProfileDescription(profile)


def test_quality_changes_the_size_of_a_jpeg() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert len(encode(pixels, "JPEG", quality=95)) > 2 * len(encode(pixels, "JPEG", quality=30))
    with pytest.raises(OptionError, match="outside 1 to 100"):
        encode(pixels, "JPEG", quality=0)


def test_saving_makes_the_folder_and_leaves_no_partial_file(tmp_path: Path) -> None:
    target = save(tmp_path / "new" / "out.png", np.zeros((3, 3, 4), np.uint8))
    assert [p.name for p in target.parent.iterdir()] == ["out.png"]


def test_names_decide_the_format_and_bad_ones_are_explained(tmp_path: Path) -> None:
    assert format_of(Path("A.JPG")) == "JPEG"
    with pytest.raises(OptionError, match=r"out\.jpg would be a JPEG, which holds no transparency"):
        save(tmp_path / "out.jpg", np.zeros((3, 3, 4), np.uint8))
    with pytest.raises(OptionError, match=r'ends in "\.psd"'):
        format_of(Path("a.psd"))
    with pytest.raises(OptionError, match="has no ending"):
        format_of(Path("a"))


def test_a_place_that_cannot_be_written_is_an_error_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(PhotoError, match="cannot be written"):
        save(tmp_path / "file" / "out.png", np.zeros((3, 3, 3), np.uint8))


@pytest.mark.parametrize(
    ("samples", "mode"),
    [
        (np.arange(12, dtype=np.uint8).reshape(3, 4), "PNG"),
        (np.arange(12, dtype=np.uint16).reshape(3, 4) * 5000, "PNG"),
        (np.arange(12, dtype=np.uint16).reshape(3, 4) * 5000, "TIFF"),
        (np.linspace(0, 1.5, 12, dtype=np.float32).reshape(3, 4), "TIFF"),
        (np.repeat(np.arange(12, dtype=np.uint8).reshape(3, 4)[..., None], 3, axis=2), "PNG"),
        (np.dstack([np.arange(12, dtype=np.uint8).reshape(3, 4), np.full((3, 4), 9, np.uint8)]), "PNG"),
    ],
)
def test_depth_maps_of_every_kind_are_read_as_they_are(samples: Any, mode: str) -> None:
    grey = samples if samples.ndim == 2 else samples[..., 0]
    depth = read_depth(encoded(Image.fromarray(samples), mode))
    assert depth.dtype == np.float32
    np.testing.assert_array_equal(depth, grey.astype(np.float32))


@pytest.mark.parametrize("mode", ["1", "L", "I;16"])
def test_a_depth_map_whose_white_is_zero_is_the_other_way_round(mode: str) -> None:
    # What lies left is the smaller sample, which is the brighter one here.
    image = Image.new("L", (40, 20), 5)
    image.paste(250, (20, 0, 40, 20))
    image = image.point(lambda level: level * 256, "I").convert("I;16") if mode == "I;16" else image.convert(mode)
    options = {"tiffinfo": {ExifTags.Base.PhotometricInterpretation: 0}}
    file = encoded(image, "TIFF", **options)
    depth = read_depth(file)
    photo = Photo.open(file).rgb
    assert bool(depth[0, 0] > depth[0, 39]) == bool(photo[0, 0, 0] > photo[0, 39, 0])


@pytest.mark.parametrize("file_format", ["JPEG", "WEBP"])
def test_a_grey_map_that_a_format_has_tinted_is_read(file_format: str) -> None:
    ramp = np.linspace(0, 255, 96).astype(np.uint8)[:, None].repeat(64, axis=1)
    depth = read_depth(encoded(Image.fromarray(ramp).convert("RGB"), file_format, quality=80))
    assert np.abs(depth - ramp).mean() < 3


def test_a_depth_map_is_turned_as_its_photo_is() -> None:
    samples = np.arange(12, dtype=np.uint8).reshape(3, 4)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    turned = read_depth(encoded(Image.fromarray(samples), "PNG", exif=exif))
    np.testing.assert_array_equal(turned, np.rot90(samples, -1))


def test_what_is_no_depth_map_is_refused_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "heat.png").write_bytes(encoded(halves(), "PNG"))
    with pytest.raises(PhotoError, match=r"heat\.png is coloured, and a depth map is grey"):
        read_depth(tmp_path / "heat.png")
    for missing in (np.nan, np.inf, -3.4e38):
        with pytest.raises(PhotoError, match="samples that are no numbers"):
            read_depth(encoded(Image.fromarray(np.full((3, 4), missing, np.float32)), "TIFF"))
    with pytest.raises(PhotoError, match=r"There is no file|nowhere\.png"):
        read_depth(tmp_path / "nowhere.png")


def test_a_written_depth_map_is_the_same_but_for_unit_and_zero() -> None:
    depth = np.random.default_rng(1).normal(size=(20, 30)).astype(np.float32)
    again = read_depth(encode_depth(depth))
    stretched = (depth - depth.min()) / (depth.max() - depth.min())
    np.testing.assert_allclose(again / 65535, stretched, atol=1e-5)
    assert not read_depth(encode_depth(np.full((2, 2), 7, np.float32))).any()


def test_a_photo_takes_the_depth_of_its_own_view_alone() -> None:
    photo = Photo.from_array(np.zeros((300, 451, 3), np.uint8))
    depth = np.zeros((34, 51), np.float32)
    known = photo.with_depth(depth)
    assert known.depth is not None
    assert (known.rgb is photo.rgb, known.digest, photo.depth) == (True, photo.digest, None)
    assert known.with_depth(None).depth is None
    for shape in ((51, 34), (34, 34), (300, 440)):
        with pytest.raises(OptionError, match="is not of a photo of 451 x 300 px"):
            photo.with_depth(np.zeros(shape, np.float32))
    with pytest.raises(OptionError, match="depth must be a float32 array"):
        photo.with_depth(np.zeros((34, 51)))


def test_fit_within_keeps_proportions_and_never_enlarges() -> None:
    pixels = np.zeros((300, 900, 3), np.uint8)
    assert fit_within(pixels, 90).shape == (30, 90, 3)
    assert fit_within(pixels, 900) is pixels
    assert fit_within(np.zeros((1, 4000), np.uint8), 10).shape == (1, 10)


@pytest.mark.parametrize("shape", [(0, 4, 3), (4, 4, 2), (4,)])
def test_from_array_refuses_what_is_no_photo(shape: tuple[int, ...]) -> None:
    with pytest.raises(OptionError):
        Photo.from_array(np.zeros(shape, np.uint8))
    with pytest.raises(OptionError):
        Photo.from_array(np.zeros((4, 4, 3), np.float32))
