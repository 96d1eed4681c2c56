"""Runs a plan in this process, without a cluster: as many jobs as there are workers, in a fixed order."""

from __future__ import annotations

from collections.abc import Iterator

from search_space.errors import MovinasError
from searcher.plan.job import EpochResult, EvaluatorSpec, Job
from searcher.plan.plan import Plan


def run_serially(
    plan: Plan, evaluator: EvaluatorSpec, workers: int = 1, stop_after: int | None = None
) -> int:
    """Trains until the plan is through, or ``stop_after`` epochs have been observed; answers how many
    were."""
    train = evaluator.build()
    active: list[tuple[Job, Iterator[EpochResult]]] = []
    observed = 0
    while True:
        while len(active) < workers and (job := plan.next()) is not None:
            active.append((job, train(job)))
        if not active:
            plan.close()
            return observed
        job, epochs = active.pop(0)
        try:
            goes_on = plan.observe(job, next(epochs))
        except MovinasError as error:
            plan.fail(job, str(error))
            goes_on = False
        observed += 1
        if goes_on:
            active.append((job, epochs))
        else:
            plan.on_job_end(job)
        if stop_after is not None and observed >= stop_after:
            return observed
