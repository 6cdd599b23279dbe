"""A model hub on loopback: the part of the HTTP protocol that downloading needs, and all the ways it can fail.

Like the real one it answers a request for a large file with a redirect to a storage host (here another port), with the
file's checksum, size and commit on the redirect itself; the storage host knows ranges and refuses a token.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, BinaryIO, Self
from urllib.parse import unquote, urlsplit

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    from arena.catalog import ModelCard

_RESOLVE = re.compile(r"/(?:(spaces|datasets)/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)")
_PIECE_BYTES = 64 * 1024
_HASH_BYTES = 4 * 1024 * 1024
_JOIN_SECONDS = 5.0


@dataclass
class Knobs:
    """How the storage host (and, for ``status`` and ``delay``, the hub too) treats requests."""

    bandwidth: float | None = None
    """Bytes per second of each body; None: as fast as it goes."""
    break_after: int | None = None
    """The connection is cut after this many bytes of a body, though its length promised more."""
    breaks: int | None = None
    """How many bodies are cut; None: each."""
    stall_after: int | None = None
    """Nothing more is sent after this many bytes of a body, and the connection stays open."""
    corrupt: bool = False
    """One bit of the file is wrong."""
    ignore_ranges: bool = False
    """Every body is the whole file."""
    status: int | None = None
    """Every answer is this status."""
    failures: int | None = None
    """How many answers are ``status``; None: each."""
    delay: float = 0.0
    """Seconds before each answer."""


@dataclass
class Served:
    """A file that the emulator has."""

    repository: str
    revision: str
    file: str
    repo_type: str
    data: bytes | Path
    sha256: str
    size: int
    gated: bool
    large: bool
    knobs: Knobs | None = None
    """Replaces the emulator's own for this file."""

    @property
    def commit(self) -> str:
        """The commit that the revision stands for."""
        if re.fullmatch(r"[0-9a-f]{40}", self.revision):
            return self.revision
        return hashlib.sha1(f"{self.repository}@{self.revision}".encode(), usedforsecurity=False).hexdigest()

    @property
    def git_sha1(self) -> str:
        """How git names the contents of a file that is not large."""
        header = b"blob %d\0" % self.size
        with self.open() as file:
            return hashlib.sha1(header + file.read(), usedforsecurity=False).hexdigest()

    def open(self) -> BinaryIO:
        """The contents."""
        if isinstance(self.data, bytes):
            return io.BytesIO(self.data)
        return self.data.open("rb")


@dataclass
class Request:
    """A line of the log."""

    method: str
    path: str
    headers: dict[str, str]
    storage: bool
    """Whether the storage host was asked, not the hub."""
    status: int = 0
    sent: int = 0
    """Bytes of the body that were sent."""

    @property
    def range(self) -> str | None:
        """The range that was asked for."""
        return self.headers.get("range")


@dataclass(frozen=True)
class _Refusal:
    """A no in the hub's words: it sends them as headers, since most requests are for headers only."""

    status: int
    code: str = ""
    message: str = ""
    commit: str = ""


@dataclass
class _State:
    files: dict[tuple[str, str], list[Served]] = field(default_factory=dict)
    by_digest: dict[str, Served] = field(default_factory=dict)
    tokens: dict[str, set[str]] = field(default_factory=dict)
    log: list[Request] = field(default_factory=list)


class HubEmulator:
    """A hub on loopback for the length of a ``with`` block."""

    def __init__(self, knobs: Knobs | None = None) -> None:
        self.knobs = knobs or Knobs()
        """How all files are served that have no knobs of their own; may be changed at any time."""
        self.closing = threading.Event()
        """Set when the emulator ends, so that slow answers end too."""
        self._state = _State()
        self._lock = threading.Lock()
        self._hub = _Server(self, storage=False)
        self._storage = _Server(self, storage=True)
        self._threads = [
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
            for server in (self._hub, self._storage)
        ]

    @property
    def url(self) -> str:
        """What ``HF_ENDPOINT`` has to be."""
        return f"http://127.0.0.1:{self._hub.server_port}"

    @property
    def storage_url(self) -> str:
        """Where the hub redirects to."""
        return f"http://127.0.0.1:{self._storage.server_port}"

    @property
    def log(self) -> list[Request]:
        """Every request so far, in the order in which they arrived."""
        with self._lock:
            return list(self._state.log)

    @property
    def transfers(self) -> list[Request]:
        """The requests for contents."""
        return [request for request in self.log if request.method == "GET" and request.storage]

    @property
    def sent(self) -> int:
        """Bytes of contents that were sent."""
        return sum(request.sent for request in self.transfers)

    def add(
        self,
        repository: str,
        revision: str,
        file: str,
        data: bytes | Path,
        *,
        repo_type: str = "model",
        gated: bool = False,
        large: bool = True,
        knobs: Knobs | None = None,
    ) -> Served:
        """Have a file.

        Args:
            repository: ``owner/name``.
            revision: A full commit, or a branch.
            file: Path inside the repository.
            data: The contents, or a file that has them and is read piece by piece.
            repo_type: ``"model"``, ``"space"`` or ``"dataset"``.
            gated: Only given to tokens that ``grant`` named.
            large: Kept on the storage host and named by its SHA-256, as weights are; else served by the hub itself
                and named by git's SHA-1.
            knobs: How this file is served, instead of as all others.

        Returns:
            The file; its ``knobs`` may be changed later.
        """
        sha256, size = _measure(data)
        served = Served(repository, revision, file, repo_type, data, sha256, size, gated, large, knobs)
        with self._lock:
            files = self._state.files.setdefault((repo_type, repository), [])
            files[:] = [other for other in files if (other.revision, other.file) != (revision, file)]
            files.append(served)
            self._state.by_digest[sha256] = served
        return served

    def publish(
        self, card: ModelCard, data: bytes | Path, *, knobs: Knobs | None = None, gated: bool | None = None
    ) -> ModelCard:
        """Have a card's file, with other contents than the real one.

        Args:
            card: The model.
            data: As in ``add``.
            knobs: As in ``add``.
            gated: As in ``add``; None: as the card says.

        Returns:
            The card with the size and, if it had one, the checksum of these contents.
        """
        served = self.add(
            card.repository,
            card.revision or "main",
            card.file,
            data,
            repo_type=card.repo_type,
            gated=card.gated if gated is None else gated,
            knobs=knobs,
        )
        return replace(card, bytes=served.size, sha256=served.sha256 if card.sha256 else None)

    def grant(self, token: str, *repositories: str) -> None:
        """Know a token, whose account may have accepted the licences of gated repositories."""
        with self._lock:
            self._state.tokens.setdefault(token, set()).update(repositories)

    def repository(self, repo_type: str, name: str) -> list[Served] | None:
        """All files of a repository, None if there is no such repository."""
        with self._lock:
            files = self._state.files.get((repo_type, name))
            return None if files is None else list(files)

    def by_digest(self, sha256: str) -> Served | None:
        """The file with these contents."""
        with self._lock:
            return self._state.by_digest.get(sha256)

    def rights(self, token: str | None) -> set[str] | None:
        """Which gated repositories a token opens; None if it is not known."""
        with self._lock:
            rights = self._state.tokens.get(token or "")
            return None if rights is None else set(rights)

    def record(self, request: Request) -> None:
        """Add a line to the log."""
        with self._lock:
            self._state.log.append(request)

    def claim(self, knobs: Knobs, counter: str) -> bool:
        """Count one failure of a limited number down; False when none is left."""
        with self._lock:
            left = getattr(knobs, counter)
            if left is None:
                return True
            setattr(knobs, counter, max(left - 1, 0))
            return bool(left > 0)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.closing.set()
        for server, thread in zip((self._hub, self._storage), self._threads, strict=True):
            server.shutdown()
            server.hang_up()
            server.server_close()
            thread.join(_JOIN_SECONDS)


def _measure(data: bytes | Path) -> tuple[str, int]:
    if isinstance(data, bytes):
        return hashlib.sha256(data).hexdigest(), len(data)
    hasher = hashlib.sha256()
    with data.open("rb") as file:
        while piece := file.read(_HASH_BYTES):
            hasher.update(piece)
    return hasher.hexdigest(), data.stat().st_size


class _Server(ThreadingHTTPServer):
    """One of the two hosts; ``server_close`` waits for the threads that answer."""

    daemon_threads = False
    block_on_close = True

    def __init__(self, emulator: HubEmulator, *, storage: bool) -> None:
        self.emulator = emulator
        self.storage = storage
        self._connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self._connections.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """End connections that clients keep for later."""
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away in mid-answer is what many tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Requests go into the emulator's log instead."""

    def do_HEAD(self) -> None:
        self._handle()

    def do_GET(self) -> None:
        self._handle()

    def _handle(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self._request = Request(self.command, self.path, headers, self.server.storage)
        self.server.emulator.record(self._request)
        if self.server.storage:
            self._handle_storage()
        else:
            self._handle_hub()

    def _handle_hub(self) -> None:
        found = self._find()
        if isinstance(found, _Refusal):
            self._refuse(found)
        elif self._misbehaves(found):
            pass
        elif found.large:
            self._redirect(found)
        else:
            self._send_file(found, {"ETag": f'"{found.git_sha1}"', "X-Repo-Commit": found.commit})

    def _find(self) -> Served | _Refusal:
        """The file that is asked for, or how the real hub says no."""
        match = _RESOLVE.fullmatch(unquote(urlsplit(self.path).path))
        if match is None:
            return _Refusal(404, message="Not Found")
        kind, name, revision, path = match.groups()
        emulator = self.server.emulator
        token = self.headers.get("Authorization", "").removeprefix("Bearer ") or None
        rights = emulator.rights(token)
        if token is not None and rights is None:
            return _Refusal(401, message="Invalid credentials in Authorization header")
        files = emulator.repository({"spaces": "space", "datasets": "dataset"}.get(kind, "model"), name)
        if files is None and token is None:
            # The real one does not tell strangers whether a repository exists.
            return _Refusal(401, message="Invalid username or password.")
        if files is None:
            return _Refusal(404, "RepoNotFound", "Repository not found")
        return self._choose(files, name, revision, path, rights)

    @staticmethod
    def _choose(files: list[Served], name: str, revision: str, path: str, rights: set[str] | None) -> Served | _Refusal:
        of_revision = [file for file in files if revision in {file.revision, file.commit}]
        if not of_revision:
            return _Refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        if any(file.gated for file in of_revision) and name not in (rights or ()):
            words = f"Access to model {name} is restricted"
            if rights is None:
                words += ". You must have access to it and be authenticated to access it. Please log in."
                return _Refusal(401, "GatedRepo", words)
            words += f" and you are not in the authorized list. Visit https://huggingface.co/{name} to ask for access."
            return _Refusal(403, "GatedRepo", words)
        for file in of_revision:
            if file.file == path:
                return file
        return _Refusal(404, "EntryNotFound", "Entry not found", of_revision[0].commit)

    def _redirect(self, served: Served) -> None:
        """As for a file on Xet storage, which is offered as well as plain HTTP."""
        xet_hash = hashlib.sha256(served.sha256.encode()).hexdigest()
        location = f"{self.server.emulator.storage_url}/{served.sha256}?Signature=emulated"
        self._answer(
            302,
            {
                "Location": location,
                "X-Repo-Commit": served.commit,
                "X-Linked-ETag": f'"{served.sha256}"',
                "X-Linked-Size": str(served.size),
                "Accept-Ranges": "bytes",
                "X-Xet-Hash": xet_hash,
                "Link": f'<{self.server.emulator.url}/api/xet-read-token>; rel="xet-auth"',
            },
            f"Found. Redirecting to {location}".encode(),
        )

    def _handle_storage(self) -> None:
        served = self.server.emulator.by_digest(urlsplit(self.path).path.lstrip("/"))
        if served is None:
            self._refuse(_Refusal(404, message="No such object"))
        elif "Authorization" in self.headers:
            # The address is signed, and storage hosts take one kind of credentials only.
            self._refuse(_Refusal(400, message="Only one auth mechanism allowed"))
        elif not self._misbehaves(served):
            self._send_file(served, {"ETag": '"storage-has-its-own"'})

    def _misbehaves(self, served: Served) -> bool:
        emulator = self.server.emulator
        knobs = served.knobs or emulator.knobs
        if knobs.delay:
            emulator.closing.wait(knobs.delay)
        if knobs.status is not None and emulator.claim(knobs, "failures"):
            self._refuse(_Refusal(knobs.status, message="Emulated failure"))
            return True
        return False

    def _send_file(self, served: Served, headers: dict[str, str]) -> None:
        knobs = served.knobs or self.server.emulator.knobs
        start, end = self._asked_range(served.size) if not knobs.ignore_ranges else (0, served.size)
        if start >= served.size > 0:
            self._answer(416, {"Content-Range": f"bytes */{served.size}"})
            return
        self._request.status = 200
        headers = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes", **headers}
        if "Range" in self.headers and not knobs.ignore_ranges:
            self._request.status = 206
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{served.size}"
        self.send_response(self._request.status)
        for name, value in {**headers, "Content-Length": str(end - start)}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self._send_body(served, start, end, knobs)

    def _asked_range(self, size: int) -> tuple[int, int]:
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if match is None:
            return 0, size
        return int(match[1]), min(int(match[2]) + 1, size) if match[2] else size

    def _send_body(self, served: Served, start: int, end: int, knobs: Knobs) -> None:
        closing = self.server.emulator.closing
        breaks = knobs.break_after is not None and self.server.emulator.claim(knobs, "breaks")
        began = time.monotonic()
        with served.open() as file:
            file.seek(start)
            while (position := start + self._request.sent) < end and not closing.is_set():
                piece = bytearray(file.read(min(self._piece_bytes(knobs), end - position)))
                if knobs.corrupt and position <= served.size // 2 < position + len(piece):
                    piece[served.size // 2 - position] ^= 1
                if breaks and knobs.break_after is not None:
                    piece = piece[: knobs.break_after - self._request.sent]
                if knobs.stall_after is not None:
                    piece = piece[: max(knobs.stall_after - self._request.sent, 0)]
                if not piece:
                    if not breaks:
                        closing.wait()
                    break
                self.wfile.write(piece)
                self._request.sent += len(piece)
                if knobs.bandwidth:
                    closing.wait(max(began + self._request.sent / knobs.bandwidth - time.monotonic(), 0))
        if start + self._request.sent < end:
            self.close_connection = True

    @staticmethod
    def _piece_bytes(knobs: Knobs) -> int:
        # A slow line gives little at a time, not much after a long while.
        return _PIECE_BYTES if not knobs.bandwidth else max(min(_PIECE_BYTES, int(knobs.bandwidth / 50)), 1)

    def _refuse(self, refusal: _Refusal) -> None:
        headers = {
            "X-Error-Code": refusal.code,
            "X-Error-Message": refusal.message,
            "X-Repo-Commit": refusal.commit,
        }
        self._answer(
            refusal.status,
            {"Content-Type": "application/json", **{name: value for name, value in headers.items() if value}},
            json.dumps({"error": refusal.message}).encode(),
        )

    def _answer(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self._request.status = status
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


_HUB_VARIABLES = (
    "ARENA_WEIGHTS_DIR",
    "HF_ASSETS_CACHE",
    "HF_HUB_CACHE",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN",
    "HF_HUB_DOWNLOAD_TIMEOUT",
    "HF_HUB_ETAG_TIMEOUT",
    "HF_HUB_OFFLINE",
    "HF_OIDC_RESOURCE",
    "HF_TOKEN",
    "HF_TOKEN_PATH",
    "HUGGINGFACE_HUB_CACHE",
    "HUGGING_FACE_HUB_TOKEN",
    "TRANSFORMERS_OFFLINE",
)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubEmulator]:
    """An empty hub that this process and its children take for the real one, and an empty cache."""
    import huggingface_hub
    from huggingface_hub import constants

    for name in _HUB_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    # A session that was made earlier in this process would go on with the proxies of that time.
    huggingface_hub.close_session()
    with HubEmulator() as emulator:
        monkeypatch.setenv("HF_ENDPOINT", emulator.url)
        yield emulator
    huggingface_hub.close_session()
