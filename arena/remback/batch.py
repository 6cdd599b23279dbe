"""Many portraits into a folder: each is written as soon as it is done, and what is there already is left alone."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from arena.catalog import get_card
from arena.comparison import as_arena_error, distinct_names
from arena.errors import ArenaError, OptionError, PhotoError
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
    noted: bool = False
    """Whether the folder of the cut-out remembers of which photo it is; see :class:`Origins`."""

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


class Origins:
    """Which photo each cut-out of a folder was made of, in the hidden file ``.remback`` of that folder.

    Cameras give the same names to other photos: by its name alone a photo would be taken for done. Of a photo's path
    only a hash is kept, so that a folder that is passed on tells nothing of where the photos lie.
    """

    def __init__(self, folder: Path) -> None:
        """Read what the folder knows.

        Args:
            folder: Of cut-outs; it need not exist.
        """
        self._file = folder / ".remback"
        self._photos: dict[str, str] = {}
        try:
            lines = self._file.read_text("utf-8", errors="surrogateescape").splitlines()
        except OSError:
            lines = []
        for line in lines:
            digest, _, name = line.partition(" ")
            self._photos[name] = digest

    def of(self, photo: Path) -> list[str]:
        """File names of the cut-outs that were made of a photo."""
        return [name for name, digest in self._photos.items() if digest == _digest(photo)]

    def is_taken(self, name: str, photo: Path) -> bool:
        """Whether a file name belongs to another photo's cut-out."""
        owners = {digest for known, digest in self._photos.items() if known.lower() == name.lower()}
        return bool(owners - {_digest(photo)})

    def made(self, photo: Path) -> bool:
        """Whether a photo is one of the folder's own cut-outs."""
        return photo.name in self._photos and photo.resolve().parent == self._file.parent.resolve()

    def add(self, name: str, photo: Path) -> None:
        """Note that a cut-out was made.

        Raises:
            PhotoError: It cannot be written down.
        """
        if self._photos.get(name) == _digest(photo):
            return
        try:
            with self._file.open("a", encoding="utf-8", errors="surrogateescape") as file:
                file.write(f"{_digest(photo)} {name}\n")
        except OSError as error:
            raise PhotoError(
                f"{self._file} cannot be written: {error.strerror or error}.", "Free some space, then run it again."
            ) from error


def _digest(photo: Path) -> str:
    return hashlib.blake2b(os.fsencode(photo.resolve()), digest_size=16).hexdigest()


def plan(photos: Sequence[Path], folder: Path, suffix: str = ".jpg", masks: Path | None = None) -> list[Job]:
    """Where the pictures of a batch go.

    Args:
        photos: The files.
        folder: For the cut-outs: ``<name of the photo><suffix>``. Photos that differ in their ending alone keep it
            (``me-jpg.png``, ``me-heic.png``): who joins a folder later takes nobody's name. Those of one name in
            several folders get numbers, and so do those whose name a cut-out of another photo has there. What was cut
            out before keeps its name. Cut-outs of the folder itself are no photos.
        suffix: ``".jpg"``, ``".png"`` or ``".webp"``.
        masks: Folder for binary masks (PNG), if they are wanted.

    Returns:
        A job for each photo, in their order; none for cut-outs among them.

    Raises:
        OptionError: A photo would be overwritten, or its cut-out by its mask.
    """
    origins = Origins(folder)
    photos = [photo for photo in photos if not origins.made(photo)]
    endings: dict[str, set[str]] = defaultdict(set)
    for photo in photos:
        endings[photo.stem.lower()].add(photo.suffix.lower())
    alone = {stem for stem, of_stem in endings.items() if len(of_stem) == 1}
    names = distinct_names([p.stem if p.stem.lower() in alone else f"{p.stem}-{p.suffix[1:].lower()}" for p in photos])
    before = [next((n for n in origins.of(photo) if n.endswith(suffix)), "").removesuffix(suffix) for photo in photos]
    used = {name.lower() for name in before if name}
    final: list[str] = []
    for photo, kept, name in zip(photos, before, names, strict=True):
        chosen, number = kept or name, 1
        while not kept and (chosen.lower() in used or origins.is_taken(f"{chosen}{suffix}", photo)):
            number += 1
            chosen = f"{name}-{number}"
        used.add(chosen.lower())
        final.append(chosen)
    jobs = [
        Job(photo, folder / f"{name}{suffix}", None if masks is None else masks / f"{name}.png", noted=True)
        for photo, name in zip(photos, final, strict=True)
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
    if job.noted:
        Origins(job.output.parent).add(job.output.name, job.photo)
    return Outcome(job, faces_seen=cut.faces_seen, people=len(cut.faces), seconds=cut.seconds)
