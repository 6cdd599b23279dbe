from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from arena.errors import CheckpointError, OptionError
from arena.matte import MatteKind
from arena.metrics import gradient_error, mad
from arena.models.hair import REACH, SIDE, HairRefiner, near_outline, refine_hair
from arena.models.remback import RembackOptions, RembackSegmenter
from arena.models.sam import SamPredictor, SamSegmenter
from arena.nets.hair import HairNet
from arena.photo import Photo
from arena.refine import RefineOptions
from arena.render import compositing_alpha
from arena.training.hair import to_matte
from tests.models import sam_tiny
from tests.models.random_weights import picture


def scene(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """RGB and the logits of a disc in it."""
    rgb = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    disc = np.zeros((height, width), np.float32)
    cv2.circle(disc, (width // 2, height // 2), min(height, width) // 3, (1.0,), -1)
    return rgb, np.asarray(cv2.GaussianBlur(disc, (0, 0), 4), np.float32) * 20 - 10


def contrary() -> HairRefiner:
    """A refiner that says the opposite of what it is told."""
    net = HairNet()
    net.forward = lambda rgb, logits: -logits  # type: ignore[method-assign]
    return HairRefiner(net)


@pytest.mark.parametrize("size", [(300, 200), (301, 201), (1500, 900)])
def test_the_matte_has_the_photos_size_and_range(size: tuple[int, int]) -> None:
    rgb, logits = scene(*size)
    alpha = HairRefiner(HairNet()).refine(logits, rgb)
    assert alpha.shape == size
    assert alpha.dtype == np.float32
    assert alpha.min() >= 0
    assert alpha.max() <= 1


def test_far_from_the_outline_nothing_is_changed() -> None:
    rgb, logits = scene(400, 400)
    mask = (logits > 0).astype(np.float32)
    alpha = contrary().refine(logits, rgb)
    far = near_outline(mask) == 0
    np.testing.assert_array_equal(alpha[far], mask[far])
    near = near_outline(mask) == 1
    assert np.abs(alpha - mask)[near].mean() > 0.5
    assert 0.1 < far.mean() < 0.9


def test_how_far_the_network_reaches_is_in_pixels_of_its_own_size() -> None:
    rgb, logits = scene(2 * SIDE, 2 * SIDE)
    mask = (logits > 0).astype(np.float32)
    distance = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
    changed = np.abs(contrary().refine(logits, rgb) - mask) > 0.01
    assert changed[(distance > 1) & (distance < 2 * (REACH - 12))].mean() > 0.9
    assert changed[distance > 2 * (REACH + 6)].mean() < 0.01


@pytest.mark.parametrize("value", [-5.0, 5.0])
def test_a_mask_without_outline_stays_as_it_is(value: float) -> None:
    rgb, _ = scene(60, 80)
    alpha = refine_hair(np.full((60, 80), value, np.float32), rgb)
    assert (alpha == float(value > 0)).all()


def test_logits_of_another_size_are_refused() -> None:
    rgb, logits = scene(60, 80)
    with pytest.raises(OptionError, match="60"):
        refine_hair(logits[:, :-1].copy(), rgb)


def test_weights_of_another_network_are_refused(tmp_path: object) -> None:
    path = tmp_path / "hair.pth"  # type: ignore[operator]
    torch.save({"fine.weight": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="HairNet"):
        HairRefiner.load(path)


def test_sam_follows_hair_where_it_is_asked_to() -> None:
    photo = Photo.from_array(picture(128, 128))
    segmenter = SamSegmenter(sam_tiny.card(), "cpu", SamPredictor(sam_tiny.network(), "cpu"))
    hard = segmenter.segment(photo, boxes=[(10, 20, 90, 100)])
    soft = segmenter.segment(photo, boxes=[(10, 20, 90, 100)], hair=True)
    assert hard.kind is MatteKind.BINARY
    assert set(np.unique(hard.alpha)) == {0, 1}
    assert soft.kind is MatteKind.ALPHA
    expected = refine_hair(segmenter.predictor.ask(boxes=[(10, 20, 90, 100)]).merged().numpy(), photo.rgb)
    np.testing.assert_array_equal(soft.alpha, expected)
    assert ((soft.alpha > 0.1) & (soft.alpha < 0.9)).any()
    # What has looked at the photo is not feathered once more.
    assert compositing_alpha(soft.alpha, soft, RefineOptions()) is soft.alpha
    assert compositing_alpha(hard.alpha, hard, RefineOptions()) is not hard.alpha


def test_remback_follows_hair_where_its_options_say_so() -> None:
    photo = Photo.from_array(picture(128, 128))
    segmenter = RembackSegmenter(sam_tiny.card("remback"), "cpu", SamPredictor(sam_tiny.network(), "cpu"))
    boxes = [(10, 20, 90, 100)]
    hard = segmenter.segment(photo, boxes=boxes, options=RembackOptions(sigma=0.0))
    soft = segmenter.segment(photo, boxes=boxes, options=RembackOptions(hair=True))
    assert soft.kind is MatteKind.ALPHA
    assert not np.array_equal(soft.alpha, hard.alpha)
    far = near_outline(hard.alpha) == 0
    np.testing.assert_array_equal(soft.alpha[far], hard.alpha[far])
    again = segmenter.segment(photo, boxes=boxes, hair=True)
    np.testing.assert_array_equal(again.alpha, soft.alpha)


def test_the_weights_in_the_box_find_strands_that_the_mask_has_lost() -> None:
    chance = np.random.default_rng(3)
    drawn = np.zeros((512, 512), np.uint8)
    cv2.circle(drawn, (256, 330), 120, (255,), -1)
    for angle in np.linspace(np.pi, 2 * np.pi, 40):
        way = np.array([np.cos(angle), np.sin(angle)])
        reach = 120 + chance.uniform(8, 26)
        (x0, y0), (x1, y1) = ((np.array([256, 330]) + way * length) * 8 for length in (115, reach))
        cv2.line(drawn, (int(x0), int(y0)), (int(x1), int(y1)), (255,), 2, cv2.LINE_AA, 3)
    truth = to_matte(np.asarray(cv2.GaussianBlur(drawn, (0, 0), 0.7), np.uint8))
    weight = truth[..., None]
    rgb = (weight * [60, 40, 30] + (1 - weight) * [170, 190, 205] + chance.normal(0, 3, (512, 512, 3))).astype(np.uint8)
    small = cv2.GaussianBlur(cv2.resize(truth, (128, 128), interpolation=cv2.INTER_AREA), (0, 0), 1.2)
    logits = np.asarray(cv2.resize((small - np.float32(0.5)) * np.float32(20), (512, 512)), np.float32)
    coarse = (logits > 0).astype(np.float32)
    fine = refine_hair(logits, rgb)
    assert mad(fine, truth) < 0.85 * mad(coarse, truth)
    assert gradient_error(fine, truth) < 0.7 * gradient_error(coarse, truth)
