"""Searches in simulated time: the strategies and the promotion of real ones, measurements from a yardstick.

Any number of workers can be simulated; a training takes as long as the yardstick says, with a jitter of a
third, so that candidates finish out of order, as on a cluster. Everything follows from the seed.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from searcher.plan.next_step import Promotion, next_step
from searcher.promotion.features import genotype_features
from searcher.promotion.halving import ParetoHalving, RungResult
from searcher.simulation.yardsticks import Yardstick
from searcher.strategies.domain import Design
from searcher.strategies.history import Observation
from searcher.strategies.strategy import SpaceExhaustedError, Strategy

_JITTER = 0.3


@dataclass(frozen=True, slots=True)
class Event:
    """A proposal or a measurement.

    Args:
        number: number of the proposal.
        values: measured values of the objectives, to minimise; None at a proposal, and for a failure.
        rung: index of the rung that was measured; -1 at a proposal.
    """

    number: int
    values: tuple[float, ...] | None = None
    rung: int = -1


@dataclass
class Simulated:
    """The result of a simulated search.

    Args:
        designs: designs in the order in which they were proposed.
        events: events in the order in which they happened.
        scores: scores by the number of finished candidates.
        repeats: number of proposals that had been made before.
        seconds: simulated time in seconds.
    """

    designs: list[Design] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    scores: dict[int, float] = field(default_factory=dict)
    repeats: int = 0
    seconds: float = 0.0


class Simulation:
    """One search in simulated time.

    Args:
        yardstick: problem that is searched.
        strategy: strategy that proposes, over the yardstick's domain.
        evaluations: number of proposals.
        workers: number of trainings at a time.
        seed: seed of measurements and durations.
        reduction: one in ``reduction`` candidates is promoted from rung to rung; by default all are.
        score_at: numbers of finished candidates after which to score; the end is always among them.
    """

    def __init__(
        self,
        yardstick: Yardstick,
        strategy: Strategy,
        evaluations: int,
        *,
        workers: int = 1,
        seed: int = 0,
        reduction: int | None = None,
        score_at: Sequence[int] = (),
    ) -> None:
        self._yardstick, self._strategy = yardstick, strategy
        self._evaluations, self._workers = evaluations, workers
        self._score_at = frozenset(score_at)
        self._rng = np.random.default_rng([seed, 2])
        self._simulated = Simulated()
        self._history: list[Observation] = []
        self._taken: set[str] = set()
        self._running: list[tuple[float, int, int]] = []
        self._finished: list[int] = []
        self._exhausted = False
        rungs = yardstick.rungs
        self._last = rungs - 1
        low, high = yardstick.domain.window
        self._halving = ParetoHalving(range(1, rungs + 1), reduction, low, high) if reduction else None
        self._results: list[dict[int, RungResult]] = [{} for _ in range(rungs)]
        self._promoted: list[set[int]] = [set() for _ in range(rungs)]
        self._held: list[set[int]] = [set() for _ in range(rungs)]

    def run(self) -> Simulated:
        """Search until all proposals are measured."""
        while True:
            while len(self._running) < self._workers and self._start():
                pass
            if not self._running:
                self._simulated.scores[len(self._finished)] = self._score()
                return self._simulated
            self._simulated.seconds, number, rung = heapq.heappop(self._running)
            self._measure(number, rung)

    def _score(self) -> float:
        return self._yardstick.score([self._simulated.designs[number] for number in self._finished])

    def _start(self) -> bool:
        """Start the next training on a free worker; return False if there is none."""
        step = next_step(self._halving, self, self._propose)
        if step is None:
            return False
        if isinstance(step, Promotion):
            self._held[step.rung].discard(step.number)
            self._promoted[step.rung].add(step.number)
            self._train(step.number, step.rung + 1)
        else:
            self._train(len(self._history) - 1, 0)
        return True

    def _propose(self) -> Design | None:
        """Return the next proposal; None if there is none."""
        if self._exhausted or len(self._history) >= self._evaluations:
            return None
        try:
            design = self._strategy.propose(self._history, self._taken)
        except SpaceExhaustedError:
            self._exhausted = True
            return None
        self._simulated.repeats += design.digest in self._taken
        self._taken.add(design.digest)
        self._simulated.designs.append(design)
        self._simulated.events.append(Event(len(self._history)))
        self._history.append(Observation(design.genotype, design.cost, None, self._last, pending=True))
        return design

    def _train(self, number: int, rung: int) -> None:
        """Start a training up to a rung."""
        seconds = self._yardstick.seconds(self._simulated.designs[number], rung)
        seconds *= 1 + _JITTER * (2 * self._rng.random() - 1)
        heapq.heappush(self._running, (self._simulated.seconds + seconds, number, rung))

    def _measure(self, number: int, rung: int) -> None:
        """Measure a candidate at the end of a training, and promote, hold or finish it."""
        design = self._simulated.designs[number]
        values = self._yardstick.measure(design, rung, self._rng)
        self._simulated.events.append(Event(number, values, rung))
        self._history[number] = measured(self._history[number], values, self._last - rung)
        if not self._history[number].is_measured:
            self._finish(number)
            return
        assert values is not None
        features = genotype_features(self._strategy.domain.genes, design.genotype)
        self._results[rung][number] = RungResult(number, values, design.cost, features)
        if rung == self._last:
            self._finish(number)
        elif self._is_promoted(number, rung):
            self._promoted[rung].add(number)
            self._train(number, rung + 1)
        else:
            self._held[rung].add(number)

    def _finish(self, number: int) -> None:
        self._finished.append(number)
        if len(self._finished) in self._score_at:
            self._simulated.scores[len(self._finished)] = self._score()

    def _is_promoted(self, number: int, rung: int) -> bool:
        if self._halving is None:
            return True
        return self._halving.decide(number, self.results(rung), self._promoted[rung]).promoted

    def results(self, rung: int) -> Sequence[Sequence[RungResult]]:
        """Return the results of every rung up to ``rung``."""
        return [list(results.values()) for results in self._results[: rung + 1]]

    def promoted(self, rung: int) -> Collection[int]:
        """Return the numbers of the candidates that were promoted from a rung."""
        return self._promoted[rung]

    def held(self, rung: int) -> Collection[int]:
        """Return the numbers of the candidates that are held at a rung."""
        return self._held[rung]

    def expects(self, rung: int) -> bool:
        """Return whether a candidate under way can still be measured at a rung."""
        return any(trained <= rung for _, _, trained in self._running)


def measured(before: Observation, values: tuple[float, ...] | None, rungs_left: int) -> Observation:
    """Return the observation of a proposal once it was measured, or once it failed."""
    return replace(before, values=values, rungs_left=rungs_left, pending=False)


def replay_events(strategy: Strategy, events: Sequence[Event], rungs: int = 1) -> list[Design]:
    """Return the proposals that a strategy makes when measurements arrive as they did.

    Args:
        strategy: new strategy with the arguments of the search's own.
        events: events of the search.
        rungs: number of rungs of its yardstick.
    """
    history: list[Observation] = []
    designs: list[Design] = []
    for event in events:
        if event.rung >= 0:
            history[event.number] = measured(history[event.number], event.values, rungs - 1 - event.rung)
            continue
        design = strategy.propose(history, {earlier.digest for earlier in designs})
        designs.append(design)
        history.append(Observation(design.genotype, design.cost, None, rungs - 1, pending=True))
    return designs


def mean_scores(searches: Sequence[Simulated]) -> Mapping[int, float]:
    """Return the mean score at each number of finished candidates that all searches have."""
    common = set.intersection(*(set(search.scores) for search in searches)) if searches else set()
    return {at: float(np.mean([search.scores[at] for search in searches])) for at in sorted(common)}
