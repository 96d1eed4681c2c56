"""The time of one frame of a stream on a device, predicted from a table of single operations.

A network's prediction is a constant plus its operations' times, those of each kind times a factor: an
operation measured by itself finds other caches than one amid a network. Constant and factors were fitted on
whole networks; errors are those on others, held out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import PlainSerializer, PlainValidator
from scipy.optimize import nnls

from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import Layer, Options
from search_space.cost.operators import STEM_STRIDE, strided
from search_space.errors import SpaceError
from search_space.files import write_json
from search_space.genes.space_genes import SpaceChoices
from search_space.json_files import read_json, to_json

FORMAT = "movinas-latency-1"
_FORMAT_OF_ANY_VERSION = b'"format": "movinas-latency-'
_SUBJECT = ("space", "options", "classes", "device", "runtime", "threads")
_PULL = 0.3
KINDS = ("stem", "expand", "spatial", "temporal", "squeeze", "project", "skip", "head")


class Operation(NamedTuple):
    """A part of a network that is timed by itself, activation included.

    Attributes:
        kind: one of ``KINDS``.
        shape: stem (channels, pixels); expand (inputs, outputs, pixels); spatial (channels, kernel, stride,
            pixels); temporal (channels, kernel, pixels); squeeze (channels, pixels); project (inputs,
            outputs, pixels), with the sum of the shortcut; skip (inputs, outputs, stride, pixels); head
            (inputs, conv7, dense9, classes, pixels). Pixels are those a side of the input.
    """

    kind: str
    shape: tuple[int, ...]

    @property
    def text(self) -> str:
        """The name in a table: ``expand 24-80-43``."""
        return f"{self.kind} {'-'.join(map(str, self.shape))}"

    @classmethod
    def parse(cls, text: str) -> Operation:
        """Read :attr:`text`."""
        kind, _, shape = text.partition(" ")
        return cls(kind, tuple(map(int, shape.split("-"))))


OperationText = Annotated[
    Operation, PlainValidator(Operation.parse), PlainSerializer(lambda operation: operation.text, str)
]
"""An operation that stands in a JSON form as its text."""


def _layer_operations(
    layer: Layer, inputs: int, outputs: int, stride: int, size: int, options: Options
) -> Iterator[Operation]:
    wide, after = layer.expansion, strided(size, stride)
    yield Operation("expand", (inputs, wide, size))
    yield Operation("spatial", (wide, layer.kernel.space, stride, size))
    if layer.kernel.time > 1:
        yield Operation("temporal", (wide, layer.kernel.time, after))
    if layer.squeeze and options.squeeze != "none":
        yield Operation("squeeze", (wide, after))
    yield Operation("project", (wide, outputs, after))
    if stride > 1 or inputs != outputs:
        yield Operation("skip", (inputs, outputs, stride, size))


def frame_operations(architecture: Architecture, classes: int) -> list[Operation]:
    """Return the operations of one frame of a stream network, in order.

    Raises:
        SpaceError: the network cannot stream, or has convolutions over space and time at once.
    """
    _check(architecture.options)
    size, channels = architecture.input.size, architecture.stem
    operations = [Operation("stem", (channels, size))]
    size = strided(size, STEM_STRIDE)
    for stage in architecture.stages:
        for index, layer in enumerate(stage.layers):
            stride = stage.stride if index == 0 else 1
            operations += _layer_operations(layer, channels, stage.width, stride, size, architecture.options)
            channels, size = stage.width, strided(size, stride)
    return [*operations, Operation("head", (channels, architecture.head, architecture.hidden, classes, size))]


def is_table(path: Path) -> bool:
    """Return whether a file says that it is a latency table, of whatever version and however damaged."""
    with path.open("rb") as file:
        return _FORMAT_OF_ANY_VERSION in file.read(200)


def space_operations(choices: SpaceChoices, classes: int) -> list[Operation]:
    """Return every operation that any network of a space can have, sorted.

    Args:
        choices: the genes of the space.
        classes: outputs of the classifier.

    Raises:
        SpaceError: as :func:`frame_operations`.
    """
    _check(choices.options)
    operations: set[Operation] = set()
    for pixels in choices.sizes:
        operations |= {Operation("stem", (channels, pixels)) for channels in choices.stems}
        size, before = strided(pixels, STEM_STRIDE), choices.stems
        for stage in choices.stages:
            after = strided(size, stage.stride)
            for width in stage.widths:
                for layer in _layers(stage.first.table):
                    for inputs in before:
                        operations.update(
                            _layer_operations(layer, inputs, width, stage.stride, size, choices.options)
                        )
                for layer in _layers(stage.rest.table) if max(stage.depths) > 1 else ():
                    operations.update(_layer_operations(layer, width, width, 1, after, choices.options))
            size, before = after, stage.widths
        operations |= {
            Operation("head", (width, head, hidden, classes, size))
            for width in before
            for head in choices.heads
            for hidden in choices.hiddens
        }
    return sorted(operations)


def _layers(table: Sequence[Sequence[Sequence[Layer]]]) -> Iterator[Layer]:
    return (layer for rows in table for row in rows for layer in row)


def _check(options: Options) -> None:
    if not options.causal or options.convolution == "3d":
        raise SpaceError(
            f"latency tables are of streams with separate convolutions over space and over time, not of "
            f"{options.form} networks with {options.convolution} convolutions",
            hint="give a space of stream networks, such as a0-stream",
        )


class TimedNetwork(NamedTuple):
    """A whole network with the measured time of one frame, in milliseconds."""

    architecture: str
    milliseconds: float


@dataclass(frozen=True)
class LatencyTable:
    """Times of operations on a device, and the fit by which whole networks follow from them.

    Args:
        space: name of the space whose operations are in the table.
        options: text of the options of the space's networks.
        classes: outputs of the space's networks.
        device: the processor.
        runtime: the runtime that computed.
        threads: threads of the runtime.
        constant: milliseconds that every frame takes besides its operations.
        reference: milliseconds of the work that calls were timed beside.
        factors: factor of the times of each kind of operation.
        operations: milliseconds of each operation by itself.
        calibration: networks that constant and factors were fitted on.
        held_out: networks on which the prediction's error was measured.
    """

    space: str
    options: str
    classes: int
    device: str
    runtime: str
    threads: int
    constant: float = 0.0
    reference: float = 0.0
    factors: Mapping[str, float] = field(default_factory=dict)
    operations: Mapping[OperationText, float] = field(default_factory=dict)
    calibration: tuple[TimedNetwork, ...] = ()
    held_out: tuple[TimedNetwork, ...] = ()

    @property
    def subject(self) -> dict[str, Any]:
        """The subject of the table; only times of tables of the same subject belong together."""
        return {key: getattr(self, key) for key in _SUBJECT}

    def predict(self, architecture: Architecture) -> float:
        """Return the predicted milliseconds of one frame.

        Raises:
            SpaceError: the network has an operation that is not in the table.
        """
        if repr(architecture.options) != self.options:
            raise SpaceError(
                f"the latency table of {self.space} is of other options than {architecture.text}",
                hint="make a table of the space that is searched: movinas latency-table SPACE",
            )
        return self.constant + float(
            sum(self.factors[kind] * spent for kind, spent in self._sums(architecture).items())
        )

    def _sums(self, architecture: Architecture) -> dict[str, float]:
        """Return the milliseconds of a network's operations by kind."""
        sums = dict.fromkeys(KINDS, 0.0)
        for operation in frame_operations(architecture, self.classes):
            if operation not in self.operations:
                raise SpaceError(
                    f"the latency table of {self.space} has no {operation.text}",
                    hint="make a table of the space that is searched: movinas latency-table SPACE",
                )
            sums[operation.kind] += self.operations[operation]
        return sums

    def fitted(self, networks: Sequence[TimedNetwork]) -> LatencyTable:
        """Return the table with the constant and factors of least squared relative errors on networks."""
        rows = [self._sums(Architecture.parse(network.architecture)) for network in networks]
        measured = np.array([network.milliseconds for network in networks])
        matrix = np.array([[1.0, *row.values()] for row in rows]) / measured[:, None]
        # Factors that these networks do not tell apart stay near 1.
        weight = _PULL * matrix[:, 1:].mean(0)
        pull = np.hstack([np.zeros((len(KINDS), 1)), np.diag(weight)])
        weights, _ = nnls(np.vstack([matrix, pull]), np.concatenate([np.ones(len(rows)), weight]))
        return replace(
            self,
            constant=float(weights[0]),
            factors=dict(zip(KINDS, map(float, weights[1:]), strict=True)),
            calibration=tuple(networks),
        )

    @property
    def errors(self) -> list[float]:
        """The errors on the held-out networks, as fractions of the measured times."""
        return [
            self.predict(Architecture.parse(network.architecture)) / network.milliseconds - 1
            for network in self.held_out
        ]

    @property
    def median_error(self) -> float:
        """The median absolute error on the held-out networks."""
        return median(map(abs, self.errors))

    def text(self) -> str:
        """Describe the table and its errors."""
        errors = sorted(map(abs, self.errors))
        # The least error that at least nine of ten do not exceed; in whole numbers, for 0.9 is none.
        nine_of_ten = (9 * len(errors) + 9) // 10 - 1
        return (
            f"{len(self.operations)} operations of {self.space} in {self.runtime}, {self.threads} threads, "
            f"on {self.device}; on {len(errors)} held-out networks the error is "
            f"{100 * self.median_error:.1f} % (median), "
            f"{100 * errors[nine_of_ten]:.1f} % (9 of 10), "
            f"{100 * errors[-1]:.1f} % (largest)"
        )

    def write(self, path: Path) -> None:
        """Write the table as JSON, whole or not at all."""
        write_json(path, {"format": FORMAT, **to_json(self)})

    @classmethod
    def read(cls, path: Path) -> LatencyTable:
        """Read a table that :meth:`write` wrote.

        Raises:
            SpaceError: the file is missing, damaged or of another version.
        """
        hint = "make it with movinas latency-table SPACE"
        return read_json(path, cls, error=SpaceError, hint=hint, format=FORMAT)
