"""From a matte to a trimap, and from a trimap to a finer matte."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arena.errors import OptionError
from arena.refine.matting import closed_form, knn, make_trimap, solvable
from arena.refine.options import RefineOptions, refine

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from numpy.typing import NDArray

    Solve = Callable[..., NDArray[np.float32]]

SOLVERS = [closed_form, knn]

needs_pymatting = pytest.mark.slow
"""Its first import compiles for the better part of a minute."""


@pytest.fixture(scope="module")
def pymatting() -> ModuleType:
    module: ModuleType = pytest.importorskip("pymatting", reason="the extra `matting` is not installed")
    return module


def strands(height: int = 90, width: int = 120) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """A body with thin soft strands, before a background of another colour, and the composite."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    alpha = (x < width * 0.4).astype(np.float32)
    for row in range(6, height - 4, 8):
        tip = 0.75 - 0.15 * np.sin(row)
        strand = np.clip(1.6 - np.abs(y - row), 0, 1) * np.clip((width * tip - x) / 20, 0, 1)
        alpha = np.maximum(alpha, np.where(x >= width * 0.4, strand, 0))
    noise = np.random.default_rng(0).normal(0, 2, (height, width, 3))
    rgb = alpha[..., None] * (60, 40, 30) + (1 - alpha[..., None]) * (170, 200, 220) + noise
    return alpha.astype(np.float32), np.clip(rgb, 0, 255).astype(np.uint8)


def coarse(alpha: NDArray[np.float32]) -> NDArray[np.float32]:
    """What a network of a low resolution makes of it."""
    return np.clip(cv2.GaussianBlur(alpha, (0, 0), 4.0), 0, 1).astype(np.float32)


def test_a_trimap_knows_what_is_far_from_the_edge() -> None:
    alpha = np.zeros((40, 60), np.float32)
    alpha[:, 30:] = 1
    alpha[:, 28:30] = 0.5
    trimap = make_trimap(alpha, 4)
    expected = np.full((40, 60), 128, np.uint8)
    expected[:, :24] = 0
    expected[:, 34:] = 255
    np.testing.assert_array_equal(trimap, expected)
    assert solvable(trimap)


def test_without_width_only_the_soft_part_is_unknown() -> None:
    alpha = np.linspace(0, 1, 101, dtype=np.float32)[None].repeat(3, axis=0)
    trimap = make_trimap(alpha, 0)
    np.testing.assert_array_equal(trimap == 128, (alpha > 0.05) & (alpha < 0.95))


@given(st.integers(1, 40), st.integers(1, 40), st.floats(0, 9), st.floats(0, 9), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_a_wider_band_knows_no_more(height: int, width: int, one: float, other: float, seed: int) -> None:
    alpha = coarse(np.random.default_rng(seed).integers(0, 2, (height, width)).astype(np.float32))
    narrow, wide = make_trimap(alpha, min(one, other)), make_trimap(alpha, max(one, other))
    assert narrow.dtype == np.uint8
    assert set(np.unique(narrow)) <= {0, 128, 255}
    assert ((wide == 128) | (wide == narrow)).all()
    assert (alpha[narrow == 255] >= 0.95).all()
    np.testing.assert_array_equal(make_trimap(np.asfortranarray(alpha), one), make_trimap(alpha, one))


@pytest.mark.parametrize(("value", "mark"), [(0.0, 0), (1.0, 255), (0.5, 128)])
def test_flat_mattes_leave_nothing_to_solve(value: float, mark: int) -> None:
    trimap = make_trimap(np.full((9, 7), value, np.float32), 3)
    assert (trimap == mark).all()
    assert not solvable(trimap)


@pytest.mark.parametrize("solve", SOLVERS)
def test_a_trimap_without_a_question_is_its_own_answer(solve: Solve) -> None:
    rgb = np.zeros((5, 6, 3), np.uint8)
    trimap = np.zeros((5, 6), np.uint8)
    trimap[:, 3:] = 255
    np.testing.assert_array_equal(solve(rgb, trimap), (trimap == 255).astype(np.float32))


@pytest.mark.parametrize("solve", SOLVERS)
def test_bad_arguments_are_named(solve: Solve) -> None:
    rgb, trimap = np.zeros((8, 8, 3), np.uint8), np.full((8, 8), 128, np.uint8)
    with pytest.raises(OptionError, match="no sure foreground"):
        solve(rgb, trimap)
    trimap[0] = 255
    with pytest.raises(OptionError, match="no sure background"):
        solve(rgb, trimap)
    trimap[-1] = 0
    with pytest.raises(OptionError, match="trimap must be a uint8"):
        solve(rgb, trimap.astype(np.float32))
    with pytest.raises(OptionError, match="agree"):
        solve(rgb[1:], trimap)
    with pytest.raises(OptionError, match="largest_side"):
        solve(rgb, trimap, 4)
    with pytest.raises(OptionError, match="width"):
        make_trimap(np.zeros((3, 3), np.float32), -1)


@pytest.mark.parametrize("solve", SOLVERS)
def test_without_pymatting_the_error_says_what_to_install(solve: Solve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymatting", None)
    alpha, rgb = strands()
    with pytest.raises(OptionError, match=r"pip install 'portrait-blur-arena\[matting\]'"):
        solve(rgb, make_trimap(coarse(alpha), 2))


def test_nothing_else_needs_pymatting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymatting", None)
    alpha, rgb = strands()
    # No core, and no subject: the matting has nothing to go by and leaves the matte alone.
    for matte in (np.zeros_like(alpha), (coarse(alpha) * np.float32(0.5))):
        np.testing.assert_array_equal(refine(matte, rgb, RefineOptions(matting="knn")), matte)


@needs_pymatting
@pytest.mark.usefixtures("pymatting")
@pytest.mark.parametrize("solve", SOLVERS)
@pytest.mark.parametrize("scale", [1, 4])
def test_matting_finds_the_strands_that_a_coarse_matte_lost(solve: Solve, scale: int) -> None:
    alpha, rgb = strands()
    size = (alpha.shape[1] * scale, alpha.shape[0] * scale)
    truth = np.clip(cv2.resize(alpha, size, interpolation=cv2.INTER_LINEAR), 0, 1).astype(np.float32)
    photo = cv2.resize(rgb, size, interpolation=cv2.INTER_LINEAR).astype(np.uint8)
    rough = np.clip(cv2.resize(coarse(alpha), size, interpolation=cv2.INTER_LINEAR), 0, 1).astype(np.float32)
    trimap = make_trimap(rough, 3 * scale)
    before = photo.copy(), trimap.copy()
    # The larger one is solved at a quarter of its size.
    found = solve(photo, trimap, 120)
    assert np.abs(found - truth).mean() < 0.4 * np.abs(rough - truth).mean()
    assert found.dtype == np.float32
    assert found.min() >= 0
    assert found.max() <= 1
    assert (found[trimap == 255] == 1).all()
    assert (found[trimap == 0] == 0).all()
    np.testing.assert_array_equal(photo, before[0])
    np.testing.assert_array_equal(trimap, before[1])
    np.testing.assert_array_equal(solve(np.asfortranarray(photo), trimap[::-1].copy()[::-1], 120), found)


@needs_pymatting
@pytest.mark.usefixtures("pymatting")
@pytest.mark.parametrize("solve", SOLVERS)
@pytest.mark.parametrize("shape", [(1, 3), (3, 1), (1, 41), (2, 2), (5, 3), (37, 2)])
def test_thin_pictures_are_solved_too(solve: Solve, shape: tuple[int, int]) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    trimap = np.full(shape, 128, np.uint8)
    trimap.flat[0], trimap.flat[-1] = 0, 255
    found = solve(rgb, trimap)
    assert found.shape == shape
    assert np.isfinite(found).all()
    assert found.flat[0] == 0
    assert found.flat[-1] == 1


@needs_pymatting
@pytest.mark.usefixtures("pymatting")
@pytest.mark.parametrize("method", ["closed-form", "knn"])
def test_the_chain_solves_the_edge_anew(method: str) -> None:
    alpha, rgb = strands()
    rough = coarse(alpha)
    found = refine(rough, rgb, RefineOptions.from_mapping({"matting": method, "trimap_width": 25}))
    assert np.abs(found - alpha).mean() < 0.4 * np.abs(rough - alpha).mean()
