"""Everything between a matte and a finished picture as one value: what page, shell, option files and Python share."""

from __future__ import annotations

import tomllib
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, get_args

from arena.checks import LARGEST_KERNEL, checked_kernel, checked_share
from arena.compose import AS_SHOT, BLACK, Gradient, Placement, Plain, Transparent, parse_background, parse_colour
from arena.compose.background import checked_colour
from arena.compose.bokeh import checked_bokeh
from arena.compose.fit import checked_anchor, checked_fit, checked_scale
from arena.errors import OptionError
from arena.paths import expanded
from arena.photo import Photo
from arena.refine import PRESETS, RefineOptions
from arena.wording import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from arena.compose import Anchor, Bokeh, Colour, Fit

DEFAULT_KERNEL = 101
"""Blur strength of page and shell: the look of a fast portrait lens on a photo of a few megapixels."""


class _Unasked(Plain):
    """A background that nobody chose; equal to no chosen one, not even to one of its colour."""


WHITE = _Unasked((255, 255, 255))
"""What a passport photo has, and what a finish that was given no background holds."""

type Backdrop = Photo | Plain | Gradient | Transparent
"""What a subject is put in front of."""

DRAWN = ("#", "gradient:", "radial:", "rgb(", "hsl(", "hsv(")
"""How words begin that mean no file, so that a mistake in them is told as such."""

Distance = Literal["alike", "ground", "depth"]
DISTANCES: tuple[Distance, ...] = get_args(Distance)

OwnColours = Literal["auto", "fast", "multilevel", "off"]
OWN_COLOURS: tuple[OwnColours, ...] = get_args(OwnColours)


class Effect(StrEnum):
    """What becomes of the background."""

    BLUR = "blur"
    """It is blurred."""
    REPLACE = "replace"
    """Another takes its place."""
    CUTOUT = "cutout"
    """It becomes transparent."""


@dataclass(frozen=True, slots=True)
class Finish:
    """How a photo and its matte become a picture.

    Kernels are in pixels of the full-size photo, lengths of the refinement as :class:`arena.refine.RefineOptions` has
    them, and places are shares of the picture.
    """

    effect: Effect = Effect.BLUR
    """What becomes of the background."""
    kernel: int = DEFAULT_KERNEL
    """Size of the Gaussian kernel that blurs the photo's own background, odd, 1 (none) to 255."""
    bokeh: Bokeh = "gaussian"
    """What every blur makes of a point of light: ``"gaussian"``, or as a lens has it ``"disc"`` or ``"hexagon"``."""
    distance: Distance = "alike"
    """How the blur of the photo's own background goes with distance: ``"alike"`` everywhere; ``"ground"``, sharp at the
    subject's feet and growing with the ground's distance from them (where they are not in the picture, alike); or
    ``"depth"``, as the photo's depth map has it, which it must have (see :func:`arena.estimate_depth`)."""
    refine: RefineOptions = field(default_factory=RefineOptions)
    """What is done to the matte before."""
    colours: OwnColours = "auto"
    """Whether the subject's own colours are estimated where they mix with the old background, so that none of it is
    carried along: ``"auto"`` does it for soft mattes by the fast method, ``"off"`` takes the photo's colours."""
    background: Backdrop = WHITE
    """What replaces the background."""
    fit: Fit = "cover"
    """How a picture fills the frame: ``"cover"``, ``"contain"``, ``"stretch"`` or ``"tile"``."""
    anchor: Anchor = "centre"
    """Which point of a picture stays where it is when it does not fit."""
    background_scale: float = 1.0
    """Enlargement of a picture after the fit, 0.01 to 100."""
    fill: Colour = BLACK
    """Colour where a picture does not reach."""
    background_kernel: int = 1
    """Size of the kernel that blurs the new background, odd, 1 (none) to 255."""
    subject: Placement = AS_SHOT
    """Where the subject stands before a new background, and how large."""
    harmonise: float = 0.0
    """How much of the new background's light the subject takes on, 0 to 1."""
    light_wrap: float = 0.0
    """How much of that light falls onto the subject's edge, 0 to 1."""
    linear: bool = False
    """Mix light instead of sRGB levels when the background is replaced."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "effect", _effect(self.effect))
        if self.colours not in OWN_COLOURS:
            raise OptionError(f"colours must be one of {', '.join(OWN_COLOURS)}, but is {self.colours!r}.")
        for name in ("kernel", "background_kernel"):
            object.__setattr__(self, name, checked_kernel(name, getattr(self, name), LARGEST_KERNEL))
        checked_bokeh(self.bokeh)
        if self.distance not in DISTANCES:
            raise OptionError(f"distance must be one of {', '.join(DISTANCES)}, but is {self.distance!r}.")
        if not isinstance(self.refine, RefineOptions):
            raise OptionError(f"refine must be a RefineOptions, but is {self.refine!r}.")
        if not isinstance(self.background, (Photo, Plain, Gradient, Transparent)):
            raise OptionError(
                f"background must be a Photo, Plain, Gradient or Transparent, but is {self.background!r}.",
                "arena.read_backdrop makes one of a file name or a colour.",
            )
        checked_fit(self.fit)
        x, y = checked_anchor(self.anchor)
        if not isinstance(self.anchor, str):
            object.__setattr__(self, "anchor", (x, y))
        object.__setattr__(self, "background_scale", checked_scale(self.background_scale))
        object.__setattr__(self, "fill", checked_colour(self.fill, "fill"))
        if not isinstance(self.subject, Placement):
            raise OptionError(f"subject must be a Placement, but is {self.subject!r}.")
        for name in ("harmonise", "light_wrap"):
            object.__setattr__(self, name, checked_share(name, getattr(self, name)))
        if not isinstance(self.linear, bool):
            raise OptionError(f"linear must be true or false, but is {self.linear!r}.")

    @property
    def has_background(self) -> bool:
        """Whether a background was chosen; else ``background`` is a white one that nobody asked for."""
        return not isinstance(self.background, _Unasked)

    @property
    def needs_depth(self) -> bool:
        """Whether it takes a photo whose depth is known."""
        return self.effect is Effect.BLUR and self.distance == "depth" and self.kernel > 1

    @property
    def is_transparent(self) -> bool:
        """Whether the picture has an alpha channel, which not every file format holds."""
        return self.effect is Effect.CUTOUT or (
            self.effect is Effect.REPLACE and isinstance(self.background, Transparent)
        )

    def scaled(self, factor: float) -> Finish:
        """The same finish for a photo of another size, as a preview wants it.

        Args:
            factor: Side of that photo over the side of this one.

        Returns:
            Both kernels scaled to the nearest odd number; everything else goes by shares of the picture already, but
            for the size of a tile, which is the background picture's own.
        """
        return replace(
            self,
            kernel=scaled_kernel(self.kernel, factor),
            background_kernel=scaled_kernel(self.background_kernel, factor),
        )


def scaled_kernel(kernel: int, factor: float) -> int:
    """The kernel that blurs a resized photo as ``kernel`` blurs the photo.

    Args:
        kernel: Odd size in pixels of the photo.
        factor: Side of the resized photo over that of the photo.

    Returns:
        Odd size in pixels of the resized photo, 255 at most.
    """
    return min(2 * round((kernel - 1) * factor / 2) + 1, LARGEST_KERNEL)


def read_backdrop(text: str, folder: Path | None = None) -> Backdrop:
    """A background from what a user writes.

    Args:
        text: ``"transparent"``, a colour (``"white"``, ``"#a0b0c0"``), ``"gradient:#111-#eee@45"``,
            ``"radial:white-#888"``, or the path of a picture.
        folder: What a relative path starts from; None for the current one.

    Returns:
        The background.

    Raises:
        OptionError: It is neither a file nor any of the others.
        PhotoError: The file is no picture.
    """
    # A file called "white" is meant by "./white".
    try:
        return parse_background(text)
    except OptionError as error:
        path = _existing_file(text, folder)
        if path is not None:
            return Photo.open(path)
        if text.strip().lower().startswith(DRAWN):
            raise
        raise OptionError(
            f"{text!r} is neither a picture that exists nor a background that can be drawn.",
            "Name a file, a colour such as white or #a0b0c0, transparent, or gradient:#112233-#445566@45.",
        ) from error


def _existing_file(text: str, folder: Path | None) -> Path | None:
    try:
        path = expanded(text)
        if folder is not None:
            # An absolute path stays what it is.
            path = folder / path
        return path if path.is_file() else None
    except (OptionError, OSError):
        # The home of a user whom nobody knows, or longer than a name can be.
        return None


def write_backdrop(backdrop: Backdrop) -> str:
    """A background in the words that :func:`read_backdrop` reads.

    Args:
        backdrop: The background.

    Returns:
        The words; for a picture its name, which is not where it lies.
    """
    match backdrop:
        case Photo():
            return backdrop.name
        case Plain():
            return write_colour(backdrop.colour)
        case Gradient():
            colours = "-".join(map(write_colour, backdrop.colours))
            return f"radial:{colours}" if backdrop.shape == "radial" else f"gradient:{colours}@{backdrop.angle:.10g}"
        case Transparent():
            return "transparent"


def write_colour(colour: Colour) -> str:
    """A colour as ``#rrggbb``."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def finish_from_file(path: Path, base: Finish | None = None, *, with_source: bool = True) -> Finish:
    """A finish from a TOML file, as :func:`finish_from_mapping` shows one.

    Args:
        path: The file. Relative paths in it start from its folder.
        base: Where the values come from that the file does not name.
        with_source: Whether to read the background that it names; without, ``base`` keeps its own.

    Returns:
        The finish.

    Raises:
        OptionError: It cannot be read, or has a name or value that means nothing; the message names both.
        PhotoError: The background is a file and no picture.
    """
    mapping = read_toml(path)
    background = mapping.get("background")
    if not with_source and isinstance(background, dict):
        background.pop("source", None)
    try:
        return finish_from_mapping(mapping, base, path.parent)
    except OptionError as error:
        raise OptionError(f"{path}: {error.problem}", error.remedy, error.details) from error


def read_toml(path: Path) -> dict[str, Any]:
    """The values of an option file.

    Args:
        path: The file.

    Returns:
        Values by name; tables as mappings.

    Raises:
        OptionError: It cannot be read, or is no TOML.
    """
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise OptionError(f"There is no file {path}.", "Check the name and the folder.") from error
    except OSError as error:
        raise OptionError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise OptionError(
            f"{path} is no TOML: {error}.", 'A line reads name = value, a text is in "quotes".'
        ) from error


def finish_from_mapping(mapping: Mapping[str, Any], base: Finish | None = None, folder: Path | None = None) -> Finish:
    """A finish from plain values, as an option file has them.

    ::

        effect = "replace"
        colours = "auto"

        [refine]
        preset = "hair"
        grow = -0.5

        [background]
        source = "beach.jpg"
        fit = "cover"
        kernel = 31
        harmonise = 0.3

        [subject]
        x = 0.1
        scale = 0.8

    Args:
        mapping: Values by name; tables as mappings. ``refine`` has the fields of :class:`arena.refine.RefineOptions`,
            and a preset whose values the others change; ``subject`` those of :class:`arena.compose.Placement`.
        base: Where the values come from that ``mapping`` does not name. A preset leaves none of its refinement.
        folder: What relative paths in it start from; None for the current one.

    Returns:
        The finish.

    Raises:
        OptionError: A name is unknown or a value of another type or out of range; the message names it.
        PhotoError: The background is a file and no picture.
    """
    finish = base or Finish()
    check_known(mapping, (*_AT_THE_TOP, "refine", "background", "subject"), "")
    for name in _AT_THE_TOP:
        if name in mapping:
            finish = _changed(finish, name, mapping[name], name)
    refine, background, subject = (_table(mapping, name) for name in ("refine", "background", "subject"))
    finish = replace(finish, refine=_refinement(refine, finish.refine))
    check_known(background, _OF_BACKGROUND, " in [background]")
    for name, value in background.items():
        key = f"[background] {name}"
        with _named("", key):
            read = _read(name, value, folder)
        finish = _changed(finish, _OF_BACKGROUND[name], read, key)
    check_known(subject, [item.name for item in fields(Placement)], " in [subject]")
    for name, value in subject.items():
        with _named(name, f"[subject] {name}"):
            finish = replace(finish, subject=replace(finish.subject, **{name: value}))
    return finish


def finish_to_mapping(finish: Finish) -> dict[str, Any]:
    """What sets a finish apart from the default, as plain values for a TOML or JSON file.

    Args:
        finish: The finish.

    Returns:
        What :func:`finish_from_mapping` makes the same finish of, but for a picture as the background: of that only
        the name is known.
    """
    default = Finish()
    mapping: dict[str, Any] = {
        name: value for name in _AT_THE_TOP if (value := getattr(finish, name)) != getattr(default, name)
    }
    if "effect" in mapping:
        mapping["effect"] = str(finish.effect)
    standard = default.refine.to_mapping()
    tables: dict[str, dict[str, Any]] = {
        "refine": {name: value for name, value in finish.refine.to_mapping().items() if value != standard[name]},
        "background": {
            name: _written(getattr(finish, item))
            for name, item in _OF_BACKGROUND.items()
            if getattr(finish, item) != getattr(default, item)
        },
        "subject": {
            item.name: value
            for item in fields(Placement)
            if (value := getattr(finish.subject, item.name)) != getattr(default.subject, item.name)
        },
    }
    return mapping | {name: table for name, table in tables.items() if table}


def preset_named(name: object) -> RefineOptions:
    """A refinement by its name.

    Raises:
        OptionError: There is none of that name.
    """
    if not isinstance(name, str) or name not in PRESETS:
        raise OptionError(f"There is no preset {name!r}.", f"Presets are {', '.join(PRESETS)}.")
    return PRESETS[name]


def renamed(error: OptionError, name: str, given: str) -> OptionError:
    """An error in the words of whoever gave the value.

    Args:
        error: What is wrong.
        name: What the message may call the value.
        given: What its giver calls it: a key of a file, a flag.

    Returns:
        The error with a message that begins with ``given``.
    """
    for joint in (" ", ": "):
        if name and error.problem.startswith(name + joint):
            return OptionError(given + error.problem.removeprefix(name), error.remedy, error.details)
    return OptionError(f"{given}: {error.problem}", error.remedy, error.details)


_AT_THE_TOP = ("effect", "kernel", "bokeh", "distance", "colours")
"""Fields of :class:`Finish` that no table holds."""

_OF_BACKGROUND = {
    "source": "background",
    "fit": "fit",
    "anchor": "anchor",
    "scale": "background_scale",
    "fill": "fill",
    "kernel": "background_kernel",
    "harmonise": "harmonise",
    "light_wrap": "light_wrap",
    "linear": "linear",
}
"""Fields of :class:`Finish` by their names in the table of the background."""


def _changed(finish: Finish, name: str, value: object, given: str) -> Finish:
    values: dict[str, Any] = {name: value}
    with _named(name, given):
        return replace(finish, **values)


def _refinement(table: Mapping[str, Any], base: RefineOptions) -> RefineOptions:
    check_known(table, ["preset", *(item.name for item in fields(RefineOptions))], " in [refine]")
    options = base
    if "preset" in table:
        with _named("", "[refine] preset"):
            options = preset_named(table["preset"])
    for name, value in table.items():
        if name != "preset":
            with _named(name, f"[refine] {name}"):
                options = RefineOptions.from_mapping({name: value}, options)
    return options


def _read(name: str, value: object, folder: Path | None) -> object:
    """A value of the table of the background, from how it is written."""
    if name in {"source", "fill"} and not isinstance(value, str):
        raise OptionError(f"{value!r} is no text.", "Write it in quotes.")
    if name == "source":
        return read_backdrop(str(value), folder)
    if name == "fill":
        return parse_colour(str(value))
    return tuple(value) if isinstance(value, list) else value


def _written(value: object) -> object:
    """A value of the table of the background, as :func:`_read` reads it."""
    if isinstance(value, (Photo, Plain, Gradient, Transparent)):
        return write_backdrop(value)
    if isinstance(value, tuple):
        return write_colour(checked_colour(value)) if len(value) == 3 else list(value)
    return value


def _effect(value: object) -> Effect:
    try:
        return Effect(str(value))
    except ValueError:
        raise OptionError(f"effect must be one of {', '.join(Effect)}, but is {value!r}.") from None


def _table(mapping: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    table = mapping.get(name, {})
    if not isinstance(table, dict):
        raise OptionError(f"{name} is {table!r}, not a table.", f"Write it as [{name}] with its values below.")
    return table


def check_known(table: Mapping[str, Any], names: Iterable[str], where: str) -> None:
    """Refuse a table with a name in it that means nothing.

    Args:
        table: Values by name.
        names: Those that there are.
        where: Where the table is, as the end of a sentence: ``" in [subject]"``; empty for the top of a file.

    Raises:
        OptionError: There is another name; the message says which was meant.
    """
    known = list(names)
    for name in table:
        if name not in known:
            hint = did_you_mean(name, known)
            raise OptionError(f"There is no option {name!r}{where}.", f"{hint} There are {', '.join(known)}.".lstrip())


@contextmanager
def _named(name: str, given: str) -> Iterator[None]:
    try:
        yield
    except OptionError as error:
        raise renamed(error, name, given) from error
