from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from arena.errors import OptionError
from arena.training.views import Source, Views, ViewSettings
from tests.training.people import samples

PLAIN = ViewSettings(**{item.name: 0.0 for item in dataclasses.fields(ViewSettings)})
"""Nothing but geometry and light."""


def chance(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def people() -> list[Source]:
    return [Source(samples(6))]


@pytest.mark.parametrize("seed", range(40))
def test_a_view_has_the_wanted_size_and_range(people: list[Source], seed: int) -> None:
    rgb, alpha = Views(people)(chance(seed), 96, 64)
    assert rgb.shape == (96, 64, 3)
    assert rgb.dtype == np.uint8
    assert alpha.shape == (96, 64)
    assert alpha.dtype == np.float32
    assert alpha.min() >= 0
    assert alpha.max() <= 1


def test_a_view_depends_on_its_generator_alone(people: list[Source]) -> None:
    views = Views(people)
    first = views(chance(3), 64, 64)
    views(chance(4), 64, 64)
    again = views(chance(3), 64, 64)
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert (views(chance(5), 64, 64)[0] != first[0]).any()


def test_photo_and_matte_move_together(people: list[Source]) -> None:
    views = Views(people, PLAIN)
    for seed in range(30):
        rgb, alpha = views(chance(seed), 128, 96)
        red = rgb[..., 0].astype(int) > rgb[..., 2]
        inside, outside = alpha > 0.98, alpha < 0.02
        assert red[inside].mean() > 0.99
        assert outside.sum() == 0 or red[outside].mean() < 0.01


def test_an_exchanged_background_keeps_the_subject(people: list[Source]) -> None:
    views = Views(people, dataclasses.replace(PLAIN, exchange=1.0, invented=1.0))
    for seed in range(20):
        rgb, alpha = views(chance(seed), 128, 96)
        inside = alpha > 0.99
        assert (rgb[..., 0].astype(int) > rgb[..., 2])[inside].mean() > 0.98


def test_bystanders_are_behind_the_subject_and_none_of_it(people: list[Source]) -> None:
    views = Views(people, dataclasses.replace(PLAIN, bystanders=1.0))
    seen = 0
    for seed in range(20):
        rgb, alpha = views(chance(seed), 128, 96)
        red = rgb[..., 0].astype(int) > rgb[..., 2]
        assert red[alpha > 0.98].mean() > 0.99
        seen += int(red[alpha < 0.02].sum() > 100)
    assert seen > 10


def test_a_crowd_is_behind_the_subject_with_its_heads_at_about_the_same_height(people: list[Source]) -> None:
    views = Views(people, dataclasses.replace(PLAIN, crowd=1.0))
    heads = []
    for seed in range(20):
        rgb, alpha = views(chance(seed), 128, 96)
        red = rgb[..., 0].astype(int) > rgb[..., 2]
        assert red[alpha > 0.98].mean() > 0.99
        crowd = red & (alpha < 0.02)
        if crowd.sum() > 100:
            first = np.flatnonzero((alpha > 0.5).any(axis=1))[0]
            heads.append(np.flatnonzero(crowd.sum(axis=1) > 2)[0] - first)
    assert len(heads) > 10
    assert np.median(np.abs(heads)) < 10


def test_patches_change_the_subject_alone(people: list[Source]) -> None:
    plain, views = Views(people, PLAIN), Views(people, dataclasses.replace(PLAIN, patches=1.0))
    dyed = 0
    for seed in range(20):
        rgb, alpha = views(chance(seed), 96, 96)
        np.testing.assert_array_equal(alpha, plain(chance(seed), 96, 96)[1])
        red = rgb[..., 0].astype(int) > rgb[..., 2]
        outside = alpha < 0.02
        assert red[outside].sum() <= 0.01 * outside.sum()
        dyed += int((~red[alpha > 0.98]).mean() > 0.05)
    assert dyed > 5


def test_statues_are_behind_the_subject_of_one_colour_and_none_of_it(people: list[Source]) -> None:
    plain, views = Views(people, PLAIN), Views(people, dataclasses.replace(PLAIN, statues=1.0))
    seen = 0
    for seed in range(20):
        before, _ = plain(chance(seed), 128, 96)
        rgb, alpha = views(chance(seed), 128, 96)
        assert ((rgb[..., 0].astype(int) > rgb[..., 2])[alpha > 0.98]).mean() > 0.99
        outside = alpha < 0.02
        # The ground is blue: what is grey there was put there.
        grey = [(np.ptp(picture.astype(int), axis=2)[outside] < 60).sum() for picture in (before, rgb)]
        seen += int(grey[1] > grey[0] + 100)
    assert seen > 10


def test_bent_photo_and_matte_still_fit(people: list[Source]) -> None:
    plain, views = Views(people, PLAIN), Views(people, dataclasses.replace(PLAIN, bend=1.0))
    moved = []
    for seed in range(20):
        rgb, alpha = views(chance(seed), 128, 96)
        red = rgb[..., 0].astype(int) > rgb[..., 2]
        assert red[alpha > 0.98].mean() > 0.99
        assert red[alpha < 0.02].sum() <= 0.01 * (alpha < 0.02).sum()
        moved.append(np.abs(alpha - plain(chance(seed), 128, 96)[1]).mean())
    assert np.median(moved) > 0.01


def test_a_turned_hue_changes_colours_and_not_the_matte(people: list[Source]) -> None:
    plain, views = Views(people, PLAIN), Views(people, dataclasses.replace(PLAIN, hue=1.0))
    turned = 0
    for seed in range(20):
        rgb, alpha = views(chance(seed), 96, 96)
        np.testing.assert_array_equal(alpha, plain(chance(seed), 96, 96)[1])
        outside = alpha < 0.02
        turned += int(outside.sum() > 200 and (rgb[outside].argmax(axis=1) != 2).mean() > 0.5)
    assert turned > 4


def test_a_background_is_no_sharper_than_an_enlarged_subject() -> None:
    close = [Source(samples(4), seen=(0.12, 0.15))]
    chances = dataclasses.replace(PLAIN, exchange=1.0, invented=1.0)

    def roughness(focus: float) -> float:
        views = Views(close, dataclasses.replace(chances, focus=focus))
        total = []
        for seed in range(30):
            rgb, alpha = views(chance(seed), 128, 128)
            outside = (alpha < 0.02)[:, 1:-1]
            total.append(np.abs(np.diff(rgb.astype(int), n=2, axis=1)).sum(axis=2)[outside].mean())
        return float(np.mean(total))

    assert roughness(1.0) < 0.6 * roughness(0.0)


def test_sharpening_overdoes_outlines(people: list[Source]) -> None:
    plain, views = (Views(people, dataclasses.replace(PLAIN, sharpen=sharpen)) for sharpen in (0.0, 1.0))
    rougher = 0
    for seed in range(20):
        steps = [np.abs(np.diff(made(chance(seed), 96, 96)[0].astype(int), axis=1)).mean() for made in (plain, views)]
        rougher += int(steps[1] > 1.1 * steps[0])
    assert rougher > 15


def test_an_empty_view_has_nobody(people: list[Source]) -> None:
    views = Views(people, dataclasses.replace(PLAIN, empty=1.0))
    rgb, alpha = views(chance(0), 64, 64)
    assert alpha.max() == 0
    assert rgb.std() > 0


def test_a_second_person_joins_the_subject(people: list[Source]) -> None:
    alone, together = Views(people, PLAIN), Views(people, dataclasses.replace(PLAIN, second=1.0))
    areas = [[views(chance(seed), 96, 96)[1].mean() for seed in range(40)] for views in (alone, together)]
    assert np.mean(areas[1]) > 1.15 * np.mean(areas[0])


def test_shares_decide_how_often_a_source_is_taken() -> None:
    people = samples(2)
    dark = [dataclasses.replace(s, levels=tuple((rgb // 10, alpha) for rgb, alpha in s.levels)) for s in people]
    views = Views([Source(people, share=0.8), Source(dark, share=0.2)], PLAIN)
    count = sum(views(chance(seed), 32, 32)[0].max() < 80 for seed in range(200))
    assert 20 <= count <= 65


def test_how_much_is_seen_is_the_sources_choice() -> None:
    near, whole = (Views([Source(samples(4), seen=seen)], PLAIN) for seen in ((0.2, 0.3), (1.0, 1.1)))
    shares = [np.mean([views(chance(seed), 96, 64)[1].mean() for seed in range(30)]) for views in (near, whole)]
    assert shares[0] > shares[1] + 0.1


def test_a_probability_beyond_one_is_refused() -> None:
    with pytest.raises(OptionError, match="grey"):
        ViewSettings(grey=1.5)
