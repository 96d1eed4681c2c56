"""A recorded search run again without training: the same proposals and promotions, or where they differ.

A record has its measurements in the order of completion, and says of each proposal and each decision how many
measurements there were at the time. A plan that is given the same results at the same moments has to do the
same again, however many workers there were.
"""

from __future__ import annotations

from collections.abc import Callable

from proxy_train.measurement import Measurement
from search_space.errors import RecordError
from searcher.plan.job import EpochResult, Job
from searcher.plan.search_plan import SearchPlan
from searcher.record.records import Records


def reproduce(records: Records, plan_over: Callable[[Records], SearchPlan]) -> list[str]:
    """Runs a recorded search again.

    Args:
        records: of the run.
        plan_over: makes the run's plan over another, empty record.

    Returns:
        What differs, a phrase for each; empty if the run was reproduced.

    Raises:
        RecordError: the record is of a version that did not note when proposals were made.
    """
    if records.schema < 2:
        raise RecordError(
            f"the record of {records.name!r} has schema {records.schema}, which does not say in what order"
            " proposals were made",
            hint="runs of this version can be replayed",
        )
    again = Records.in_memory(records.identity)
    plan = plan_over(again)
    running: dict[str, Job] = {}
    measured = records.measurements("search")
    for known in range(len(measured) + 1):
        for _ in range(_starts(records, known)):
            job = plan.next()
            if job is None:
                return [*_differences(records, again), f"nothing was left to do after {known} measurements"]
            running[job.architecture.digest] = job
        if known == len(measured):
            break
        each = measured[known]
        if each.digest not in running:
            return [*_differences(records, again), f"{each.digest} was not proposed before it was measured"]
        if not _tell(plan, running[each.digest], each):
            plan.on_job_end(running.pop(each.digest))
    return _differences(records, again)


def _starts(records: Records, known: int) -> int:
    """How many trainings began, or went on from a rung where they were held, at so many measurements."""
    candidates = records.candidates()
    moments = [candidate.measured_before for candidate in candidates]
    moments += [
        decision.measured_before
        for candidate in candidates
        for decision in candidate.decisions.values()
        if decision.was_held
    ]
    return moments.count(known)


def _tell(plan: SearchPlan, job: Job, each: Measurement) -> bool:
    """Gives a plan what was measured; answers whether the training goes on."""
    if each.status == "failed":
        plan.fail(job, each.reason)
        return False
    if each.status == "cancelled":
        plan.cancel(job, each.reason)
        return False
    return plan.observe(job, EpochResult(each.fidelity.epochs, each.seconds, each.metrics))


def _differences(records: Records, again: Records) -> list[str]:
    found = []
    old, new = records.candidates(), again.candidates()
    for before, after in zip(old, new, strict=False):
        if before.digest != after.digest:
            found.append(f"proposal {before.number} was {before.digest} and is now {after.digest}")
        for epochs in sorted({*before.decisions, *after.decisions}):
            was, now = before.decisions.get(epochs), after.decisions.get(epochs)
            if was != now:
                found.append(f"{before.digest} at {epochs} epochs: {was} is now {now}")
    if len(old) != len(new):
        found.append(f"there were {len(old)} proposals and are now {len(new)}")
    return found
