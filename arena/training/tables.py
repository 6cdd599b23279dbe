"""Settings as TOML: read into dataclasses with every mistake named, and written so that they can be read again."""

from __future__ import annotations

import dataclasses
import json
import math
import tomllib
from typing import TYPE_CHECKING, Any

from arena.errors import OptionError
from arena.wording import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def read_table(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Args:
        path: The file.

    Returns:
        What is in it.

    Raises:
        OptionError: There is no such file, or it is no TOML.
    """
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise OptionError(f"{path} cannot be read as TOML: {error}.") from error


def build[T](kind: type[T], table: Mapping[str, Any], where: str) -> T:
    """Make settings of a table.

    Args:
        kind: A dataclass.
        table: Values by the names of its fields; lists become tuples.
        where: What messages call the table.

    Returns:
        The settings.

    Raises:
        OptionError: A name is unknown, or a value means nothing; the message names it.
    """
    known = {item.name: item.default for item in dataclasses.fields(kind)}  # type: ignore[arg-type]
    if not isinstance(table, dict):
        raise OptionError(f"{where} is {table!r}, where a table of values is wanted.")
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
    for key, value in values.items():
        if key not in known:
            raise OptionError(
                f"{where} has no {key!r}.", did_you_mean(key, known) or f"It has {', '.join(sorted(known))}."
            )
        if not _is_like(value, known[key]):
            raise OptionError(f"{where}: {key} is {value!r}, where something like {known[key]!r} is wanted.")
    try:
        return kind(**values)
    except TypeError as error:
        raise OptionError(f"{where}: {error}.") from error


def _is_like(value: object, default: object) -> bool:
    """Whether a value is of the kind of a field's default; a whole number does for a fraction."""
    if default is dataclasses.MISSING:
        return True
    if isinstance(default, float):
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return type(value) is type(default)


def _written(value: object) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    # All other kinds TOML and JSON write alike.
    return json.dumps(value, ensure_ascii=False)


def write_table(settings: object) -> str:
    """Write settings as TOML.

    Args:
        settings: A dataclass of numbers, texts, truth values, lists of them, and dataclasses of these.

    Returns:
        The text; :func:`build` makes the same of what is read from it.
    """
    values = {item.name: getattr(settings, item.name) for item in dataclasses.fields(settings)}  # type: ignore[arg-type]
    tables = {name: value for name, value in values.items() if dataclasses.is_dataclass(value)}
    lines = [f"{name} = {_written(value)}" for name, value in values.items() if name not in tables]
    parts = [f"\n[{name}]\n{write_table(value)}" for name, value in tables.items()]
    return "\n".join(lines) + "\n" + "".join(parts)
