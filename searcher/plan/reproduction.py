"""A recorded search repeated without training: the same proposals and promotions, or their differences.

A record has its measurements in the order of completion, and notes the number of measurements at each
proposal and each decision. A plan that gets the same results at the same moments has to do the same, however
many workers there were.
"""

from __future__ import annotations

from collections.abc import Callable

from proxy_train.measurement import Measurement
from search_space.errors import RecordError
from searcher.plan.job import EpochResult, Job
from searcher.plan.search_plan import SearchPlan
from searcher.record.records import Records


def reproduce(records: Records, plan_over: Callable[[Records], SearchPlan]) -> list[str]:
    """Repeat a recorded search without training.

    Args:
        records: record of the run.
        plan_over: function that creates the run's plan over another, empty record.

    Returns:
        Differences, a phrase for each; empty if the run was reproduced.

    Raises:
        RecordError: the record is of a version that did not note when proposals were made.
    """
    if records.schema < 2:
        raise RecordError(
            f"the record of {records.name!r} has schema {records.schema}, which does not note the order of"
            " proposals",
            hint="only runs of this version can be reproduced",
        )
    again = Records.in_memory(records.identity)
    if records.seeds is not None:
        again.begin(records.seeds)
    plan = plan_over(again)
    running: dict[str, Job] = {}
    measured = records.measurements()
    for count in range(len(measured) + 1):
        for _ in range(_count_starts(records, count)):
            job = plan.next()
            if job is None:
                return [*_differences(records, again), f"nothing was left to do after {count} measurements"]
            running[job.architecture.digest] = job
        if count == len(measured):
            break
        result = measured[count]
        if result.purpose != "search":
            # Proposals and decisions note the number of all measurements before them.
            again.append(result)
            continue
        if result.digest not in running:
            return [*_differences(records, again), f"{result.digest} was not proposed before it was measured"]
        if not _pass_on(plan, running[result.digest], result):
            plan.on_job_end(running.pop(result.digest))
    return _differences(records, again)


def _count_starts(records: Records, count: int) -> int:
    """Return the number of trainings that started, or resumed from a rung, after ``count`` measurements."""
    candidates = records.candidates()
    moments = [candidate.measured_before for candidate in candidates]
    moments += [
        decision.measured_before
        for candidate in candidates
        for decision in candidate.decisions.values()
        if decision.was_held
    ]
    return moments.count(count)


def _pass_on(plan: SearchPlan, job: Job, result: Measurement) -> bool:
    """Pass a recorded result to the plan; return whether the training continues."""
    if result.status == "failed":
        plan.fail(job, result.reason)
        return False
    if result.status == "cancelled":
        plan.cancel(job, result.reason)
        return False
    return plan.observe(job, EpochResult(result.fidelity.epochs, result.seconds, result.metrics))


def _differences(records: Records, again: Records) -> list[str]:
    """Return the differences of the candidates of two records, a phrase for each."""
    phrases = []
    old, new = records.candidates(), again.candidates()
    for before, after in zip(old, new, strict=False):
        if before.digest != after.digest:
            phrases.append(f"proposal {before.number} was {before.digest} and is now {after.digest}")
        for epochs in sorted({*before.decisions, *after.decisions}):
            was, now = before.decisions.get(epochs), after.decisions.get(epochs)
            if was != now:
                phrases.append(f"{before.digest} at {epochs} epochs: {was} is now {now}")
    if len(old) != len(new):
        phrases.append(f"there were {len(old)} proposals and are now {len(new)}")
    return phrases
