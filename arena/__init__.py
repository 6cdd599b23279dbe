"""Portrait Blur Arena: compare portrait segmentation models on your own photo, and blur or replace its background.

    import arena

    photo = arena.Photo.open("portrait.jpg")
    matte = arena.load_model("lite").segment(photo)
    blurred = arena.render_blur(photo, matte, kernel=101)
    arena.save("blurred.jpg", blurred, exif=photo.exif)
    arena.save("beach.jpg", arena.render_replace(photo, matte, "sand.jpg", arena.Finish(harmonise=0.3)))

Names are imported when they are first used, so that ``import arena`` costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

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
    from arena.models.pool import load_model, unload
    from arena.photo import Photo, encode, save
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
    "estimate_foreground",
    "evaluate",
    "get_card",
    "list_models",
    "load_model",
    "mask_overlay",
    "read_backdrop",
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
    "ArenaError": "errors",
    "Effect": "finish",
    "Finish": "finish",
    "Gradient": "compose",
    "Matte": "matte",
    "MatteKind": "matte",
    "ModelCard": "catalog",
    "Photo": "photo",
    "Placement": "compose",
    "Plain": "compose",
    "RefineOptions": "refine",
    "Result": "comparison",
    "Segmenter": "models.base",
    "Transparent": "compose",
    "available_devices": "devices",
    "blur_background": "compose",
    "compare": "comparison",
    "cutout": "compose",
    "encode": "photo",
    "estimate_foreground": "refine.foreground",
    "evaluate": "evaluation",
    "get_card": "catalog",
    "list_models": "catalog",
    "load_model": "models.pool",
    "mask_overlay": "compose",
    "read_backdrop": "finish",
    "render_blur": "render",
    "render_cutout": "render",
    "render_finish": "render",
    "render_overlay": "render",
    "render_replace": "render",
    "replace_background": "compose",
    "save": "photo",
    "unload": "models.pool",
}


def __getattr__(name: str) -> Any:
    try:
        home = _HOMES[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
