"""Runs in the background."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from arena.comparison import Stage
from arena.errors import DeviceError
from arena.models.pool import unload
from arena.ui.job import Job, Order
from tests.fakes import SlowSegmenter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from arena.photo import Photo

pytestmark = pytest.mark.usefixtures("fake_cards")


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    SlowSegmenter.gate.clear()
    yield
    SlowSegmenter.gate.set()
    unload()


def finished(job: Job) -> Job:
    job.start()
    job.join(20)
    assert not job.running
    return job


def test_results_are_taken_once(photo: Photo) -> None:
    job = finished(Job([Order("disc", [photo]), Order("broken", [photo])], "cpu"))
    assert job.total == job.done == 2
    had_news = job.has_news
    first = job.take()
    assert had_news
    assert [result.model for result in first] == ["disc", "broken"]
    assert [result.error is None for result in first] == [True, False]
    assert not job.has_news
    assert job.take() == []
    assert job.done == 2


def test_every_model_has_a_line_from_the_start(photo: Photo) -> None:
    job = Job([Order("disc", [photo]), Order("empty", [photo]), Order("broken", [])], "cpu")
    assert [(e.model, e.stage) for e in job.events()] == [("disc", Stage.WAITING), ("empty", Stage.WAITING)]
    finished(job)
    assert [e.stage for e in job.events()] == [Stage.DONE, Stage.DONE]


def test_stopping_ends_after_the_current_photo_and_keeps_it(photo: Photo) -> None:
    job = Job([Order("slow", [photo, photo]), Order("disc", [photo])], "cpu")
    job.start()
    while job.events()[0].stage is not Stage.RUNNING:
        job.join(0.01)
    job.stop()
    was_stopping = job.stopping
    SlowSegmenter.gate.set()
    job.join(20)
    assert was_stopping
    assert not job.stopping
    assert [result.model for result in job.take()] == ["slow"]
    assert [e.stage for e in job.events()] == [Stage.STOPPED, Stage.STOPPED]


def test_a_run_that_nobody_watches_ends_by_itself(photo: Photo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arena.ui.job.UNWATCHED_SECONDS", -1.0)
    job = finished(Job([Order("disc", [photo, photo]), Order("empty", [photo])], "cpu"))
    assert job.done < job.total
    assert job.unwatched


def test_a_run_that_cannot_begin_fails_in_its_columns(photo: Photo) -> None:
    job = finished(Job([Order("disc", [photo])], "cuda:99"))
    (result,) = job.take()
    assert isinstance(result.error, DeviceError)
    assert job.events()[0].stage is Stage.FAILED


def test_prompts_reach_the_models_that_take_them(photo: Photo) -> None:
    orders = [Order("prompted", [photo]), Order("disc", [photo])]
    job = finished(Job(orders, "cpu", {"prompted": {"prompt": "cat"}}))
    prompted, other = job.take()
    assert prompted.matte is not None
    assert prompted.matte.notes == ("Looked for cat.",)
    assert other.error is None
