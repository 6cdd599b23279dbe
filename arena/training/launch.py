"""Several processes on one task, as ``torchrun`` starts them."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def distributed() -> Iterator[bool]:
    """Join the other processes, if ``torchrun`` started this one.

    Each process then works with its share of the cores, or with the GPU of its rank.

    Yields:
        Whether this process is the one that reports and writes files.
    """
    if "RANK" not in os.environ:
        yield True
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        dist.init_process_group("nccl")
    else:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // int(os.environ["LOCAL_WORLD_SIZE"])))
        dist.init_process_group("gloo")
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
