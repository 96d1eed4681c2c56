"""Distillation: a network learns the outputs of a teacher beside the labels (Hinton, Vinyals, Dean, 2015)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from proxy_train.training.pretrained import Pretrained
from search_space.errors import SettingsError
from search_space.network.heads import Head


class Teacher:
    """A trained network in evaluation mode, without gradients; it sees the clips that its student sees.

    Args:
        source: the trained network.
        classes: names of the data's classes, by label.
        device: device of torch.

    Attributes:
        digest: digest of its weights.

    Raises:
        SettingsError: it was trained on other classes.
        NetworkError: its weights are unreadable, or of another network.
    """

    def __init__(self, source: Pretrained, classes: Sequence[str], device: str = "cpu") -> None:
        self.digest = source.digest
        network = source.load()
        if network.classes != len(classes):
            raise SettingsError(
                f"the teacher {source.text} has {network.classes} classes, and the data {len(classes)}",
                hint="fine-tune the teacher on this data first: movinas train --weights",
            )
        if source.labels and set(source.labels) != set(classes):
            other = next(label for label in source.labels if label not in classes)
            raise SettingsError(
                f"the teacher {source.text} knows other classes: {other!r} is none of the data's",
                hint="give a teacher that was trained on these classes",
            )
        order = [source.labels.index(name) for name in classes] if source.labels else range(len(classes))
        self._order = torch.tensor(list(order), device=device)
        self._network = network.to(device).requires_grad_(requires_grad=False)

    @torch.no_grad()
    def logits(self, clips: Tensor) -> Tensor:
        """Map (batch, 3, frames, height, width) to logits (batch, classes), in the order of the data."""
        outputs: Tensor = self._network(clips)
        return outputs[:, self._order]


def distillation_loss(head: Head, logits: Tensor, taught: Tensor, temperature: float) -> Tensor:
    """Return the mean divergence from a teacher's outputs, over the batch: a scalar, 0 where both agree.

    It is scaled by the square of the temperature, so that its gradients are of the labels' size at any.

    Args:
        head: meaning of the outputs; for a verb and a noun their divergences are added.
        logits: the network's, (batch, outputs).
        taught: the teacher's, (batch, outputs).
        temperature: divisor of both.
    """
    ours, theirs = head.split(logits / temperature), head.split(taught.to(logits.dtype) / temperature)
    if head.kind == "multi-label":
        probability = theirs[0].sigmoid()
        cross = F.binary_cross_entropy_with_logits(ours[0], probability)
        entropy = F.binary_cross_entropy_with_logits(theirs[0], probability)
        return temperature**2 * (cross - entropy)
    losses = [
        F.kl_div(group.log_softmax(-1), target.log_softmax(-1), reduction="batchmean", log_target=True)
        for group, target in zip(ours, theirs, strict=True)
    ]
    return temperature**2 * torch.stack(losses).sum()
