"""The sidecar of an export: all that a program needs to run it, and that it was checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import PlainSerializer, PlainValidator

from results.runtimes.preprocessing import Preprocessing
from search_space.errors import ExportError
from search_space.files import write_json
from search_space.json_files import from_json, read_json, to_json

FORMAT = "movinas-export-3"
CHANNELS = 3
Precision = Literal["float32", "float16", "int8"]
"""``float16`` stores the weights in 16 bits, and computes in float32."""
Form = Literal["step", "clip"]
_HINT = "export the member again"
_PreprocessingJson = Annotated[
    Preprocessing, PlainValidator(Preprocessing.from_json), PlainSerializer(Preprocessing.to_json)
]


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input, output or state: its name, shape and NumPy type."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"


@dataclass(frozen=True, slots=True)
class State(Tensor):
    """A state: an input that starts as zeros, and ``next``, whose value it takes for the next frame.

    Args:
        next: name of an output, or of another state, whose value before this frame is meant.
    """

    next: str = ""


@dataclass(frozen=True, slots=True)
class Counter(Tensor):
    """An input with one element a stream, a function of n, the number of its frame in its video, from 1.

    Args:
        value: ``1 / n`` or ``n - 1``.
    """

    value: Literal["1 / n", "n - 1"] = "1 / n"

    def at(self, frames: NDArray[np.int64]) -> NDArray[np.floating[Any]]:
        """Return the values for the numbers of frames, from 1."""
        return 1.0 / frames if self.value == "1 / n" else frames - 1.0


@dataclass(frozen=True, slots=True)
class Check:
    """Comparison of an export, in its runtime and a process of its own, with PyTorch on a real video.

    Args:
        frames: number of frames fed one after another, each with the states that the frame before left; of
            a clip form, those of all clips that were compared.
        max_difference: largest absolute difference of any logit after any frame.
        largest_logit: largest absolute logit.
        tolerance: largest ``max_difference / largest_logit`` that is allowed.
        latency_ms: median time of one frame, or of one clip, in the runtime, one thread, in milliseconds.
        latency_p95_ms: 95th percentile of that time, in milliseconds.
        agreement: share of comparisons in which both had the same most probable label.
        float32_share: processor time of a call as a share of the same export's in float32, measured in turns
            where it was made; None of a float32 export.
    """

    frames: int
    max_difference: float
    largest_logit: float
    tolerance: float
    latency_ms: float
    latency_p95_ms: float
    agreement: float = 1.0
    float32_share: float | None = None

    @property
    def relative(self) -> float:
        """Largest difference as a share of the largest logit."""
        return (
            self.max_difference / self.largest_logit if self.largest_logit else float(self.max_difference > 0)
        )

    @property
    def passed(self) -> bool:
        """Whether the export computes what the network computes; a NaN never does."""
        return self.relative <= self.tolerance


@dataclass(frozen=True, slots=True)
class Sidecar:
    """Description of an export: all that a program needs to run it.

    Args:
        name: name of the member.
        file: name of the exported file, beside the sidecar.
        sha256: SHA-256 of that file.
        form: ``step`` computes one frame, ``clip`` a whole clip.
        precision: ``float32``; ``float16`` for weights in 16 bits, computed in float32; ``int8`` for 8-bit
            weights and activations inside. Inputs and outputs are float32.
        architectures: one-line text of the network, or of each network of an ensemble.
        digest: identity of the architecture, or of the ensemble's joined by ``+``.
        runtime: name of the runtime, of ``runtimes.registry.RUNTIMES``.
        pixels: input that takes a picture of each stream, (streams, 3, size, size), or the clip, (frames,
            3, size, size); with channels last for ``litert``.
        counters: inputs that the caller computes from the number of the frame.
        logits: output before the softmax.
        states: inputs that start as zeros and are handed on from frame to frame.
        preprocessing: preprocessing from a picture to ``pixels``.
        labels: label of each logit.
        check: comparison with PyTorch.
        accuracy: accuracies on evaluation videos as fractions, by name, as far as they are known.
        versions: versions of the programs that made it.
        oldest_runtime: oldest version of the runtime that such files were tried in; empty if it is not known.
        weights_sha256: SHA-256 of the weights that a family's member had when it was exported; else empty.
        settings: what a program has to set in the runtime to get the same results, a sentence each.
        graph: what the graph of an ONNX file was written for: ``portable`` is right in many runtimes; empty
            for other files.
        companions: SHA-256 by name of each further file, beside it, that the exported file needs.
    """

    name: str
    file: str
    sha256: str
    form: Form
    precision: Precision
    architectures: tuple[str, ...]
    digest: str
    runtime: str
    pixels: Tensor
    counters: tuple[Counter, ...]
    logits: Tensor
    states: tuple[State, ...]
    preprocessing: _PreprocessingJson
    labels: tuple[str, ...]
    check: Check
    accuracy: Mapping[str, float]
    versions: Mapping[str, str]
    oldest_runtime: str = ""
    weights_sha256: str = ""
    settings: tuple[str, ...] = ()
    graph: str = ""
    companions: Mapping[str, str] = field(default_factory=dict)

    @property
    def unit(self) -> str:
        """Unit of a call: ``frame``, ``clip``, or ``call of 8 frames``."""
        if self.form == "clip":
            return "clip"
        return "frame" if self.streams == 1 else f"call of {self.streams} frames"

    @property
    def streams(self) -> int:
        """Number of videos of which a step takes a frame each; of a clip form 1."""
        return self.pixels.shape[0] if self.form == "step" else 1

    @property
    def frames(self) -> int:
        """Number of frames of one call."""
        return self.pixels.shape[0]

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """All inputs, in the order of the file."""
        return (self.pixels, *self.counters, *self.states)

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """All outputs, in the order of the file."""
        names = {state.name for state in self.states}
        new = (Tensor(s.next, s.shape, s.dtype) for s in self.states if s.next not in names)
        return (self.logits, *new)

    def write(self, path: Path) -> None:
        """Write the sidecar, whole or not at all."""
        content = {"format": FORMAT, **to_json(self)}
        del content["pixels"], content["logits"]
        content |= {
            "inputs": [_plain(tensor) for tensor in self.inputs],
            "outputs": [_plain(tensor) for tensor in self.outputs],
            "states": [{**state, "start": 0} for state in content["states"]],
            "preprocessing": self.preprocessing.to_json(channels_last=self.pixels.shape[-1] == CHANNELS),
            "check": {**content["check"], "relative": self.check.relative},
        }
        write_json(path, content)

    @classmethod
    def read(cls, path: Path) -> Sidecar:
        """Read what :meth:`write` wrote.

        Raises:
            ExportError: the file is missing, damaged or of another version.
        """
        missing = "an export needs its sidecar beside it"
        content = read_json(
            path, dict[str, Any], error=ExportError, hint=_HINT, missing=missing, format=FORMAT
        )
        for own, key in (("pixels", "inputs"), ("logits", "outputs")):
            tensors = content.get(key)
            content[own] = tensors[0] if isinstance(tensors, list) and tensors else None
        return from_json(content, cls, where=str(path), error=ExportError, hint=_HINT)


def _plain(tensor: Tensor) -> dict[str, Any]:
    """Return name, shape and type of a tensor, whatever else it has."""
    return {"name": tensor.name, "shape": list(tensor.shape), "dtype": tensor.dtype}


def sidecar_of(path: Path) -> Path:
    """Return the path of an exported file's sidecar: beside it, its name with ``.json`` after it."""
    return path.with_name(f"{path.name}.json")
