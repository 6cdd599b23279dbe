"""Matte in, better matte out. Pure functions of arrays; inputs are never written to."""

from arena.refine.feather import feather
from arena.refine.options import PRESET_WORDS, PRESETS, RefineOptions, refine

__all__ = ["PRESETS", "PRESET_WORDS", "RefineOptions", "feather", "refine"]
