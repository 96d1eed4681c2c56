"""A member of the family on disk: a folder that holds everything needed to run, retrain and export it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from results.provenance import versions
from search_space.architecture.architecture import Architecture
from search_space.architecture.json_fields import ArchitectureJson, ArchitectureText
from search_space.architecture.parts import ClipShape
from search_space.cost.closed_form import compute_cost
from search_space.errors import ExportError, NetworkError
from search_space.files import sha256, write_json, write_text
from search_space.json_files import from_json, read_json, to_json
from search_space.network.ensemble import Ensemble, networks_of
from search_space.network.model import MoViNet, build
from search_space.network.weights import load_weights, save_weights

ARCHITECTURE = "architecture.json"
WEIGHTS = "weights.safetensors"
RECIPE = "recipe.yaml"
MEMBER = "member.json"
FILES = (ARCHITECTURE, WEIGHTS, RECIPE, MEMBER)
_FORMAT = "movinas-member-1"
_HINT = "train the member again"
_MISSING = "give a member's folder, such as runs/NAME/family/A0"


@dataclass(frozen=True, slots=True)
class Member:
    """Description of a member: all that is known of it beside its weights.

    Args:
        name: name in the family.
        architectures: architecture of the network, or of each network of an ensemble.
        labels: label of each class.
        metrics: metrics on the evaluation videos, such as ``top1`` and ``stream_top1`` (fractions).
        trained: facts of the training in a few words each: epochs, seed, data set, ...
        parts: names of an ensemble's members; empty for a single network.
        weights_sha256: SHA-256 of the weights file; empty if the member is not trained yet.
        versions: versions of the programs that wrote it.
    """

    name: str
    architectures: tuple[ArchitectureText, ...]
    labels: tuple[str, ...]
    metrics: Mapping[str, float]
    trained: Mapping[str, str | int | float]
    parts: tuple[str, ...]
    weights_sha256: str
    versions: Mapping[str, str]

    @property
    def input(self) -> ClipShape:
        """Shape of the clip that it takes; an ensemble's networks take the same."""
        return self.architectures[0].input

    @property
    def streams(self) -> bool:
        """Whether it can run frame by frame."""
        return all(a.options.causal for a in self.architectures)

    @property
    def digest(self) -> str:
        """Identity of the architecture, or those of an ensemble's joined by ``+``."""
        return "+".join(a.digest for a in self.architectures)

    @property
    def macs(self) -> int:
        """Multiply-adds of one clip."""
        return sum(compute_cost(a, len(self.labels)).macs for a in self.architectures)

    @property
    def macs_per_frame(self) -> float:
        """Multiply-adds of one frame."""
        return sum(compute_cost(a, len(self.labels)).macs_per_frame for a in self.architectures)

    @property
    def parameters(self) -> int:
        """Trainable parameters."""
        return sum(compute_cost(a, len(self.labels)).parameters for a in self.architectures)

    @property
    def state_bytes(self) -> int:
        """Bytes of stream state."""
        return sum(compute_cost(a, len(self.labels)).state_bytes for a in self.architectures)


def write_member(
    folder: Path,
    name: str,
    model: MoViNet | Ensemble,
    *,
    recipe_yaml: str,
    labels: Sequence[str],
    metrics: Mapping[str, float],
    trained: Mapping[str, str | int | float] | None = None,
    part_names: Sequence[str] = (),
) -> Member:
    """Write ``architecture.json``, ``weights.safetensors``, ``recipe.yaml`` and ``member.json``.

    An ensemble's ``architecture.json`` is ``{"ensemble": [...]}``, and its weights file holds all of its
    networks.

    Args:
        folder: folder of the member; created if it does not exist.
        name: name in the family.
        model: trained network, or ensemble.
        recipe_yaml: recipe of the training, as YAML.
        labels: label of each class.
        metrics: metrics on the evaluation videos (fractions).
        trained: facts of the training in a few words each.
        part_names: names of an ensemble's members.

    Raises:
        NetworkError: there is not one label for each class, or an ensemble's inputs differ.
    """
    networks = networks_of(model)
    _check(name, networks, labels)
    folder.mkdir(parents=True, exist_ok=True)
    save_weights(model, folder / WEIGHTS)
    member = Member(
        name=name,
        architectures=tuple(network.architecture for network in networks),
        labels=tuple(labels),
        metrics=dict(metrics),
        trained=dict(trained or {}),
        parts=tuple(part_names),
        weights_sha256=sha256(folder / WEIGHTS),
        versions=versions("torch"),
    )
    write_json(folder / ARCHITECTURE, architectures_json(member.architectures))
    write_text(folder / RECIPE, recipe_yaml)
    write_json(folder / MEMBER, _content(member))
    return member


def _check(name: str, networks: Sequence[MoViNet], labels: Sequence[str]) -> None:
    if networks[0].classes != len(labels):
        raise NetworkError(
            f"{name} has {networks[0].classes} classes and {len(labels)} labels were given",
            hint="give one for each",
        )
    inputs = {network.architecture.input for network in networks}
    if len(inputs) > 1:
        raise NetworkError(
            f"the networks of {name} take different inputs: {', '.join(map(str, inputs))}",
            hint="an ensemble is made of networks for the same frames",
        )


def _content(member: Member) -> dict[str, object]:
    """Return the content of ``member.json``, with costs for people to read."""
    return {
        "format": _FORMAT,
        **to_json(member),
        "digest": member.digest,
        "costs": {
            "macs": member.macs,
            "macs_per_frame": member.macs_per_frame,
            "parameters": member.parameters,
            "state_bytes": member.state_bytes,
        },
    }


def read_member(folder: str | Path) -> Member:
    """Read the description of the member in ``folder``, without its weights.

    Raises:
        NetworkError: a file is missing, damaged or of another version.
    """
    folder = Path(folder)
    member = read_json(
        folder / MEMBER, Member, error=NetworkError, hint=_HINT, missing=_MISSING, format=_FORMAT
    )
    return replace(member, architectures=read_architectures(folder))


def read_architectures(folder: Path) -> tuple[Architecture, ...]:
    """Read the architectures of the member in ``folder``: one, or those of an ensemble.

    Raises:
        NetworkError: the file is missing or damaged.
        ArchitectureError: an architecture is not valid.
    """
    path = folder / ARCHITECTURE
    content = read_json(path, dict[str, Any], error=NetworkError, hint=_HINT, missing=_MISSING)
    described = content.get("ensemble", [content])
    kind = tuple[ArchitectureJson, ...]
    return from_json(described, kind, where=str(path), error=NetworkError, hint=_HINT)


def architectures_json(architectures: Sequence[Architecture]) -> dict[str, object]:
    """Return the content of ``architecture.json``; an ensemble's is ``{"ensemble": [...]}``."""
    described = [architecture.to_json() for architecture in architectures]
    return described[0] if len(described) == 1 else {"ensemble": described}


def load_member(folder: str | Path) -> tuple[MoViNet | Ensemble, Member]:
    """Build the network in ``folder`` with its weights, ready to evaluate.

    Returns:
        The network or ensemble in evaluation mode, and its description.

    Raises:
        NetworkError: a file is missing, or the weights are damaged or do not fit the architecture.
    """
    folder = Path(folder)
    member = read_member(folder)
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise NetworkError(f"{weights} does not exist", hint=_HINT)
    if sha256(weights) != member.weights_sha256:
        raise NetworkError(
            f"{weights} is not the file that {MEMBER} describes: its SHA-256 differs",
            hint="it is damaged or of another training; copy the folder again or train the member again",
        )
    networks = [build(architecture, len(member.labels)) for architecture in member.architectures]
    model: MoViNet | Ensemble = networks[0] if len(networks) == 1 else Ensemble(networks)
    load_weights(model, weights)
    return model.eval(), member


def load_network(folder: str | Path) -> tuple[MoViNet, Member]:
    """Build the single network in ``folder`` with its weights; see ``load_member``.

    Raises:
        ExportError: it is an ensemble, which is no single network.
    """
    model, member = load_member(folder)
    if not isinstance(model, MoViNet):
        raise ExportError(
            f"{folder} is an ensemble of {' and '.join(member.parts)}", hint="write each of its networks"
        )
    return model, member
