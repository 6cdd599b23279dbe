"""The flags between matte and picture, by what they do to a picture; files of options; and which comes first."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from arena.catalog import MATTING_MODEL, Task, get_card
from arena.cli.app import app
from arena.cli.finishing import BackgroundFlags, BlurFlags, RefineFlags, read_finish
from arena.compose import BOKEHS, Bokeh, Plain
from arena.errors import ArenaError, OfflineError, OptionError
from arena.finish import Finish
from arena.matte import Matte, MatteKind
from arena.models.base import Prediction
from arena.models.pool import unload
from arena.photo import Photo, encode
from arena.refine import PRESETS
from arena.render import render_blur, render_replace
from tests.fakes import DiscSegmenter, HalfNetwork, make_card

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from typer.testing import Result

SIZE = (200, 1000)
"""Height and width: lengths of the refinement are for a longer side of 1000, so here they are pixels."""

HOLE, SPECK, GAP, SECOND, VEIL, EDGE = (
    (slice(60, 66), slice(240, 246)),
    (slice(20, 23), slice(20, 23)),
    (slice(60, 160), slice(320, 323)),
    (slice(40, 160), slice(560, 680)),
    (slice(60, 160), slice(800, 900)),
    (slice(90, 130), slice(400, 402)),
)
"""Rows and columns of what the refinement looks for: within the figure, beside it, and just outside its right side."""


def figures() -> NDArray[np.float32]:
    """A large figure with a hole and a gap, a smaller one, a speck, and a veil of a noisy 0.4."""
    alpha = np.zeros(SIZE, np.float32)
    alpha[40:180, 200:400] = 1
    alpha[HOLE], alpha[GAP] = 0, 0
    alpha[SECOND], alpha[SPECK] = 1, 1
    noise = np.random.default_rng(3).uniform(-0.05, 0.05, (100, 100))
    alpha[VEIL] = (0.4 + noise).astype(np.float32)
    return alpha


class FiguresSegmenter(DiscSegmenter):
    """Finds the figures."""

    def _predict(self, photo: Photo, **prompts: Any) -> Prediction:
        assert (photo.height, photo.width) == SIZE
        return Prediction(figures(), seconds=0.1)


class SoftSegmenter(DiscSegmenter):
    """Finds a disc with a wide soft edge."""

    def _predict(self, photo: Photo, **prompts: Any) -> Prediction:
        return Prediction(soft_disc(photo.height, photo.width), seconds=0.1)


def soft_disc(height: int, width: int) -> NDArray[np.float32]:
    rows, columns = np.mgrid[:height, :width]
    distance = np.hypot(rows - height / 2, columns - width / 2)
    alpha: NDArray[np.float32] = np.clip((32 - distance) / 12, 0, 1).astype(np.float32)
    return alpha


@pytest.fixture(autouse=True)
def _cards(use_cards: Callable[..., None]) -> Iterator[None]:
    cards = [
        dataclasses.replace(make_card(key, "DiscSegmenter"), adapter=f"{__name__}:{adapter}")
        for key, adapter in (("figures", "FiguresSegmenter"), ("soft", "SoftSegmenter"))
    ]
    use_cards(*cards, make_card("unloadable", "UnloadableSegmenter"))
    yield
    unload()


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """A photo for the figures, whose large one is two pixels wider in it than the matte says."""
    pixels = np.full((*SIZE, 3), 30, np.uint8)
    pixels[40:180, 200:404] = 220
    path = tmp_path / "scene.png"
    path.write_bytes(encode(pixels))
    return path


@pytest.fixture
def portrait(tmp_path: Path, photo: Photo) -> Path:
    path = tmp_path / "me.png"
    path.write_bytes(encode(photo.rgb))
    return path


@pytest.fixture
def flag_picture(tmp_path: Path) -> Path:
    """A picture twice as wide as the photo needs: left red, right blue, with a white frame of an eighth."""
    pixels = np.zeros((96, 256, 3), np.uint8)
    pixels[:, :128, 0], pixels[:, 128:, 2] = 255, 255
    pixels[:12], pixels[-12:], pixels[:, :12], pixels[:, -12:] = 255, 255, 255, 255
    path = tmp_path / "flag.png"
    path.write_bytes(encode(pixels))
    return path


def arena(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def refined(scene: Path, *words: object) -> NDArray[np.float32]:
    """The alpha of the figures after the refinement that the words ask for."""
    out = scene.parent / "out.png"
    result = arena("cutout", scene, "-o", out, "-m", "figures", *words)
    assert result.exit_code == 0, (result.output, result.exception)
    cut = Photo.open(out).rgba
    assert cut is not None
    return cut[..., 3].astype(np.float32) / np.float32(255)


REFINEMENTS: dict[str, tuple[tuple[object, ...], Callable[[NDArray[np.float32]], object]]] = {
    "threshold": (("--threshold", 0.5), lambda alpha: set(np.unique(alpha)) == {0, 1} and not alpha[VEIL].any()),
    "keep-largest": (("--keep-largest", 2), lambda alpha: alpha[SECOND].min() == 1 and not alpha[SPECK].any()),
    "fill-holes": (("--fill-holes", 0.001), lambda alpha: alpha[HOLE].min() == 1),
    "opening": (("--opening", 5), lambda alpha: alpha[100, 620] == 1 and not alpha[SPECK].any()),
    "closing": (("--closing", 5), lambda alpha: alpha[GAP].min() == 1 and alpha[HOLE].min() == 0),
    "bilateral": (("--bilateral", 5), lambda alpha: alpha[VEIL][10:-10, 10:-10].std() < 0.015),
    "guided": (("--guided", 4), lambda alpha: alpha[EDGE].mean() > 0.2 and not alpha[:, 950:].any()),
    "grow": (("--grow", 3), lambda alpha: alpha[EDGE].min() == 1),
    "shrink": (("--grow", -3), lambda alpha: not alpha[100, 397:400].any() and alpha[100, 396] == 1),
    "feather": (("--feather", 3), lambda alpha: 0.1 < alpha[EDGE].mean() < 0.6),
    "preset": (("--refine", "u2net-classic"), lambda alpha: 0.02 < alpha[100, 400] < 0.98),
}
"""Flags, and what is so with them and not without."""


@pytest.mark.parametrize("name", REFINEMENTS)
def test_a_refinement_does_what_it_says(name: str, scene: Path) -> None:
    words, holds = REFINEMENTS[name]
    assert not holds(figures())
    assert holds(refined(scene, *words))


def test_a_kept_part_is_the_largest(scene: Path) -> None:
    alpha = refined(scene, "--threshold", 0.5, "--keep-largest", 1)
    assert alpha[100, 250] == 1
    assert not alpha[:, 420:].any()
    assert not alpha[SPECK].any()


def test_refinement_reaches_every_command(portrait: Path, tmp_path: Path) -> None:
    plain, grown = tmp_path / "plain.png", tmp_path / "grown.png"
    for words in (("blur", "-k", 31), ("cutout",), ("replace", "-b", "navy")):
        command, *rest = words
        for out, extra in ((plain, ()), (grown, ("--grow", 20, "--own-colours", "off"))):
            result = arena(command, portrait, "-o", out, "-m", "soft", *rest, *extra)
            assert result.exit_code == 0, result.output
        assert plain.read_bytes() != grown.read_bytes(), command
    arena("compare", portrait, "-o", tmp_path / "a", "-m", "soft")
    arena("compare", portrait, "-o", tmp_path / "b", "-m", "soft", "--threshold", 0.5)
    for picture in ("masks", "alpha", "blurred", "cutout"):
        files = [(tmp_path / run / "me" / picture / "soft.png").read_bytes() for run in "ab"]
        assert files[0] != files[1], picture
    with Image.open(tmp_path / "b/me/alpha/soft.png") as image:
        assert set(np.unique(np.asarray(image))) == {0, 65535}


def test_own_colours_can_be_left_to_the_photo(portrait: Path, photo: Photo, tmp_path: Path) -> None:
    cuts = {}
    for colours in ("off", "auto", "fast", "multilevel"):
        out = tmp_path / f"{colours}.png"
        assert arena("cutout", portrait, "-o", out, "-m", "soft", "--own-colours", colours).exit_code == 0
        opened = Photo.open(out).rgba
        assert opened is not None
        cuts[colours] = opened
    mixed = (cuts["off"][..., 3] > 0) & (cuts["off"][..., 3] < 255)
    np.testing.assert_array_equal(cuts["off"][mixed][:, :3], photo.rgb[mixed])
    assert (cuts["auto"][mixed][:, :3] != photo.rgb[mixed]).any()
    np.testing.assert_array_equal(cuts["auto"], cuts["fast"])
    assert (cuts["multilevel"] != cuts["fast"]).any()


def replaced(portrait: Path, *words: object) -> NDArray[np.int_]:
    out = portrait.parent / "replaced.png"
    result = arena("replace", portrait, "-o", out, "-m", "soft", *words)
    assert result.exit_code == 0, (result.output, result.exception)
    return Photo.open(out).rgb.astype(int)


OUTSIDE = soft_disc(96, 128) == 0
INSIDE = soft_disc(96, 128) == 1


@pytest.mark.parametrize("colour", ["navy", "#000080", "rgb(0, 0, 128)", "gradient:navy-navy"])
def test_a_drawn_background_takes_the_place_of_the_old_one(colour: str, portrait: Path, photo: Photo) -> None:
    picture = replaced(portrait, "--background", colour)
    assert (picture[OUTSIDE] == (0, 0, 128)).all()
    np.testing.assert_array_equal(picture[INSIDE], photo.rgb[INSIDE])


def test_a_picture_covers_the_frame_about_its_anchor(portrait: Path, flag_picture: Path) -> None:
    red, blue = (255, 0, 0), (0, 0, 255)
    middle = replaced(portrait, "-b", flag_picture)
    assert tuple(middle[20, 5]) == red
    assert tuple(middle[20, -5]) == blue
    assert tuple(replaced(portrait, "-b", flag_picture, "--anchor", "left")[20, -5]) == red
    assert tuple(replaced(portrait, "-b", flag_picture, "--anchor", "1,0.5")[20, 5]) == blue


def test_a_picture_fits_as_it_is_told(portrait: Path, flag_picture: Path) -> None:
    contained = replaced(portrait, "-b", flag_picture, "--fit", "contain", "--fill", "lime")
    assert (contained[:14] == (0, 255, 0)).all()
    assert tuple(contained[48, 1]) == (255, 255, 255)
    stretched = replaced(portrait, "-b", flag_picture, "--fit", "stretch")
    assert (stretched[:, [0, -1]] == 255).all()
    larger = replaced(portrait, "-b", flag_picture, "--background-scale", 1.5)
    assert not (larger[OUTSIDE] == 255).all(axis=-1).any()
    tiled = replaced(portrait, "-b", flag_picture, "--fit", "tile", "--background-scale", 0.25, "--anchor", "top-left")
    np.testing.assert_array_equal(tiled[:14, :60], tiled[:14, 64:124])


def test_the_new_background_is_blurred_by_its_own_kernel(portrait: Path, flag_picture: Path) -> None:
    sharp, soft = (
        replaced(portrait, "-b", flag_picture),
        replaced(portrait, "-b", flag_picture, "--background-kernel", 31),
    )
    np.testing.assert_array_equal(sharp, replaced(portrait, "-b", flag_picture, "--background-kernel", 1))
    assert np.abs(np.diff(sharp[5:14, 64], axis=0)).max() > 200
    assert np.abs(np.diff(soft[5:14, 64], axis=0)).max() < 60
    np.testing.assert_array_equal(soft[INSIDE], sharp[INSIDE])


@pytest.mark.parametrize("bokeh", BOKEHS)
def test_the_bokeh_reaches_every_command(
    bokeh: Bokeh, portrait: Path, photo: Photo, flag_picture: Path, tmp_path: Path
) -> None:
    finish = Finish(kernel=31, bokeh=bokeh, background_kernel=31)
    matte = Matte(soft_disc(96, 128), MatteKind.ALPHA, "soft")
    expected = render_blur(photo, matte, finish=finish)
    out = tmp_path / "blurred.png"
    assert arena("blur", portrait, "-o", out, "-m", "soft", "-k", 31, "--bokeh", bokeh).exit_code == 0
    np.testing.assert_array_equal(Photo.open(out).rgb, expected)
    np.testing.assert_array_equal(
        replaced(portrait, "-b", flag_picture, "--background-kernel", 31, "--bokeh", bokeh),
        render_replace(photo, matte, flag_picture, finish),
    )
    folder = tmp_path / "results"
    assert arena("compare", portrait, "-o", folder, "-m", "soft", "-k", 31, "--bokeh", bokeh).exit_code == 0
    np.testing.assert_array_equal(Photo.open(folder / "me" / "blurred" / "soft.png").rgb, expected)
    assert json.loads((folder / "results.json").read_text("utf-8")).get("bokeh", "gaussian") == bokeh


def test_the_subject_takes_on_the_new_light(portrait: Path) -> None:
    background = ("-b", "gradient:#2040a0-#6080e0")
    plain, harmonised = replaced(portrait, *background), replaced(portrait, *background, "--harmonise", 1)
    bluer = (harmonised - plain)[INSIDE].mean(axis=0)
    assert bluer[2] > bluer[0] + 10
    np.testing.assert_array_equal(harmonised[OUTSIDE], plain[OUTSIDE])


def test_light_wraps_around_the_edge_alone(portrait: Path) -> None:
    plain, wrapped = replaced(portrait, "-b", "white"), replaced(portrait, "-b", "white", "--light-wrap", 1)
    changed = np.abs(wrapped - plain).max(axis=-1)
    assert changed[(soft_disc(96, 128) > 0.5) & ~INSIDE].mean() > 5
    assert not changed[OUTSIDE].any()
    assert not changed[48, 64]


def test_linear_light_changes_mixed_pixels_alone(portrait: Path, tmp_path: Path) -> None:
    config = tmp_path / "linear.toml"
    config.write_text("[background]\nlinear = true\n")
    plain, linear = replaced(portrait, "-b", "white"), replaced(portrait, "-b", "white", "--linear")
    mixed = ~INSIDE & ~OUTSIDE
    assert (linear - plain)[mixed].mean() > 5
    assert np.abs(linear - plain)[~mixed].max() <= 1
    np.testing.assert_array_equal(replaced(portrait, "-b", "white", "-c", config), linear)
    np.testing.assert_array_equal(replaced(portrait, "-b", "white", "-c", config, "--no-linear"), plain)


def test_the_ground_is_sharp_at_the_feet(portrait: Path, tmp_path: Path) -> None:
    config = tmp_path / "ground.toml"
    config.write_text('distance = "ground"\n')

    def blurred(*words: object) -> NDArray[np.int_]:
        out = tmp_path / "out.png"
        result = arena("blur", portrait, "-o", out, "-m", "soft", "-k", 15, *words)
        assert result.exit_code == 0, result.output
        return Photo.open(out).rgb.astype(int)

    alike, ground = blurred(), blurred("--distance", "ground")
    photo = Photo.open(portrait).rgb
    # The disc's lower end is at about row 74.
    np.testing.assert_array_equal(ground[74, :20], photo[74, :20])
    assert np.abs(alike[74, :20] - photo[74, :20]).max() > 20
    np.testing.assert_array_equal(ground[:30], alike[:30])
    np.testing.assert_array_equal(blurred("-c", config), ground)
    np.testing.assert_array_equal(blurred("-c", config, "--distance", "alike"), alike)


def test_the_subject_moves_and_shrinks(portrait: Path) -> None:
    def box(*words: object) -> tuple[float, float, int]:
        rows, columns = np.nonzero((replaced(portrait, "-b", "#010203", *words) != (1, 2, 3)).any(axis=-1))
        return float(columns.mean()), float(rows.mean()), len(rows)

    across, down, area = box()
    moved = box("--subject-x", 0.1, "--subject-y", -0.1)
    assert moved[0] - across == pytest.approx(12.8, abs=0.6)
    assert moved[1] - down == pytest.approx(-9.6, abs=0.6)
    assert box("--subject-scale", 0.5)[2] == pytest.approx(area / 4, rel=0.1)


@pytest.mark.parametrize("ending", [".png", ".webp"])
def test_a_transparent_background_is_a_cutout(ending: str, portrait: Path, tmp_path: Path) -> None:
    out = tmp_path / f"out{ending}"
    assert arena("replace", portrait, "-o", out, "-m", "soft", "-b", "transparent").exit_code == 0
    rgba = Photo.open(out).rgba
    assert rgba is not None
    np.testing.assert_array_equal(rgba[..., 3], np.rint(soft_disc(96, 128) * 255))


def test_compare_writes_the_replaced_picture_where_there_is_a_background(portrait: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ("-b", "navy", "--harmonise", 0.5, "--refine", "hair", "-k", 31)
    assert arena("compare", portrait, "-o", out, "-m", "soft", *words).exit_code == 0
    assert sorted(path.name for path in (out / "me").iterdir()) == ["alpha", "blurred", "cutout", "masks", "replaced"]
    assert (Photo.open(out / "me/replaced/soft.png").rgb[:8] == (0, 0, 128)).all()
    numbers = json.loads((out / "results.json").read_text())
    assert numbers["kernel"] == 31
    assert numbers["background"] == {"source": "#000080", "harmonise": 0.5}
    assert numbers["refine"]["guided_radius"] == PRESETS["hair"].guided_radius


def test_compare_refuses_flags_of_a_background_without_one_but_not_a_file_of_them(
    portrait: Path, tmp_path: Path
) -> None:
    out = tmp_path / "bare"
    result = arena("compare", portrait, "-o", out, "-m", "soft", "--harmonise", 0.5, "--subject-x", 0.2)
    assert "--harmonise, --subject-x: there is no background to lay it on." in str(result.exception)
    assert not out.exists()
    config = tmp_path / "shared.toml"
    config.write_text("[background]\nharmonise = 0.5\n")
    assert arena("compare", portrait, "-o", out, "-m", "soft", "-c", config).exit_code == 0
    assert not (out / "me/replaced").exists()


def test_what_a_package_prints_does_not_get_into_the_json(
    portrait: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def talkative(alpha: NDArray[np.float32], *_: object) -> NDArray[np.float32]:
        print("PERFORMANCE WARNING")  # noqa: T201 - as pymatting does
        return alpha

    monkeypatch.setattr("arena.render.refine", talkative)
    result = arena("compare", portrait, "-o", tmp_path / "out", "-m", "soft", "--grow", 1, "--json")
    assert json.loads(result.stdout)["refine"] == {"grow": 1.0}
    assert "PERFORMANCE WARNING" in result.stderr


CONFIG = """
effect = "cutout"
kernel = 31
colours = "off"

[refine]
preset = "hair"
grow = 2

[background]
source = "flag.png"
harmonise = 0.25
anchor = "left"

[subject]
scale = 0.5
"""


@pytest.fixture
def config(flag_picture: Path) -> Path:
    path = flag_picture.with_name("options.toml")
    path.write_text(CONFIG)
    return path


def test_a_file_says_what_flags_do_not(config: Path) -> None:
    finish = read_finish("replace", config, BlurFlags(), RefineFlags(), BackgroundFlags())
    assert finish.effect == "replace"
    assert (finish.kernel, finish.colours, finish.harmonise, finish.anchor) == (31, "off", 0.25, "left")
    assert finish.refine == dataclasses.replace(PRESETS["hair"], grow=2.0)
    assert finish.subject.scale == 0.5
    assert isinstance(finish.background, Photo)


def test_flags_come_before_the_file(config: Path) -> None:
    background = BackgroundFlags(source="navy", anchor="0.25,1", subject_scale=2.0, kernel=5)
    finish = read_finish("replace", config, BlurFlags(kernel=3), RefineFlags(grow=0.0, colours="fast"), background)
    assert (finish.kernel, finish.colours, finish.anchor, finish.background_kernel) == (3, "fast", (0.25, 1.0), 5)
    assert finish.harmonise == 0.25
    assert finish.refine == PRESETS["hair"]
    assert finish.background == Plain((0, 0, 128))
    assert finish.subject.scale == 2


def test_a_preset_given_as_a_flag_replaces_the_files_refinement(config: Path) -> None:
    assert read_finish("blur", config, RefineFlags(preset="as-is")).refine.changes_nothing
    # Whatever the order, flags change the preset that another flag names.
    chosen = read_finish("blur", config, RefineFlags(grow=-1.0, preset="u2net-classic"))
    assert chosen.refine == dataclasses.replace(PRESETS["u2net-classic"], grow=-1.0)


def test_a_background_that_is_not_needed_is_not_looked_for(config: Path, flag_picture: Path) -> None:
    flag_picture.unlink()
    assert not read_finish("blur", config, BlurFlags(), RefineFlags()).has_background
    assert read_finish("replace", config, BackgroundFlags(source="navy")).background == Plain((0, 0, 128))
    with pytest.raises(OptionError, match=r"flag\.png"):
        read_finish("replace", config, BackgroundFlags())


def test_a_file_reaches_the_picture(config: Path, portrait: Path, photo: Photo, tmp_path: Path) -> None:
    from arena.matte import Matte, MatteKind

    finish = read_finish("replace", config, BackgroundFlags())
    matte = Matte(soft_disc(96, 128), MatteKind.ALPHA, "soft")
    expected = render_replace(photo, matte, finish.background, finish)
    np.testing.assert_array_equal(replaced(portrait, "--config", config), expected)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("blur", "-k", 100), "--kernel must be an odd whole number from 1 to 255, but is 100. Use 99 or 101."),
        (("blur", "--opening", 4), "--opening must be an odd whole number"),
        (("cutout", "--closing", 2), "--closing must be an odd whole number"),
        (("compare", "--bilateral", 4), "--bilateral must be an odd whole number"),
        (("cutout", "--grow", "nan"), "--grow must be from -25 to 25, but is nan"),
        (("cutout", "--feather", -1), "--feather must be from 0 to 100"),
        (("cutout", "--threshold", 2), "--threshold must be a number from 0 to 1"),
        (("compare", "-k", 257), "--kernel must be an odd whole number from 1 to 255, but is 257."),
        (("replace",), "No background was named. Add --background"),
        (("replace", "-c", "EMPTY"), "or source under [background] in"),
        (("replace", "-b", "beech.png"), "--background: 'beech.png' is neither a picture that exists"),
        (("compare", "-b", "gradient:red-gren"), "--background: 'gren' is no colour"),
        (
            ("replace", "-b", "navy", "--background-kernel", 2),
            "--background-kernel must be an odd whole number from 1 to 255, but is 2.",
        ),
        (("replace", "-b", "navy", "--anchor", "middle"), "--anchor must be"),
        (("replace", "-b", "navy", "--anchor", "1,x"), "--anchor must be"),
        (("replace", "-b", "navy", "--anchor", "1,2"), "anchor's y must be"),
        (("replace", "-b", "navy", "--fill", "gren"), "--fill: 'gren' is no colour"),
        (("replace", "-b", "navy", "--fit", "squeeze"), "--fit"),
        (("replace", "-b", "navy", "--harmonise", 2), "--harmonise must be a number from 0 to 1, but is 2.0"),
        (("replace", "-b", "navy", "--subject-scale", 0), "--subject-scale must be a number from 0.05 to 20"),
        (("blur", "--refine", "bald"), "--refine"),
        (("blur", "--matting", "guess"), "--matting"),
        (("blur", "--bokeh", "star"), "--bokeh"),
        (("blur", "--own-colours", "best"), "--own-colours"),
        (("blur", "-c", "nowhere.toml"), "There is no file nowhere.toml"),
        (("blur", "-c", "WRONG"), "wrong.toml: There is no option 'kernle'. Did you mean kernel?"),
        (("cutout", "-b", "navy"), "No such option"),
    ],
)
def test_what_cannot_be_is_named_before_a_model_is_loaded(
    words: tuple[object, ...], message: str, portrait: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty.toml").write_text("")
    (tmp_path / "wrong.toml").write_text("kernle = 3")
    places = {"EMPTY": tmp_path / "empty.toml", "WRONG": tmp_path / "wrong.toml"}
    command, *rest = (places.get(str(word), word) for word in words)
    before = DiscSegmenter.loads
    result = arena(command, portrait, "-o", tmp_path / "out.png", "-m", "soft", *rest)
    if isinstance(result.exception, ArenaError):
        assert isinstance(result.exception, OptionError)
        said = str(result.exception)
    else:
        assert result.exit_code == 2
        said = re.sub(r"\x1b\[[0-9;]*m", "", result.stderr)
    assert message in said
    assert DiscSegmenter.loads == before
    assert not (tmp_path / "out.png").exists()


def test_a_jpeg_cannot_be_transparent_which_is_said_before_a_model_is_loaded(portrait: Path, tmp_path: Path) -> None:
    before = DiscSegmenter.loads
    result = arena("replace", portrait, "-o", tmp_path / "out.jpg", "-m", "soft", "-b", "transparent")
    assert "holds no transparency" in str(result.exception)
    assert DiscSegmenter.loads == before


def test_matting_without_its_package_is_told_before_a_model_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_finish("blur", None, RefineFlags(matting="knn")).refine.matting == "knn"
    monkeypatch.setattr("arena.cli.finishing.find_spec", lambda name: None)
    with pytest.raises(OptionError, match="knn matting needs the package pymatting"):
        read_finish("blur", None, RefineFlags(matting="knn"))
    assert read_finish("blur", None, RefineFlags(matting="off")).refine.matting == "off"


def test_the_network_of_the_matting_is_loaded_before_the_model(
    portrait: Path, photo: Photo, tmp_path: Path, use_cards: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    use_cards(get_card("soft"), make_card(MATTING_MODEL, "HalfNetwork", task=Task.TRIMAP))
    words = ("-o", tmp_path / "out.png", "-m", "soft", "--matting", "vitmatte")
    result = arena("cutout", portrait, *words)
    assert result.exit_code == 0, result.output
    alpha = Photo.open(tmp_path / "out.png").rgba
    assert alpha is not None
    assert set(np.unique(alpha[..., 3])) == {0, 128, 255}
    (tmp_path / "out.png").unlink()
    unload()
    before = SoftSegmenter.loads

    def missing(*_: object, **__: object) -> None:
        raise OfflineError("ViTMatte's weights are not on this machine.", "Fetch them.")

    loads = HalfNetwork.loads
    monkeypatch.setattr("arena.weights.fetch", missing)
    for command, place in (("cutout", tmp_path / "out.png"), ("compare", tmp_path / "out")):
        result = arena(command, portrait, "-o", place, "-m", "soft", "--matting", "vitmatte")
        assert "not on this machine" in str(result.exception)
        assert not place.exists()
    assert SoftSegmenter.loads == before
    # Nor is anything had for what gives no mattes.
    result = arena("cutout", portrait, "-o", tmp_path / "out.png", "-m", MATTING_MODEL, "--matting", "vitmatte")
    assert "needs the matte of another model" in str(result.exception)
    assert HalfNetwork.loads == loads


def test_a_blur_by_flags_is_the_librarys(portrait: Path, photo: Photo, tmp_path: Path) -> None:
    from arena.matte import Matte, MatteKind
    from arena.render import render_blur

    out = tmp_path / "out.png"
    assert arena("blur", portrait, "-o", out, "-m", "soft", "-k", 31).exit_code == 0
    matte = Matte(soft_disc(96, 128), MatteKind.ALPHA, "soft")
    np.testing.assert_array_equal(Photo.open(out).rgb, render_blur(photo, matte, 31))
    assert arena("blur", portrait, "-o", out, "-m", "soft").exit_code == 0
    np.testing.assert_array_equal(Photo.open(out).rgb, render_blur(photo, matte))
