"""One update of a network from one batch: in parts, as a stream, in mixed precision, with other processes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from proxy_train.clips.targets import BatchLabels
from proxy_train.distributed import Group
from proxy_train.recipe import Recipe
from proxy_train.training.distillation import Teacher, distillation_loss
from proxy_train.training.optimizers import clip_gradients, set_rate
from search_space.errors import MovinasError, SettingsError
from search_space.network.model import MoViNet

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class Diverged(MovinasError):  # noqa: N818 - it names what happened, as KeyboardInterrupt does
    """A loss that is no longer a number; ``message`` says where."""


class Updater:
    """The updates of a network by a recipe.

    Gradients are those of the mean loss over the batch of all processes, whatever parts it is computed in.
    Batch norm sees a part at a time, though: ``micro_batch`` and ``stream_frames`` change what it normalises
    by, unless it is frozen.

    Args:
        network: the network, in training mode, on ``device``.
        optimizer: optimizer of its weights.
        recipe: the recipe of the training.
        device: device of torch.
        group: the processes that share a batch.
        teacher: network whose outputs are learned beside the labels.

    Raises:
        SettingsError: the device or the network cannot follow the recipe.
    """

    def __init__(
        self,
        network: MoViNet,
        optimizer: torch.optim.Optimizer,
        recipe: Recipe,
        device: str,
        group: Group,
        teacher: Teacher | None = None,
    ) -> None:
        self._kind = torch.device(device).type
        if recipe.precision == "float16" and self._kind == "cpu":
            raise SettingsError(
                "recipe.precision is float16 on a CPU", hint="use float32 or bfloat16, or a GPU (--device)"
            )
        if recipe.stream_frames is not None and not network.causal:
            raise SettingsError(
                f"recipe.stream_frames is {recipe.stream_frames} for a network of the base form",
                hint="only a stream network carries its state from part to part; leave it out",
            )
        self._network, self._optimizer, self._recipe, self._group = network, optimizer, recipe, group
        self._weights, self._teacher = list(network.parameters()), teacher
        # Small float16 gradients vanish unless the loss is scaled up; other types need no scaling.
        self._scaler = torch.amp.GradScaler(self._kind, enabled=recipe.precision == "float16")

    def update(self, clips: Tensor, labels: BatchLabels, rate: float, whole: int) -> Tensor:
        """Compute this process's part of a batch, and update the weights by all of it.

        Args:
            clips: (part, 3, frames, height, width).
            labels: labels of the part.
            rate: the learning rate.
            whole: number of clips in the batch of all processes.

        Returns:
            The batch's mean loss: a scalar without gradient, the same in all processes.
        """
        self._optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=clips.device)
        size = self._recipe.micro_batch or max(1, len(clips))
        for first in range(0, len(clips), size):
            rows = slice(first, min(first + size, len(clips)))
            weight = (rows.stop - rows.start) / whole
            for loss in self._losses(clips[rows], labels.part(rows)):
                # A batch in one piece is not weighted: the same bits as without pieces.
                share = loss if weight == 1 else loss * weight
                self._scaler.scale(share).backward()  # type: ignore[no-untyped-call]
                total += share.detach()
        # A frozen weight stays without a gradient: a zero would move it by momentum and weight decay.
        self._group.sum_gradients(weight for weight in self._weights if weight.requires_grad)
        if self._recipe.clip_norm is not None:
            self._scaler.unscale_(self._optimizer)
            clip_gradients(self._optimizer, self._recipe.clip_norm)
        set_rate(self._optimizer, rate)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        return self._group.sum(total) if self._group.size > 1 else total

    def attempt(self, clips: Tensor, labels: BatchLabels) -> None:
        """Compute gradients for some clips and drop them, to see whether they fit into memory."""
        try:
            for loss in self._losses(clips, labels):
                loss.backward()  # type: ignore[no-untyped-call]
        finally:
            self._optimizer.zero_grad(set_to_none=True)

    def _losses(self, clips: Tensor, labels: BatchLabels) -> Iterator[Tensor]:
        """Yield the loss of some clips, or the losses of their parts, which add up to it."""
        network, frames = self._network, self._recipe.stream_frames
        with self._autocast():
            taught = None if self._teacher is None else self._teacher.logits(clips)
        if frames is None:
            with self._autocast():
                loss = self._loss(network(clips), labels, taught)
            yield loss
            return
        state: Mapping[str, Tensor] = network.initial_state(len(clips), (clips.shape[3], clips.shape[4]))
        parts = torch.split(clips, frames, dim=2)
        for part in parts:
            with self._autocast():
                logits, after = network.step(part, state)
                loss = self._loss(logits, labels, taught) / len(parts)
            yield loss
            # No gradient goes back through the buffers (paper, section 3.2): memory is that of one part.
            state = {name: value.detach().to(state[name].dtype) for name, value in after.items()}

    def _loss(self, logits: Tensor, labels: BatchLabels, taught: Tensor | None) -> Tensor:
        """Return the mean loss of some clips: that of the labels, blended with that of a teacher's logits."""
        head, recipe = self._network.head_type, self._recipe
        loss = labels.loss(head, logits, recipe.label_smoothing)
        if taught is None:
            return loss
        distilled = distillation_loss(head, logits, taught, recipe.temperature)
        return (1 - recipe.distillation) * loss + recipe.distillation * distilled

    def _autocast(self) -> torch.autocast:
        precision = self._recipe.precision
        return torch.autocast(self._kind, _DTYPES[precision], enabled=precision != "float32")

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors that are needed to resume: the loss's scale, if it is scaled."""
        if not self._scaler.is_enabled():
            return {}
        return {f"scaler.{name}": torch.tensor(value) for name, value in self._scaler.state_dict().items()}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore what ``tensors`` returned."""
        saved = {name.removeprefix("scaler."): value for name, value in tensors.items()}
        if self._scaler.is_enabled() and saved:
            now = self._scaler.state_dict()
            self._scaler.load_state_dict({name: type(now[name])(saved[name].item()) for name in now})
