"""Photo and matte in, picture out. Pure functions of arrays; inputs are never written to."""

from arena.compose.blur import FILLS, Fill, blur_background, blur_plate
from arena.compose.composite import composite
from arena.compose.cutout import cutout
from arena.compose.overlay import mask_overlay

__all__ = ["FILLS", "Fill", "blur_background", "blur_plate", "composite", "cutout", "mask_overlay"]
