"""Weights that the networks of a space share: the supernet, and what one network inherits from another."""
