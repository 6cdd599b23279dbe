"""The engine: photos times models, results as they finish."""

from __future__ import annotations

import io
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest

from arena.catalog import Task
from arena.comparison import Event, Stage, compare, distinct_names, find_photos
from arena.errors import DeviceError, OptionError, OutOfMemoryError, PhotoError, UnexpectedError, UnknownModelError
from arena.models.pool import ModelPool
from arena.photo import Photo, encode
from tests.fakes import make_card

if TYPE_CHECKING:
    from collections.abc import Callable

    from arena.comparison import Result

pytestmark = pytest.mark.usefixtures("fake_cards")


def run(photos: object, models: object, **options: object) -> list[Result]:
    return list(compare(photos, models, pool=ModelPool(), **options))  # type: ignore[arg-type]


def test_results_come_model_by_model_with_their_timings(photo: Photo) -> None:
    results = run([photo, photo], ["disc", "empty"])
    assert [(r.model, r.photo_name) for r in results] == [
        ("disc", "squares"),
        ("disc", "squares-2"),
        ("empty", "squares"),
        ("empty", "squares-2"),
    ]
    assert [r.found for r in results] == [True, True, False, False]
    assert results[0].seconds == 0.25
    assert results[0].load_seconds > 0
    assert results[1].load_seconds == 0
    assert all(r.error is None and r.device == "cpu" for r in results)


def test_a_model_that_cannot_be_loaded_is_not_said_to_be_where_another_ran(
    photo: Photo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("arena.comparison.resolve_device", lambda _: "cuda:0")
    pool = Mock(spec=ModelPool)
    there = Mock()
    there.model.device = "cpu"
    there.segmenter.segment.side_effect = OutOfMemoryError("Too large.", "Take a smaller one.")
    there.download_seconds = there.load_seconds = 0.0
    pool.get.side_effect = [there, DeviceError("It is gone.", "Plug it in.")]
    results = compare(photo, ["disc", "empty"], device="cuda:0", pool=pool)
    assert [(result.model, result.device) for result in results] == [("disc", "cpu"), ("empty", "cuda:0")]


def test_one_photo_and_one_model_need_no_list(photo: Photo, tmp_path: Path) -> None:
    path = tmp_path / "portrait.png"
    path.write_bytes(encode(photo.rgb))
    for source in (photo, path, str(path), path.read_bytes(), io.BytesIO(path.read_bytes())):
        (result,) = run(source, "disc")
        assert result.found
        assert result.photo is not None
        assert result.photo.size == photo.size


def test_a_photo_that_cannot_be_opened_does_not_stop_the_others(photo: Photo, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"not a picture")
    results = run([bad, photo], ["disc", "empty"])
    assert [type(r.error) for r in results] == [PhotoError, type(None), PhotoError, type(None)]
    assert "bad.jpg" in str(results[0].error)


def test_no_failing_model_stops_the_others(photo: Photo) -> None:
    results = {r.model: r for r in run(photo, ["broken", "unloadable", "absent", "hungry", "disc"])}
    assert results["disc"].found
    broken = results["broken"].error
    assert isinstance(broken, UnexpectedError)
    assert "ZeroDivisionError: a fault of the program" in str(broken)
    assert isinstance(broken.__cause__, ZeroDivisionError)
    assert isinstance(results["hungry"].error, OutOfMemoryError)
    assert "not available in this build" in str(results["absent"].error)
    assert "do not fit" in str(results["unloadable"].error)
    # A model that never ran still leaves the photo to look at.
    assert results["unloadable"].photo is photo


def test_for_photos_that_do_not_exist_nothing_is_loaded(photo: Photo, tmp_path: Path) -> None:
    events: list[Event] = []
    names = [str(tmp_path / name) for name in ("a.jpg", "b.jpg")]
    results = run(names, "disc", on_event=events.append)
    assert [(r.photo_name, r.error and r.error.problem) for r in results] == [
        ("a", f"There is no file {names[0]}."),
        ("b", f"There is no file {names[1]}."),
    ]
    assert [event.stage for event in events] == [Stage.WAITING, Stage.FAILED]
    assert [r.error is None for r in run([names[0], photo], "disc")] == [False, True]


def test_a_model_named_twice_runs_once(photo: Photo) -> None:
    assert len(run(photo, ["disc", "disc"])) == 1


def test_mistakes_are_raised_at_the_call_not_at_the_first_result(photo: Photo) -> None:
    with pytest.raises(UnknownModelError):
        compare(photo, "nothing")
    with pytest.raises(DeviceError):
        compare(photo, "disc", device="cuda:9")
    with pytest.raises(OptionError):
        compare([], "disc")
    with pytest.raises(OptionError):
        compare(photo, [])
    with pytest.raises(OptionError, match="prompted, which does not run"):
        compare(photo, "disc", prompts={"prompted": {"prompt": "person"}})


def test_prompts_reach_their_model(photo: Photo) -> None:
    (result,) = run(photo, "prompted", prompts={"prompted": {"prompt": "dog"}})
    assert result.matte is not None
    assert result.matte.notes == ("Looked for dog.",)


@pytest.mark.parametrize(
    ("model", "prompts", "problem"),
    [
        ("disc", {"prompt": "cat"}, "Disc cannot be told prompt"),
        ("boxes", {}, "has to be shown what to segment"),
        ("boxes", {"hair": True}, "has to be shown what to segment"),
        ("boxes", {"boxes": []}, "has to be shown what to segment"),
        ("boxes", {"boxes": [(0, 0, 9, 9)], "prompt": "cat"}, "Boxes cannot be told prompt"),
    ],
)
def test_a_model_that_cannot_work_with_what_it_is_told_is_not_loaded_for_it(
    photo: Photo, use_cards: Callable[..., None], model: str, prompts: dict[str, Any], problem: str
) -> None:
    use_cards(
        make_card("disc", "DiscSegmenter", label="Disc"),
        make_card("boxes", "BoxSegmenter", label="Boxes", task=Task.PROMPTED, box_prompt=True),
    )
    events: list[Event] = []
    (result,) = run(photo, model, prompts={model: prompts}, on_event=events.append)
    assert problem in str(result.error)
    assert Stage.LOADING not in {event.stage for event in events}


def test_events_tell_every_stage(photo: Photo) -> None:
    events: list[Event] = []
    run([photo, photo], ["disc", "broken"], on_event=events.append)
    told = [(e.model, e.stage, e.photo) for e in events]
    assert told == [
        ("disc", Stage.WAITING, 0),
        ("broken", Stage.WAITING, 0),
        ("disc", Stage.LOADING, 0),
        ("disc", Stage.RUNNING, 1),
        ("disc", Stage.RUNNING, 2),
        ("disc", Stage.DONE, 2),
        ("broken", Stage.LOADING, 0),
        ("broken", Stage.RUNNING, 1),
        ("broken", Stage.RUNNING, 2),
        ("broken", Stage.FAILED, 2),
    ]
    assert events[5].seconds == pytest.approx(0.5)


def test_stopping_keeps_what_is_done(photo: Photo) -> None:
    stop = threading.Event()
    events: list[Event] = []
    results = []
    for result in compare([photo, photo], ["disc", "empty"], stop=stop, on_event=events.append, pool=ModelPool()):
        results.append(result)
        stop.set()
    assert [r.model for r in results] == ["disc"]
    assert [(e.model, e.stage) for e in events[-2:]] == [("disc", Stage.STOPPED), ("empty", Stage.STOPPED)]


def test_results_are_streamed(photo: Photo) -> None:
    stream = compare(photo, ["disc", "broken"], pool=ModelPool())
    assert next(stream).found


def test_a_summary_is_plain_numbers(photo: Photo) -> None:
    (result,) = run(photo, "disc")
    summary = result.summary()
    assert summary["found"] is True
    assert summary["seconds"] == 0.25
    assert summary["size"] == [128, 96]
    assert summary["error"] is None
    assert summary["notes"] == ["A disc."]


@pytest.mark.parametrize(
    ("names", "distinct"),
    [
        (["a", "b"], ["a", "b"]),
        (["a", "a", "a"], ["a", "a-2", "a-3"]),
        (["a", "a", "a-2"], ["a", "a-3", "a-2"]),
        (["A", "a"], ["A", "a-2"]),
        (["x/y", ".."], ["x-y", "photo"]),
        (["", " "], ["photo", "photo-2"]),
    ],
)
def test_names_become_distinct_folder_names(names: list[str], distinct: list[str]) -> None:
    assert distinct_names(names) == distinct


def test_folders_and_patterns_expand_to_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b.jpg", "a.PNG", "notes.txt", "c.heic"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "inner.jpg").mkdir()
    names = [path.name for path in find_photos([tmp_path])]
    assert names == ["a.PNG", "b.jpg", "c.heic"]
    assert [p.name for p in find_photos([tmp_path / "*.jpg"])] == ["b.jpg"]
    assert [p.name for p in find_photos([tmp_path / "b.jpg", tmp_path])] == ["b.jpg", "a.PNG", "c.heic"]
    monkeypatch.chdir(tmp_path)
    assert [str(p) for p in find_photos(["*.jpg"])] == ["b.jpg"]
    with pytest.raises(OptionError, match="There is no picture in"):
        find_photos([tmp_path / "*.webp"])
    # A missing file is the comparison's to report.
    assert find_photos(["missing.jpg"]) == [Path("missing.jpg")]


@pytest.mark.parametrize(
    ("error", "problem"),
    [(PermissionError(13, "Permission denied"), "cannot be read"), (ValueError("odd"), "no pattern")],
)
def test_a_folder_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, problem: str
) -> None:
    # Root may read everything, and newer Pythons take every pattern.
    monkeypatch.setattr(Path, "iterdir", Mock(side_effect=error))
    with pytest.raises(OptionError, match=f"{tmp_path.name} .*{problem}"):
        find_photos([tmp_path])
