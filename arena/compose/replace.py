"""The subject in front of another background."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from arena.checks import LARGEST_KERNEL, checked_kernel, checked_pair, checked_rgb, checked_share, checked_whole
from arena.compose.background import (
    BLACK,
    Background,
    Colour,
    Gradient,
    Plain,
    Transparent,
    checked_background,
    checked_colour,
)
from arena.compose.blur import blur_plate
from arena.compose.bokeh import checked_bokeh
from arena.compose.composite import composite
from arena.compose.cutout import cutout
from arena.compose.fit import Anchor, Fit, checked_anchor, checked_fit, checked_scale, fit_background
from arena.compose.harmonise import harmonise_colours
from arena.compose.light import composite_linear
from arena.compose.lightwrap import wrap_light
from arena.compose.placement import AS_SHOT, Placement, place_subject
from arena.errors import OptionError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from arena.compose.bokeh import Bokeh


def replace_background(
    rgb: NDArray[Any],
    alpha: NDArray[Any],
    background: Background,
    *,
    foreground: NDArray[Any] | None = None,
    fit: Fit = "cover",
    anchor: Anchor = "centre",
    scale: float = 1.0,
    fill: Colour = BLACK,
    kernel: int = 1,
    passes: int = 3,
    bokeh: Bokeh = "gaussian",
    subject: Placement = AS_SHOT,
    harmonise: float = 0.0,
    light_wrap: float = 0.0,
    linear: bool = False,
) -> NDArray[np.uint8]:
    """Lay the subject over a new background.

    Args:
        rgb: Photo, H x W x 3, uint8, any size from 1 x 1.
        alpha: Matte, H x W, float32 in [0, 1]: the subject's share of each pixel.
        background: A picture, ``Plain``, ``Gradient`` or ``Transparent``; ``parse_background`` reads the last three
            from text.
        foreground: The subject's own colours, H x W x 3, uint8, as ``arena.refine.estimate_foreground`` gives them;
            without them the photo's are taken, which carry some of the old background at soft edges.
        fit: How a picture comes to the frame's size: ``"cover"``, ``"contain"``, ``"stretch"`` or ``"tile"``, see
            ``fit_background``, also for the next three.
        anchor: Which point of the picture lies on the same point of the frame.
        scale: Enlargement of the picture after the fit, 0.01 to 100.
        fill: Colour where the picture does not reach, and behind its transparent parts.
        kernel: Size of the Gaussian kernel that blurs the new background, in pixels of this array, odd, 1 to 255; 1
            leaves it sharp.
        passes: How often the kernel is applied, at least 1; as in ``blur_background``, so that equal kernels look
            alike.
        bokeh: What that blur makes of a point of light; see ``blur_background``.
        subject: Where the subject stands and how large it is.
        harmonise: How much of the background's colour and light the subject takes on, 0 to 1; see
            ``harmonise_colours``. The background itself never changes.
        light_wrap: How much of the background's light falls onto the subject's edge, 0 to 1; see ``wrap_light``.
        linear: Mix light instead of sRGB levels; see ``composite_linear``.

    Returns:
        H x W x 3, uint8: exactly the background where alpha is 0 and, with neither harmonisation nor light wrap,
        exactly the foreground where it is 1. For ``Transparent`` H x W x 4, uint8, RGBA, straight alpha; there is then
        nothing to blur, to harmonise with, to wrap or to mix, and those options have no effect.

    Raises:
        OptionError: An argument is of another type, size or range.
    """
    photo, matte = checked_pair(rgb, alpha)
    scenery = checked_background(background)
    checked_fit(fit), checked_anchor(anchor), checked_scale(scale), checked_colour(fill, "fill")
    checked_bokeh(bokeh)
    size, repeats = checked_kernel("kernel", kernel, LARGEST_KERNEL), checked_whole("passes", passes, 1)
    colour_strength, light_strength = (
        checked_share("harmonise", harmonise),
        checked_share("light_wrap", light_wrap),
    )
    front = photo if foreground is None else checked_rgb(foreground, "foreground")
    if front.shape != photo.shape:
        raise OptionError(f"foreground is {front.shape} but the photo is {photo.shape}; the two must agree.")
    front, matte = place_subject(front, matte, subject)
    if isinstance(scenery, Transparent):
        return cutout(front, matte)
    back = _rendered(scenery, matte.shape, fit, anchor, scale, fill)
    # Measured sharp: a blur takes contrast out of the background that its light still has.
    if colour_strength > 0:
        front = harmonise_colours(front, matte, back, colour_strength)
    if size > 1 and not isinstance(scenery, Plain):
        back = blur_plate(back, np.zeros_like(matte), size, repeats, bokeh=bokeh)
    if light_strength > 0:
        front = wrap_light(front, matte, back, light_strength)
    return composite_linear(front, back, matte) if linear else composite(front, back, matte)


def _rendered(
    background: NDArray[np.uint8] | Plain | Gradient,
    frame: tuple[int, int],
    fit: Fit,
    anchor: Anchor,
    scale: float,
    fill: Colour,
) -> NDArray[np.uint8]:
    """The background at the frame's size, H x W x 3."""
    if isinstance(background, Plain):
        return np.full((*frame, 3), background.colour, np.uint8)
    if isinstance(background, Gradient):
        return background.render(*frame)
    return fit_background(background, frame, fit, anchor, scale, fill)
