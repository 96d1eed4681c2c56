"""Processes that train one network together: the clips of each, and the sums over all of them.

Every process holds the same weights and computes a part of every batch; gradients and the statistics of batch
norm are summed over all of them, so that the result is that of one process with the whole batch, up to the
order of additions. Torch's process group communicates (gloo on CPUs, NCCL on GPUs); the caller sets it up.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.distributed.nn.functional import all_reduce


@dataclass(frozen=True, slots=True)
class Group:
    """This process's place among ``size`` processes of torch's default process group."""

    rank: int = 0
    size: int = 1

    @classmethod
    def current(cls) -> Group:
        """Return the place in the default process group; that of a single process if there is none."""
        if not (dist.is_available() and dist.is_initialized()):
            return cls()
        return cls(dist.get_rank(), dist.get_world_size())

    @property
    def leads(self) -> bool:
        """Whether this process writes what is written once."""
        return self.rank == 0

    def part(self, indices: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return this process's positions in a batch: every ``size``-th one."""
        return np.arange(self.rank, len(indices), self.size, dtype=np.int64)

    def sum_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Add up every gradient over the processes, in one message."""
        if self.size == 1:
            return
        gradients = []
        for weight in parameters:
            # A part of a batch may leave a branch without a gradient; the message must fit nevertheless.
            if weight.grad is None:
                weight.grad = torch.zeros_like(weight)
            gradients.append(weight.grad)
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        dist.all_reduce(flat)
        for gradient, summed in zip(
            gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True
        ):
            gradient.copy_(summed.view_as(gradient))

    def sum(self, value: Tensor) -> Tensor:
        """Return the sum of a tensor over the processes, as a new tensor without gradient."""
        total = value.detach().clone()
        if self.size > 1:
            dist.all_reduce(total)
        return total

    def wait(self) -> None:
        """Wait until all processes have called this."""
        if self.size > 1:
            dist.barrier()


def _differentiable_sum(value: Tensor) -> Tensor:
    """Return the sum over the processes, through which gradients flow back to all of them."""
    return cast(Tensor, all_reduce(value))  # type: ignore[no-untyped-call]


class SharedNorm(nn.BatchNorm2d):
    """Batch norm over the clips of all processes, also on CPUs (torch's own works on GPUs only)."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (batch, channels, height, width) with the statistics of the batch of all processes."""
        if not self.training:
            return super().forward(input)
        assert self.running_mean is not None and self.running_var is not None
        x = input.float()  # half precision cannot hold the sums
        own = torch.cat([x.sum((0, 2, 3)), x.new_full((1,), x.numel() / x.shape[1])])
        total = _differentiable_sum(own)
        count = total[-1].detach()
        mean = total[:-1] / count
        centred = x - mean[:, None, None]
        variance = _differentiable_sum(centred.square().sum((0, 2, 3))) / count
        with torch.no_grad():
            momentum = self.momentum or 0.0
            self.running_mean.lerp_(mean, momentum)
            self.running_var.lerp_(variance * (count / (count - 1)), momentum)
        scale = self.weight * (variance + self.eps).rsqrt()
        normalised: Tensor = centred * scale[:, None, None] + self.bias[:, None, None]
        return normalised.to(input.dtype)


def share_norms(network: nn.Module) -> None:
    """Replace every batch norm of a network by one over all processes, in place; weights and names stay."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if type(child) is nn.BatchNorm2d:
                shared = SharedNorm(child.num_features, child.eps, child.momentum or 0.0)
                shared.load_state_dict(child.state_dict())
                shared.to(child.weight.device).train(child.training)
                setattr(module, name, shared)
