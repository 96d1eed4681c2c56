"""Batches of clips: views, augmentation, and the targets of a network."""
