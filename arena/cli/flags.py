"""Groups of flags: written down once as a dataclass, spread over every command that takes them."""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, get_args, get_type_hints

import typer

from arena.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True, slots=True)
class Flag:
    """What marks a field of a :class:`FlagGroup` as a flag: ``Annotated[float | None, Flag(...)] = None``."""

    name: str
    """As it is typed: ``--grow``."""
    key: str
    """What it is called in an option file: ``kernel``, ``refine.grow``."""
    help: str
    """What it does, in one line."""
    metavar: str | None = None
    """What its value is called there; None for Typer's own word."""
    bounds: tuple[float, float] | None = None
    """Smallest and largest value, where the option itself has no bounds that would keep a mistake from taking hours."""
    short: str = ""
    """Another name of one letter."""
    off: bool = False
    """It switches off what it names, as a flag of its own: help has a whole column for the second half of
    ``--linear/--no-linear``."""


class FlagGroup:
    """Base of the groups: a frozen dataclass whose fields are all flags, None where the flag was not given."""

    panel: ClassVar[str]
    """Heading of the group in ``--help``."""

    @classmethod
    def parameters(cls, prefix: str) -> Iterator[inspect.Parameter]:
        """The flags as Typer wants to see them.

        Args:
            prefix: What their names as parameters begin with, so that those of two groups differ.

        Yields:
            One keyword parameter for each, None by default.
        """
        hints = get_type_hints(cls, include_extras=True)
        for field in fields(cls):  # type: ignore[arg-type]
            kind, flag = get_args(hints[field.name])
            option = typer.Option(
                *(name for name in (flag.name, flag.short) if name),
                help=flag.help,
                metavar=flag.metavar,
                show_default=False,
                rich_help_panel=cls.panel,
            )
            yield inspect.Parameter(
                f"{prefix}_{field.name}",
                inspect.Parameter.KEYWORD_ONLY,
                default=None,
                annotation=Annotated[kind, option],
            )

    @classmethod
    def flags(cls) -> dict[str, Flag]:
        """The flags by the names of their fields."""
        hints = get_type_hints(cls, include_extras=True)
        return {field.name: get_args(hints[field.name])[1] for field in fields(cls)}  # type: ignore[arg-type]

    def given(self) -> Iterator[tuple[Flag, Any]]:
        """The flags that were given, with their values.

        Raises:
            OptionError: A value is out of its flag's bounds.
        """
        for name, flag in self.flags().items():
            value = getattr(self, name)
            if value is None:
                continue
            if flag.bounds is not None and not flag.bounds[0] <= value <= flag.bounds[1]:
                lowest, highest = flag.bounds
                raise OptionError(f"{flag.name} must be from {lowest:g} to {highest:g}, but is {value!r}.")
            yield flag, value


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """Make a command whose parameters may be flag groups one that Typer understands.

    Args:
        command: The command; a parameter annotated with a :class:`FlagGroup` stands for all flags of it.

    Returns:
        The same with every flag a parameter of its own.
    """
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, type[FlagGroup]] = {}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        kind = hints[name]
        if isinstance(kind, type) and issubclass(kind, FlagGroup):
            groups[name] = kind
            parameters.extend(kind.parameters(name))
        else:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=kind))

    @functools.wraps(command)
    def run(**values: Any) -> None:
        for name, group in groups.items():
            chosen = {field: values.pop(f"{name}_{field}") for field in group.flags()}
            values[name] = group(**chosen)
        command(**values)

    # Both are read: the one for order and defaults, the other for types.
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run
