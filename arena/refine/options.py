"""The refinement chain as one value: what page, shell, option files and Python share."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from arena.checks import checked_alpha, checked_kernel, checked_number, checked_photo, checked_whole, is_whole
from arena.errors import OptionError
from arena.refine import matting, morphology
from arena.refine.edges import LARGEST_BILATERAL, bilateral, guided, soften
from arena.wording import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from numpy.typing import NDArray

    Alpha = NDArray[np.float32]

REFERENCE_SIDE = 1000
"""Longer side in pixels of the picture that the lengths of :class:`RefineOptions` are meant for."""

LIMITS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "opening": (1, 99),
        "closing": (1, 99),
        "trimap_width": (0, 25),
        "guided_radius": (0, 100),
        "grow": (-25, 25),
        "feather_sigma": (0, 100),
    }
)
"""What is sensible in a file or on a command line. In code there is no limit: options that are scaled to a large photo
exceed these."""

Matting = Literal["off", "closed-form", "knn", "vitmatte"]
MATTINGS: tuple[Matting, ...] = get_args(Matting)


@dataclass(frozen=True, slots=True)
class RefineOptions:
    """What is done to a matte, in the order of these fields; as constructed, nothing.

    First the noise goes (bilateral filter), then the shape is set (threshold, opening, closing, parts, holes), then the
    photo has its say on the edge (matting, guided filter), and last comes taste (growth, feather).

    Lengths are in pixels of a picture whose longer side is 1000. :func:`refine` scales them to the matte that it is
    given, so that a preview and a 12-megapixel export look alike.
    """

    bilateral_diameter: int = 1
    """Window of the bilateral filter, odd; 1 leaves it out."""
    bilateral_sigma_alpha: float = 0.15
    """How different two alphas may be and still be averaged, 0 to 1: noise is smoothed, the edge stays."""
    bilateral_sigma_space: float = 2.0
    """How far apart two pixels may be and still be averaged."""
    threshold: float = 0.0
    """Alpha from which on a pixel is the subject, 0 to 1; 0 leaves the matte soft."""
    threshold_softness: float = 0.0
    """Width in alpha of a ramp about the threshold, 0 to 1; 0 makes the matte binary."""
    opening: int = 1
    """Kernel of the opening, odd: smaller specks in the background vanish; 1 leaves it out."""
    opening_iterations: int = 1
    """How often it erodes and then dilates; 0 leaves it out."""
    closing: int = 1
    """Kernel of the closing, odd: smaller holes in the subject fill; 1 leaves it out."""
    closing_iterations: int = 1
    """How often it dilates and then erodes; 0 leaves it out."""
    components: int = 0
    """How many of the largest connected parts stay; 0 keeps all."""
    holes: float = 0.0
    """Area up to which an enclosed hole is filled, as a share of the picture, 0 to 1; 0 leaves them."""
    matting: Matting = "off"
    """Solve the edge anew from the photo: by ``"closed-form"`` or ``"knn"``, both slow and in need of pymatting, or by
    the network ``"vitmatte"``."""
    trimap_width: float = 5.0
    """How far around the soft edge alpha is taken as unknown by the matting, 0 to 25."""
    guided_radius: float = 0.0
    """Half width of the guided filter's window; 0 leaves it out."""
    guided_epsilon: float = 1e-4
    """Colour variance, for values from 0 to 1, that the guided filter ignores: larger is smoother."""
    grow: float = 0.0
    """How far the outline moves outwards, below 0 inwards, -25 to 25."""
    feather_sigma: float = 0.0
    """Standard deviation of the Gaussian feather; 0 leaves it out."""

    def __post_init__(self) -> None:
        for name in ("bilateral_diameter", "opening", "closing"):
            checked_kernel(name, getattr(self, name))
        if self.bilateral_diameter > LARGEST_BILATERAL:
            raise OptionError(
                f"bilateral_diameter must be at most {LARGEST_BILATERAL}, but is {self.bilateral_diameter}."
            )
        for name in ("opening_iterations", "closing_iterations", "components"):
            checked_whole(name, getattr(self, name), 0)
        for name in ("bilateral_sigma_alpha", "bilateral_sigma_space", "guided_epsilon"):
            checked_number(name, getattr(self, name), above=0)
        for name in ("threshold", "threshold_softness", "holes"):
            checked_number(name, getattr(self, name), 0, 1)
        for name in ("trimap_width", "guided_radius", "feather_sigma"):
            checked_number(name, getattr(self, name), 0)
        checked_number("grow", self.grow)
        if self.matting not in MATTINGS:
            raise OptionError(f"matting must be one of {', '.join(MATTINGS)}, but is {self.matting!r}.")

    @property
    def changes_nothing(self) -> bool:
        """Whether no step is on."""
        return (
            self.bilateral_diameter == 1
            and self.threshold == 0
            and (self.opening == 1 or self.opening_iterations == 0)
            and (self.closing == 1 or self.closing_iterations == 0)
            and self.components == 0
            and self.holes == 0
            and not self.needs_photo
            and self.grow == 0
            and self.feather_sigma == 0
        )

    @property
    def needs_photo(self) -> bool:
        """Whether a step that is on looks at the photo."""
        return self.matting != "off" or self.guided_radius > 0

    def scaled(self, factor: float) -> Self:
        """The same refinement with lengths for a picture of another size.

        :func:`refine` does this itself; what is scaled here is scaled once more there.

        Args:
            factor: How many times larger the picture is, above 0.

        Returns:
            Options whose lengths are multiplied and, where they must be, rounded to odd numbers. The bilateral window
            grows to 15 px at most, since its time grows with its area, and so do growth and trimap to 100 px. What was
            left out stays out.

        Raises:
            OptionError: ``factor`` is not above 0.
        """
        factor = checked_number("factor", factor, above=0)
        largest = morphology.LARGEST_GROWTH
        return replace(
            self,
            bilateral_diameter=min(_odd(self.bilateral_diameter, factor), LARGEST_BILATERAL),
            bilateral_sigma_space=self.bilateral_sigma_space * factor,
            opening=_odd(self.opening, factor),
            closing=_odd(self.closing, factor),
            trimap_width=min(self.trimap_width * factor, largest),
            guided_radius=self.guided_radius * factor,
            grow=max(-largest, min(self.grow * factor, largest)),
            feather_sigma=self.feather_sigma * factor,
        )

    def to_mapping(self) -> dict[str, int | float | str]:
        """The options as plain values, for a TOML or JSON file.

        Returns:
            Every field by its name, in the order of the steps.
        """
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any], base: RefineOptions | None = None) -> RefineOptions:
        """Options from plain values, as a TOML or JSON file has them.

        Args:
            mapping: Values by the names of the fields; whole numbers do for others.
            base: Where the values come from that ``mapping`` does not name; by default, nothing is done.

        Returns:
            The options.

        Raises:
            OptionError: A name is unknown, or a value of another type or out of range; the message names it.
        """
        known = [field.name for field in fields(cls)]
        for name in mapping:
            if name not in known:
                hint = did_you_mean(name, known)
                raise OptionError(
                    f"There is no refinement option {name!r}.", f"{hint} There are {', '.join(known)}.".lstrip()
                )
        # Whole numbers become fractions where the field is one, so that equal options are written alike.
        whole = {field.name for field in fields(cls) if field.type == "int"}
        values: dict[str, Any] = {
            name: float(value) if name not in whole and is_whole(value) else value for name, value in mapping.items()
        }
        for name, (least, most) in LIMITS.items():
            if name in values:
                checked_number(name, values[name], least, most)
        return replace(base or cls(), **values)


def refine(
    alpha: Alpha,
    rgb: NDArray[Any] | None = None,
    options: RefineOptions | None = None,
    network: matting.Solver | None = None,
) -> Alpha:
    """Run the steps that are on, in the order of the fields of :class:`RefineOptions`.

    Args:
        alpha: float32, H x W, 0 to 1.
        rgb: The photo, uint8, H x W x 3; needed by the steps that look at it.
        options: What to do, in lengths for a picture whose longer side is 1000; they are scaled to this one. By default
            nothing is done.
        network: What solves the edge where ``matting`` is ``"vitmatte"``, as :func:`arena.refine.matting.by_network`
            wants it: ``arena.models.vitmatte.load_matting().solve``.

    Returns:
        float32, H x W, 0 to 1; a new array.

    Raises:
        OptionError: A step needs the photo and there is none, or of another size; a length is out of range once scaled;
            pymatting is asked for and not installed; a network is, and none is given; or ``alpha`` is no matte.
    """
    matte = checked_alpha(alpha)
    options = options or RefineOptions()
    photo = None if rgb is None else checked_photo(rgb, matte.shape)
    if options.needs_photo and photo is None:
        raise OptionError("The guided filter and the matting need the photo.", "Give it, or turn them off.")
    if options.matting == "vitmatte" and network is None:
        raise OptionError(
            "The matting by vitmatte needs its network.",
            "Refine the finished matte by arena.render_finish and its like, or choose another.",
        )
    here = options.scaled(max(matte.shape) / REFERENCE_SIDE)
    out = _shaped(_steady(matte, here), here)
    if photo is not None:
        out = _fitted(out, photo, here, network)
    if here.grow != 0:
        out = morphology.grow(out, here.grow)
    if here.feather_sigma > 0:
        out = soften(out, here.feather_sigma)
    return out.copy() if np.may_share_memory(out, alpha) else out


def _steady(matte: Alpha, options: RefineOptions) -> Alpha:
    if options.bilateral_diameter == 1:
        return matte
    return bilateral(matte, options.bilateral_diameter, options.bilateral_sigma_alpha, options.bilateral_sigma_space)


def _shaped(matte: Alpha, options: RefineOptions) -> Alpha:
    """What belongs to the subject."""
    if options.threshold > 0:
        matte = morphology.threshold(matte, options.threshold, options.threshold_softness)
    if options.opening > 1:
        matte = morphology.opening(matte, options.opening, options.opening_iterations)
    if options.closing > 1:
        matte = morphology.closing(matte, options.closing, options.closing_iterations)
    if options.components > 0:
        matte = morphology.largest_components(matte, options.components)
    if options.holes > 0:
        matte = morphology.fill_holes(matte, options.holes)
    return matte


def _fitted(matte: Alpha, photo: NDArray[np.uint8], options: RefineOptions, network: matting.Solver | None) -> Alpha:
    """The edge by the photo."""
    if options.matting != "off":
        trimap = matting.make_trimap(matte, options.trimap_width)
        # A subject without a core, or none at all, leaves nothing to solve from.
        if matting.solvable(trimap):
            if network is not None and options.matting == "vitmatte":
                matte = matting.by_network(network, photo, trimap)
            else:
                matte = (matting.closed_form if options.matting == "closed-form" else matting.knn)(photo, trimap)
    if options.guided_radius > 0:
        matte = guided(matte, photo, options.guided_radius, options.guided_epsilon)
    return matte


def _odd(length: int, factor: float) -> int:
    """An odd length scaled to the nearest odd length, at least 1; 1 means "left out" and stays 1."""
    return 1 if length == 1 else 2 * round((length * factor - 1) / 2) + 1


PRESETS: Mapping[str, RefineOptions] = MappingProxyType(
    {
        "as-is": RefineOptions(),
        "u2net-classic": RefineOptions(bilateral_diameter=5, opening=3, closing=5, feather_sigma=0.7),
        "hair": RefineOptions(components=1, guided_radius=3.0, guided_epsilon=2e-4),
    }
)
"""Refinements that have a name.

"hair" was chosen on eight recorded mattes, coarsened in seven ways. The guided filter takes 24 to 61 % off the gradient
error, and 10 to 25 % off the absolute one where the coarse edge is sharp, 0 (±1 %) where it is soft. Keeping one part
takes 33 and 47 % off the absolute error where there are specks and veils. Filling holes, opening, closing, bilateral
filter and feather each made more of the seven worse than better. A matte that is right down to the hair loses by it."""

PRESET_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "as-is": "The model's own matte, untouched.",
        "u2net-classic": "For coarse outlines: specks and pinholes removed, the edge smoothed and lightly feathered.",
        "hair": "The largest figure alone, its edge drawn along the hair in the photo.",
    }
)
"""What each preset does, in one line."""
