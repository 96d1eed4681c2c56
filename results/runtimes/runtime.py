"""What a runtime for exported networks has to do: write a network's file, and load it."""

from __future__ import annotations

import logging
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from results.runtimes.sidecar import Precision

# Programs that only run exports need not load torch.
if TYPE_CHECKING:
    from torch import Tensor, nn

Arrays = Mapping[str, NDArray[Any]]
Compute = Callable[[Arrays], Arrays]
"""Inputs by name to outputs by name."""


@dataclass(frozen=True)
class Program:
    """What is to be exported.

    Args:
        module: of tensors alone, at most four axes each, static shapes.
        inputs: names of its inputs, in order.
        outputs: names of its outputs, in order.
        examples: inputs of successive calls on a real video; the first gives the shapes, all of them the
            ranges of values that a quantisation covers.
        images: numbers of the inputs that are images or states of them, (.., channels, height, width).
        image_outputs: numbers of the outputs that are.
        precision: of weights and activations inside the file.
    """

    module: nn.Module
    inputs: Sequence[str]
    outputs: Sequence[str]
    examples: Sequence[tuple[Tensor, ...]]
    images: Sequence[int]
    image_outputs: Sequence[int] = ()
    precision: Precision = "float32"


class Runtime(ABC):
    """A runtime: how a program becomes its file, and how the file is run.

    Attributes:
        name: as sidecars have it.
        suffix: of its files.
        packages: whose versions a sidecar records.
        precisions: what it can be exported in.
        channels_last: whether images and states have their channels last in its files.
    """

    name: str
    suffix: str
    packages: tuple[str, ...]
    precisions: tuple[Precision, ...] = ("float32",)
    channels_last: bool = False

    @abstractmethod
    def convert(self, program: Program, path: Path) -> None:
        """Write the program's file.

        Raises:
            ExportError: a package is not installed, or the converter fails.
        """

    @abstractmethod
    def load(self, path: Path, inputs: Sequence[str], outputs: Sequence[str], threads: int) -> Compute:
        """Load a file whose digest was checked.

        Args:
            path: of the file.
            inputs: names of its inputs, in order. The first may come with channels first always.
            outputs: names of its outputs, in order.
            threads: to compute with.

        Raises:
            ExportError: the runtime is not installed, or cannot load the file.
        """


def first_line(error: Exception) -> str:
    """What exporters say at first; their messages are pages long."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


@contextmanager
def quiet(*words: str) -> Iterator[None]:
    """The exporters' remarks on optional packages and their own deprecations are of no use to a user.

    Args:
        words: names of the loggers that are to be silent below errors, with all below them.
    """
    loggers = [logging.getLogger(name) for name in words]
    loggers += [
        logging.getLogger(name)
        for name in logging.root.manager.loggerDict
        if name.startswith(tuple(f"{word}." for word in words))
    ]
    levels = [(logger, logger.level) for logger in loggers]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
    finally:
        for logger, level in levels:
            logger.setLevel(level)
