"""Trained networks in the conventions that other programs load from."""
