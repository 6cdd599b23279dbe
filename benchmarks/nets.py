"""Time and memory of the networks against the literal forward pass of the same weights.

    python -m benchmarks.nets                                  everything at its usual size
    python -m benchmarks.nets birefnet-l --size 512 1024       one network at two sizes
    python -m benchmarks.nets birefnet-t --forms float32       without bfloat16
    python -m benchmarks.nets --device cuda                    float16 and float32 on the GPU

Each row is measured in a process of its own, the reference first, so that peak memory is that of the row alone, from
loading to the last forward pass: of the whole process, or on a GPU of what PyTorch has allocated there. On a machine
that does other work as well, trust ``--threads 1`` and the ratio of processor time, not wall time. On a GPU, where the
processor only waits, there is no such ratio; float32 is what PyTorch makes of it, TF32 in convolutions included.

Where the developers' folder of reference data is beside the checkout (or at ``ARENA_SHARED``), the last column compares
the median with that of the original network, measured once on two threads of a certain CPU: it tells something on that
CPU and two threads only, and is left out for other numbers of threads and for GPUs.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from arena.devices import Stopwatch
from arena.nets import BEN2, BiRefNet, U2Net, load_state
from benchmarks.plain import plain_birefnet
from benchmarks.plain_ben2 import plain_ben2
from tests.nets.recipe import make_input, make_state, normalise

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

SEED = 7
FORMS = {"cpu": ("float32", "bfloat16"), "cuda": ("float16", "float32")}
"""Data types of the prepared networks, by device."""
PLAIN = "plain"
COLUMNS = (
    "net",
    "size",
    "form",
    "seconds",
    "time ratio",
    "processor ratio",
    "peak GiB",
    "memory ratio",
    "logits differ",
    "matte differs",
    "of original",
)
SHARED = Path(os.environ.get("ARENA_SHARED", Path(__file__).resolve().parents[2] / "shared"))
ORIGINAL_THREADS = 2
"""Threads with which the original networks were measured."""


@dataclass(frozen=True)
class Case:
    """A network to measure."""

    build: Callable[[], nn.Module]
    """Makes it without weights."""
    plain: Callable[[nn.Module], nn.Module]
    """Turns it into the reference."""
    original: str
    """Its name among the measurements of the original networks."""
    sizes: tuple[int, ...]
    """Sides of the square input that it is measured at unless told otherwise, pixels."""
    gain: float = 1.2
    """Spread of the made-up weights (see ``tests/nets/recipe.py``)."""
    probability: bool = False
    """Whether the network ends in probabilities, not in logits."""


CASES = {
    "birefnet-t": Case(lambda: BiRefNet("swin_v1_t"), plain_birefnet, "birefnet_lite", (512, 1024)),
    "birefnet-l": Case(lambda: BiRefNet("swin_v1_l"), plain_birefnet, "birefnet", (512, 1024)),
    "ben2": Case(BEN2, plain_ben2, "ben2", (1024,), gain=1.4, probability=True),
    "u2net": Case(U2Net, lambda net: net, "u2net", (320,), probability=True),
    "u2netp": Case(lambda: U2Net("small"), lambda net: net, "u2netp", (320,), gain=1.4, probability=True),
}
"""Add a network here and it is measured."""


@dataclass(frozen=True)
class Measurement:
    """What one process found."""

    seconds: float
    """Least wall time of a forward pass."""
    median: float
    """Median wall time of a forward pass."""
    processor: float
    """Least processor time of a forward pass, all threads together."""
    peak: float
    """Largest resident size of the process, or most that was allocated on the GPU at once, GiB."""
    output: Tensor
    """What the network returned, float32."""


def run_here(case: Case, size: int, form: str, repeats: int, device: str, output: Path) -> None:
    """Measure in this process, print seconds and peak as JSON, save the output."""
    with torch.device("meta"):
        net = case.build()
    dtype = torch.float32 if form == PLAIN else getattr(torch, form)
    load_state(net, make_state(net, case.gain), dtype=dtype).to(device)
    if form == PLAIN:
        case.plain(net)
    else:
        net.prepare()  # type: ignore[operator]
    x = normalise(make_input(SEED, size, size)).to(device)
    seconds, processor = [], []
    with torch.inference_mode():
        for _ in range(repeats + 1):
            start = time.process_time()
            with Stopwatch(device) as watch:
                result = net(x)
            seconds.append(watch.seconds)
            processor.append(time.process_time() - start)
    torch.save((result[0] if isinstance(result, tuple | list) else result).float().cpu(), output)
    if device == "cuda":
        peak = torch.cuda.max_memory_allocated() / 2**30
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    # The first pass fills caches and is not counted.
    found = {"seconds": min(seconds[1:]), "median": statistics.median(seconds[1:])}
    print(json.dumps({**found, "processor": min(processor[1:]), "peak": peak}))


def run_apart(name: str, size: int, form: str, options: argparse.Namespace) -> Measurement:
    """Measure in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "output.pt"
        command = [sys.executable, "-m", "benchmarks.nets", name, "--size", str(size), "--device", options.device]
        command += ["--repeats", str(options.repeats), "--threads", str(options.threads)]
        done = subprocess.run([*command, "--child", form, str(output)], check=True, stdout=subprocess.PIPE, text=True)
        found = json.loads(done.stdout.splitlines()[-1])
        return Measurement(**found, output=torch.load(output, weights_only=True))


def original_medians() -> dict[tuple[str, int], float]:
    """Seconds of the original networks by name and side of the square input; empty where the folder is missing."""
    try:
        results = json.loads((SHARED / "golden" / "official_timing.json").read_text("utf-8"))["results"]
    except FileNotFoundError:
        return {}
    return {(row["net"], row["H"]): row["wall_median_s"] for row in results if row["H"] == row["W"]}


def table(options: argparse.Namespace) -> None:
    """Measure and print one row for each network, size and form."""
    hardware = torch.cuda.get_device_name() if options.device == "cuda" else torch.backends.cpu.get_cpu_capability()
    print(f"torch {torch.__version__}, {options.threads} threads, {hardware}")
    print("| " + " | ".join(COLUMNS) + " |")
    print("| --- " * len(COLUMNS) + "|")
    comparable = options.device == "cpu" and options.threads == ORIGINAL_THREADS
    originals = original_medians() if comparable else {}
    for name in options.names or CASES:
        for size in options.size or CASES[name].sizes:
            original = originals.get((CASES[name].original, size))
            plain = run_apart(name, size, PLAIN, options)
            for form in (PLAIN, *options.forms):
                found = plain if form == PLAIN else run_apart(name, size, form, options)
                print_row((name, str(size), form), found, plain, original, options.device)


def print_row(
    labels: tuple[str, str, str], found: Measurement, plain: Measurement, original: float | None, device: str
) -> None:
    """Print one measurement beside its reference.

    Args:
        labels: Network, size and form.
        found: The measurement.
        plain: That of the reference.
        original: Median seconds of the original network, None if unknown.
        device: Where it ran.
    """
    logits = (found.output - plain.output).abs().max().item()
    if CASES[labels[0]].probability:
        matte, shown = logits, "-"
    else:
        matte = (found.output.sigmoid() - plain.output.sigmoid()).abs().max().item()
        shown = f"{logits:.1e}"
    # A GPU is done in milliseconds.
    seconds = f"{found.seconds:.4f}" if device == "cuda" else f"{found.seconds:.2f}"
    processor = "-" if device == "cuda" else f"{found.processor / plain.processor:.2f}"
    of_original = "-" if original is None else f"{found.median / original:.2f}"
    print(
        f"| {' | '.join(labels)} | {seconds} | {found.seconds / plain.seconds:.2f} | {processor} | {found.peak:.2f}"
        f" | {found.peak / plain.peak:.2f} | {shown} | {matte:.1e} | {of_original} |",
        flush=True,
    )


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NET", help=f"of {', '.join(CASES)}; all if none is named")
    parser.add_argument("--size", nargs="+", type=int, help="sides of the square input, pixels")
    parser.add_argument("--device", choices=FORMS, default="cpu")
    forms = "; ".join(f"{device}: {', '.join(names)}" for device, names in FORMS.items())
    parser.add_argument("--forms", nargs="+", metavar="FORM", help=f"of {forms}; all if none is named")
    parser.add_argument("--repeats", type=positive, default=2, help="counted forward passes; the least time is shown")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--child", nargs=2, metavar=("FORM", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    unknown = set(options.names) - CASES.keys()
    if unknown:
        parser.error(f"no such network: {', '.join(sorted(unknown))}")
    options.forms = options.forms or FORMS[options.device]
    unknown = set(options.forms) - set(FORMS[options.device])
    if unknown:
        parser.error(f"no such form on {options.device}: {', '.join(sorted(unknown))}")
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("PyTorch finds no CUDA device here")
    torch.set_num_threads(options.threads)
    if options.child:
        form, output = options.child
        run_here(CASES[options.names[0]], options.size[0], form, options.repeats, options.device, Path(output))
    else:
        table(options)


if __name__ == "__main__":
    main()
