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
    load_member,
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

MeasureModel = Callable[[nn.Module, ClipShape], Mapping[str, float]]
"""Accuracies of a finished network on the data set's own evaluation videos, as fractions."""


@dataclass(frozen=True)
class Training:
    """What the members of a family were trained with.

    Args:
        weights: trained weights by member name; a member without any is left out, and so is its ensemble.
        seeds: of those trainings.
        labels: class names.
        recipe_yaml: the recipe.
        facts: a few words each: data set, epochs, ...
    """

    weights: Mapping[str, Path]
    seeds: Mapping[str, int]
    labels: Sequence[str]
    recipe_yaml: str
    facts: Mapping[str, str | int | float]


def write_plan(folder: Path, family: Family, recipe_yaml: str, labels: Sequence[str]) -> Iterator[str]:
    """Write architecture, recipe and card of each member that is not trained yet, and say so.

    A folder that holds another trained network is kept under a name of its own.

    Args:
        folder: below which the members' folders go.
        family: whose members.
        recipe_yaml: the recipe that they will be trained with.
        labels: class names.
    """
    for member in family.members:
        parts = [family[name] for name in member.parts] or [member]
        networks = tuple(Architecture.parse(part.architecture) for part in parts)
        metrics = {} if member.accuracy is None else {"confirmed_top1": member.accuracy}
        if member.accuracy is not None and member.seeds > 1:
            metrics["confirmed_spread"] = member.spread
        about = Member(member.name, networks, tuple(labels), metrics, {}, member.parts, "", {})
        place = folder / member.name
        if (place / MEMBER).is_file():
            before = read_member(place)
            if before.digest == about.digest:
                yield f"{place}: this network is trained already"
                continue
            kept = place.rename(_free(place.with_name(f"{member.name}-{before.digest[:8]}")))
            yield f"{place}: another trained network was there; it is in {kept.name} now"
        place.mkdir(parents=True, exist_ok=True)
        write_json(place / ARCHITECTURE, architectures_json(networks))
        write_text(place / RECIPE, recipe_yaml)
        origin = (
            f"compound-scaled from {member.scaled_from}; it was not measured" if member.scaled_from else ""
        )
        write_card(place, about, origin=origin)
        yield f"{place}: {ARCHITECTURE}, {RECIPE}, card.md"


def _free(path: Path) -> Path:
    """The path, or one beside it that nothing has."""
    taken = itertools.takewhile(Path.exists, (path.with_name(f"{path.name}-{n}") for n in itertools.count(2)))
    return path if not path.exists() else path.with_name(f"{path.name}-{2 + len(list(taken))}")


def write_family(folder: Path, family: Family, training: Training, measure: MeasureModel) -> list[Path]:
    """Write a folder for each trained member, and for the ensemble if both of its parts are trained.

    Args:
        folder: below which the members' folders go.
        family: whose members.
        training: with what weights.
        measure: called once a member.

    Returns:
        The members' folders, the ensemble's last.
    """
    folders = []
    models: dict[str, MoViNet] = {}
    for member in family.singles:
        if member.name in training.weights:
            architecture = Architecture.parse(member.architecture)
            models[member.name] = build(architecture, len(training.labels))
            load_weights(models[member.name], training.weights[member.name])
            folders.append(_write(folder, member, models[member.name].eval(), training, measure))
    ensemble = family.ensemble
    if ensemble and all(part in models for part in ensemble.parts):
        both = Ensemble([models[part] for part in ensemble.parts])
        folders.append(_write(folder, ensemble, both.eval(), training, measure))
    return folders


def _write(
    folder: Path, member: FamilyMember, model: MoViNet | Ensemble, training: Training, measure: MeasureModel
) -> Path:
    metrics = dict(measure(model, networks_of(model)[0].architecture.input))
    if member.accuracy is not None:
        metrics["confirmed_top1"] = member.accuracy
        if member.seeds > 1:
            metrics["confirmed_spread"] = member.spread
    write_member(
        folder / member.name,
        member.name,
        model,
        recipe_yaml=training.recipe_yaml,
        labels=training.labels,
        metrics=metrics,
        trained=_facts(member, training),
        part_names=member.parts,
    )
    return folder / member.name


def _facts(member: FamilyMember, training: Training) -> dict[str, str | int | float]:
    if member.parts:
        return {}
    facts = {**training.facts, "seed": training.seeds[member.name]}
    return facts | ({"compound-scaled from": member.scaled_from} if member.scaled_from else {})


def finish_members(
    folders: Sequence[Path],
    example: NDArray[np.uint8],
    *,
    workers: int = 1,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> dict[str, MemberOutcome]:
    """Export every member's step to ONNX, check it, time it, and write its card.

    Args:
        folders: of members, as ``write_family`` returns them.
        example: real frames (T, H, W, 3), uint8 RGB, that exports are compared on.
        workers: processes that export.
        progress: told of finished members.

    Returns:
        By the member's name, for the report; a failed export is among them with its reason.
    """
    exports = {}
    for result in export_members(folders, example, workers=workers):
        exports[result.name] = result
        progress(len(exports), len(folders))
    # Timed again one by one, now that no other export is under way.
    exports = {name: retimed(result) for name, result in exports.items()}
    outcomes = {}
    for folder in folders:
        model, about = load_member(folder)
        timed = network_latency(deploy(model), about.input) if about.streams else None
        exported = exports.get(about.name)
        write_failure(folder, exported)
        passed = exported is not None and exported.passed
        sidecar = Sidecar.read(sidecar_of(folder / STEP.file_name)) if passed else None
        write_card(folder, about, export=sidecar, latency=timed)
        relative = f"{folder.parent.name}/{folder.name}"
        outcomes[about.name] = MemberOutcome(relative, about.metrics, exported, timed)
    return outcomes
