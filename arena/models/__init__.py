"""Segmenters: one module per family of models, and the pool that loads, shares and evicts them."""
