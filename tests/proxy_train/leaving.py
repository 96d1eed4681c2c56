"""Trainings in pieces: each is asked to leave after every update, as often as it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from search_space import termination
from search_space.termination import LeftEarly, ask_to_leave


@contextmanager
def staying_afterwards() -> Iterator[None]:
    """This process may be asked to leave in the block, and stays after it."""
    try:
        yield
    finally:
        termination._leaving = False


def in_pieces(begin: Callable[[], Any], epochs: int) -> tuple[Any, list[float], int]:
    """The training that ended, the losses of its epochs, and the number of pieces.

    Args:
        begin: function that returns the training as it stands in its folder.
        epochs: number of epochs.
    """
    losses: list[float] = []
    pieces = 0
    while len(losses) < epochs:
        part = begin()
        with staying_afterwards():
            try:
                report = part.train_epoch(lambda number, of: ask_to_leave())
            except LeftEarly:
                pieces += 1
                continue
        losses.append(report.loss)
        part.save()
    return part, losses, pieces
