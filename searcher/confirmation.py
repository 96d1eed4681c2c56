"""The frontier measured again: who is confirmed, and what the confirmed means say.

One short training of each candidate picks its lucky ones. Before winners are named, the provisional frontier
and what comes close to it are trained longer and with other seeds; the frontier of a run is that of the
means.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from proxy_train.fidelity import Fidelity
from proxy_train.measurement import Measurement
from searcher.candidate import Candidate
from searcher.pareto import non_dominated, ranks
from searcher.record_format import succeeded


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A candidate's accuracy over several trainings at the confirmation's fidelity.

    Args:
        digest: of the architecture.
        architecture: its text form.
        macs: multiply-adds of one clip.
        mean: top-1 accuracy.
        std: its sample standard deviation; None for a single training.
        count: trainings.
        on_frontier: whether no other confirmed candidate beats it in mean accuracy and cost.
        ties: digests of the frontier's members that it cannot be told apart from: the difference of the means
            is below what the spread of trainings explains (95 %, two-sided, one pooled variance).
    """

    digest: str
    architecture: str
    macs: int
    mean: float
    std: float | None
    count: int
    on_frontier: bool
    ties: tuple[str, ...]


def choose_members(candidates: Sequence[Candidate], limit: int) -> list[Candidate]:
    """The provisional frontier, then whatever comes next to it, spread over the cost.

    Candidates are compared with those that were trained as long; the longest trained go first, front by
    front. Of a front that does not fit as a whole, those are taken that are farthest in log cost from what is
    taken already.

    Returns:
        At most ``limit`` candidates, the cheapest first.
    """
    known = [each for each in candidates if each.accuracy is not None and each.state != "failed"]
    chosen: list[Candidate] = []
    for epochs in sorted({each.epochs for each in known}, reverse=True):
        peers = [each for each in known if each.epochs == epochs]
        front_of = ranks([(-(each.accuracy or 0.0), math.log(each.macs)) for each in peers])
        for front in range(int(front_of.max()) + 1):
            members = [each for each, rank in zip(peers, front_of, strict=True) if rank == front]
            _take(chosen, members, limit)
            if len(chosen) == limit:
                return sorted(chosen, key=lambda each: each.macs)
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


def summarise(measurements: Sequence[Measurement], fidelity_epochs: int) -> tuple[Confirmed, ...]:
    """What the confirmations of a run say, from its record alone.

    Args:
        measurements: of any purpose; only confirmations with so many epochs count.
        fidelity_epochs: the length of the confirmation's trainings.

    Returns:
        One entry a candidate with at least one successful training, the cheapest first.
    """
    found: dict[tuple[str, Fidelity], list[Measurement]] = {}
    for each in measurements:
        if each.purpose == "confirmation" and succeeded(each) and each.fidelity.epochs == fidelity_epochs:
            found.setdefault((each.digest, each.fidelity), []).append(each)
    groups = sorted(found.values(), key=lambda group: (group[0].metrics["macs"], group[0].digest))
    if not groups:
        return ()
    samples = [[each.metrics["top1"] for each in group] for group in groups]
    means = [float(np.mean(sample)) for sample in samples]
    costs = [group[0].metrics["macs"] for group in groups]
    front = non_dominated(np.column_stack([np.negative(means), costs]))
    return tuple(
        Confirmed(
            digest=group[0].digest,
            architecture=group[0].architecture,
            macs=int(costs[index]),
            mean=means[index],
            std=float(np.std(samples[index], ddof=1)) if len(group) > 1 else None,
            count=len(group),
            on_frontier=bool(front[index]),
            ties=tuple(
                groups[other][0].digest
                for other in np.flatnonzero(front).tolist()
                if other != index and _indistinguishable(samples, index, other)
            ),
        )
        for index, group in enumerate(groups)
    )


def _indistinguishable(samples: Sequence[Sequence[float]], one: int, other: int) -> bool:
    """Whether two means differ by less than the spread explains; single trainings show none."""
    freedom = sum(len(sample) - 1 for sample in samples)
    if freedom == 0:
        return False
    squares = sum(float(np.var(sample)) * len(sample) for sample in samples)
    error: float = math.sqrt(squares / freedom * (1 / len(samples[one]) + 1 / len(samples[other])))
    difference = abs(float(np.mean(samples[one])) - float(np.mean(samples[other])))
    return difference <= float(stdtrit(freedom, 0.975)) * error
