"""The sidecar ``step.json``: all that a program needs to run an exported step, and that it was checked."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from results.preprocessing import Preprocessing
from search_space.errors import ExportError
from search_space.files import write_json

FORMAT = "movinas-step-1"
NEXT = "next_"
_AGAIN = "export the member again"


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input, output or state by name, with its shape and NumPy type name."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"


@dataclass(frozen=True, slots=True)
class Check:
    """How the export differed from PyTorch over chained frames of a real clip.

    Args:
        frames: frames fed one after another, each with the states that the frame before left.
        max_difference: largest absolute difference of any logit after any frame.
        largest_logit: largest absolute logit.
        tolerance: what ``max_difference / largest_logit`` may be at most.
        latency_ms: median time of one frame in the runtime, one thread.
        latency_p95_ms: 95th percentile of it.
    """

    frames: int
    max_difference: float
    largest_logit: float
    tolerance: float
    latency_ms: float
    latency_p95_ms: float

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
    """What ``step.json`` says.

    Args:
        name: the member's name.
        file: the exported file, beside the sidecar.
        sha256: of that file.
        architectures: one-line texts: one, or an ensemble's.
        digest: identity of the architecture, or of the ensemble's joined by ``+``.
        frame: the input that takes the picture.
        logits: the output before the softmax.
        states: inputs that start as zeros; each comes back as the output ``next_<name>`` for the next frame.
        preprocessing: from a picture to ``frame``.
        labels: one for each logit.
        check: the comparison with PyTorch.
        versions: of what made it.
    """

    name: str
    file: str
    sha256: str
    architectures: tuple[str, ...]
    digest: str
    frame: Tensor
    logits: Tensor
    states: tuple[Tensor, ...]
    preprocessing: Preprocessing
    labels: tuple[str, ...]
    check: Check
    versions: Mapping[str, str]

    def write(self, path: Path) -> None:
        """Writes the sidecar, whole or not at all."""
        outputs = [Tensor(NEXT + s.name, s.shape, s.dtype) for s in self.states]
        content = {
            "format": FORMAT,
            **{
                key: value
                for key, value in asdict(self).items()
                if key not in {"preprocessing", "frame", "logits"}
            },
            "inputs": [asdict(tensor) for tensor in (self.frame, *self.states)],
            "outputs": [asdict(tensor) for tensor in (self.logits, *outputs)],
            "states": [
                {**asdict(s), "input": s.name, "output": NEXT + s.name, "start": 0} for s in self.states
            ],
            "preprocessing": self.preprocessing.to_json(),
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
                architectures=tuple(content["architectures"]),
                digest=content["digest"],
                frame=_tensor(content["inputs"][0]),
                logits=_tensor(content["outputs"][0]),
                states=tuple(_tensor(state) for state in content["states"]),
                preprocessing=Preprocessing.from_json(content["preprocessing"]),
                labels=tuple(content["labels"]),
                check=Check(**check),
                versions=dict(content["versions"]),
            )
        except (KeyError, TypeError, IndexError) as error:
            raise ExportError(f"{path} is incomplete: {error}", hint=_AGAIN) from error


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
    return Tensor(content["name"], tuple(content["shape"]), content["dtype"])


def sha256(path: Path) -> str:
    """SHA-256 of a file as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def versions(*packages: str) -> dict[str, str]:
    """Versions of the interpreter, of this project and of ``packages``, for the record."""
    found = {"python": platform.python_version()}
    for package in ("movinas", *packages):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            # Run from a checkout that is not installed: there is no version to record.
            continue
    return found
