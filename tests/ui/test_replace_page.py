"""The logic of the page that replaces a background, without a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from arena.finish import Effect, Finish
from arena.photo import Photo, encode
from arena.refine import PRESETS
from arena.ui.state import COMPARE, REPLACE, Key
from tests.fakes import SlowSegmenter
from tests.ui.driving import COMPARE_URL, REPLACE_URL, go_to, memory, only_preview, run_on_sample, texts, until_done

if TYPE_CHECKING:
    from streamlit.testing.v1 import AppTest


def at_replace(page: AppTest) -> AppTest:
    return go_to(page.run(), REPLACE_URL)


def run_sample(page: AppTest) -> AppTest:
    page.button(key=Key.SAMPLE.of("astronaut")).click().run()
    page.button(key=Key.RUN.of(REPLACE)).click()
    return until_done(page, REPLACE)


def shown(page: AppTest) -> Finish:
    kept = only_preview(page, REPLACE)._finished
    assert kept is not None
    return kept[0]


def test_u2net_is_first_and_what_runs_at_once_is_chosen(page: AppTest) -> None:
    at_replace(page)
    assert not page.exception
    models = page.selectbox(key=Key.ONE_MODEL.of(REPLACE))
    assert models.options == ["U²-Net", "Disc", "Empty", "Broken", "Slow"]
    assert models.value == "disc"


def test_a_download_is_announced_before_the_press(page: AppTest) -> None:
    at_replace(page)
    assert "Downloads" not in texts(page)
    page.selectbox(key=Key.ONE_MODEL.of(REPLACE)).set_value("u2net").run()
    assert "Downloads 175.0 MB the first time it runs." in texts(page)


def test_the_button_waits_for_a_portrait(page: AppTest) -> None:
    at_replace(page)
    assert page.button(key=Key.RUN.of(REPLACE)).disabled
    page.button(key=Key.SAMPLE.of("astronaut")).click().run()
    assert not page.button(key=Key.RUN.of(REPLACE)).disabled


def test_one_portrait_takes_the_place_of_the_other(page: AppTest, photo: Photo) -> None:
    at_replace(page)
    page.button(key=Key.SAMPLE.of("astronaut")).click().run()
    page.button(key=Key.SAMPLE.of("grace-hopper")).click().run()
    assert [photo.name for photo in memory(page, REPLACE).at_hand.values()] == ["grace_hopper"]
    uploader = page.file_uploader(key=Key.UPLOADS.of(REPLACE))
    uploader.set_value(("me.png", encode(photo.rgb), "image/png")).run()
    assert [photo.name for photo in memory(page, REPLACE).at_hand.values()] == ["me"]


def test_hair_is_followed_where_a_model_can(page: AppTest) -> None:
    at_replace(page)
    page.toggle(key=Key.FOLLOW_HAIR.of(REPLACE)).set_value(True).run()
    run_sample(page)
    assert "A disc with hair." in texts(page)
    page.selectbox(key=Key.ONE_MODEL.of(REPLACE)).set_value("empty").run()
    assert page.toggle(key=Key.FOLLOW_HAIR.of(REPLACE)).disabled


def test_a_run_shows_mask_and_picture_before_the_uploaded_background(page: AppTest) -> None:
    at_replace(page)
    red = encode(np.full((30, 50, 3), (250, 0, 0), np.uint8))
    page.file_uploader(key=Key.BACKDROP_UPLOAD.of(REPLACE)).set_value(("red.png", red, "image/png")).run()
    run_sample(page)
    assert not page.exception
    finish = shown(page)
    assert finish.effect is Effect.REPLACE
    assert isinstance(finish.background, Photo)
    assert finish.background.name == "red"
    labels = [button.proto.label for button in page.main.get("download_button")]
    assert labels == ["Download mask", "Download photo with new background"]


def test_portrait_mode_blurs_the_photo_s_own_background_or_not_at_all(page: AppTest) -> None:
    run_sample(at_replace(page))
    page.segmented_control(key=Key.EFFECT.of(REPLACE)).set_value("blur").run()
    assert shown(page).effect is Effect.BLUR
    slider = page.slider(key=Key.KERNEL.of(REPLACE))
    assert slider.min == 1
    slider.set_value(1).run()
    assert not page.exception
    assert shown(page).kernel == 1


def test_each_family_of_models_starts_with_its_own_refinement(page: AppTest) -> None:
    run_sample(at_replace(page))
    assert shown(page).refine == PRESETS["as-is"]
    page.selectbox(key=Key.ONE_MODEL.of(REPLACE)).set_value("slow").run()
    page.button(key=Key.RUN.of(REPLACE)).click()
    until_done(page, REPLACE)
    slow = next(preview for key, preview in memory(page, REPLACE).previews.items() if key.model == "slow")
    assert slow._finished is not None
    assert slow._finished[0].refine == PRESETS["u2net-classic"]


def test_both_pages_keep_what_they_have(page: AppTest) -> None:
    run_on_sample(page, "disc")
    page.slider(key=Key.KERNEL.of(COMPARE)).set_value(31).run()
    page.checkbox(key=Key.MODEL.of("empty")).set_value(True).run()
    go_to(page, REPLACE_URL)
    page.file_uploader(key=Key.BACKDROP_UPLOAD.of(REPLACE)).set_value(
        ("red.png", encode(np.full((30, 50, 3), (250, 0, 0), np.uint8)), "image/png")
    ).run()
    run_sample(page)
    go_to(page, COMPARE_URL)
    assert "Inference: 0.25 s" in texts(page)
    assert page.slider(key=Key.KERNEL.of(COMPARE)).value == 31
    assert [box.value for box in page.sidebar.checkbox] == [True, True, False, False, False, False]
    go_to(page, REPLACE_URL)
    assert "Inference: 0.25 s" in texts(page)
    assert getattr(shown(page).background, "name", "") == "red"


def test_uploads_outlive_another_page_and_can_be_removed_then(page: AppTest, photo: Photo) -> None:
    page.run()
    page.file_uploader(key=Key.UPLOADS.of(COMPARE)).set_value([("me.png", encode(photo.rgb), "image/png")]).run()
    page.button(key=Key.RUN.of(COMPARE)).click()
    until_done(page)
    go_to(page, REPLACE_URL)
    go_to(page, COMPARE_URL)
    assert "Inference: 0.25 s" in texts(page)
    (button,) = [button for button in page.button if button.label == "Remove me.png"]
    button.click().run()
    assert "Inference" not in texts(page)
    assert not memory(page).results


def test_a_run_is_seen_from_the_other_page_and_cannot_be_doubled(page: AppTest) -> None:

    page.run()
    page.button(key=Key.SAMPLE.of("astronaut")).click().run()
    page.checkbox(key=Key.MODEL.of("disc")).set_value(False)
    page.checkbox(key=Key.MODEL.of("slow")).set_value(True).run()
    SlowSegmenter.gate.clear()
    page.button(key=Key.RUN.of(COMPARE)).click().run()
    go_to(page, REPLACE_URL)
    page.button(key=Key.SAMPLE.of("astronaut")).click().run()
    assert page.button(key=Key.RUN.of(REPLACE)).disabled
    assert "A run of another page is under way." in texts(page)
    SlowSegmenter.gate.set()
    until_done(page)
    assert not page.button(key=Key.RUN.of(REPLACE)).disabled
    go_to(page, COMPARE_URL)
    assert "Inference: 0.30 s" in texts(page)
