"""A member of the family on disk: a folder that holds everything needed to run, retrain and export it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from results.provenance import sha256, versions
from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import ClipShape
from search_space.cost.closed_form import compute_cost
from search_space.errors import NetworkError
from search_space.files import write_json, write_text
from search_space.network.ensemble import Ensemble, networks_of
from search_space.network.model import MoViNet, build
from search_space.network.weights import load_weights, save_weights

ARCHITECTURE = "architecture.json"
WEIGHTS = "weights.safetensors"
RECIPE = "recipe.yaml"
MEMBER = "member.json"
_FORMAT = "movinas-member-1"


@dataclass(frozen=True, slots=True)
class Member:
    """What is known of a member beside its weights.

    Args:
        name: its name in the family.
        architectures: one, or those of an ensemble.
        labels: one for each class.
        metrics: measured on the evaluation videos, such as ``top1`` and ``stream_top1`` (fractions).
        trained: how, in a few words each: epochs, seed, data set, ...
        parts: names of an ensemble's members.
        weights_sha256: of the weights file.
        versions: of what wrote it.
    """

    name: str
    architectures: tuple[Architecture, ...]
    labels: tuple[str, ...]
    metrics: Mapping[str, float]
    trained: Mapping[str, str | int | float]
    parts: tuple[str, ...]
    weights_sha256: str
    versions: Mapping[str, str]

    @property
    def input(self) -> ClipShape:
        """The clip that it takes; an ensemble's members take the same."""
        return self.architectures[0].input

    @property
    def streams(self) -> bool:
        """Whether it can run frame by frame."""
        return all(a.options.causal for a in self.architectures)

    @property
    def digest(self) -> str:
        """Identity of the architecture, or of the ensemble's joined by ``+``."""
        return "+".join(a.digest for a in self.architectures)

    @property
    def macs(self) -> int:
        """Multiply-adds of a clip."""
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
    """Writes ``architecture.json``, ``weights.safetensors``, ``recipe.yaml`` and ``member.json`` into
    ``folder``.

    An ensemble's ``architecture.json`` is ``{"ensemble": [...]}``, and its weights file holds all of its
    networks.

    Raises:
        NetworkError: if the labels are not as many as the classes, or an ensemble's inputs differ.
    """
    networks = networks_of(model)
    _check(name, networks, labels)
    folder.mkdir(parents=True, exist_ok=True)
    described = [network.architecture.to_json() for network in networks]
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
    write_json(folder / ARCHITECTURE, described[0] if len(described) == 1 else {"ensemble": described})
    write_text(folder / RECIPE, recipe_yaml)
    write_json(folder / MEMBER, _to_json(member))
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


def _to_json(member: Member) -> dict[str, object]:
    return {
        "format": _FORMAT,
        "name": member.name,
        "architectures": [a.text for a in member.architectures],
        "digest": member.digest,
        "parts": list(member.parts),
        "labels": list(member.labels),
        "metrics": dict(member.metrics),
        "trained": dict(member.trained),
        "costs": {
            "macs": member.macs,
            "macs_per_frame": member.macs_per_frame,
            "parameters": member.parameters,
            "state_bytes": member.state_bytes,
        },
        "weights_sha256": member.weights_sha256,
        "versions": dict(member.versions),
    }


def read_member(folder: Path) -> Member:
    """Reads what is known of the member in ``folder``, without its weights.

    Raises:
        NetworkError: if a file is missing, damaged or of another version.
    """
    about = _read(folder / MEMBER)
    if about.get("format") != _FORMAT:
        raise NetworkError(
            f"{folder / MEMBER} has the format {about.get('format')!r}, not {_FORMAT!r}",
            hint="it is of another version",
        )
    described = _read(folder / ARCHITECTURE)
    try:
        architectures = tuple(Architecture.from_json(a) for a in described.get("ensemble", [described]))
        return Member(
            name=about["name"],
            architectures=architectures,
            labels=tuple(about["labels"]),
            metrics=about["metrics"],
            trained=about["trained"],
            parts=tuple(about["parts"]),
            weights_sha256=about["weights_sha256"],
            versions=about["versions"],
        )
    except (KeyError, TypeError) as error:
        raise NetworkError(
            f"{folder / MEMBER} is incomplete: {error}", hint="train the member again"
        ) from error


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise NetworkError(
            f"{path} does not exist", hint="give a member's folder, such as runs/NAME/family/A0"
        ) from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise NetworkError(f"{path} is damaged: {error}", hint="train the member again") from error
    if not isinstance(content, dict):
        raise NetworkError(
            f"{path} holds a {type(content).__name__}, not a mapping", hint="train the member again"
        )
    return content


def load_member(folder: Path) -> tuple[MoViNet | Ensemble, Member]:
    """Builds the network in ``folder`` with its weights, ready to evaluate, and says what is known of it.

    Raises:
        NetworkError: if a file is missing, or the weights are damaged or do not fit the architecture.
    """
    about = read_member(folder)
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise NetworkError(f"{weights} does not exist", hint="train the member again")
    if sha256(weights) != about.weights_sha256:
        raise NetworkError(
            f"{weights} is not the file that {MEMBER} describes: its SHA-256 differs",
            hint="it is damaged or of another training; copy the folder again or train the member again",
        )
    networks = [build(a, len(about.labels)) for a in about.architectures]
    model: MoViNet | Ensemble = networks[0] if len(networks) == 1 else Ensemble(networks)
    load_weights(model, weights)
    return model.eval(), about
