"""Loading on first use, sharing, eviction."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest

from arena.errors import (
    CheckpointError,
    DeviceError,
    ModelUnavailableError,
    OptionError,
    OutOfMemoryError,
    UnknownModelError,
)
from arena.models import pool as pool_module
from arena.models.pool import ModelPool
from tests.fakes import DiscSegmenter, make_card

if TYPE_CHECKING:
    from collections.abc import Callable

    from arena.photo import Photo

pytestmark = pytest.mark.usefixtures("fake_cards")


def test_a_model_is_loaded_once_and_then_costs_nothing() -> None:
    pool = ModelPool()
    first = pool.get("disc")
    second = pool.get("disc", "cpu")
    assert first.segmenter is second.segmenter
    assert first.load_seconds >= 0.02
    assert second.load_seconds == 0
    assert first.download_seconds == 0


def test_eight_threads_that_ask_for_four_models_cause_four_loads(use_cards: Callable[..., None], photo: Photo) -> None:
    keys = ["one", "two", "three", "four"]
    use_cards(*(make_card(key, "DiscSegmenter") for key in keys))
    pool = ModelPool()
    before = DiscSegmenter.loads
    start = threading.Barrier(8)

    def work(number: int) -> np.ndarray:
        start.wait()
        return pool.get(keys[number % 4]).segmenter.segment(photo).alpha

    with ThreadPoolExecutor(8) as threads:
        mattes = list(threads.map(work, range(8)))
    assert DiscSegmenter.loads - before == 4
    for matte in mattes:
        np.testing.assert_array_equal(matte, mattes[0])


def test_two_that_are_loaded_at_once_make_room_for_each_other(use_cards: Callable[..., None]) -> None:
    use_cards(*(make_card(key, "DiscSegmenter") for key in ("one", "two", "three")))
    pool = ModelPool(max_loaded=1)
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(pool.get, ["one", "two", "three"]))
    assert len(pool.loaded()) == 1


def test_the_least_recently_used_model_makes_room() -> None:
    pool = ModelPool(max_loaded=2)
    pool.get("disc")
    pool.get("empty")
    pool.get("disc")
    pool.get("broken")
    assert pool.loaded() == [("disc", "cpu"), ("broken", "cpu")]


def test_the_budget_can_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARENA_MAX_LOADED", "1")
    pool = ModelPool()
    pool.get("disc")
    pool.get("empty")
    assert pool.loaded() == [("empty", "cpu")]
    monkeypatch.setenv("ARENA_MAX_LOADED", "none")
    with pytest.raises(OptionError, match="ARENA_MAX_LOADED"):
        pool.get("disc")


def test_without_a_budget_free_memory_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = ModelPool()
    pool.get("disc")
    pool.get("empty")
    assert len(pool.loaded()) == 2
    monkeypatch.setattr(pool_module, "free_memory", lambda device: pool_module.SPARE_BYTES - 1)
    pool.get("broken")
    assert pool.loaded() == [("broken", "cpu")]


def test_unloading_is_by_model_device_or_all() -> None:
    pool = ModelPool()
    for key in ("disc", "empty", "broken"):
        pool.get(key)
    assert pool.unload("empty") == ["empty"]
    assert pool.unload(device="cpu") == ["disc", "broken"]
    assert pool.loaded() == []
    assert pool.unload() == []


def test_what_cannot_be_loaded_says_why() -> None:
    pool = ModelPool()
    with pytest.raises(UnknownModelError):
        pool.get("nothing")
    with pytest.raises(ModelUnavailableError, match="not available in this build"):
        pool.get("absent")
    with pytest.raises(DeviceError):
        pool.get("disc", "cuda:77")
    with pytest.raises(CheckpointError):
        pool.get("unloadable")
    assert pool.loaded() == []


def test_memory_that_runs_out_is_an_error_with_a_way_out(photo: Photo) -> None:
    with pytest.raises(OutOfMemoryError, match="Classic"):
        ModelPool().get("hungry").segmenter.segment(photo)


def test_a_prompt_that_a_model_does_not_take_is_refused(photo: Photo) -> None:
    pool = ModelPool()
    with pytest.raises(OptionError, match="Disc cannot be told prompt"):
        pool.get("disc").segmenter.segment(photo, prompt="person")
    notes = pool.get("prompted").segmenter.segment(photo, prompt="cat").notes
    assert notes == ("Looked for cat.",)
