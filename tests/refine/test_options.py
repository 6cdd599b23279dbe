"""The chain: nothing unless asked, each step in its place, the same look at any size, and plain values in and out."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arena.errors import OptionError
from arena.refine import morphology
from arena.refine.edges import LARGEST_BILATERAL, bilateral, guided, soften
from arena.refine.options import MATTINGS, PRESET_WORDS, PRESETS, REFERENCE_SIDE, RefineOptions, refine

if TYPE_CHECKING:
    from numpy.typing import NDArray

ALL = RefineOptions(
    bilateral_diameter=5,
    bilateral_sigma_alpha=0.3,
    bilateral_sigma_space=1.5,
    threshold=0.4,
    threshold_softness=0.8,
    opening=3,
    opening_iterations=2,
    closing=5,
    components=2,
    holes=0.001,
    guided_radius=3.0,
    guided_epsilon=1e-3,
    grow=-1.25,
    feather_sigma=1.5,
)
"""Every step but the matting, which is slow and optional."""

STEPS: list[dict[str, Any]] = [
    {"bilateral_diameter": 9},
    {"threshold": 0.5},
    {"opening": 9},
    {"closing": 9},
    {"components": 1},
    {"holes": 0.01},
    {"guided_radius": 8.0},
    {"grow": 2.0},
    {"feather_sigma": 2.0},
]


def scene(height: int = 300, width: int = 400) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """A disc with a hole, a speck, a soft edge and noise; and a photo of it."""
    y, x = np.mgrid[:height, :width]
    distance = np.hypot(y - height / 2, x - width / 2)
    alpha = np.clip((height / 4 - distance) / 12 + 0.5, 0, 1)
    alpha[height // 2 : height // 2 + 3, width // 2 : width // 2 + 3] = 0
    alpha[8:11, 8:11] = 1
    random = np.random.default_rng(0)
    alpha = np.clip(alpha + random.normal(0, 0.02, alpha.shape), 0, 1).astype(np.float32)
    rgb = np.where((distance < height / 4)[..., None], (200, 120, 80), (40, 60, 110)) + random.normal(
        0, 6, (*alpha.shape, 3)
    )
    return alpha, np.clip(rgb, 0, 255).astype(np.uint8)


def reference(alpha: NDArray[np.float32], rgb: NDArray[np.uint8], o: RefineOptions) -> NDArray[np.float32]:
    """The documented order, lengths as they are."""
    alpha = bilateral(alpha, o.bilateral_diameter, o.bilateral_sigma_alpha, o.bilateral_sigma_space)
    alpha = morphology.threshold(alpha, o.threshold, o.threshold_softness)
    alpha = morphology.opening(alpha, o.opening, o.opening_iterations)
    alpha = morphology.closing(alpha, o.closing, o.closing_iterations)
    alpha = morphology.fill_holes(morphology.largest_components(alpha, o.components), o.holes)
    alpha = guided(alpha, rgb, o.guided_radius, o.guided_epsilon)
    return soften(morphology.grow(alpha, o.grow), o.feather_sigma)


def test_nothing_is_done_unless_asked() -> None:
    alpha, rgb = scene()
    for out in (refine(alpha), refine(alpha, rgb), refine(alpha, rgb, PRESETS["as-is"])):
        np.testing.assert_array_equal(out, alpha)
        assert not np.may_share_memory(out, alpha)
    assert RefineOptions().changes_nothing
    assert not RefineOptions().needs_photo


@pytest.mark.parametrize("step", STEPS, ids=lambda step: next(iter(step)))
def test_each_step_changes_the_matte_and_counts_as_a_change(step: dict[str, Any]) -> None:
    alpha, rgb = scene()
    options = RefineOptions(**step)
    assert not np.array_equal(refine(alpha, rgb, options), alpha)
    assert not options.changes_nothing
    assert options.needs_photo == ("guided_radius" in step)


def test_steps_without_iterations_are_off() -> None:
    options = RefineOptions(opening=5, opening_iterations=0, closing=5, closing_iterations=0)
    alpha, _ = scene()
    np.testing.assert_array_equal(refine(alpha, None, options), alpha)
    assert options.changes_nothing


def test_the_chain_is_its_steps_in_the_order_of_the_fields() -> None:
    alpha, rgb = scene(600, REFERENCE_SIDE)
    np.testing.assert_array_equal(refine(alpha, rgb, ALL), reference(alpha, rgb, ALL))


def test_lengths_are_scaled_to_the_matte() -> None:
    alpha, rgb = scene(700, 1500)
    np.testing.assert_array_equal(refine(alpha, rgb, ALL), reference(alpha, rgb, ALL.scaled(1.5)))


@pytest.mark.parametrize("name", PRESETS)
def test_a_preview_looks_like_the_export(name: str) -> None:
    alpha, rgb = scene(1200, 1600)
    smooth = soften(alpha, 3.0)
    export = refine(smooth, rgb, PRESETS[name])
    small = [cv2.resize(each, (800, 600), interpolation=cv2.INTER_AREA) for each in (smooth, rgb, export)]
    preview = refine(np.clip(small[0], 0, 1).astype(np.float32), small[1].astype(np.uint8), PRESETS[name])
    assert np.abs(preview - small[2]).mean() < 0.002
    if name != "as-is":
        assert not np.array_equal(export, smooth)


@settings(max_examples=40, deadline=None)
@given(
    height=st.sampled_from([1, 2, 3, 7, 13, 31, 47]),
    width=st.sampled_from([1, 2, 3, 7, 13, 31, 47]),
    factor=st.floats(0.05, 60),
    name=st.sampled_from([*PRESETS, "all"]),
    seed=st.integers(0, 1000),
)
def test_any_size_scale_and_layout_stays_in_range_and_leaves_its_inputs(
    height: int, width: int, factor: float, name: str, seed: int
) -> None:
    random = np.random.default_rng(seed)
    alpha = random.random((height, width)).astype(np.float32)
    rgb = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
    alpha.flags.writeable = rgb.flags.writeable = False
    before = alpha.copy(), rgb.copy()
    options = PRESETS.get(name, ALL).scaled(factor)
    out = refine(alpha, rgb, options)
    np.testing.assert_array_equal(alpha, before[0])
    np.testing.assert_array_equal(rgb, before[1])
    assert out.shape == alpha.shape
    assert out.dtype == np.float32
    assert out.flags.writeable
    assert out.min() >= 0
    assert out.max() <= 1
    mirrored = np.ascontiguousarray(alpha[::-1, ::-1])[::-1, ::-1]
    np.testing.assert_array_equal(refine(mirrored, np.asfortranarray(rgb), options), out)


def test_an_empty_matte_stays_empty_and_a_full_one_full() -> None:
    _, rgb = scene()
    for value in (0.0, 1.0):
        alpha = np.full(rgb.shape[:2], value, np.float32)
        for options in PRESETS.values():
            np.testing.assert_array_equal(refine(alpha, rgb, options), alpha)


def test_lengths_scale_and_stay_odd() -> None:
    options = RefineOptions(
        5, 0.15, 2.0, opening=3, closing=5, trimap_width=4, guided_radius=3, grow=-2, feather_sigma=0.7
    )
    expected = RefineOptions(
        LARGEST_BILATERAL,
        0.15,
        8.0,
        opening=13,
        closing=21,
        trimap_width=16,
        guided_radius=12,
        grow=-8,
        feather_sigma=2.8,
    )
    assert options.scaled(4) == expected
    small = options.scaled(0.064)
    assert (small.bilateral_diameter, small.opening, small.closing) == (1, 1, 1)


@given(st.floats(0.01, 100))
def test_what_is_off_stays_off_at_any_scale(factor: float) -> None:
    assert RefineOptions().scaled(factor).changes_nothing


@pytest.mark.parametrize("factor", [0, -1, float("nan"), float("inf")])
def test_a_scale_that_makes_no_sense_is_refused(factor: float) -> None:
    with pytest.raises(OptionError, match="factor"):
        RefineOptions().scaled(factor)


@pytest.mark.parametrize("options", [*PRESETS.values(), ALL], ids=[*PRESETS, "all"])
def test_options_survive_a_mapping_and_a_file(options: RefineOptions) -> None:
    assert RefineOptions.from_mapping(options.to_mapping()) == options
    assert RefineOptions.from_mapping(json.loads(json.dumps(options.to_mapping()))) == options


def test_options_come_from_a_toml_file_and_whole_numbers_do_for_fractions() -> None:
    text = 'closing = 7\ngrow = -2\nfeather_sigma = 1.5\nmatting = "knn"'
    options = RefineOptions.from_mapping(tomllib.loads(text))
    assert options == RefineOptions(closing=7, grow=-2.0, feather_sigma=1.5, matting="knn")
    assert isinstance(options.grow, float)


def test_a_mapping_can_change_a_preset() -> None:
    changed = RefineOptions.from_mapping({"grow": 1}, PRESETS["u2net-classic"])
    assert changed == dataclasses.replace(PRESETS["u2net-classic"], grow=1.0)


def test_an_unknown_name_is_answered_with_the_nearest_and_all() -> None:
    with pytest.raises(OptionError, match=r"'feather_sgima'.*Did you mean feather_sigma.*guided_radius"):
        RefineOptions.from_mapping({"feather_sgima": 1.0})
    with pytest.raises(OptionError, match="'zzz'") as caught:
        RefineOptions.from_mapping({"zzz": 1.0})
    assert "Did you mean" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("bilateral_diameter", 4),
        ("bilateral_diameter", LARGEST_BILATERAL + 2),
        ("bilateral_sigma_alpha", 0),
        ("bilateral_sigma_space", -1.0),
        ("threshold", 1.5),
        ("threshold", "0.5"),
        ("threshold_softness", -0.1),
        ("opening", 2),
        ("opening", 3.0),
        ("opening", True),
        ("closing", 0),
        ("opening_iterations", -1),
        ("closing_iterations", 1.5),
        ("components", -1),
        ("components", False),
        ("holes", 2),
        ("matting", "closed"),
        ("matting", 1),
        ("matting", ["knn"]),
        ("trimap_width", -1),
        ("guided_radius", float("nan")),
        ("guided_epsilon", 0.0),
        ("grow", float("inf")),
        ("grow", None),
        ("feather_sigma", -0.5),
    ],
)
def test_a_value_of_another_type_or_range_is_refused_by_its_name(name: str, value: object) -> None:
    with pytest.raises(OptionError, match=name):
        RefineOptions.from_mapping({name: value})


def test_a_step_that_needs_the_photo_says_so() -> None:
    alpha, rgb = scene()
    for options in (RefineOptions(guided_radius=2), RefineOptions(matting="closed-form")):
        with pytest.raises(OptionError, match="photo"):
            refine(alpha, None, options)
    with pytest.raises(OptionError, match="agree"):
        refine(alpha, rgb[1:], PRESETS["hair"])
    with pytest.raises(OptionError, match="float32"):
        refine(alpha.astype(np.float64))


def test_every_preset_has_its_line() -> None:
    assert list(PRESETS) == list(PRESET_WORDS)
    assert all(words.endswith(".") and "\n" not in words for words in PRESET_WORDS.values())
    assert set(MATTINGS) == {"off", "closed-form", "knn", "vitmatte"}


@pytest.mark.parametrize(
    ("name", "value"), [("grow", 40), ("opening", 201), ("feather_sigma", -1), ("guided_radius", 5000)]
)
def test_a_file_cannot_ask_for_hours_of_work(name: str, value: float) -> None:
    with pytest.raises(OptionError, match=name):
        RefineOptions.from_mapping({name: value})
