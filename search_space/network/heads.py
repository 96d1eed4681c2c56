"""The meaning of a network's outputs, one label, several labels, or a verb and a noun; the loss of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from search_space.errors import NetworkError

HeadKind = Literal["single-label", "multi-label", "verb-noun"]


@dataclass(frozen=True, slots=True)
class Head:
    """The classifier's groups of outputs, and their meaning.

    - ``single-label``: one group, softmax (Kinetics, Something-Something);
    - ``multi-label``: one group, a sigmoid for each class (Charades);
    - ``verb-noun``: two groups, a softmax each, the action being the pair (EPIC-KITCHENS).
    """

    kind: HeadKind
    groups: tuple[int, ...]

    def __post_init__(self) -> None:
        expected = 2 if self.kind == "verb-noun" else 1
        if len(self.groups) != expected or min(self.groups, default=0) < 1:
            raise NetworkError(
                f"{self.kind} head: expected {expected} positive class counts, got {self.groups}"
            )

    @staticmethod
    def single_label(classes: int) -> Head:
        """Return the head of one label a video."""
        return Head("single-label", (classes,))

    @staticmethod
    def multi_label(classes: int) -> Head:
        """Return the head of any number of labels a video."""
        return Head("multi-label", (classes,))

    @staticmethod
    def verb_noun(verbs: int, nouns: int) -> Head:
        """Return the head of a verb and a noun a video."""
        return Head("verb-noun", (verbs, nouns))

    @property
    def outputs(self) -> int:
        """The number of the network's logits: the groups side by side."""
        return sum(self.groups)

    def split(self, logits: Tensor) -> tuple[Tensor, ...]:
        """Return the logits (..., outputs) as one tensor a group.

        Raises:
            NetworkError: the last axis is not ``outputs`` long.
        """
        starts = [sum(self.groups[:index]) for index in range(len(self.groups))]
        if logits.shape[-1] != self.outputs:
            raise NetworkError(
                f"logits for a {self.kind} head: expected {self.outputs}, got {logits.shape[-1]}"
            )
        return tuple(logits.narrow(-1, start, size) for start, size in zip(starts, self.groups, strict=True))

    def probabilities(self, logits: Tensor) -> tuple[Tensor, ...]:
        """Return the probabilities of each group, of the shapes that ``split`` gives."""
        if self.kind == "multi-label":
            return (self.split(logits)[0].sigmoid(),)
        return tuple(group.softmax(-1) for group in self.split(logits))

    def action_probabilities(self, logits: Tensor) -> Tensor:
        """Return the probabilities of every verb with every noun, (..., verbs, nouns), as if independent.

        Raises:
            NetworkError: the head has no verb and noun.
        """
        if self.kind != "verb-noun":
            raise NetworkError(f"a {self.kind} head has no actions", hint="use Head.verb_noun")
        verb, noun = self.probabilities(logits)
        return verb[..., :, None] * noun[..., None, :]

    def loss(self, logits: Tensor, target: Tensor, smoothing: float = 0.0) -> Tensor:
        """Return the mean loss over the batch.

        Args:
            logits: (batch, outputs).
            target: (batch,) class indices; for ``multi-label`` (batch, classes) of 0 and 1; for ``verb-noun``
                (batch, 2) indices.
            smoothing: strength of the label smoothing of each group.

        Returns:
            A scalar; for ``verb-noun`` the sum of the two cross-entropies.
        """
        groups = self.split(logits)
        if self.kind == "multi-label":
            soft = target.to(logits.dtype) * (1 - smoothing) + 0.5 * smoothing
            return F.binary_cross_entropy_with_logits(groups[0], soft)
        columns = target.reshape(target.shape[0], len(groups)).unbind(1)
        losses = [
            F.cross_entropy(g, t, label_smoothing=smoothing) for g, t in zip(groups, columns, strict=True)
        ]
        return torch.stack(losses).sum()


def as_head(classes: int | Sequence[int] | Head) -> Head:
    """Return a head from a number of classes (single-label), a pair (verb and noun), or a head itself."""
    if isinstance(classes, Head):
        return classes
    if isinstance(classes, int):
        return Head.single_label(classes)
    return Head("verb-noun", tuple(classes))
