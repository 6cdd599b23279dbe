"""Options that several commands share, so that they are called and explained the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from arena.errors import OptionError

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
PhotoArgument = Annotated[Path, typer.Argument(metavar="PHOTO", show_default=False, help="The photo.")]


def prompts_for(keys: list[str], prompt: str | None) -> dict[str, dict[str, str]]:
    """Hand a text prompt to the models that take one.

    Args:
        keys: The models that will run.
        prompt: The text, or None if there is none.

    Returns:
        Prompts by model key, as :func:`arena.compare` takes them.

    Raises:
        OptionError: There is a text, but none of the models takes one.
    """
    from arena.catalog import get_card  # noqa: PLC0415 - only when a prompt is given

    if prompt is None:
        return {}
    takers = [key for key in keys if get_card(key).text_prompt]
    if not takers:
        raise OptionError(f"None of {', '.join(keys)} takes a text.", "Add -m sam3, or leave --prompt out.")
    return {key: {"prompt": prompt} for key in takers}
