"""From a local file to tensors, without ever running what a file says."""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arena.errors import CheckpointError, WeightsNotFoundError

if TYPE_CHECKING:
    import torch

PICKLE_SUFFIXES = frozenset({".pth", ".pt", ".bin", ".ckpt"})
"""What PyTorch's own format is called."""

_UNSUPPORTED_GLOBAL = re.compile(r"GLOBAL ([\w.]+)")


def load_tensors(path: Path | str) -> dict[str, torch.Tensor]:
    """Read a checkpoint's tensors, on the CPU and in the stored dtype, mapped from the file where that is possible.

    Args:
        path: A ``.safetensors`` file, or PyTorch's own format (``.pth``, ``.pt``, ``.bin``, ``.ckpt``), of which only
            tensors and plain containers are accepted.

    Returns:
        Name to tensor. A training script's wrapper around the tensors is taken off, and what it put before the names.

    Raises:
        CheckpointError: Damaged, of another kind, or a pickle that wants to run code.
        WeightsNotFoundError: There is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsNotFoundError(
            f"There is no file {path}.", "Check its name; published weights come by `arena fetch`."
        )
    suffix = path.suffix.lower()
    if suffix == ".safetensors":
        return _tensors_of(_load_safetensors(path), path)
    if suffix in PICKLE_SUFFIXES:
        return _tensors_of(_load_pickle(path), path)
    raise CheckpointError(
        f"{path.name} is of no kind of checkpoint that is known here.",
        f"Known are .safetensors, {', '.join(sorted(PICKLE_SUFFIXES))}.",
    )


def _load_safetensors(path: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError  # noqa: PLC0415 - torch is heavy, and a page asks only for sizes
    from safetensors.torch import load_file  # noqa: PLC0415

    try:
        return dict(load_file(path, device="cpu"))
    except (SafetensorError, OSError) as error:
        raise _damaged(path, error) from error


def _load_pickle(path: Path) -> Any:
    import torch  # noqa: PLC0415

    try:
        # Only the newer format, a zip file, can be mapped.
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        names = sorted(set(_UNSUPPORTED_GLOBAL.findall(str(error))))
        if not names:
            raise _damaged(path, error) from error
        raise CheckpointError(
            f"{path.name} contains program code beside its numbers, and was refused for safety.",
            "Take the model's safetensors file, or one that holds nothing but tensors.",
            f"its pickle names {', '.join(names)}",
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError, OSError, AttributeError, IndexError, TypeError) as error:
        # What PyTorch raises for a damaged file depends on where the damage is.
        raise _damaged(path, error) from error


def _tensors_of(content: Any, path: Path) -> dict[str, torch.Tensor]:
    from arena.nets.state import unwrap  # noqa: PLC0415 - torch is heavy, and a page asks only for sizes

    if not isinstance(content, Mapping) or not content:
        raise CheckpointError(f"{path.name} holds no named tensors.", CheckpointError.ADVICE)
    try:
        return unwrap(content)
    except CheckpointError as error:
        raise CheckpointError(f"{path.name}: {error.problem}", error.remedy) from error


def _damaged(path: Path, error: Exception) -> CheckpointError:
    cause = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return CheckpointError(
        f"{path.name} is damaged or not what its name says: {cause.rstrip('.')}.",
        "If it is a file of your own, copy it anew; else delete it and run `arena fetch`.",
    )
