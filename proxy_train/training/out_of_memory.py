"""Trainings that do not fit into memory: their detection, and an error that says what would fit."""

from __future__ import annotations

import gc
from collections.abc import Callable

import torch
from torch import Tensor

from proxy_train.clips.targets import BatchLabels
from search_space.errors import MovinasError

# The last is oneDNN's, whose kernels are made when they are first needed.
_WORDS = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "bad_alloc",
    "could not create a primitive",
)


class OutOfMemory(MovinasError):  # noqa: N818 - it names what happened
    """A training that does not fit into memory; ``hint`` says what would."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory ran out, on a GPU or on the host."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error) for word in _WORDS)


def out_of_memory_error(
    attempt: Callable[[Tensor, BatchLabels], None], clips: Tensor, labels: BatchLabels, size: int
) -> OutOfMemory:
    """Return the error for a batch that did not fit, with the largest micro-batch that was seen to fit.

    Args:
        attempt: function that computes gradients for some clips, and raises if they do not fit.
        clips: (batch, 3, frames, height, width).
        labels: labels of the clips.
        size: number of clips at a time that did not fit.
    """
    _, _, frames, height, width = clips.shape
    message = f"out of memory with {size} clips of {frames} frames of {width}x{height} px at a time"
    while size > 1:
        size //= 2
        if _fits(attempt, clips[:size], labels.part(slice(0, size))):
            return OutOfMemory(message, hint=f"set recipe.micro_batch to {size}, which fits")
    return OutOfMemory(
        message, hint="not even one clip fits: use fewer frames, a smaller size or a smaller network"
    )


def _fits(attempt: Callable[[Tensor, BatchLabels], None], clips: Tensor, labels: BatchLabels) -> bool:
    gc.collect()
    if clips.device.type == "cuda":
        torch.cuda.empty_cache()
    try:
        attempt(clips, labels)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return False
    return True
