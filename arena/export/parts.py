"""What there is to export of a model: its networks, what goes in and out, and how a photo becomes their input."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor, nn

    from arena.catalog import ModelCard


@dataclass(frozen=True, slots=True)
class Axis:
    """A dynamic axis of an input."""

    name: str
    """Axes of one name are always of one length."""
    multiple: int = 1
    """Its length is a multiple of this."""
    maximum: int = 1024
    """Largest length."""
    minimum: int = 1
    """Least length."""

    def __str__(self) -> str:
        return self.name if self.multiple == 1 else f"{self.name} (multiple of {self.multiple})"


@dataclass(frozen=True, slots=True)
class Port:
    """An input of a network."""

    name: str
    """What it is called in the file."""
    axes: Mapping[int, Axis] = field(default_factory=dict)
    """Its dynamic axes by position; the others are as long as in the example."""


@dataclass(frozen=True, slots=True)
class Part:
    """One network of a model, ready to be exported."""

    name: str
    """Stands in the file's name; empty where a model has one network."""
    net: nn.Module
    """What is exported: tensors in, a tensor or several out."""
    reference: nn.Module
    """The same as this program runs it; the exported file is verified and timed against it."""
    inputs: tuple[Port, ...]
    """Its inputs, in order."""
    outputs: tuple[str, ...]
    """What its outputs are called, in order."""
    example: tuple[Tensor, ...]
    """Inputs of the kind, with two or more along each dynamic axis."""
    checks: tuple[tuple[Tensor, ...], ...]
    """Inputs for which file and reference are compared, of other sizes than the example's where these are free. The
    first is the usual one, and timed."""
    facts: Mapping[str, str]
    """What whoever uses the file has to know: sizes, normalisation, meaning of the outputs."""


SAMPLE = "astronaut"
"""The bundled portrait that files are verified on."""

FAMILIES = frozenset({"lite", "classic", "u2net", "birefnet", "ben2", "sam"})
"""Families of models whose networks are ours, or built by us."""


def parts_of(card: ModelCard, weights: Path | None) -> list[Part]:
    """The networks of a model.

    Args:
        card: The model's card, of one of ``FAMILIES``.
        weights: Its verified file; None for a model that needs none.

    Returns:
        One part, or several for a model of several networks.

    Raises:
        OptionError: It needs a file and there is none.
        CheckpointError: The file's tensors do not fit the network.
    """
    # Imported here: of the families one is wanted, and transformers takes seconds.
    if card.family == "sam":
        from arena.export.sam import sam_parts  # noqa: PLC0415

        return sam_parts(weights)
    if card.family == "classic":
        from arena.export.mtcnn import mtcnn_parts  # noqa: PLC0415

        return mtcnn_parts()
    from arena.export.matting import matting_part  # noqa: PLC0415

    return [matting_part(card, weights)]
