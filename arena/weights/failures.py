"""The words for everything that can go wrong with weights: what happened, and what to do."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import TYPE_CHECKING

from arena.errors import (
    ChecksumError,
    DiskSpaceError,
    DownloadCancelled,
    DownloadError,
    GatedError,
    OfflineError,
    WeightsError,
    WeightsNotFoundError,
)
from arena.weights.cache import WEIGHTS_DIR_VARIABLE
from arena.wording import format_bytes

if TYPE_CHECKING:
    from arena.catalog import ModelCard

_LONGEST_QUOTE = 200
"""Characters of the hub's own words that are passed on."""


_NO_SPACE = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
"""A full disk and, where systems have them, a full quota."""


def kept(count: int) -> str:
    """What an unfinished download leaves behind, as a sentence."""
    return f"{format_bytes(count)} are kept, the next try goes on from there." if count else "Nothing had arrived yet."


def supply(card: ModelCard) -> str:
    """How to give the file by hand, as the end of a sentence."""
    return (
        f"set {WEIGHTS_DIR_VARIABLE} to a folder that holds the file as {card.key}{Path(card.file).suffix} "
        f"(it is {card.file} of {card.page})"
    )


def cancelled(card: ModelCard, arrived: int) -> DownloadCancelled:
    """The user stopped the download."""
    return DownloadCancelled(f"The download of {card.label} was stopped.", kept(arrived))


def offline(card: ModelCard, reason: str, first_step: str = "") -> OfflineError:
    """Not here, and the hub cannot be asked.

    Args:
        card: The model.
        reason: Why not, as the end of a sentence without its full stop.
        first_step: What may be enough, as a sentence of its own.
    """
    return OfflineError(
        f"The weights of {card.label} are not on this machine, and {reason}.",
        f"{first_step} Run `arena fetch {card.key}` while there is a connection, or {supply(card)}.".lstrip(),
    )


def gated(card: ModelCard, *, with_token: bool, words: str = "") -> GatedError:
    """The hub wants a licence accepted, or does not accept the token."""
    who = "the account of the token that was sent has no access" if with_token else "no token was given"
    return GatedError(
        f"The hub gives {card.label} only to accounts that accepted its licence, and {who}.",
        f"Sign in and accept the licence on {card.page}, make a read token in your account's settings there, and set "
        "HF_TOKEN to it before you start the program, or run `hf auth login` once.",
        quoted(words).strip(),
    )


def refused_token(card: ModelCard) -> GatedError:
    """The token itself is not valid."""
    return GatedError(
        f"The hub refused the token that was sent for {card.label}: it is not valid, or no longer.",
        "Give another: set HF_TOKEN or run `hf auth login`; or remove it, if the model needs none.",
    )


def unusable_token(card: ModelCard, reason: str) -> GatedError:
    """There is a token, but it cannot even be sent.

    Args:
        card: The model.
        reason: Why not, as the end of a sentence without its full stop.
    """
    return GatedError(
        f"The hub's token on this machine cannot be used to ask for {card.label}: {reason}.",
        "Give another: set HF_TOKEN or run `hf auth login`; or remove it, if the model needs none.",
    )


def not_found(card: ModelCard, what: str) -> WeightsNotFoundError:
    """The hub has no such thing.

    Args:
        card: The model.
        what: What is missing, for instance ``"revision abc"``.
    """
    return WeightsNotFoundError(
        f"The hub has no {what}, where the weights of {card.label} are meant to be: moved, deleted or made private.",
        f"Look at {card.page}; if the file is to be had elsewhere, {supply(card)}.",
    )


def no_weights_folder(folder: Path) -> WeightsNotFoundError:
    """The user's folder is none."""
    return WeightsNotFoundError(
        f"{WEIGHTS_DIR_VARIABLE} is set to {folder}, which is no folder.", "Create it, or unset the variable."
    )


def checksum(card: ModelCard, path: Path, expected: str, actual: str, *, done: str, remedy: str) -> ChecksumError:
    """Other contents than the card or the hub names.

    Args:
        card: The model.
        path: The file.
        expected: What its SHA-256 should be.
        actual: What it is.
        done: What was done about it, as a sentence.
        remedy: What to do.
    """
    return ChecksumError(
        f"The file of {card.label} is damaged, or not the one that its makers published. {done}",
        remedy,
        f"{path}: SHA-256 is {actual}, expected was {expected}",
    )


def disk_full(folder: Path, missing: int, free: int, arrived: int) -> DiskSpaceError:
    """No room.

    Args:
        folder: Where the weights go.
        missing: Bytes that are still to come, with the margin.
        free: Bytes that are free there.
        arrived: Bytes that are kept.
    """
    return DiskSpaceError(
        f"{format_bytes(missing)} more are needed in {folder}, and {format_bytes(free)} are free.",
        "Free some space, or set HF_HOME to a folder on a larger disk." + (f" {kept(arrived)}" if arrived else ""),
    )


def broken(card: ModelCard, cause: str, arrived: int) -> DownloadError:
    """The transfer did not come to its end."""
    return DownloadError(f"The download of {card.label} broke off: {cause}. {kept(arrived)}", "Try again later.")


def no_hub(card: ModelCard, endpoint: str, cause: str) -> DownloadError:
    """Something answers, but not as the hub does."""
    return DownloadError(
        f"{endpoint} did not answer as a model hub does when asked for {card.label}: {cause}.",
        "Look for a sign-in page of the network, a proxy or a wrong HF_ENDPOINT.",
    )


def file_system(card: ModelCard, error: OSError, folder: Path, free: int, arrived: int) -> WeightsError:
    """The disk did not do what was asked of it."""
    if error.errno in _NO_SPACE:
        missing = max(card.bytes - arrived, 1)
        return disk_full(folder, missing, free, arrived)
    return DownloadError(
        f"The weights of {card.label} cannot be written into {folder}: {error.strerror or error}.",
        "Make the folder writable, or set HF_HOME to another one.",
    )


def unreadable(card: ModelCard, path: Path, error: OSError) -> WeightsError:
    """A file is there, but cannot be read."""
    return WeightsNotFoundError(
        f"The weights of {card.label} cannot be read from {path}: {error.strerror or error}.",
        "Make the file readable, or set HF_HOME, or ARENA_WEIGHTS_DIR for files of your own, to another folder.",
    )


def quoted(words: str) -> str:
    """The hub's own words as a sentence, cut and on one line; empty if it said nothing."""
    line = " ".join(words.split())[:_LONGEST_QUOTE]
    return f' The hub says: "{line}"' if line else ""
