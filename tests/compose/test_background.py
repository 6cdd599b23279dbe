"""Backgrounds that are drawn, and how they are written down."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arena.compose import Gradient, Plain, Transparent, parse_background, parse_colour
from arena.errors import OptionError
from tests.compose.scenes import SIDES, quick

LEVELS = st.tuples(*[st.integers(0, 255)] * 3)


@pytest.mark.parametrize(
    ("text", "colour"),
    [
        ("white", (255, 255, 255)),
        (" #aabbcc ", (170, 187, 204)),
        ("#ABC", (170, 187, 204)),
        ("rgb(1, 2, 3)", (1, 2, 3)),
        ("hsl(120, 100%, 50%)", (0, 255, 0)),
        ("#102030ff", (16, 32, 48)),
    ],
)
def test_a_colour_is_read(text: str, colour: tuple[int, int, int]) -> None:
    assert parse_colour(text) == colour
    assert parse_background(text) == Plain(colour)


@pytest.mark.parametrize(
    "text", ["", "whitish", "#ab", "rgb(1,2)", "rgb(300,0,0)", "#11223380", "transparent", "x" * 200]
)
def test_what_is_no_opaque_colour_is_refused(text: str) -> None:
    with pytest.raises(OptionError):
        parse_colour(text)


@pytest.mark.parametrize(
    ("text", "background"),
    [
        ("transparent", Transparent()),
        (" Transparent ", Transparent()),
        ("gradient:#112233-#445566@45", Gradient(((17, 34, 51), (68, 85, 102)), "linear", 45)),
        ("gradient:white - navy", Gradient(((255, 255, 255), (0, 0, 128)), "linear", 180)),
        ("gradient:red-lime-blue@-90", Gradient(((255, 0, 0), (0, 255, 0), (0, 0, 255)), "linear", -90)),
        ("Radial:rgb(1,2,3)-#fff", Gradient(((1, 2, 3), (255, 255, 255)), "radial")),
    ],
)
def test_a_background_is_read(text: str, background: object) -> None:
    assert parse_background(text) == background


@pytest.mark.parametrize(
    "text",
    [
        "gradient:",
        "gradient:red",
        "gradient:red-blue@",
        "gradient:red-blue@north",
        "gradient:red-blue@nan",
        "gradient:red-blue@361",
        "radial:red-blue@45",
        "transparent:red",
        "beach:red-blue",
        "beach.jpg",
        "",
    ],
)
def test_what_is_no_background_is_refused_with_a_way_out(text: str) -> None:
    with pytest.raises(OptionError) as caught:
        parse_background(text)
    assert caught.value.remedy or "from -360 to 360" in str(caught.value)


@quick
@given(SIDES, SIDES, LEVELS, LEVELS, st.floats(-360, 360), st.sampled_from(["linear", "radial"]))
def test_a_gradient_stays_between_its_colours(
    height: int, width: int, first: Any, last: Any, angle: float, shape: Any
) -> None:
    out = Gradient((first, last), shape, angle).render(height, width)
    assert out.shape == (height, width, 3)
    assert out.dtype == np.uint8
    assert (out >= np.minimum(first, last)).all()
    assert (out <= np.maximum(first, last)).all()


def test_a_gradient_runs_where_its_angle_points() -> None:
    black_to_white = ((0, 0, 0), (255, 255, 255))
    down = Gradient(black_to_white).render(5, 3)[..., 0]
    # Pixel centres lie at 1/10, 3/10, ... of the way.
    np.testing.assert_allclose(down, np.repeat([[26], [77], [128], [179], [230]], 3, axis=1), atol=1)
    up, right = Gradient(black_to_white, angle=0).render(5, 3), Gradient(black_to_white, angle=90).render(3, 5)
    np.testing.assert_array_equal(up[..., 0], down[::-1])
    np.testing.assert_array_equal(right[..., 0], down.T)
    corner = Gradient(black_to_white, angle=135).render(200, 300)
    assert corner[0, 0, 0] <= 1
    assert corner[-1, -1, 0] >= 254


def test_a_radial_gradient_goes_from_the_middle_to_the_corners() -> None:
    out = Gradient(((255, 0, 0), (0, 255, 0), (0, 0, 255)), "radial").render(201, 301)
    np.testing.assert_allclose(out[100, 150], (255, 0, 0), atol=1)
    np.testing.assert_allclose(out[[0, 0, -1, -1], [0, -1, 0, -1]], [(0, 0, 255)] * 4, atol=2)
    np.testing.assert_array_equal(out, out[::-1, ::-1])


@pytest.mark.parametrize(
    "make",
    [
        lambda: Plain((0, 0, 256)),
        lambda: Plain((0.5, 0, 0)),  # type: ignore[arg-type]
        lambda: Plain("red"),  # type: ignore[arg-type]
        lambda: Gradient(((0, 0, 0),)),
        lambda: Gradient(((0, 0, 0), (0, 0, -1))),
        lambda: Gradient(((0, 0, 0), (1, 1, 1)), "conic"),  # type: ignore[arg-type]
        lambda: Gradient(((0, 0, 0), (1, 1, 1)), "linear", float("nan")),
    ],
)
def test_a_background_that_cannot_be_drawn_is_never_made(make: Any) -> None:
    with pytest.raises(OptionError):
        make()
