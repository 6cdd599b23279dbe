"""The flags of ``remback``: every number of the pipeline, and what they and an option file come to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from arena.cli.flags import Flag, FlagGroup
from arena.errors import OptionError

if TYPE_CHECKING:
    from arena.models.remback import RembackOptions

# Where this list belongs imports OpenCV, for which --help does not wait; a test holds them equal.
Faces = Literal["largest", "all"]


@dataclass(frozen=True, kw_only=True)
class LookFlags(FlagGroup):
    """What is done after the cut-out."""

    panel = "After the cut-out"

    sharp: Annotated[
        float | None, Flag("--sharp", "sharp", "Strength of an unsharp mask. Default: 0, none.", "STRENGTH")
    ] = None
    sharp_sigma: Annotated[
        float | None, Flag("--sharp_sigma", "sharp_sigma", "Its Gaussian, in pixels. Default: 1.0.", "PIXELS")
    ] = None
    contrast: Annotated[
        float | None, Flag("--contrast", "contrast", "Multiply the levels by this. Default: 1.0.", "FACTOR")
    ] = None
    quality: Annotated[
        int | None, Flag("--quality", "quality", "Of a JPEG or WebP, 1 to 100. Default: 92.", "NUMBER")
    ] = None


@dataclass(frozen=True, kw_only=True)
class MaskFlags(FlagGroup):
    """From the face to the mask."""

    panel = "From the face to the mask"

    faces: Annotated[
        Faces | None, Flag("--faces", "faces", "Whose person: that of the largest face, or all. Default: largest.")
    ] = None
    face_side: Annotated[
        int | None,
        Flag("--face_side", "face_side", "Look for faces at this longest side. Default: 640.", "PIXELS"),
    ] = None
    min_face: Annotated[
        float | None,
        Flag("--min_face", "min_face", "Smallest face, as a share of the shorter side. Default: 0.06.", "SHARE"),
    ] = None
    min_score: Annotated[
        float | None,
        Flag("--min_score", "min_score", "Least probability of a face. Default: 0.9.", "SHARE"),
    ] = None
    pad_sides: Annotated[
        float | None,
        Flag("--pad_sides", "pad_sides", "Widen the face's box, in widths to each side. Default: 1.2.", "WIDTHS"),
    ] = None
    pad_up: Annotated[float | None, Flag("--pad_up", "pad_up", "And in heights upwards. Default: 0.05.", "HEIGHTS")] = (
        None
    )
    pad_down: Annotated[
        float | None, Flag("--pad_down", "pad_down", "And in heights downwards. Default: 0.2.", "HEIGHTS")
    ] = None
    mask_thresh: Annotated[
        float | None,
        Flag("--mask_thresh", "mask_thresh", "SAM's logit above which a pixel is kept. Default: 0.1.", "LOGIT"),
    ] = None
    components: Annotated[
        int | None,
        Flag("--components", "components", "Keep this many of the largest parts; 0 keeps all. Default: 1.", "NUMBER"),
    ] = None
    opening: Annotated[
        int | None, Flag("--opening", "opening", "Remove specks below this odd size. Default: 5.", "PIXELS")
    ] = None
    closing: Annotated[
        int | None, Flag("--closing", "closing", "Close gaps below this odd size. Default: 5.", "PIXELS")
    ] = None
    hair: Annotated[
        bool | None, Flag("--hair", "hair", "Follow strands beyond the mask, instead of --sigma. Default: false.")
    ] = None
    sigma: Annotated[
        float | None, Flag("--sigma", "sigma", "Gaussian that makes the mask an alpha. Default: 0.5.", "PIXELS")
    ] = None
    alpha_cut: Annotated[
        float | None,
        Flag("--alpha_cut", "alpha_cut", "Alpha below which a JPEG is white. Default: 0.4.", "ALPHA"),
    ] = None


def read_options(config: Path | None, *groups: FlagGroup) -> RembackOptions:
    """What an option file and flags come to: flags before the file, the file before the published numbers.

    Args:
        config: A TOML file of the fields of :class:`arena.models.remback.RembackOptions`, if there is one.
        groups: The flags.

    Returns:
        The options.

    Raises:
        OptionError: The file or a value is not what it should be; the message names the file or the flag.
    """
    # Imported here so that --help does not wait for OpenCV.
    from arena.finish import read_toml, renamed  # noqa: PLC0415
    from arena.models.remback import RembackOptions  # noqa: PLC0415

    options = RembackOptions()
    if config is not None:
        table = read_toml(config)
        try:
            options = RembackOptions.from_mapping(table)
        except OptionError as error:
            raise OptionError(f"{config}: {error.problem}", error.remedy, error.details) from error
    for group in groups:
        for flag, value in group.given():
            try:
                options = RembackOptions.from_mapping({flag.key: value}, options)
            except OptionError as error:
                raise renamed(error, flag.key, flag.name) from error
    return options
