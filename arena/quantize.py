"""Networks in 8 bits on the CPU: dynamic quantisation of their linear layers.

The scheme is the vector-wise one of Tim Dettmers et al., "LLM.int8(): 8-bit Matrix Multiplication for Transformers at
Scale", NeurIPS 2022: one scale for each row of the inputs, found as they come, and one for each output of the weights.
Nothing has to be calibrated. Everything but the linear layers stays in float32.
"""

from __future__ import annotations

from torch import nn

from arena.nets.layers import Int8Linear

LEAST_WORK = 180
"""Multiplications of a layer for each number that goes in or comes out, below which rounding and scaling these costs
what the product saves: of 768 inputs and 192 outputs (154) it does, of 384 and 384 (192) it does not."""


def quantize_linears(module: nn.Module) -> int:
    """Exchange the wide linear layers of a module for ones that multiply in 8 bits.

    Args:
        module: On the CPU, with its weights final; the layers of a network of ours before its ``prepare()``.

    Returns:
        How many layers were exchanged.
    """
    found = [
        (parent, name)
        for parent in module.modules()
        for name, child in parent.named_children()
        if type(child) is nn.Linear and _work(child) >= LEAST_WORK
    ]
    for parent, name in found:
        setattr(parent, name, Int8Linear(getattr(parent, name)))
    return len(found)


def _work(linear: nn.Linear) -> float:
    return linear.in_features * linear.out_features / (linear.in_features + linear.out_features)
