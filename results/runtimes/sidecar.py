"""The sidecar of an export: all that a program needs to run it, and that it was checked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from results.runtimes.preprocessing import Preprocessing
from search_space.errors import ExportError
from search_space.files import write_json

FORMAT = "movinas-export-3"
CHANNELS = 3
Precision = Literal["float32", "int8"]
Form = Literal["step", "clip"]
_AGAIN = "export the member again"


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input, output or state by name, with its shape and NumPy type name."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"


@dataclass(frozen=True, slots=True)
class State(Tensor):
    """A state: an input that starts as zeros, and ``next``, whose value it takes for the next frame.

    Args:
        next: an output, or another state, whose value before this frame is meant.
    """

    next: str = ""


@dataclass(frozen=True, slots=True)
class Counter(Tensor):
    """An input all of whose elements are a function of n, the number of the frame in its video, from 1.

    Args:
        value: ``1 / n`` or ``n - 1``.
    """

    value: Literal["1 / n", "n - 1"] = "1 / n"

    def at(self, frame: int) -> float:
        """The value for the ``frame``-th frame, from 1."""
        return 1.0 / frame if self.value == "1 / n" else frame - 1.0


@dataclass(frozen=True, slots=True)
class Check:
    """How the export, in its runtime and a process of its own, differed from PyTorch on a real video.

    Args:
        frames: frames fed one after another, each with the states that the frame before left; of a clip form,
            those of all clips that were compared.
        max_difference: largest absolute difference of any logit after any frame.
        largest_logit: largest absolute logit.
        tolerance: what ``max_difference / largest_logit`` may be at most.
        latency_ms: median time of one frame, or of one clip, in the runtime, one thread.
        latency_p95_ms: 95th percentile of it.
        agreement: the share of comparisons in which both had the same most probable label.
    """

    frames: int
    max_difference: float
    largest_logit: float
    tolerance: float
    latency_ms: float
    latency_p95_ms: float
    agreement: float = 1.0

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
    """What the sidecar says.

    Args:
        name: the member's name.
        file: the exported file, beside the sidecar.
        sha256: of that file.
        form: ``step`` computes one frame, ``clip`` a whole clip.
        precision: ``float32``, or ``int8`` for 8-bit weights and activations inside; inputs and outputs are
            float32.
        architectures: one-line texts: one, or an ensemble's.
        digest: identity of the architecture, or of the ensemble's joined by ``+``.
        runtime: what it is for, a name of ``results.runtimes.RUNTIMES``.
        pixels: the input that takes the picture, (1, 3, size, size), or the clip, (frames, 3, size, size);
            with channels last for ``litert``.
        counters: inputs that the caller computes from the number of the frame.
        logits: the output before the softmax.
        states: inputs that start as zeros and are handed on from frame to frame.
        preprocessing: from a picture to ``pixels``.
        labels: one for each logit.
        check: the comparison with PyTorch.
        accuracy: shares of right answers on evaluation videos, by name, as far as they are known.
        versions: of what made it.
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
    preprocessing: Preprocessing
    labels: tuple[str, ...]
    check: Check
    accuracy: Mapping[str, float]
    versions: Mapping[str, str]

    @property
    def unit(self) -> str:
        """What a call computes, in a word."""
        return "frame" if self.form == "step" else "clip"

    @property
    def frames(self) -> int:
        """Frames of one call."""
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
        """Writes the sidecar, whole or not at all."""
        content = {
            "format": FORMAT,
            **{
                key: value
                for key, value in asdict(self).items()
                if key not in {"preprocessing", "pixels", "logits"}
            },
            "inputs": [
                {key: value for key, value in asdict(tensor).items() if key in {"name", "shape", "dtype"}}
                for tensor in self.inputs
            ],
            "outputs": [asdict(tensor) for tensor in self.outputs],
            "states": [{**asdict(state), "start": 0} for state in self.states],
            "preprocessing": self.preprocessing.to_json(channels_last=self.pixels.shape[-1] == CHANNELS),
            "check": {**asdict(self.check), "relative": self.check.relative},
        }
        write_json(path, content)

    @classmethod
    def read(cls, path: Path) -> Sidecar:
        """Reads what :meth:`write` wrote.

        Raises:
            ExportError: if the file is missing, damaged or of another version.
        """
        content = _json(path)
        if content.get("format") != FORMAT:
            raise ExportError(f"{path} has the format {content.get('format')!r}, not {FORMAT!r}", hint=_AGAIN)
        try:
            check = {key: value for key, value in content["check"].items() if key != "relative"}
            return cls(
                name=content["name"],
                file=content["file"],
                sha256=content["sha256"],
                form=content["form"],
                precision=content["precision"],
                architectures=tuple(content["architectures"]),
                digest=content["digest"],
                runtime=content["runtime"],
                pixels=_tensor(content["inputs"][0]),
                counters=tuple(
                    Counter(*_fields(counter), value=counter["value"]) for counter in content["counters"]
                ),
                logits=_tensor(content["outputs"][0]),
                states=tuple(State(*_fields(state), next=state["next"]) for state in content["states"]),
                preprocessing=Preprocessing.from_json(content["preprocessing"]),
                labels=tuple(content["labels"]),
                check=Check(**check),
                accuracy=dict(content["accuracy"]),
                versions=dict(content["versions"]),
            )
        except (KeyError, TypeError, IndexError) as error:
            raise ExportError(f"{path} is incomplete: {error}", hint=_AGAIN) from error


def sidecar_of(path: Path) -> Path:
    """Where the sidecar of an exported file is: beside it, its name with ``.json`` after it."""
    return path.with_name(f"{path.name}.json")


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ExportError(f"{path} does not exist", hint="an export needs its sidecar beside it") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ExportError(f"{path} is damaged: {error}", hint=_AGAIN) from error
    if not isinstance(content, dict):
        raise ExportError(f"{path} holds a {type(content).__name__}, not a mapping", hint=_AGAIN)
    return content


def _tensor(content: Mapping[str, Any]) -> Tensor:
    return Tensor(*_fields(content))


def _fields(content: Mapping[str, Any]) -> tuple[str, tuple[int, ...], str]:
    return content["name"], tuple(content["shape"]), content["dtype"]
