"""The state of a stream: a flat, named, ordered set of tensors that ``step`` takes and returns.

Every tensor has the batch as its first axis, so that one stream of a batch can be reset, moved or stored
alone:

- ``state_block<i>_layer<j>_stream_buffer``: the last k_t - 1 frames before a temporal convolution,
  (batch, k_t - 1, height * width, channels);
- ``state_block<i>_layer<j>_pool_buffer`` and ``.._pool_frame_count``: the running sum over the frames so far
  of a squeeze-and-excitation descriptor, (batch, channels), and how many frames it holds, (batch,) int32;
- ``state_block<i>_layer<j>_pos_enc_frame_count``: the position of the next frame, (batch,) int32;
- ``state_head_pool_buffer`` and ``state_head_pool_frame_count``: the same for the pooling before the
  classifier.

The names are the official implementation's. All is zero at the start of a video.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from search_space.errors import NetworkError

State = dict[str, Tensor]
COUNT_DTYPE = torch.int32


class Memory:
    """The state before and the state after one step, as the layers read and write them."""

    __slots__ = ("after", "before")

    def __init__(self, before: Mapping[str, Tensor]) -> None:
        self.before = before
        self.after: State = {}


def reset_streams(state: Mapping[str, Tensor], streams: Sequence[int] | Tensor) -> State:
    """Reset some streams of a batch to the start of a video, and leave the others as they are.

    Args:
        state: a state of ``step`` or ``initial_state``; it is not changed.
        streams: batch indices, or a boolean mask of shape (batch,).

    Returns:
        A new state whose rows ``streams`` are zero.

    Raises:
        NetworkError: an index outside the batch, or a mask of another length.
    """
    batch = batch_of(state)
    chosen = torch.as_tensor(streams)
    if chosen.dtype == torch.bool:
        if chosen.shape != (batch,):
            raise NetworkError(f"mask of streams: expected shape ({batch},), got {tuple(chosen.shape)}")
        mask = chosen
    else:
        wrong = [int(index) for index in chosen.reshape(-1) if not -batch <= index < batch]
        if wrong:
            raise NetworkError(f"streams {wrong} to reset: the state holds a batch of {batch}")
        mask = torch.zeros(batch, dtype=torch.bool)
        mask[chosen.reshape(-1).long()] = True
    return {
        name: tensor.masked_fill(mask.to(tensor.device).view(-1, *[1] * (tensor.ndim - 1)), 0)
        for name, tensor in state.items()
    }


def batch_of(state: Mapping[str, Tensor]) -> int:
    """Return the number of streams of a state.

    Raises:
        NetworkError: the state is empty.
    """
    for tensor in state.values():
        return int(tensor.shape[0])
    raise NetworkError("the state is empty", hint="start from initial_state()")


def state_bytes(state: Mapping[str, Tensor]) -> int:
    """Return the bytes that all tensors of a state hold."""
    return sum(tensor.numel() * tensor.element_size() for tensor in state.values())


def check_state(state: Mapping[str, Tensor], expected: Mapping[str, tuple[int, ...]], like: Tensor) -> None:
    """Refuse a state of another network, batch, size, type or device.

    Args:
        state: the state that the caller gave.
        expected: names and shapes that the network has for this batch and size.
        like: the frames, whose type and device the state's floating tensors must have.

    Raises:
        NetworkError: names the tensor, what was expected and what was given.
    """
    if state.keys() != expected.keys():
        missing = [name for name in expected if name not in state]
        unknown = [name for name in state if name not in expected]
        raise NetworkError(
            f"state of another network: expected {len(expected)} tensors, got {len(state)};"
            f" missing {_first_names(missing)}, unknown {_first_names(unknown)}",
            hint="start from this network's initial_state()",
        )
    for name, shape in expected.items():
        tensor = state[name]
        if tuple(tensor.shape) != shape:
            raise NetworkError(
                f"state {name}: expected shape {shape}, got {tuple(tensor.shape)}",
                hint="the state is of another batch, size or network; start from initial_state(batch, size)",
            )
        dtype = COUNT_DTYPE if name.endswith("frame_count") else like.dtype
        if tensor.dtype != dtype:
            raise NetworkError(f"state {name}: expected {dtype}, got {tensor.dtype}")
        if tensor.device != like.device:
            raise NetworkError(f"state {name}: expected device {like.device}, got {tensor.device}")


def _first_names(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3]) or "none"
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown
