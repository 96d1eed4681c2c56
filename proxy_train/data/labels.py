"""The labels of videos, and the arrays that training and evaluation get."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from search_space.errors import DataError

LabelsKind = Literal["single", "multi", "verb_noun"]
"""``single``: one class a video; ``multi``: any number of classes; ``verb_noun``: one verb and one noun."""


@dataclass(frozen=True, slots=True)
class VerbNoun:
    """The label of an action: indices of its verb and of its noun, each from 0."""

    verb: int
    noun: int


Label = int | tuple[int, ...] | VerbNoun
"""A label of kind ``single``, ``multi`` (sorted class indices, perhaps none) or ``verb_noun``, in turn."""

Targets = npt.NDArray[np.int64] | npt.NDArray[np.float32]


def class_counts(kind: LabelsKind, outputs: int, verbs: int) -> int | tuple[int, int]:
    """Return the number of classes, or (verbs, nouns); a network has ``outputs`` logits either way."""
    return (verbs, outputs - verbs) if kind == "verb_noun" else outputs


def output_indices(label: Label, verbs: int) -> tuple[int, ...]:
    """Return the indices of a label's outputs; the nouns' outputs follow the verbs'."""
    if isinstance(label, VerbNoun):
        return (label.verb, verbs + label.noun)
    return label if isinstance(label, tuple) else (label,)


def target_array(labels: Sequence[Label], kind: LabelsKind, outputs: int) -> Targets:
    """Return labels as the array that training takes.

    Args:
        labels: labels of n videos.
        kind: kind of all labels.
        outputs: number of the network's outputs.

    Returns:
        int64 (n,) for single; float32 (n, outputs) of zeros and ones for multi; int64 (n, 2), verb and noun,
        for verb_noun.
    """
    if kind == "multi":
        hot = np.zeros((len(labels), outputs), np.float32)
        for row, label in enumerate(labels):
            hot[row, list(output_indices(label, 0))] = 1
        return hot
    if kind == "verb_noun":
        pairs = [(label.verb, label.noun) for label in labels if isinstance(label, VerbNoun)]
        return np.array(pairs, np.int64).reshape(len(labels), 2)
    return np.array(labels, np.int64)


def label_json(label: Label) -> Any:
    """Return a label's JSON form: an int, a list of ints, or {"verb": i, "noun": j}."""
    if isinstance(label, VerbNoun):
        return {"verb": label.verb, "noun": label.noun}
    return list(label) if isinstance(label, tuple) else label


def plain(name: str) -> str:
    """Return a class name in one spelling: without case, quotes, brackets and underscores.

    ``"massaging person's head"`` and ``massaging_persons_head`` are the same, and so are ``petting animal
    (not cat)`` and ``petting_animal_not_cat``, and an accent however it is stored.
    """
    folded = unicodedata.normalize("NFC", name).lower()
    return " ".join(re.sub(r"[\"'’`()\[\]{}]", "", folded).replace("_", " ").split())


def require_distinct(names: Iterable[str], where: str, hint: str) -> None:
    """Refuse classes that may be one class in several spellings.

    Args:
        names: the classes as they are written.
        where: the folder or file that has them, for the error.
        hint: the remedy, for the error.

    Raises:
        DataError: two names are the same but for case, spaces and the like.
    """
    spellings: dict[str, list[str]] = {}
    for name in sorted(set(names)):
        spellings.setdefault(plain(name), []).append(name)
    alike = next((each for each in spellings.values() if len(each) > 1), None)
    if alike is not None:
        told = " and ".join(map(repr, alike))
        raise DataError(f"{where}: {told} may be several classes, or one in several spellings", hint=hint)
