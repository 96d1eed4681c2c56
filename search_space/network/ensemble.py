"""Ensembles: the mean of the members' logits, over the same frames (A6) or interleaved ones (paper, 3.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from search_space.errors import NetworkError
from search_space.network.model import MoViNet
from search_space.network.stream_state import COUNT_DTYPE, State


class Ensemble(nn.Module):
    """Networks that see the same frames, and the mean of their logits; A6 is that of A4 and A5.

    Attributes:
        members: the networks; state names are prefixed ``0.``, ``1.``, ...
        classes: outputs of each network.
    """

    def __init__(self, members: Sequence[MoViNet]) -> None:
        super().__init__()
        if not members:
            raise NetworkError("an ensemble needs at least one member, got none")
        require_networks(*members)
        outputs = [member.classes for member in members]
        if len(set(outputs)) != 1:
            raise NetworkError(f"ensemble: expected members of one number of classes, got {outputs}")
        self.members = nn.ModuleList(members)
        self.classes = outputs[0]

    @property
    def networks(self) -> list[MoViNet]:
        """The members, typed."""
        return [member for member in self.members if isinstance(member, MoViNet)]

    @property
    def causal(self) -> bool:
        """Whether all members can run frame by frame."""
        return all(member.causal for member in self.networks)

    def forward(self, clip: Tensor) -> Tensor:
        """Map (batch, 3, frames, height, width) to the mean of the members' logits, (batch, classes)."""
        return torch.stack([member(clip) for member in self.networks]).mean(0)

    def initial_state(
        self,
        batch: int = 1,
        size: int | tuple[int, int] | None = None,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> State:
        """Return the members' states side by side; ``size`` defaults to the largest input of the members."""
        size = max(member.architecture.input.size for member in self.networks) if size is None else size
        return {
            f"{index}.{name}": tensor
            for index, member in enumerate(self.networks)
            for name, tensor in member.initial_state(batch, size, dtype=dtype, device=device).items()
        }

    def step(self, frames: Tensor, state: Mapping[str, Tensor]) -> tuple[Tensor, State]:
        """Advance by a chunk of frames: return the mean of the members' logits, and the new state."""
        logits: list[Tensor] = []
        after: State = {}
        for index, member in enumerate(self.networks):
            part, new = member.step(frames, member_state(state, index))
            logits.append(part)
            after |= {f"{index}.{name}": tensor for name, tensor in new.items()}
        return torch.stack(logits).mean(0), {name: after[name] for name in state if name in after}


class TemporalEnsemble(nn.Module):
    """Networks that take turns on the frames, and the mean of their logits (paper, section 3.3).

    Of two members, each sees half the frame rate over the same duration, the second one frame later; together
    they cost as much as one network at the full rate. A member that has seen no frame yet is left out. The
    state of a stream holds, besides the members' states, ``frame_count`` (batch,) and each member's last
    ``logits``.

    Attributes:
        members: the networks, as a rule of one architecture trained independently.
        classes: outputs of each network.
    """

    def __init__(self, members: Sequence[MoViNet]) -> None:
        super().__init__()
        self.all = Ensemble(members)
        self.classes = self.all.classes

    @property
    def networks(self) -> list[MoViNet]:
        """The members, typed."""
        return self.all.networks

    @property
    def causal(self) -> bool:
        """Whether all members can run frame by frame."""
        return self.all.causal

    def forward(self, clip: Tensor) -> Tensor:
        """Map (batch, 3, frames, height, width) at the full frame rate to logits (batch, classes)."""
        count = len(self.networks)
        views = [clip[:, :, offset::count] for offset in range(min(count, clip.shape[2]))]
        logits = [member(view) for member, view in zip(self.networks, views, strict=False)]
        return torch.stack(logits).mean(0)

    def initial_state(
        self,
        batch: int = 1,
        size: int | tuple[int, int] | None = None,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> State:
        """Return the state at the start of a video."""
        state = self.all.initial_state(batch, size, dtype=dtype, device=device)
        weight = self.networks[0].stem.weight
        device, dtype = device or weight.device, dtype or weight.dtype
        state["frame_count"] = torch.zeros(batch, dtype=COUNT_DTYPE, device=device)
        state["logits"] = torch.zeros(batch, len(self.networks), self.classes, dtype=dtype, device=device)
        return state

    def step(self, frames: Tensor, state: Mapping[str, Tensor]) -> tuple[Tensor, State]:
        """Advance by a chunk of frames; each goes to the member whose turn it is in its stream.

        Streams of a batch may be at different turns; those at the same turn run together.
        """
        missing = [name for name in ("frame_count", "logits") if name not in state]
        if missing:
            raise NetworkError(
                f"state of another network: missing {missing}", hint="start from initial_state()"
            )
        count = len(self.networks)
        after = {name: tensor.clone() for name, tensor in state.items()}
        turns = (state["frame_count"] % count).to(torch.long)
        for turn in sorted(set(turns.tolist())):
            streams = (turns == turn).nonzero()[:, 0]
            for index, member in enumerate(self.networks):
                seen = frames[streams, :, (index - turn) % count :: count]
                if seen.shape[2] == 0:
                    continue
                before = {name: tensor[streams] for name, tensor in member_state(state, index).items()}
                logits, new = member.step(seen, before)
                after["logits"][streams, index] = logits
                for name, tensor in new.items():
                    after[f"{index}.{name}"][streams] = tensor
        after["frame_count"] = state["frame_count"] + frames.shape[2]
        started = after["frame_count"].clamp(max=count)
        counted = torch.arange(count, device=frames.device) < started[:, None]
        return (after["logits"] * counted[..., None]).sum(1) / started[:, None].to(frames.dtype), after


def member_state(state: Mapping[str, Tensor], index: int) -> State:
    """Return the part of an ensemble's state that is member ``index``'s, under the member's own names."""
    prefix = f"{index}."
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def networks_of(model: MoViNet | Ensemble) -> tuple[MoViNet, ...]:
    """Return the networks of an ensemble, or the one network.

    Raises:
        NetworkError: it is neither.
    """
    if isinstance(model, Ensemble):
        return tuple(model.networks)
    require_networks(model)
    return (model,)


def require_networks(*models: nn.Module) -> None:
    """Refuse what is no ``MoViNet``: without its forms and names it would pass for one until it runs.

    Raises:
        NetworkError: names the class that was given.
    """
    for model in models:
        if not isinstance(model, MoViNet):
            raise NetworkError(
                f"expected a MoViNet, got a {type(model).__name__}",
                hint="the plain form counts and shows only; build() without plain=True gives the normal form",
            )
