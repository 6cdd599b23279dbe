"""A picture of one size in a frame of another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arena.compose import ANCHORS, FITS, fit_background
from arena.compose.fit import LARGEST_SCALE
from arena.errors import OptionError
from tests.compose.scenes import RELAID, SIDES, noise, quick

NUMBERED = np.repeat(np.arange(1, 7, dtype=np.uint8).reshape(2, 3, 1) * 10, 3, axis=2)
"""Two rows of three: 10 20 30 over 40 50 60."""

BAR = (7, 7, 7)


def fitted(size: tuple[int, int], **options: Any) -> list[list[int]]:
    rows: list[list[int]] = fit_background(NUMBERED, size, fill=BAR, **options)[..., 0].tolist()
    return rows


def test_a_picture_of_the_frames_size_is_copied() -> None:
    for fit in FITS:
        out = fit_background(NUMBERED, (2, 3), fit)
        np.testing.assert_array_equal(out, NUMBERED)
        assert not np.shares_memory(out, NUMBERED)


@pytest.mark.parametrize(
    ("anchor", "rows"),
    [
        ("left", [[10, 20], [40, 50]]),
        ("right", [[20, 30], [50, 60]]),
        ((1, 0), [[20, 30], [50, 60]]),
        ("top", [[10, 20], [40, 50]]),
    ],
)
def test_cover_cuts_at_the_anchor(anchor: Any, rows: list[list[int]]) -> None:
    assert fitted((2, 2), anchor=anchor) == rows


@pytest.mark.parametrize(
    ("anchor", "rows"),
    [
        ("top", [[10, 20, 30], [40, 50, 60], [7, 7, 7], [7, 7, 7]]),
        ("centre", [[7, 7, 7], [10, 20, 30], [40, 50, 60], [7, 7, 7]]),
        ("center", [[7, 7, 7], [10, 20, 30], [40, 50, 60], [7, 7, 7]]),
        ("bottom-right", [[7, 7, 7], [7, 7, 7], [10, 20, 30], [40, 50, 60]]),
    ],
)
def test_contain_leaves_bars_of_the_fill(anchor: str, rows: list[list[int]]) -> None:
    assert fitted((4, 3), fit="contain", anchor=anchor) == rows


def test_tiles_repeat_from_the_anchor() -> None:
    assert fitted((3, 4), fit="tile", anchor="top-left") == [[10, 20, 30, 10], [40, 50, 60, 40], [10, 20, 30, 10]]
    assert fitted((3, 4), fit="tile", anchor="bottom-right") == [[60, 40, 50, 60], [30, 10, 20, 30], [60, 40, 50, 60]]
    column = fit_background(NUMBERED.swapaxes(0, 1), (4, 2), "tile", "bottom-right")
    np.testing.assert_array_equal(column[..., 0], [[30, 60], [10, 40], [20, 50], [30, 60]])


def test_tiles_larger_than_the_frame_are_cut_alike() -> None:
    picture = noise(60, 80, 1)
    frame = fit_background(picture, (20, 30), "tile", "centre")
    np.testing.assert_array_equal(frame, picture[20:40, 25:55])
    whole = fit_background(picture, (60, 30), "tile", (0, 0), scale=0.8)
    np.testing.assert_array_equal(whole[48:], whole[:12])


def test_stretch_fills_the_frame_whatever_its_proportions() -> None:
    halves = np.zeros((2, 10, 3), np.uint8)
    halves[:, 5:] = 200
    out = fit_background(halves, (50, 20), "stretch").astype(int)
    # The cubic filter overshoots by a few levels beside a hard edge.
    assert np.abs(out[:, :8]).max() <= 8
    assert np.abs(out[:, 12:] - 200).max() <= 8


def test_a_scale_below_one_leaves_bars_and_above_one_cuts() -> None:
    picture = np.full((40, 40, 3), 200, np.uint8)
    small = fit_background(picture, (40, 40), scale=0.5, anchor="top-left", fill=BAR)
    assert (small[:20, :20] == 200).all()
    assert (small[20:] == 7).all()
    assert (small[:, 20:] == 7).all()
    ramp = np.repeat(np.linspace(0, 250, 100).astype(np.uint8)[None, :, None], 100, axis=0).repeat(3, axis=2)
    large = fit_background(ramp, (100, 100), scale=2.0)
    assert int(large[50, 0, 0]) == pytest.approx(int(ramp[50, 25, 0]), abs=3)
    assert int(large[50, -1, 0]) == pytest.approx(int(ramp[50, 74, 0]), abs=3)


def test_shrinking_averages_two_by_two_pixels() -> None:
    picture = noise(64, 96, 3)
    means = picture.reshape(32, 2, 48, 2, 3).mean(axis=(1, 3))
    assert np.abs(fit_background(picture, (32, 48)) - means).max() <= 1


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("side", [37, 100, 171])
def test_a_fine_pattern_turns_grey_and_does_not_alias(channels: int, side: int) -> None:
    board = ((np.indices((512, 512)).sum(axis=0) % 2) * 255).astype(np.uint8)
    picture = np.repeat(board[..., None], channels, axis=2)
    picture[..., 3:] = 255
    out = fit_background(picture, (side, side)).astype(float)
    # Bare sampling has a deviation of some 127 here.
    assert np.abs(out[2:-2, 2:-2] - 127.5).max() < 30


def test_strips_of_an_enlarged_picture_join_without_a_seam() -> None:
    ramp = np.linspace(0, 255, 64).astype(np.uint8)
    picture = np.ascontiguousarray(np.broadcast_to(ramp[:, None, None], (64, 5, 3)))
    column = fit_background(picture, (1000, 60), "stretch")[:, 30, 0].astype(int)
    assert np.diff(column).min() >= 0
    assert np.diff(column).max() <= 2


def test_transparent_parts_show_the_fill_and_hide_their_colour() -> None:
    picture = np.zeros((20, 20, 4), np.uint8)
    picture[..., 0] = 255
    picture[:, 10:, 3] = 255
    for size in ((20, 20), (50, 50), (10, 10)):
        out = fit_background(picture, size, fill=(0, 0, 100))
        assert tuple(out[size[0] // 2, 0]) == (0, 0, 100)
        assert tuple(out[size[0] // 2, -1]) == (255, 0, 0)
    half = np.full((3, 3, 4), (200, 100, 0, 128), np.uint8)
    np.testing.assert_allclose(fit_background(half, (3, 3), fill=(0, 0, 0))[1, 1], (100, 50, 0), atol=1)


@quick
@given(
    SIDES, SIDES, SIDES, SIDES, st.sampled_from(FITS), st.sampled_from(sorted(ANCHORS)), st.sampled_from([0.1, 1, 1.7])
)
def test_a_plain_picture_stays_plain_at_any_size(
    height: int, width: int, rows: int, columns: int, fit: Any, anchor: str, scale: float
) -> None:
    picture = np.full((rows, columns, 3), (10, 120, 250), np.uint8)
    picture.flags.writeable = False
    out = fit_background(picture, (height, width), fit, anchor, scale, fill=(10, 120, 250))
    assert out.shape == (height, width, 3)
    np.testing.assert_array_equal(out, np.broadcast_to(picture[:1, :1], out.shape))


def test_an_enormous_tile_or_scale_needs_no_more_memory_than_the_frame() -> None:
    picture = noise(200, 300, 5)
    for fit in FITS:
        assert fit_background(picture, (20, 30), fit, scale=LARGEST_SCALE).shape == (20, 30, 3)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("size", [(97, 61), (40, 33), (150, 190)])
@pytest.mark.parametrize("layout", RELAID)
def test_the_memory_layout_changes_nothing(layout: str, size: tuple[int, int], fit: Any) -> None:
    for channels in (3, 4):
        picture = noise(97, 61, 2, channels)
        expected = fit_background(picture, size, fit)
        np.testing.assert_array_equal(fit_background(RELAID[layout](picture), size, fit), expected)


@pytest.mark.parametrize(
    "options",
    [
        {"size": (0, 5)},
        {"size": (5,)},
        {"size": (5.0, 5)},
        {"fit": "fill"},
        {"anchor": "middle"},
        {"anchor": (0.5, 1.1)},
        {"anchor": (0.5,)},
        {"scale": 0},
        {"scale": float("nan")},
        {"scale": "2"},
        {"scale": True},
        {"fill": (0, 0, 256)},
        {"picture": np.zeros((4, 4), np.uint8)},
        {"picture": np.zeros((0, 4, 3), np.uint8)},
        {"picture": np.zeros((4, 4, 3), np.float32)},
    ],
)
def test_what_cannot_be_fitted_is_refused(options: dict[str, Any]) -> None:
    arguments: dict[str, Any] = {"picture": NUMBERED, "size": (4, 4), **options}
    with pytest.raises(OptionError):
        fit_background(**arguments)
