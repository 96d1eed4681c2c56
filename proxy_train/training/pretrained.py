"""Trained networks by name: a teacher, or the one whose first channels a search's candidates begin with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator
from torch import Tensor

from proxy_train.training.initial_weights import WEIGHT_FILES, InitialWeights
from search_space.architecture.architecture import Architecture
from search_space.architecture.by_name import read_architecture
from search_space.errors import ArchitectureError, NetworkError, SettingsError
from search_space.files import sha256
from search_space.json_files import read_json
from search_space.network.ensemble import Ensemble
from search_space.network.model import MoViNet, build
from search_space.network.sharing.inherited_weights import inherit
from search_space.network.weights import load_weights

_HINT = "give a member's folder (runs/NAME/family/A2) or NETWORK=WEIGHTS (A2-base=a2.safetensors)"


@dataclass(frozen=True)
class Pretrained:
    """A trained network: its architecture, where its weights are, and its classes if they are known.

    Args:
        text: name that ``parse`` reads, with an absolute path.
        architectures: architecture of the network, or those of an ensemble.
        weights: source of the weights.
        labels: names of the classes, by label; empty if the source does not tell.
    """

    text: str
    architectures: tuple[Architecture, ...]
    weights: InitialWeights
    labels: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str | Path) -> Pretrained:
        """Read a member's folder, or ``NETWORK=WEIGHTS``: both as ``movinas train`` takes them.

        Raises:
            SettingsError: there is no such folder or network.
            NetworkError: there are no weights, or the folder is damaged.
        """
        network, equals, place = str(text).partition("=")
        folder = Path(text).expanduser()
        if folder.is_dir() or not equals:
            return cls._member(folder.absolute())
        try:
            architecture = read_architecture(network)
        except ArchitectureError as error:
            raise SettingsError(f"{text}: {error.message}", hint=error.hint or _HINT) from error
        path = Path(place).expanduser().absolute()
        return cls(f"{network}={path}", (architecture,), InitialWeights(path))

    @classmethod
    def _member(cls, folder: Path) -> Pretrained:
        described, config = folder / "architecture.json", folder / "config.json"
        if config.is_file() and not described.is_file():
            # A folder as the Hugging Face hub has it.
            content = read_json(config, dict[str, Any], error=NetworkError, hint=_HINT)
            architecture = Architecture.from_json(content.get("architecture"))
            named = tuple(map(str, content.get("labels", ())))
            return cls(str(folder), (architecture,), _weights_in(folder), named)
        if not described.is_file():
            raise SettingsError(f"{folder}: there is no trained network, no {described.name}", hint=_HINT)
        content = read_json(described, dict[str, Any], error=NetworkError, hint=_HINT)
        networks = tuple(map(Architecture.from_json, content.get("ensemble", [content])))
        labels: tuple[str, ...] = ()
        if (folder / "member.json").is_file():
            member = read_json(folder / "member.json", dict[str, Any], error=NetworkError, hint=_HINT)
            labels = tuple(map(str, member.get("labels", ())))
        return cls(str(folder), networks, _weights_in(folder), labels)

    @property
    def digest(self) -> str:
        """Digest of the weights and nothing beside them, 16 hexadecimal digits."""
        if not self.weights.path.is_file():
            return self.weights.digest  # a TensorFlow checkpoint
        return sha256(self.weights.path)[:16]

    @property
    def name(self) -> str:
        """Name for people, without the folders of this machine."""
        return f"{Path(self.text.rpartition('=')[2]).name} ({self.digest[:8]})"

    def load(self) -> MoViNet | Ensemble:
        """Return the network with its weights, for the classes that it was trained on, ready to evaluate.

        Raises:
            NetworkError: the weights are unreadable, or of another network.
        """
        if len(self.architectures) == 1:
            return self.weights.network(self.architectures[0]).eval()
        networks = [build(architecture, len(self.labels)) for architecture in self.architectures]
        ensemble = Ensemble(networks)
        load_weights(ensemble, self.weights.path)
        return ensemble.eval()

    def state(self) -> tuple[Mapping[str, Tensor], Architecture]:
        """Return the tensors of a single network, and the architecture that they belong to.

        Raises:
            NetworkError: it is an ensemble, or the weights are unreadable or of another network.
        """
        network = self.load()
        if not isinstance(network, MoViNet):
            raise NetworkError(f"{self.text} is an ensemble", hint="give one of its networks")
        return network.state_dict(), network.architecture


def _weights_in(folder: Path) -> InitialWeights:
    """Return the weights of a folder, by their file: what else is written there does not change them."""
    files = (folder / name for name in WEIGHT_FILES)
    return InitialWeights(next((file for file in files if file.is_file()), folder / WEIGHT_FILES[0]))


@dataclass(frozen=True)
class InheritedWeights:
    """Initial weights of any network of one form: the first channels and layers of a trained one.

    Args:
        source: the trained network.
    """

    source: Pretrained

    @property
    def digest(self) -> str:
        """Digest of the weights, other than that of all of them in their own network."""
        return f"inherited-{self.source.digest}"

    def load_into(self, network: MoViNet) -> bool:
        """Copy what the network can take; return whether the classifier was among it.

        Raises:
            NetworkError: the trained network is of another form, an ensemble, or unreadable.
        """
        return "head.classifier.weight" in inherit(network, *self.source.state())


PretrainedText = Annotated[
    Pretrained, PlainValidator(Pretrained.parse), PlainSerializer(lambda network: network.text, str)
]
"""A trained network that stands in settings and JSON forms as its name."""
