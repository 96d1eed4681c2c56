"""Classes that are each other's mirror image, by their names."""

from __future__ import annotations

import re
from collections.abc import Sequence

_PAIRS = (("left", "right"), ("counterclockwise", "clockwise"), ("anticlockwise", "clockwise"))


def mirrored_names(classes: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return pairs of classes whose names differ in left and right, or in the sense of a turn, alone."""
    lower = {name: name.lower().replace("counter-", "counter") for name in classes}
    words = {name: tuple(re.findall(r"[a-z]+", text)) for name, text in lower.items()}
    by_words = {value: name for name, value in words.items()}
    pairs = []
    for name, own in words.items():
        for one, other in _PAIRS:
            swapped = tuple(other if word == one else one if word == other else word for word in own)
            partner = by_words.get(swapped)
            if one in own and partner is not None and partner != name:
                pairs.append((name, partner))
    unique = {frozenset(pair): pair for pair in pairs}
    return tuple(unique.values())
