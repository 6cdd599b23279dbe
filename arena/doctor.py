"""Checks of an installation and its models, whose report is plain text to paste into an issue."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import platform
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

import arena
from arena import weights
from arena.catalog import Task, get_card
from arena.devices import AUTO, Device, Stopwatch, available_devices, confirm_device, free_memory, usable_device
from arena.errors import ArenaError
from arena.models.pool import ModelPool, load_adapter
from arena.photo import Photo
from arena.refine.matting import UNKNOWN, by_network, make_trimap
from arena.samples import get_sample
from arena.weights.cache import hub_folder
from arena.weights.transfer import free_bytes
from arena.wording import format_bytes, format_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from arena.catalog import ModelCard, PatchOrder

REFERENCE_SAMPLE = "astronaut"
"""The bundled portrait that has a reference trimap beside it."""

BAND = 12.0
"""Pixels on both sides of the reference's outline that a matting network has to solve."""

PLAUSIBLE_RIGHT = 0.8
"""Share of these that have to lie on the right side. Noise has 0.5."""

PLAUSIBLE_NEARER = 0.8
"""Share of pairs of a pixel of the person and one of the background of which the person's is nearer, above which a
depth map is plausible. Noise has 0.5."""

PLAUSIBLE_IOU = 0.85
"""Overlap with the reference above which a matte is plausible. A matte of the whole picture has 0.47,
one of a disc in its middle 0.49, and a model that sees people is well above 0.9."""

_SUBJECT, _UNDECIDED = 255, 128
"""Levels of the reference trimap; the background is 0."""

_PACKAGES = ("torch", "torchvision", "transformers", "ultralytics", "streamlit", "huggingface-hub", "numpy", "pillow")
_VARIABLES = (
    "HF_HOME",
    "HF_HUB_CACHE",
    "HF_HUB_OFFLINE",
    "ARENA_WEIGHTS_DIR",
    "ARENA_MAX_LOADED",
    "ARENA_MAX_MEGAPIXELS",
    "ARENA_CPU_DTYPE",
    "ARENA_COMPILE",
)


class Status(StrEnum):
    """How a check ended."""

    OK = "ok"
    NOTE = "note"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report."""

    name: str
    status: Status
    detail: str

    def __str__(self) -> str:
        return f"[{self.status:>6}] {self.name}: {self.detail}"


def check_installation() -> Iterator[Check]:
    """Check what all models share: versions, devices, memory, disk and settings. Uses no network.

    Yields:
        Checks as they are done.
    """
    yield Check("arena", Status.OK, f"{arena.__version__} on Python {platform.python_version()}, {platform.platform()}")
    yield Check("packages", Status.OK, ", ".join(f"{name} {_version(name)}" for name in _PACKAGES))
    for device in available_devices():
        yield _check_device(device)
    yield _check_opencv()
    free = free_bytes(hub_folder())
    yield Check("weights folder", Status.OK, f"{_short(hub_folder())}, {format_bytes(free)} free on its disk")
    settings = [f"{name}={_short(Path(os.environ[name]))}" for name in _VARIABLES if os.environ.get(name)]
    # A token is a secret, and an address may hold one: whether there is one is all that a report may say.
    settings += [f"{name} is set" for name in ("HF_TOKEN", "HF_ENDPOINT") if os.environ.get(name)]
    yield Check("settings", Status.OK, ", ".join(settings) or "none")


def check_model(key: str, device: str = AUTO) -> Iterator[Check]:
    """Check one model on the bundled portrait: its file, a forward pass, presence, and how plausible the matte is.

    Nothing is downloaded. For the BiRefNet family both patch orders are run, and the report says which of them agrees
    better with the reference.

    Args:
        key: A model key.
        device: A device key or ``"auto"``.

    Yields:
        Checks as they are done; they end with the first that failed.

    Raises:
        UnknownModelError: No such model.
        DeviceError: No such device.
    """
    card = get_card(key)
    resolved = usable_device(device)
    if not card.available:
        yield Check(key, Status.NOTE, "not available in this build")
        return
    if not weights.is_cached(card):
        yield Check(key, Status.NOTE, f"its weights are not on this machine; `arena fetch {key}` downloads them")
        return
    try:
        check = {Task.DEPTH: _check_depth, Task.TRIMAP: _check_matting}.get(card.task, _check_matte)
        yield from check(card, resolved)
    except ArenaError as error:
        yield Check(key, Status.FAILED, f"{error} {error.details}".rstrip())
    except Exception as error:  # noqa: BLE001 - a report is most useful when something unforeseen broke
        yield Check(key, Status.FAILED, f"{type(error).__name__}: {error}")


def reference_iou(alpha: NDArray[np.float32]) -> float:
    """How well a matte of the bundled portrait agrees with its reference trimap.

    Args:
        alpha: float32, H x W of the portrait, 0 to 1.

    Returns:
        Intersection over union, 0 to 1, of the pixels above one half; what the trimap leaves open (the edge, and the
        helmet, which is a matter of taste) does not count.
    """
    trimap = _reference_trimap()
    decided, subject = trimap != _UNDECIDED, trimap == _SUBJECT
    mask = (alpha > 0.5) & decided
    return float(np.count_nonzero(mask & subject) / np.count_nonzero(mask | subject))


@cache
def _reference_trimap() -> NDArray[np.uint8]:
    path = get_sample(REFERENCE_SAMPLE).path
    with Image.open(path.with_name(f"{path.stem}.trimap.png")) as image:
        return np.array(image)


def _reference_box() -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the bundled portrait's subject, in pixels."""
    rows, columns = np.nonzero(_reference_trimap() == _SUBJECT)
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def _check_file(card: ModelCard, path: Path | None) -> Iterator[Check]:
    if path is not None:
        compared = "checksum matches" if weights.has_checksum(card, path) else "no checksum is known for it"
        yield Check(card.key, Status.OK, f"{path.name}, {format_bytes(path.stat().st_size)}, {compared}")


def _plausible(card: ModelCard, words: str, share: float, least: float) -> Check:
    return Check(card.key, Status.OK if share >= least else Status.FAILED, f"{words}, plausible from {least:.0%}")


def _check_depth(card: ModelCard, device: str) -> Iterator[Check]:
    from arena.models.depth import load_depth  # noqa: PLC0415 - it imports PyTorch

    yield from _check_file(card, weights.fetch(card))
    photo = Photo.open(get_sample(REFERENCE_SAMPLE).path)
    with Stopwatch() as watch:
        depth = load_depth(card.key, device, pool=ModelPool()).estimate(photo)
    yield Check(card.key, Status.OK, f"loaded and run on {device} in {format_seconds(watch.seconds)}")
    height, width = depth.map.shape
    trimap = np.asarray(Image.fromarray(_reference_trimap()).resize((width, height), Image.Resampling.NEAREST))
    # Of two pixels, one of the subject and one of the background, how often the subject's is nearer.
    background = np.sort(depth.map[(trimap != _SUBJECT) & (trimap != _UNDECIDED)])
    nearer = float(np.searchsorted(background, depth.map[trimap == _SUBJECT]).mean() / background.size)
    words = f"the person is nearer than the background: {nearer:.0%} of the pairs of pixels"
    yield _plausible(card, words, nearer, PLAUSIBLE_NEARER)


def _check_matting(card: ModelCard, device: str) -> Iterator[Check]:
    from arena.models.vitmatte import load_matting  # noqa: PLC0415 - it imports PyTorch

    yield from _check_file(card, weights.fetch(card))
    photo = Photo.open(get_sample(REFERENCE_SAMPLE).path)
    subject = (_reference_trimap() == _SUBJECT).astype(np.float32)
    # Told no more than a rough outline, it has to find the reference's within the band that this leaves open.
    band = make_trimap(subject, BAND)
    with Stopwatch() as watch:
        alpha = by_network(load_matting(card.key, device, pool=ModelPool()).solve, photo.rgb, band)
    yield Check(card.key, Status.OK, f"loaded and run on {device} in {format_seconds(watch.seconds)}")
    open_ = (band == UNKNOWN) & (_reference_trimap() != _UNDECIDED)
    right = float(((alpha > 0.5) == (subject > 0.5))[open_].mean())
    words = f"agrees with the reference in {right:.0%} of the pixels along the outline"
    yield _plausible(card, words, right, PLAUSIBLE_RIGHT)


def _check_matte(card: ModelCard, device: str) -> Iterator[Check]:
    path = weights.fetch(card)
    yield from _check_file(card, path)
    photo = Photo.open(get_sample(REFERENCE_SAMPLE).path)
    # A pool of its own: what the doctor loads is let go of at once.
    loaded = ModelPool().get(card.key, device)
    # A model that has to be shown what to segment is shown the reference's subject.
    prompts = {"boxes": [_reference_box()]} if card.task is Task.PROMPTED else {}
    matte = loaded.segmenter.segment(photo, **prompts)
    del loaded
    yield Check(card.key, Status.OK, f"forward pass on {device} in {format_seconds(matte.seconds)}")
    largest = float(matte.alpha.max())
    status = Status.OK if matte.found else Status.FAILED
    yield Check(card.key, status, f"somebody found: largest alpha {largest:.3f}, threshold {card.presence_threshold}")
    iou = reference_iou(matte.alpha)
    status = Status.OK if iou >= PLAUSIBLE_IOU else Status.FAILED
    yield Check(card.key, status, f"agrees with the reference: IoU {iou:.3f}, plausible from {PLAUSIBLE_IOU}")
    if card.patch_order is not None:
        yield _check_patch_order(card, path, device, photo, iou)


def _check_patch_order(card: ModelCard, path: Path | None, device: str, photo: Photo, iou: float) -> Check:
    """The wrong order loads cleanly and only gives a worse matte, so both have to be tried."""
    other: PatchOrder = "current" if card.patch_order == "legacy" else "legacy"
    twin = load_adapter(dataclasses.replace(card, patch_order=other), path, device)
    other_iou = reference_iou(twin.segment(photo).alpha)
    better = card.patch_order if iou >= other_iou else other
    status = Status.OK if better == card.patch_order else Status.FAILED
    return Check(
        card.key,
        status,
        f"patch order {better} agrees better: IoU {iou:.4f} with {card.patch_order} as on the card, "
        f"{other_iou:.4f} with {other}",
    )


def _check_device(device: Device) -> Check:
    try:
        confirm_device(device.key)
        free = free_memory(device.key)
    except Exception as error:  # noqa: BLE001 - a report says what fails, whatever it is
        return Check(f"device {device.key}", Status.FAILED, str(error))
    return Check(f"device {device.key}", Status.OK, f"{device.name}, {format_bytes(free)} free")


def _check_opencv() -> Check:
    """Two builds of OpenCV write the same folder: whichever came last is what runs."""
    builds = [
        f"{name} {_version(name)}"
        for name in (
            "opencv-python-headless",
            "opencv-python",
            "opencv-contrib-python",
            "opencv-contrib-python-headless",
        )
        if _version(name) != "missing"
    ]
    if len(builds) == 1:
        return Check("OpenCV", Status.OK, builds[0])
    return Check("OpenCV", Status.FAILED, f"{', '.join(builds) or 'missing'}; keep opencv-python-headless alone")


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "missing"


def _short(path: Path) -> str:
    """A path without the user's name in it: reports are pasted into issues."""
    return f"~/{path.relative_to(Path.home())}" if path.is_relative_to(Path.home()) else str(path)
