"""The emulator against the hub's own client: what it speaks is what ``huggingface_hub`` understands."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import huggingface_hub
import pytest
from huggingface_hub import constants, errors

from tests.hub import HubEmulator, Knobs

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = "owner/name"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
MEMBER = "hf_good"
DATA = bytes(range(256)) * 400


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


@pytest.fixture(autouse=True)
def plain_http(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    # A progress bar starts a thread that stays.
    monkeypatch.setattr("tqdm.tqdm.monitor_interval", 0)


def download(
    hub: HubEmulator,
    folder: Path,
    repo_id: str = REPOSITORY,
    filename: str = "a/b.bin",
    *,
    revision: str = COMMIT,
    repo_type: str | None = None,
    token: str | None = None,
) -> bytes:
    path = huggingface_hub.hf_hub_download(
        repo_id,
        filename,
        revision=revision,
        repo_type=repo_type,
        cache_dir=folder,
        endpoint=hub.url,
        token=token or False,
    )
    return Path(path).read_bytes()


@pytest.mark.parametrize("repo_type", ["model", "space", "dataset"])
@pytest.mark.parametrize("large", [True, False])
def test_client_downloads_a_file(hub: HubEmulator, tmp_path: Path, repo_type: str, large: bool) -> None:
    served = hub.add(REPOSITORY, COMMIT, "a/b.bin", DATA, repo_type=repo_type, large=large)
    assert download(hub, tmp_path, repo_type=repo_type) == DATA
    blob = tmp_path / f"{repo_type}s--owner--name" / "blobs" / (served.sha256 if large else served.git_sha1)
    assert blob.read_bytes() == DATA


def test_file_on_disk_is_served_like_bytes(hub: HubEmulator, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(DATA)
    hub.add(REPOSITORY, COMMIT, "a/b.bin", source)
    assert download(hub, tmp_path / "cache") == DATA


def test_branch_stands_for_a_commit(hub: HubEmulator, tmp_path: Path) -> None:
    served = hub.add(REPOSITORY, "main", "a/b.bin", DATA)
    assert download(hub, tmp_path, revision="main") == DATA
    assert (tmp_path / "models--owner--name" / "refs" / "main").read_text() == served.commit


def test_token_goes_to_the_hub_and_not_to_the_storage_host(hub: HubEmulator, tmp_path: Path) -> None:
    hub.add(REPOSITORY, COMMIT, "a/b.bin", DATA, gated=True)
    hub.grant(MEMBER, REPOSITORY)
    assert download(hub, tmp_path, token=MEMBER) == DATA
    sent_to = {request.storage for request in hub.log if "authorization" in request.headers}
    assert sent_to == {False}


def test_storage_host_refuses_a_token(hub: HubEmulator) -> None:
    served = hub.add(REPOSITORY, COMMIT, "a/b.bin", DATA)
    answer = httpx2.get(f"{hub.storage_url}/{served.sha256}", headers={"Authorization": "Bearer hf"}, trust_env=False)
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("token", "overrides", "expected", "status"),
    [
        (None, {"repo_id": "owner/gated"}, errors.GatedRepoError, 401),
        ("hf_known", {"repo_id": "owner/gated"}, errors.GatedRepoError, 403),
        ("hf_known", {"repo_id": "owner/none"}, errors.RepositoryNotFoundError, 404),
        (None, {"repo_id": "owner/none"}, errors.HfHubHTTPError, 401),
        ("hf_unknown", {}, errors.HfHubHTTPError, 401),
        (None, {"revision": "f" * 40}, errors.RevisionNotFoundError, 404),
        (None, {"filename": "none.bin"}, errors.RemoteEntryNotFoundError, 404),
    ],
)
def test_client_recognises_refusals(
    hub: HubEmulator,
    tmp_path: Path,
    token: str | None,
    overrides: dict[str, str],
    expected: type[errors.HfHubHTTPError],
    status: int,
) -> None:
    hub.add(REPOSITORY, COMMIT, "a/b.bin", DATA)
    hub.add("owner/gated", COMMIT, "a/b.bin", DATA, gated=True)
    hub.grant("hf_known")
    with pytest.raises(expected) as caught:
        download(hub, tmp_path, token=token, **overrides)
    assert caught.value.response.status_code == status


def get(hub: HubEmulator, sha256: str, byte_range: str | None = None) -> httpx2.Response:
    headers = {"Range": byte_range} if byte_range else {}
    return httpx2.get(f"{hub.storage_url}/{sha256}", headers=headers, trust_env=False)


@pytest.mark.parametrize(
    ("asked", "expected"), [("bytes=0-", DATA), ("bytes=1000-", DATA[1000:]), ("bytes=10-19", DATA[10:20])]
)
def test_ranges(hub: HubEmulator, asked: str, expected: bytes) -> None:
    served = hub.add(REPOSITORY, COMMIT, "a/b.bin", DATA)
    answer = get(hub, served.sha256, asked)
    assert (answer.status_code, answer.content) == (206, expected)
    assert answer.headers["Content-Range"].endswith(f"/{len(DATA)}")
    assert hub.transfers[-1].range == asked
    assert hub.sent == len(expected)


def test_range_beyond_the_end(hub: HubEmulator) -> None:
    served = hub.add(REPOSITORY, COMMIT, "a/b.bin", DATA)
    answer = get(hub, served.sha256, f"bytes={len(DATA)}-")
    assert answer.status_code == 416
    assert answer.headers["Content-Range"] == f"bytes */{len(DATA)}"


def test_ranges_can_be_ignored(hub: HubEmulator) -> None:
    served = hub.add(REPOSITORY, COMMIT, "a/b.bin", DATA, knobs=Knobs(ignore_ranges=True))
    answer = get(hub, served.sha256, "bytes=1000-")
    assert (answer.status_code, answer.content) == (200, DATA)


def test_cut_answer_promises_more_than_it_gives(hub: HubEmulator) -> None:
    served = hub.add(REPOSITORY, COMMIT, "a/b.bin", DATA, knobs=Knobs(break_after=1000, breaks=1))
    with pytest.raises(httpx2.RemoteProtocolError):
        get(hub, served.sha256)
    assert hub.sent == 1000
    assert get(hub, served.sha256).content == DATA


def test_stalled_answer_keeps_the_connection(hub: HubEmulator) -> None:
    served = hub.add(REPOSITORY, COMMIT, "a/b.bin", DATA, knobs=Knobs(stall_after=1000))
    with pytest.raises(httpx2.ReadTimeout):
        httpx2.get(f"{hub.storage_url}/{served.sha256}", timeout=0.2, trust_env=False)


def test_corrupt_answer_has_one_wrong_bit(hub: HubEmulator) -> None:
    served = hub.add(REPOSITORY, COMMIT, "a/b.bin", DATA, knobs=Knobs(corrupt=True))
    received = get(hub, served.sha256).content
    difference = int.from_bytes(received, "big") ^ int.from_bytes(DATA, "big")
    assert len(received) == len(DATA)
    assert difference.bit_count() == 1


def test_failing_answers_are_counted(hub: HubEmulator) -> None:
    served = hub.add(REPOSITORY, COMMIT, "a/b.bin", DATA, knobs=Knobs(status=503, failures=2))
    assert [get(hub, served.sha256).status_code for _ in range(3)] == [503, 503, 200]


def test_bandwidth_is_kept(hub: HubEmulator) -> None:
    served = hub.add(REPOSITORY, COMMIT, "a/b.bin", DATA, knobs=Knobs(bandwidth=len(DATA) / 0.5))
    answer = get(hub, served.sha256)
    assert 0.4 < answer.elapsed.total_seconds() < 3


def test_files_have_their_own_knobs(hub: HubEmulator) -> None:
    broken = hub.add(REPOSITORY, COMMIT, "broken.bin", DATA, knobs=Knobs(status=500))
    whole = hub.add(REPOSITORY, COMMIT, "whole.bin", DATA[::-1])
    assert get(hub, broken.sha256).status_code == 500
    assert get(hub, whole.sha256).content == DATA[::-1]
