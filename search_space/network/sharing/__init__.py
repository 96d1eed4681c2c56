"""Weights that networks share: those that one inherits from another, and those in the names of others."""
