"""The contract of a strategy: designs inside the windows, none twice, the same for the same past.

A strategy's own tests subclass :class:`StrategyContract`::

    class TestMine(StrategyContract):
        strategy = "my_package.strategies:Mine"
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pytest

from searcher.simulation.simulation import Simulation, replay_events
from searcher.simulation.table import TableDomain
from searcher.simulation.yardsticks import TableYardstick
from searcher.strategies.domain import Design, Domain
from searcher.strategies.history import Observation
from searcher.strategies.registry import create_strategy
from searcher.strategies.strategy import SpaceExhaustedError, Strategy
from searcher.testing.domains import DOMAINS, make_domain, observed, tiny_table, values

STARTUP = 8


def propose_in_turn(
    strategy: Strategy, count: int, outcome: Callable[[int, Design], Observation] | None = None
) -> tuple[list[Design], list[Observation]]:
    """Make proposals, each measured before the next one.

    Args:
        strategy: strategy that proposes.
        count: number of proposals.
        outcome: function that returns the observation of a proposal by its number; by default all are
            measured, some on lower rungs.

    Returns:
        The proposals and the history of their observations.
    """
    history: list[Observation] = []
    designs: list[Design] = []
    for number in range(count):
        design = strategy.propose(history, {earlier.digest for earlier in designs})
        designs.append(design)
        history.append(
            observed(design, values(design), number % 3) if outcome is None else outcome(number, design)
        )
    return designs, history


def genotypes(designs: Sequence[Design]) -> list[tuple[int, ...]]:
    """Return the genotypes of designs in their order."""
    return [design.genotype for design in designs]


class StrategyContract:
    """Tests that every strategy has to pass; a subclass names the strategy.

    Attributes:
        strategy: registered name or import path, ``module:Class``, of the strategy.
        proposals: number of proposals of a test, beyond the startup of 8.
        domains: names of the domains to test on.
    """

    strategy: str
    proposals = 22
    domains: Sequence[str] = DOMAINS

    def make(self, domain: Domain, seed: int = 0) -> Strategy:
        """Create the strategy over a domain."""
        return create_strategy(self.strategy, domain, seed=seed, startup=STARTUP)

    @pytest.mark.parametrize("kind", DOMAINS)
    def test_proposals_are_new_inside_the_windows_and_canonical(self, kind: str) -> None:
        """Propose only new designs, in their canonical form, inside all windows."""
        if kind not in self.domains:
            pytest.skip(f"{self.strategy} takes too long on this domain")
        domain = make_domain(kind)
        designs, _ = propose_in_turn(self.make(domain), self.proposals)
        assert len({design.digest for design in designs}) == len(set(genotypes(designs))) == len(designs)
        assert all(domain.inside(design) for design in designs)
        assert all(domain.window[0] <= design.cost <= domain.window[1] for design in designs)
        assert all(domain.design(design.genotype).genotype == design.genotype for design in designs)

    @pytest.mark.parametrize("kind", ["space", "table"])
    def test_the_same_seed_and_past_give_the_same_proposal(self, kind: str) -> None:
        """Propose the same in a new object, as after a restart; another seed proposes others."""
        domain = make_domain(kind)
        designs, history = propose_in_turn(self.make(domain), self.proposals)
        for number in {3, STARTUP, self.proposals - 1}:
            again = self.make(make_domain(kind))
            before = {design.digest for design in designs[:number]}
            assert again.propose(history[:number], before).genotype == designs[number].genotype
        others, _ = propose_in_turn(self.make(domain, seed=1), STARTUP)
        assert genotypes(others) != genotypes(designs[:STARTUP])

    def test_failed_lost_nan_and_infeasible_proposals_do_no_harm(self) -> None:
        """Keep proposing whatever the outcome of earlier proposals."""

        def outcome(number: int, design: Design) -> Observation:
            complete = values(design)
            broken = (
                None,
                tuple(math.nan for _ in complete),
                (complete[0], math.inf, *complete[2:]),
                complete,
                complete,
            )[number % 5]
            return observed(design, broken, violation=0.5 * (number % 5 == 4))

        domain = make_domain("three objectives" if "three objectives" in self.domains else "space")
        designs, history = propose_in_turn(self.make(domain), self.proposals, outcome)
        assert len(set(genotypes(designs))) == len(designs)
        # Workers that were lost leave proposals that never get a result.
        history += [observed(design, None, pending=True) for design in designs]
        strategy, taken = self.make(domain), {design.digest for design in designs}
        assert domain.inside(strategy.propose(history, taken))
        only_failures = [observed(design, None) for design in designs]
        assert domain.inside(strategy.propose(only_failures, taken))

    def test_workers_that_ask_at_once_get_different_proposals(self) -> None:
        """Propose different designs while nothing is measured; every proposal comes from a new object."""
        domain = make_domain("space")
        designs, history = propose_in_turn(self.make(domain), STARTUP)
        for _ in range(max(2, min(12, self.proposals - STARTUP))):
            designs.append(self.make(domain).propose(history, {design.digest for design in designs}))
            history.append(observed(designs[-1], None, pending=True))
        assert len(set(genotypes(designs))) == len(designs)

    def test_a_domain_that_is_used_up_is_reported(self) -> None:
        """Find every design of a small domain, then raise."""
        domain = TableDomain(tiny_table(), (10.0, 16.0 if self.proposals > STARTUP + 1 else 12.0))
        strategy = self.make(domain)
        inside = list(domain.enumerate())
        designs, history = propose_in_turn(strategy, len(inside))
        assert set(genotypes(designs)) == set(genotypes(inside))
        with pytest.raises(SpaceExhaustedError, match=f"after {len(inside)} proposals"):
            strategy.propose(history, {design.digest for design in designs})

    def test_a_search_is_reproduced_from_the_order_of_its_measurements(self) -> None:
        """Propose the same when measurements arrive in the same order, whatever the number of workers was."""
        yardstick = TableYardstick(tiny_table(rungs=2))
        evaluations = min(24, self.proposals + 2)
        search = Simulation(yardstick, self.make(yardstick.domain), evaluations, workers=5, reduction=2).run()
        again = replay_events(self.make(yardstick.domain), search.events, yardstick.rungs)
        assert genotypes(again) == genotypes(search.designs)
        ends = [event.number for event in search.events if event.rung >= 0]
        assert ends != sorted(ends)
