"""What a runtime for exported networks has to do: write a network's file, and load it."""

from __future__ import annotations

import importlib
import logging
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from results.provenance import versions
from results.runtimes.sidecar import Form, Precision
from search_space.errors import ExportError

# Programs that only run exports need not load torch.
if TYPE_CHECKING:
    from torch import Tensor, nn

Arrays = Mapping[str, NDArray[Any]]
Compute = Callable[[Arrays], Arrays]
"""Inputs by name to outputs by name."""


@dataclass(frozen=True)
class Program:
    """Module that is to be exported, with its inputs.

    Args:
        module: module that takes and gives tensors alone, of static shapes and at most four axes.
        inputs: names of its inputs, in order.
        outputs: names of its outputs, in order.
        examples: inputs of successive calls on a real video; the first gives the shapes, all of them the
            ranges of values that a quantisation covers.
        images: numbers of the inputs that are images or states of them, (.., channels, height, width).
        image_outputs: numbers of the outputs that are such images.
        precision: precision of weights and activations inside the file.
    """

    module: nn.Module
    inputs: Sequence[str]
    outputs: Sequence[str]
    examples: Sequence[tuple[Tensor, ...]]
    images: Sequence[int]
    image_outputs: Sequence[int] = ()
    precision: Precision = "float32"

    def feed(self, number: int, *, channels_last: bool = False) -> Arrays:
        """Return the inputs of an example by name, the channels of images last if its file has them so."""
        return {
            name: (
                tensor.permute(0, 2, 3, 1).contiguous() if channels_last and index in self.images else tensor
            ).numpy()
            for index, (name, tensor) in enumerate(zip(self.inputs, self.examples[number], strict=True))
        }


class Runtime(ABC):
    """A runtime: how a program becomes its file, and how the file is run.

    Attributes:
        name: name in sidecars.
        suffix: suffix of its files.
        companions: suffixes, in place of that, of further files that belong to each.
        named_files: whether its files have its name before the suffix, which others have, too.
        modules: modules that come with its extra, which has its name.
        remark: what else there is to say of how to install that.
        packages: packages whose versions a sidecar records.
        precisions: precisions that it can be exported in.
        forms: forms that it can be exported in.
        batches: whether a call of a step can take several videos.
        channels_last: whether images and states have their channels last in its files.
        joined: whether its steps take convolutions over time as those of frames joined into one image.
        calibrates: whether its 8 bits take the ranges of values that examples have.
        oldest: oldest version of the runtime that its files were tried in; empty if only the installed one
            was.
        graph: what its graphs are rewritten for; empty if they are not.
        settings: what a program has to set in the runtime to get the same results, a sentence each.
    """

    name: str
    suffix: str
    companions: tuple[str, ...] = ()
    named_files: bool = False
    modules: tuple[str, ...] = ()
    remark: str = ""
    packages: tuple[str, ...]
    precisions: tuple[Precision, ...] = ("float32",)
    forms: tuple[Form, ...] = ("step", "clip")
    batches: bool = True
    channels_last: bool = False
    joined: bool = False
    calibrates: bool = True
    oldest: str = ""
    graph: str = ""
    settings: tuple[str, ...] = ()

    def versions(self) -> dict[str, str]:
        """Return the versions of the programs that make its files, by name."""
        return versions("torch", *self.packages)

    def require_installed(self) -> None:
        """Refuse a runtime that is not installed: converting takes a while, and would be for nothing.

        Raises:
            ExportError: names what is missing, and how to get it.
        """
        for name in self.modules:
            self.module(name)

    def module(self, name: str) -> Any:
        """Return one of its modules.

        Raises:
            ExportError: it is not installed.
        """
        try:
            return importlib.import_module(name)
        except ImportError as error:
            raise ExportError(
                f"an export for {self.name} needs {name}, which is not installed",
                hint=f"pip install 'movinas[{self.name}]'{self.remark}",
            ) from error

    @abstractmethod
    def convert(self, program: Program, path: Path) -> None:
        """Write the program's file, and its companions.

        Raises:
            ExportError: a package is not installed, or the converter fails.
        """

    @abstractmethod
    def load(self, path: Path, inputs: Sequence[str], outputs: Sequence[str], threads: int) -> Compute:
        """Load a file whose digest was checked.

        Args:
            path: exported file.
            inputs: names of its inputs, in order; the first may always come with channels first.
            outputs: names of its outputs, in order.
            threads: number of threads to compute with.

        Raises:
            ExportError: the runtime is not installed, or cannot load the file.
        """


def first_line(error: Exception) -> str:
    """Return the first line of an error: the messages of exporters are pages long."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def last_line(text: str) -> str:
    """Return the last line of what a program wrote."""
    return text.strip().splitlines()[-1] if text.strip() else "it wrote nothing"


@contextmanager
def quiet(*words: str) -> Iterator[None]:
    """Silence remarks of exporters on optional packages and their own deprecations.

    Args:
        words: names of the loggers that are silent below errors, with all below them.
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
