"""Portrait Blur Arena: compare portrait segmentation models on your own photo, and blur or replace its background.

    import arena

    photo = arena.Photo.open("portrait.jpg")
    matte = arena.load_model("lite").segment(photo)
    blurred = arena.render_blur(photo, matte, kernel=101)
    arena.save("blurred.jpg", blurred, exif=photo.exif)
    arena.save("beach.jpg", arena.render_replace(photo, matte, "sand.jpg", arena.Finish(harmonise=0.3)))

Names are imported when they are first used, so that ``import arena`` costs nothing.
"""

from typing import TYPE_CHECKING

from arena.lazy import lazy_names

if TYPE_CHECKING:
    from arena.catalog import ModelCard, get_card, list_models
    from arena.comparison import Result, compare
    from arena.compose import (
        Gradient,
        Placement,
        Plain,
        Transparent,
        blur_background,
        cutout,
        mask_overlay,
        replace_background,
    )
    from arena.devices import available_devices
    from arena.errors import ArenaError
    from arena.evaluation import evaluate
    from arena.finish import Effect, Finish, read_backdrop
    from arena.matte import Matte, MatteKind
    from arena.models.base import Segmenter
    from arena.models.depth import estimate_depth
    from arena.models.pool import load_model, unload
    from arena.photo import Photo, encode, encode_depth, read_depth, save
    from arena.refine import RefineOptions
    from arena.refine.foreground import estimate_foreground
    from arena.render import render_blur, render_cutout, render_finish, render_overlay, render_replace

__version__ = "0.1.0"

__all__ = [
    "ArenaError",
    "Effect",
    "Finish",
    "Gradient",
    "Matte",
    "MatteKind",
    "ModelCard",
    "Photo",
    "Placement",
    "Plain",
    "RefineOptions",
    "Result",
    "Segmenter",
    "Transparent",
    "available_devices",
    "blur_background",
    "compare",
    "cutout",
    "encode",
    "encode_depth",
    "estimate_depth",
    "estimate_foreground",
    "evaluate",
    "get_card",
    "list_models",
    "load_model",
    "mask_overlay",
    "read_backdrop",
    "read_depth",
    "render_blur",
    "render_cutout",
    "render_finish",
    "render_overlay",
    "render_replace",
    "replace_background",
    "save",
    "unload",
]

_HOMES = {
    "ArenaError": "arena.errors",
    "Effect": "arena.finish",
    "Finish": "arena.finish",
    "Gradient": "arena.compose",
    "Matte": "arena.matte",
    "MatteKind": "arena.matte",
    "ModelCard": "arena.catalog",
    "Photo": "arena.photo",
    "Placement": "arena.compose",
    "Plain": "arena.compose",
    "RefineOptions": "arena.refine",
    "Result": "arena.comparison",
    "Segmenter": "arena.models.base",
    "Transparent": "arena.compose",
    "available_devices": "arena.devices",
    "blur_background": "arena.compose",
    "compare": "arena.comparison",
    "cutout": "arena.compose",
    "encode": "arena.photo",
    "encode_depth": "arena.photo",
    "estimate_depth": "arena.models.depth",
    "estimate_foreground": "arena.refine.foreground",
    "evaluate": "arena.evaluation",
    "get_card": "arena.catalog",
    "list_models": "arena.catalog",
    "load_model": "arena.models.pool",
    "mask_overlay": "arena.compose",
    "read_backdrop": "arena.finish",
    "read_depth": "arena.photo",
    "render_blur": "arena.render",
    "render_cutout": "arena.render",
    "render_finish": "arena.render",
    "render_overlay": "arena.render",
    "render_replace": "arena.render",
    "replace_background": "arena.compose",
    "save": "arena.photo",
    "unload": "arena.models.pool",
}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
