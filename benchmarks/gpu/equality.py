"""A device computes what the CPU computes, in float32: forward, step form, deployed step, gradients, update.

The CPU's float64 is the truth. What float32 on the CPU misses it by says what rounding does to that network;
the device may miss it by ten times as much, since it adds in other orders.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.gpu.given import Facts, Given, exact_float32, lively
from proxy_train.clips.targets import BatchLabels
from proxy_train.distributed import Group
from proxy_train.recipe import Recipe
from proxy_train.training.optimizers import make_optimizer
from proxy_train.training.updates import Updater
from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import ClipShape
from search_space.architecture.published import PUBLISHED, published
from search_space.network.folding import deploy
from search_space.network.model import MoViNet

FRAMES, SIZE, CLASSES = 6, 64, 20
MOST_TIMES, LEAST_LIMIT = 10.0, 1e-5
Compute = Callable[[MoViNet, Tensor], Tensor]


def forward(model: MoViNet, clip: Tensor) -> Tensor:
    """Return the logits of clips."""
    with torch.no_grad():
        logits: Tensor = model.eval()(clip)
    return logits


def stepped(model: MoViNet, clip: Tensor) -> Tensor:
    """Return the logits after the last frame, frame by frame."""
    state = model.eval().initial_state(len(clip), (clip.shape[3], clip.shape[4]))
    with torch.no_grad():
        for frame in torch.split(clip, 1, dim=2):
            logits, state = model.step(frame, state)
    return logits


def deployed(model: MoViNet, clip: Tensor) -> Tensor:
    """Return the same of the folded network, whose step of one frame is another program."""
    folded = deploy(model.eval())
    assert isinstance(folded, MoViNet)
    return stepped(folded, clip)


def gradients(model: MoViNet, clip: Tensor) -> Tensor:
    """Return the gradients of all weights, in a row."""
    model.train().zero_grad()
    target = torch.arange(len(clip), device=clip.device)
    F.cross_entropy(model(clip), target).backward()  # type: ignore[no-untyped-call]
    return torch.cat([weight.grad.flatten() for weight in model.parameters() if weight.grad is not None])


def update(model: MoViNet, clip: Tensor) -> Tensor:
    """Return how an update by the official optimizer changes all weights, in a row."""
    recipe = Recipe(optimizer="rmsprop", clip_norm=1.0, weight_decay=1e-5)
    before = torch.cat([weight.detach().flatten() for weight in model.parameters()])
    updater = Updater(model.train(), make_optimizer(model, recipe), recipe, str(clip.device), Group())
    updater.update(clip, BatchLabels(torch.arange(len(clip), device=clip.device)), 0.1, len(clip))
    return torch.cat([weight.detach().flatten() for weight in model.parameters()]) - before


FORMS: dict[str, Compute] = {
    "forward": forward,
    "step": stepped,
    "deployed step": deployed,
    "gradients": gradients,
    "update": update,
}


def forms_of(architecture: Architecture) -> list[str]:
    """Return the names of the forms that a network has."""
    return [name for name in FORMS if architecture.options.causal or "step" not in name]


def misses(architecture: Architecture, form: str, device: str) -> tuple[float, float]:
    """Return by how much the device, and the CPU, miss the truth, as shares of its norm.

    Args:
        architecture: network, whose own clip shape is used.
        form: name of ``FORMS``.
        device: device of torch.
    """
    compute, shape = FORMS[form], architecture.input
    model = lively(architecture, CLASSES)
    generator = torch.Generator().manual_seed(0)
    clip = torch.rand(3, 3, shape.frames, shape.size, shape.size, generator=generator)

    def run(where: str, kind: torch.dtype) -> Tensor:
        there = copy.deepcopy(model).to(where, kind)
        return compute(there, clip.to(where, kind)).detach().cpu().double()

    with exact_float32():
        truth = run("cpu", torch.float64)
        found = [run(where, torch.float32) for where in (device, "cpu")]
    there, here = (float((each - truth).norm() / truth.norm()) for each in found)
    return there, here


def limit(here: float) -> float:
    """Return what the device may miss the truth by, if the CPU misses it by ``here``."""
    return max(MOST_TIMES * here, LEAST_LIMIT)


def run(given: Given) -> Facts:
    """Return the misses of every published network in every form; raise if one is beyond its limit."""
    names = ("A0-base", "A0-stream") if given.quick else tuple(PUBLISHED)
    clip = ClipShape(3, 32, 5) if given.quick else ClipShape(FRAMES, SIZE, 5)
    found, wrong = [], []
    for name in names:
        architecture = published(name).with_input(clip)
        for form in forms_of(architecture):
            there, here = misses(architecture, form, given.device)
            found.append({"network": name, "form": form, "device": there, "cpu": here, "limit": limit(here)})
            if not there <= limit(here):
                wrong.append(f"{name} {form} by {there:.1e}, more than {limit(here):.1e}")
    return {"misses": found, "wrong": wrong, "clip": str(clip)}
