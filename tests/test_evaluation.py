"""Models judged on pictures whose mattes are known."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from arena.catalog import get_card
from arena.comparison import Event, Stage
from arena.errors import DeviceError, ModelUnavailableError, OptionError, PhotoError, UnknownModelError
from arena.evaluation import contenders, evaluate, face_box
from arena.evaluation.contenders import Boxes, Contender
from arena.evaluation.journal import SIDE
from arena.evaluation.sheet import GAP, TEXT
from arena.metrics import bootstrap_interval, connectivity_error, gradient_error
from arena.models.pool import ModelPool
from arena.models.remback import choose_faces, find_faces, padded_boxes
from arena.photo import Photo
from arena.samples import get_sample
from arena.training.pictures import DataError
from tests.fakes import make_card
from tests.models import sam_tiny
from tests.stripes import HEIGHT, WIDTH, PickySegmenter, StripeSegmenter, stripe, stripe_cards, write_pictures

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from arena.evaluation import Report

LITE, REMBACK = get_card("lite"), get_card("remback")
"""The catalog's own cards, which tests replace."""


@pytest.fixture(autouse=True)
def _stripes(use_cards: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    use_cards(*stripe_cards(), make_card("broken", "BrokenSegmenter"), make_card("absent", ""))
    monkeypatch.setattr(StripeSegmenter, "seen", [])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_pictures(tmp_path / "data", a=50, b=25, c=80)


def judge(data: Path, *models: str, **options: Any) -> Report:
    return evaluate(data, models, pool=ModelPool(), device="cpu", **options)


def values(report: Report, model: str, metric: str) -> list[float]:
    return [row.scores[metric] for row in report.of(model)]


def test_known_masks_have_the_known_scores(data: Path) -> None:
    report = judge(data, "stripe-50", "stripe-40")
    assert [(row.model, row.picture) for row in report.rows][2:4] == [("stripe-50", "c.png"), ("stripe-40", "a.png")]
    assert values(report, "stripe-50", "iou") == [1, 0.5, 50 / 80]
    assert values(report, "stripe-40", "iou") == [40 / 50, 25 / 40, 0.5]
    for metric, scale in (("mad", 1), ("mse", 1), ("sad", HEIGHT * WIDTH / 1000)):
        assert values(report, "stripe-40", metric) == pytest.approx([0.1 * scale, 0.15 * scale, 0.4 * scale])
    assert values(report, "stripe-40", "pixel_accuracy") == pytest.approx([0.9, 0.85, 0.6])
    # The boundary is 2 pixels wide and runs around the stripe; where the stripe's right side differs, so does it.
    assert values(report, "stripe-50", "boundary_iou")[0] == 1
    assert 0 < values(report, "stripe-50", "boundary_iou")[2] < 1
    (row, *_) = report.of("stripe-50")
    assert (row.truth, row.width, row.height, row.found, row.seconds) == ("mask", WIDTH, HEIGHT, True, 0.5)


def test_only_mattes_have_errors_of_mattes(data: Path) -> None:
    soft = stripe(50)
    soft[:, 50] = 0.5
    levels = np.rint(soft * 255).astype(np.uint8)
    Image.fromarray(levels).save(data / "masks" / "a.png")
    report = judge(data, "stripe-40")
    a, b, _ = report.of("stripe-40")
    truth = (levels / np.float32(255)).astype(np.float32)
    assert a.truth == "matte"
    assert a.scores["gradient"] == gradient_error(stripe(40), truth)
    assert a.scores["connectivity"] == connectivity_error(stripe(40), truth)
    assert b.truth == "mask"
    assert not {"gradient", "connectivity"} & b.scores.keys()
    counts = {summary.metric: summary.count for summary in report.summaries}
    assert (counts["gradient"], counts["iou"]) == (1, 3)
    assert all("connectivity" in row.scores for row in judge(data, "stripe-40", as_mattes=True).rows)


def test_means_come_with_the_bootstraps_interval_and_a_seed_repeats_it(tmp_path: Path) -> None:
    data = write_pictures(tmp_path / "data", **{f"n{width}": width for width in range(30, 90, 7)})
    report = judge(data, "stripe-40", seed=3)
    summary = report.summaries[0]
    scores = values(report, "stripe-40", "iou")
    assert (summary.metric, summary.count) == ("iou", 9)
    assert summary.estimate.mean == pytest.approx(np.mean(scores))
    assert summary.median == np.median(scores)
    assert (summary.estimate.low, summary.estimate.high) == bootstrap_interval(scores, seed=3)
    assert judge(data, "stripe-40", seed=3).summaries == report.summaries
    assert judge(data, "stripe-40", seed=4).summaries != report.summaries


def test_models_are_compared_with_the_first_picture_by_picture(data: Path) -> None:
    report = judge(data, "stripe-50", "stripe-40")
    summaries = {(summary.model, summary.metric): summary for summary in report.summaries}
    assert summaries["stripe-50", "mad"].difference is None
    difference = summaries["stripe-40", "mad"].difference
    assert difference is not None
    steps = np.subtract(values(report, "stripe-40", "mad"), values(report, "stripe-50", "mad"))
    assert difference.mean == pytest.approx(steps.mean())
    assert (difference.low, difference.high) == bootstrap_interval(steps)
    # Better on one picture and worse on two: three pictures cannot tell.
    assert not summaries["stripe-40", "mad"].differs
    worse = judge(data, "stripe-40", "stripe-0").summaries
    assert [summary.differs for summary in worse if summary.metric == "mad"] == [False, True]


def test_pictures_that_cannot_be_used_are_named_once_and_the_rest_goes_on(data: Path) -> None:
    write = data / "photos"
    (write / "broken.jpg").write_bytes(b"no picture")
    Image.new("1", (5, 5), 1).save(data / "masks" / "broken.png")
    Image.new("RGB", (7, 7)).save(write / "small.png")
    Image.new("1", (5, 6), 1).save(data / "masks" / "small.png")
    Image.new("RGB", (7, 7)).save(write / "alone.png")
    (data / "masks" / "c.png").write_bytes(b"no picture either")
    report = judge(data, "stripe-50", "stripe-40")
    reasons = {skip.picture: str(skip.error) for skip in report.skipped}
    assert len(reasons) == len(report.skipped) == 4
    assert "There is no alone.png" in reasons["alone.png"]
    assert "broken.jpg is not a picture" in reasons["broken.jpg"]
    assert "c.png is not a picture" in reasons["c.png"]
    assert "small.png has 7 x 7 pixels, but small.png 5 x 6" in reasons["small.png"]
    assert report.common == ("a.png", "b.png")
    assert len(report.rows) == 4


def test_means_are_over_the_pictures_that_all_models_scored(data: Path) -> None:
    report = judge(data, "stripe-50", "picky-50", "broken", "stripe-40")
    assert report.common == ("a.png", "c.png")
    assert [row.picture for row in report.of("stripe-50")] == ["a.png", "c.png"]
    assert len(report.rows) == 3 + 2 + 3
    assert {summary.count for summary in report.summaries} == {2}
    subjects = {skip.subject: str(skip.error) for skip in report.skipped}
    assert "ZeroDivisionError: not this one" in subjects["b.png, picky-50"]
    # A model without any score takes no picture from the others.
    assert {"a.png, broken", "b.png, broken", "c.png, broken"} < subjects.keys()


def test_a_model_that_does_not_load_is_named_once(data: Path, use_cards: Callable[..., None]) -> None:
    use_cards(*stripe_cards(), make_card("unloadable", "UnloadableSegmenter"))
    report = judge(data, "unloadable", "stripe-50")
    (skip,) = report.skipped
    assert skip.subject == "every picture, unloadable"
    assert "do not fit" in str(skip.error)
    assert len(report.common) == 3
    assert report.worst(1) == ("b.png",)


def test_who_sees_nobody_is_scored_all_the_same(data: Path) -> None:
    report = judge(data, "stripe-0")
    assert not report.skipped
    assert [row.found for row in report.rows] == [False] * 3
    assert values(report, "stripe-0", "iou") == [0, 0, 0]
    assert values(report, "stripe-0", "mad") == pytest.approx([0.5, 0.25, 0.8])


def test_a_second_run_scores_only_what_is_new(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = judge(data, "stripe-50", out=out)
    StripeSegmenter.seen.clear()
    assert judge(data, "stripe-50", out=out).rows == first.rows
    assert StripeSegmenter.seen == []
    judge(data, "stripe-50", "stripe-40", out=out)
    assert StripeSegmenter.seen == [("stripe-40", name) for name in "abc"]
    StripeSegmenter.seen.clear()
    Image.fromarray(stripe(10) > 0).save(data / "masks" / "b.png")
    report = judge(data, "stripe-50", out=out)
    assert StripeSegmenter.seen == [("stripe-50", "b")]
    assert values(report, "stripe-50", "iou") == [1, 0.2, 50 / 80]
    StripeSegmenter.seen.clear()
    judge(data, "stripe-50", out=out, overwrite=True)
    assert len(StripeSegmenter.seen) == 3
    # What was done again is kept, and what others did is, too.
    StripeSegmenter.seen.clear()
    assert judge(data, "stripe-50", "stripe-40", out=out).rows[:3] == report.rows
    assert StripeSegmenter.seen == [("stripe-40", "b")]


@pytest.mark.parametrize("change", ["precision", "box", "published", "hair"])
def test_what_a_matte_depends_on_is_known(change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = REMBACK if change == "published" else LITE
    contender = Contender(card.key, card, None, Boxes.FACE, hair=change == "hair")
    file = tmp_path / "weights"
    file.write_bytes(b"old")
    monkeypatch.setattr(contenders, "HAIR" if change == "hair" else "BOXED", file)
    monkeypatch.setattr(contenders, "location", lambda card: file)
    before = contender.identity("cpu")
    assert contender.identity("cpu") == before
    if change == "precision":
        # Whatever this machine's own CPU can do.
        monkeypatch.setattr("arena.models.torch_base.can_multiply_int8", lambda: True)
        monkeypatch.setenv("ARENA_CPU_DTYPE", "int8")
    else:
        file.write_bytes(b"other")
    assert contender.identity("cpu") != before


def test_other_options_are_other_scores(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    judge(data, "stripe-50", out=out)
    report = judge(data, "stripe-50", out=out, crop="upper-body")
    assert {row.height for row in report.rows} == {round(0.45 * HEIGHT)}
    assert len(StripeSegmenter.seen) == 6
    judge(data, "stripe-50", out=out)
    assert len(StripeSegmenter.seen) == 6


def test_an_interrupted_run_goes_on_where_it_was(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    monkeypatch.setattr(PickySegmenter, "failure", KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        judge(data, "picky-50", out=out)
    with (out / "cache" / "scores.jsonl").open("a") as file:
        file.write('{"fingerprint": "torn", "pict')
    (data / "photos" / "b.png").rename(data / "photos" / "d.png")
    (data / "masks" / "b.png").rename(data / "masks" / "d.png")
    report = judge(data, "picky-50", out=out)
    assert StripeSegmenter.seen == [("picky-50", name) for name in "acd"]
    assert values(report, "picky-50", "iou") == [1, 50 / 80, 0.5]
    assert judge(data, "picky-50", out=out).rows == report.rows
    assert len(StripeSegmenter.seen) == 3


def test_other_weights_of_a_model_take_part_beside_it(data: Path, tmp_path: Path) -> None:
    weights = tmp_path / "mine.txt"
    weights.write_text("80")
    name = f"stripe-50={weights}"
    out = tmp_path / "out"
    report = judge(data, "stripe-50", name, out=out)
    assert report.models == ("stripe-50", name)
    assert values(report, name, "iou") == [50 / 80, 25 / 80, 1]
    assert report.titles[name] == "stripe-50=mine.txt"
    weights.write_text("25")
    assert values(judge(data, name, out=out), name, "iou") == [0.5, 1, 25 / 80]


def test_a_model_that_takes_boxes_is_told_those_of_the_face_or_of_the_mask(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = judge(data, "boxed-0", boxes="mask")
    assert values(report, "boxed-0", "iou") == [1, 1, 1]
    monkeypatch.setattr(face_box, "face_boxes", lambda photo: np.array([[0, 0, 25, HEIGHT]], np.float32))
    report = judge(data, "boxed-0", "stripe-50")
    assert values(report, "boxed-0", "iou") == [0.5, 1, 25 / 80]
    # Without a face there is nothing to be told, and nothing is found.
    monkeypatch.setattr(face_box, "face_boxes", lambda photo: np.empty((0, 4), np.float32))
    report = judge(data, "boxed-0")
    assert values(report, "boxed-0", "iou") == [0, 0, 0]
    assert not report.skipped


def test_hair_is_followed_by_who_is_told_to(data: Path) -> None:
    report = judge(data, "soft-50", "soft-50+hair")
    assert report.models == ("soft-50", "soft-50+hair")
    assert values(report, "soft-50", "iou") == [1, 0.5, 50 / 80]
    assert values(report, "soft-50+hair", "iou") == [0, 0, 0]
    with pytest.raises(OptionError, match="does not follow hair"):
        judge(data, "stripe-50+hair")


def test_the_face_box_is_a_baseline_without_a_card_in_the_catalog(tmp_path: Path) -> None:
    photo = Photo.open(get_sample("astronaut").path)
    (left, top, right, bottom), *others = padded_boxes(choose_faces(find_faces(photo.rgb)), *photo.size)
    assert not others
    truth = np.zeros(photo.rgb.shape[:2], bool)
    truth[round(top) : round(bottom), round(left) : round(right)] = True
    assert 0.05 < truth.mean() < 0.5
    Image.fromarray(photo.rgb).save(tmp_path / "x.png")
    Image.fromarray(truth).save(tmp_path / "x.alpha.png")
    report = judge(tmp_path, "face-box")
    assert values(report, "face-box", "iou") == [1]


def test_a_checkpoint_of_remback_is_compared_with_the_original_sam_and_the_face_box(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    sam_tiny.save_segment_anything(tmp_path / "mine.pth")
    sam_tiny.save_transformers(tmp_path / "original.safetensors")
    photo = Photo.open(get_sample("astronaut").path)
    Image.fromarray(photo.rgb).save(tmp_path / "x.png")
    Image.new("1", photo.size, 1).save(tmp_path / "x.alpha.png")
    names = [f"remback={tmp_path / 'mine.pth'}", f"sam-vit-b={tmp_path / 'original.safetensors'}", "face-box"]
    report = judge(tmp_path, *names)
    assert not report.skipped
    # Both were told the box of the face, and of the same network's logits Remback keeps the largest piece alone.
    tuned, original, box = (values(report, name, "iou")[0] for name in names)
    assert 0 < tuned < original
    assert box == pytest.approx(face_share(photo))


def face_share(photo: Photo) -> float:
    left, top, right, bottom = np.rint(face_box.face_boxes(photo)[0])
    return float((right - left) * (bottom - top) / (photo.width * photo.height))


def test_the_sheet_shows_the_worst_pictures_of_the_first_model_first(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = judge(data, "stripe-50", "stripe-40", out=out, worst=2)
    assert report.worst(2) == ("b.png", "c.png")
    sheet = Photo.open(out / "worst.jpg").rgb

    def row(line: int, column: int) -> NDArray[np.int_]:
        """A row of pixels through the middle of a picture on the sheet."""
        left, top = GAP + column * (SIDE + GAP), line * sheet.shape[0] // 2
        return sheet[top + 2 * TEXT + HEIGHT // 2, left : left + WIDTH].astype(int)

    # A photo's grey says which it is.
    assert [row(line, 0).mean() for line in (0, 1)] == pytest.approx([25, 80], abs=2)
    assert [np.count_nonzero(row(line, 1)[:, 0] > 128) for line in (0, 1)] == pytest.approx([25, 80], abs=2)
    tints = [row(0, column) for column in (2, 3)]
    assert [np.count_nonzero(tint[:, 1] - tint[:, 0] > 40) for tint in tints] == pytest.approx([50, 40], abs=3)


def test_the_sheet_goes_without_a_picture_that_was_deleted_meanwhile(data: Path, tmp_path: Path) -> None:
    def delete(event: Event) -> None:
        if event.stage is Stage.DONE:
            (data / "photos" / "b.png").unlink()

    report = judge(data, "stripe-50", out=tmp_path, worst=2, on_event=delete)
    assert report.worst(2) == ("b.png", "c.png")
    sheet = Photo.open(tmp_path / "worst.jpg").rgb
    # The lost one takes a title and a strip of paper.
    second = sheet[4 * TEXT + GAP :]
    assert second[2 * TEXT + HEIGHT // 2, GAP : GAP + WIDTH].mean() == pytest.approx(80, abs=2)


def test_no_sheet_is_left_over_from_another_run(data: Path, tmp_path: Path) -> None:
    judge(data, "stripe-50", out=tmp_path)
    assert (tmp_path / "worst.jpg").is_file()
    judge(data, "stripe-50", out=tmp_path, worst=0)
    assert not (tmp_path / "worst.jpg").exists()


def test_files_hold_what_the_report_says(data: Path, tmp_path: Path) -> None:
    (data / "photos" / "bad.jpg").write_bytes(b"?")
    Image.new("1", (5, 5), 1).save(data / "masks" / "bad.png")
    report = judge(data, "stripe-50", "stripe-40", out=tmp_path)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "scores.csv").read_text("utf-8"))))
    assert [(row["model"], row["picture"], float(row["iou"])) for row in rows] == [
        (row.model, row.picture, row.scores["iou"]) for row in report.rows
    ]
    assert rows[0]["gradient"] == ""
    lines = list(csv.DictReader(io.StringIO((tmp_path / "summary.csv").read_text("utf-8"))))
    assert len(lines) == len(report.summaries) == 12
    assert lines[5] | {"mean": ""} == {
        "model": "stripe-50",
        "metric": "sad",
        "unit": "sum in thousands",
        "count": "3",
        "mean": "",
        "low": "0.0",
        "high": "1.8",
        "median": "1.5",
        "difference": "",
        "difference_low": "",
        "difference_high": "",
    }
    assert float(lines[6]["difference"]) == pytest.approx(report.summaries[6].difference.mean, abs=1e-6)  # type: ignore[union-attr]
    everything = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert everything["options"]["crop"] == "none"
    assert everything["options"]["device"] == "cpu"
    assert everything["pictures"] == {"chosen": 4, "in_means": 3}
    assert everything["metrics"]["sad"]["unit"] == "sum in thousands"
    assert everything["scores"][1]["iou"] == 0.5
    assert [entry["picture"] for entry in everything["skipped"]] == ["bad.jpg"]
    assert everything["skipped"][0]["model"] is None


def test_a_limit_draws_the_same_pictures_for_the_same_seed(tmp_path: Path) -> None:
    data = write_pictures(tmp_path / "data", **{f"n{number:02d}": 50 for number in range(20)})
    drawn = {seed: judge(data, "stripe-50", limit=5, seed=seed).pictures for seed in (0, 1)}
    assert judge(data, "stripe-50", limit=5).pictures == drawn[0]
    assert drawn[0] != drawn[1]
    assert list(drawn[0]) == sorted(set(drawn[0]))
    assert len(drawn[0]) == 5


def test_splits_follow_the_index(tmp_path: Path) -> None:
    data = write_pictures(tmp_path / "data", **{f"{number:04d}": 50 for number in range(1, 7)})
    (data / "index.json").write_text(json.dumps({"clean": ["0001", "0002", "0004"], "noisy": ["0003"]}))
    chosen = {
        split: judge(data, "stripe-50", split=split).pictures for split in ("clean", "validation", "noisy", "all")
    }
    assert chosen == {
        "clean": ("0001.png", "0002.png", "0004.png"),
        "validation": ("0004.png",),
        "noisy": ("0003.png",),
        "all": ("0001.png", "0002.png", "0003.png", "0004.png"),
    }


def test_photos_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        write_pictures(tmp_path / folder, a=50)
    lines = ["image,mask", *(f"{name}/photos/a.png,{name}/masks/a.png" for name in ("one", "two"))]
    (tmp_path / "table.csv").write_text("\n".join(lines))
    report = judge(tmp_path / "table.csv", "stripe-50")
    assert report.common == ("one/photos/a.png", "two/photos/a.png")


def test_a_table_of_nothing_but_validation_pictures_will_do(data: Path) -> None:
    lines = ["image,mask,split", *(f"photos/{name}.png,masks/{name}.png,validation" for name in "ab")]
    (data / "test.csv").write_text("\n".join(lines))
    for split in ("clean", "validation"):
        assert judge(data / "test.csv", "stripe-50", split=split).common == ("a.png", "b.png")


@pytest.mark.parametrize(
    ("models", "options", "kind", "message"),
    [
        (["nothing"], {}, UnknownModelError, 'no model "nothing"'),
        ([], {}, OptionError, "nothing to evaluate"),
        (["absent"], {}, ModelUnavailableError, "not available in this build"),
        (["depth-0"], {}, ModelUnavailableError, "makes no matte"),
        (["stripe-50=nowhere.pth"], {}, OptionError, "no file nowhere.pth"),
        (["stripe-50="], {}, OptionError, "no file"),
        (["face-box=any.pth"], {}, OptionError, "has no weights"),
        (["stripe-50"], {"split": "best"}, OptionError, "one of clean, validation, noisy, all"),
        (["stripe-50"], {"crop": "face"}, OptionError, "one of none, upper-body"),
        (["stripe-50"], {"boxes": "hand"}, OptionError, "one of face, mask"),
        (["stripe-50"], {"limit": 0}, OptionError, "at least 1"),
        (["stripe-50"], {"seed": -1}, OptionError, "not be negative"),
        (["stripe-50"], {"worst": -1}, OptionError, "cannot show -1"),
        (["stripe-50"], {"worst": 101}, OptionError, "cannot show 101 pictures. It shows up to 100"),
        (["stripe-50"], {"split": "noisy"}, DataError, "no picture in its split 'noisy'"),
    ],
)
def test_mistakes_are_told_before_anything_runs(
    data: Path, tmp_path: Path, models: list[str], options: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        judge(data, *models, out=tmp_path / "out", **options)
    assert StripeSegmenter.seen == []
    assert not (tmp_path / "out").exists()


def test_missing_data_and_devices_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        judge(tmp_path / "nowhere", "stripe-50")
    with pytest.raises(DataError, match="No photo with a mask"):
        judge(tmp_path, "stripe-50")
    with pytest.raises(DeviceError):
        evaluate(write_pictures(tmp_path / "data", a=50), "stripe-50", device="cuda:9")


@pytest.mark.shared
def test_arena_lite_comes_near_to_what_people_drew(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    report = judge(shared / "data" / "ccp", "lite", split="validation", limit=3, crop="upper-body")
    assert not report.skipped
    assert min(values(report, "lite", "iou")) > 0.85
    mattes = judge(shared / "data" / "mattes", "lite", limit=1)
    assert mattes.rows[0].truth == "matte"
    assert mattes.rows[0].scores["connectivity"] > 0


def test_a_folder_that_is_a_file_is_named(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "out"
    file.write_bytes(b"mine")
    with pytest.raises(PhotoError, match="Name another folder"):
        judge(data, "stripe-50", out=file)
    assert file.read_bytes() == b"mine"
