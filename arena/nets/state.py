"""Loading of published checkpoints: strict, and with errors that say what does not fit."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from arena.errors import CheckpointError
from arena.nets.swin import relative_position_index

_WRAPPER_PREFIX = re.compile(r"^(?:module\.|_orig_mod\.)+")
"""What data-parallel training and ``torch.compile`` put before each name."""

_CONTAINERS = ("model_state_dict", "state_dict", "model")
"""Entries under which training scripts store the tensors beside other things."""

_INDEX = "relative_position_index"
_NAMED = 3
"""How many keys of each kind an error names."""


def unwrap(checkpoint: Mapping[str, object]) -> dict[str, Tensor]:
    """The tensors of a checkpoint under the names of the network.

    Args:
        checkpoint: What the file holds: tensors by name, or one level of container around them.

    Returns:
        Tensors by name, without the prefixes that training puts before them.

    Raises:
        CheckpointError: There is something else than tensors in it.
    """
    for name in _CONTAINERS:
        inner = checkpoint.get(name)
        if isinstance(inner, Mapping):
            checkpoint = cast("Mapping[str, object]", inner)
            break
    state: dict[str, Tensor] = {}
    for name, value in checkpoint.items():
        if not isinstance(value, Tensor):
            raise CheckpointError(
                f"The checkpoint's entry {name!r} is a {type(value).__name__}, not a tensor.",
                CheckpointError.ADVICE,
            )
        state[_WRAPPER_PREFIX.sub("", str(name))] = value
    return state


def load_state[Net: nn.Module](
    module: Net, checkpoint: Mapping[str, object], *, dtype: torch.dtype = torch.float32
) -> Net:
    """Give a network the tensors of a published checkpoint, all of them and nothing else.

    Tensors that only training needs (names that start with one of ``module.training_only``) are dropped. The index
    tables of the Swin Transformer follow from its window size: they are compared where the file has them and computed
    where it has not. The tensors are taken over, not copied, so build the network without memory of its own::

        with torch.device("meta"):
            net = BiRefNet("swin_v1_l", patch_order="current")
        load_state(net, safetensors.torch.load_file(path), dtype=dtype).to(device).prepare()

    In half precision some tensors stay float32: all of the batch normalisations, whose variances may be beyond the
    largest or below the least number of float16 (``prepare()`` folds them into convolutions of the network's own data
    type), and those that the network itself works with in float32 (names that start with one of
    ``module.full_precision``). The network runs so without ``prepare()`` as well; ``.to(dtype)`` would round them.

    Args:
        module: The network before its ``prepare()``, on any device, the meta device included.
        checkpoint: Tensors by their published names, or a container around them (see :func:`unwrap`).
        dtype: Data type that floating tensors are converted to, but for those named above; the published files are
            float16 or float32.

    Returns:
        ``module``, for chaining.

    Raises:
        CheckpointError: Tensors are missing, unexpected, or of another shape.
    """
    training_only: tuple[str, ...] = getattr(module, "training_only", ())
    state = {name: tensor for name, tensor in unwrap(checkpoint).items() if not name.startswith(training_only)}
    expected = module.state_dict()
    for name, own in expected.items():
        if name.rpartition(".")[2] == _INDEX and (name not in state or state[name].shape == own.shape):
            state[name] = _checked_index(name, own, state.get(name))

    misshapen = [
        f"{name} ({_shape(state[name])} instead of {_shape(own)})"
        for name, own in expected.items()
        if name in state and state[name].shape != own.shape
    ]
    faults = [
        f"{_count(names)} {kind}, e.g. {', '.join(names[:_NAMED])}"
        for kind, names in (
            ("missing", _sorted(expected.keys() - state.keys())),
            ("not part of it", _sorted(state.keys() - expected.keys())),
            ("of another shape", misshapen),
        )
        if names
    ]
    if faults:
        raise CheckpointError(
            f"The file does not fit {type(module).__name__}: {'; '.join(faults)}.", CheckpointError.ADVICE
        )
    kept = _kept_float32(module)
    converted = {
        name: tensor.to(torch.float32 if name.startswith(kept) else dtype) if tensor.is_floating_point() else tensor
        for name, tensor in state.items()
    }
    module.load_state_dict(converted, strict=True, assign=True)
    return module


def _kept_float32(module: nn.Module) -> tuple[str, ...]:
    """Beginnings of the names of tensors that half precision would harm."""
    norms = tuple(f"{name}." for name, part in module.named_modules() if isinstance(part, nn.BatchNorm2d))
    return norms + tuple(getattr(module, "full_precision", ()))


def _checked_index(name: str, own: Tensor, stored: Tensor | None) -> Tensor:
    """The index table that the network needs, if the file's is the same or absent."""
    window = round(own.shape[0] ** 0.5)
    index = relative_position_index(window, "cpu" if stored is None else stored.device)
    if stored is not None and not torch.equal(stored.to(index.dtype), index):
        raise CheckpointError(
            f"The checkpoint's table {name} is not the one of a {window} x {window} window.",
            CheckpointError.ADVICE,
        )
    return index


def _count(names: list[str]) -> str:
    return "1 tensor is" if len(names) == 1 else f"{len(names)} tensors are"


def _sorted(names: set[str]) -> list[str]:
    return sorted(names)


def _shape(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "scalar"


__all__: Sequence[str] = ["load_state", "unwrap"]
