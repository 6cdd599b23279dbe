"""The logic of the comparison page, without a browser."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from arena import devices
from arena.finish import Finish
from arena.photo import encode
from arena.ui.previews import Preview
from arena.ui.state import COMPARE, Key
from tests.fakes import SlowSegmenter, make_card
from tests.ui.driving import memory, only_preview, run_on_sample, texts, until_done, until_running

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest
    from streamlit.testing.v1 import AppTest

    from arena.photo import Photo
    from arena.refine import RefineOptions


def test_the_button_says_what_is_missing(page: AppTest) -> None:
    page.run()
    assert not page.exception
    assert page.button(key=Key.RUN.of(COMPARE)).disabled
    assert "Add a photo or take a sample first." in texts(page)
    page.button(key=Key.SAMPLE.of("astronaut")).click().run()
    assert not page.button(key=Key.RUN.of(COMPARE)).disabled
    page.button(key=Key.NO_MODELS).click().run()
    assert page.button(key=Key.RUN.of(COMPARE)).disabled
    assert "Tick at least one model" in texts(page)


def test_the_default_model_is_ticked_and_all_ready_ticks_the_rest(page: AppTest) -> None:
    page.run()
    assert [box.value for box in page.sidebar.checkbox] == [True, False, False, False, False, False]
    assert page.checkbox(key=Key.MODEL.of("absent")).disabled
    page.button(key=Key.ALL_READY).click().run()
    assert [box.value for box in page.sidebar.checkbox] == [True, True, True, True, False, False]


def test_a_run_fills_one_column_a_model_and_failures_stay_in_theirs(page: AppTest) -> None:
    run_on_sample(page, "disc", "empty", "broken")
    assert not page.exception
    words = texts(page)
    assert "Inference: 0.25 s" in words
    assert "A disc." in words
    assert "No humans detected." in words
    assert "Failed to run Broken: Broken stopped with ZeroDivisionError" in words
    assert not page.button(key=Key.RETRY.of(*digest_and_model(page, "broken"))).disabled


def test_hair_is_followed_by_the_models_that_can(page: AppTest) -> None:
    run_on_sample(page, "disc", "empty")
    before = dict(memory(page).results)
    page.toggle(key=Key.FOLLOW_HAIR.of(COMPARE)).set_value(True).run()
    assert "A disc." in texts(page)
    page.button(key=Key.RUN.of(COMPARE)).click()
    until_done(page)
    assert "A disc with hair." in texts(page)
    # The other one cannot be told of it, so its result stands.
    assert [key.model for key in memory(page).results if key not in before] == ["disc"]
    page.button(key=Key.NO_MODELS).click().run()
    # It stays in its place, so that the list below it does.
    assert page.toggle(key=Key.FOLLOW_HAIR.of(COMPARE)).disabled


def test_retry_runs_the_failed_model_alone(page: AppTest) -> None:
    run_on_sample(page, "disc", "broken")
    space = memory(page)
    before = dict(space.results)
    page.button(key=Key.RETRY.of(*digest_and_model(page, "broken"))).click()
    until_done(page)
    changed = [key.model for key, result in space.results.items() if before[key] is not result]
    assert changed == ["broken"]
    assert "Failed to run Broken" in texts(page)


def test_the_same_picture_twice_is_one_photo(page: AppTest, photo: Photo) -> None:
    page.run()
    data = encode(photo.rgb)
    page.file_uploader(key=Key.UPLOADS.of(COMPARE)).set_value(
        [("a.png", data, "image/png"), ("b.png", data, "image/png")]
    )
    page.run()
    page.button(key=Key.RUN.of(COMPARE)).click()
    until_done(page)
    assert not page.exception
    assert len(memory(page).results) == 1


def test_results_follow_a_photo_that_gets_another_name(page: AppTest, photo: Photo) -> None:
    page.run()
    first, second = encode(photo.rgb), encode(photo.rgb[::-1])
    uploads = page.file_uploader(key=Key.UPLOADS.of(COMPARE))
    uploads.set_value([("me.png", first, "image/png"), ("me.png", second, "image/png")])
    page.run()
    page.button(key=Key.RUN.of(COMPARE)).click()
    until_done(page)
    page.file_uploader(key=Key.UPLOADS.of(COMPARE)).set_value([("me.png", second, "image/png")])
    page.run()
    assert not page.exception
    assert "Inference: 0.25 s" in texts(page)


def test_names_are_not_read_as_markdown(page: AppTest, photo: Photo) -> None:
    page.run()
    page.file_uploader(key=Key.UPLOADS.of(COMPARE)).set_value([("_a_ $5 :red[x].png", encode(photo.rgb), "image/png")])
    page.run()
    assert r"\_a\_ \$5 \:red\[x\].png" in texts(page)


def test_blur_strength_outlives_a_run(page: AppTest) -> None:
    run_on_sample(page, "disc")
    page.slider(key=Key.KERNEL.of(COMPARE)).set_value(31).run()
    page.button(key=Key.RUN.of(COMPARE)).click()
    until_done(page)
    assert page.slider(key=Key.KERNEL.of(COMPARE)).value == 31


def digest_and_model(page: AppTest, model: str) -> tuple[str, str]:
    (key,) = [key for key in memory(page).results if key.model == model]
    return key.digest, key.model


def test_a_changed_selection_keeps_what_is_done_and_runs_only_what_is_missing(page: AppTest) -> None:
    run_on_sample(page, "disc")
    kept = dict(memory(page).results)
    page.checkbox(key=Key.MODEL.of("disc")).set_value(False)
    page.checkbox(key=Key.MODEL.of("empty")).set_value(True)
    page.run()
    assert "Inference: 0.25 s" in texts(page)
    page.checkbox(key=Key.MODEL.of("disc")).set_value(True).run()
    page.button(key=Key.RUN.of(COMPARE)).click()
    until_done(page)
    results = memory(page).results
    assert len(results) == 2
    assert all(results[key] is result for key, result in kept.items())


def test_the_slider_recomposites_and_runs_nothing(page: AppTest) -> None:
    run_on_sample(page, "disc")
    space = memory(page)
    job, results = space.job, dict(space.results)
    preview = only_preview(page)
    before = preview.finished(Finish(kernel=101))
    page.slider(key=Key.KERNEL.of(COMPARE)).set_value(11).run()
    assert space.job is job
    assert space.results == results
    assert preview.finished(Finish(kernel=11)) != before


def test_the_slider_has_the_range_of_the_design(page: AppTest) -> None:
    run_on_sample(page, "disc")
    slider = page.slider(key=Key.KERNEL.of(COMPARE))
    assert (slider.min, slider.max, slider.step, slider.value) == (5, 255, 2, 101)


def test_taking_a_photo_away_clears_its_results(page: AppTest) -> None:
    run_on_sample(page, "disc")
    page.button(key=Key.SAMPLE.of("astronaut")).click().run()
    assert "Inference" not in texts(page)
    assert not memory(page).results
    assert not memory(page).previews


def test_a_second_press_cannot_start_a_second_run_and_stop_keeps_what_is_done(page: AppTest) -> None:
    page.run()
    for sample in ("astronaut", "grace-hopper"):
        page.button(key=Key.SAMPLE.of(sample)).click().run()
    page.checkbox(key=Key.MODEL.of("slow")).set_value(True)
    SlowSegmenter.gate.clear()
    page.button(key=Key.RUN.of(COMPARE)).click().run()
    assert until_running(page, "slow").done == 2
    assert page.button(key=Key.RUN.of(COMPARE)).disabled
    assert "A run is under way." in texts(page)
    page.button(key=Key.STOP).click().run()
    SlowSegmenter.gate.set()
    until_done(page)
    words = texts(page)
    assert words.count("Inference: 0.25 s") == 1  # the open tab's
    assert len(memory(page).results) == 3
    assert not page.button(key=Key.RUN.of(COMPARE)).disabled


def test_uploads_are_decoded_once_named_apart_and_broken_ones_say_why(page: AppTest, photo: Photo) -> None:
    page.run()
    good = encode(photo.rgb)
    page.file_uploader(key=Key.UPLOADS.of(COMPARE)).set_value(
        [
            ("me.png", good, "image/png"),
            ("me.png", encode(photo.rgb[::-1]), "image/png"),
            ("bad.jpg", b"?", "image/jpeg"),
        ]
    )
    page.run()
    assert not page.exception
    entries = list(memory(page).photos.entries.values())
    assert sum(entry.photo is not None for entry in entries) == 2
    assert "bad.jpg is not a picture" in texts(page)
    page.run()
    again = list(memory(page).photos.entries.values())
    assert [e.photo is f.photo for e, f in zip(entries, again, strict=True)] == [True] * 3
    page.button(key=Key.RUN.of(COMPARE)).click()
    until_done(page)
    assert {result.photo_name for result in memory(page).results.values()} == {"me", "me-2"}


def test_running_again_keeps_results_until_there_are_new_ones(page: AppTest) -> None:
    run_on_sample(page, "slow")
    ((key, before),) = memory(page).results.items()
    SlowSegmenter.gate.clear()
    page.button(key=Key.RUN.of(COMPARE)).click().run()
    assert memory(page).results == {key: before}
    assert "Inference: " in texts(page)
    SlowSegmenter.gate.set()
    until_done(page)
    assert list(memory(page).results) == [key]
    assert memory(page).results[key] is not before


def test_what_is_on_the_page_stays_until_another_model_has_given_something(page: AppTest) -> None:
    run_on_sample(page, "disc")
    page.button(key=Key.NO_MODELS).click().run()
    page.checkbox(key=Key.MODEL.of("slow")).check().run()
    SlowSegmenter.gate.clear()
    page.button(key=Key.RUN.of(COMPARE)).click().run()
    assert "Inference: 0.25 s" in texts(page)
    SlowSegmenter.gate.set()
    until_done(page)
    assert "Inference: 0.25 s" not in texts(page)
    assert "Inference: 0.30 s" in texts(page)


def test_a_run_that_was_stopped_says_what_is_missing(page: AppTest, use_cards: Callable[..., None]) -> None:
    # The one that waits runs first: wherever the run stands when it is stopped, the other has not begun.
    use_cards(make_card("slow", "SlowSegmenter"), make_card("disc", "DiscSegmenter"))
    page.run()
    SlowSegmenter.gate.clear()
    page.button(key=Key.SAMPLE.of("astronaut")).click().run()
    for model in ("slow", "disc"):
        page.checkbox(key=Key.MODEL.of(model)).check().run()
    page.button(key=Key.RUN.of(COMPARE)).click().run()
    until_running(page, "slow").stop()
    SlowSegmenter.gate.set()
    until_done(page).run()
    assert "The run was stopped: 1 of 2 results are here. Run once more for the others." in texts(page)
    # Not of photos that are gone.
    page.button(key=Key.SAMPLE.of("astronaut")).click().run()
    page.button(key=Key.SAMPLE.of("grace-hopper")).click().run()
    assert "The run was stopped" not in texts(page)
    page.button(key=Key.SAMPLE.of("grace-hopper")).click().run()
    page.button(key=Key.SAMPLE.of("astronaut")).click().run()
    page.button(key=Key.RUN.of(COMPARE)).click()
    until_done(page)
    assert "The run was stopped" not in texts(page)


def test_a_refinement_that_leaves_nobody_is_said_and_downloads_nothing(page: AppTest) -> None:
    run_on_sample(page, "disc", "slow")
    results = memory(page).results
    for key, result in list(results.items()):
        assert result.matte is not None
        if key.model == "disc":
            faint = dataclasses.replace(result.matte, alpha=result.matte.alpha * np.float32(0.9))
            results[key] = dataclasses.replace(result, matte=faint)
    memory(page).previews.clear()
    page.slider(key=Key.REFINE.of("threshold", COMPARE)).set_value(0.95).run()
    assert [error.value for error in page.main.error] == [
        "The refinement leaves nobody in astronaut. Make its steps smaller\\: opening, threshold, or growth below 0."
    ]
    labels = [button.proto.label for button in page.get("download_button")]
    # One column's and everything.
    assert labels.count("Download mask") == labels.count("Download blurred photo") == 1


def test_a_picture_that_cannot_be_made_takes_no_other_column_with_it(
    page: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    overlay = Preview.overlay

    def failing(self: Preview, options: RefineOptions) -> bytes:
        if self._matte.model == "disc":
            raise MemoryError("no more of it")
        return overlay(self, options)

    monkeypatch.setattr(Preview, "overlay", failing)
    run_on_sample(page, "disc", "slow")
    assert not page.exception
    (error,) = page.main.error
    assert "MemoryError" in error.value
    assert texts(page).count("Inference: ") == 2


def test_under_auto_results_show_on_whatever_works(page: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_cuda_devices", lambda: [devices.Device("cuda:77", "Old")])
    devices.available_devices.cache_clear()
    try:
        run_on_sample(page, "disc")
        assert "Inference: 0.25 s" in texts(page)
        ((key, _),) = memory(page).results.items()
        assert key.device != "cuda:77"
    finally:
        devices._unusable.clear()
        devices.available_devices.cache_clear()
