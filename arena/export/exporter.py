"""From a model to verified ONNX files that explain themselves."""

from __future__ import annotations

import importlib
import logging
import tempfile
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import arena
from arena import weights as weights_room
from arena.devices import Stopwatch
from arena.errors import ArenaError, OptionError
from arena.export.parts import FAMILIES, parts_of
from arena.export.traceable import forget_tables, onnx_forms
from arena.models.pool import check_available

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor, nn

    from arena.catalog import ModelCard
    from arena.export.parts import Axis, Part

OPSET = 20
"""Version of ONNX's operators. Deformable convolution is there since 19, GELU since 20."""

TOLERANCE = 1e-3
"""Largest difference between a file's outputs and PyTorch's: far above what another order of additions makes, far below
what can be seen."""

LARGEST_FILE = 1_900_000_000
"""Bytes of weights that are kept in the file itself; the format ends at 2 GiB. Larger ones go beside it."""

REPEATS = 3
"""How often each side runs when it is timed, after one run that is not counted; the least time counts."""

PATIENCE = 5.0
"""Seconds of one run above which the next is the only one that is counted."""

SUFFIX = ".onnx"

INSTALL = (
    "Install it with `pip install 'portrait-blur-arena[export]'`, in a checkout `python3 -m uv sync --extra export`."
)

_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


@dataclass(frozen=True, slots=True)
class Exported:
    """A file that was written and verified."""

    path: Path
    """The file."""
    part: str
    """Which network of the model; empty if it has one."""
    bytes: int
    """Of the file and, where there is one, of that with its weights."""
    axes: tuple[str, ...]
    """The dynamic axes in words, such as ``"pixels: batch, height (multiple of 64)"``."""
    difference: float
    """Largest absolute difference between the file's outputs and PyTorch's."""
    export_seconds: float
    """What the export took."""
    onnx_seconds: float
    """One run of the file in onnxruntime, on the CPU."""
    torch_seconds: float
    """One run of the network as this program runs it, on the same input and as many threads."""

    @property
    def ratio(self) -> float:
        """Time in onnxruntime as a multiple of the time in PyTorch."""
        return self.onnx_seconds / self.torch_seconds


def export_onnx(
    card: ModelCard, path: Path, *, checkpoint: Path | None = None, say: Callable[[str], None] = lambda _: None
) -> Iterator[Exported]:
    """Write a model's networks as ONNX files in single precision, and verify each against PyTorch.

    Args:
        card: The model.
        path: The file, whose name ends in ``.onnx``. A model of several networks has a file for each:
            ``sam.encoder.onnx`` and ``sam.decoder.onnx`` for ``sam.onnx``.
        checkpoint: Other weights of the same network; None for the model's own.
        say: Told in a few words what is being done.

    Yields:
        Each file as soon as it is verified. One that differs too much is not left behind.

    Raises:
        OptionError: The name is another, the packages for it are not installed, or the network is not ours.
        ModelUnavailableError: This build cannot run the model.
        WeightsError: Its weights could not be had or do not fit; the subclass says why.
        ArenaError: The file's outputs are not PyTorch's, or it cannot be written.
    """
    check_exportable(card, path, checkpoint)
    say("reading the weights")
    parts = parts_of(card, weights_room.fetch(card) if checkpoint is None else checkpoint)
    for part in parts:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield _export(card, part, path, _origin(card, checkpoint), say)
        except OSError as error:
            raise ArenaError(f"{path} cannot be written: {error.strerror}.", "Choose another folder.") from error


def check_exportable(card: ModelCard, path: Path, checkpoint: Path | None = None) -> None:
    """Make sure, before anything is downloaded, that a model can be exported here.

    Args:
        card: The model.
        path: The file.
        checkpoint: Other weights, if there are any.

    Raises:
        OptionError: The name does not end in ``.onnx``, the packages for it are not installed, the network is not
            ours, or it takes no other weights.
        ModelUnavailableError: This build cannot run the model.
    """
    check_available(card)
    if card.family not in FAMILIES:
        raise OptionError(
            f"{card.label} is not exported: its network is another project's, not ours.",
            "Export it with that project's own tools, or choose another model.",
        )
    if checkpoint is not None and card.family == "classic":
        raise OptionError(f"{card.label} takes no other weights.", "Leave the checkpoint out.")
    if path.suffix.lower() != SUFFIX:
        raise OptionError(f'The file "{path.name}" does not end in {SUFFIX}.', f"Call it {path.stem}{SUFFIX}.")
    for package in _PACKAGES:
        _imported(package)


def _imported(package: str) -> Any:
    # Not at the top: the packages are optional.
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise OptionError(f"Exporting needs the package {package}, which cannot be imported.", INSTALL) from error


def _origin(card: ModelCard, checkpoint: Path | None) -> dict[str, str]:
    """Where the weights are from and what they may be used for."""
    if checkpoint is not None:
        return {"source": f"{checkpoint.name}, given by the user", "licence": "that of these weights"}
    return {
        "source": f"{card.page} at {card.revision or 'its main branch'}, {card.file}"
        if card.page
        else "in the package",
        "licence": card.licence,
        "commercial_use": "yes" if card.commercial else "no",
    }


def _export(card: ModelCard, part: Part, path: Path, origin: dict[str, str], say: Callable[[str], None]) -> Exported:
    target = path.with_name(f"{path.stem}.{part.name}{SUFFIX}") if part.name else path
    name = " ".join([card.label, part.name]).rstrip()
    say(f"exporting {name}")
    with Stopwatch() as watch:
        program = _translate(part)
    program.model.producer_name, program.model.producer_version = "portrait-blur-arena", arena.__version__
    program.model.doc_string = f"{name}: {card.summary}"
    program.model.metadata_props.update(
        {"model": card.key, "part": part.name or "all", **origin, "layout": "NCHW", **part.facts}
    )
    # In a folder of its own until it is known to be right; a file of weights beside it is found by its name.
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.stem}-") as folder:
        draft = Path(folder) / target.name
        program.save(str(draft), external_data=_size(part.net) > LARGEST_FILE)
        del program
        say(f"verifying {name}")
        difference, onnx_seconds, torch_seconds = _compare(part, draft)
        if not difference <= TOLERANCE:
            raise ArenaError(
                f"{name} was exported, but its outputs differ from PyTorch's by {difference:.2g}; {TOLERANCE:g} is "
                "allowed. The file was not kept.",
                "Please report this.",
            )
        written = sorted(Path(folder).iterdir())
        size = sum(file.stat().st_size for file in written)
        for file in written:
            file.replace(path.parent / file.name)
    axes = tuple(
        f"{port.name}: {', '.join(str(axis) for axis in port.axes.values())}" for port in part.inputs if port.axes
    )
    return Exported(target, part.name, size, axes, difference, watch.seconds, onnx_seconds, torch_seconds)


def _translate(part: Part) -> Any:
    """The exporter's program of a network."""
    dims: dict[str, Any] = {}

    def dim(axis: Axis) -> Any:
        if axis.name not in dims:
            least, most = -(-axis.minimum // axis.multiple), axis.maximum // axis.multiple
            unit = torch.export.Dim(axis.name, min=least, max=most)
            dims[axis.name] = unit if axis.multiple == 1 else axis.multiple * unit
        return dims[axis.name]

    shapes = tuple({position: dim(axis) for position, axis in port.axes.items()} for port in part.inputs)
    operators = getattr(_imported("onnxscript"), f"opset{OPSET}")
    try:
        with _quiet():
            program = torch.onnx.export(
                part.net.eval(),
                part.example,
                dynamo=True,
                opset_version=OPSET,
                dynamic_shapes=shapes,
                input_names=[port.name for port in part.inputs],
                output_names=list(part.outputs),
                custom_translation_table=onnx_forms(operators),
                verbose=False,
                optimize=False,
            )
            assert program is not None  # noqa: S101 - for the type checker: asked for by dynamo=True
            _simplify(program.model)
            return program
    finally:
        forget_tables()


def _simplify(model: Any) -> None:
    """Fold what is constant and drop what is unused or there twice.

    The exporter's own optimisation does so, too, and then looks for patterns to rewrite, one of which it compares with
    each pair of slices: for BEN2, which is cut into windows all over, that takes longer than all the rest. Runtimes
    look for such patterns themselves, and the files are as quick without.
    """
    fold = _imported("onnxscript.optimizer").fold_constants
    passes = _imported("onnx_ir.passes.common")
    passes.InlinePass()(model)
    # Twice: what was folded makes other things constant.
    for _ in range(2):
        fold(model)
        passes.RemoveUnusedNodesPass()(model)
    for tidy in (
        passes.RemoveUnusedFunctionsPass(),
        passes.RemoveUnusedOpsetsPass(),
        passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        passes.LiftSubgraphInitializersToMainGraphPass(),
        passes.DeduplicateInitializersPass(),
        passes.CommonSubexpressionEliminationPass(),
        passes.OutputFixPass(),
        passes.NameFixPass(),
    ):
        tidy(model)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep from users what the exporter says to its makers, or of axes of one name, which are meant to have it."""
    optimizer = logging.getLogger("onnxscript.optimizer")
    level = optimizer.level
    optimizer.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "# The axis name")
            yield
    finally:
        optimizer.setLevel(level)


def _size(net: nn.Module) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in net.state_dict().values())


def _compare(part: Part, path: Path) -> tuple[float, float, float]:
    """Largest difference over all checks; seconds of onnxruntime and of PyTorch for the first."""
    runtime = _imported("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [port.name for port in part.inputs]

    def run_onnx(inputs: tuple[Tensor, ...]) -> tuple[list[Any], float]:
        feed = {name: tensor.numpy() for name, tensor in zip(names, inputs, strict=True)}
        with Stopwatch() as watch:
            found: list[Any] = session.run(None, feed)
        return found, watch.seconds

    def run_torch(inputs: tuple[Tensor, ...]) -> tuple[list[Any], float]:
        with torch.inference_mode(), Stopwatch() as watch:
            result = part.reference(*inputs)
        return [tensor.numpy() for tensor in (result if isinstance(result, tuple) else (result,))], watch.seconds

    difference = 0.0
    for inputs in part.checks:
        found, _ = run_onnx(inputs)
        expected, slow = run_torch(inputs)
        # NaN is larger than nothing, so it has to be looked for.
        apart = [float(np.abs(one - other).max()) for one, other in zip(found, expected, strict=True)]
        difference = max(difference, *(value if np.isfinite(value) else float("inf") for value in apart))
        if inputs is part.checks[0]:
            repeats = 1 if slow > PATIENCE else REPEATS
            # In turns, so that what else the machine does meets both alike.
            pairs = [(run_onnx(inputs)[1], run_torch(inputs)[1]) for _ in range(repeats)]
    return difference, min(pair[0] for pair in pairs), min(pair[1] for pair in pairs)
