"""Exported networks in onnxruntime against PyTorch as this program runs them: difference, time, size.

    python -m benchmarks.export                      every network of a family once
    python -m benchmarks.export lite u2netp          some of them

The weights of ``lite`` and of the face detector (``classic``) are the real ones; those of the others are made up, which
changes nothing about time and size. Both sides run on the same number of threads, in turns, and the least time counts.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from arena.catalog import get_card
from arena.export.exporter import export_onnx
from arena.nets import BEN2, BiRefNet, U2Net
from arena.nets.sam import build_sam
from tests.models.random_weights import save
from tests.nets.recipe import make_state

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

COLUMNS = ("model", "part", "MB", "dynamic axes", "differs by", "onnxruntime, s", "PyTorch, s", "ratio", "export, s")

CASES: dict[str, tuple[Callable[[], nn.Module], float] | None] = {
    "lite": None,
    "classic": None,
    "u2netp": (lambda: U2Net("small"), 1.4),
    "u2net": (U2Net, 1.2),
    "birefnet-lite": (lambda: BiRefNet("swin_v1_t"), 1.2),
    "birefnet-portrait": (lambda: BiRefNet("swin_v1_l"), 1.2),
    "birefnet-dynamic": (lambda: BiRefNet("swin_v1_l"), 1.2),
    "ben2": (BEN2, 1.4),
    "sam-vit-b": (build_sam, 1.0),
}
"""What makes the network and the spread of its made-up weights (see ``tests/nets/recipe.py``); None for real ones."""


def made_up_weights(key: str, folder: Path) -> Path | None:
    """A file of made-up weights for a model that has none in the box."""
    case = CASES[key]
    if case is None:
        return None
    build, gain = case
    with torch.device("meta"):
        net = build()
    return save(folder / f"{key}.safetensors", make_state(net, gain))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("keys", nargs="*", metavar="KEY", help=f"of {', '.join(CASES)}; all if none is named")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    unknown = set(options.keys) - CASES.keys()
    if unknown:
        parser.error(f"no such model: {', '.join(sorted(unknown))}")
    torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, {options.threads} threads, {torch.backends.cpu.get_cpu_capability()}")
    print("| " + " | ".join(COLUMNS) + " |")
    print("| --- " * len(COLUMNS) + "|")
    for key in options.keys or CASES:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for file in export_onnx(get_card(key), folder / f"{key}.onnx", checkpoint=made_up_weights(key, folder)):
                print(
                    f"| {key} | {file.part or '-'} | {file.bytes / 1e6:.1f} | {'; '.join(file.axes) or '-'} | "
                    f"{file.difference:.1e} | {file.onnx_seconds:.3f} | {file.torch_seconds:.3f} | {file.ratio:.2f} | "
                    f"{file.export_seconds:.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
