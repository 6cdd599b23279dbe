"""The subject in front of another background, for any picture, matte and memory layout.

The golden pictures are what the options make of a drawn portrait before a drawn meadow. After a change that is meant to
show, look at the new ones and keep them: ``ARENA_REGENERATE=1 pytest tests/compose/test_replace.py -k golden``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arena.compose import (
    FITS,
    Gradient,
    Placement,
    Plain,
    Transparent,
    blur_plate,
    composite,
    composite_linear,
    cutout,
    fit_background,
    place_subject,
    replace_background,
)
from arena.errors import OptionError
from tests.compose.scenes import RELAID, matte, noise, portrait, quick, scenery, scenes

GOLDEN = Path(__file__).parents[1] / "golden" / "replace_48x36.npz"
GOLDEN_TOLERANCE = 2
"""Levels: OpenCV and Pillow may round otherwise on other processors."""

DRAWN = (Plain((200, 30, 90)), Gradient(((0, 0, 80), (250, 240, 200)), "linear", 30.0), Gradient(((9,) * 3, (99,) * 3)))
KERNELS = st.sampled_from([1, 3, 21, 101, 255])
STRENGTHS = st.sampled_from([0.0, 0.5, 1.0])
PLACEMENTS = st.sampled_from([Placement(), Placement(0.2, -0.1), Placement(0, 0, 0.6), Placement(-0.5, 0.3, 1.5)])


@st.composite
def options(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "fit": draw(st.sampled_from(FITS)),
        "anchor": draw(st.sampled_from(["centre", "top-left", (0.3, 0.9)])),
        "scale": draw(st.sampled_from([0.5, 1.0, 2.0])),
        "fill": draw(st.sampled_from([(0, 0, 0), (250, 128, 3)])),
        "kernel": draw(KERNELS),
        "linear": draw(st.booleans()),
    }


@quick
@given(scenes(), options(), st.integers(0, 3))
def test_the_subject_is_the_foreground_and_the_rest_is_the_background(scene: Any, chosen: Any, drawn: int) -> None:
    rgb, alpha, picture = scene
    background = picture if drawn == 3 else DRAWN[drawn]
    front = noise(alpha.shape[0], alpha.shape[1], 99)
    for foreground in (None, front):
        out = replace_background(rgb, alpha, background, foreground=foreground, **chosen)
        assert out.shape == rgb.shape
        assert out.dtype == np.uint8
        expected = rgb if foreground is None else front
        np.testing.assert_array_equal(out[alpha == 1], expected[alpha == 1])
        empty = replace_background(rgb, np.zeros_like(alpha), background, **chosen)
        np.testing.assert_array_equal(out[alpha == 0], empty[alpha == 0])


@quick
@given(scenes(), options())
def test_the_background_is_the_fitted_picture_blurred_by_its_kernel(scene: Any, chosen: Any) -> None:
    rgb, alpha, picture = scene
    nothing = np.zeros_like(alpha)
    fitting = {name: chosen[name] for name in ("fit", "anchor", "scale", "fill")}
    fitted = fit_background(picture, (alpha.shape[0], alpha.shape[1]), **fitting)
    expected = fitted if chosen["kernel"] == 1 else blur_plate(fitted, nothing, chosen["kernel"])
    np.testing.assert_array_equal(replace_background(rgb, nothing, picture, **chosen), expected)


@quick
@given(scenes(), options(), STRENGTHS, STRENGTHS, PLACEMENTS)
def test_no_option_of_the_subject_touches_the_background(
    scene: Any, chosen: Any, harmonise: float, light_wrap: float, subject: Placement
) -> None:
    rgb, alpha, picture = scene
    out = replace_background(rgb, alpha, picture, harmonise=harmonise, light_wrap=light_wrap, subject=subject, **chosen)
    empty = replace_background(rgb, np.zeros_like(alpha), picture, **chosen)
    clear = place_subject(rgb, alpha, subject)[1] == 0
    np.testing.assert_array_equal(out[clear], empty[clear])


@quick
@given(scenes(), options(), PLACEMENTS)
def test_inputs_stay_as_they_were_and_a_second_call_gives_the_same(scene: Any, chosen: Any, subject: Placement) -> None:
    kept = [array.copy() for array in scene]
    for array in scene:
        array.flags.writeable = False
    effects: dict[str, Any] = {**chosen, "harmonise": 0.7, "light_wrap": 0.4, "subject": subject}
    first = replace_background(*scene, **effects)
    np.testing.assert_array_equal(first, replace_background(*scene, **effects))
    for array, before in zip(scene, kept, strict=True):
        np.testing.assert_array_equal(array, before)


@quick
@given(scenes())
def test_strength_0_and_kernel_1_are_exactly_off(scene: Any) -> None:
    rgb, alpha, picture = scene
    fitted = fit_background(picture, (alpha.shape[0], alpha.shape[1]))
    off = replace_background(rgb, alpha, picture, kernel=1, harmonise=0, light_wrap=0)
    np.testing.assert_array_equal(off, composite(rgb, fitted, alpha))
    linear = replace_background(rgb, alpha, picture, linear=True)
    np.testing.assert_array_equal(linear, composite_linear(rgb, fitted, alpha))


@quick
@given(scenes(), PLACEMENTS)
def test_a_transparent_result_laid_over_a_picture_is_the_replacement(scene: Any, subject: Placement) -> None:
    rgb, alpha, picture = scene
    rgba = replace_background(rgb, alpha, Transparent(), subject=subject, kernel=5, harmonise=1, light_wrap=1)
    assert rgba.shape == (*alpha.shape, 4)
    fitted = fit_background(picture, (alpha.shape[0], alpha.shape[1]))
    over = composite(
        np.ascontiguousarray(rgba[..., :3]), fitted, np.asarray(rgba[..., 3] / np.float32(255), np.float32)
    )
    replaced = replace_background(rgb, alpha, picture, subject=subject)
    assert np.abs(over.astype(int) - replaced).max() <= 2
    if subject == Placement():
        np.testing.assert_array_equal(rgba, cutout(rgb, alpha))


@pytest.mark.parametrize("layout", RELAID)
def test_the_memory_layout_changes_nothing(layout: str) -> None:
    rgb, alpha, picture, front = noise(97, 61, 1), matte(97, 61, 2), noise(53, 88, 3), noise(97, 61, 4)
    effects: dict[str, Any] = {"kernel": 21, "harmonise": 0.7, "light_wrap": 0.4, "subject": Placement(0.1, 0, 0.8)}
    relay = RELAID[layout]
    for linear in (False, True):
        expected = replace_background(rgb, alpha, picture, foreground=front, linear=linear, **effects)
        out = replace_background(
            relay(rgb), relay(alpha), relay(picture), foreground=relay(front), linear=linear, **effects
        )
        np.testing.assert_array_equal(out, expected)


def test_each_effect_shows() -> None:
    rgb, alpha = portrait()
    plain = replace_background(rgb, alpha, scenery())
    for effect in (
        {"harmonise": 1.0},
        {"light_wrap": 1.0},
        {"linear": True},
        {"kernel": 15},
        {"scale": 2.0},
        {"anchor": "left"},
        {"fit": "contain"},
        {"subject": Placement(scale=0.7)},
        {"foreground": 255 - rgb},
    ):
        chosen: dict[str, Any] = dict(effect)
        assert np.abs(replace_background(rgb, alpha, scenery(), **chosen).astype(int) - plain).max() > 5, effect


def test_equal_kernels_blur_a_plain_background_not_at_all() -> None:
    rgb, alpha = portrait()
    sharp = replace_background(rgb, alpha, Plain((9, 99, 199)))
    np.testing.assert_array_equal(replace_background(rgb, alpha, Plain((9, 99, 199)), kernel=101), sharp)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("background", "white"),
        ("background", None),
        ("background", np.zeros((4, 4, 3), np.float32)),
        ("background", np.zeros((4, 4), np.uint8)),
        ("foreground", np.zeros((4, 4, 3), np.uint8)),
        ("fit", "fill"),
        ("anchor", "middle"),
        ("scale", 0),
        ("fill", "red"),
        ("kernel", 2),
        ("kernel", 257),
        ("passes", 0),
        ("harmonise", 1.5),
        ("light_wrap", -0.5),
    ],
)
@pytest.mark.parametrize("background", [Plain((0, 0, 0)), Transparent()])
def test_a_bad_option_is_named_whether_the_background_uses_it_or_not(background: Any, name: str, value: Any) -> None:
    rgb, alpha = portrait()
    arguments: dict[str, Any] = {"background": background, name: value}
    with pytest.raises(OptionError, match=f"^{name}"):
        replace_background(rgb, alpha, **arguments)


def golden_pictures() -> dict[str, Any]:
    rgb, alpha = portrait()
    effects: dict[str, dict[str, Any]] = {
        "cover": {},
        "contain_blurred": {"fit": "contain", "fill": (240, 240, 240), "kernel": 9},
        "tile_small": {"fit": "tile", "scale": 0.4, "anchor": "top-left"},
        "harmonised": {"harmonise": 1.0},
        "wrapped": {"light_wrap": 1.0},
        "linear": {"linear": True},
        "smaller": {"subject": Placement(0.15, 0.0, 0.7), "anchor": (0.2, 0.8), "scale": 1.5},
    }
    pictures = {name: replace_background(rgb, alpha, scenery(), **chosen) for name, chosen in effects.items()}
    pictures["gradient"] = replace_background(rgb, alpha, Gradient(((0, 0, 80), (250, 240, 200)), "linear", 30.0))
    pictures["radial"] = replace_background(rgb, alpha, Gradient(((250, 240, 200), (80, 0, 0)), "radial"))
    pictures["transparent"] = replace_background(rgb, alpha, Transparent(), subject=Placement(0.0, -0.2, 0.6))
    return pictures


def test_the_golden_pictures_look_as_they_did() -> None:
    pictures = golden_pictures()
    if os.environ.get("ARENA_REGENERATE"):
        np.savez_compressed(GOLDEN, **pictures)
    with np.load(GOLDEN) as golden:
        assert set(golden) == set(pictures)
        for name, picture in pictures.items():
            assert np.abs(picture.astype(int) - golden[name]).max() <= GOLDEN_TOLERANCE, name
