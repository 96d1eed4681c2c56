"""The initial weights of a training: those of a member, a safetensors file, or the official release."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from search_space.architecture.architecture import Architecture
from search_space.architecture.by_name import read_architecture
from search_space.errors import ArchitectureError, NetworkError
from search_space.network.heads import Head
from search_space.network.model import MoViNet, build
from search_space.network.official_weights import (
    load_official,
    load_port,
    official_name,
    port_name,
    read_tensorflow,
)
from search_space.network.weights import assign

_CLASSIFIERS = ("classifier_head/classifier/", "classifier.3.", "head.classifier.")
WEIGHT_FILES = ("weights.safetensors", "model.safetensors")
"""Names of the weights in a member's folder, and in one that the Hugging Face hub expects."""
_CLASSES = 600  # of the official release, for files that say nothing


class WeightSource(Protocol):
    """Where the initial weights of a training come from."""

    @property
    def digest(self) -> str:
        """Digest of the weights; others have another one."""
        ...

    def load_into(self, network: MoViNet) -> bool:
        """Copy the weights into a network; return whether its classifier was among them.

        Raises:
            NetworkError: the weights are unreadable, or do not fit the network.
        """
        ...


@dataclass(frozen=True)
class InitialWeights:
    """The source of initial weights.

    A classifier for another number of classes stays as it was initialised: only the rest is copied.

    Args:
        path: a member's folder, a safetensors file (with this project's names, the official ones, or the
            PyTorch port's), or an official TensorFlow checkpoint or SavedModel.

    Raises:
        NetworkError: there are no files.
    """

    path: Path
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        files = [self.path] if self.path.is_file() else sorted(self.path.rglob("*"))
        if not self.path.exists():
            # A TensorFlow checkpoint is named by the prefix of its files.
            files = sorted(self.path.parent.glob(f"{self.path.name}.*"))
        files = [file for file in files if file.is_file()]
        if not files:
            raise NetworkError(
                f"{self.path}: there are no weights", hint="give a member's folder, a file or a checkpoint"
            )
        content = hashlib.sha256()
        for file in files:
            content.update(f"{file.name} {file.stat().st_size}\\n".encode())
            with file.open("rb") as opened:
                content.update(opened.read(2**20))
        object.__setattr__(self, "digest", content.hexdigest()[:16])

    @property
    def name(self) -> str:
        """Name for people, without the folders of this machine: the last part of the path, and the digest."""
        return f"{self.path.name} ({self.digest[:8]})"

    def network(self, architecture: Architecture) -> MoViNet:
        """Return the trained network, with a classifier for the classes that it was trained on.

        Args:
            architecture: architecture that the weights belong to.

        Raises:
            NetworkError: the weights are unreadable, or of another architecture or form.
        """
        self._require_same_network(architecture)
        tensors, source = self._tensors()
        outputs = next((t.shape[0] for name, t in tensors.items() if _of_classifier(name)), _CLASSES)
        network = build(architecture, Head.single_label(outputs), seed=0)
        _load_named(network, tensors, source)
        return network

    def load_into(self, network: MoViNet) -> bool:
        """Copy the weights into a network; return whether its classifier was among them.

        Raises:
            NetworkError: the weights are unreadable, or of another architecture or form.
        """
        trained = self.network(network.architecture)
        fits = trained.classes == network.classes
        _copy(trained, network, classifier=fits)
        return fits

    def _tensors(self) -> tuple[Mapping[str, Tensor], str]:
        """Return the tensors by the names that they have, and the name of their file."""
        files = [self.path / name for name in WEIGHT_FILES] if self.path.is_dir() else [self.path]
        file = next((file for file in files if file.is_file()), None)
        if file is None:
            arrays = read_tensorflow(self.path)
            tensors = {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
            return tensors, str(self.path)
        try:
            return load_file(file), str(file)
        except (OSError, SafetensorError) as error:
            raise NetworkError(
                f"{file}: cannot read weights: {error}", hint="expected a safetensors file"
            ) from error

    def _require_same_network(self, architecture: Architecture) -> None:
        """Refuse a member's folder that says that it holds another network."""
        described = self.path / "architecture.json"
        if not described.is_file():
            return
        try:
            theirs = read_architecture(str(described))
        except ArchitectureError as error:
            raise NetworkError(error.message, hint=error.hint) from error
        if theirs.with_input(architecture.input) != architecture:
            raise NetworkError(
                f"{self.path} holds the weights of {theirs.text}, not of {architecture.text}",
                hint=f"train the network that they belong to: {described}",
            )


def _of_classifier(name: str) -> bool:
    last = name.partition("#")[0].removesuffix(":0").rpartition("/")[2]
    return any(part in name for part in _CLASSIFIERS) and last != "kernel"


def _load_named(network: MoViNet, tensors: Mapping[str, Tensor], source: str) -> None:
    """Load tensors by the names that they have: this project's, the official ones, or the port's."""
    names = set(network.state_dict())
    if names & tensors.keys():
        assign(network, tensors, source=source)
    elif any(official_name(network, name) for name in tensors):
        load_official(network, {name: value.numpy() for name, value in tensors.items()}, source=source)
    elif any(port_name(network, name) for name in tensors):
        load_port(network, tensors, source=source)
    else:
        raise NetworkError(
            f"{source}: none of its {len(tensors)} tensors has a name of this architecture's",
            hint="train the architecture that the weights belong to",
        )


@torch.no_grad()
def _copy(source: MoViNet, target: MoViNet, *, classifier: bool) -> None:
    own = target.state_dict()
    for name, value in source.state_dict().items():
        if classifier or not name.startswith("head.classifier."):
            own[name].copy_(value)
