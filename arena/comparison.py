"""The engine under page, shell and API: photos times models, results as they finish."""

from __future__ import annotations

import logging
import os
import re
import traceback
from collections import Counter
from collections.abc import Sized
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeGuard

from arena.catalog import Task, get_card
from arena.devices import AUTO, resolve_device
from arena.errors import ArenaError, DownloadCancelled, OptionError, UnexpectedError
from arena.paths import expanded
from arena.photo import SUFFIXES, Photo
from arena.prompts import checked_boxes, checked_points, nothing_shown

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from arena.catalog import ModelCard
    from arena.matte import Matte
    from arena.models.base import Model
    from arena.models.pool import Loaded, ModelPool
    from arena.weights import Progress

PhotoSource = Photo | str | os.PathLike[str] | bytes | IO[bytes]

KEPT_PHOTOS = 8
"""Decoded photos that are kept for the next model; more are decoded again, a twelve-megapixel one takes 36 MB."""

_log = logging.getLogger(__name__)


class Stage(StrEnum):
    """Where a model is on its way through the photos."""

    WAITING = "waiting"
    DOWNLOADING = "downloading"
    LOADING = "loading"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Event:
    """Something changed for a model."""

    model: str
    """Its key."""
    stage: Stage
    """What it does now."""
    photo: int = 0
    """Which photo it runs on, from 1; 0 before the first."""
    photos: int = 0
    """Of how many."""
    download: Progress | None = None
    """How far the download is."""
    seconds: float = 0.0
    """Inference so far, all photos together."""
    error: ArenaError | None = None
    """Why it failed."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one model made of one photo: a matte or an error, never both; of one that gives depth, the photo with it."""

    photo_name: str
    """Distinct among the photos of a comparison; usable as a folder's name."""
    model: str
    """The model's key."""
    photo: Photo | None = field(default=None, repr=False)
    """The decoded photo; None if it could not be opened."""
    matte: Matte | None = field(default=None, repr=False)
    """The matte; None after an error, and of a model that gives depth."""
    error: ArenaError | None = None
    """Why there is no matte, or no depth."""
    device: str = ""
    """Where it ran."""
    download_seconds: float = 0.0
    """Of the weights; counted once, with the model's first photo."""
    load_seconds: float = 0.0
    """Of the model; counted once, with its first photo."""

    @property
    def found(self) -> bool:
        """Whether somebody is in the picture."""
        return self.matte is not None and self.matte.found

    @property
    def seconds(self) -> float:
        """Inference alone; 0 of a model that gives depth, whose events have it."""
        return 0.0 if self.matte is None else self.matte.seconds

    def failed(self, error: Exception) -> Result:
        """What is left of this result when no picture could be made of it.

        Args:
            error: What stopped it.

        Returns:
            The same photo, model and times, without a matte.
        """
        return replace(self, matte=None, error=as_arena_error(error, get_card(self.model)))

    def summary(self) -> dict[str, Any]:
        """The numbers of this result as plain JSON values."""
        return {
            "found": self.found,
            "seconds": round(self.seconds, 4),
            "load_seconds": round(self.load_seconds, 4),
            "download_seconds": round(self.download_seconds, 4),
            "device": self.device,
            "size": None if self.photo is None else list(self.photo.size),
            "error": None if self.error is None else str(self.error),
            "notes": [] if self.matte is None else list(self.matte.notes),
            "scores": [] if self.matte is None else [round(score, 4) for score in self.matte.scores],
        }


def compare(
    photos: PhotoSource | Iterable[PhotoSource],
    models: str | Iterable[str],
    *,
    device: str = AUTO,
    prompts: Mapping[str, Mapping[str, Any]] | None = None,
    on_event: Callable[[Event], None] | None = None,
    stop: threading.Event | None = None,
    pool: ModelPool | None = None,
) -> Iterator[Result]:
    """Run models on photos, one model after another, and yield each result as it is there.

    A photo that cannot be opened or a model that cannot run gives results with an error; the others go on.

    Args:
        photos: One photo or several: ``Photo``, path, bytes or binary file.
        models: One model key or several; each runs once, however often it is named.
        device: ``"auto"``, ``"cpu"``, ``"mps"``, ``"cuda"`` or ``"cuda:N"``.
        prompts: What to tell models beside the photo, by key: ``{"sam3": {"prompt": "person"}}``.
        on_event: Told of every change of stage.
        stop: When set, the comparison ends after the current photo of the current model; a download ends at once.
        pool: Where models are loaded; by default the one that everything shares.

    Yields:
        Results, models in the order given and within a model photos in the order given.

    Raises:
        UnknownModelError: A key is not in the catalog.
        DeviceError: There is no such device.
        OptionError: There is no photo, no model, or a prompt for a model that does not run.
    """
    entries = _Photos(_as_list(photos))
    keys = list(dict.fromkeys([models] if isinstance(models, str) else models))
    prompts = prompts or {}
    for key in keys:
        get_card(key)
    if not keys or not len(entries):
        raise OptionError("There is nothing to compare.", "Name at least one photo and one model.")
    if extra := sorted(set(prompts) - set(keys)):
        raise OptionError(f"There is a prompt for {', '.join(extra)}, which does not run.")
    run = _Run(entries, device, on_event or _ignore, stop, pool)
    # The checks above happen at the call, not at the first result.
    return run.all(keys, prompts)


def estimate_depths(
    photos: PhotoSource | Iterable[PhotoSource],
    model: str,
    *,
    device: str = AUTO,
    on_event: Callable[[Event], None] | None = None,
    stop: threading.Event | None = None,
    pool: ModelPool | None = None,
) -> Iterator[Result]:
    """Find out how far everything in photos is, and yield each as it is there.

    Args:
        photos: One photo or several: ``Photo``, path, bytes or binary file.
        model: Key of a model that gives depth.
        device: ``"auto"``, ``"cpu"``, ``"mps"``, ``"cuda"`` or ``"cuda:N"``.
        on_event: Told of every change of stage.
        stop: When set, it ends after the current photo; a download ends at once.
        pool: Where the model is loaded; by default the one that everything shares.

    Yields:
        Results in the order of the photos: each photo with its depth, without a matte; or the error.

    Raises:
        UnknownModelError: The key is not in the catalog.
        DeviceError: There is no such device.
        OptionError: There is no photo, or the model gives no depth.
    """
    from arena.models.pool import check_gives_depth  # noqa: PLC0415 - keeps `import arena` light

    entries = _Photos(_as_list(photos))
    check_gives_depth(get_card(model))
    if not len(entries):
        raise OptionError("There is no photo whose depth could be found out.", "Name at least one.")
    run = _Run(entries, device, on_event or _ignore, stop, pool, depth=True)
    return run.all([model], {})


def distinct_names(names: Sequence[str]) -> list[str]:
    """Turn photo names into folder names that are all different.

    Args:
        names: File stems, possibly the same ones twice, possibly with characters that folders cannot have.

    Returns:
        As many names: the second ``portrait`` becomes ``portrait-2``. Case is not enough of a difference.
    """
    clean = [re.sub(r'[\\/:*?"<>|\x00-\x1f]+', "-", name).strip(" .") or "photo" for name in names]
    taken = Counter(name.lower() for name in clean)
    used: set[str] = set()
    result = []
    for name in clean:
        candidate, number = name, 1
        while candidate.lower() in used or (number > 1 and candidate.lower() in taken):
            number += 1
            candidate = f"{name}-{number}"
        used.add(candidate.lower())
        result.append(candidate)
    return result


def find_photos(paths: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """Expand folders and patterns into picture files.

    Args:
        paths: Files, folders (their pictures, not those of folders within) and patterns such as ``"trip/*.jpg"``.

    Returns:
        Files in the order given, those of a folder or pattern by name; each once.

    Raises:
        OptionError: A folder or pattern has no picture in it, or cannot be read.
    """
    found: dict[Path, None] = {}
    for path in map(expanded, paths):
        try:
            matches = _matches(path)
        except OSError as error:
            raise OptionError(f"{path} cannot be read: {error.strerror or error}.") from error
        except ValueError as error:
            # Python 3.12 knows no ** beside other characters.
            raise OptionError(f"{path} is no pattern: {error}.", "Use * and ? within one name.") from error
        if not matches:
            raise OptionError(f"There is no picture in {path}.", f"Looked for {', '.join(SUFFIXES)}.")
        found.update(dict.fromkeys(matches))
    return list(found)


def _matches(path: Path) -> list[Path]:
    if path.is_dir():
        return _pictures(path.iterdir())
    if not path.exists() and any(mark in str(path) for mark in "*?["):
        anchor = Path(path.anchor) if path.is_absolute() else Path()
        pattern = str(path.relative_to(path.anchor)) if path.is_absolute() else str(path)
        return _pictures(anchor.glob(pattern))
    # A missing file is reported by the comparison, beside the results of the others.
    return [path]


def _pictures(paths: Iterable[Path]) -> list[Path]:
    """Those that look like photos; macOS leaves a hidden ``._`` file beside each on foreign disks."""
    return sorted(p for p in paths if p.suffix.lower() in SUFFIXES and not p.name.startswith(".") and p.is_file())


class _Photos:
    """The photos of a comparison, opened when they are needed, a few of them kept."""

    def __init__(self, sources: Sequence[PhotoSource]) -> None:
        # A stream can be read once only.
        self._files = [_filename(source) for source in sources]
        self._sources = [source.read() if _is_stream(source) else source for source in sources]
        self.names = distinct_names([_name(source) for source in sources])
        self._kept: dict[int, Photo] = {}

    def __len__(self) -> int:
        return len(self._sources)

    def missing(self) -> list[ArenaError]:
        """Why there is no photo, one by one, if none of them exists; nothing if there may be one."""
        if any(not isinstance(s, (str, os.PathLike)) or Path(s).exists() for s in self._sources):
            return []
        failures: list[ArenaError] = []
        for index in range(len(self)):
            try:
                self.open(index)
            except ArenaError as error:
                failures.append(error)
        return failures if len(failures) == len(self) else []

    def open(self, index: int) -> Photo:
        source = self._sources[index]
        if isinstance(source, Photo):
            return source
        if index not in self._kept:
            photo = Photo.open(source, name=self._files[index])
            if len(self._kept) >= KEPT_PHOTOS:
                return photo
            self._kept[index] = photo
        return self._kept[index]


def _as_list(photos: PhotoSource | Iterable[PhotoSource]) -> list[PhotoSource]:
    # A binary file is iterable too, by lines.
    if isinstance(photos, (Photo, str, os.PathLike, bytes)) or _is_stream(photos):
        return [photos]
    return list(photos)


def _is_stream(source: object) -> TypeGuard[IO[bytes]]:
    return hasattr(source, "read") and not isinstance(source, os.PathLike)


def _ignore(event: Event) -> None:
    """Stand in for a listener where nobody listens."""
    del event


def _filename(source: PhotoSource) -> str | None:
    """What a source is called; None if its path says it, or if it has no name."""
    name = getattr(source, "name", None) if _is_stream(source) else None
    return name if isinstance(name, str) else None


def _name(source: PhotoSource) -> str:
    if isinstance(source, Photo):
        return source.name
    if isinstance(source, bytes):
        return "photo"
    name = source if isinstance(source, (str, os.PathLike)) else _filename(source)
    return Path(name).stem if name else "photo"


class _Run:
    """One comparison under way."""

    def __init__(
        self,
        photos: _Photos,
        device: str,
        tell: Callable[[Event], None],
        stop: threading.Event | None,
        pool: ModelPool | None,
        *,
        depth: bool = False,
    ) -> None:
        self._photos = photos
        self._depth = depth
        self._asked = device
        self._device = resolve_device(device)
        self._tell = tell
        self._stop = stop
        self._pool = pool

    def all(self, keys: Sequence[str], prompts: Mapping[str, Mapping[str, Any]]) -> Iterator[Result]:
        for key in keys:
            self._tell(Event(key, Stage.WAITING, photos=len(self._photos)))
        for key in keys:
            if self._stopped():
                self._tell(Event(key, Stage.STOPPED, photos=len(self._photos)))
            else:
                yield from self._model(key, prompts.get(key, {}))

    def _stopped(self) -> bool:
        return self._stop is not None and self._stop.is_set()

    def _model(self, key: str, prompts: Mapping[str, Any]) -> Iterator[Result]:
        total = len(self._photos)
        try:
            if not self._depth:
                _check_told(get_card(key), prompts)
            if failures := self._photos.missing():
                # Nothing is downloaded for names that were mistyped.
                self._tell(Event(key, Stage.FAILED, photos=total, error=failures[-1]))
                for name, missing in zip(self._photos.names, failures, strict=True):
                    yield Result(name, key, error=missing, device=self._device)
                return
            loaded = self._load(key)
        except DownloadCancelled:
            self._tell(Event(key, Stage.STOPPED, photos=total))
            return
        except Exception as error:  # noqa: BLE001 - one model's failure must not end the comparison
            cause = as_arena_error(error, get_card(key))
            self._tell(Event(key, Stage.FAILED, photos=total, error=cause))
            for index, name in enumerate(self._photos.names):
                yield Result(name, key, photo=self._try_open(index), error=cause, device=self._device)
            return
        seconds = 0.0
        failure_seen: ArenaError | None = None
        for index, name in enumerate(self._photos.names):
            if index and self._stopped():
                self._tell(Event(key, Stage.STOPPED, index, total, seconds=seconds))
                return
            self._tell(Event(key, Stage.RUNNING, index + 1, total, seconds=seconds))
            photo: Photo | None = None
            matte: Matte | None = None
            failure: ArenaError | None = None
            try:
                photo = self._photos.open(index)
                if self._depth:
                    photo, taken = _with_depth(loaded.model, photo)
                else:
                    matte = loaded.segmenter.segment(photo, **prompts)
                    taken = matte.seconds
                seconds += taken
            except Exception as error:  # noqa: BLE001 - one photo's failure must not end the comparison
                failure = failure_seen = as_arena_error(error, get_card(key))
            first = index == 0
            yield Result(
                photo_name=name,
                model=key,
                photo=photo,
                matte=matte,
                error=failure,
                device=loaded.model.device,
                download_seconds=loaded.download_seconds if first else 0.0,
                load_seconds=loaded.load_seconds if first else 0.0,
            )
        stage = Stage.DONE if failure_seen is None else Stage.FAILED
        self._tell(Event(key, stage, total, total, seconds=seconds, error=failure_seen))

    def _load(self, key: str) -> Loaded:
        from arena.models.pool import default_pool  # noqa: PLC0415 - keeps `import arena` light

        return (self._pool or default_pool()).get(
            key,
            self._asked,
            progress=lambda done: self._tell(Event(key, Stage.DOWNLOADING, photos=len(self._photos), download=done)),
            cancel=self._stop,
            on_load=lambda: self._tell(Event(key, Stage.LOADING, photos=len(self._photos))),
        )

    def _try_open(self, index: int) -> Photo | None:
        try:
            return self._photos.open(index)
        except ArenaError:
            return None


def _with_depth(model: Model, photo: Photo) -> tuple[Photo, float]:
    from arena.models.depth import DepthEstimator  # noqa: PLC0415 - keeps `import arena` light

    assert isinstance(model, DepthEstimator)  # noqa: S101 - its card was checked
    depth = model.estimate(photo)
    return photo.with_depth(depth.map), depth.seconds


def _check_told(card: ModelCard, prompts: Mapping[str, Any]) -> None:
    """Stop a model that cannot work with what it is told, before it is downloaded for nothing."""
    # Keeps `import arena` light.
    from arena.models.base import Segmenter  # noqa: PLC0415
    from arena.models.pool import adapter_of, check_available, check_segments  # noqa: PLC0415

    check_available(card)
    check_segments(card)
    if card.task is Task.PROMPTED and not any(_some(prompts.get(name)) for name in ("boxes", "points")):
        raise nothing_shown(card.label)
    if prompts and issubclass(adapter := adapter_of(card), Segmenter):
        adapter.check_told(card, prompts)
    # Whether they lie in the photo is seen when it is opened.
    boxes = checked_boxes(prompts.get("boxes"), _ENDLESS, _ENDLESS)
    _, labels = checked_points(prompts.get("points"), prompts.get("labels"), _ENDLESS, _ENDLESS)
    if len(labels) and not len(boxes) and not labels.any():
        raise nothing_shown(card.label)


_ENDLESS = 1 << 30
"""A side that no photo reaches, in pixels."""


def _some(prompts: object) -> bool:
    """Whether there is a box or a point among them; whether it is a good one is for the model to say."""
    return prompts is not None and (not isinstance(prompts, Sized) or len(prompts) > 0)


def as_arena_error(error: Exception, card: ModelCard) -> ArenaError:
    """What to tell of an exception that stopped a model.

    Args:
        error: Any exception.
        card: The model's card.

    Returns:
        ``error`` itself if it was foreseen; else one that asks for a report, with the exception as its cause.
    """
    if isinstance(error, ArenaError):
        return error
    _log.error("%s failed", card.key, exc_info=error)
    # The result is kept, and the frames of the failed pass would keep their tensors with it.
    traceback.clear_frames(error.__traceback__)
    unexpected = UnexpectedError(
        f"{card.label} stopped with {type(error).__name__}: {error}.",
        f"This is a fault of the program: please report it with the output of `arena doctor {card.key}`.",
    )
    unexpected.__cause__ = error
    return unexpected
