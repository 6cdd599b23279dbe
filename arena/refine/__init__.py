"""Matte in, better matte out. Pure functions of arrays; inputs are never written to."""

from arena.refine.feather import feather

__all__ = ["feather"]
