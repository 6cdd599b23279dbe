"""SAM ViT-B on the CPU: the image encoder against transformers' own, and how long a prompt takes after it.

    python -m benchmarks.sam
    python -m benchmarks.sam --threads 1

Each row is measured in a process of its own, so that peak memory is that of the row alone, from loading to the last
pass. ``eager`` writes attention out as the original does, ``sdpa`` is transformers' default, both with the same made-up
weights. On a machine that does other work as well, trust the ratios of processor time, not wall time.
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
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from transformers.models.sam import SamModel

from arena.models.sam import SIDE, SamPredictor
from arena.nets.sam import Sam, build_sam, from_segment_anything, sam_config
from arena.nets.state import load_state
from arena.photo import Photo
from tests.nets.published import manifest
from tests.nets.recipe import grow, weight

if TYPE_CHECKING:
    from collections.abc import Callable

KEYS = Path(__file__).parents[1] / "tests" / "golden" / "sam_vit_b.keys.json"
FORMS = ("eager", "sdpa", "ours")
PHOTO = (3000, 4000)
"""Height and width: twelve megapixels."""
PROMPTS = (1, 4, 16)
"""Boxes that are asked for at once."""


@dataclass(frozen=True)
class Timing:
    """The least of some passes."""

    wall: float
    """Seconds."""
    processor: float
    """Seconds of all threads together."""


def build(form: str) -> Sam | SamModel:
    """The network with made-up weights; ``eager`` and ``sdpa`` are transformers' own."""
    with torch.device("meta"):
        if form == "ours":
            net = build_sam("vit_b")
        else:
            config = sam_config("vit_b")
            config._attn_implementation = form
            net = SamModel(config)
    state = {name: weight(name, shape, gain=1.0) for name, (shape, _) in manifest(KEYS).items()}
    return load_state(net, from_segment_anything(state)).eval()


def measure(work: Callable[[], object], repeats: int) -> Timing:
    """Time a function; the first call fills caches and is not counted."""
    wall, processor = [], []
    for _ in range(repeats + 1):
        start, clock = time.perf_counter(), time.process_time()
        work()
        wall.append(time.perf_counter() - start)
        processor.append(time.process_time() - clock)
    return Timing(min(wall[1:]), min(processor[1:]))


def mask(predictor: SamPredictor, boxes: list[tuple[float, float, float, float]]) -> Tensor:
    """The union of the boxes' masks, of the photo's size."""
    return predictor.ask(boxes).merged()


def run_here(form: str, repeats: int, output: Path) -> None:
    """Measure a form in this process, print what was found as JSON, save the embedding."""
    net = build(form)
    small = np.random.default_rng(7).integers(0, 256, (-(-PHOTO[0] // 64) + 1, -(-PHOTO[1] // 64) + 1, 3), np.uint8)
    photo = Photo.from_array(grow(small, 64, *PHOTO))
    pixels = torch.from_numpy(grow(small, 64, SIDE, SIDE)).permute(2, 0, 1)[None].float() / 127.5 - 1
    found: dict[str, tuple[float, float]] = {}
    with torch.inference_mode():
        timing = measure(lambda: net.vision_encoder(pixels), repeats)
        embedding: Tensor = net.vision_encoder(pixels).last_hidden_state
    found["encoder"] = (timing.wall, timing.processor)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    if form == "ours":
        predictor = SamPredictor(net, "cpu")
        predictor.encode(photo)
        for count in PROMPTS:
            boxes = [(100.0 * number, 200.0, 100.0 * number + 1500, 2800.0) for number in range(count)]
            timing = measure(partial(mask, predictor, boxes), repeats)
            found[f"{count} boxes"] = (timing.wall, timing.processor)
    torch.save(embedding, output)
    print(json.dumps({"found": found, "peak": peak}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3, help="counted passes; the least time is shown")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--child", nargs=2, metavar=("FORM", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.child:
        run_here(options.child[0], options.repeats, Path(options.child[1]))
        return
    print(f"torch {torch.__version__}, {options.threads} threads, {torch.backends.cpu.get_cpu_capability()}")
    print("| encoder | seconds | of eager | processor of eager | peak GiB | of eager | embedding differs by at most |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    rows: dict[str, dict[str, tuple[float, float]]] = {}
    reference: Tensor | None = None
    first_peak = 0.0
    for form in FORMS:
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder) / "embedding.pt"
            command = [sys.executable, "-m", "benchmarks.sam", "--repeats", str(options.repeats)]
            command += ["--threads", str(options.threads), "--child", form, str(output)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            result = json.loads(done.stdout.splitlines()[-1])
            embedding = torch.load(output, weights_only=True)
        rows[form] = result["found"]
        reference, first_peak = (embedding, result["peak"]) if reference is None else (reference, first_peak)
        (wall, processor), (plain_wall, plain_processor) = rows[form]["encoder"], rows[FORMS[0]]["encoder"]
        ratios = f"{wall:.2f} | {wall / plain_wall:.2f} | {processor / plain_processor:.2f}"
        memory = f"{result['peak']:.2f} | {result['peak'] / first_peak:.2f}"
        print(f"| {form} | {ratios} | {memory} | {(embedding - reference).abs().max():.1e} |", flush=True)
    print(f"\nA prompt on a photo of {PHOTO[1]} x {PHOTO[0]} pixels that is encoded, to the mask of the photo's size:")
    for count in PROMPTS:
        wall, processor = rows["ours"][f"{count} boxes"]
        print(f"{count:3d} boxes: {wall:.2f} s, {processor:.2f} s of processor time")


if __name__ == "__main__":
    main()
