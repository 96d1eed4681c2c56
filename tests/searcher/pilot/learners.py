"""Trainings that learn by a rule instead of by videos, for pilots that run in this process."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

from proxy_train.evaluation.chance import Chance
from proxy_train.recipe import Recipe
from proxy_train.training.updates import Diverged
from search_space.cost.closed_form import macs
from searcher.pilot.curriculum import PilotTask
from searcher.pilot.pilot_plan import PilotPlan, PilotTraining
from searcher.plan.job import EpochResult, EvaluatorSpec, Job
from searcher.record.records import Records
from searcher.standalone.proxy_validity import spread
from searcher.testing.domains import HIGH, LOW, SPACE

CHANCE = Chance(level=1 / 16, threshold=0.12, clips=320, classes=16, entropy=math.log(16))
RATE = Recipe().learning_rate
NETWORKS = sorted(spread(SPACE, LOW, HIGH, 4, 0), key=lambda network: macs(network, 16))
MACS = tuple(float(macs(network, 16)) for network in NETWORKS)


class Learner:
    """A training that leaves chance after ``epochs`` of the cheapest network; larger ones learn sooner.

    Args:
        epochs: epochs until the cheapest network leaves chance.
        sooner: factor of these epochs for the largest network.
        best: factor of the recipe's rate at which that is so; a tenth learns ten times as slowly, ten times
            the rate diverges.
        memorises: whether the training loss falls although validation stays at chance.
        seconds: seconds of an epoch, and a million multiply-adds.
    """

    def __init__(
        self,
        epochs: float = 1.0,
        sooner: float = 0.5,
        best: float = 1.0,
        memorises: bool = False,
        seconds: tuple[float, float] = (0.5, 1.0),
    ) -> None:
        self._epochs, self._sooner, self._best = epochs, sooner, best
        self._memorises, self._seconds = memorises, seconds

    def __call__(self, job: Job) -> Iterator[EpochResult]:
        job.folder.mkdir(parents=True, exist_ok=True)
        state = job.folder / "state.json"
        epoch = json.loads(state.read_text()) if state.exists() else 0
        rate = 1.0 if job.recipe is None else job.recipe["learning_rate"] / RATE
        place = NETWORKS.index(job.architecture)
        needed = self._epochs * (1 + (self._sooner - 1) * place / (len(NETWORKS) - 1))
        speed = rate / self._best
        fixed, each = self._seconds
        seconds = fixed + each * MACS[place] / 1e6
        if epoch in job.rungs and epoch not in job.measured:
            yield EpochResult(epoch, 0.0, self._metrics(epoch, needed, speed, job.seed, seconds))
        while epoch < job.fidelity.epochs:
            epoch += 1
            if speed > 20:
                raise Diverged(f"the loss is nan in epoch {epoch}")
            state.write_text(json.dumps(epoch))
            metrics = self._metrics(epoch, needed, speed, job.seed, seconds) if epoch in job.rungs else None
            yield EpochResult(epoch, seconds, metrics)

    def _metrics(
        self, epochs: int, needed: float, speed: float, seed: int, seconds: float
    ) -> dict[str, float]:
        restless = speed > 5
        learns = not restless and epochs * min(speed, 1.0) >= needed
        entropy = CHANCE.entropy
        calm = entropy * (0.8 if learns or (self._memorises and epochs > 3) else 1.0)
        return {
            "top1": 0.3 + 0.001 * (seed % 7) if learns else 0.06 + 0.001 * (seed % 7),
            "top5": 0.5,
            "loss": 2.0 if learns else 2.8,
            "train_loss": calm,
            "peak_loss": 2 * entropy if restless else entropy,
            "epoch_seconds": seconds,
        }


def learner(**arguments: object) -> EvaluatorSpec:
    """Return the evaluator by name."""
    return EvaluatorSpec("tests.searcher.pilot.learners:Learner", arguments)


def task(first: int = 2, last: int = 4, epochs: float = 300, **changes: object) -> PilotTask:
    """Return a pilot of the four networks."""
    known = {"macs": MACS, "window": (LOW, HIGH), "seeds": 2, "chance": CHANCE, "share": 0.1}
    return PilotTask(**{**known, "first": first, "last": last, "epochs": epochs, **changes})  # type: ignore[arg-type]


def plan_of(records: Records, folder: Path, wanted: PilotTask) -> PilotPlan:
    """Return the plan of a pilot over a record."""
    training = PilotTraining(folder, 0, Recipe(), lambda dropped: None)
    return PilotPlan(records, wanted, NETWORKS, training, 16)
