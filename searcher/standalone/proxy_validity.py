"""Does a cheap training order networks as a dear one does? Measured on networks spread over the cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from proxy_train.evaluation.rank_agreement import RankAgreement, compare_rankings
from proxy_train.fidelity import Fidelity
from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import ClipShape
from search_space.cost.closed_form import compute_cost
from search_space.errors import SettingsError, SpaceError
from search_space.files import write_json
from search_space.progress import ProgressCallback
from search_space.space.space import SearchSpace
from searcher.cluster.capacity import Capacity
from searcher.cluster.cluster import Cluster
from searcher.cluster.machine import device
from searcher.evaluator.clips import prepare_clip
from searcher.evaluator.run_data import RunData
from searcher.evaluator.video_evaluator import video_evaluator
from searcher.plan.events import OnEvent, ignore
from searcher.plan.job import Job, job_folder
from searcher.plan.job_plan import JobOutcome, JobPlan
from searcher.record.records import Records
from searcher.settings.checks import check_settings
from searcher.settings.settings import Settings


@dataclass(frozen=True, slots=True)
class Effort:
    """What a training spends, as parts of what a network is made for.

    Args:
        epochs: of the schedule.
        share: of the training clips.
        frames, size: of the network's own clip.
        width: of the network's channels.

    Raises:
        SettingsError: a number is out of range.
    """

    epochs: int
    share: float = 1.0
    frames: float = 1.0
    size: float = 1.0
    width: float = 1.0

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if not (value >= 1 if each.name == "epochs" else 0 < value <= 1):
                raise SettingsError(
                    f"effort: {each.name} is {value}", hint="1 or more epochs, and fractions above 0, up to 1"
                )

    @classmethod
    def parse(cls, text: str) -> Effort:
        """Reads ``epochs=4,share=0.5,width=0.5``; raises SettingsError for anything else."""
        known = {each.name for each in fields(cls)}
        try:
            pairs = dict(part.strip().split("=") for part in text.split(","))
            found: dict[str, Any] = {k: int(v) if k == "epochs" else float(v) for k, v in pairs.items()}
        except ValueError:
            found = {}
        if "epochs" not in found or not found.keys() <= known:
            raise SettingsError(
                f"effort {text!r}",
                hint="write epochs=4, and perhaps share=, frames=, size=, width= from 0 to 1",
            )
        return cls(**found)

    def fidelity(self, clip: ClipShape) -> Fidelity:
        """What it is for a network that is made for ``clip``."""
        frames, size = max(1, round(clip.frames * self.frames)), max(1, round(clip.size * self.size))
        return Fidelity(self.epochs, frames, size, self.share, self.width)


@dataclass(frozen=True)
class Validity:
    """What the study found.

    Args:
        cheap, dear: what was spent.
        networks: rows of text form, multiply-adds, parameters, cheap and dear accuracy.
        agreements: with the dear accuracy, of ``cheap``, ``macs`` and ``parameters``.
        k: of the precision.
        failed: networks without both accuracies, each with the reason.
        saving: how many times cheaper the cheap trainings were, in seconds.
    """

    cheap: Effort
    dear: Effort
    networks: tuple[tuple[str, int, int, float, float], ...]
    agreements: dict[str, RankAgreement]
    k: int
    failed: tuple[tuple[str, str], ...]
    saving: float

    def text(self) -> str:
        """A table, one line a measure."""
        lines = [
            f"{len(self.networks)} networks, {len(self.failed)} failed; a cheap training took "
            f"1/{self.saving:.1f} of the time",
            f"{'against the dear':18}{'tau (95 % interval)':>26}{'top tenth':>11}{f'precision@{self.k}':>14}"
            f"{'like cost':>11}",
        ]
        for name, found in self.agreements.items():
            interval = f"{found.tau.value:.2f} ({found.tau.low:.2f} to {found.tau.high:.2f})"
            lines.append(
                f"{name:18}{interval:>26}{found.top_tau:>11.2f}{found.precision:>14.2f}{found.within:>11.2f}"
            )
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """JSON types only."""
        names = ("architecture", "macs", "parameters", "cheap", "dear")
        return {
            "cheap": asdict(self.cheap),
            "dear": asdict(self.dear),
            "k": self.k,
            "saving": self.saving,
            "agreements": {name: asdict(found) for name, found in self.agreements.items()},
            "networks": [dict(zip(names, row, strict=True)) for row in self.networks],
            "failed": [list(each) for each in self.failed],
        }


def spread(space: SearchSpace, low: float, high: float, count: int, seed: int) -> list[Architecture]:
    """Different architectures, one in each of ``count`` equal parts of the log cost, if there is one.

    Raises:
        SpaceError: the window holds too few.
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
    """Networks to train both ways, with the videos ready; ``prepare`` makes one.

    Args:
        settings: space, window, data, recipe and workers; nothing of the run itself is touched.
        cheap: what the measure in question spends.
        dear: what stands for the truth.
        jobs: cheap and dear training of each network in turn.
        stores: prepared data by clip.
        classes: outputs of the networks.
    """

    settings: Settings
    cheap: Effort
    dear: Effort
    jobs: tuple[Job, ...]
    stores: Mapping[ClipShape, Path]
    classes: int

    @property
    def folder(self) -> Path:
        """Of the study: record, checkpoints and ``validity.json``."""
        return _folder(self.settings)


def prepare(
    settings: Settings,
    cheap: Effort,
    dear: Effort,
    networks: int,
    *,
    making: ProgressCallback,
    preparing: ProgressCallback,
) -> Study:
    """Chooses the networks and decodes the videos.

    Args:
        networks: how many; 10 or more.
        making: told of the clips of MovingDigits-16 that are made.
        preparing: told of the videos that are decoded.

    Raises:
        SettingsError: too few networks, or impossible settings. DataError: no usable videos.
    """
    if networks < 10:
        raise SettingsError(f"{networks} networks", hint="an order needs 10 or more to say anything")
    check_settings(settings)
    data = RunData.open(
        settings.data,
        settings.space,
        workers=settings.search.workers,
        making=making,
        preparing=preparing,
    )
    space = settings.space.with_classes(len(data.classes))
    jobs = tuple(
        _job(_folder(settings), each, effort, settings.seed + number)
        for each in spread(space, *settings.window(space), networks, settings.seed)
        # With one seed for both, they would agree for having begun with the same weights.
        for number, effort in enumerate((cheap, dear))
    )
    stores = dict(data.paths)
    for job in jobs:
        clip = ClipShape(job.fidelity.frames, job.fidelity.size, job.architecture.input.fps)
        if clip not in stores:
            workers = settings.search.workers
            stores[clip] = prepare_clip(data.dataset, settings.data, clip, workers, preparing).path
    return Study(settings, cheap, dear, jobs, stores, space.classes)


def proxy_validity(study: Study, on_event: OnEvent = ignore) -> Validity:
    """Trains every network both ways, with different seeds, and compares.

    Interrupted, the same study made anew goes on from the record in its folder.

    Raises:
        SettingsError: the folder holds a study of other settings, or too many trainings failed.
    """
    settings, search = study.settings, study.settings.search
    identity = {key: value for key, value in settings.identity().items() if key != "search"}
    identity |= {"macs": search.macs.model_dump(), "cheap": asdict(study.cheap), "dear": asdict(study.dear)}
    with (
        Records.writing(study.folder, identity) as records,
        Cluster(Capacity(search.workers, search.cpus_per_trial, search.gpus_per_trial)) as cluster,
    ):
        plan = JobPlan(
            records, "validity", study.classes, study.jobs, workers=search.workers, on_event=on_event
        )
        cluster.run(plan, video_evaluator(study.stores, settings.recipe, device(search.gpus_per_trial)))
        outcomes = plan.outcomes()
    found = summarise(outcomes, study.cheap, study.dear, study.classes, seed=settings.seed)
    write_json(study.folder / "validity.json", found.to_json())
    return found


def _folder(settings: Settings) -> Path:
    return settings.run_dir.absolute() / "validity"


def _job(folder: Path, architecture: Architecture, effort: Effort, seed: int) -> Job:
    fidelity = effort.fidelity(architecture.input)
    where = job_folder(folder, architecture.digest, seed, "validity")
    return Job(architecture, fidelity, seed, "validity", where.with_name(f"{where.name}-{fidelity.key}"))


def summarise(
    outcomes: Sequence[JobOutcome], cheap: Effort, dear: Effort, classes: int, *, seed: int = 0
) -> Validity:
    """The study's result from its outcomes: cheap and dear of each network in turn."""
    rows: list[tuple[str, int, int, float, float]] = []
    failed: list[tuple[str, str]] = []
    seconds = np.zeros(2)
    for pair in zip(outcomes[::2], outcomes[1::2], strict=True):
        architecture = pair[0].job.architecture
        reasons = [each.measurement.reason for each in pair if each.failed]
        if reasons:
            failed.append((architecture.text, reasons[0]))
            continue
        known = compute_cost(architecture, classes)
        accuracies = [each.measurement.metrics["top1"] for each in pair]
        rows.append((architecture.text, known.macs, known.parameters, accuracies[0], accuracies[1]))
        seconds += [each.measurement.seconds for each in pair]
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
    saving = float(seconds[1] / seconds[0]) if seconds[0] else math.nan
    return Validity(cheap, dear, tuple(rows), agreements, k, tuple(failed), saving)
