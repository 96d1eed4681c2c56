"""Epochs of a training: the report of a finished one, and the part of one that was done at an interruption.

That part stands beside the checkpoint of the last whole epoch, which it does not replace, and counts for as
long as no later epoch is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from proxy_train.distributed import Group
from proxy_train.training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from search_space.termination import is_leaving

PARTIAL = "interrupted.safetensors"
_PREFIX = "progress."


@dataclass(frozen=True, slots=True)
class EpochReport:
    """One finished epoch.

    Args:
        epoch: number of epochs that are finished.
        loss: mean loss over its clips, with label smoothing.
        learning_rate: learning rate of its last step.
        seconds: wall-clock time.
        data_seconds: the part of them spent waiting for clips.
    """

    epoch: int
    loss: float
    learning_rate: float
    seconds: float
    data_seconds: float


@dataclass(slots=True)
class EpochProgress:
    """The part of an epoch that is done.

    Args:
        updates: number of updates.
        seconds: seconds that they took.
        data_seconds: the part of them spent waiting for clips.
        counts: numbers of what was used so far, by name.
        tensors: ``loss``, the sum of the updates' losses, and ``generators``, uint8 (processes, bytes).
    """

    updates: int = 0
    seconds: float = 0.0
    data_seconds: float = 0.0
    counts: Mapping[str, int] = field(default_factory=dict)
    tensors: Mapping[str, Tensor] = field(default_factory=dict)

    def loss(self, device: str) -> Tensor:
        """Return the sum of the losses so far on a device."""
        loss = self.tensors.get("loss")
        return torch.zeros((), device=device) if loss is None else loss.to(device)

    def write(self, folder: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Write it beside the checkpoint, with the tensors of the training and its facts."""
        own = {f"{_PREFIX}{name}": value for name, value in self.tensors.items()}
        done = {"updates": self.updates, "seconds": self.seconds, "data_seconds": self.data_seconds}
        content = {**facts, "progress": {**done, "counts": dict(self.counts)}}
        write_checkpoint(folder, Checkpoint({**tensors, **own}, content), PARTIAL)


def read_progress(
    folder: Path | None, facts: Mapping[str, Any]
) -> tuple[EpochProgress, Mapping[str, Tensor]] | None:
    """Return what an interrupted training has done of an epoch, and its tensors.

    Args:
        folder: folder of the training.
        facts: facts of the training as it stands in its checkpoint, with its epoch.

    Returns:
        None if there is nothing, or it belongs to another epoch or another training.
    """
    found = None if folder is None else read_checkpoint(folder, PARTIAL)
    if found is None or any(found.facts.get(key) != value for key, value in facts.items()):
        return None
    own = {
        key.removeprefix(_PREFIX): value for key, value in found.tensors.items() if key.startswith(_PREFIX)
    }
    return EpochProgress(**found.facts["progress"], tensors=own), found.tensors


@contextmanager
def seeded_generators(device: str, seed: int, progress: EpochProgress, rank: int) -> Iterator[None]:
    """Seed torch's generators for the block, from which dropout draws, and restore them after it.

    Args:
        device: device of torch.
        seed: seed of the epoch in this process.
        progress: the part of the epoch that is done, whose generators go on.
        rank: rank of this process among those that train together.
    """
    devices = [torch.device(device)] if torch.device(device).type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        if (states := progress.tensors.get("generators")) is not None:
            own = states[rank].cpu().contiguous()
            size = len(torch.get_rng_state())
            torch.set_rng_state(own[:size])
            if devices:
                torch.cuda.set_rng_state(own[size:], device)
        yield


def generators(device: str, group: Group) -> Tensor:
    """Return the states of all processes' generators, uint8 (processes, bytes); each of them has to ask."""
    state = torch.get_rng_state()
    if torch.device(device).type == "cuda":
        state = torch.cat([state, torch.cuda.get_rng_state(device)])
    rows = torch.zeros((group.size, len(state)), dtype=torch.int32, device=device)
    rows[group.rank] = state.to(device, torch.int32)
    return group.sum(rows).to(torch.uint8).cpu()


class Departure:
    """A request to leave on which the processes of a training agree.

    Several processes learn of it an update later: asking at once would make a GPU wait after every update.

    Args:
        device: device of torch.
        group: processes that train together.
    """

    def __init__(self, device: str, group: Group) -> None:
        self._device, self._group = device, group
        self._asked: _Arriving | None = None

    def is_due(self) -> bool:
        """Return whether the training ends after this update; each process has to ask after each."""
        if self._group.size == 1:
            return is_leaving()
        before = self._asked
        # Filled on the device: a value that is copied there makes the process wait.
        own = torch.full((), float(is_leaving()), device=self._device)
        self._asked = _Arriving(self._group.sum(own))
        return before is not None and before.value() > 0


class _Arriving:
    """A number on its way from a device to this process, while the device computes on."""

    def __init__(self, number: Tensor) -> None:
        self._number, self._event = number, None
        if number.device.type == "cuda":
            self._number = torch.empty((), pin_memory=True)
            self._number.copy_(number, non_blocking=True)
            self._event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._event.record()

    def value(self) -> float:
        """Return the number; what was computed after it is not waited for."""
        if self._event is not None:
            self._event.synchronize()
        return float(self._number)
