"""Weights that one network takes over from another: the first channels and layers of it."""
