"""Architectures: their parts, their text and JSON forms, the published ones, and scaled ones."""
