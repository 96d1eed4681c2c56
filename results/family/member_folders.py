"""From trained weights to a family on disk: a folder a member, exported, checked, timed, with its card."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from results.export.export import STEP, retimed
from results.export.export_members import export_members
from results.family.card import write_card
from results.family.family import Family, FamilyMember
from results.family.outcome import MemberOutcome, write_failure
from results.member import (
    ARCHITECTURE,
    MEMBER,
    RECIPE,
    Member,
    architectures_json,
    read_member,
    write_member,
)
from results.runtimes.sidecar import Sidecar, sidecar_of
from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import ClipShape
from search_space.cost.stopwatch import network_latency
from search_space.files import write_json, write_text
from search_space.network.ensemble import Ensemble, networks_of
from search_space.network.folding import deploy
from search_space.network.model import MoViNet, build
from search_space.network.weights import load_weights
from search_space.progress import ProgressCallback, ignore_progress
from searcher.objectives import TOP1_SCORE, Score

MeasureModel = Callable[[nn.Module, ClipShape], Mapping[str, float]]
"""Measures the accuracies of a finished network on the data set's own evaluation videos, as fractions."""


@dataclass(frozen=True)
class FamilyTraining:
    """Weights of a family's members, and what they were trained with.

    Args:
        weights: trained weights by member name; a member without any is left out, and so is its ensemble.
        seeds: seeds of those trainings.
        labels: label of each class.
        recipe_yaml: recipe of the trainings, as YAML.
        facts: facts in a few words each: data set, epochs, ...
    """

    weights: Mapping[str, Path]
    seeds: Mapping[str, int]
    labels: Sequence[str]
    recipe_yaml: str
    facts: Mapping[str, str | int | float]


@dataclass(frozen=True)
class WrittenMember:
    """A member whose folder is written, with its network.

    Args:
        folder: folder of the member.
        member: description of the member.
        model: trained network, or ensemble, in evaluation mode.
    """

    folder: Path
    member: Member
    model: MoViNet | Ensemble


def write_plan(
    folder: Path, family: Family, recipe_yaml: str, labels: Sequence[str], score: Score = TOP1_SCORE
) -> Iterator[str]:
    """Write architecture, recipe and card of each member that is not trained yet; yield sentences about it.

    A folder that holds another trained network is kept under a name of its own.

    Args:
        folder: folder below which the members' folders go.
        family: family whose members are written.
        recipe_yaml: recipe that they will be trained with, as YAML.
        labels: label of each class.
        score: score of the run.
    """
    for member in family.members:
        planned = _planned(member, family, labels)
        place = folder / member.name
        if (place / MEMBER).is_file():
            before = read_member(place)
            if before.digest == planned.digest:
                yield f"{place}: this network is trained already"
                continue
            kept = place.rename(_free(place.with_name(f"{member.name}-{before.digest[:8]}")))
            yield f"{place}: another trained network was there; it is in {kept.name} now"
        place.mkdir(parents=True, exist_ok=True)
        write_json(place / ARCHITECTURE, architectures_json(planned.architectures))
        write_text(place / RECIPE, recipe_yaml)
        origin = f"compound-scaled from {member.scaled_from}; it was not measured"
        write_card(place, planned, origin=origin if member.scaled_from else "", score=score)
        yield f"{place}: {ARCHITECTURE}, {RECIPE}, card.md"


def _planned(member: FamilyMember, family: Family, labels: Sequence[str]) -> Member:
    """Return the description of a member that is not trained yet."""
    parts = [family[name] for name in member.parts] or [member]
    networks = tuple(Architecture.parse(part.architecture) for part in parts)
    metrics = _confirmed_metrics(member)
    return Member(member.name, networks, tuple(labels), metrics, {}, member.parts, "", {})


def _confirmed_metrics(member: FamilyMember) -> dict[str, float]:
    """Return what the confirmation measured of a member."""
    if member.accuracy is None:
        return {}
    spread = {"confirmed_spread": member.spread} if member.seeds > 1 else {}
    return {"confirmed_top1": member.accuracy, **spread}


def _free(path: Path) -> Path:
    """Return the path, or one beside it that nothing has."""
    numbered = (path.with_name(f"{path.name}-{number}") for number in itertools.count(2))
    return path if not path.exists() else next(other for other in numbered if not other.exists())


def write_family(
    folder: Path, family: Family, training: FamilyTraining, measure: MeasureModel
) -> list[WrittenMember]:
    """Write a folder for each trained member, and for the ensemble if both of its parts are trained.

    Args:
        folder: folder below which the members' folders go.
        family: family whose members are written.
        training: weights of the members, and what they were trained with.
        measure: measures the accuracies of each member.

    Returns:
        The members with their networks, the ensemble last.
    """
    written = []
    models: dict[str, MoViNet] = {}
    for member in family.singles:
        if member.name in training.weights:
            architecture = Architecture.parse(member.architecture)
            models[member.name] = build(architecture, len(training.labels))
            load_weights(models[member.name], training.weights[member.name])
            written.append(_write(folder, member, models[member.name].eval(), training, measure))
    ensemble = family.ensemble
    if ensemble and all(part in models for part in ensemble.parts):
        both = Ensemble([models[part] for part in ensemble.parts])
        written.append(_write(folder, ensemble, both.eval(), training, measure))
    return written


def _write(
    folder: Path,
    member: FamilyMember,
    model: MoViNet | Ensemble,
    training: FamilyTraining,
    measure: MeasureModel,
) -> WrittenMember:
    place = folder / member.name
    metrics = measure(model, networks_of(model)[0].architecture.input)
    description = write_member(
        place,
        member.name,
        model,
        recipe_yaml=training.recipe_yaml,
        labels=training.labels,
        metrics={**metrics, **_confirmed_metrics(member)},
        trained=_facts(member, training),
        part_names=member.parts,
    )
    return WrittenMember(place, description, model)


def _facts(member: FamilyMember, training: FamilyTraining) -> dict[str, str | int | float]:
    """Return the facts of a member's training; an ensemble has none of its own."""
    if member.parts:
        return {}
    facts = {**training.facts, "seed": training.seeds[member.name]}
    return facts | ({"compound-scaled from": member.scaled_from} if member.scaled_from else {})


def finish_members(
    written: Sequence[WrittenMember],
    example: NDArray[np.uint8],
    *,
    workers: int = 1,
    progress: ProgressCallback = ignore_progress,
) -> dict[str, MemberOutcome]:
    """Export every member's step to ONNX, check it, time it, and write its card.

    Args:
        written: members, as :func:`write_family` returns them.
        example: real frames (T, H, W, 3), uint8 RGB, that exports are compared on.
        workers: number of processes that export.
        progress: receives the number of finished members, and of all.

    Returns:
        The outcomes by the member's name; a failed export has its reason.
    """
    exports = {}
    for result in export_members([entry.folder for entry in written], example, workers=workers):
        exports[result.name] = result
        progress(len(exports), len(written))
    # Timed again one by one, now that no other export is under way.
    exports = {name: retimed(result) for name, result in exports.items()}
    outcomes = {}
    for entry in written:
        folder, member, export = entry.folder, entry.member, exports.get(entry.member.name)
        latency = network_latency(deploy(entry.model), member.input) if member.streams else None
        write_failure(folder, export)
        passed = export is not None and export.passed
        sidecar = Sidecar.read(sidecar_of(folder / STEP.file_name)) if passed else None
        write_card(folder, member, export=sidecar, latency=latency)
        relative = f"{folder.parent.name}/{folder.name}"
        outcomes[member.name] = MemberOutcome(relative, member.metrics, export, latency)
    return outcomes
