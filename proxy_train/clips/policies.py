"""AutoAugment and RandAugment, drawn once for a clip."""

from __future__ import annotations

import numpy as np

from proxy_train.clips.clip_operations import OPERATIONS, Clip

Step = tuple[str, float, float]

# Operation, probability and magnitude of the two steps of each of 25 policies: "v0", found on ImageNet for
# AutoAugment (Cubuk et al., CVPR 2019) and released with EfficientNet; the official MoViNets use it.
V0: tuple[tuple[Step, Step], ...] = (
    (("equalize", 0.8, 1), ("shear_y", 0.8, 4)),
    (("color", 0.4, 9), ("equalize", 0.6, 3)),
    (("color", 0.4, 1), ("rotate", 0.6, 8)),
    (("solarize", 0.8, 3), ("equalize", 0.4, 7)),
    (("solarize", 0.4, 2), ("solarize", 0.6, 2)),
    (("color", 0.2, 0), ("equalize", 0.8, 8)),
    (("equalize", 0.4, 8), ("solarize_add", 0.8, 3)),
    (("shear_x", 0.2, 9), ("rotate", 0.6, 8)),
    (("color", 0.6, 1), ("equalize", 1.0, 2)),
    (("invert", 0.4, 9), ("rotate", 0.6, 0)),
    (("equalize", 1.0, 9), ("shear_y", 0.6, 3)),
    (("color", 0.4, 7), ("equalize", 0.6, 0)),
    (("posterize", 0.4, 6), ("auto_contrast", 0.4, 7)),
    (("solarize", 0.6, 8), ("color", 0.6, 9)),
    (("solarize", 0.2, 4), ("rotate", 0.8, 9)),
    (("rotate", 1.0, 7), ("translate_y", 0.8, 9)),
    (("shear_x", 0.0, 0), ("solarize", 0.8, 4)),
    (("shear_y", 0.8, 0), ("color", 0.6, 4)),
    (("color", 1.0, 0), ("rotate", 0.6, 2)),
    (("equalize", 0.8, 4), ("equalize", 0.0, 8)),
    (("equalize", 1.0, 4), ("auto_contrast", 0.6, 2)),
    (("shear_y", 0.4, 7), ("solarize_add", 0.6, 7)),
    (("posterize", 0.8, 2), ("solarize", 0.6, 10)),
    (("solarize", 0.6, 8), ("equalize", 0.6, 1)),
    (("color", 0.8, 6), ("rotate", 0.4, 5)),
)


def auto_augment(clip: Clip, rng: np.random.Generator) -> Clip:
    """Apply one of the policies of ``V0``: its steps in turn, each with its probability."""
    for name, probability, magnitude in V0[int(rng.integers(len(V0)))]:
        if rng.random() < probability:
            clip = OPERATIONS[name](clip, magnitude, rng)
    return clip


def rand_augment(clip: Clip, layers: int, magnitude: float, rng: np.random.Generator) -> Clip:
    """Apply ``layers`` operations, drawn with replacement, all of one magnitude (Cubuk et al., 2020).

    Args:
        clip: uint8 (frames, height, width, 3).
        layers: 1 or more.
        magnitude: 0 to 10.
    """
    names = tuple(OPERATIONS)
    for choice in rng.integers(len(names), size=layers):
        clip = OPERATIONS[names[int(choice)]](clip, magnitude, rng)
    return clip
