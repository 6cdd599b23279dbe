"""Weights: found, downloaded, resumed, verified; and every way in which that fails has a name."""

from __future__ import annotations

import errno
import hashlib
import os
import pickle
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import OrderedDict, namedtuple
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import huggingface_hub
import pytest
import torch
from safetensors.torch import save_file

from arena import weights
from arena.catalog import CARDS, get_card
from arena.errors import (
    CheckpointError,
    ChecksumError,
    DiskSpaceError,
    DownloadCancelled,
    DownloadError,
    GatedError,
    OfflineError,
    WeightsNotFoundError,
)
from arena.weights import cache, digests, load_tensors, transfer
from arena.weights.progress import Meter
from arena.wording import format_bytes
from tests.hub import HubEmulator, Knobs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from arena.catalog import ModelCard
    from arena.weights import Progress

DATA = os.urandom(3_000_000)
PLAIN = get_card("birefnet-portrait")
SPACE = get_card("u2net-human")
GATED = get_card("rmbg-2.0")
UNHASHED = get_card("sam-vit-b")
UNPINNED = get_card("remback")

CHILD = """
import sys
from dataclasses import replace
from arena import weights
from arena.catalog import get_card
key, size, sha256 = sys.argv[1:]
print(weights.fetch(replace(get_card(key), bytes=int(size), sha256=sha256)))
"""


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + 30
    while not set(threading.enumerate()) <= before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert set(threading.enumerate()) <= before


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "RETRY_SECONDS", (0.01, 0.01))


def fetched(card: ModelCard, **options: Any) -> Path:
    path = weights.fetch(card, **options)
    assert path is not None
    return path


def blob(card: ModelCard) -> Path:
    return cache.blob_path(card, card.sha256 or hashlib.sha256(DATA).hexdigest())


def partial(card: ModelCard) -> Path:
    return cache.partial_path(card, card.sha256 or hashlib.sha256(DATA).hexdigest())


def start_child(card: ModelCard) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, card.key, str(card.bytes), str(card.sha256)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# Getting a file


def test_model_without_weights_needs_no_file(hub: HubEmulator) -> None:
    card = get_card("classic")
    assert weights.fetch(card) is None
    assert weights.is_cached(card)
    assert weights.cached_bytes(card) == 0
    assert weights.location(card) is None
    assert not hub.log


@pytest.mark.parametrize("card", [PLAIN, SPACE, UNHASHED, UNPINNED], ids=lambda card: card.key)
def test_downloaded_file_lies_where_the_hub_s_own_client_finds_it(hub: HubEmulator, card: ModelCard) -> None:
    card = hub.publish(card, DATA)
    path = fetched(card)
    assert path.read_bytes() == DATA
    found = huggingface_hub.try_to_load_from_cache(
        card.repository, card.file, cache_dir=cache.hub_folder(), revision=card.revision, repo_type=card.repo_type
    )
    if card.revision:
        assert found == str(path)
    assert path.resolve() == blob(card)
    assert not partial(card).exists()


def test_pinned_revision_is_asked_for(hub: HubEmulator) -> None:
    hub.add(PLAIN.repository, "main", PLAIN.file, b"newer")
    card = hub.publish(PLAIN, DATA)
    assert fetched(card).read_bytes() == DATA
    assert all(f"/resolve/{PLAIN.revision}/" in request.path for request in hub.log if not request.storage)


def test_cached_file_needs_no_hub(hub: HubEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    cards = [hub.publish(card, DATA) for card in (PLAIN, UNHASHED, UNPINNED)]
    paths = [fetched(card) for card in cards]
    requests = len(hub.log)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert [fetched(card) for card in cards] == paths
    assert len(hub.log) == requests


def test_file_of_another_revision_is_not_downloaded_again(hub: HubEmulator) -> None:
    card = hub.publish(PLAIN, DATA)
    fetched(card)
    other = hub.publish(replace(PLAIN, revision="1" * 40), DATA)
    assert fetched(other).resolve() == blob(card)
    assert len(hub.transfers) == 1


def test_environment_is_read_at_each_call(hub: HubEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = hub.publish(PLAIN, DATA)
    assert fetched(card).is_relative_to(tmp_path / "hf" / "hub")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    assert not weights.is_cached(card)
    assert fetched(card).is_relative_to(tmp_path / "home" / "hub")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    assert fetched(card).is_relative_to(tmp_path / "cache")
    with HubEmulator() as other:
        monkeypatch.setenv("HF_ENDPOINT", f"{other.url}/")
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "third"))
        other.publish(card, DATA)
        fetched(card)
        assert other.transfers


def test_requests_tell_nothing_about_the_machine(hub: HubEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", False)
    fetched(hub.publish(PLAIN, DATA))
    assert {request.method for request in hub.log} == {"HEAD", "GET"}
    for request in hub.log:
        assert "torch" not in request.headers["user-agent"]
        assert "agent/" not in request.headers["user-agent"]
        assert request.storage or "/resolve/" in request.path


def test_every_card_s_place_is_known_without_heavy_imports(hub: HubEmulator) -> None:
    code = (
        "import sys\n"
        "from arena import weights\n"
        "from arena.catalog import CARDS\n"
        "assert not any(weights.is_cached(card) for card in CARDS if card.needs_download)\n"
        "print(sorted({'torch', 'huggingface_hub', 'httpx2', 'safetensors', 'filelock'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert not hub.log


# What is here already


def test_cached_state_before_during_and_after(hub: HubEmulator) -> None:
    card = hub.publish(PLAIN, DATA)
    assert (weights.is_cached(card), weights.cached_bytes(card), weights.location(card)) == (False, 0, None)
    partial(card).parent.mkdir(parents=True)
    partial(card).write_bytes(DATA[:1000])
    assert (weights.is_cached(card), weights.cached_bytes(card), weights.location(card)) == (False, 1000, None)
    path = fetched(card)
    assert (weights.is_cached(card), weights.cached_bytes(card), weights.location(card)) == (True, len(DATA), path)


def test_partial_bytes_without_a_checksum(hub: HubEmulator) -> None:
    partial(UNHASHED).parent.mkdir(parents=True)
    partial(UNHASHED).write_bytes(DATA[:1234])
    partial(UNHASHED).with_name("0123.0badcafe.incomplete").write_bytes(DATA)
    assert weights.cached_bytes(UNHASHED) == 1234


def test_file_is_hashed_once(hub: HubEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    card = hub.publish(PLAIN, DATA)
    path = fetched(card)

    def refuse(*args: object) -> int:
        raise AssertionError("the file was read again")

    monkeypatch.setattr(digests, "update_from", refuse)
    assert fetched(card) == path
    # As in a new process.
    digests._known.clear()
    assert fetched(card) == path
    monkeypatch.undo()


def test_changed_file_is_hashed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    file = tmp_path / "file"
    file.write_bytes(b"one")
    assert digests.digest(file) == hashlib.sha256(b"one").hexdigest()
    file.write_bytes(b"two")
    os.utime(file, ns=(1, 1))
    assert digests.known_digest(file) is None
    assert digests.digest(file) == hashlib.sha256(b"two").hexdigest()


def test_cache_that_cannot_be_written_still_serves(hub: HubEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    card = hub.publish(PLAIN, DATA)
    path = fetched(card)
    digests._known.clear()
    shutil.rmtree(cache.assets_folder())
    cache.assets_folder().write_bytes(b"")
    assert fetched(card) == path


# Checksums


@pytest.mark.parametrize("card", [PLAIN, UNHASHED], ids=lambda card: card.key)
def test_corrupt_transfer_is_deleted_and_told(hub: HubEmulator, card: ModelCard) -> None:
    hub.knobs = Knobs(corrupt=True)
    card = hub.publish(card, DATA)
    with pytest.raises(ChecksumError) as caught:
        fetched(card)
    assert hashlib.sha256(DATA).hexdigest() in caught.value.details
    assert "deleted" in caught.value.problem
    assert caught.value.remedy
    assert not blob(card).exists()
    assert not partial(card).exists()
    assert not weights.is_cached(card)
    hub.knobs = Knobs()
    assert fetched(card).read_bytes() == DATA


@pytest.mark.parametrize("card", [PLAIN, UNHASHED], ids=lambda card: card.key)
@pytest.mark.parametrize("contents", [DATA[:-1] + bytes([DATA[-1] ^ 1]), DATA[:1000]], ids=["changed", "truncated"])
def test_bad_cached_file_is_deleted_and_told(hub: HubEmulator, card: ModelCard, contents: bytes) -> None:
    card = hub.publish(card, DATA)
    path = fetched(card)
    blob(card).write_bytes(contents)
    os.utime(blob(card), ns=(1, 1))
    with pytest.raises(ChecksumError) as caught:
        fetched(card)
    assert hashlib.sha256(contents).hexdigest() in caught.value.details
    assert hashlib.sha256(DATA).hexdigest() in caught.value.details
    assert f"arena fetch {card.key}" in caught.value.remedy
    assert not path.is_symlink()
    assert not blob(card).exists()
    assert fetched(card).read_bytes() == DATA


def test_truncated_cached_file_does_not_count_as_cached(hub: HubEmulator) -> None:
    card = hub.publish(PLAIN, DATA)
    fetched(card)
    blob(card).write_bytes(DATA[:1000])
    assert not weights.is_cached(card)


def test_other_contents_on_the_hub_are_not_even_downloaded(hub: HubEmulator) -> None:
    hub.publish(PLAIN, DATA)
    with pytest.raises(ChecksumError) as caught:
        fetched(PLAIN)
    assert str(PLAIN.sha256) in caught.value.details
    assert not hub.transfers


def test_file_that_nobody_names_a_checksum_of_is_refused(hub: HubEmulator) -> None:
    hub.add(UNHASHED.repository, UNHASHED.revision, UNHASHED.file, DATA, large=False)
    with pytest.raises(ChecksumError) as caught:
        fetched(UNHASHED)
    assert "ARENA_WEIGHTS_DIR" in caught.value.remedy
    assert not hub.sent


def test_file_outside_of_the_cache_is_never_deleted(hub: HubEmulator, tmp_path: Path) -> None:
    card = hub.publish(PLAIN, DATA)
    path = fetched(card)
    precious = tmp_path / "precious"
    precious.write_bytes(b"kept by somebody else")
    path.unlink()
    path.symlink_to(precious)
    with pytest.raises(ChecksumError):
        fetched(card)
    assert precious.read_bytes() == b"kept by somebody else"
    assert not path.is_symlink()


# Broken transfers


def contiguous(hub: HubEmulator) -> bool:
    """Whether each transfer began where the one before had ended."""
    position = 0
    for request in hub.transfers:
        start = int((request.range or "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        if start != position:
            return False
        position += request.sent
    return True


def test_broken_transfer_goes_on_where_it_broke(hub: HubEmulator) -> None:
    hub.knobs = Knobs(break_after=700_000)
    card = hub.publish(PLAIN, DATA)
    assert fetched(card).read_bytes() == DATA
    assert len(hub.transfers) == 5
    assert contiguous(hub)
    assert hub.sent == len(DATA)


def test_killed_process_s_download_is_resumed(hub: HubEmulator) -> None:
    hub.knobs = Knobs(bandwidth=2_000_000)
    card = hub.publish(PLAIN, DATA)
    with start_child(card) as child:
        wait_until(lambda: weights.cached_bytes(card) > len(DATA) // 3)
        child.kill()
    arrived = partial(card).stat().st_size
    assert len(DATA) // 3 <= arrived < len(DATA)
    hub.knobs = Knobs()
    assert fetched(card).read_bytes() == DATA
    assert [request.range for request in hub.transfers] == [None, f"bytes={arrived}-"]
    assert hub.transfers[1].sent == len(DATA) - arrived
    assert hub.sent < 1.2 * len(DATA)


def test_silent_server_is_asked_again(hub: HubEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "0.2")
    hub.knobs = Knobs(stall_after=1_100_000)
    card = hub.publish(PLAIN, DATA)
    assert fetched(card).read_bytes() == DATA
    assert hub.sent == len(DATA)


@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        (Knobs(break_after=0), "3 times in a row"),
        (Knobs(stall_after=0), "silent"),
        (Knobs(status=503), "503"),
        (Knobs(status=429), "429"),
    ],
    ids=["broken", "silent", "unavailable", "too many requests"],
)
def test_server_that_never_delivers(
    hub: HubEmulator, monkeypatch: pytest.MonkeyPatch, knobs: Knobs, words: str
) -> None:
    monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "0.2")
    card = hub.publish(PLAIN, DATA)
    partial(card).parent.mkdir(parents=True)
    partial(card).write_bytes(DATA[:1_500_000])
    hub.knobs = knobs
    with pytest.raises(DownloadError) as caught:
        fetched(card)
    assert words in caught.value.problem
    assert "1.5 MB are kept" in caught.value.problem
    assert partial(card).read_bytes() == DATA[:1_500_000]


def test_storage_that_is_unavailable_for_a_moment(hub: HubEmulator) -> None:
    hub.knobs = Knobs(status=503, failures=2)
    card = hub.publish(PLAIN, DATA)
    assert fetched(card).read_bytes() == DATA


def test_slow_hub(hub: HubEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_ETAG_TIMEOUT", "0.1")
    hub.knobs = Knobs(delay=1)
    with pytest.raises(DownloadError, match="silent"):
        fetched(hub.publish(PLAIN, DATA))


def test_server_without_ranges_begins_anew(hub: HubEmulator) -> None:
    hub.knobs = Knobs(ignore_ranges=True, break_after=700_000, breaks=1)
    card = hub.publish(PLAIN, DATA)
    assert fetched(card).read_bytes() == DATA
    assert [request.sent for request in hub.transfers] == [700_000, len(DATA)]


def test_partial_file_that_is_too_long_is_begun_anew(hub: HubEmulator) -> None:
    card = hub.publish(PLAIN, DATA)
    partial(card).parent.mkdir(parents=True)
    partial(card).write_bytes(DATA + b"more")
    assert fetched(card).read_bytes() == DATA


def test_complete_partial_file_is_not_downloaded_again(hub: HubEmulator) -> None:
    card = hub.publish(PLAIN, DATA)
    partial(card).parent.mkdir(parents=True)
    partial(card).write_bytes(DATA)
    assert fetched(card).read_bytes() == DATA
    assert not hub.transfers


# Progress and cancelling


def test_progress_is_told(hub: HubEmulator) -> None:
    bandwidth = 3_000_000
    hub.knobs = Knobs(bandwidth=bandwidth)
    card = hub.publish(PLAIN, DATA)
    partial(card).parent.mkdir(parents=True)
    partial(card).write_bytes(DATA[:300_000])
    told: list[tuple[float, Progress]] = []
    fetched(card, progress=lambda progress: told.append((time.monotonic(), progress)))
    done = [progress.done for _, progress in told]
    assert (done[0], done[-1]) == (300_000, len(DATA))
    assert done == sorted(done)
    assert {progress.total for _, progress in told} == {len(DATA)}
    gaps = [later - earlier for (earlier, _), (later, _) in pairwise(told[:-1])]
    assert len(gaps) >= 3
    assert min(gaps) >= 0.095
    assert bandwidth / 2 < told[-1][1].rate < bandwidth * 1.5
    assert told[-1][1].fraction == 1


def test_cached_file_has_no_progress(hub: HubEmulator) -> None:
    card = hub.publish(PLAIN, DATA)
    fetched(card)
    told: list[Progress] = []
    fetched(card, progress=told.append)
    assert not told


def test_stall_shows_in_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Progress] = []
    clock = iter([0.0, 1.0, 2.0, 2.05, 9.0, 20.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    meter = Meter(told.append, 1000)
    for done in (0, 100, 200, 210, 210, 210):
        meter.report(done)
    monkeypatch.undo()
    assert [round(report.rate) for report in told] == [0, 100, 100, 1, 0]
    assert [report.done for report in told] == [0, 100, 200, 210, 210]


def test_progress_that_raises_ends_the_download_resumably(hub: HubEmulator) -> None:
    class PageGoneError(Exception):
        pass

    def leave(progress: Progress) -> None:
        if progress.done > 500_000:
            raise PageGoneError

    hub.knobs = Knobs(bandwidth=4_000_000)
    card = hub.publish(PLAIN, DATA)
    with pytest.raises(PageGoneError):
        fetched(card, progress=leave)
    arrived = partial(card).stat().st_size
    assert arrived > 500_000
    hub.knobs = Knobs()
    assert fetched(card).read_bytes() == DATA
    assert hub.transfers[-1].range == f"bytes={arrived}-"


@pytest.mark.parametrize(
    "knobs",
    [Knobs(bandwidth=1_000_000), Knobs(stall_after=400_000), Knobs(delay=60), Knobs(break_after=0)],
    ids=["slow", "silent", "no answer yet", "between tries"],
)
def test_cancelling_is_quick_and_resumable(hub: HubEmulator, monkeypatch: pytest.MonkeyPatch, knobs: Knobs) -> None:
    monkeypatch.setattr(transfer, "RETRY_SECONDS", (60.0,))
    hub.knobs = knobs
    card = hub.publish(PLAIN, DATA)
    cancel = threading.Event()
    cancelled_at: list[float] = []
    brings_some = knobs.bandwidth is not None or knobs.stall_after is not None

    def stop() -> None:
        time.sleep(0.5)
        if brings_some:
            wait_until(lambda: weights.cached_bytes(card) > 0)
        cancelled_at.append(time.monotonic())
        cancel.set()

    timer = threading.Thread(target=stop)
    timer.start()
    with pytest.raises(DownloadCancelled, match=r"kept|Nothing had arrived"):
        fetched(card, cancel=cancel)
    # Well before what it waited for would have come: a quarter of it is far more than the slowest machine needs.
    assert time.monotonic() - cancelled_at[0] < 15
    timer.join()
    arrived = weights.cached_bytes(card)
    if arrived:
        # Nothing goes on receiving behind the scenes.
        assert not [thread for thread in threading.enumerate() if thread.name == "arena-weights"]
    hub.knobs = Knobs()
    assert fetched(card).read_bytes() == DATA
    assert hub.transfers[-1].range == (f"bytes={arrived}-" if arrived else None)
    assert bool(arrived) == brings_some


def test_cancelled_before_it_begins(hub: HubEmulator) -> None:
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(DownloadCancelled):
        fetched(hub.publish(PLAIN, DATA), cancel=cancel)
    assert not hub.log


def test_waiting_for_another_download_can_be_cancelled(hub: HubEmulator) -> None:
    hub.knobs = Knobs(stall_after=100_000)
    card = hub.publish(PLAIN, DATA)
    first, second = threading.Event(), threading.Event()
    told: list[Progress] = []
    with ThreadPoolExecutor(2) as pool:
        running = pool.submit(fetched, card, cancel=first)
        wait_until(lambda: hub.sent > 0)
        waiting = pool.submit(fetched, card, cancel=second, progress=told.append)
        time.sleep(0.5)
        second.set()
        assert isinstance(waiting.exception(timeout=30), DownloadCancelled)
        first.set()
        assert isinstance(running.exception(timeout=30), DownloadCancelled)
    assert len(hub.transfers) == 1
    assert told[-1].done > 0


# One file, several who want it


def test_two_processes_download_once(hub: HubEmulator) -> None:
    hub.knobs = Knobs(bandwidth=1_500_000)
    card = hub.publish(PLAIN, DATA)
    children = [start_child(card) for _ in range(2)]
    outputs = [child.communicate(timeout=60) for child in children]
    assert [child.returncode for child in children] == [0, 0], outputs
    assert len({output for output, _ in outputs}) == 1
    assert len(hub.transfers) == 1
    assert hub.sent == len(DATA)


def test_eight_threads_download_once_each_of_two(hub: HubEmulator) -> None:
    hub.knobs = Knobs(bandwidth=6_000_000)
    cards = [hub.publish(PLAIN, DATA), hub.publish(SPACE, DATA[::-1])]
    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(fetched, cards * 4))
    assert set(paths) == {fetched(card) for card in cards}
    assert len(hub.transfers) == 2
    assert hub.sent == 2 * len(DATA)


# Disk


def test_disk_without_room(hub: HubEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    card = hub.publish(PLAIN, DATA)
    partial(card).parent.mkdir(parents=True)
    partial(card).write_bytes(DATA[:1_000_000])
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9 - 150_000_000, 150_000_000))
    with pytest.raises(DiskSpaceError) as caught:
        fetched(card)
    needed = format_bytes(2_000_000 + transfer.DISK_MARGIN_BYTES)
    assert needed in caught.value.problem
    assert "150.0 MB are free" in caught.value.problem
    assert str(cache.repository_folder(card)) in caught.value.problem
    assert "HF_HOME" in caught.value.remedy
    assert not hub.transfers


def test_disk_that_fills_up_meanwhile(hub: HubEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    class FullFile:
        def __init__(self, file: Any) -> None:
            self.file = file

        def write(self, chunk: bytes) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    append = transfer._Transfer._append

    def fill(self: transfer._Transfer, chunk: bytes) -> None:
        if self._done > 1_000_000:
            self._file = FullFile(self._file)
        append(self, chunk)

    monkeypatch.setattr(transfer._Transfer, "_append", fill)
    card = hub.publish(PLAIN, DATA)
    with pytest.raises(DiskSpaceError) as caught:
        fetched(card)
    assert "are kept" in caught.value.remedy
    assert partial(card).stat().st_size > 1_000_000


def test_cache_that_cannot_be_written(hub: HubEmulator) -> None:
    card = hub.publish(PLAIN, DATA)
    cache.home().mkdir(parents=True)
    cache.hub_folder().write_bytes(b"a file where a folder should be")
    with pytest.raises(DownloadError) as caught:
        fetched(card)
    assert str(cache.hub_folder()) in caught.value.problem
    assert "HF_HOME" in caught.value.remedy


# No hub


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_offline_by_choice(hub: HubEmulator, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "1")
    with pytest.raises(OfflineError) as caught:
        fetched(hub.publish(PLAIN, DATA))
    assert variable in caught.value.problem
    for remedy in (variable, f"arena fetch {PLAIN.key}", "ARENA_WEIGHTS_DIR", f"{PLAIN.key}.safetensors"):
        assert remedy in caught.value.remedy
    assert not hub.log


def test_offline_since_the_start(hub: HubEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(OfflineError, match="start it again"):
        fetched(hub.publish(PLAIN, DATA))


def test_hub_that_cannot_be_reached(hub: HubEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{free.getsockname()[1]}")
        with pytest.raises(OfflineError) as caught:
            fetched(PLAIN)
    assert "cannot be reached" in caught.value.problem
    assert f"arena fetch {PLAIN.key}" in caught.value.remedy
    assert "ARENA_WEIGHTS_DIR" in caught.value.remedy


def test_host_that_has_no_name(hub: HubEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://no-such-host.invalid")
    with pytest.raises(OfflineError):
        fetched(PLAIN)


def test_sign_in_page_instead_of_the_hub(hub: HubEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    class Portal(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Portal) as portal:
        thread = threading.Thread(target=portal.serve_forever)
        thread.start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{portal.server_port}")
        with pytest.raises(DownloadError, match="sign-in page"):
            fetched(PLAIN)
        portal.shutdown()
        thread.join()


def test_endpoint_that_is_no_address(hub: HubEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "mirror.example")
    with pytest.raises(DownloadError, match="HF_ENDPOINT"):
        fetched(PLAIN)


# The hub says no


def test_gated_without_a_token(hub: HubEmulator) -> None:
    card = hub.publish(GATED, DATA)
    with pytest.raises(GatedError) as caught:
        fetched(card)
    assert "no token was given" in caught.value.problem
    for part in ("https://huggingface.co/briaai/RMBG-2.0", "HF_TOKEN", "hf auth login"):
        assert part in caught.value.remedy
    assert not hub.transfers


def test_gated_for_this_account(hub: HubEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    card = hub.publish(GATED, DATA)
    hub.grant("hf_known")
    monkeypatch.setenv("HF_TOKEN", "hf_known")
    with pytest.raises(GatedError) as caught:
        fetched(card)
    assert "not in the authorized list" in caught.value.details
    assert "hf_known" not in str(caught.value)


def test_gated_model_that_hides_from_strangers(hub: HubEmulator) -> None:
    with pytest.raises(GatedError):
        fetched(GATED)


def test_token_that_is_not_valid(hub: HubEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_expired")
    with pytest.raises(GatedError, match="refused the token"):
        fetched(hub.publish(PLAIN, DATA))


@pytest.mark.parametrize("place", ["variable", "home", "path"])
def test_token_opens_the_gate(hub: HubEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    card = hub.publish(GATED, DATA)
    hub.grant("hf_good", GATED.repository)
    if place == "variable":
        monkeypatch.setenv("HF_TOKEN", "hf_good")
    elif place == "home":
        cache.home().mkdir()
        (cache.home() / "token").write_text("hf_good\n")
    else:
        (tmp_path / "elsewhere").write_text("hf_good\n")
        monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "elsewhere"))
    assert fetched(card).read_bytes() == DATA
    assert {request.storage for request in hub.log if "authorization" in request.headers} == {False}


def test_token_that_cannot_be_read(hub: HubEmulator) -> None:
    (cache.home() / "token").mkdir(parents=True)
    with pytest.raises(GatedError, match="cannot be read"):
        fetched(hub.publish(PLAIN, DATA))


def test_token_that_is_none_is_not_quoted(hub: HubEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "geheimes Schlüsselwort")
    with pytest.raises(GatedError) as caught:
        fetched(hub.publish(PLAIN, DATA))
    assert "geheimes" not in str(caught.value)


def test_token_that_must_not_be_sent_unasked(hub: HubEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
    fetched(hub.publish(PLAIN, DATA))
    assert not any("authorization" in request.headers for request in hub.log)


def test_gate_that_closes_between_question_and_transfer(hub: HubEmulator) -> None:
    card = hub.publish(PLAIN, DATA)
    remote = transfer.inspect(card)
    hub.publish(card, DATA, gated=True)
    with pytest.raises(GatedError):
        transfer.download(card, remote, partial(card))


@pytest.mark.parametrize("with_token", [False, True])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"repository": "nobody/nothing"}, "nobody/nothing"),
        ({"revision": "f" * 40}, "revision " + "f" * 40),
        ({"file": "none.safetensors"}, "none.safetensors"),
    ],
    ids=["repository", "revision", "file"],
)
def test_not_found(
    hub: HubEmulator, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], words: str, with_token: bool
) -> None:
    card = hub.publish(PLAIN, DATA)
    if with_token:
        hub.grant("hf_known")
        monkeypatch.setenv("HF_TOKEN", "hf_known")
    with pytest.raises(WeightsNotFoundError) as caught:
        fetched(replace(card, **change))
    assert words in caught.value.problem
    assert "ARENA_WEIGHTS_DIR" in caught.value.remedy


# The user's own folder


@pytest.fixture
def own(hub: HubEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "weights"
    folder.mkdir()
    monkeypatch.setenv("ARENA_WEIGHTS_DIR", str(folder))
    return folder


def of(card: ModelCard, data: bytes) -> ModelCard:
    return replace(card, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


def put(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", [f"{PLAIN.key}/{PLAIN.file}", PLAIN.file])
def test_own_file_that_cannot_be_read_is_named(
    own: Path, hub: HubEmulator, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = of(PLAIN, DATA)
    path = put(own / name, DATA)

    def refuse(*_: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(digests, "digest", refuse)
    with pytest.raises(WeightsNotFoundError) as caught:
        fetched(card)
    assert str(path) in caught.value.problem
    assert "Permission denied" in caught.value.problem


@pytest.mark.parametrize(
    "name",
    [
        "u2net-human/u2net_human_seg.pth",
        "u2net-human.pth",
        f"{SPACE.repository}/{SPACE.file}",
        "u2net_human_seg.pth",
    ],
)
def test_own_file_is_taken(own: Path, hub: HubEmulator, name: str) -> None:
    card = of(SPACE, DATA)
    path = put(own / name, DATA)
    assert weights.location(card) == path
    assert weights.cached_bytes(card) == len(DATA)
    assert fetched(card) == path
    assert not hub.log


def test_own_file_with_other_contents_is_told_and_left(own: Path, hub: HubEmulator) -> None:
    card = of(PLAIN, DATA)
    path = put(own / "birefnet-portrait.safetensors", DATA[:1000])
    assert not weights.is_cached(card)
    with pytest.raises(ChecksumError) as caught:
        fetched(card)
    assert str(path) in caught.value.details
    assert path.read_bytes() == DATA[:1000]


def test_own_file_that_can_be_nobody_elses_is_told_and_left(own: Path, hub: HubEmulator) -> None:
    card = of(SPACE, DATA)
    path = put(own / "u2net_human_seg.pth", DATA[::-1])
    # Nobody has read it yet, so it counts as there: what was not announced must not be downloaded.
    assert weights.is_cached(card)
    with pytest.raises(ChecksumError) as caught:
        fetched(card)
    assert str(path) in caught.value.details
    assert path.read_bytes() == DATA[::-1]
    assert not hub.log


def test_whether_a_file_was_compared_is_known(own: Path, hub: HubEmulator) -> None:
    assert weights.has_checksum(of(PLAIN, DATA), put(own / "birefnet-portrait.safetensors", DATA))
    unhashed = hub.publish(UNHASHED, DATA)
    assert not weights.has_checksum(unhashed, put(own / f"{unhashed.key}.safetensors", DATA))
    shutil.rmtree(own)
    own.mkdir()
    # The hub names it by its checksum.
    assert weights.has_checksum(unhashed, fetched(unhashed))


def test_own_file_whose_name_many_share_is_taken_by_its_checksum(own: Path, hub: HubEmulator) -> None:
    twins = [get_card("birefnet-hr-matting"), get_card("birefnet-dynamic")]
    assert twins[0].bytes == twins[1].bytes
    data = [DATA[:1000], DATA[1000:2000]]
    mine, other = (replace(of(card, part), bytes=card.bytes) for card, part in zip(twins, data, strict=True))
    path = own / "model.safetensors"
    with path.open("wb") as file:
        # As large as the cards say without taking the space, since the size is what the two have in common.
        file.truncate(mine.bytes)
    mine = replace(mine, sha256=digests.digest(path))
    assert weights.location(mine) == path
    assert weights.location(other) is None
    assert fetched(mine) == path
    digests._known.clear()
    shutil.rmtree(cache.assets_folder())
    assert weights.location(mine) is None


def test_own_file_of_another_model_is_passed_over(own: Path, hub: HubEmulator) -> None:
    put(own / "model.safetensors", DATA[:1000])
    card = hub.publish(PLAIN, DATA)
    unhashed = hub.publish(UNHASHED, DATA[::-1])
    assert not weights.is_cached(card)
    assert not weights.is_cached(unhashed)
    assert fetched(card).read_bytes() == DATA
    assert fetched(unhashed).read_bytes() == DATA[::-1]


def test_own_file_without_a_checksum_is_taken_at_its_word(own: Path, hub: HubEmulator) -> None:
    path = put(own / "remback_v4.pth", DATA)
    assert weights.location(UNPINNED) == path
    assert fetched(UNPINNED) == path


def test_own_folder_that_is_none(own: Path, hub: HubEmulator) -> None:
    own.rmdir()
    with pytest.raises(WeightsNotFoundError, match="ARENA_WEIGHTS_DIR"):
        fetched(PLAIN)
    assert not any(weights.is_cached(card) for card in CARDS if card.needs_download)


# Tensors

TENSORS = OrderedDict(a=torch.arange(6, dtype=torch.float16).reshape(2, 3), b=torch.tensor(7))


class _Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, ("touch ran-code",))


def assert_loads(path: Path) -> None:
    loaded = load_tensors(path)
    assert set(loaded) == {"a", "b"}
    for name, tensor in TENSORS.items():
        assert loaded[name].dtype == tensor.dtype
        assert torch.equal(loaded[name], tensor)


def test_safetensors_are_loaded(tmp_path: Path) -> None:
    save_file(dict(TENSORS), tmp_path / "x.safetensors")
    assert_loads(tmp_path / "x.safetensors")


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("suffix", ["pth", "pt", "bin"])
@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
def test_pickled_tensors_are_loaded(tmp_path: Path, zipped: bool, suffix: str, wrapper: str | None) -> None:
    path = tmp_path / f"x.{suffix}"
    content = {wrapper: TENSORS, "epoch": 3} if wrapper else TENSORS
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    assert_loads(path)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_pickle_with_code_is_refused_and_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zipped: bool) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"a": TENSORS["a"], "b": _Evil()}, "x.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=r"contains program code"):
        load_tensors(tmp_path / "x.pth")
    assert not Path("ran-code").exists()
    Path("y.bin").write_bytes(pickle.dumps(_Evil(), protocol=2))
    with pytest.raises(CheckpointError):
        load_tensors(tmp_path / "y.bin")
    assert not Path("ran-code").exists()


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
@pytest.mark.parametrize("keep", [0, 3, 100, -10])
def test_damaged_file(tmp_path: Path, suffix: str, keep: int) -> None:
    path = tmp_path / f"x.{suffix}"
    if suffix == "safetensors":
        save_file(dict(TENSORS), path)
    else:
        torch.save(TENSORS, path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError):
        load_tensors(path)


@pytest.mark.parametrize("content", [[1, 2], {"a": 1}, {}, torch.zeros(2), {"state_dict": {"a": "b"}}])
def test_pickle_of_other_things(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(CheckpointError):
        load_tensors(tmp_path / "x.pth")


def test_unknown_kind_and_missing_file(tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"\.safetensors"):
        load_tensors(tmp_path / "x.onnx")
    with pytest.raises(WeightsNotFoundError):
        load_tensors(tmp_path / "none.pth")
