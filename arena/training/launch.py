"""Several processes on one task, as ``torchrun`` starts them."""

from __future__ import annotations

import os
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist

from arena.devices import resolve_device, usable_device
from arena.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = timedelta(hours=6)
"""How long processes wait for the first one, which alone looks through the pictures. A process that ends takes the
others with it at once, so nobody waits in vain."""


def _launched() -> bool:
    # Not RANK alone: clusters set that for jobs that torchrun has not started.
    return {"RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE"} <= os.environ.keys()


def training_device(device: str) -> str:
    """Choose the device of a run; see :func:`arena.devices.usable_device`.

    Args:
        device: ``"auto"``, or one by its name.

    Returns:
        A resolved device. Of several processes none tries it out: each will have another GPU than the one resolved.

    Raises:
        DeviceError: There is no such device, or PyTorch cannot use it.
        OutOfMemoryError: Its memory is full.
    """
    return resolve_device(device) if _launched() else usable_device(device)


@contextmanager
def distributed(device: str) -> Iterator[bool]:
    """Join the other processes, if ``torchrun`` started this one.

    Each process then works with its share of the cores, or with the GPU of its rank.

    Args:
        device: A resolved device: where the work is done.

    Yields:
        Whether this process is the one that reports and writes files.
    """
    if not _launched():
        yield True
        return
    if device.startswith("cuda"):
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        dist.init_process_group("nccl", timeout=PATIENCE)
    else:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // int(os.environ["LOCAL_WORLD_SIZE"])))
        dist.init_process_group("gloo", timeout=PATIENCE)
    try:
        yield is_first()
    finally:
        dist.destroy_process_group()


def own_device(device: str) -> str:
    """The device of this process: each of those that ``torchrun`` started on a machine has a GPU of its own.

    Args:
        device: A resolved device, such as ``"cuda:0"``.

    Returns:
        The same, or the GPU of this process's rank.
    """
    return f"cuda:{torch.cuda.current_device()}" if dist.is_initialized() and device.startswith("cuda") else device


def is_first() -> bool:
    """Whether this process is the one that reports and writes files."""
    return not dist.is_initialized() or dist.get_rank() == 0


def wait_for_all() -> None:
    """Go on when every process is here."""
    if dist.is_initialized():
        dist.barrier()


def part_of_work() -> tuple[int, int]:
    """Which part of the work is this process's, and how many there are."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def check_batch(size: int) -> None:
    """See that every process gets the same part of a batch: gradients are averaged as if it did.

    Args:
        size: Of the batch.

    Raises:
        OptionError: It cannot be shared equally.
    """
    _, parts = part_of_work()
    if size % parts:
        raise OptionError(f"A batch of {size} cannot be shared equally by {parts} processes.")
