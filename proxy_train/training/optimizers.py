"""The optimizers: TensorFlow's RMSProp as the official recipe has it, SGD, AdamW, and the fast Muon."""

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
    differs in both. Weight decay is L2: it joins the gradient, before each variable's gradient is cut to
    ``clip_norm`` (Keras's ``clipnorm``, which sees the gradient of the regularised loss).
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
        clip_norm: float | None = None,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "rho": rho,
                "momentum": momentum,
                "epsilon": epsilon,
                "weight_decay": weight_decay,
                "clip_norm": clip_norm,
            },
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
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
            if group["clip_norm"] is not None:
                gradients = list(torch._foreach_mul(gradients, _clip_factors(gradients, group["clip_norm"])))
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


class Muon(torch.optim.Optimizer):
    """Muon for matrices and AdamW for everything else, as one optimizer (K. Jordan, 2024).

    The update of a matrix is its Nesterov momentum made orthogonal, so that every direction moves by the
    same amount, whatever the layer's width. A group with ``orthogonal`` set holds kernels, which are taken as
    matrices (outputs, everything else).
    """

    def __init__(self, params: Iterable[Any], lr: float, *, momentum: float = 0.9) -> None:
        super().__init__(
            params,
            {"lr": lr, "momentum": momentum, "weight_decay": 0.0, "orthogonal": False, "betas": (0.9, 0.99)},
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        assert closure is None, "closures are not used here"
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if not weights:
                continue
            update = self._update_orthogonal if group["orthogonal"] else self._update_adaptive
            if group["weight_decay"]:
                torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
            update(weights, group)
        return None

    def _update_orthogonal(self, weights: list[Tensor], group: dict[str, Any]) -> None:
        momenta = [self._moment(weight, "momentum") for weight in weights]
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        torch._foreach_mul_(momenta, group["momentum"])
        torch._foreach_add_(momenta, gradients)
        ahead = torch._foreach_add(gradients, momenta, alpha=group["momentum"])
        # Matrices of one shape go through the iteration together: small ones cost calls, not arithmetic.
        shapes: dict[tuple[int, int], list[int]] = {}
        for index, weight in enumerate(weights):
            shapes.setdefault((weight.shape[0], weight[0].numel()), []).append(index)
        for (rows, columns), indices in shapes.items():
            stacked = torch.stack([ahead[index].reshape(rows, columns) for index in indices])
            rate = group["lr"] * max(1.0, rows / columns) ** 0.5
            for index, update in zip(indices, orthogonal(stacked), strict=True):
                weights[index].sub_(update.reshape(weights[index].shape), alpha=rate)

    def _update_adaptive(self, weights: list[Tensor], group: dict[str, Any]) -> None:
        first, second = group["betas"]
        means = [self._moment(weight, "mean") for weight in weights]
        squares = [self._moment(weight, "square") for weight in weights]
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        count = self._count(weights[0])
        torch._foreach_lerp_(means, gradients, 1 - first)
        torch._foreach_mul_(squares, second)
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - second)
        scale = torch._foreach_sqrt(squares)
        torch._foreach_div_(scale, (1 - second**count) ** 0.5)
        torch._foreach_add_(scale, 1e-8)
        torch._foreach_addcdiv_(weights, means, scale, -group["lr"] / (1 - first**count))

    def _moment(self, weight: Tensor, name: str) -> Tensor:
        state: dict[str, Tensor] = self.state[weight]
        if name not in state:
            state[name] = torch.zeros_like(weight)
        return state[name]

    def _count(self, weight: Tensor) -> int:
        """Count a step, at the group's first weight so that checkpoints keep it; return their number."""
        state: dict[str, Tensor] = self.state[weight]
        state["step"] = state.get("step", torch.zeros(())) + 1
        return int(state["step"])


def orthogonal(matrices: Tensor, steps: int = 4) -> Tensor:
    """Return the nearest matrices with all singular values near 1, by a quintic Newton-Schulz iteration.

    Args:
        matrices: (batch, rows, columns).
        steps: number of iterations; each raises small singular values by about 3.4; all end in 0.5 to 1.3.
    """
    tall = matrices.shape[1] > matrices.shape[2]
    x: Tensor = matrices.transpose(1, 2) if tall else matrices
    x = x / (torch.linalg.matrix_norm(x, keepdim=True) + 1e-7)
    for _ in range(steps):
        square = x @ x.transpose(1, 2)
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x.transpose(1, 2) if tall else x


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the recipe's optimizer over dense and depthwise kernels, ReZero scalars, and everything else.

    Weight decay applies to the kernels; the classifier is part of everything else. With ``layer_decay`` the
    weights of every layer are groups of their own, whose rates fall towards the stem.
    """
    dense: list[Tensor] = []
    depthwise: list[Tensor] = []
    scalars: list[Tensor] = []
    others: list[Tensor] = []
    for name, weight in model.named_parameters():
        if weight.ndim == 0:
            scalars.append(weight)
        elif weight.ndim == 1 or name.startswith("head.classifier"):
            others.append(weight)
        else:
            (dense if weight.ndim == 2 or weight.shape[1] > 1 else depthwise).append(weight)
    muon = recipe.optimizer == "muon"
    decay, rate = recipe.weight_decay, recipe.learning_rate
    groups: list[dict[str, Any]] = [
        {"params": dense, "weight_decay": decay, "factor": recipe.matrix_rate if muon else 1.0},
        {"params": depthwise, "weight_decay": decay, "factor": 1.0},
        {"params": scalars, "weight_decay": 0.0, "factor": recipe.scale_rate},
        {"params": others, "weight_decay": 0.0, "factor": 1.0},
    ]
    if muon:
        groups[0]["orthogonal"] = True
    groups = [group for group in groups if group["params"]]
    if recipe.layer_decay < 1:
        groups = _by_layer(groups, layers_above(model), recipe.layer_decay)
    match recipe.optimizer:
        case "muon":
            return Muon(groups, rate)
        case "rmsprop":
            return TensorFlowRMSprop(groups, rate, momentum=recipe.momentum, clip_norm=recipe.clip_norm)
        case "adamw":
            return torch.optim.AdamW(groups, rate, betas=(0.9, 0.99), fused=True)
        case "sgd":
            nesterov = recipe.momentum > 0
            return torch.optim.SGD(groups, rate, momentum=recipe.momentum, nesterov=nesterov, foreach=True)


def layers_above(model: nn.Module) -> dict[Tensor, int]:
    """Return the number of layers between each weight and the classifier, whose own number is 0.

    A bottleneck is a layer, as are the head before the classifier (1) and the stem.
    """
    blocks = {name: None for name, _ in model.get_submodule("blocks").named_children()}
    above = {name: 1 + len(blocks) - place for place, name in enumerate(blocks)}
    numbers: dict[Tensor, int] = {}
    for name, weight in model.named_parameters():
        root, inside, *_ = name.split(".")
        if root == "head":
            numbers[weight] = int(inside != "classifier")
        else:
            numbers[weight] = above[inside] if root == "blocks" else len(blocks) + 2
    return numbers


def _by_layer(groups: list[dict[str, Any]], above: dict[Tensor, int], decay: float) -> list[dict[str, Any]]:
    """Return the groups split by layer, the first layers last, with rates that fall by ``decay`` a layer."""
    return [
        {
            **group,
            "params": [weight for weight in group["params"] if above[weight] == number],
            "factor": group["factor"] * decay**number,
        }
        for group in groups
        for number in sorted({above[weight] for weight in group["params"]})
    ]


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of every group, by its factor."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["factor"]


def clip_gradients(optimizer: torch.optim.Optimizer, norm: float) -> None:
    """Clip every variable's gradient to ``norm``, unless the optimizer does so itself, after weight decay."""
    if not isinstance(optimizer, TensorFlowRMSprop):
        clip_each_gradient((weight for group in optimizer.param_groups for weight in group["params"]), norm)


def clip_each_gradient(parameters: Iterable[Tensor], norm: float) -> None:
    """Scale every gradient whose own norm is above ``norm`` down to it (the official recipe's clipping)."""
    gradients = [weight.grad for weight in parameters if weight.grad is not None]
    torch._foreach_mul_(gradients, _clip_factors(gradients, norm))


def _clip_factors(gradients: list[Tensor], norm: float) -> list[Tensor]:
    return list((norm / torch.stack(torch._foreach_norm(gradients)).clamp(min=norm)).unbind())
