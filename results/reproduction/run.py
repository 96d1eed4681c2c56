"""The run of a claim: check the data, train if no weights were released, evaluate, judge, write it down."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from results.evaluation.evaluation import Evaluated, Evaluation, evaluate_network, hardware
from results.evaluation.subject import Subject
from results.evaluation.written import write_evaluation
from results.member import MEMBER, write_member
from results.provenance import versions
from results.reproduction.claim import ClaimedData
from results.reproduction.costs import measure_costs
from results.reproduction.request import Reproduction, require_same_run
from results.reproduction.verdict import Measured, Verification, judge
from results.watcher import Watcher
from search_space.architecture.published import published
from search_space.errors import RecordError, SettingsError
from searcher.standalone.given_network import weights_digest
from searcher.standalone.judged_videos import JudgedVideos, Views
from searcher.standalone.single_training import (
    CHECKPOINT,
    Recipe,
    SingleTraining,
    TrainingListeners,
    train_single,
)


def run_claim(request: Reproduction, watcher: Watcher) -> Verification:
    """Run a claim, or resume its run, and write ``verification.json``.

    Raises:
        MovinasError: something that is given does not fit, before work starts.
    """
    began, claim = time.monotonic(), request.claim
    request.check()
    missing = request.missing()
    if missing:
        earlier = _earlier(request)
        if earlier is not None:
            watcher.say(f"nothing was run, for {'; '.join(missing)} is missing; an earlier run's verdict:")
            return earlier
        verification = Verification(
            claim.id, "not run", claim.claimed, None, (), missing, claim.stated, claim.assumed
        )
    elif claim.data is None:
        verification = _costs(request, watcher, began)
    else:
        verification = _accuracy(request, claim.data, watcher, began)
    verification.write(request.folder)
    return verification


def _earlier(request: Reproduction) -> Verification | None:
    """Return the verdict that the folder holds, if something was measured for it."""
    with suppress(RecordError):
        found = Verification.read(request.folder)
        return found if found.claim == request.claim.id and found.measured is not None else None
    return None


def _costs(request: Reproduction, watcher: Watcher, began: float) -> Verification:
    claim = request.claim
    found = measure_costs(claim, watcher, request.device)
    return Verification(
        claim.id,
        judge(claim, found.measured, ()),
        claim.claimed,
        found.measured,
        stated=claim.stated,
        assumed=(*claim.assumed, *found.notes),
        figures=found.figures,
        versions=versions("torch", "fvcore"),
        hardware=hardware(request.device),
        cost={"seconds": round(time.monotonic() - began, 1)},
    )


def _accuracy(request: Reproduction, data: ClaimedData, watcher: Watcher, began: float) -> Verification:
    claim, settings = request.claim, request.data
    assert settings is not None, "asked for before"
    with watcher.bar("Listing videos") as making:
        videos = JudgedVideos.open(settings, data.split, skip_missing=request.skip_missing, making=making)
    differences = [*request.changes.differences(claim), *_data_differences(data, videos)]
    if claim.metric.startswith("action") != (videos.kind == "verb-noun"):
        raise SettingsError(
            f"{claim.id} judges {claim.metric}, and {videos.dataset.name} has {videos.kind} labels",
            hint=f"give --data {data.format}:FOLDER",
        )
    require_same_run(request)
    sources, initial = _networks(request, watcher, differences)
    evaluated = _evaluated(request, sources, videos, watcher)
    figure = evaluated.assessment.figures[claim.metric]
    differences += _read_differences(data, evaluated)
    measured = Measured(figure.value, figure.low, figure.high)
    written = evaluated.to_json()
    return Verification(
        claim.id,
        judge(claim, measured, tuple(differences)),
        claim.claimed,
        measured,
        tuple(differences),
        (),
        claim.stated,
        (*claim.assumed, *_given(request), evaluated.join.note),
        {name: estimate.value for name, estimate in evaluated.assessment.figures.items()},
        tuple(written["networks"]),
        written["versions"],
        written["hardware"],
        {
            "seconds of this call": round(time.monotonic() - began, 1),
            "videos": evaluated.assessment.count,
            "unreadable": len(evaluated.unreadable),
            "missing": len(videos.missing),
            **initial,
        },
    )


def _given(request: Reproduction) -> tuple[str, ...]:
    """Return what is assumed of weights that were given."""
    if request.claim.training:
        return ()
    return (f"the weights that were given are {request.claim.weights.split(' (')[0]}: nothing proves it",)


def _evaluated(
    request: Reproduction,
    sources: tuple[tuple[str, Path | None], ...],
    videos: JudgedVideos,
    watcher: Watcher,
) -> Evaluated:
    claim = request.claim
    subjects = tuple(
        replace(Subject.open(source, weights, clip=clip, stream=claim.stream), side=side)
        for (source, weights), clip, side in zip(
            sources, request.clips(), [request.changes.side or own for own in claim.side], strict=True
        )
    )
    evaluation = Evaluation(
        subjects,
        videos,
        request.folder,
        Views.parse(request.changes.views or claim.views),
        device=request.device,
        processes=request.processes,
        address=request.address,
    )
    evaluated = evaluate_network(evaluation, watcher)
    write_evaluation(evaluated, request.folder)
    return evaluated


def _networks(
    request: Reproduction, watcher: Watcher, differences: list[str]
) -> tuple[tuple[tuple[str, Path | None], ...], Mapping[str, Any]]:
    """Return the networks to judge, each as ``Subject.open`` takes it; train them if it has to be."""
    claim = request.claim
    if not claim.training:
        return tuple(zip(claim.networks, request.weights, strict=True)), {}
    if request.trained:
        differences.append("training: given weights, of a training that this run has not seen")
        return tuple(
            (str(path), None) if (path / MEMBER).is_file() else (name, path)
            for name, path in zip(claim.networks, request.trained, strict=True)
        ), {}
    if not request.weights:
        differences.append(f"initial weights: random ones, and not {claim.training.initial}")
    facts = {
        f"initial weights of {name}": weights_digest(path)
        for name, path in zip(claim.networks, request.weights, strict=False)
    }
    members = [_trained(request, index, watcher) for index in range(len(claim.networks))]
    return tuple((str(member), None) for member in members), facts


def _trained(request: Reproduction, index: int, watcher: Watcher) -> Path:
    """Train a network of a claim, or resume its training; return the folder of the member that it becomes."""
    claim, changes, settings = request.claim, request.changes, request.data
    assert claim.training is not None and settings is not None
    name = claim.networks[index]
    folder = request.folder / "training" / name
    recipe = Recipe.from_yaml(changes.recipe or claim.training.recipe)
    training = SingleTraining(
        published(name).with_input(request.clips()[index]),
        settings,
        recipe,
        folder / CHECKPOINT,
        changes.epochs or claim.training.epochs,
        seed=request.seed,
        device=request.device,
        weights=request.weights[index] if request.weights else None,
        processes=request.processes,
    )
    if (folder / MEMBER).is_file():
        return folder
    with watcher.bar("Decoding videos") as preparing, watcher.bar(f"Updates of {name}") as updates:
        trained = train_single(
            training,
            TrainingListeners(
                preparing=preparing,
                on_epoch=lambda epoch: watcher.say(epoch.text(training.epochs)),
                on_batch=updates,
            ),
        )
    write_member(
        folder,
        name,
        trained.model,
        recipe_yaml=recipe.text(),
        labels=trained.classes,
        metrics=trained.metrics,
        trained={"epochs": training.epochs, "seed": request.seed, **trained.facts},
    )
    return folder


def _data_differences(data: ClaimedData, videos: JudgedVideos) -> list[str]:
    """Return what of the data is not the claim's."""
    found, count = [], len(videos.items)
    outputs = len(videos.dataset.classes)
    if outputs != data.outputs:
        found.append(f"classes: {outputs}, and not {data.outputs}")
    if count < data.least * data.videos:
        found.append(f"videos: {count:,} of {data.videos:,}, and the claim needs {100 * data.least:.0f} %")
    if count > 1.02 * data.videos:
        found.append(f"videos: {count:,}, and {data.name} has {data.videos:,} in its {data.split} split")
    return found


def _read_differences(data: ClaimedData, evaluated: Evaluated) -> list[str]:
    """Return whether too many videos could not be read."""
    count = evaluated.assessment.count
    if not evaluated.unreadable or count >= data.least * data.videos:
        return []
    return [f"videos: {len(evaluated.unreadable):,} cannot be read, and {count:,} of {data.videos:,} count"]
