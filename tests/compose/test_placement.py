"""The subject moved and scaled within its frame."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arena.compose import AS_SHOT, Placement, place_subject
from arena.errors import OptionError
from tests.compose.scenes import RELAID, matte, noise, portrait, quick, scenes


def block(top: int, left: int, bottom: int, right: int, side: int = 100) -> tuple[Any, Any]:
    """A red square in front of blue."""
    alpha = np.zeros((side, side), np.float32)
    alpha[top:bottom, left:right] = 1
    rgb = np.full((side, side, 3), (0, 0, 255), np.uint8)
    rgb[top:bottom, left:right] = (255, 0, 0)
    return rgb, alpha


def bounds(alpha: Any) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero((alpha > 0.5).any(axis=1)), np.flatnonzero((alpha > 0.5).any(axis=0))
    return rows[0], columns[0], rows[-1] + 1, columns[-1] + 1


@quick
@given(scenes())
def test_as_shot_changes_nothing(scene: Any) -> None:
    rgb, alpha, _ = scene
    colours, share = place_subject(rgb, alpha, AS_SHOT)
    np.testing.assert_array_equal(colours, rgb)
    np.testing.assert_array_equal(share, alpha)


@quick
@given(scenes(), st.floats(-1, 1), st.floats(-1, 1), st.sampled_from([0.05, 0.5, 0.99, 1.0, 1.7, 20.0]))
def test_any_placement_gives_a_matte_and_colours_of_the_frame(scene: Any, x: float, y: float, scale: float) -> None:
    rgb, alpha, _ = scene
    rgb.flags.writeable = alpha.flags.writeable = False
    colours, share = place_subject(rgb, alpha, Placement(x, y, scale))
    assert colours.shape == rgb.shape
    assert colours.dtype == np.uint8
    assert share.shape == alpha.shape
    assert share.dtype == np.float32
    assert 0 <= share.min() <= share.max() <= 1


def test_a_move_is_exact_and_what_leaves_the_frame_is_gone() -> None:
    rgb, alpha = noise(40, 60, 1), matte(40, 60, 2)
    colours, share = place_subject(rgb, alpha, Placement(x=0.25, y=-0.5))
    np.testing.assert_array_equal(share[:20, 15:], alpha[20:, :45])
    kept = alpha[20:, :45] > 0
    np.testing.assert_array_equal(colours[:20, 15:][kept], rgb[20:, :45][kept])
    assert not share[20:].any()
    assert not share[:, :15].any()
    assert not place_subject(rgb, alpha, Placement(x=1))[1].any()


@pytest.mark.parametrize(
    ("where", "scale", "expected"),
    [
        ((40, 40, 80, 60), 0.5, (60, 45, 80, 55)),  # stays on its feet
        ((40, 40, 80, 60), 2.0, (0, 30, 80, 70)),
        ((40, 40, 100, 60), 0.5, (70, 45, 100, 55)),  # cut below: still cut below
        ((40, 60, 100, 100), 0.5, (70, 80, 100, 100)),  # cut below and to the right
        ((40, 0, 100, 40), 0.5, (70, 0, 100, 20)),
        ((0, 40, 60, 60), 0.5, (0, 45, 30, 55)),  # cut above only
        ((50, 0, 100, 100), 0.5, (75, 25, 100, 75)),  # cut at both sides: one must show
    ],
)
def test_scaling_keeps_the_feet_or_the_cut_edge_in_place(where: Any, scale: float, expected: Any) -> None:
    share = place_subject(*block(*where), Placement(scale=scale))[1]
    np.testing.assert_allclose(bounds(share), expected, atol=0)


@pytest.mark.parametrize("scale", [0.31, 0.5, 0.77, 1.3, 3.0])
def test_a_cut_edge_stays_opaque(scale: float) -> None:
    rgb, alpha = portrait(101, 83)
    share = place_subject(rgb, alpha, Placement(scale=scale))[1]
    assert share[-1].max() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("scale", [0.37, 0.8, 1.4, 2.6])
def test_nothing_from_behind_the_subject_comes_along(scale: float) -> None:
    colours, share = place_subject(*block(30, 30, 70, 70), Placement(scale=scale))
    assert (colours[share > 0.02].astype(int) - (255, 0, 0)).max() <= 1
    assert np.abs(colours[share > 0.02].astype(int) - (255, 0, 0)).max() <= 3


def test_the_area_grows_with_the_square_of_the_scale() -> None:
    rgb, alpha = portrait(200, 300)
    for scale in (0.5, 0.8):
        share = place_subject(rgb, alpha, Placement(scale=scale))[1]
        assert share.sum() == pytest.approx(alpha.sum() * scale**2, rel=0.02)


@pytest.mark.parametrize("placement", [Placement(0.1, -0.2), Placement(0.1, 0, 0.7), Placement(0, 0, 1.6)])
@pytest.mark.parametrize("layout", RELAID)
def test_the_memory_layout_changes_nothing(layout: str, placement: Placement) -> None:
    rgb, alpha = noise(197, 61, 1), matte(197, 61, 3)
    relaid = place_subject(RELAID[layout](rgb), RELAID[layout](alpha), placement)
    for got, expected in zip(relaid, place_subject(rgb, alpha, placement), strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    "options", [{"x": 1.1}, {"y": -2}, {"scale": 0}, {"scale": 21}, {"scale": float("inf")}, {"x": "left"}]
)
def test_a_placement_out_of_bounds_is_never_made(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=f"^{next(iter(options))}"):
        Placement(**options)


def test_something_else_than_a_placement_is_refused() -> None:
    with pytest.raises(OptionError, match="placement"):
        place_subject(*portrait(), (0, 0, 1))  # type: ignore[arg-type]
