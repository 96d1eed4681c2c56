"""The frontier measured again: the candidates to confirm, and the frontier of their means.

One short training of each candidate favours the lucky ones. So the provisional frontier and the candidates
near it are trained longer and with other seeds; the frontier of a run is that of the means.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import stdtrit

from proxy_train.fidelity import Fidelity
from proxy_train.measurement import Measurement, mean_metrics
from searcher.objectives import ACCURACY_AND_MACS, Objectives
from searcher.pareto import non_dominated, ranks
from searcher.plan.front_posterior import Contender, FrontPosterior
from searcher.record.candidate import Candidate
from searcher.record.records import Records
from searcher.record.trials import succeeded


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A candidate's objectives over several trainings at the confirmation's fidelity.

    Args:
        digest: digest of the architecture.
        architecture: text form of the architecture.
        macs: multiply-adds of one clip.
        mean: mean top-1 accuracy.
        std: sample standard deviation of top-1 accuracy; None for a single training.
        count: number of trainings.
        on_frontier: whether it meets the soft constraints, and no other candidate that meets them dominates
            its means.
        ties: digests of the frontier's members whose mean accuracy does not differ significantly from its own
            (95 %, two-sided, one pooled variance).
        metrics: means of all metrics over the trainings, by their names in the record.
        chance: probability that it is on the frontier of the true means, which endlessly many trainings would
            give; see ``searcher.plan.front_posterior``.
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
    chance: float = math.nan


def choose_members(
    candidates: Sequence[Candidate], limit: int, objectives: Objectives = ACCURACY_AND_MACS
) -> list[Candidate]:
    """Return the provisional frontier, then the fronts behind it, spread over the cost.

    Candidates are compared with those that were trained as long; the longest trained come first, front by
    front. A front that does not fit as a whole is spread over log cost. Candidates that violate a soft
    constraint come last, the least violation first.

    Args:
        candidates: candidates of the search.
        limit: most candidates to return.
        objectives: objectives and soft constraints of the search.

    Returns:
        At most ``limit`` candidates, the cheapest first.
    """
    chosen: list[Candidate] = []
    measured = [candidate for candidate in candidates if candidate.metrics and candidate.state != "failed"]
    feasible = [candidate for candidate in measured if objectives.violation(candidate.latest) <= 0]
    for epochs in sorted({candidate.epochs for candidate in feasible}, reverse=True):
        peers = [candidate for candidate in feasible if candidate.epochs == epochs]
        front_of = ranks([objectives.values(candidate.latest) for candidate in peers])
        for front in range(int(front_of.max()) + 1):
            members = [peer for peer, rank in zip(peers, front_of, strict=True) if rank == front]
            _pick_spread(chosen, members, limit)
    infeasible = [candidate for candidate in measured if objectives.violation(candidate.latest) > 0]
    infeasible.sort(
        key=lambda candidate: (-candidate.epochs, objectives.violation(candidate.latest), candidate.number)
    )
    chosen += infeasible[: limit - len(chosen)]
    return sorted(chosen, key=lambda candidate: candidate.macs)


def _pick_spread(chosen: list[Candidate], members: Sequence[Candidate], limit: int) -> None:
    """Add members to ``chosen``: the farthest in log cost from those in it, or the most accurate."""
    left = list(members)
    while left and len(chosen) < limit:
        if chosen:
            gaps = [min(abs(math.log(member.macs / other.macs)) for other in chosen) for member in left]
        else:
            gaps = [member.accuracy or 0.0 for member in left]
        chosen.append(left.pop(int(np.argmax(gaps))))


def summarise(
    measurements: Sequence[Measurement], fidelity_epochs: int, objectives: Objectives = ACCURACY_AND_MACS
) -> tuple[Confirmed, ...]:
    """Return the confirmed candidates of a run, from its record alone.

    Args:
        measurements: measurements of any purpose; only confirmations of ``fidelity_epochs`` count.
        fidelity_epochs: epochs of the confirmation's trainings.
        objectives: objectives and soft constraints of the search.

    Returns:
        One entry a candidate with at least one successful training, the cheapest first.
    """
    by_network: dict[tuple[str, Fidelity], list[Measurement]] = {}
    for measurement in measurements:
        if (
            measurement.purpose == "confirmation"
            and succeeded(measurement)
            and measurement.fidelity.epochs == fidelity_epochs
        ):
            by_network.setdefault((measurement.digest, measurement.fidelity), []).append(measurement)
    groups = sorted(by_network.values(), key=lambda group: (group[0].metrics["macs"], group[0].digest))
    samples = [[measurement.metrics["top1"] for measurement in group] for group in groups]
    means = [mean_metrics([measurement.metrics for measurement in group]) for group in groups]
    front = _front(means, objectives)
    chances = _chances(samples, means, objectives)
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
            chance=chances[index],
        )
        for index, group in enumerate(groups)
    )


def confirmed(records: Records) -> tuple[Confirmed, ...]:
    """Return the candidates of the longest confirmation in a record; see ``summarise``."""
    return longest_confirmation(records.measurements("confirmation"), records.objectives)


def longest_confirmation(
    measurements: Iterable[Measurement], objectives: Objectives = ACCURACY_AND_MACS
) -> tuple[Confirmed, ...]:
    """Return the candidates of the longest confirmation among measurements; see ``summarise``."""
    confirmations = [measurement for measurement in measurements if measurement.purpose == "confirmation"]
    return summarise(confirmations, longest_epochs(confirmations), objectives)


def longest_epochs(measurements: Iterable[Measurement]) -> int:
    """Return the epochs of the longest confirmation that did not fail; 0 if there is none."""
    return max(
        (m.fidelity.epochs for m in measurements if m.purpose == "confirmation" and succeeded(m)), default=0
    )


def _front(means: Sequence[Mapping[str, float]], objectives: Objectives) -> list[int]:
    """Return the indices of the feasible means that no other feasible one dominates."""
    feasible = [index for index, metrics in enumerate(means) if objectives.violation(metrics) <= 0]
    if not feasible:
        return []
    mask = non_dominated([objectives.values(means[index]) for index in feasible])
    return [index for index, keep in zip(feasible, mask.tolist(), strict=True) if keep]


def _chances(
    samples: Sequence[Sequence[float]], means: Sequence[Mapping[str, float]], objectives: Objectives
) -> list[float]:
    """Return the chance of each candidate to be on the frontier of the true means."""
    if not samples:
        return []
    contenders = [
        Contender.of(sample, metrics, objectives) for sample, metrics in zip(samples, means, strict=True)
    ]
    chances: list[float] = FrontPosterior.of(contenders).chances().tolist()
    return chances


def _indistinguishable(samples: Sequence[Sequence[float]], one: int, other: int) -> bool:
    """Return whether two means differ by less than the spread explains; single trainings show no spread."""
    freedom = sum(len(sample) - 1 for sample in samples)
    if freedom == 0:
        return False
    squares = sum(float(np.var(sample)) * len(sample) for sample in samples)
    error: float = math.sqrt(squares / freedom * (1 / len(samples[one]) + 1 / len(samples[other])))
    difference = abs(float(np.mean(samples[one])) - float(np.mean(samples[other])))
    return difference <= float(stdtrit(freedom, 0.975)) * error
