"""The initial weights of a training: those of a member, a safetensors file, or the official release."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from search_space.errors import NetworkError
from search_space.network.heads import Head
from search_space.network.model import MoViNet, build
from search_space.network.official_weights import (
    load_official,
    load_port,
    load_tensorflow,
    official_name,
    port_name,
)
from search_space.network.weights import assign

_CLASSIFIERS = ("classifier_head/classifier/", "classifier.3.", "head.classifier.")


@dataclass(frozen=True)
class InitialWeights:
    """The source of initial weights.

    A classifier for another number of classes stays as it was initialised: only the rest is copied.

    Args:
        path: a member's folder, a safetensors file (with this project's names, the official ones, or the
            PyTorch port's), or an official TensorFlow checkpoint or SavedModel.
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

    def load_into(self, network: MoViNet) -> bool:
        """Copy the weights into a network; return whether its classifier was among them.

        Raises:
            NetworkError: the weights are unreadable, or of another architecture or form.
        """
        file = self.path / "weights.safetensors" if self.path.is_dir() else self.path
        if not file.is_file():
            return self._load_checkpoint(network)
        try:
            tensors = load_file(file)
        except (OSError, SafetensorError) as error:
            raise NetworkError(
                f"{file}: cannot read weights: {error}", hint="expected a safetensors file"
            ) from error
        outputs = next((t.shape[0] for name, t in tensors.items() if _of_classifier(name)), network.classes)
        fits = outputs == network.classes
        target = network if fits else _build_like(network, outputs)
        _load_named(target, tensors, str(file))
        if not fits:
            _copy_body(target, network)
        return fits

    def _load_checkpoint(self, network: MoViNet) -> bool:
        try:
            load_tensorflow(network, self.path)
        except NetworkError as error:
            if "classifier" not in error.message:
                raise
        else:
            return True
        released = _build_like(network, 600)
        load_tensorflow(released, self.path)
        _copy_body(released, network)
        return False


def _of_classifier(name: str) -> bool:
    return any(part in name for part in _CLASSIFIERS) and name.rpartition("/")[2] != "kernel"


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


def _build_like(network: MoViNet, outputs: int) -> MoViNet:
    """Return a network of the same architecture for another number of classes."""
    return build(network.architecture, Head.single_label(outputs), seed=0)


@torch.no_grad()
def _copy_body(source: MoViNet, target: MoViNet) -> None:
    own = target.state_dict()
    for name, value in source.state_dict().items():
        if not name.startswith("head.classifier."):
            own[name].copy_(value)
