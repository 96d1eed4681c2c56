"""The run of a claim: check the data, train if no weights were released, evaluate, judge, write it down."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from results.evaluation.evaluation import Evaluated, Evaluation, evaluate_network, hardware
from results.evaluation.subject import Subject
from results.evaluation.written import write_evaluation
from results.member import MEMBER, write_member
from results.provenance import versions
from results.reproduction.claim import Claim, ClaimedData
from results.reproduction.costs import measure_costs
from results.reproduction.verdict import Measured, Verification, judge
from results.watcher import Watcher
from search_space.architecture.parts import ClipShape
from search_space.architecture.published import published
from search_space.errors import RecordError, SettingsError
from search_space.files import write_json
from search_space.json_files import read_json
from searcher.standalone.given_network import weights_digest
from searcher.standalone.judged_videos import DataSettings, JudgedVideos, Views
from searcher.standalone.single_training import (
    CHECKPOINT,
    Recipe,
    SingleTraining,
    TrainingListeners,
    train_single,
)

RUN = "run.json"


@dataclass(frozen=True)
class Changes:
    """What a run does otherwise than the claim, to try it out: the verdict names every one of them.

    Args:
        epochs: length of the training.
        clip: shape of all networks' clips.
        side: pixels of the short side of frames.
        views: views of each video.
        recipe: recipe of the training.
    """

    epochs: int | None = None
    clip: ClipShape | None = None
    side: int | None = None
    views: str | None = None
    recipe: str | None = None

    def differences(self, claim: Claim) -> tuple[str, ...]:
        """Return a sentence for each setting that is not the claim's."""
        training = claim.training
        settings = (
            ("epochs", self.epochs, training.epochs if training else None),
            ("recipe", self.recipe, training.recipe if training else None),
            ("clips", self.clip, _each(claim.clips)),
            ("short side", self.side, _each(map(str, claim.side))),
            ("views", self.views, claim.views),
        )
        return tuple(
            f"{name}: {given}, and not {own}"
            for name, given, own in settings
            if given is not None and str(given) != str(own)
        )


@dataclass(frozen=True)
class Reproduction:
    """The run of one claim.

    Args:
        claim: claim to test.
        folder: folder of everything; a run that it holds is resumed.
        data: settings of the data set; None for a claim that needs none.
        weights: weights of each network: those to judge, or the initial ones of the training.
        trained: trained weights or members' folders to judge in place of a training.
        changes: settings that are not the claim's.
        skip_missing: whether the rest is judged on if annotated videos do not exist.
        device: device as torch names it.
        processes: number of processes that train and evaluate.
        address: address of a Ray cluster that evaluates.
        seed: seed of the training.
    """

    claim: Claim
    folder: Path
    data: DataSettings | None = None
    weights: tuple[Path, ...] = ()
    trained: tuple[Path, ...] = ()
    changes: Changes = Changes()
    skip_missing: bool = False
    device: str = "cpu"
    processes: int = 1
    address: str | None = None
    seed: int = 0

    def missing(self) -> tuple[str, ...]:
        """Return what a run needs and was not given."""
        claim = self.claim
        if claim.data is None:
            return ()
        count = len(claim.networks)
        missing = [] if self.data else [f"{claim.data.name}: --data {claim.data.format}:FOLDER"]
        if not claim.training and not self.weights:
            missing.append(claim.weights)
        for option, given in (("--weights", self.weights), ("--trained", self.trained)):
            if given and len(given) != count:
                networks = ", ".join(claim.networks)
                raise SettingsError(
                    f"{len(given)} {option} for {count} networks", hint=f"give one for each: {networks}"
                )
        return tuple(missing)

    def clips(self) -> tuple[ClipShape, ...]:
        """Return the shape of each network's clips."""
        own = (ClipShape.parse(clip) for clip in self.claim.clips)
        return tuple(self.changes.clip or clip for clip in own)


def run_claim(request: Reproduction, watcher: Watcher) -> Verification:
    """Run a claim, or resume its run, and write ``verification.json``.

    Raises:
        MovinasError: something that is given does not fit, before work starts.
    """
    began, claim = time.monotonic(), request.claim
    missing = request.missing()
    if missing:
        verification = Verification(
            claim.id, "not run", claim.claimed, None, (), missing, claim.stated, claim.assumed
        )
    elif claim.data is None:
        verification = _costs(request, watcher, began)
    else:
        verification = _accuracy(request, claim.data, watcher, began)
    verification.write(request.folder)
    return verification


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
    _require_same_run(request)
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
        (*claim.assumed, evaluated.join.note),
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


def _identity(request: Reproduction) -> dict[str, str]:
    """Return what a run depends on, beside what training and evaluation compare themselves."""
    claim, changes = request.claim, request.changes
    recipe = (changes.recipe or claim.training.recipe) if claim.training else ""
    return {
        "claim": claim.id,
        "epochs": str(changes.epochs or (claim.training.epochs if claim.training else 0)),
        "recipe": Recipe.from_yaml(recipe).text() if recipe else "",
        "clips": _each(map(str, request.clips())),
        "short side": str(changes.side or _each(map(str, claim.side))),
        "views": changes.views or claim.views,
        "seed": str(request.seed),
        "weights": " ".join(weights_digest(path) for path in request.weights),
        "trained": " ".join(weights_digest(path) for path in request.trained),
    }


def _require_same_run(request: Reproduction) -> None:
    """Refuse a folder that holds another run: its weights would be judged as this one's.

    Raises:
        RecordError: names what differs.
    """
    path, here = request.folder / RUN, _identity(request)
    if path.is_file():
        there = read_json(path, dict[str, str], error=RecordError, hint="give another --output")
        different = next((key for key, value in here.items() if there.get(key) != value), None)
        if different is not None:
            raise RecordError(
                f"{request.folder} holds a run with other {different}",
                hint="give another --output, or the same settings",
            )
    write_json(path, here)


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


def _each(texts: Iterable[str]) -> str:
    return " and ".join(dict.fromkeys(texts))


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
