"""What confirmed networks tell of the others decides about the rest of a confirmation, once."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from searcher.objectives import ACCURACY_AND_MACS, Objectives
from searcher.plan.confirmation import choose_members
from searcher.plan.confirmation_plan import ConfirmationPlan, LaterMembers, Member
from searcher.plan.two_fidelities import next_members
from searcher.record.candidate import Candidate
from searcher.record.records import Records
from searcher.strategies.space_domain import SpaceDomain, known_costs
from searcher.testing.domains import SPACE
from tests.searcher.plan.test_confirmation_plan import CLASSES, EPOCHS, NETWORKS, counts, members, noisy
from tests.searcher.serial import run_serially

DOMAIN = SpaceDomain(SPACE)
GENE = next(place for place, gene in enumerate(SPACE.genes) if gene.choices > 1)


def worth(candidate: Candidate) -> float:
    """A logit accuracy that rises with the cost, and that one gene decides as much as all of the cost."""
    share = candidate.genotype[GENE] / (SPACE.genes[GENE].choices - 1)
    return 0.5 * math.log(candidate.macs / 1e5) + 1.5 * share


def measured(number: int, seed: int = 0) -> list[Candidate]:
    """Candidates measured with shared weights, which see a part of what they are worth."""
    rng = np.random.default_rng(seed)
    found = []
    for place, network in enumerate(SPACE.sample_distinct(rng, number, *SPACE.macs_range())):
        costs = known_costs(network, SPACE.classes)
        each = Candidate(
            place, SPACE.encode(network), network.digest, network.text, int(costs["macs"]), "complete"
        )
        logit = 0.5 * worth(each) + 0.3 * math.log(each.macs / 1e5) + 0.2 * rng.normal()
        each.metrics[8] = {"top1": 1 / (1 + math.exp(-logit)), **costs}
        found.append(each)
    return found


def trained(candidates: Sequence[Candidate]) -> dict[str, Mapping[str, float]]:
    return {each.digest: {**each.latest, "top1": 1 / (1 + math.exp(-worth(each)))} for each in candidates}


def missing(candidates: Sequence[Candidate], chosen: Sequence[Candidate]) -> float:
    """How far the best that is chosen lies below the best there is, mean over the costs."""
    costs = sorted(each.macs for each in candidates)[len(candidates) // 5 :]

    def best(among: Sequence[Candidate], cost: int) -> float:
        return max((worth(each) for each in among if each.macs <= cost), default=-2.0)

    return float(np.mean([best(candidates, cost) - best(chosen, cost) for cost in costs]))


def test_trainings_of_some_choose_the_others_better_than_the_search_alone() -> None:
    alone, told = [], []
    for seed in range(8):
        candidates = measured(60, seed)
        first = choose_members(candidates, 5)
        more = next_members(candidates, trained(first), 5, DOMAIN, ACCURACY_AND_MACS)
        assert len({each.digest for each in [*first, *more]}) == 10
        assert [each.macs for each in more] == sorted(each.macs for each in more)
        told.append(missing(candidates, [*first, *more]))
        alone.append(missing(candidates, choose_members(candidates, 10)))
    assert np.mean(told) < np.mean(alone)


def test_the_choice_is_the_same_again_and_keeps_the_soft_constraints() -> None:
    candidates = measured(40)
    first = choose_members(candidates, 4)
    chosen = next_members(candidates, trained(first), 4, DOMAIN, ACCURACY_AND_MACS)
    assert next_members(candidates, trained(first), 4, DOMAIN, ACCURACY_AND_MACS) == chosen
    limit = float(np.median([each.latest["parameters"] for each in candidates]))
    limited = Objectives(ACCURACY_AND_MACS.names, {"parameters": limit})
    kept = next_members(candidates, trained(first), 4, DOMAIN, limited)
    assert all(each.latest["parameters"] <= limit for each in kept)


@pytest.mark.parametrize("case", ["nothing is confirmed", "few are left", "a model that cost outdoes"])
def test_where_no_model_can_tell_the_search_decides(case: str) -> None:
    candidates = measured(20)
    first = choose_members(candidates, 4)
    confirmed, limit = trained(first), 4
    if case == "nothing is confirmed":
        confirmed = {}
    elif case == "few are left":
        limit = 30
    else:
        order = sorted(candidates, key=lambda each: each.macs)
        for rank, each in enumerate(order):
            each.metrics[8] = {**each.latest, "top1": 0.1 + 0.04 * rank}
    left = [each for each in candidates if each.digest not in confirmed]
    chosen = next_members(candidates, confirmed, limit, DOMAIN, ACCURACY_AND_MACS)
    assert chosen == choose_members(left, limit)


def confirm_in_halves(folder: Path, broken: tuple[str, ...] = (), stop: int | None = None) -> list[set[str]]:
    """Confirm three networks, then two of the others."""
    asked: list[set[str]] = []
    everyone = members(folder / "run", 2)

    def choose(confirmed: Mapping[str, Mapping[str, float]]) -> list[Member]:
        asked.append(set(confirmed))
        return everyone[3:5]

    with Records.writing(folder / "run", {}) as records:
        plan = ConfirmationPlan(records, CLASSES, everyone[:3], 10, later=LaterMembers(2, choose))
        assert plan.progress().planned >= 10 - 2 * len(broken)
        run_serially(plan, noisy(folder, broken=broken), 3, stop)
        if stop is None:
            assert plan.progress().planned == 10 and plan.progress().seconds_left == 0
    return asked


def test_later_members_join_once_all_others_were_trained_and_an_interruption_changes_nothing(
    tmp_path: Path,
) -> None:
    first = {network.digest for network in NETWORKS[:3]}
    assert confirm_in_halves(tmp_path / "whole") == [first]
    whole = counts(tmp_path / "whole")
    assert set(whole) == {network.digest for network in NETWORKS[:5]} and whole.total() == 10
    for stop in (1, 4, 3 * EPOCHS, 5 * EPOCHS):
        folder = tmp_path / str(stop)
        folder.mkdir()
        before = confirm_in_halves(folder, stop=stop)
        assert before in ([], [first])
        assert confirm_in_halves(folder) == [first]
        assert set(counts(folder)) == set(whole) and counts(folder).total() == 10
        lines = (folder / "log").read_text().splitlines()
        assert max(Counter(lines).values()) == 1


def test_a_member_that_fails_holds_nothing_up(tmp_path: Path) -> None:
    bad = NETWORKS[1].digest
    asked = confirm_in_halves(tmp_path, broken=(bad,))
    assert asked == [{network.digest for network in NETWORKS[:3]} - {bad}]
    measured = Records.reading(tmp_path / "run").measurements()
    complete = [each.digest for each in measured if each.status == "complete"]
    assert len(complete) == 9
    assert set(complete) == {network.digest for network in NETWORKS[:5]} - {bad}
