"""Options that several commands share, so that they are called and explained the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from arena.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ModelOption = Annotated[
    str, typer.Option("--model", "-m", metavar="KEY", help="The model to use; `arena models` lists them.")
]
DeviceOption = Annotated[
    str, typer.Option("--device", "-d", metavar="DEVICE", help="auto, cpu, mps, cuda or cuda:N.", show_default=True)
]
QualityOption = Annotated[int, typer.Option("--quality", min=1, max=100, help="Quality of a JPEG or WebP result.")]
PromptOption = Annotated[
    str | None,
    typer.Option(
        "--prompt", metavar="TEXT", help="What to look for, for models that take a text (sam3).", show_default=False
    ),
]
BoxesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--box",
        metavar="X0,Y0,X1,Y1",
        help="A box around what is meant, in pixels of the photo: left, top, right, bottom. Repeat for more; close "
        "boxes around single things work best. For models that take boxes (sam-vit-b, sam3).",
        show_default=False,
    ),
]
PointsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--point",
        metavar="X,Y[,-]",
        help="A point on what is meant, in pixels of the photo; with a minus, on what is not. Repeat for more. For "
        "models that take points (sam-vit-b).",
        show_default=False,
    ),
]
HairOption = Annotated[
    bool, typer.Option("--hair", help="Follow the strands of hair beyond the outline (lite, SAM, Remback).")
]
PhotoArgument = Annotated[Path, typer.Argument(metavar="PHOTO", show_default=False, help="The photo.")]

_FLAGS = {"text": ("--prompt", "sam3"), "box": ("--box", "sam-vit-b"), "point": ("--point", "sam-vit-b")}
"""For each kind of prompt its flag, and a model that takes it."""


def prompts_for(
    keys: Sequence[str],
    prompt: str | None = None,
    boxes: Sequence[str] | None = None,
    points: Sequence[str] | None = None,
    *,
    hair: bool = False,
) -> dict[str, dict[str, Any]]:
    """Hand text, boxes and points to the models that take them.

    Args:
        keys: The models that will run.
        prompt: The text, or None if there is none.
        boxes: Boxes as they were typed.
        points: Points as they were typed.
        hair: Whether strands beyond a mask's outline are to be followed.

    Returns:
        Prompts by model key, as :func:`arena.compare` takes them.

    Raises:
        OptionError: Something is no box or no point; none of the models takes what was given; or one of them needs a
            box or a point, and there is none.
    """
    from arena.catalog import Task, get_card  # noqa: PLC0415 - --help does not wait for it
    from arena.prompts import nothing_shown, parse_box, parse_point  # noqa: PLC0415 - it brings NumPy

    given: dict[str, dict[str, Any]] = {"text": {}, "box": {}, "point": {}}
    if prompt is not None:
        given["text"] = {"prompt": prompt}
    if boxes:
        given["box"] = {"boxes": [parse_box(text) for text in boxes]}
    if points:
        places, labels = zip(*map(parse_point, points), strict=True)
        given["point"] = {"points": list(places), "labels": list(labels)}
    cards = [get_card(key) for key in keys]
    told: dict[str, dict[str, Any]] = {key: {} for key in keys}
    for kind, words in given.items():
        takers = [card.key for card in cards if getattr(card, f"{kind}_prompt")]
        if words and not takers:
            flag, example = _FLAGS[kind]
            raise OptionError(f"None of {', '.join(keys)} takes a {kind}.", f"Add -m {example}, or leave {flag} out.")
        for key in takers:
            told[key] |= words
    for card in cards:
        if card.task is Task.PROMPTED and not told[card.key]:
            raise nothing_shown(card.label)
    followers = [card.key for card in cards if hair and card.hair_prompt]
    if hair and not followers:
        raise OptionError(f"None of {', '.join(keys)} follows hair.", "Add -m lite, or say --refine hair instead.")
    for key in followers:
        told[key] |= {"hair": True}
    return {key: words for key, words in told.items() if words}


def is_told(prompts: Mapping[str, Mapping[str, Any]], key: str) -> bool:
    """Whether a model was told what to look for, and not merely how.

    Args:
        prompts: As :func:`prompts_for` gives them.
        key: The model's.

    Returns:
        Whether text, boxes or points are among them.
    """
    return any(name != "hair" for name in prompts.get(key, {}))
