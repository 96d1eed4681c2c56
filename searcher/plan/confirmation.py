"""The frontier measured again: who is confirmed, and what the confirmed means say.

One short training of each candidate picks its lucky ones. Before winners are named, the provisional frontier
and what comes close to it are trained longer and with other seeds; the frontier of a run is that of the
means.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import stdtrit

from proxy_train.fidelity import Fidelity
from proxy_train.measurement import Measurement
from searcher.objectives import ACCURACY_AND_MACS, Objectives
from searcher.pareto import non_dominated, ranks
from searcher.record.candidate import Candidate
from searcher.record.records import Records
from searcher.record.trials import succeeded


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A candidate's objectives over several trainings at the confirmation's fidelity.

    Args:
        digest: of the architecture.
        architecture: its text form.
        macs: multiply-adds of one clip.
        mean: top-1 accuracy.
        std: its sample standard deviation; None for a single training.
        count: trainings.
        on_frontier: whether it meets the soft constraints, and no other one that does beats its means in all
            objectives.
        ties: digests of the frontier's members that it cannot be told apart from: the difference of the means
            is below what the spread of trainings explains (95 %, two-sided, one pooled variance).
        metrics: means of all metrics over the trainings.
    """

    digest: str
    architecture: str
    macs: int
    mean: float
    std: float | None
    count: int
    on_frontier: bool
    ties: tuple[str, ...]
    metrics: Mapping[str, float] = field(default_factory=dict)


def choose_members(
    candidates: Sequence[Candidate], limit: int, objectives: Objectives = ACCURACY_AND_MACS
) -> list[Candidate]:
    """The provisional frontier, then whatever comes next to it, spread over the cost.

    Candidates are compared with those that were trained as long; the longest trained go first, front by
    front. Of a front that does not fit as a whole, those are taken that are farthest in log cost from what is
    taken already. Candidates that violate a soft constraint come last, the least violation first.

    Returns:
        At most ``limit`` candidates, the cheapest first.
    """
    chosen: list[Candidate] = []
    known = [each for each in candidates if each.metrics and each.state != "failed"]
    feasible = [each for each in known if objectives.violation(each.latest) <= 0]
    for epochs in sorted({each.epochs for each in feasible}, reverse=True):
        peers = [each for each in feasible if each.epochs == epochs]
        front_of = ranks([objectives.values(each.latest) for each in peers])
        for front in range(int(front_of.max()) + 1):
            members = [each for each, rank in zip(peers, front_of, strict=True) if rank == front]
            _take(chosen, members, limit)
    others = [each for each in known if objectives.violation(each.latest) > 0]
    others.sort(key=lambda each: (-each.epochs, objectives.violation(each.latest), each.number))
    chosen += others[: limit - len(chosen)]
    return sorted(chosen, key=lambda each: each.macs)


def _take(chosen: list[Candidate], members: Sequence[Candidate], limit: int) -> None:
    """Moves members over, the loneliest in log cost first; of nobody yet, the most accurate one."""
    left = list(members)
    while left and len(chosen) < limit:
        if chosen:
            gaps = [min(abs(math.log(each.macs / other.macs)) for other in chosen) for each in left]
        else:
            gaps = [each.accuracy or 0.0 for each in left]
        chosen.append(left.pop(int(np.argmax(gaps))))


def summarise(
    measurements: Sequence[Measurement], fidelity_epochs: int, objectives: Objectives = ACCURACY_AND_MACS
) -> tuple[Confirmed, ...]:
    """What the confirmations of a run say, from its record alone.

    Args:
        measurements: of any purpose; only confirmations with so many epochs count.
        fidelity_epochs: the length of the confirmation's trainings.
        objectives: of the search.

    Returns:
        One entry a candidate with at least one successful training, the cheapest first.
    """
    found: dict[tuple[str, Fidelity], list[Measurement]] = {}
    for each in measurements:
        if each.purpose == "confirmation" and succeeded(each) and each.fidelity.epochs == fidelity_epochs:
            found.setdefault((each.digest, each.fidelity), []).append(each)
    groups = sorted(found.values(), key=lambda group: (group[0].metrics["macs"], group[0].digest))
    samples = [[each.metrics["top1"] for each in group] for group in groups]
    means = [_means(group) for group in groups]
    front = _front(means, objectives)
    return tuple(
        Confirmed(
            digest=group[0].digest,
            architecture=group[0].architecture,
            macs=int(means[index]["macs"]),
            mean=means[index]["top1"],
            std=float(np.std(samples[index], ddof=1)) if len(group) > 1 else None,
            count=len(group),
            on_frontier=index in front,
            ties=tuple(
                groups[other][0].digest
                for other in front
                if other != index and _indistinguishable(samples, index, other)
            ),
            metrics=means[index],
        )
        for index, group in enumerate(groups)
    )


def confirmed(records: Records) -> tuple[Confirmed, ...]:
    """What a record says of the longest confirmation that it has; see ``summarise``."""
    made = records.measurements("confirmation")
    return summarise(made, max((each.fidelity.epochs for each in made), default=0), records.objectives)


def _means(group: Sequence[Measurement]) -> dict[str, float]:
    """Of every metric that all trainings have."""
    names = [name for name in group[0].metrics if all(name in each.metrics for each in group)]
    return {name: float(np.mean([each.metrics[name] for each in group])) for name in names}


def _front(means: Sequence[Mapping[str, float]], objectives: Objectives) -> list[int]:
    """Indices of the feasible ones that no other feasible one beats."""
    feasible = [index for index, each in enumerate(means) if objectives.violation(each) <= 0]
    if not feasible:
        return []
    mask = non_dominated([objectives.values(means[index]) for index in feasible])
    return [index for index, keep in zip(feasible, mask.tolist(), strict=True) if keep]


def _indistinguishable(samples: Sequence[Sequence[float]], one: int, other: int) -> bool:
    """Whether two means differ by less than the spread explains; single trainings show none."""
    freedom = sum(len(sample) - 1 for sample in samples)
    if freedom == 0:
        return False
    squares = sum(float(np.var(sample)) * len(sample) for sample in samples)
    error: float = math.sqrt(squares / freedom * (1 / len(samples[one]) + 1 / len(samples[other])))
    difference = abs(float(np.mean(samples[one])) - float(np.mean(samples[other])))
    return difference <= float(stdtrit(freedom, 0.975)) * error
