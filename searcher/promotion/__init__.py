"""Promotion to longer trainings: rungs, halving, the chance to lie on the front."""
