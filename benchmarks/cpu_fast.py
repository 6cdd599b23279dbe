"""Linear layers in 8 bits (``ARENA_CPU_DTYPE=int8``, ``remback --cpu-fast``) against float32: time, and what it costs.

    python -m benchmarks.cpu_fast                    every network with wide linear layers
    python -m benchmarks.cpu_fast sam-vit-b --outliers 30

The reference is the same network in float32 as this program runs it; a third row is PyTorch's own dynamic quantisation
(``torch.ao.quantization.quantize_dynamic``, one scale for a whole input instead of one a row). The forms take turns,
and each one's least time counts. On a machine that does other work as well, trust ``--threads 1`` and the ratio of
processor time.

The weights are made up, so the masks mean nothing: each is cut at the median of the float32 logits, where most pixels
are undecided, so a network that has learnt to decide loses less there. What made-up weights lack is the outliers of
trained transformers; ``--outliers FACTOR`` multiplies one in a hundred channels of every normalisation by FACTOR.
"""

from __future__ import annotations

import argparse
import copy
import time
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from arena.nets import BEN2, BiRefNet, load_state
from arena.nets.layers import can_multiply_int8
from arena.nets.sam import build_sam, load_sam
from arena.quantize import quantize_linears
from tests.nets.recipe import make_input, make_state, normalise

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

SEED = 7
SIDE = 1024
SHARE_OF_OUTLIERS = 100
"""One channel in so many."""
FORMS = ("float32", "int8", "torch.ao")
COLUMNS = (
    "net",
    "form",
    "layers",
    "seconds",
    "time ratio",
    "processor ratio",
    "IoU",
    "IoU loss",
    "alpha differs, mean",
)
BOXES = torch.tensor([[[200.0, 100, 800, 1000], [100, 100, 500, 500], [600, 50, 1000, 700]]])
"""Questions to SAM, in pixels of its input."""


@dataclass(frozen=True)
class Case:
    """A network to measure."""

    build: Callable[[], nn.Module]
    """Makes it without weights."""
    part: str
    """Whose linear layers are exchanged."""
    gain: float = 1.2
    """Spread of the made-up weights (see ``tests/nets/recipe.py``)."""
    probability: bool = False
    """Whether the network ends in probabilities, not in logits."""


CASES = {
    "sam-vit-b": Case(build_sam, "vision_encoder", gain=1.0),
    "birefnet-l": Case(lambda: BiRefNet("swin_v1_l"), "bb"),
    "birefnet-t": Case(lambda: BiRefNet("swin_v1_t"), "bb"),
    "ben2": Case(BEN2, "backbone", gain=1.4, probability=True),
}
"""Add a network here and it is measured."""


def make_net(case: Case, outliers: float) -> nn.Module:
    """The network with its weights, before ``prepare()``."""
    with torch.device("meta"):
        net = case.build()
    state = make_state(net, case.gain)
    net = load_sam(state) if case.part == "vision_encoder" else load_state(net, state)
    for module in net.get_submodule(case.part).modules():
        if isinstance(module, nn.LayerNorm) and outliers != 1:
            module.weight.data[::SHARE_OF_OUTLIERS] *= outliers
    return net.requires_grad_(requires_grad=False)


def in_form(net: nn.Module, case: Case, form: str) -> tuple[nn.Module, int]:
    """A copy of a network in one of the forms, and how many of its layers are in 8 bits."""
    net, count = copy.deepcopy(net), 0
    part = net.get_submodule(case.part)
    if form == "int8":
        count = quantize_linears(part)
    elif form == "torch.ao":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            quantised = torch.ao.quantization.quantize_dynamic(part, {nn.Linear})  # type: ignore[no-untyped-call]
        setattr(net, case.part, quantised)
        count = sum("quantized" in type(module).__module__ for module in quantised.modules())
    # A prepared Swin Transformer asks its layers for their biases, which those of torch.ao do not have.
    if form != "torch.ao" and hasattr(net, "prepare"):
        net.prepare()  # type: ignore[operator]
    return net, count


def logits_of(net: nn.Module, case: Case, pixels: Tensor) -> tuple[Tensor, float, float]:
    """What a network says, and the wall and processor seconds of what is measured: of SAM, the image encoder."""
    start, processor = time.perf_counter(), time.process_time()
    result = net.vision_encoder(pixels).last_hidden_state if case.part == "vision_encoder" else net(pixels)  # type: ignore[operator]
    seconds, processor = time.perf_counter() - start, time.process_time() - processor
    if case.part == "vision_encoder":
        result = net(image_embeddings=result, input_boxes=BOXES, multimask_output=False).pred_masks[0]
    return (torch.logit(result, eps=1e-7) if case.probability else result), seconds, processor


def measure(name: str, options: argparse.Namespace) -> None:
    """Print a row for each form of a network."""
    case, pixels = CASES[name], normalise(make_input(SEED, SIDE, SIDE))
    net = make_net(case, options.outliers)
    forms = {form: in_form(net, case, form) for form in options.forms}
    del net
    found: dict[str, list[tuple[Tensor, float, float]]] = {form: [] for form in forms}
    with torch.inference_mode():
        for _ in range(options.repeats + 1):
            for form, (candidate, _) in forms.items():
                found[form].append(logits_of(candidate, case, pixels))
    # The first pass fills caches and is not counted.
    wall, processor = ({form: min(row[index] for row in rows[1:]) for form, rows in found.items()} for index in (1, 2))
    expected = found["float32"][0][0]
    middle = expected.flatten(1).median(dim=1).values.view(-1, *[1] * (expected.dim() - 1))
    for form, (_, count) in forms.items():
        logits = found[form][0][0]
        ours, theirs = logits > middle, expected > middle
        common = (ours & theirs).flatten(1).sum(1) / (ours | theirs).flatten(1).sum(1)
        iou = common.mean().item()
        apart = (logits.sigmoid() - expected.sigmoid()).abs().mean().item()
        ratios = f"{wall[form] / wall['float32']:.2f} | {processor[form] / processor['float32']:.2f}"
        print(
            f"| {name} | {form} | {count} | {wall[form]:.2f} | {ratios} | {iou:.4f} | {1 - iou:.4f} | {apart:.1e} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NET", help=f"of {', '.join(CASES)}; all if none is named")
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=FORMS)
    parser.add_argument("--outliers", type=float, default=1.0, metavar="FACTOR")
    parser.add_argument("--repeats", type=int, default=2, help="counted forward passes; the least time is shown")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    unknown = set(options.names) - CASES.keys()
    if unknown:
        parser.error(f"no such network: {', '.join(sorted(unknown))}")
    if "float32" not in options.forms:
        parser.error("float32 is what the others are compared with")
    if not can_multiply_int8():
        parser.error("this CPU has no 8-bit arithmetic")
    torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, {options.threads} threads, {torch.backends.cpu.get_cpu_capability()}")
    print("| " + " | ".join(COLUMNS) + " |")
    print("| --- " * len(COLUMNS) + "|")
    for name in options.names or CASES:
        measure(name, options)


if __name__ == "__main__":
    main()
