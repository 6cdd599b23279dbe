"""SAM 3's network as Ultralytics builds it, without what Ultralytics does beside building it.

Left to itself, Ultralytics looks up hosts and may install packages when it is imported, fetches a tokenizer with pip,
unpickles a checkpoint freely and loads whatever part of it fits. Here it does none of that.
"""

from __future__ import annotations

import contextlib
import importlib
import math
import os
import sys
import tempfile
import threading
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import cv2
import platformdirs
import torch
from PIL import Image
from torch import nn
from torch.overrides import TorchFunctionMode

from arena.errors import CheckpointError
from arena.weights import load_tensors

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY_PREFIX = "detector."
"""What the names of the image model's tensors begin with in the published file; the rest belongs to its tracker."""

_LARGE = 1 << 16
"""Elements from which on a new tensor is a weight matrix and not a mask or a table."""

_NAMED = 3
"""How many keys an error names."""

_ENVIRONMENT = {
    "YOLO_OFFLINE": "true",  # no host look-ups, and so no usage reports
    "YOLO_AUTOINSTALL": "false",  # no pip at run time
    "YOLO_VERBOSE": "false",  # standard output belongs to the shell command
}

_lock = threading.Lock()


def import_ultralytics() -> ModuleType:
    """Import Ultralytics' SAM classes without its side effects.

    That is: no host look-up, no installation, no report, no changed thread counts, no replaced functions elsewhere.

    Returns:
        The module ``ultralytics.models.sam``.
    """
    # Its settings file would otherwise appear in, or change, the folder of the user's own Ultralytics.
    folder = Path(platformdirs.user_cache_dir("portrait-blur-arena")) / "ultralytics"
    os.environ.update(_ENVIRONMENT, YOLO_CONFIG_DIR=str(folder))
    with _lock, _thread_counts_kept(), _other_libraries_kept():
        # No usage reports. In this process alone: had somebody imported Ultralytics before, its own way of setting it
        # would write to that user's file.
        dict.__setitem__(importlib.import_module("ultralytics.utils").SETTINGS, "sync", False)
        return importlib.import_module("ultralytics.models.sam")


@contextlib.contextmanager
def _other_libraries_kept() -> Iterator[None]:
    """Undo what Ultralytics does to others when it is imported.

    Its ``PIL.Image.open`` wants to install a package when it meets a file that is no picture; its OpenCV and PyTorch
    functions are not the ones that the rest of this program was tested with.
    """
    targets = [(Image, "open"), (torch, "save"), (cv2, "imread"), (cv2, "imwrite"), (cv2, "imshow")]
    originals = [(module, name, getattr(module, name)) for module, name in targets if hasattr(module, name)]
    try:
        yield
    finally:
        for module, name, original in originals:
            setattr(module, name, original)


def build_predictor(network: nn.Module, side: int, device: str) -> Any:
    """Put a network into Ultralytics' predictor.

    Args:
        network: What :func:`build_network` returns, with its weights.
        side: Input size in pixels, a multiple of the patch size 14.
        device: A resolved device.

    Returns:
        An ``ultralytics.models.sam.SAM3SemanticPredictor`` that is ready to preprocess and to encode.
    """
    sam = import_ultralytics()
    options = {"imgsz": side, "device": device, "verbose": False, "save": False, "model": "sam3.pt"}
    predictor = sam.SAM3SemanticPredictor(overrides=options)
    with _thread_counts_kept():
        predictor.setup_model(model=network, verbose=False)
    predictor.imgsz = [side, side]
    predictor.model.set_imgsz(predictor.imgsz)
    return predictor


def box_prompt(boxes: torch.Tensor) -> Any:
    """Put boxes into the form in which the network takes them as examples.

    Args:
        boxes: Float, M x B x 4: M examples for each of B prompts: centre, width and height as shares of the picture.

    Returns:
        An ``ultralytics.models.sam.sam3.geometry_encoders.Prompt``.
    """
    import_ultralytics()
    return importlib.import_module("ultralytics.models.sam.sam3.geometry_encoders").Prompt(box_embeddings=boxes)


def build_network() -> nn.Module:
    """Build SAM 3's image model. Its large tensors are on the meta device until :func:`load_checkpoint` replaces them.

    Returns:
        A ``SAM3SemanticModel`` in evaluation mode, without the second neck that only its tracker reads.
    """
    import_ultralytics()
    builder = importlib.import_module("ultralytics.models.sam.build_sam3")
    with _lock, _open_clip_as_clip(), tempfile.TemporaryDirectory() as folder:
        # Its builder insists on a checkpoint and takes any: this one is empty.
        empty = Path(folder) / "empty.pt"
        torch.save({}, empty)
        with _LargeTensorsOnMeta():
            network: nn.Module = builder.build_sam3_image_model(str(empty))
    backbone: Any = network.get_submodule("backbone.vision_backbone")
    backbone.sam2_convs = None
    return network


def load_checkpoint(network: nn.Module, path: Path) -> nn.Module:
    """Give a network the tensors of a file, every one of them.

    They are taken over, not copied: a mapped file stays in the system's cache, which can be dropped from memory.

    Args:
        network: What :func:`build_network` returns.
        path: The published ``sam3.pt``: tensors by name, or ``{"model": ...}`` around them.

    Returns:
        ``network``, for chaining.

    Raises:
        CheckpointError: The file is damaged, would run code, lacks tensors, or has them in other shapes.
    """
    state = {
        name.removeprefix(KEY_PREFIX): tensor
        for name, tensor in load_tensors(path).items()
        if name.startswith(KEY_PREFIX)
    }
    expected = network.state_dict()
    missing = sorted(expected.keys() - state.keys())
    misshapen = sorted(
        f"{name} ({list(state[name].shape)} instead of {list(own.shape)})"
        for name, own in expected.items()
        if name in state and state[name].shape != own.shape
    )
    if missing or misshapen:
        faults = "; ".join(
            f"{len(names)} {kind}: {', '.join(names[:_NAMED])}{', ...' if len(names) > _NAMED else ''}"
            for kind, names in (("missing", missing), ("misshapen", misshapen))
            if names
        )
        raise CheckpointError(
            f"{path.name} does not cover SAM 3 ({faults}).",
            CheckpointError.ADVICE,
        )
    network.load_state_dict({name: state[name] for name in expected}, strict=True, assign=True)
    left = [name for name, tensor in [*network.named_parameters(), *network.named_buffers()] if tensor.is_meta]
    if left:
        raise CheckpointError(
            f"This version of Ultralytics keeps tensors outside of SAM 3's checkpoint: {', '.join(left[:_NAMED])}.",
            "Install the version that this program was made for.",
        )
    return network


class _LargeTensorsOnMeta(TorchFunctionMode):
    """Gives uninitialised large tensors no memory: a checkpoint takes their place a moment later.

    Building everything under ``torch.device("meta")`` is no way here, since the constructors read values of small
    tensors. The mode holds for the calling thread alone.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is torch.empty and kwargs.get("device") is None:
            size = kwargs.get("size", args[0] if args and not isinstance(args[0], int) else args)
            if math.prod(size) >= _LARGE:
                kwargs["device"] = "meta"
        return func(*args, **kwargs)


@contextlib.contextmanager
def _open_clip_as_clip() -> Iterator[None]:
    """Let ``import clip`` find open_clip's tokenizer, of the same vocabulary; an installed ``clip`` comes back."""
    # Imported here because it brings all of open_clip and timm, which nothing but SAM 3 needs.
    tokenizer = importlib.import_module("open_clip.tokenizer")
    stand_in = ModuleType("clip")
    stand_in.simple_tokenizer = SimpleNamespace(SimpleTokenizer=tokenizer.SimpleTokenizer)  # type: ignore[attr-defined]
    before = sys.modules.get("clip")
    sys.modules["clip"] = stand_in
    try:
        yield
    finally:
        if before is None:
            del sys.modules["clip"]
        else:
            sys.modules["clip"] = before


@contextlib.contextmanager
def _thread_counts_kept() -> Iterator[None]:
    """Undo Ultralytics' global settings: it turns OpenMP's, PyTorch's and OpenCV's threads down for everybody."""
    openmp, opencv, pytorch = os.environ.get("OMP_NUM_THREADS"), cv2.getNumThreads(), torch.get_num_threads()
    try:
        yield
    finally:
        if openmp is None:
            os.environ.pop("OMP_NUM_THREADS", None)
        else:
            os.environ["OMP_NUM_THREADS"] = openmp
        if cv2.getNumThreads() != opencv:
            cv2.setNumThreads(opencv)
        if torch.get_num_threads() != pytorch:
            torch.set_num_threads(pytorch)
