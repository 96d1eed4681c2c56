"""What confirmed networks tell of the others: one model of two fidelities chooses whom to confirm next.

A measurement with shared weights costs next to nothing, and says less than a training. Once some candidates
have both, the predictor's Gaussian process learns from all of them at once, the fidelity being one more
coordinate of a network, and says of every candidate what a training is expected to add to the frontier.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from searcher.objectives import Objectives
from searcher.plan.confirmation import choose_members
from searcher.plan.search_standing import observed
from searcher.record.candidate import Candidate
from searcher.strategies.domain import Design, Domain
from searcher.strategies.history import Ledger, Observation
from searcher.strategies.predictor.surrogate import FitCache, Surrogate


def next_members(
    candidates: Sequence[Candidate],
    confirmed: Mapping[str, Mapping[str, float]],
    limit: int,
    domain: Domain,
    objectives: Objectives,
) -> list[Candidate]:
    """Return the candidates whose confirmation is expected to add most to the confirmed frontier.

    Each is chosen as if those before it were being trained. Where the model ranks held-out measurements of
    the search no better than their cost does, the choice is that of ``choose_members``.

    Args:
        candidates: candidates of the search.
        confirmed: metrics of one confirmation training, by digest of the network.
        limit: most candidates to return.
        domain: domain of the search.
        objectives: objectives and soft constraints of the search.

    Returns:
        At most ``limit`` candidates that are not confirmed, the cheapest first.
    """
    others = [candidate for candidate in candidates if candidate.digest not in confirmed]
    able = [
        candidate
        for candidate in others
        if candidate.exact
        and candidate.metrics
        and candidate.state != "failed"
        and objectives.violation(candidate.latest) <= 0
    ]
    history = _history(candidates, confirmed, objectives)
    measured = Ledger().read(history)
    model = None
    if len(able) > limit and (measured.rungs_left == 0).any():
        model = Surrogate(domain, measured, len(history), FitCache())
    if model is None or not model.quality.trusted:
        return choose_members(others, limit, objectives)
    designs = [domain.design(candidate.genotype) for candidate in able]
    chosen: list[int] = []
    while len(chosen) < limit:
        pending: list[Design] = [designs[index] for index in chosen]
        model.condition(designs, pending)
        gains = model.expected_gain(designs)
        gains[chosen] = -np.inf
        chosen.append(int(np.argmax(gains)))
    return sorted((able[index] for index in chosen), key=lambda candidate: candidate.macs)


def _history(
    candidates: Sequence[Candidate], confirmed: Mapping[str, Mapping[str, float]], objectives: Objectives
) -> list[Observation]:
    """Return the confirmed candidates as observations of the last rung, and all again at the rung below.

    The confirmed ones come first: the predictor fits its covariances to the earlier part of a history.
    """
    searched = [candidate for candidate in candidates if candidate.metrics and candidate.state != "failed"]
    trained = [each for each in searched if each.digest in confirmed]
    return [
        *(observed(each, confirmed[each.digest], 0, objectives) for each in trained),
        *(observed(each, each.latest, 1, objectives) for each in searched),
    ]
