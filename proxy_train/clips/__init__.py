"""Batches of clips: views, augmentation, and what a network is to say of them."""
