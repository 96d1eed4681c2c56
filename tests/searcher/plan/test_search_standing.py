"""What is kept of a search between questions is what its record says, whatever has happened since."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from searcher.plan.provisional_frontier import provisional_frontier, search_hypervolume
from searcher.plan.search_plan import SearchPlan
from searcher.plan.search_standing import SearchStanding
from tests.searcher.invented import invented
from tests.searcher.searching import THREE, search
from tests.searcher.serial import run_serially

RUNGS = (1, 2, 4)


def agree(plan: SearchPlan, kept: SearchStanding) -> None:
    """Compare a standing that has seen everything happen with one that is new, and with the record itself."""
    records = plan.records
    new, candidates = SearchStanding(records, RUNGS), records.candidates()
    new.running = kept.running = {each.number for each in candidates if each.number % 5 == 0}
    assert kept.history() == new.history()
    assert kept.interrupted() == new.interrupted()
    for rung, epochs in enumerate(RUNGS):
        assert kept.results(rung) == new.results(rung)
        assert [each.number for each in kept.results(rung)[-1]] == [
            each.number for each in candidates if epochs in each.metrics
        ]
        held = {each.number for each in candidates if each.waits and each.epochs == epochs}
        assert kept.held(rung) == held - kept.running
        promoted = {each.number for each in candidates if epochs in each.decisions}
        promoted = {number for number in promoted if candidates[number].decisions[epochs].promoted}
        assert kept.promoted(rung) == promoted
        under_way = [each for each in candidates if each.state == "open" and not each.waits]
        assert kept.expects(rung) == any(each.epochs < epochs for each in under_way)
    assert kept.frontier() == provisional_frontier(candidates, records.objectives)
    assert kept.hypervolume() == search_hypervolume(candidates, records.objectives)
    assert kept.epochs() == sum(each.epochs for each in candidates)
    states = [each.state for each in candidates]
    assert kept.counts()["complete"] == states.count("complete")
    assert kept.counts()["failed"] == states.count("failed") + states.count("cancelled")
    stopped = sum(each.waits or each.state == "pruned" for each in candidates)
    assert kept.counts()["stopped"] == stopped


@pytest.mark.parametrize("changes", [{}, THREE], ids=["two objectives", "three and a constraint"])
def test_a_standing_follows_its_record(tmp_path: Path, changes: dict[str, Any]) -> None:
    with search(tmp_path, trials=12, **changes) as plan:
        kept = SearchStanding(plan.records, RUNGS)
        evaluator = invented(timed=True) if changes else invented(broken="0123")
        while run_serially(plan, evaluator, workers=3, stop_after=5) == 5:
            agree(plan, kept)
        agree(plan, kept)
        assert len(plan.records.measurements()) > 12
