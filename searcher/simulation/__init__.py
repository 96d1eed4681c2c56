"""Simulated searches, and the problems that they search."""
