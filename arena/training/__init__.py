"""Training: pictures with mattes in, weights out. One trainer, a recipe for each network."""
