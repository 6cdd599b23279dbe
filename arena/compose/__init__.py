"""Photo and matte in, picture out. Pure functions of arrays; inputs are never written to."""

from arena.compose.background import (
    BLACK,
    SHAPES,
    Background,
    Colour,
    Gradient,
    Plain,
    Shape,
    Transparent,
    parse_background,
    parse_colour,
)
from arena.compose.blur import FILLS, Fill, blur_background, blur_plate
from arena.compose.bokeh import BOKEHS, Bokeh
from arena.compose.composite import composite
from arena.compose.cutout import cutout
from arena.compose.depth import depth_blur
from arena.compose.fit import ANCHORS, FITS, Anchor, Fit, fit_background
from arena.compose.ground import ground_blur
from arena.compose.harmonise import harmonise_colours
from arena.compose.light import composite_linear
from arena.compose.lightwrap import wrap_light
from arena.compose.overlay import mask_overlay
from arena.compose.placement import AS_SHOT, Placement, place_subject
from arena.compose.replace import replace_background

__all__ = [
    "ANCHORS",
    "AS_SHOT",
    "BLACK",
    "BOKEHS",
    "FILLS",
    "FITS",
    "SHAPES",
    "Anchor",
    "Background",
    "Bokeh",
    "Colour",
    "Fill",
    "Fit",
    "Gradient",
    "Placement",
    "Plain",
    "Shape",
    "Transparent",
    "blur_background",
    "blur_plate",
    "composite",
    "composite_linear",
    "cutout",
    "depth_blur",
    "fit_background",
    "ground_blur",
    "harmonise_colours",
    "mask_overlay",
    "parse_background",
    "parse_colour",
    "place_subject",
    "replace_background",
    "wrap_light",
]
