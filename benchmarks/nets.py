"""Time and memory of the networks against the literal forward pass of the same weights.

    python -m benchmarks.nets                                  everything at its usual size
    python -m benchmarks.nets birefnet-l --size 512 1024       one network at two sizes
    python -m benchmarks.nets birefnet-t --forms float32       without bfloat16

Each row is measured in a process of its own, the reference first, so that peak memory is that of the row alone: the
whole process, from the import of torch over loading to the last forward pass. On a machine that does other work as
well, trust ``--threads 1`` and the ratio of processor time, not wall time.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from arena.nets import BEN2, BiRefNet, U2Net, load_state
from benchmarks.plain import plain_birefnet
from benchmarks.plain_ben2 import plain_ben2
from tests.nets.recipe import make_input, make_state, normalise

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

SEED = 7
FORMS = ("float32", "bfloat16")
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
)


@dataclass(frozen=True)
class Case:
    """A network to measure."""

    build: Callable[[], nn.Module]
    """Makes it without weights."""
    plain: Callable[[nn.Module], nn.Module]
    """Turns it into the reference."""
    sizes: tuple[int, ...]
    """Sides of the square input that it is measured at unless told otherwise, pixels."""
    gain: float = 1.2
    """Spread of the made-up weights (see ``tests/nets/recipe.py``)."""
    probability: bool = False
    """Whether the network ends in probabilities, not in logits."""


CASES = {
    "birefnet-t": Case(lambda: BiRefNet("swin_v1_t"), plain_birefnet, (512, 1024)),
    "birefnet-l": Case(lambda: BiRefNet("swin_v1_l"), plain_birefnet, (512, 1024)),
    "ben2": Case(BEN2, plain_ben2, (1024,), gain=1.4, probability=True),
    "u2net": Case(U2Net, lambda net: net, (320,), probability=True),
    "u2netp": Case(lambda: U2Net("small"), lambda net: net, (320,), gain=1.4, probability=True),
}
"""Add a network here and it is measured."""


@dataclass(frozen=True)
class Measurement:
    """What one process found."""

    seconds: float
    """Least wall time of a forward pass."""
    processor: float
    """Least processor time of a forward pass, all threads together."""
    peak: float
    """Largest resident size of the process, GiB."""
    output: Tensor
    """What the network returned, float32."""


def run_here(case: Case, size: int, form: str, repeats: int, output: Path) -> None:
    """Measure in this process, print seconds and peak as JSON, save the output."""
    with torch.device("meta"):
        net = case.build()
    load_state(net, make_state(net, case.gain))
    if form == PLAIN:
        case.plain(net)
    else:
        net.to(getattr(torch, form))
        net.prepare()  # type: ignore[operator]
    x = normalise(make_input(SEED, size, size))
    seconds, processor = [], []
    with torch.inference_mode():
        for _ in range(repeats + 1):
            start, start_processor = time.perf_counter(), time.process_time()
            result = net(x)
            seconds.append(time.perf_counter() - start)
            processor.append(time.process_time() - start_processor)
    torch.save((result[0] if isinstance(result, tuple | list) else result).float(), output)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    # The first pass fills caches and is not counted.
    print(json.dumps({"seconds": min(seconds[1:]), "processor": min(processor[1:]), "peak": peak}))


def run_apart(name: str, size: int, form: str, repeats: int, threads: int) -> Measurement:
    """Measure in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "output.pt"
        command = [sys.executable, "-m", "benchmarks.nets", name, "--size", str(size), "--repeats", str(repeats)]
        command += ["--threads", str(threads)]
        done = subprocess.run([*command, "--child", form, str(output)], check=True, stdout=subprocess.PIPE, text=True)
        found = json.loads(done.stdout.splitlines()[-1])
        return Measurement(**found, output=torch.load(output, weights_only=True))


def table(names: list[str], sizes: list[int] | None, forms: list[str], repeats: int, threads: int) -> None:
    """Measure and print one row for each network, size and form."""
    print(f"torch {torch.__version__}, {threads} threads, {torch.backends.cpu.get_cpu_capability()}")
    print("| " + " | ".join(COLUMNS) + " |")
    print("| --- " * len(COLUMNS) + "|")
    for name in names:
        for size in sizes or CASES[name].sizes:
            plain = run_apart(name, size, PLAIN, repeats, threads)
            print_row(name, size, PLAIN, plain, plain)
            for form in forms:
                print_row(name, size, form, run_apart(name, size, form, repeats, threads), plain)


def print_row(name: str, size: int, form: str, found: Measurement, plain: Measurement) -> None:
    """Print one measurement beside its reference."""
    logits = (found.output - plain.output).abs().max().item()
    if CASES[name].probability:
        matte, shown = logits, "-"
    else:
        matte = (found.output.sigmoid() - plain.output.sigmoid()).abs().max().item()
        shown = f"{logits:.1e}"
    print(
        f"| {name} | {size} | {form} | {found.seconds:.2f} | {found.seconds / plain.seconds:.2f}"
        f" | {found.processor / plain.processor:.2f} | {found.peak:.2f}"
        f" | {found.peak / plain.peak:.2f} | {shown} | {matte:.1e} |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NET", help=f"of {', '.join(CASES)}; all if none is named")
    parser.add_argument("--size", nargs="+", type=int, help="sides of the square input, pixels")
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=list(FORMS))
    parser.add_argument("--repeats", type=int, default=2, help="counted forward passes; the least time is shown")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--child", nargs=2, metavar=("FORM", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    unknown = set(options.names) - CASES.keys()
    if unknown:
        parser.error(f"no such network: {', '.join(sorted(unknown))}")
    torch.set_num_threads(options.threads)
    if options.child:
        form, output = options.child
        run_here(CASES[options.names[0]], options.size[0], form, options.repeats, Path(output))
    else:
        table(options.names or list(CASES), options.size, options.forms, options.repeats, options.threads)


if __name__ == "__main__":
    main()
