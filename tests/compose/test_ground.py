"""What the blur of the ground promises: sharp at the feet, growing with distance, and the blur that it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arena.compose import BOKEHS, blur_background, ground_blur
from arena.compose import blur as blur_module
from arena.compose.ground import REACH
from arena.errors import OptionError
from tests.compose.scenes import matte, noise, quick

if TYPE_CHECKING:
    from numpy.typing import NDArray

every_bokeh = pytest.mark.parametrize("bokeh", BOKEHS)


def standing(height: int, width: int, *people: tuple[int, int, int, int]) -> NDArray[np.float32]:
    """A matte of upright boxes: top, bottom, left, right."""
    alpha = np.zeros((height, width), np.float32)
    for top, bottom, left, right in people:
        alpha[top:bottom, left:right] = 1
    return alpha


@pytest.mark.parametrize("enlarged", [1, 3])
def test_the_blur_of_the_ground_grows_from_the_feet_up_to_half_the_height(enlarged: int) -> None:
    alpha = np.kron(standing(300, 200, (40, 240, 80, 120)), np.ones((enlarged, enlarged), np.float32))
    ground = ground_blur(alpha)
    assert ground is not None
    assert ground.shape == (300 * enlarged, 1)
    assert ground.dtype == np.float32
    rows = ground[::enlarged, 0]
    assert rows[239:241].max() == 0
    assert rows[:130].min() == 1
    assert rows[240 - 60] == pytest.approx(60 / (REACH * 200), abs=0.03)
    assert rows[240 + 50] == pytest.approx(50 / (REACH * 200), abs=0.03)
    assert (np.diff(rows[:240]) <= 0).all()
    assert (np.diff(rows[240:]) >= 0).all()


def test_between_the_feet_of_several_people_the_ground_is_sharp() -> None:
    alpha = standing(300, 300, (20, 180, 40, 80), (30, 250, 150, 200), (100, 110, 290, 295))
    ground = ground_blur(alpha)
    assert ground is not None
    # The third is a speck.
    assert ground[180:250].max() == 0
    assert ground[150] > 0
    assert ground[270] > 0


@pytest.mark.parametrize("bottom", [300, 299])
def test_without_feet_there_is_no_ground(bottom: int) -> None:
    assert ground_blur(standing(300, 200, (40, bottom, 80, 120))) is None
    assert ground_blur(standing(300, 200)) is None


@every_bokeh
@pytest.mark.parametrize("kernel", [3, 31, 151])
def test_all_of_the_blur_is_the_blur_and_none_is_the_photo(bokeh: Any, kernel: int) -> None:
    rgb, alpha = noise(300, 70, 1), matte(300, 70, 2)
    everything, nothing = np.ones((300, 70), np.float32), np.zeros((300, 1), np.float32)
    np.testing.assert_array_equal(
        blur_background(rgb, alpha, kernel, bokeh=bokeh, amount=everything),
        blur_background(rgb, alpha, kernel, bokeh=bokeh),
    )
    np.testing.assert_array_equal(blur_background(rgb, alpha, kernel, bokeh=bokeh, amount=nothing), rgb)


@every_bokeh
def test_half_of_the_blur_is_half_as_wide(bokeh: Any) -> None:
    # An edge between dark and bright: how wide it becomes is how wide the blur is.
    rgb = np.full((200, 800, 3), 40, np.uint8)
    rgb[:, 400:] = 160
    nobody = np.zeros((200, 800), np.float32)

    def width(share: float) -> float:
        amount = np.full((200, 1), share, np.float32)
        edge = blur_background(rgb, nobody, 121, bokeh=bokeh, amount=amount)[100, :, 0].astype(float)
        steps = np.abs(np.diff(edge))
        at = np.arange(len(steps))
        mean = (steps * at).sum() / steps.sum()
        return float(np.sqrt((steps * (at - mean) ** 2).sum() / steps.sum()))

    full = width(1)
    assert [width(share) / full for share in (0.5, 0.25)] == pytest.approx([0.5, 0.25], rel=0.06)
    # Between two of the pictures that are kept, too.
    assert width(0.75) / full == pytest.approx(0.75, rel=0.1)


@every_bokeh
@pytest.mark.parametrize("kernel", [9, 61, 255])
def test_pictures_of_which_only_some_rows_are_made_show_the_same(
    bokeh: Any, kernel: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rgb, alpha = noise(700, 60, 3), np.zeros((700, 60), np.float32)
    amount = np.clip(np.abs(np.arange(700) - 600) / 400, 0, 1).astype(np.float32)[:, None]
    out = blur_background(rgb, alpha, kernel, bokeh=bokeh, amount=amount).astype(int)
    monkeypatch.setattr(blur_module, "REACH_SIGMAS", 1e6)
    whole = blur_background(rgb, alpha, kernel, bokeh=bokeh, amount=amount)
    assert np.abs(out - whole).max() <= 2


@pytest.mark.parametrize("bokeh", ["disc", "hexagon"])
def test_a_lamp_is_one_in_every_strength(bokeh: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # How large a lamp may be goes by the whole picture, of which few rows have this strength.
    rgb, nobody = np.zeros((1500, 1200, 3), np.uint8), np.zeros((1500, 1200), np.float32)
    rgb[736:744, 596:604] = 255
    amount = np.zeros((1500, 1), np.float32)
    amount[700:780] = 0.25
    out = blur_background(rgb, nobody, 61, bokeh=bokeh, amount=amount)
    monkeypatch.setattr(blur_module, "REACH_SIGMAS", 1e6)
    whole = blur_background(rgb, nobody, 61, bokeh=bokeh, amount=amount)
    assert whole.max() > 100
    assert np.abs(out.astype(int) - whole).max() <= 2


@quick
@given(st.sampled_from([5, 31, 101]), st.integers(0, 2**16))
def test_the_subject_does_not_colour_the_ground(kernel: int, seed: int) -> None:
    rgb, alpha = noise(90, 70, seed), matte(90, 70, seed + 1)
    other = rgb.copy()
    other[alpha == 1] = 255 - other[alpha == 1]
    amount = np.linspace(0, 1, 90, dtype=np.float32)[:, None]
    one, two = (blur_background(picture, alpha, kernel, amount=amount) for picture in (rgb, other))
    np.testing.assert_array_equal(one[alpha == 0], two[alpha == 0])


@pytest.mark.parametrize(
    ("amount", "said"),
    [
        (np.zeros((5, 5), np.float32), r"amount must be a float32 array of \(20, 10\) or \(20, 1\)"),
        (np.zeros((20, 1)), "but is float64 of"),
        (np.full((20, 1), 1.5, np.float32), "amount must lie in .0, 1., but reaches from 1.5 to 1.5"),
        (np.full((20, 10), np.nan, np.float32), "amount must lie in"),
        (0.5, "amount must be a float32 array"),
    ],
)
def test_what_is_no_amount_is_refused(amount: Any, said: str) -> None:
    with pytest.raises(OptionError, match=said):
        blur_background(noise(20, 10, 0), np.zeros((20, 10), np.float32), 5, amount=amount)
