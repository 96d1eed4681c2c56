"""A search as one writes it with Optuna and Ray alone: multi-objective TPE proposes, ASHA stops by accuracy.

Optuna samples every gene of a space with its defaults, and learns from the last accuracy of a training,
stopped or not. Ray's ASHA takes one metric, the accuracy. A network outside the window of multiply-adds is
not trained, and told as accuracy 0. Only trainings and their evaluations are charged.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from optuna.samplers import TPESampler
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch

from proxy_train.fidelity import Fidelity
from search_space.architecture.architecture import Architecture
from search_space.space.space import SearchSpace
from searcher.cluster.capacity import Capacity
from searcher.cluster.cluster import Cluster
from searcher.plan.job import EvaluatorSpec, Job
from searcher.record.candidate import Candidate
from searcher.record.gene_params import distributions
from searcher.settings.settings import Settings

_MOST_TRIALS = 1_000_000


class CpuBudget(tune.Stopper):  # type: ignore[misc]
    """The end of a Ray Tune run once its trials have spent some CPU seconds."""

    def __init__(self, seconds: float) -> None:
        self._budget, self.spent = seconds, dict[str, float]()

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Note what a trial has spent; it is not stopped for itself."""
        self.spent[trial_id] = result["cpu_seconds"]
        return False

    def stop_all(self) -> bool:
        """Return whether the time is over."""
        return sum(self.spent.values()) >= self._budget


def plain_trial(
    config: Mapping[str, int], space: SearchSpace, evaluator: str, settings: Settings, milestones: list[int]
) -> None:
    """Train one network as a Ray Tune function; report its accuracy at every milestone of ASHA."""
    torch.set_num_threads(1)
    architecture = space.decode([config[gene.name] for gene in space.genes])
    macs, (low, high) = space.macs(architecture), settings.window(space)
    facts = {"architecture": architecture.text, "macs": macs}
    if not low <= macs <= high:
        tune.report({"epoch": milestones[-1], "top1": 0.0, "cpu_seconds": 0.0, **facts})
        return
    train = EvaluatorSpec.from_json(evaluator).build()
    fidelity = Fidelity(milestones[-1], architecture.input.frames, architecture.input.size)
    started = time.process_time()
    with tempfile.TemporaryDirectory(prefix="plain-") as folder:
        job = Job(architecture, fidelity, settings.seed, "search", Path(folder), rungs=tuple(milestones))
        for result in train(job):
            if result.metrics is not None:
                spent = time.process_time() - started
                top1 = result.metrics["top1"]
                tune.report({"epoch": result.epoch, "top1": top1, "cpu_seconds": spent, **facts})


def plain_search(
    settings: Settings, space: SearchSpace, evaluator: str, seconds: float, seed: int
) -> tuple[list[Candidate], float]:
    """Search with Optuna's multi-objective TPE and Ray's ASHA; return what was trained, and CPU seconds."""
    search, first, last = settings.search, settings.search.rungs[0].epochs, settings.search.rungs[-1].epochs
    steps = range(1 + math.ceil(math.log(last / first) / math.log(search.reduction)))
    milestones = sorted({min(last, first * search.reduction**step) for step in steps})
    trainable = tune.with_parameters(
        plain_trial, space=space, evaluator=evaluator, settings=settings, milestones=milestones
    )
    budget = CpuBudget(seconds)
    with tempfile.TemporaryDirectory(prefix="plain-") as folder, Cluster(Capacity(1, 1, 0)) as cluster:
        cluster.start()
        tuner = tune.Tuner(
            tune.with_resources(trainable, {"CPU": 1}),
            tune_config=tune.TuneConfig(
                num_samples=_MOST_TRIALS,
                max_concurrent_trials=1,
                reuse_actors=True,
                search_alg=OptunaSearch(
                    distributions(space.genes),
                    metric=["top1", "macs"],
                    mode=["max", "min"],
                    sampler=TPESampler(seed=seed),
                ),
                scheduler=ASHAScheduler(
                    time_attr="epoch",
                    metric="top1",
                    mode="max",
                    grace_period=first,
                    max_t=last,
                    reduction_factor=search.reduction,
                ),
            ),
            run_config=tune.RunConfig(name="plain", storage_path=folder, stop=budget, verbose=0),
        )
        ended = [result.metrics or {} for result in tuner.fit()]
        spent = sum(float(metrics.get("cpu_seconds", 0.0)) for metrics in ended)
    return list(_plain_candidates(ended)), spent


def _plain_candidates(ended: Sequence[Mapping[str, Any]]) -> Iterator[Candidate]:
    """Yield each network that was trained, at the longest of its trainings."""
    longest: dict[str, Mapping[str, Any]] = {}
    for metrics in ended:
        if metrics.get("cpu_seconds", 0.0) > 0:
            kept = longest.get(metrics["architecture"])
            if kept is None or metrics["epoch"] > kept["epoch"]:
                longest[metrics["architecture"]] = metrics
    for number, (text, metrics) in enumerate(longest.items()):
        digest, macs = Architecture.parse(text).digest, int(metrics["macs"])
        measured = {"top1": metrics["top1"], "macs": float(macs)}
        yield Candidate(number, (), digest, text, macs, metrics={metrics["epoch"]: measured})
