"""Portrait Blur Arena: compare portrait segmentation models on your own photo, and blur its background.

    import arena

    photo = arena.Photo.open("portrait.jpg")
    matte = arena.load_model("classic").segment(photo)
    blurred = arena.render_blur(photo, matte, kernel=101)
    arena.save("blurred.jpg", blurred, exif=photo.exif)

Names are imported when they are first used, so that ``import arena`` costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from arena.catalog import ModelCard, get_card, list_models
    from arena.comparison import Result, compare
    from arena.compose import blur_background, cutout, mask_overlay
    from arena.devices import available_devices
    from arena.errors import ArenaError
    from arena.matte import Matte, MatteKind
    from arena.models.base import Segmenter
    from arena.models.pool import load_model, unload
    from arena.photo import Photo, encode, save
    from arena.render import render_blur, render_cutout, render_overlay

__version__ = "0.1.0"

__all__ = [
    "ArenaError",
    "Matte",
    "MatteKind",
    "ModelCard",
    "Photo",
    "Result",
    "Segmenter",
    "available_devices",
    "blur_background",
    "compare",
    "cutout",
    "encode",
    "get_card",
    "list_models",
    "load_model",
    "mask_overlay",
    "render_blur",
    "render_cutout",
    "render_overlay",
    "save",
    "unload",
]

_HOMES = {
    "ArenaError": "errors",
    "Matte": "matte",
    "MatteKind": "matte",
    "ModelCard": "catalog",
    "Photo": "photo",
    "Result": "comparison",
    "Segmenter": "models.base",
    "available_devices": "devices",
    "blur_background": "compose",
    "compare": "comparison",
    "cutout": "compose",
    "encode": "photo",
    "get_card": "catalog",
    "list_models": "catalog",
    "load_model": "models.pool",
    "mask_overlay": "compose",
    "render_blur": "render",
    "render_cutout": "render",
    "render_overlay": "render",
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
