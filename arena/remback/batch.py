"""Many portraits into a folder: each is written as soon as it is done, and what is there already is left alone."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from arena.catalog import get_card
from arena.comparison import as_arena_error, distinct_names
from arena.errors import ArenaError, OptionError
from arena.photo import Photo
from arena.remback.remover import MODEL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from arena.remback.remover import BackgroundRemover


@dataclass(frozen=True, slots=True)
class Job:
    """One photo and where its pictures go."""

    photo: Path
    """The file."""
    output: Path
    """Where the cut-out goes; its ending says the format."""
    mask: Path | None = None
    """Where the binary mask goes, if it is wanted."""

    @property
    def done(self) -> bool:
        """Whether everything is there and newer than the photo. Files are written whole or not at all."""
        try:
            since = self.photo.stat().st_mtime_ns
            return all(path.stat().st_mtime_ns >= since for path in (self.output, self.mask) if path is not None)
        except OSError:
            return False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a job: written, skipped because it was done before, or failed."""

    job: Job
    """Which one."""
    skipped: bool = False
    """Whether it was done before."""
    error: ArenaError | None = None
    """Why nothing was written."""
    faces_seen: int = 0
    """How many faces there are in the photo."""
    people: int = 0
    """How many people were cut out."""
    seconds: float = 0.0
    """What SAM took."""


def plan(photos: Sequence[Path], folder: Path, suffix: str = ".jpg", masks: Path | None = None) -> list[Job]:
    """Where the pictures of a batch go.

    Args:
        photos: The files.
        folder: For the cut-outs: ``<name of the photo><suffix>``. Photos that differ in their ending alone keep it
            (``me-jpg.png``, ``me-heic.png``): who joins a folder later takes nobody's name. Those of one name in
            several folders get numbers.
        suffix: ``".jpg"``, ``".png"`` or ``".webp"``.
        masks: Folder for binary masks (PNG), if they are wanted.

    Returns:
        A job for each photo, in their order.

    Raises:
        OptionError: A photo would be overwritten, or its cut-out by its mask.
    """
    endings: dict[str, set[str]] = defaultdict(set)
    for photo in photos:
        endings[photo.stem.lower()].add(photo.suffix.lower())
    alone = {stem for stem, of_stem in endings.items() if len(of_stem) == 1}
    names = distinct_names([p.stem if p.stem.lower() in alone else f"{p.stem}-{p.suffix[1:].lower()}" for p in photos])
    jobs = [
        Job(photo, folder / f"{name}{suffix}", None if masks is None else masks / f"{name}.png")
        for photo, name in zip(photos, names, strict=True)
    ]
    check_targets(jobs)
    return jobs


def check_targets(jobs: Iterable[Job]) -> None:
    """Refuse to write over what is read, or twice to one file.

    Args:
        jobs: The jobs.

    Raises:
        OptionError: Such a job is among them.
    """
    jobs = list(jobs)
    photos = {job.photo.resolve() for job in jobs}
    for job in jobs:
        targets = [path.resolve() for path in (job.output, job.mask) if path is not None]
        if len(set(targets)) < len(targets):
            raise OptionError(f"Picture and mask would both be written to {job.output}.", "Give them different names.")
        for target in targets:
            if target in photos:
                raise OptionError(f"The photo {target} would be overwritten.", "Choose another name or folder.")


def remove_all(
    jobs: Iterable[Job], remover: Callable[[], BackgroundRemover], *, overwrite: bool = False
) -> Iterator[Outcome]:
    """Do jobs one by one.

    Args:
        jobs: From :func:`plan`.
        remover: Gives the remover; called for the first job that is not done yet, so that nothing is loaded for none.
        overwrite: Do again what is done.

    Yields:
        What became of each, as soon as its files are written. A failure is an outcome and ends nothing.

    Raises:
        ArenaError: ``remover`` could not load.
    """
    loaded: BackgroundRemover | None = None
    for job in jobs:
        if job.done and not overwrite:
            yield Outcome(job, skipped=True)
            continue
        try:
            # Before the model: for what is no photo nothing is loaded.
            photo = Photo.open(job.photo)
        except ArenaError as error:
            yield Outcome(job, error=error)
            continue
        if loaded is None:
            loaded = remover()
        try:
            outcome = _do(job, photo, loaded)
        except Exception as error:  # noqa: BLE001 - one photo's failure must not end the batch
            outcome = Outcome(job, error=as_arena_error(error, get_card(MODEL)))
        yield outcome


def _do(job: Job, photo: Photo, remover: BackgroundRemover) -> Outcome:
    cut = remover.cut_out(photo)
    if job.mask is not None:
        cut.save_mask(job.mask)
    cut.save(job.output)
    return Outcome(job, faces_seen=cut.faces_seen, people=len(cut.faces), seconds=cut.seconds)
