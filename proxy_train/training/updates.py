"""One update of a network from one batch: in parts, as a stream, in mixed precision, with other processes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from proxy_train.clips.targets import BatchLabels
from proxy_train.distributed import Group
from proxy_train.recipe import Recipe
from proxy_train.training.optimizers import clip_gradients, set_rate
from search_space.errors import MovinasError, SettingsError
from search_space.network.model import MoViNet

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class Diverged(MovinasError):  # noqa: N818 - it names what happened, as KeyboardInterrupt does
    """The loss is not a number any more; ``message`` says where."""


class Updater:
    """Updates a network by a recipe.

    Gradients are those of the mean loss over the batch of all processes, whatever parts it is computed in.
    Batch norm sees a part at a time, though: ``micro_batch`` and ``stream_frames`` change what it normalises
    by, unless it is frozen.

    Args:
        network: in training mode, on ``device``.
        optimizer: of its weights.
        recipe: see there.
        device: of torch.
        group: the processes that share a batch.

    Raises:
        SettingsError: the device or the network cannot do what the recipe asks for.
    """

    def __init__(
        self,
        network: MoViNet,
        optimizer: torch.optim.Optimizer,
        recipe: Recipe,
        device: str,
        group: Group,
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
        self._weights = list(network.parameters())
        # Small float16 gradients vanish unless the loss is scaled up; other types need no scaling.
        self._scaler = torch.amp.GradScaler(self._kind, enabled=recipe.precision == "float16")

    def update(self, clips: Tensor, labels: BatchLabels, rate: float, whole: int) -> Tensor:
        """Computes this process's part of a batch, and updates the weights by all of it.

        Args:
            clips: (part, 3, frames, height, width).
            labels: of the part.
            rate: the learning rate.
            whole: clips in the batch of all processes.

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
                # Of a batch in one piece nothing is to be weighted: the same bits as without pieces.
                share = loss if weight == 1 else loss * weight
                self._scaler.scale(share).backward()  # type: ignore[no-untyped-call]
                total += share.detach()
        self._group.sum_gradients(self._weights)
        if self._recipe.clip_norm is not None:
            self._scaler.unscale_(self._optimizer)
            clip_gradients(self._optimizer, self._recipe.clip_norm)
        set_rate(self._optimizer, rate)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        return self._group.sum(total) if self._group.size > 1 else total

    def attempt(self, clips: Tensor, labels: BatchLabels) -> None:
        """Computes gradients for some clips and drops them: to see whether there is memory for it."""
        try:
            for loss in self._losses(clips, labels):
                loss.backward()  # type: ignore[no-untyped-call]
        finally:
            self._optimizer.zero_grad(set_to_none=True)

    def _losses(self, clips: Tensor, labels: BatchLabels) -> Iterator[Tensor]:
        """The loss of some clips: whole, or that of every part of them, with which they add up."""
        network, smoothing = self._network, self._recipe.label_smoothing
        frames = self._recipe.stream_frames
        if frames is None:
            with self._autocast():
                logits = network(clips)
                loss = labels.loss(network.head_type, logits, smoothing)
            yield loss
            return
        state: Mapping[str, Tensor] = network.initial_state(len(clips), (clips.shape[3], clips.shape[4]))
        parts = torch.split(clips, frames, dim=2)
        for part in parts:
            with self._autocast():
                logits, after = network.step(part, state)
                loss = labels.loss(network.head_type, logits, smoothing) / len(parts)
            yield loss
            # No gradient goes back through the buffers (paper, section 3.2): memory is that of one part.
            state = {name: value.detach().to(state[name].dtype) for name, value in after.items()}

    def _autocast(self) -> torch.autocast:
        precision = self._recipe.precision
        return torch.autocast(self._kind, _DTYPES[precision], enabled=precision != "float32")

    def tensors(self) -> dict[str, Tensor]:
        """What has to be kept for going on: the loss's scale, if it is scaled."""
        if not self._scaler.is_enabled():
            return {}
        return {f"scaler.{name}": torch.tensor(value) for name, value in self._scaler.state_dict().items()}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """The inverse of ``tensors``."""
        found = {name.removeprefix("scaler."): value for name, value in tensors.items()}
        if self._scaler.is_enabled() and found:
            now = self._scaler.state_dict()
            self._scaler.load_state_dict({name: type(now[name])(found[name].item()) for name in now})
