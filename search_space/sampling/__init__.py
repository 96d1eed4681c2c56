"""Architectures drawn at a cost, and small steps from one to another."""
