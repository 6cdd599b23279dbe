"""Many portraits: where they go, what is left alone, and what a failure does to the others."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from arena.errors import NobodyFoundError, OptionError, PhotoError, UnexpectedError
from arena.remback import BackgroundRemover, plan, remove_all
from tests.remback.fakes import BoxRemback

if TYPE_CHECKING:
    from arena.photo import Photo


def never() -> BackgroundRemover:
    raise AssertionError("nothing has to be loaded")


def test_names_follow_the_photos_and_differ() -> None:
    photos = [Path("a/me.jpg"), Path("b/me.png"), Path("b/Me.heic"), Path("you.jpg")]
    jobs = plan(photos, Path("out"), ".webp", Path("masks"))
    assert [job.output.name for job in jobs] == ["me-jpg.webp", "me-png.webp", "Me-heic.webp", "you.webp"]
    assert jobs[0].mask == Path("masks/me-jpg.png")
    assert [job.output.name for job in plan([Path("a/me.jpg"), Path("b/ME.jpg")], Path("out"))] == [
        "me.jpg",
        "ME-2.jpg",
    ]
    assert plan(photos, Path("out"))[0].mask is None


def test_a_photo_that_joins_later_takes_nobodys_name(album: Path, tmp_path: Path) -> None:
    list(remove_all(plan([album / "ann.png"], tmp_path / "out"), BackgroundRemover))
    # Sorted before the one that is done, and older than its cut-out.
    late = album / "ann.bmp"
    late.write_bytes((album / "grace.jpg").read_bytes())
    os.utime(late, (1, 1))
    outcomes = list(remove_all(plan([late, album / "ann.png"], tmp_path / "out"), BackgroundRemover))
    assert [(outcome.job.output.name, outcome.skipped) for outcome in outcomes] == [
        ("ann-bmp.jpg", False),
        ("ann.jpg", True),
    ]


def test_a_photo_of_the_same_name_is_not_taken_for_done(album: Path, tmp_path: Path) -> None:
    out, trip = tmp_path / "out", tmp_path / "trip"
    list(remove_all(plan([album / "ann.png"], out), BackgroundRemover))
    trip.mkdir()
    other = trip / "ann.jpg"
    other.write_bytes((album / "grace.jpg").read_bytes())
    os.utime(other, (1, 1))
    for _ in range(2):
        outcomes = list(remove_all(plan([other], out), BackgroundRemover))
        assert [outcome.job.output.name for outcome in outcomes] == ["ann-2.jpg"]
    assert outcomes[0].skipped
    # In any order and company each keeps its own.
    both = plan([other, album / "ann.png"], out)
    assert [job.output.name for job in both] == ["ann-2.jpg", "ann.jpg"]
    assert all(job.done for job in both)
    assert str(tmp_path) not in (out / ".remback").read_text()


def test_a_folder_that_cannot_remember_is_named(album: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / ".remback").mkdir(parents=True)
    (outcome,) = remove_all(plan([album / "ann.png"], tmp_path / "out"), BackgroundRemover)
    assert isinstance(outcome.error, PhotoError)
    assert ".remback cannot be written" in outcome.error.problem


def test_a_folder_does_not_feed_on_its_own_cut_outs(album: Path) -> None:
    (album / "broken.jpg").unlink()
    (album / "hills.png").unlink()
    made = []
    for _ in range(3):
        jobs = plan(sorted(path for path in album.iterdir() if path.name != ".remback"), album, ".webp")
        made.append([outcome.skipped for outcome in remove_all(jobs, BackgroundRemover)])
    assert made == [[False, False], [True, True], [True, True]]
    assert {path.name for path in album.iterdir()} == {"ann.png", "ann.webp", "grace.jpg", "grace.webp", ".remback"}


def test_nothing_is_written_over_a_photo_or_twice_to_one_file(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="would be overwritten"):
        plan([tmp_path / "me.jpg"], tmp_path)
    with pytest.raises(OptionError, match="would be overwritten"):
        plan([tmp_path / "me.png"], tmp_path / "out", masks=tmp_path)
    with pytest.raises(OptionError, match="both be written"):
        plan([tmp_path / "me.jpg"], tmp_path / "out", ".png", tmp_path / "out")


def test_each_is_written_before_the_next_is_begun_and_failures_end_nothing(album: Path, tmp_path: Path) -> None:
    jobs = plan(sorted(album.iterdir()), tmp_path / "out", masks=tmp_path / "masks")
    seen = []
    for outcome in remove_all(jobs, BackgroundRemover):
        written = {path.stem for path in (tmp_path / "out").glob("*.jpg")}
        seen.append((outcome.job.photo.name, outcome.error and type(outcome.error), written))
    assert seen == [
        ("ann.png", None, {"ann"}),
        ("broken.jpg", PhotoError, {"ann"}),
        ("grace.jpg", None, {"ann", "grace"}),
        ("hills.png", NobodyFoundError, {"ann", "grace"}),
    ]
    assert {path.name for path in (tmp_path / "masks").iterdir()} == {"ann.png", "grace.png"}
    assert BoxRemback.loads == 1


def test_what_is_done_is_left_alone_and_nothing_is_loaded_for_it(album: Path, tmp_path: Path) -> None:
    photos = [album / "ann.png", album / "grace.jpg"]
    jobs = plan(photos, tmp_path / "out")
    first = list(remove_all(jobs, BackgroundRemover))
    assert [outcome.skipped for outcome in first] == [False, False]
    assert first[0].faces_seen == first[0].people == 1
    before = jobs[0].output.stat().st_mtime_ns
    assert [outcome.skipped for outcome in remove_all(jobs, never)] == [True, True]
    assert jobs[0].output.stat().st_mtime_ns == before
    again = list(remove_all(jobs, BackgroundRemover, overwrite=True))
    assert [outcome.skipped for outcome in again] == [False, False]


def test_what_is_missing_older_than_its_photo_or_without_its_mask_is_done_again(album: Path, tmp_path: Path) -> None:
    photos = [album / "ann.png", album / "grace.jpg"]
    jobs = plan(photos, tmp_path / "out")
    list(remove_all(jobs, BackgroundRemover))
    later = jobs[0].output.stat().st_mtime + 10
    os.utime(photos[0], (later, later))
    assert [job.done for job in jobs] == [False, True]
    assert [outcome.skipped for outcome in remove_all(jobs, BackgroundRemover)] == [False, True]
    jobs[1].output.unlink()
    assert not jobs[1].done
    masked = plan(photos, tmp_path / "out", masks=tmp_path / "masks")
    assert not any(job.done for job in masked)


def test_a_fault_of_the_program_is_told_and_ends_nothing(
    album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = BackgroundRemover.cut_out

    def cut_out(self: BackgroundRemover, source: Photo) -> object:
        if source.name == "ann":
            raise ZeroDivisionError("a fault")
        return whole(self, source)

    monkeypatch.setattr(BackgroundRemover, "cut_out", cut_out)
    jobs = plan([album / "ann.png", album / "grace.jpg"], tmp_path / "out")
    broken, good = remove_all(jobs, BackgroundRemover)
    assert isinstance(broken.error, UnexpectedError)
    assert "ZeroDivisionError" in broken.error.problem
    assert good.error is None
