"""The validity of a cheap training: the agreement of its ranking with that of an expensive one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from proxy_train.data.contents import Contents
from proxy_train.evaluation.rank_agreement import RankAgreement, compare_rankings
from proxy_train.metric_names import TOP1
from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import ClipShape
from search_space.cost.closed_form import compute_cost
from search_space.errors import SettingsError, SpaceError
from search_space.files import write_json
from search_space.progress import ProgressCallback
from search_space.space.space import SearchSpace
from searcher.cluster.capacity import Capacity
from searcher.cluster.cluster import Cluster
from searcher.cluster.machine import decoders, requested_device
from searcher.evaluator.clips import prepare_clip
from searcher.evaluator.run_data import RunData
from searcher.evaluator.video_evaluator import video_evaluator
from searcher.objectives import TOP1_SCORE, Score, score_of
from searcher.plan.events import OnEvent, ignore
from searcher.plan.job import Job, job_folder
from searcher.plan.job_plan import JobOutcome, JobPlan
from searcher.plan.measured_reliability import reliability_line
from searcher.record.records import Records
from searcher.record.same_data import check_same_data, keep_same_data
from searcher.reliability import Reliability, TrainingResult, reliability
from searcher.settings.checks import check_settings
from searcher.settings.settings import Settings
from searcher.standalone.relative_fidelity import RelativeFidelity
from searcher.standalone.supernet_study import measured_by, with_supernet
from searcher.supernet.supernet_check import STUDY
from searcher.supernet.supernet_job import supernet_job, supernet_spec


class StudiedNetwork(NamedTuple):
    """A network with its costs and accuracies; the fields are keys of ``validity.json``.

    Attributes:
        architecture: text form of the architecture.
        macs: multiply-adds of one clip.
        parameters: number of its parameters.
        cheap: mean top-1 accuracy after the cheap trainings, a fraction.
        dear: mean top-1 accuracy after the expensive trainings, a fraction.
    """

    architecture: str
    macs: int
    parameters: int
    cheap: float
    dear: float


@dataclass(frozen=True)
class Validity:
    """The result of a study.

    Args:
        cheap: fidelity of the cheap trainings.
        expensive: fidelity of the expensive trainings.
        networks: networks with both accuracies.
        agreements: agreement with the expensive accuracy, of cheap training, multiply-adds and parameters.
        k: number of best networks that the precision counts.
        failed: networks without both accuracies, each with the reason.
        saving: mean time of an expensive training over that of a cheap one.
        seeds: number of trainings of each network each way, over which accuracies are means.
        reliabilities: reliability of one cheap and of one expensive training; None if too few were repeated.
        score: score that accuracies are.
    """

    cheap: RelativeFidelity
    expensive: RelativeFidelity
    networks: tuple[StudiedNetwork, ...]
    agreements: dict[str, RankAgreement]
    k: int
    failed: tuple[tuple[str, str], ...]
    saving: float
    seeds: int = 1
    reliabilities: tuple[Reliability | None, Reliability | None] = (None, None)
    score: Score = TOP1_SCORE

    def text(self) -> str:
        """Return a table, one line a measure, and the reliability of both trainings."""
        means = f", means over {self.seeds} seeds" if self.seeds > 1 else ""
        lines = [
            f"{len(self.networks)} networks by their {self.score.name}, {len(self.failed)} failed{means}; "
            f"a cheap training took 1/{self.saving:.1f} of the time",
            f"{'against expensive':18}{'tau (95 % interval)':>26}{'top tenth':>11}{f'precision@{self.k}':>14}"
            f"{'like cost':>11}",
        ]
        for name, rank in self.agreements.items():
            interval = f"{rank.tau.value:.2f} ({rank.tau.low:.2f} to {rank.tau.high:.2f})"
            lines.append(
                f"{name:18}{interval:>26}{rank.top_tau:>11.2f}{rank.precision:>14.2f}{rank.within:>11.2f}"
            )
        for name, found in zip(("cheap", "expensive"), self.reliabilities, strict=True):
            if found is not None:
                lines.append(reliability_line(f"{name} training", found))
        if self.seeds == 1:
            lines.append("how reliable a training is takes two seeds or more (--seeds 2)")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON types."""
        return {
            "cheap": self.cheap.to_json(),
            "dear": self.expensive.to_json(),
            "k": self.k,
            "saving": self.saving,
            "seeds": self.seeds,
            "reliability": {
                name: None if found is None else asdict(found)
                for name, found in zip(("cheap", "dear"), self.reliabilities, strict=True)
            },
            "agreements": {name: asdict(rank) for name, rank in self.agreements.items()},
            "networks": [network._asdict() for network in self.networks],
            "failed": [list(failure) for failure in self.failed],
        }


def spread(space: SearchSpace, low: float, high: float, count: int, seed: int) -> list[Architecture]:
    """Return different architectures, one in each of ``count`` equal parts of the log cost where possible.

    Args:
        space: search space.
        low: lowest multiply-adds.
        high: highest multiply-adds.
        count: number of architectures.
        seed: seed of the draws.

    Raises:
        SpaceError: the window holds too few architectures.
    """
    rng = np.random.default_rng([seed, count])
    edges = np.geomspace(low, high, count + 1)
    chosen: list[Architecture] = []
    for bottom, top in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        try:
            chosen += space.sample_distinct(rng, 1, bottom, top, exclude=chosen)
        except SpaceError:
            chosen += space.sample_distinct(rng, 1, low, high, exclude=chosen)
    return chosen


@dataclass(frozen=True)
class Study:
    """Networks to train both ways, and their prepared data; ``prepare_study`` creates one.

    Args:
        settings: settings with space, window, data, recipe and workers; the run itself is not changed.
        cheap: fidelity of the cheap trainings.
        expensive: fidelity of the expensive trainings, whose ranking counts as true.
        jobs: cheap and expensive training of each network in turn, for each of its seeds.
        stores: folders of the prepared data by the shape of its clips.
        contents: contents of the data set.
        seeds: number of trainings of each network each way.
    """

    settings: Settings
    cheap: RelativeFidelity
    expensive: RelativeFidelity
    jobs: tuple[Job, ...]
    stores: Mapping[ClipShape, Path]
    contents: Contents
    seeds: int = 1

    @property
    def folder(self) -> Path:
        """Folder of the study: record, checkpoints and ``validity.json``."""
        return _folder(self.settings)


def prepare_study(
    settings: Settings,
    cheap: RelativeFidelity,
    expensive: RelativeFidelity,
    networks: int,
    *,
    seeds: int = 2,
    making: ProgressCallback,
    preparing: ProgressCallback,
) -> Study:
    """Choose the networks and decode the videos.

    Args:
        settings: settings with space, window, data, recipe and workers.
        cheap: fidelity of the cheap trainings.
        expensive: fidelity of the expensive trainings.
        networks: number of networks, 10 or more.
        seeds: number of trainings of each network each way; all have seeds of their own.
        making: function that receives the number of MovingDigits-16 clips that are made.
        preparing: function that receives the number of videos that are decoded.

    Raises:
        SettingsError: there are too few networks or seeds, or the settings cannot work here.
        DataError: there are no usable videos.
    """
    if networks < 10:
        raise SettingsError(f"{networks} networks are too few for a ranking", hint="give 10 or more")
    if cheap.work >= expensive.work:
        raise SettingsError(
            f"the cheap training, {cheap.text}, does not cost less than the expensive one, {expensive.text}",
            hint="give --cheap fewer epochs or smaller shares than --expensive",
        )
    if cheap.shared:
        settings, cheap = with_supernet(settings, cheap)
    if seeds < 1:
        raise SettingsError(f"{seeds} seeds train nothing", hint="give 1 or more; 2 tell the reliability")
    check_settings(settings)
    data = RunData.open(
        settings.data,
        settings.space,
        workers=decoders(),
        making=making,
        preparing=preparing,
        check=partial(check_same_data, _folder(settings)),
    )
    space = settings.space.with_classes(len(data.classes))
    chosen = spread(space, *settings.window(space), networks, settings.seed)
    jobs = tuple(
        replace(job, fidelity=replace(job.fidelity, weights=settings.inherited))
        for job in _jobs(_folder(settings), chosen, (cheap, expensive), seeds, settings.seed)
    )
    stores = dict(data.paths)
    for job in jobs:
        clip = ClipShape(job.fidelity.frames, job.fidelity.size, job.architecture.input.fps)
        if clip not in stores:
            stores[clip] = prepare_clip(data.dataset, settings.data, clip, decoders(), preparing).path
    return Study(settings, cheap, expensive, jobs, stores, data.contents, seeds)


def proxy_validity(study: Study, on_event: OnEvent = ignore) -> Validity:
    """Train every network both ways, with different seeds, and compare; resume from the study's own record.

    A study can be repeated with more seeds or networks: what its record has is not trained again.

    Raises:
        SettingsError: the folder holds a study of other settings, or too many trainings failed.
    """
    settings, search = study.settings, study.settings.search
    identity = {key: value for key, value in settings.identity().items() if key != "search"}
    spent = {"cheap": study.cheap.to_json(), "dear": study.expensive.to_json()}
    identity |= {"macs": search.macs.model_dump(), **spent}
    classes = len(study.contents.classes)
    with (
        Records.writing(study.folder, identity) as records,
        Cluster(Capacity(search.workers, search.cpus_per_trial, search.gpus_per_trial)) as cluster,
    ):
        keep_same_data(records, study.folder, study.contents)
        evaluator = video_evaluator(
            study.stores,
            settings.recipe,
            requested_device(search.gpus_per_trial),
            weights=settings.weights,
            supernet=supernet_spec(settings, classes, study.folder) if study.cheap.shared else None,
        )
        jobs, shared = study.jobs, 0.0
        if study.cheap.shared:
            space = settings.space.with_classes(classes)
            trained = JobPlan(
                records, "supernet", classes, [supernet_job(settings, space, study.folder)], on_event=on_event
            )
            cluster.run(trained, evaluator)
            jobs, shared = measured_by(trained.outcomes()[0], jobs)
        plan = JobPlan(records, "validity", classes, jobs, workers=search.workers, on_event=on_event)
        cluster.run(plan, evaluator)
        outcomes = plan.outcomes()
    validity = summarise(
        outcomes,
        study.cheap,
        study.expensive,
        classes,
        seeds=study.seeds,
        seed=settings.seed,
        shared_seconds=shared,
    )
    write_json(study.folder / "validity.json", validity.to_json())
    return validity


def _folder(settings: Settings) -> Path:
    """Return the folder of a run's study."""
    return settings.run_dir.absolute() / STUDY


def _jobs(
    folder: Path,
    architectures: Sequence[Architecture],
    fidelities: tuple[RelativeFidelity, RelativeFidelity],
    seeds: int,
    first: int,
) -> tuple[Job, ...]:
    """Return the cheap and the expensive training of each network in turn, for each of its seeds.

    With one seed for both, they would agree because of the same initial weights.
    """
    return tuple(
        _job(folder, architecture, fidelity, first + 2 * repeat + number)
        for architecture in architectures
        for repeat in range(seeds)
        for number, fidelity in enumerate(fidelities)
    )


def _job(folder: Path, architecture: Architecture, relative: RelativeFidelity, seed: int) -> Job:
    """Return one training of a network."""
    fidelity = relative.fidelity(architecture.input)
    own = job_folder(folder, architecture.digest, seed, "validity")
    return Job(architecture, fidelity, seed, "validity", own.with_name(f"{own.name}-{fidelity.key}"))


def summarise(
    outcomes: Sequence[JobOutcome],
    cheap: RelativeFidelity,
    expensive: RelativeFidelity,
    classes: int,
    *,
    seeds: int = 1,
    seed: int = 0,
    shared_seconds: float = 0.0,
) -> Validity:
    """Return the result of a study.

    Args:
        outcomes: outcomes of the cheap and the expensive training of each network in turn, for each of its
            seeds. A network's accuracy is the mean over the trainings that did not fail.
        cheap: fidelity of the cheap trainings.
        expensive: fidelity of the expensive trainings.
        classes: number of classes of the data set.
        seeds: number of trainings of each network each way.
        seed: seed of the confidence intervals.
        shared_seconds: time of the supernet's training, of which every network has a part.

    Raises:
        SettingsError: fewer than 5 networks could be trained both ways.
    """
    rows: list[StudiedNetwork] = []
    failed: list[tuple[str, str]] = []
    trainings: tuple[list[TrainingResult], list[TrainingResult]] = ([], [])
    seconds: tuple[list[float], list[float]] = ([], [])
    for start in range(0, len(outcomes), 2 * seeds):
        group = outcomes[start : start + 2 * seeds]
        architecture = group[0].job.architecture
        done = [[o.measurement for o in group[side::2] if not o.failed] for side in (0, 1)]
        if not all(done):
            reasons = [outcome.measurement.reason for outcome in group if outcome.failed]
            failed.append((architecture.text, reasons[0]))
            continue
        cost = compute_cost(architecture, classes)
        for side, measurements in enumerate(done):
            trainings[side].extend(TrainingResult(m.digest, cost.macs, m.metrics[TOP1]) for m in measurements)
            seconds[side].extend(measurement.seconds for measurement in measurements)
        low_top1, high_top1 = (float(np.mean([m.metrics[TOP1] for m in side])) for side in done)
        rows.append(StudiedNetwork(architecture.text, cost.macs, cost.parameters, low_top1, high_top1))
    if len(rows) < 5:
        raise SettingsError(
            f"only {len(rows)} of {len(rows) + len(failed)} networks could be trained",
            hint=f"the first failed with: {failed[0][1]}",
        )
    macs, parameters, low, high = (np.array([row[n] for row in rows], dtype=float) for n in (1, 2, 3, 4))
    k = max(1, math.ceil(len(rows) / 5))
    agreements = {
        name: compare_rankings(values, high, macs, k, seed=seed)
        for name, values in (("cheap training", low), ("multiply-adds", macs), ("parameters", parameters))
    }
    spent = [float(np.mean(side)) for side in seconds]
    spent[0] += shared_seconds / (len(rows) * seeds)
    saving = spent[1] / spent[0] if spent[0] else math.nan
    # One supernet gives a network the same accuracy every time, which says nothing of its reliability.
    cheap_reliability = None if cheap.shared else reliability(trainings[0])
    reliabilities = cheap_reliability, reliability(trainings[1])
    score = score_of(outcome.measurement.metrics for outcome in outcomes)
    return Validity(
        cheap, expensive, tuple(rows), agreements, k, tuple(failed), saving, seeds, reliabilities, score
    )
