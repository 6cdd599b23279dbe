"""A cache of what SAM's frozen blocks make of pictures: most of a step's work, done once for all epochs.

It can hold only what is the same in every epoch, so each picture has a fixed number of views: itself, its mirror
image, and more that are made up once. Prompts are jittered anew in each step all the same: they enter behind the
encoder.
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from arena.errors import ArenaError
from arena.training.launch import part_of_work, wait_for_all
from arena.training.sam_net import first_blocks
from arena.training.sam_views import SamBatch, prepare
from arena.wording import format_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from arena.nets.sam import Sam

_DONE = "done.json"


class CachedBatch(NamedTuple):
    """Pictures as they come from a cache."""

    features: Tensor
    """float16, N x g x g x C: what the frozen blocks made of them."""
    truths: Tensor
    """uint8, N x 1 x s x s: alpha at the size of SAM's masks."""
    sizes: Tensor
    boxes: Tensor
    points: Tensor
    labels: Tensor
    """As in :class:`arena.training.sam_views.SamBatch`."""


class FeatureCache:
    """Rows of :class:`CachedBatch` in files of one folder, which all processes of a machine share."""

    def __init__(self, folder: Path, count: int, identity: str) -> None:
        """Name the folder; nothing is read or written yet.

        Args:
            folder: Where the files are.
            count: How many rows there are.
            identity: What decides their contents. Files of another identity are not used.
        """
        self.folder, self.count, self.identity = folder, count, identity
        self._columns: tuple[np.memmap, ...] = ()

    @property
    def filled(self) -> bool:
        """Whether the files of this identity are there."""
        path = self.folder / _DONE
        return path.is_file() and json.loads(path.read_text("utf-8")) == [self.identity, self.count]

    def fill(
        self,
        net: Sam,
        trained_blocks: int,
        rows: Sequence[Callable[[], SamBatch]],
        report: Callable[[int], None] | None = None,
    ) -> None:
        """Make the files, unless they are there.

        Args:
            net: The network, on its device.
            trained_blocks: How many of its last blocks are not part of the cache.
            rows: For each row what reads its picture.
            report: Told about how many rows are done by all processes.

        Raises:
            ArenaError: A picture cannot be read, or the features are beyond half precision.
        """
        if not self.filled:
            part, parts = part_of_work()
            first = self._compute(net, trained_blocks, rows[0]())
            if part == 0:
                self.folder.mkdir(parents=True, exist_ok=True)
                (self.folder / _DONE).unlink(missing_ok=True)
                self._check_room(first)
                for name, value in zip(CachedBatch._fields, first, strict=True):
                    shape = (self.count, *value.shape[1:])
                    np.lib.format.open_memmap(self._path(name), "w+", value.numpy().dtype, shape).flush()
            wait_for_all()
            self._open("r+")
            for done, row in enumerate(range(part, self.count, parts), 1):
                for column, value in zip(self._columns, self._compute(net, trained_blocks, rows[row]()), strict=True):
                    column[row] = value[0].numpy()
                if report:
                    report(min(done * parts, self.count))
            for column in self._columns:
                column.flush()
            wait_for_all()
            if part == 0:
                (self.folder / _DONE).write_text(json.dumps([self.identity, self.count]), "utf-8")
        self._open("r")

    def _check_room(self, row: CachedBatch) -> None:
        """Refuse what the disk cannot hold: files of which only the written parts take room end with a signal."""
        needed = self.count * sum(value.numel() * value.element_size() for value in row)
        there = sum(self._path(name).stat().st_size for name in CachedBatch._fields if self._path(name).is_file())
        free = shutil.disk_usage(self.folder).free + there
        if needed > free:
            raise ArenaError(
                f"The features take {format_bytes(needed)}, and {self.folder} has room for {format_bytes(free)}.",
                "Cache fewer views, or none, or name a folder on another disk.",
            )

    def __getitem__(self, row: int) -> CachedBatch:
        """A row, without the batch's dimension."""
        return CachedBatch(*(torch.from_numpy(np.array(column[row])) for column in self._columns))

    def _open(self, mode: str) -> None:
        self._columns = tuple(np.lib.format.open_memmap(self._path(name), mode) for name in CachedBatch._fields)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.npy"

    @torch.inference_mode()
    def _compute(self, net: Sam, trained_blocks: int, row: SamBatch) -> CachedBatch:
        """One picture at a time: in another batch the last bits would be others."""
        batch = SamBatch(*(part[None].to(net.device) for part in row))
        pixels, truth = prepare(batch)
        features = first_blocks(net, pixels, trained_blocks).half()
        if not torch.isfinite(features).all():
            raise ArenaError("The frozen blocks give values that half precision cannot hold.", "Cache no features.")
        levels = (truth * 255).round().to(torch.uint8)
        return CachedBatch(*(part.cpu() for part in (features, levels, batch.sizes, *batch[-3:])))
