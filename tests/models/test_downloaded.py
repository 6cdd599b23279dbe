"""From the hub to the matte: download, verification, loading and inference in one, on a hub of our own."""

from __future__ import annotations

import io
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from arena.catalog import get_card
from arena.cli.app import app
from arena.comparison import Event, Stage, compare
from arena.errors import ChecksumError, GatedError
from arena.models.pool import ModelPool
from arena.nets import U2Net
from arena.photo import Photo
from tests.hub import Knobs
from tests.models.random_weights import picture, random_state

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from tests.hub import HubEmulator


def weights(gain: float) -> bytes:
    """A published U²-Net Small with random tensors, other ones for each gain."""
    with io.BytesIO() as buffer:
        torch.save(random_state(U2Net("small"), gain), buffer)
        return buffer.getvalue()


@pytest.fixture
def photo() -> Photo:
    return Photo.from_array(picture(64, 80), "small")


def test_eight_threads_and_four_models_cause_four_downloads_and_give_the_right_mattes(
    hub: HubEmulator, use_cards: Callable[..., None], photo: Photo
) -> None:
    keys = ("u2net", "u2net-human", "u2netp", "rmbg-2.0")
    # The fourth stands on a repository that is not gated and runs as a U²-Net, for its file is one.

    small = get_card("u2netp")
    fourth = replace(
        get_card("rmbg-2.0"), gated=False, file="model.pth", adapter=small.adapter, input_size=small.input_size
    )
    cards = [
        hub.publish(fourth if key == "rmbg-2.0" else get_card(key), weights(1.2 + 0.05 * number))
        for number, key in enumerate(keys)
    ]
    use_cards(*cards)
    pool = ModelPool()
    start = threading.Barrier(8)

    def work(number: int) -> NDArray[np.float32]:
        start.wait()
        return pool.get(keys[number % 4]).segmenter.segment(photo).alpha

    with ThreadPoolExecutor(8) as threads:
        mattes = list(threads.map(work, range(8)))
    assert len(hub.transfers) == 4
    assert hub.sent == sum(card.bytes for card in cards)
    assert len(pool.loaded()) == 4
    for number, key in enumerate(keys):
        alone = ModelPool().get(key).segmenter.segment(photo).alpha
        np.testing.assert_array_equal(mattes[number], alone)
        np.testing.assert_array_equal(mattes[number + 4], alone)
    assert not np.array_equal(mattes[0], mattes[1])


def test_a_comparison_tells_every_stage_and_keeps_failures_apart(
    hub: HubEmulator, use_cards: Callable[..., None], photo: Photo
) -> None:
    use_cards(
        get_card("classic"),
        hub.publish(get_card("u2netp"), weights(1.2), knobs=Knobs(bandwidth=20e6)),
        hub.publish(get_card("rmbg-2.0"), weights(1.3)),
        hub.publish(get_card("u2net"), weights(1.4), knobs=Knobs(corrupt=True)),
    )
    events: list[Event] = []
    keys = ["rmbg-2.0", "u2net", "u2netp", "classic"]
    results = {r.model: r for r in compare(photo, keys, on_event=events.append, pool=ModelPool())}
    assert isinstance(results["rmbg-2.0"].error, GatedError)
    assert isinstance(results["u2net"].error, ChecksumError)
    assert results["u2netp"].error is None
    assert results["u2netp"].download_seconds > 0
    assert results["classic"].error is None
    stages = list(dict.fromkeys(event.stage for event in events if event.model == "u2netp"))
    assert stages == [Stage.WAITING, Stage.DOWNLOADING, Stage.LOADING, Stage.RUNNING, Stage.DONE]
    last = [event.download for event in events if event.download is not None and event.model == "u2netp"][-1]
    assert last.done == last.total == get_card("u2netp").bytes


def test_what_was_fetched_ahead_runs_offline(
    hub: HubEmulator, use_cards: Callable[..., None], photo: Photo, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_cards(hub.publish(get_card("u2netp"), weights(1.2)))
    shell = CliRunner()
    assert "download on first use" in shell.invoke(app, ["models"]).stdout
    fetched = shell.invoke(app, ["fetch", "--all"])
    assert fetched.exit_code == 0, fetched.output
    assert "ready, 4.8 MB on disk" in shell.invoke(app, ["models"]).stdout
    asked = len(hub.log)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (result,) = compare(photo, "u2netp", pool=ModelPool())
    assert result.error is None
    assert result.matte is not None
    assert result.matte.size == photo.size
    assert len(hub.log) == asked
    report = shell.invoke(app, ["doctor", "u2netp"])
    assert "checksum matches" in report.stdout
    # Random weights see no astronaut, and the doctor notices.
    assert report.exit_code == 1
    assert "FAILED] u2netp: agrees with the reference: IoU 0." in report.stdout


def test_fetching_what_cannot_be_had_names_it_and_fetches_the_rest(
    hub: HubEmulator, use_cards: Callable[..., None]
) -> None:
    use_cards(
        hub.publish(get_card("rmbg-2.0"), weights(1.3)),
        hub.publish(get_card("u2netp"), weights(1.2)),
    )
    result = CliRunner().invoke(app, ["fetch", "rmbg-2.0", "u2netp"])
    assert result.exit_code == 1
    assert "U²-Net Small: " in result.stdout
    assert "no commercial use" in result.stderr
    assert "RMBG 2.0: " in result.stderr
    assert "HF_TOKEN" in result.stderr
