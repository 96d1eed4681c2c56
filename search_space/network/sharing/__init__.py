"""Weights that networks share: a supernet, what one network inherits from another, and other programs' names."""
