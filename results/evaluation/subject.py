"""What is evaluated, as a user names it: an architecture with weights, a member's folder, or an export."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from results.evaluation.classifiers import ExportClassifier, TorchClassifier
from results.evaluation.label_join import OutputNames
from results.inference.runners import ClipRunner, ExportRunner
from results.member import MEMBER, load_member, read_member
from results.publishing.hub_folder import hub_labels
from results.runtimes.registry import SUFFIXES
from results.runtimes.sidecar import Sidecar, sidecar_of
from search_space.architecture.by_name import read_architecture
from search_space.architecture.parts import ClipShape
from search_space.cost.stopwatch import PYTORCH
from search_space.errors import ArchitectureError, ExportError, NetworkError, SettingsError
from search_space.network.heads import Head
from searcher.standalone.given_network import network_with_weights, weights_digest

_KINDS = "an architecture, a published name, a member's folder or an export"


@dataclass(frozen=True, slots=True)
class OpenedNetwork:
    """What opens a network in any process: plain values that can be compared and sent.

    Args:
        source: architecture, member's folder or exported file.
        weights: weights of an architecture.
        head: meaning of the outputs.
        clip: shape of the clips.
        stream: whether clips are fed frame by frame.
        device: device as torch names it; of ``cuda``, each process takes its own.
    """

    source: str
    weights: Path | None
    head: Head
    clip: ClipShape
    stream: bool
    device: str

    def __call__(self, threads: int, worker: int) -> TorchClassifier | ExportClassifier:
        """Open the network; see :class:`searcher.standalone.video_scoring.OpenClassifier`.

        Raises:
            NetworkError: weights are unreadable, or of another architecture or number of classes.
            ExportError: the export or its runtime is missing or damaged.
        """
        path = Path(self.source)
        if path.suffix in SUFFIXES:
            runner = ExportRunner if self.stream else ClipRunner
            return ExportClassifier(runner(path, threads=threads))
        if self.weights is None:
            model, _ = load_member(path)
        else:
            architecture = read_architecture(self.source).with_input(self.clip)
            model = network_with_weights(architecture, self.head, self.weights)
        return TorchClassifier(
            model,
            self.clip.frames,
            self.clip.size,
            stream=self.stream,
            device=_device(self.device, worker),
            threads=threads,
        )


def _device(device: str, worker: int) -> str:
    """Return the device of a process: each takes the next GPU."""
    if device != "cuda":
        return device
    import torch

    return f"cuda:{worker % max(1, torch.cuda.device_count())}"


@dataclass(frozen=True, slots=True)
class Subject:
    """A network to evaluate.

    Args:
        source: architecture, member's folder or exported file, as it was given.
        name: short name, for people and files.
        weights: weights of an architecture.
        network: digest of the architecture.
        weights_digest: digest of the weights, or of the exported file.
        runtime: what computes it: ``pytorch``, or an export's runtime.
        clip: shape of its clips.
        names: names of its outputs, if it has any.
        stream: whether it is fed frame by frame.
        side: pixels that the short side of frames is scaled to; by default the clip's and the data set's
            margin.
    """

    source: str
    name: str
    weights: Path | None
    network: str
    weights_digest: str
    runtime: str
    clip: ClipShape
    names: OutputNames | None
    stream: bool
    side: int | None = None

    @classmethod
    def open(
        cls, source: str, weights: Path | None = None, *, clip: ClipShape | None = None, stream: bool = False
    ) -> Subject:
        """Find out what is meant.

        Args:
            source: architecture, published name, member's folder or exported file.
            weights: weights, which an architecture needs, and nothing else takes.
            clip: shape of the clips in place of the network's own.
            stream: whether clips are fed frame by frame, through the step form.

        Raises:
            MovinasError: there is no such thing, weights are missing or too many, or it cannot stream.
        """
        path = Path(source)
        if path.suffix in SUFFIXES or (path / MEMBER).is_file():
            if weights is not None:
                raise SettingsError(
                    f"--weights {weights} with {source}", hint="it has its own: leave that out"
                )
            return (
                _export(path, clip, stream=stream)
                if path.suffix in SUFFIXES
                else _member(path, clip, stream=stream)
            )
        if path.is_dir():
            raise NetworkError(f"{source} is no member's folder: it has no {MEMBER}", hint=f"give {_KINDS}")
        try:
            architecture = read_architecture(source)
        except ArchitectureError as error:
            raise NetworkError(f"{source}: {error.message}", hint=f"give {_KINDS}; {error.hint}") from error
        if weights is None:
            raise SettingsError(
                f"{source} without weights",
                hint="give its checkpoint with --weights, or a trained member's folder",
            )
        if stream and not architecture.options.causal:
            raise _cannot_stream(source)
        shape = clip or architecture.input
        name = path.stem if source.endswith(".json") else source if len(source) < 16 else architecture.digest
        digests = architecture.with_input(shape).digest, weights_digest(weights)
        return cls(source, name, weights, *digests, PYTORCH, shape, _names_beside(weights), stream)

    def opened(self, head: Head, device: str = "cpu") -> OpenedNetwork:
        """Return what opens it with outputs of a meaning."""
        return OpenedNetwork(self.source, self.weights, head, self.clip, self.stream, device)


def _names_beside(weights: Path) -> OutputNames | None:
    """Return the names of the outputs that a member's folder or one of the hub has; None of anything else."""
    if (weights / MEMBER).is_file():
        return OutputNames.of_labels(read_member(weights).labels, str(weights))
    labels = hub_labels(weights)
    return None if labels is None else OutputNames.of_labels(labels, str(weights))


def _cannot_stream(source: str | Path) -> NetworkError:
    return NetworkError(
        f"--stream: {source} is a base network, which needs whole clips", hint="leave --stream out"
    )


def _member(path: Path, clip: ClipShape | None, *, stream: bool) -> Subject:
    member = read_member(path)
    if stream and not member.streams:
        raise _cannot_stream(path)
    names = OutputNames.of_labels(member.labels, str(path))
    digests = member.digest, member.weights_sha256[:16]
    return Subject(str(path), member.name, None, *digests, PYTORCH, clip or member.input, names, stream)


def _export(path: Path, clip: ClipShape | None, *, stream: bool) -> Subject:
    sidecar = Sidecar.read(sidecar_of(path))
    if stream and sidecar.form == "clip":
        raise ExportError(
            f"--stream: {path} is the clip form", hint="export the step form, or leave --stream out"
        )
    fixed = sidecar.preprocessing
    if sidecar.form == "clip":
        own = ClipShape(sidecar.frames, fixed.size, fixed.fps)
    else:
        own = replace(read_architecture(sidecar.architectures[0]).input, size=fixed.size, fps=fixed.fps)
    shape = clip or own
    if shape.size != own.size or (sidecar.form == "clip" and shape.frames != own.frames):
        raise ExportError(
            f"--clip {shape}: {path} takes {own} only", hint="leave --clip out, or export for another clip"
        )
    names = OutputNames.of_labels(sidecar.labels, str(path))
    return Subject(
        str(path),
        sidecar.name,
        None,
        sidecar.digest,
        sidecar.sha256[:16],
        sidecar.runtime,
        shape,
        names,
        sidecar.form == "step",
    )
