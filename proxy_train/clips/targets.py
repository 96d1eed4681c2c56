"""The targets of a network: the head of a data set, and a batch's labels with their loss."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from proxy_train.store.prepared_data import PreparedData
from search_space.network.heads import Head, as_head


def head_for(data: PreparedData) -> Head:
    """Return the head that a data set's labels need: one class, several, or a verb and a noun."""
    if data.labels_kind == "multi":
        return Head.multi_label(len(data.classes))
    return as_head(data.class_counts)


@dataclass(frozen=True, slots=True)
class BatchLabels:
    """Labels of a batch as its head takes them, and those of the clips that were blended into it (mixup).

    Args:
        own: (batch,), (batch, classes) or (batch, 2); see ``Head.loss``.
        others: labels of the blended-in clips, of the same shape; None if there are none.
        weight: share of every clip that belongs to ``own``.
    """

    own: Tensor
    others: Tensor | None = None
    weight: float = 1.0

    def part(self, rows: slice) -> BatchLabels:
        """Return the labels of some rows."""
        return BatchLabels(self.own[rows], None if self.others is None else self.others[rows], self.weight)

    def to(self, device: str) -> BatchLabels:
        """Return the labels on a device."""
        others = None if self.others is None else on_device(self.others, device)
        return BatchLabels(on_device(self.own, device), others, self.weight)

    def loss(self, head: Head, logits: Tensor, smoothing: float) -> Tensor:
        """Return the mean loss over the rows: a scalar.

        Every loss here is linear in its target, so that the loss of blended labels is the blend of losses.
        """
        loss = head.loss(logits, self.own, smoothing)
        if self.others is None:
            return loss
        return self.weight * loss + (1 - self.weight) * head.loss(logits, self.others, smoothing)


def on_device(tensor: Tensor, device: str) -> Tensor:
    """Return a tensor on a device; no thread waits for the copy.

    From memory that the system may move, a copy to a GPU waits for all that the GPU has been given to do.
    """
    if torch.device(device).type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
