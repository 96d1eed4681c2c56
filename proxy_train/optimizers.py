"""The optimizers: TensorFlow's RMSProp as the official recipe uses it, and AdamW."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from proxy_train.recipe import Recipe


class TensorFlowRMSprop(torch.optim.Optimizer):
    """RMSProp with epsilon inside the square root and the learning rate inside the momentum.

    v = rho v + (1 - rho) g^2;  m = momentum m + lr g / sqrt(v + epsilon);  w -= m, from v = m = 0 (tf.keras
    RMSprop; official MoViNet configurations: rho 0.9, momentum 0.9, epsilon 1). ``torch.optim.RMSprop``
    differs in both. Weight decay is L2: it joins the gradient.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        *,
        rho: float = 0.9,
        momentum: float = 0.9,
        epsilon: float = 1.0,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(
            params,
            {"lr": lr, "rho": rho, "momentum": momentum, "epsilon": epsilon, "weight_decay": weight_decay},
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        assert closure is None, "closures are not used here"
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if not weights:
                continue
            states = [self._state(weight) for weight in weights]
            squares = [state["square"] for state in states]
            moments = [state["momentum"] for state in states]
            gradients = [weight.grad for weight in weights]
            if group["weight_decay"]:
                gradients = list(torch._foreach_add(gradients, weights, alpha=group["weight_decay"]))
            torch._foreach_mul_(squares, group["rho"])
            torch._foreach_addcmul_(squares, gradients, gradients, 1 - group["rho"])
            scale = torch._foreach_add(squares, group["epsilon"])
            torch._foreach_sqrt_(scale)
            torch._foreach_mul_(moments, group["momentum"])
            torch._foreach_addcdiv_(moments, gradients, scale, group["lr"])
            torch._foreach_sub_(weights, moments)
        return None

    def _state(self, weight: Tensor) -> dict[str, Tensor]:
        state: dict[str, Tensor] = self.state[weight]
        if not state:
            state["square"] = torch.zeros_like(weight)
            state["momentum"] = torch.zeros_like(weight)
        return state


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimizer over kernels (with weight decay), ReZero scalars, and everything else."""
    kernels: list[Tensor] = []
    scalars: list[Tensor] = []
    others: list[Tensor] = []
    for name, weight in model.named_parameters():
        if weight.ndim == 0:
            scalars.append(weight)
        elif weight.ndim > 1 and not name.startswith("head.classifier"):
            kernels.append(weight)
        else:
            others.append(weight)
    rate = recipe.learning_rate
    groups = [
        {"params": kernels, "lr": rate, "weight_decay": recipe.weight_decay, "factor": 1.0},
        {"params": scalars, "lr": rate, "weight_decay": 0.0, "factor": recipe.scale_rate},
        {"params": others, "lr": rate, "weight_decay": 0.0, "factor": 1.0},
    ]
    groups = [group for group in groups if group["params"]]
    if recipe.optimizer == "rmsprop":
        return TensorFlowRMSprop(groups, rate)
    return torch.optim.AdamW(groups, rate, betas=(0.9, 0.99), fused=True)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Sets the learning rate of every group, by its factor."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["factor"]


def clip_each(parameters: Iterable[Tensor], norm: float) -> None:
    """Scales every gradient whose own norm is above ``norm`` down to it (the official recipe's clipping)."""
    gradients = [weight.grad for weight in parameters if weight.grad is not None]
    factors = [norm / torch.clamp(each, min=norm) for each in torch._foreach_norm(gradients)]
    torch._foreach_mul_(gradients, factors)
