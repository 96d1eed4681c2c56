"""Weights of a trained network for another one of the same form: its first channels and its first layers.

Channels keep their place from layer to layer, so that the first channels of every tensor are a network of
their own, as are the first layers of every stage (as in once-for-all networks; Cai et al., ICLR 2020).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from search_space.architecture.architecture import Architecture
from search_space.errors import NetworkError
from search_space.network.model import MoViNet

_CLASSIFIER = "head.classifier."


@torch.no_grad()
def inherit(target: MoViNet, state: Mapping[str, Tensor], source: Architecture) -> list[str]:
    """Copy the first channels and layers of trained weights into a network, wherever shapes allow.

    What the source does not have stays as it was initialised: further layers of a stage, further channels,
    a kernel of another rank, a classifier of another number of classes. See ``first_channels`` for a tensor.

    Args:
        target: network that inherits; its batch norm is not folded.
        state: the source's tensors by name, as its ``state_dict`` gives them.
        source: architecture that they belong to.

    Returns:
        Names of the target's tensors that were inherited, wholly or in part, in its order.

    Raises:
        NetworkError: the source is of another form, or none of its tensors is the target's.
    """
    require_same_form(source, target.architecture)
    options = target.architecture.options
    inherited: list[str] = []
    for name, tensor in target.state_dict().items():
        old = state.get(name)
        if old is None or old.ndim != tensor.ndim:
            continue
        if name.startswith(_CLASSIFIER) and old.shape[0] != tensor.shape[0]:
            continue
        pairs = options.squeeze == "2plus3d" and name.endswith("squeeze.reduce.weight")
        tensor.copy_(first_channels(old, tensor, side_by_side=pairs, causal=options.causal))
        inherited.append(name)
    if not inherited:
        raise NetworkError(
            f"none of the {len(state)} tensors has a name that {target.architecture.text} knows",
            hint="give the weights of a network of this project, with its own names",
        )
    return inherited


def require_same_form(source: Architecture, target: Architecture) -> None:
    """Refuse weights that would compute something else in the target's layers.

    Raises:
        NetworkError: the convolution, the activation, causality or what squeeze-excitation sees differs.
    """
    for name in ("causal", "convolution", "activation", "squeeze"):
        theirs, ours = getattr(source.options, name), getattr(target.options, name)
        # A network whose layers use no squeeze-excitation has none to differ in.
        if theirs != ours and not (name == "squeeze" and "none" in (theirs, ours)):
            raise NetworkError(
                f"weights of a network with {name} {theirs} for one with {name} {ours}",
                hint="inherit from a network of the same form and options",
            )


def first_channels(old: Tensor, new: Tensor, *, side_by_side: bool = False, causal: bool = False) -> Tensor:
    """Return a tensor like ``new`` whose first channels are those of ``old``.

    Where ``new`` has more inputs, the inherited outputs have no weight on them, so that they stay what they
    were. Where kernels differ, the smaller one is the centre of the larger one, whose rim is zero; along the
    time of a causal network it is the latest frames of it.

    Args:
        old: trained tensor of the same rank: a scalar, (channels,) or (outputs, inputs, ...).
        new: tensor as initialised; it is not changed.
        side_by_side: whether the inputs are two descriptors side by side, each with channels of its own.
        causal: whether the first axis of a kernel of unlike sides ends with the latest frame.
    """
    out = new.clone()
    old = old.to(device=new.device, dtype=new.dtype)
    if new.ndim == 0:
        return out.copy_(old)
    rows = min(old.shape[0], new.shape[0])
    if new.ndim == 1:
        out[:rows] = old[:rows]
        return out
    from_columns, to_columns = _columns(old.shape[1], new.shape[1], side_by_side, new.device)
    kernel = _fitted(old[:rows][:, from_columns], tuple(new.shape[2:]), causal)
    out[:rows] = 0
    out[:rows].index_copy_(1, to_columns, kernel)
    return out


def _columns(old: int, new: int, side_by_side: bool, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the indices of the inputs that both have, in the old tensor and in the new one."""
    if not side_by_side:
        common = torch.arange(min(old, new), device=device)
        return common, common
    common = torch.arange(min(old, new) // 2, device=device)
    return torch.cat([common, common + old // 2]), torch.cat([common, common + new // 2])


def _fitted(kernel: Tensor, size: tuple[int, ...], causal: bool) -> Tensor:
    """Return kernels (outputs, inputs, ...) cut or padded with zeros to a size."""
    fitted = kernel
    for axis, wanted in enumerate(size, 2):
        have = fitted.shape[axis]
        if have == wanted:
            continue
        # Time is the first of three axes, or of two of which the other has a single place.
        of_time = axis == 2 and (len(size) == 3 or (size[1] == 1 and kernel.shape[3] == 1))
        before = abs(have - wanted) // (1 if causal and of_time else 2)
        if have > wanted:
            fitted = fitted.narrow(axis, before, wanted)
        else:
            shape = list(fitted.shape)
            shape[axis] = wanted
            padded = fitted.new_zeros(shape)
            padded.narrow(axis, before, have).copy_(fitted)
            fitted = padded
    return fitted
