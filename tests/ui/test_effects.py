"""The effect bar and the edge refinement, without a browser."""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING

import numpy as np
import pytest

from arena.catalog import DEPTH_MODEL
from arena.compose import Plain
from arena.errors import OfflineError
from arena.finish import Effect, Finish
from arena.photo import Photo, encode
from arena.refine import PRESETS
from arena.render import render_blur
from arena.ui import runs
from arena.ui.archive import results_zip
from arena.ui.components import refinement
from arena.ui.components.refinement import AS_IS, OWN, PRESET_LABELS, options_of, settings_of
from arena.ui.job import Job, Order
from arena.ui.runs import completed
from arena.ui.state import COMPARE, Key
from tests.fakes import HalfNetwork, RampEstimator
from tests.heic import heic_with_depth
from tests.models.random_weights import picture
from tests.ui.driving import memory, only_preview, run_on_sample, texts, until_done

if TYPE_CHECKING:
    from streamlit.testing.v1 import AppTest

    from arena.comparison import Result
    from arena.ui.state import ResultKey


def shown(page: AppTest) -> Finish:
    """What the second picture on the page was made with."""
    kept = only_preview(page)._finished
    assert kept is not None
    return kept[0]


def shown_in(page: AppTest) -> list[tuple[ResultKey, Result]]:
    """The results that the page shows, as it takes them."""
    space = memory(page)
    return [(key, completed(space, result)) for key, result in space.results.items()]


def choose(page: AppTest, key: Key, value: str) -> AppTest:
    """Choose a segment of a control of the comparison page."""
    return page.segmented_control(key=key.of(COMPARE)).set_value(value).run()


def download_labels(page: AppTest) -> list[str]:
    """The names of the download buttons."""
    return [button.proto.label for button in page.main.get("download_button")]


def test_each_effect_has_its_controls_and_its_download(page: AppTest) -> None:
    run_on_sample(page, "disc")
    assert shown(page).effect is Effect.BLUR
    assert "Download blurred photo" in download_labels(page)
    choose(page, Key.EFFECT, "replace")
    assert not page.exception
    assert shown(page) == Finish(Effect.REPLACE, background=Plain((255, 255, 255)))
    assert "Download photo with new background" in download_labels(page)
    assert not [slider for slider in page.slider if slider.label == "Blur strength"]
    choose(page, Key.EFFECT, "cutout")
    assert shown(page).effect is Effect.CUTOUT
    assert "Download cut-out" in download_labels(page)
    # Once more: what was set stays set.
    choose(page, Key.EFFECT, "blur")
    assert page.slider(key=Key.KERNEL.of(COMPARE)).value == 101


def test_effects_run_nothing(page: AppTest) -> None:
    run_on_sample(page, "disc")
    job, results = memory(page).job, dict(memory(page).results)
    for effect in ("replace", "cutout", "blur"):
        choose(page, Key.EFFECT, effect)
    assert memory(page).job is job
    assert memory(page).results == results


def test_every_kind_of_background_reaches_the_picture(page: AppTest) -> None:
    run_on_sample(page, "disc")
    choose(page, Key.EFFECT, "replace")
    page.color_picker(key=Key.BACKDROP_COLOUR.of(COMPARE)).set_value("#204060").run()
    assert shown(page).background == Plain((32, 64, 96))
    choose(page, Key.BACKDROP, "Gradient")
    page.selectbox(key=Key.BACKDROP_DIRECTION.of(COMPARE)).set_value("To the right").run()
    assert getattr(shown(page).background, "angle", None) == 90
    choose(page, Key.BACKDROP, "Sample")
    page.selectbox(key=Key.BACKDROP_SAMPLE.of(COMPARE)).set_value("Sunset").run()
    assert len(getattr(shown(page).background, "colours", ())) == 3
    choose(page, Key.BACKDROP, "Colour")
    assert shown(page).background == Plain((32, 64, 96))


def test_an_uploaded_background_is_used_and_outlives_a_look_at_another_effect(page: AppTest) -> None:
    run_on_sample(page, "disc")
    choose(page, Key.EFFECT, "replace")
    choose(page, Key.BACKDROP, "Picture")
    assert shown(page).background.__class__.__name__ == "Transparent"
    red = encode(np.full((30, 50, 3), (250, 0, 0), np.uint8))
    page.file_uploader(key=Key.BACKDROP_UPLOAD.of(COMPARE)).set_value(("red.png", red, "image/png")).run()
    assert not page.exception
    behind = shown(page).background
    assert isinstance(behind, Photo)
    assert behind.name == "red"
    page.selectbox(key=Key.BACKDROP_FIT.of(COMPARE)).set_value("tile").run()
    assert shown(page).fit == "tile"
    choose(page, Key.EFFECT, "blur")
    choose(page, Key.EFFECT, "replace")
    assert shown(page).background is behind
    assert shown(page).fit == "tile"
    (button,) = [button for button in page.button if button.label == r"Remove red.png"]
    button.click().run()
    assert shown(page).background.__class__.__name__ == "Transparent"


def test_settings_of_the_replacement_reach_the_picture(page: AppTest) -> None:
    run_on_sample(page, "disc")
    choose(page, Key.EFFECT, "replace")
    choose(page, Key.BACKDROP, "Sample")
    for key, value in {
        Key.BACKDROP_KERNEL: 31,
        Key.HARMONISE: 40,
        Key.LIGHT_WRAP: 25,
        Key.SUBJECT_RIGHT: -10,
        Key.SUBJECT_DOWN: 5,
        Key.SUBJECT_SIZE: 80,
    }.items():
        page.slider(key=key.of(COMPARE)).set_value(value)
    page.toggle(key=Key.LINEAR.of(COMPARE)).set_value(True).run()
    finish = shown(page)
    assert finish.linear
    assert (finish.background_kernel, finish.harmonise, finish.light_wrap) == (31, 0.4, 0.25)
    assert (finish.subject.x, finish.subject.y, finish.subject.scale) == (-0.1, 0.05, 0.8)


def test_the_bokeh_reaches_every_blur(page: AppTest) -> None:
    run_on_sample(page, "disc")
    choose(page, Key.BOKEH, "disc")
    assert (shown(page).effect, shown(page).bokeh) == (Effect.BLUR, "disc")
    choose(page, Key.EFFECT, "replace")
    assert not [control for control in page.segmented_control if control.label == "Bokeh"]
    choose(page, Key.BACKDROP, "Sample")
    assert page.segmented_control(key=Key.BOKEH.of(COMPARE)).disabled
    page.slider(key=Key.BACKDROP_KERNEL.of(COMPARE)).set_value(31).run()
    assert not page.segmented_control(key=Key.BOKEH.of(COMPARE)).disabled
    choose(page, Key.BOKEH, "hexagon")
    assert (shown(page).background_kernel, shown(page).bokeh) == (31, "hexagon")
    choose(page, Key.EFFECT, "blur")
    assert shown(page).bokeh == "hexagon"
    assert not page.exception


def test_the_ground_can_stay_sharp(page: AppTest) -> None:
    run_on_sample(page, "disc")
    assert shown(page).distance == "alike"
    choose(page, Key.DISTANCE, "ground")
    assert shown(page).distance == "ground"
    choose(page, Key.EFFECT, "cutout")
    assert not [control for control in page.segmented_control if control.label == "Distance"]
    choose(page, Key.EFFECT, "blur")
    assert shown(page).distance == "ground"
    assert not page.exception


def test_the_blur_goes_by_depth_once_that_is_found_out(page: AppTest) -> None:
    run_on_sample(page, "disc", "empty")
    choose(page, Key.DISTANCE, "depth")
    assert shown(page).distance == "alike"
    assert "Until then everything is blurred alike. Ramp says how far things are." in texts(page)
    alike = only_preview(page)
    page.button(key=Key.DEPTH.of(COMPARE)).click()
    until_done(page)
    assert not page.exception
    assert only_preview(page) is not alike
    assert shown(page).distance == "depth"
    assert not [button for button in page.button if button.label == "Find out depth"]
    key, result = next((key, result) for key, result in shown_in(page) if key.model == "disc")
    assert result.photo is not None
    assert result.matte is not None
    assert result.photo.depth is not None
    # What is exported goes by it, too; the mattes have stayed.
    exported = render_blur(result.photo, result.matte, finish=shown(page))
    assert (exported != render_blur(result.photo, result.matte)).any()
    assert memory(page).results[key].matte is result.matte
    # It is the photo's: gone with it, and found out anew for another.
    page.button(key=Key.SAMPLE.of("astronaut")).click().run()
    assert not memory(page).depths
    page.button(key=Key.SAMPLE.of("grace-hopper")).click().run()
    page.button(key=Key.RUN.of(COMPARE)).click()
    until_done(page)
    assert shown(page).distance == "alike"
    assert [button for button in page.button if button.label == "Find out depth"]


def test_a_depth_map_of_ones_own_asks_no_network(page: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RampEstimator, "failure", AssertionError("was asked"))
    run_on_sample(page, "disc")
    choose(page, Key.DISTANCE, "depth")
    ramp = np.linspace(0, 255, 40).astype(np.uint8)[:, None].repeat(40, axis=1)
    uploader = next(item for item in page.file_uploader if item.label == "Depth map")
    uploader.set_value([("map.png", encode(ramp[:, :20]), "image/png")]).run()
    assert [error.value for error in page.main.error] == [
        "A depth map of 20 x 40 px is not of a photo of 512 x 512 px. It must show the same view, neither cropped nor "
        "turned."
    ]
    assert shown(page).distance == "alike"
    uploader = next(item for item in page.file_uploader if item.label == "Depth map")
    uploader.set_value([("map.png", encode(ramp), "image/png")]).run()
    assert not page.main.error
    assert not page.exception
    assert shown(page).distance == "depth"
    (kept,) = memory(page).depths.values()
    np.testing.assert_array_equal(kept, ramp)
    page.button(key=Key.FORGET_DEPTH.of(COMPARE)).click().run()
    assert not memory(page).depths
    assert shown(page).distance == "alike"


def test_a_photo_that_brings_its_depth_is_blurred_by_it_at_once(page: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    ramp = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (48, 1))
    page.run()
    uploader = next(item for item in page.file_uploader if item.label == "Photos")
    uploader.set_value([("me.heic", heic_with_depth(picture(192, 256), ramp), "image/heic")]).run()
    assert "256 x 192 px, with depth" in texts(page)
    page.checkbox(key=Key.MODEL.of("disc")).set_value(True).run()
    page.button(key=Key.RUN.of(COMPARE)).click()
    until_done(page)
    choose(page, Key.DISTANCE, "depth")
    assert not page.exception
    assert shown(page).distance == "depth"
    assert not [button for button in page.button if button.label == "Find out depth"]
    ((_, result),) = shown_in(page)
    assert result.photo is not None
    np.testing.assert_array_equal(result.photo.depth, ramp)
    # Another map can take its place, and nothing brings it back.
    page.button(key=Key.FORGET_DEPTH.of(COMPARE)).click().run()
    page.run()
    assert not memory(page).depths
    assert shown(page).distance == "alike"
    ((_, result),) = shown_in(page)
    assert result.photo is not None
    assert result.photo.depth is None
    monkeypatch.setattr(RampEstimator, "failure", OfflineError("Ramp is not here.", "Fetch it."))
    page.button(key=Key.DEPTH.of(COMPARE)).click()
    until_done(page)
    assert not memory(page).depths
    assert "The depth of me could not be found out: Ramp is not here." in texts(page)


def test_a_map_of_ones_own_stays_when_the_network_has_answered(page: AppTest) -> None:
    run_on_sample(page, "disc")
    space = memory(page)
    (photo,) = space.at_hand.values()
    own = photo.with_depth(np.ones((8, 8), np.float32))
    runs.find_depths(space, [photo], "cpu")
    assert space.job is not None
    space.job.join(20)
    runs.take_depth(space, own)
    page.run()
    assert space.job.done == 1
    assert not space.job.has_news
    assert list(space.depths.values()) == [own.depth]


def test_a_stopped_search_for_depth_does_not_ask_for_another_run(page: AppTest) -> None:
    run_on_sample(page, "disc")
    choose(page, Key.DISTANCE, "depth")
    space = memory(page)
    (photo,) = space.at_hand.values()
    space.job = Job([Order(DEPTH_MODEL, [photo])], "cpu")
    space.job.stop()
    space.job.start()
    space.job.join(20)
    page.run()
    assert space.job.done < space.job.total
    assert "The run was stopped" not in texts(page)
    assert [button for button in page.button if button.label == "Find out depth"]


def test_a_depth_that_cannot_be_found_out_says_why(page: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RampEstimator, "failure", OfflineError("Ramp is not here.", "Fetch it."))
    run_on_sample(page, "disc")
    choose(page, Key.DISTANCE, "depth")
    page.button(key=Key.DEPTH.of(COMPARE)).click()
    until_done(page)
    assert [error.value for error in page.main.error] == [
        "The depth of astronaut could not be found out: Ramp is not here."
    ]
    assert "Fetch it." in texts(page)
    assert shown(page).distance == "alike"
    monkeypatch.setattr(RampEstimator, "failure", None)
    page.button(key=Key.DEPTH.of(COMPARE)).click()
    until_done(page)
    assert not page.main.error
    assert shown(page).distance == "depth"


def test_what_is_shown_is_what_is_exported(page: AppTest) -> None:
    run_on_sample(page, "disc")
    choose(page, Key.EFFECT, "replace")
    page.color_picker(key=Key.BACKDROP_COLOUR.of(COMPARE)).set_value("#204060").run()
    choose(page, Key.PRESET, "hair")
    with zipfile.ZipFile(io.BytesIO(results_zip(memory(page).results.values(), shown(page)))) as archive:
        summary = json.loads(archive.read("results/results.json"))
    assert summary["effect"] == "replace"
    assert summary["background"]["source"] == "#204060"
    assert summary["refine"]["guided_radius"] == PRESETS["hair"].guided_radius


@pytest.mark.parametrize("name", PRESETS)
def test_controls_can_show_every_preset(name: str) -> None:
    assert options_of(settings_of(PRESETS[name])) == PRESETS[name]


def test_every_preset_has_a_label() -> None:
    assert list(PRESET_LABELS) == [*PRESETS, OWN]


def test_a_preset_sets_the_controls_and_a_control_leaves_the_preset(page: AppTest) -> None:
    run_on_sample(page, "disc")
    assert shown(page).refine == PRESETS[AS_IS]
    choose(page, Key.PRESET, "u2net-classic")
    assert shown(page).refine == PRESETS["u2net-classic"]
    assert page.slider(key=Key.REFINE.of("closing", COMPARE)).value == 5
    page.slider(key=Key.REFINE.of("closing", COMPARE)).set_value(9).run()
    assert shown(page).refine.closing == 9
    assert page.segmented_control(key=Key.PRESET.of(COMPARE)).value == OWN
    page.slider(key=Key.REFINE.of("closing", COMPARE)).set_value(5).run()
    assert page.segmented_control(key=Key.PRESET.of(COMPARE)).value == "u2net-classic"


def test_each_control_of_the_refinement_reaches_the_mask(page: AppTest) -> None:
    run_on_sample(page, "disc")
    page.checkbox(key=Key.REFINE.of("components", COMPARE)).check()
    page.checkbox(key=Key.REFINE.of("holes", COMPARE)).check()
    steps = {"threshold": 0.35, "opening": 3, "bilateral_diameter": 7, "grow": -1.5, "feather_sigma": 0.4}
    for field, value in steps.items():
        page.slider(key=Key.REFINE.of(field, COMPARE)).set_value(value)
    page.slider(key=Key.REFINE.of("guided_radius", COMPARE)).set_value(2.0).run()
    assert not page.exception
    options = shown(page).refine
    assert options.threshold == 0.35
    assert (options.components, options.opening, options.bilateral_diameter) == (1, 3, 7)
    assert (options.grow, options.feather_sigma, options.guided_radius) == (-1.5, 0.4, 2.0)
    assert options.holes > 0


def test_edge_colours_are_cleaned_unless_switched_off(page: AppTest) -> None:
    run_on_sample(page, "disc")
    assert shown(page).colours == "auto"
    for colours in ("multilevel", "off"):
        choose(page, Key.EDGE_COLOURS, colours)
        assert shown(page).colours == colours


@pytest.mark.parametrize("installed", [True, False])
def test_matting_is_offered_only_where_its_library_is(
    page: AppTest, monkeypatch: pytest.MonkeyPatch, installed: bool
) -> None:
    monkeypatch.setattr(refinement, "find_spec", lambda name: object() if installed else None)
    monkeypatch.setattr(refinement, "is_cached", lambda card: False)
    run_on_sample(page, "disc")
    assert not page.exception
    assert ("Matting" in {control.label for control in page.segmented_control}) is installed


def test_a_network_solves_the_edge_where_its_weights_are(page: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refinement, "find_spec", lambda name: None)
    run_on_sample(page, "disc")
    control = page.segmented_control(key=Key.REFINE.of("matting", COMPARE))
    assert control.options == ["Off", "ViTMatte"]
    control.set_value("vitmatte").run()
    assert not page.exception
    assert not page.main.error
    assert shown(page).refine.matting == "vitmatte"
    # All that the trimap leaves open is half of everything.
    (alpha,) = {float(value) for value in np.unique(only_preview(page)._refined_alpha(shown(page).refine))} - {0, 1}
    assert alpha == 0.5


@pytest.mark.parametrize("installed", [True, False])
def test_a_network_whose_weights_are_gone_is_let_go_of(
    page: AppTest, monkeypatch: pytest.MonkeyPatch, installed: bool
) -> None:
    monkeypatch.setattr(refinement, "find_spec", lambda name: object() if installed else None)
    run_on_sample(page, "disc")
    page.segmented_control(key=Key.REFINE.of("matting", COMPARE)).set_value("vitmatte").run()
    monkeypatch.setattr(refinement, "is_cached", lambda card: False)
    loads = HalfNetwork.loads
    page.slider(key=Key.REFINE.of("grow", COMPARE)).set_value(2.0).run()
    assert not page.exception
    assert not page.main.error
    assert (shown(page).refine.matting, shown(page).refine.grow) == ("off", 2.0)
    assert HalfNetwork.loads == loads
