"""Checkpoints of trainings: one safetensors file, tensors and a JSON header, whole or absent; no pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from search_space.errors import RecordError
from search_space.files import replacing

LATEST = "checkpoint.safetensors"
BEST = "best.safetensors"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state that a training resumes from: named tensors, and facts as JSON values."""

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]


def write_checkpoint(folder: Path, checkpoint: Checkpoint, name: str = LATEST) -> None:
    """Replace the folder's checkpoint of that name; a kill leaves the old one or the new one."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in checkpoint.tensors.items()}
    with replacing(folder / name) as temporary:
        save_file(tensors, temporary, {"facts": json.dumps(dict(checkpoint.facts))})


def read_checkpoint(folder: Path, name: str = LATEST) -> Checkpoint | None:
    """Return the folder's checkpoint of that name, or None; raise RecordError for a damaged one."""
    path = folder / name
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {})["facts"])
            return Checkpoint({name: file.get_tensor(name) for name in file.keys()}, facts)  # noqa: SIM118
    except (SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise RecordError(
            f"{path}: damaged checkpoint", hint="delete it; the training then starts from scratch"
        ) from error


def is_checkpoint(path: Path) -> bool:
    """Return whether a file says that :func:`write_checkpoint` wrote it; only its head is read."""
    if not path.is_file():
        return False
    try:
        with safe_open(path, framework="pt") as file:
            return isinstance(json.loads((file.metadata() or {})["facts"]), dict)
    except (SafetensorError, KeyError, ValueError, RecursionError, OSError):
        return False


@torch.no_grad()
def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the optimizer's state as named tensors: ``optimizer.<parameter number>.<name>``."""
    state = optimizer.state_dict()["state"]
    return {
        f"optimizer.{index}.{name}": torch.as_tensor(value)
        for index, values in state.items()
        for name, value in values.items()
    }


@torch.no_grad()
def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Restore the state that ``optimizer_tensors`` returned; groups and their rates stay as built."""
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, number, name = key.split(".")
            weight = weights[int(number)]
            # Moments must lie in memory as their weights do: fused kernels walk both in one go.
            placed = torch.empty_like(weight).copy_(value) if value.shape == weight.shape else value
            state.setdefault(int(number), {})[name] = value.clone() if name == "step" else placed.detach()
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
