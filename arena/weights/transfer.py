"""The hub's side: what it has, and getting it here in pieces that survive a broken connection.

``huggingface_hub`` resolves the address, the token and the file's metadata, and names what the hub refuses. The bytes
themselves are received here, for three reasons. Its own download writes into a file of a random name, which it
deletes on failure, so that nothing can be resumed. It hands data out in pieces of 10 MB, too coarse to stop at once
on a slow line. And for Xet storage it leaves HTTP for another library, which is not told where a partial file ends
and is stopped for all downloads at once; the hub serves each of these files by plain HTTP as well.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import shutil
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arena.errors import ArenaError, ChecksumError
from arena.weights import cache, digests, failures
from arena.weights.background import Background
from arena.weights.progress import Meter, ProgressCallback

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    import httpx2

    from arena.catalog import ModelCard

DEFAULT_ENDPOINT = "https://huggingface.co"

DISK_MARGIN_BYTES = 256 * 1024 * 1024
"""Left free on the disk: a machine without any space does worse than miss a model."""

RETRY_SECONDS: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)
"""Pauses after failures in a row; one more failure ends the download. A byte that arrives starts the row anew."""
_LONGEST_RETRY_AFTER = 30.0
"""Seconds that a server may ask to be left alone before giving up is more honest than waiting."""

_DEFAULT_TIMEOUT = 10.0
"""Seconds without a byte, as in ``huggingface_hub``."""

_RANGE_NOT_SATISFIABLE = 416
_TRANSIENT_STATUS = frozenset({408, _RANGE_NOT_SATISFIABLE, 425, 429, 500, 502, 503, 504})
_TRUE_VALUES = frozenset({"1", "ON", "YES", "TRUE"})
_TOKEN = re.compile(r"[!-~]+")
_SAFE_ETAG = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,127}")
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """What the hub says of a file."""

    url: str
    """Where it is asked for; answers by a redirect to a storage host."""
    etag: str
    """Names its contents; for a large file its SHA-256."""
    commit: str
    """The commit it was found at."""
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class _Opening:
    """The beginning of an answer, before its body."""

    start: int
    """Where in the file the body begins."""
    abort: Callable[[], None]
    """Ends the connection from another thread."""


class _BrokenTransfer(Exception):  # noqa: N818 - never leaves this module
    """The answer is not what was asked for, or not all of it; asking again may help."""


def offline_variable() -> str | None:
    """The environment variable that forbids the hub, None if none does."""
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        if os.environ.get(name, "").upper() in _TRUE_VALUES:
            return name
    return None


def check_cancelled(card: ModelCard, cancel: threading.Event | None, arrived: int) -> None:
    """Raise ``DownloadCancelled`` if the user wants to stop."""
    if cancel is not None and cancel.is_set():
        raise failures.cancelled(card, arrived)


def inspect(card: ModelCard, cancel: threading.Event | None = None) -> RemoteFile:
    """Ask the hub for a card's file, without its contents.

    Args:
        card: The model.
        cancel: Stops the waiting.

    Returns:
        What the hub says.

    Raises:
        OfflineError: The hub must not or cannot be reached.
        GatedError: It wants a licence accepted.
        WeightsNotFoundError: It has no such file.
        DownloadError: It does not answer sensibly.
        DownloadCancelled: ``cancel`` was set.
    """
    variable = offline_variable()
    if variable is not None:
        raise failures.offline(card, f"{variable} is set, so nothing may be downloaded", f"Unset {variable}.")
    arrived = cache.partial_bytes(card)
    failed = 0
    while True:
        try:
            return _checked_metadata(card, cancel, arrived)
        except ArenaError:
            raise
        except Exception as error:
            if not _is_transient(error) or _is_unreachable(error):
                named = _named(error, card, arrived)
                if named is None:
                    raise
                raise named from error
            failed = _pause_after(error, failed, card, cancel, arrived)


def _checked_metadata(card: ModelCard, cancel: threading.Event | None, arrived: int) -> RemoteFile:
    hub = _hub()
    url = hub.hf_hub_url(
        card.repository,
        card.file,
        repo_type=card.repo_type,
        revision=card.revision or cache.DEFAULT_REVISION,
        endpoint=_endpoint(),
    )

    def ask() -> Generator[Any]:
        yield hub.get_hf_file_metadata(
            url,
            token=_token(card),
            timeout=_seconds("HF_HUB_ETAG_TIMEOUT"),
            library_name=_LIBRARY,
            library_version=_own_version(),
            endpoint=_endpoint(),
        )

    with Background(ask()) as answer:
        metadata = None
        while metadata is None:
            check_cancelled(card, cancel, arrived)
            metadata = answer.poll()
    commit = card.revision if cache.COMMIT.fullmatch(card.revision) else metadata.commit_hash or ""
    for name, valid in (
        ("commit", cache.COMMIT.fullmatch(commit)),
        ("ETag", _SAFE_ETAG.fullmatch(metadata.etag or "")),
        ("size", metadata.size),
    ):
        # They become file names, so a server that is none must not choose them.
        if not valid:
            raise failures.no_hub(card, _endpoint(), f"its answer names no {name}")
    return RemoteFile(url=url, etag=metadata.etag, commit=commit, size=metadata.size)


def download(
    card: ModelCard,
    remote: RemoteFile,
    partial: Path,
    progress: ProgressCallback | None = None,
    cancel: threading.Event | None = None,
) -> str:
    """Complete a partial file.

    Args:
        card: The model.
        remote: What the hub says of its file.
        partial: Where the bytes go; what is there already is kept and counted.
        progress: Told how far it is.
        cancel: Stops it within a second.

    Returns:
        SHA-256 of the complete file.

    Raises:
        DiskSpaceError: No room; nothing is begun.
        DownloadError: Too many failures in a row.
        DownloadCancelled: ``cancel`` was set.
        GatedError, WeightsNotFoundError: The hub changed its mind since it was asked.
        OSError: The file cannot be written.
    """
    partial.parent.mkdir(parents=True, exist_ok=True)
    with partial.open("ab") as file:
        return _Transfer(card, remote, partial, file, progress, cancel).run()


def free_bytes(folder: Path) -> int:
    """Free bytes on the disk of a folder that need not exist yet; 0 if there is no such disk."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 0


class _Transfer:
    """One file on its way: its bytes, their hash and their count always agree."""

    def __init__(
        self,
        card: ModelCard,
        remote: RemoteFile,
        partial: Path,
        file: Any,
        progress: ProgressCallback | None,
        cancel: threading.Event | None,
    ) -> None:
        self._card = card
        self._remote = remote
        self._partial = partial
        self._file = file
        self._cancel = cancel
        self._meter = Meter(progress, remote.size)
        self._hasher = hashlib.sha256()
        self._done = 0

    def run(self) -> str:
        self._done = digests.update_from(self._hasher, self._partial, self._check_cancelled)
        if self._done > self._remote.size:
            self._restart()
        self._check_disk()
        failed = 0
        self._meter.report(self._done)
        while self._done < self._remote.size:
            before = self._done
            try:
                self._receive()
            except ArenaError:
                raise
            except Exception as error:
                if not _is_transient(error):
                    named = _named(error, self._card, self._done)
                    if named is None:
                        raise
                    raise named from error
                if _status(error) == _RANGE_NOT_SATISFIABLE:
                    self._restart()
                if self._done > before:
                    failed = 0
                failed = _pause_after(error, failed, self._card, self._cancel, self._done)
        # The name that the file is about to get promises its contents, even after a power cut.
        self._file.flush()
        os.fsync(self._file.fileno())
        self._meter.report(self._done, last=True)
        return self._hasher.hexdigest()

    def _receive(self) -> None:
        with Background(_answer(self._card, self._remote.url, self._done)) as answer:
            while True:
                self._check_cancelled()
                try:
                    item = answer.poll()
                except StopIteration:
                    break
                if isinstance(item, _Opening):
                    answer.abort = item.abort
                    if item.start != self._done:
                        # Only a server that ignores ranges begins elsewhere, and then with the first byte.
                        self._restart()
                elif item is not None:
                    self._append(item)
                self._meter.report(self._done)
        if self._done < self._remote.size:
            raise _BrokenTransfer("the answer ended early")

    def _append(self, chunk: bytes) -> None:
        if self._done + len(chunk) > self._remote.size:
            self._restart()
            raise _BrokenTransfer("more bytes arrived than the file has")
        self._file.write(chunk)
        self._hasher.update(chunk)
        self._done += len(chunk)

    def _restart(self) -> None:
        self._file.truncate(0)
        self._hasher = hashlib.sha256()
        self._done = 0

    def _check_disk(self) -> None:
        folder = self._partial.parent
        missing = self._remote.size - self._done
        free = free_bytes(folder)
        if missing and missing + DISK_MARGIN_BYTES > free:
            raise failures.disk_full(folder, missing + DISK_MARGIN_BYTES, free, self._done)

    def _check_cancelled(self) -> None:
        check_cancelled(self._card, self._cancel, self._done)


def _answer(card: ModelCard, url: str, start: int) -> Generator[_Opening | bytes]:
    """Ask for a file from a byte on, and hand out what comes."""
    import httpx2  # noqa: PLC0415 - as all of the hub, only when something is downloaded

    hub = _hub()
    headers = hub.utils.build_hf_headers(token=_token(card), library_name=_LIBRARY, library_version=_own_version())
    headers["Accept-Encoding"] = "identity"
    if start:
        headers["Range"] = f"bytes={start}-"
    timeout = httpx2.Timeout(_seconds("HF_HUB_DOWNLOAD_TIMEOUT"))
    # The session drops the token by itself where the hub redirects to another host. Asking the hub anew for each try
    # also renews the storage host's signed address, which lives for an hour only.
    with hub.get_session().stream("GET", url, headers=headers, timeout=timeout, follow_redirects=True) as response:
        hub.utils.hf_raise_for_status(response)
        yield _Opening(_first_byte(response, start), functools.partial(_shut_down, response))
        yield from response.iter_raw()


def _first_byte(response: httpx2.Response, asked: int) -> int:
    if response.status_code != 206:
        return 0
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if match is None or int(match[1]) != asked:
        raise _BrokenTransfer("the answer is another part of the file than was asked for")
    return asked


def _shut_down(response: httpx2.Response) -> None:
    stream = response.extensions.get("network_stream")
    connection = stream.get_extra_info("socket") if stream is not None else None
    if isinstance(connection, socket.socket):
        # Not the method of an SSL socket, which would take the session from under the thread that reads.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


def _pause_after(error: Exception, failed: int, card: ModelCard, cancel: threading.Event | None, arrived: int) -> int:
    """Wait before the next try, or give up; returns the new number of failures in a row."""
    if failed >= len(RETRY_SECONDS):
        raise failures.broken(card, f"{_cause(error)}, {failed + 1} times in a row", arrived) from error
    response = getattr(error, "response", None)
    asked = response.headers.get("Retry-After", "") if response is not None else ""
    pause = float(asked) if asked.isdigit() else RETRY_SECONDS[failed]
    (cancel or threading.Event()).wait(min(pause, _LONGEST_RETRY_AFTER))
    check_cancelled(card, cancel, arrived)
    return failed + 1


def _is_transient(error: Exception) -> bool:
    import httpx2  # noqa: PLC0415

    status = _status(error)
    if status is not None:
        return status in _TRANSIENT_STATUS
    if isinstance(error, (httpx2.UnsupportedProtocol, httpx2.LocalProtocolError, httpx2.ProxyError)):
        return False
    return isinstance(error, (_BrokenTransfer, httpx2.TransportError))


def _status(error: Exception) -> int | None:
    """The HTTP status that an exception stands for, None if the server never answered."""
    from huggingface_hub.errors import HfHubHTTPError  # noqa: PLC0415

    return error.response.status_code if isinstance(error, HfHubHTTPError) else None


def _is_unreachable(error: Exception) -> bool:
    import httpx2  # noqa: PLC0415

    return isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError))


def _cause(error: Exception) -> str:
    import httpx2  # noqa: PLC0415

    status = _status(error)
    if status is not None:
        return f"the server answered with status {status}"
    if isinstance(error, httpx2.TimeoutException):
        return "the server was silent for too long"
    text = " ".join(str(error).split()).rstrip(".")
    return text or type(error).__name__


def _named(error: Exception, card: ModelCard, arrived: int) -> ArenaError | None:
    """The error that a user can act on; None for what has nothing to do with the hub."""
    import httpx2  # noqa: PLC0415
    from huggingface_hub import errors  # noqa: PLC0415

    if isinstance(error, errors.OfflineModeIsEnabled):
        return failures.offline(
            card, "the hub was forbidden when the program started", "Unset HF_HUB_OFFLINE and start it again."
        )
    if isinstance(error, errors.HfHubHTTPError):
        return _refusal(error, card, arrived)
    if _is_unreachable(error):
        return failures.offline(card, f"{_endpoint()} cannot be reached ({_cause(error)})")
    if isinstance(error, (httpx2.HTTPError, httpx2.InvalidURL, errors.HFValidationError)):
        return failures.no_hub(card, _endpoint(), _cause(error))
    return None


def _refusal(error: Any, card: ModelCard, arrived: int) -> ArenaError:
    """The hub's refusals, by the error codes it sends."""
    from huggingface_hub import errors  # noqa: PLC0415

    status = error.response.status_code
    words = error.response.headers.get("X-Error-Message", "")
    if status == 401 and words.startswith("Invalid credentials"):
        return failures.refused_token(card)
    missing = None
    if isinstance(error, errors.RemoteEntryNotFoundError):
        missing = f"file {card.file} in {card.repository}"
    elif isinstance(error, errors.RevisionNotFoundError):
        missing = f"revision {card.revision or cache.DEFAULT_REVISION} of {card.repository}"
    elif isinstance(error, errors.DisabledRepoError):
        missing = f"repository {card.repository} any more"
    elif isinstance(error, errors.GatedRepoError) or status == 403 or (card.gated and status in {401, 404}):
        return failures.gated(card, with_token=bool(_token(card)), words=words)
    elif isinstance(error, errors.RepositoryNotFoundError) or status in {401, 404, 410}:
        # Asked without a token, the hub does not tell a missing repository from a private one.
        missing = f"repository {card.repository} that is open to all"
    if missing is not None:
        return failures.not_found(card, missing)
    return failures.broken(card, f"{_cause(error)}{failures.quoted(words)}", arrived)


_LIBRARY = "portrait-blur-arena"


def _own_version() -> str:
    try:
        return version(_LIBRARY)
    except PackageNotFoundError:
        return "0"


def _hub() -> Any:
    """``huggingface_hub``, imported late because it is heavy, with its telemetry off."""
    import huggingface_hub  # noqa: PLC0415
    from huggingface_hub import constants  # noqa: PLC0415

    # The variable of this name is read at import only, which another library may have done before. Without it, each
    # request tells the versions of what is installed and looks up which program runs it.
    constants.HF_HUB_DISABLE_TELEMETRY = True
    return huggingface_hub


def _endpoint() -> str:
    return (os.environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/")


def _seconds(variable: str) -> float:
    with suppress(ValueError):
        return float(os.environ.get(variable, ""))
    return _DEFAULT_TIMEOUT


def _token(card: ModelCard) -> str | bool:
    """The user's token; False, which means none at all, if there is none or it must not be sent unasked."""
    if os.environ.get("HF_HUB_DISABLE_IMPLICIT_TOKEN", "").upper() in _TRUE_VALUES:
        return False
    from huggingface_hub import constants, errors, get_token  # noqa: PLC0415

    path = Path(os.environ.get("HF_TOKEN_PATH") or cache.home() / "token").expanduser()
    try:
        if path == Path(constants.HF_TOKEN_PATH) or os.environ.get("HF_TOKEN"):
            token = get_token()
        else:
            # The home folder was changed since the import, which froze where the token lies.
            token = path.read_text().strip() if path.exists() else None
    except (OSError, UnicodeDecodeError, errors.OIDCError) as error:
        raise failures.unusable_token(card, f"it cannot be read ({error})") from error
    if token and not _TOKEN.fullmatch(token):
        # The HTTP library would refuse it as well, and quote it.
        raise failures.unusable_token(card, "it has characters that no token has")
    return token or False


def refuse_other_contents(card: ModelCard, remote: RemoteFile) -> None:
    """Raise ``ChecksumError`` if the hub itself names other contents than the card, before anything is downloaded."""
    named = remote.etag if cache.SHA256.fullmatch(remote.etag) else None
    if named is None and card.sha256 is None:
        raise ChecksumError(
            f"Neither the hub nor the model's card names a SHA-256 for the file of {card.label}, so that it cannot "
            "be verified. Nothing was downloaded.",
            f"If you trust the file, {failures.supply(card)}.",
        )
    if named is not None and card.sha256 is not None and named != card.sha256:
        raise failures.checksum(
            card,
            Path(card.file),
            card.sha256,
            named,
            done="Nothing was downloaded.",
            remedy=f"The hub holds another file than this program was made for; {failures.supply(card)}.",
        )
