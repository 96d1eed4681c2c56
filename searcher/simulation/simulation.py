"""Searches in simulated time: the strategies and the promotion of real ones, measurements from a yardstick.

Workers are as many as one likes; a training takes as long as the yardstick says, give or take a third, so
that candidates finish out of order, as on a cluster. Everything is decided by the seed.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from searcher.observation import Observation
from searcher.promotion.features import genotype_features
from searcher.promotion.halving import ParetoHalving, RungResult
from searcher.simulation.yardsticks import Yardstick
from searcher.strategies.domain import Design
from searcher.strategies.strategy import SpaceExhaustedError, Strategy

_JITTER = 0.3


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened: a proposal was made, or a measurement came in.

    Args:
        number: of the proposal.
        values: what was measured; None at a proposal, and of a failure.
        rung: that was measured; -1 at a proposal.
    """

    number: int
    values: tuple[float, ...] | None = None
    rung: int = -1


@dataclass
class Simulated:
    """What came of a simulated search.

    Args:
        designs: in the order in which they were proposed.
        events: in the order in which they happened.
        scores: by the number of finished candidates.
        repeats: proposals that had been made before.
        seconds: of simulated time.
    """

    designs: list[Design] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    scores: dict[int, float] = field(default_factory=dict)
    repeats: int = 0
    seconds: float = 0.0


class Simulation:
    """One search.

    Args:
        yardstick: what is searched.
        strategy: what proposes, over the yardstick's domain.
        evaluations: how many proposals.
        workers: how many trainings at a time.
        seed: of measurements and durations.
        reduction: one in so many goes on from a rung to the next; by default all do.
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
        self._found = Simulated()
        self._history: list[Observation] = []
        self._taken: set[str] = set()
        self._running: list[tuple[float, int, int]] = []
        self._finished: list[int] = []
        self._held: set[int] = set()
        self._exhausted = False
        rungs = yardstick.rungs
        self._last = rungs - 1
        low, high = yardstick.domain.window
        self._halving = ParetoHalving(range(1, rungs + 1), reduction, low, high) if reduction else None
        self._results: list[dict[int, RungResult]] = [{} for _ in range(rungs)]
        self._promoted: list[set[int]] = [set() for _ in range(rungs)]

    def run(self) -> Simulated:
        """Searches until all proposals are through."""
        while True:
            while len(self._running) < self._workers and self._start():
                pass
            if not self._running:
                self._found.scores[len(self._finished)] = self._score()
                return self._found
            self._found.seconds, number, rung = heapq.heappop(self._running)
            self._measure(number, rung)

    def _score(self) -> float:
        return self._yardstick.score([self._found.designs[number] for number in self._finished])

    def _start(self) -> bool:
        """Gives a free worker something to do; answers whether there was anything."""
        promotion = self._promotion(complete=False)
        if promotion is None and not self._propose():
            promotion = self._promotion(complete=True) if not self._running else None
            if promotion is None:
                return False
        if promotion is not None:
            number, rung = promotion
            self._held.discard(number)
            self._promoted[rung].add(number)
            self._train(number, rung + 1)
        return True

    def _propose(self) -> bool:
        if self._exhausted or len(self._history) >= self._evaluations:
            return False
        try:
            design = self._strategy.propose(self._history, self._taken)
        except SpaceExhaustedError:
            self._exhausted = True
            return False
        number = len(self._history)
        self._found.repeats += design.digest in self._taken
        self._taken.add(design.digest)
        self._found.designs.append(design)
        self._found.events.append(Event(number))
        self._history.append(Observation(design.genotype, design.cost, None, self._last, pending=True))
        self._train(number, 0)
        return True

    def _train(self, number: int, rung: int) -> None:
        seconds = self._yardstick.seconds(self._found.designs[number], rung)
        seconds *= 1 + _JITTER * (2 * self._rng.random() - 1)
        heapq.heappush(self._running, (self._found.seconds + seconds, number, rung))

    def _measure(self, number: int, rung: int) -> None:
        design = self._found.designs[number]
        values = self._yardstick.measure(design, rung, self._rng)
        self._found.events.append(Event(number, values, rung))
        before = self._history[number]
        self._history[number] = told(before, values, self._last - rung)
        if not self._history[number].known:
            self._finish(number)
            return
        assert values is not None
        features = genotype_features(self._strategy.domain.genes, design.genotype)
        self._results[rung][number] = RungResult(number, values, design.cost, features)
        if rung == self._last:
            self._finish(number)
        elif self._goes_on(number, rung):
            self._promoted[rung].add(number)
            self._train(number, rung + 1)
        else:
            self._held.add(number)

    def _finish(self, number: int) -> None:
        self._finished.append(number)
        if len(self._finished) in self._score_at:
            self._found.scores[len(self._finished)] = self._score()

    def _up_to(self, rung: int) -> list[list[RungResult]]:
        return [list(results.values()) for results in self._results[: rung + 1]]

    def _goes_on(self, number: int, rung: int) -> bool:
        if self._halving is None:
            return True
        return self._halving.decide(number, self._up_to(rung), self._promoted[rung]).goes_on

    def _promotion(self, *, complete: bool) -> tuple[int, int] | None:
        """A candidate that was held at a rung and may go on now, and the rung; the highest rung first."""
        if self._halving is None or not self._held:
            return None
        for rung in range(self._last - 1, -1, -1):
            here = [number for number in self._held if number in self._results[rung]]
            waiting = [number for number in here if number not in self._results[rung + 1]]
            if not waiting:
                continue
            survivors = self._halving.survivors(self._up_to(rung), self._promoted[rung], complete=complete)
            for number in survivors:
                if number in waiting and number not in self._promoted[rung]:
                    return number, rung
        return None


def told(before: Observation, values: tuple[float, ...] | None, rungs_left: int) -> Observation:
    """What a strategy is told of a proposal once it was measured, or once it failed."""
    return replace(before, values=values, rungs_left=rungs_left, pending=False)


def replay(strategy: Strategy, events: Sequence[Event], rungs: int = 1) -> list[Design]:
    """The proposals that a strategy makes when measurements come in as they did.

    Args:
        strategy: made as the one of the search was.
        events: of the search.
        rungs: of its yardstick.
    """
    history: list[Observation] = []
    designs: list[Design] = []
    for event in events:
        if event.rung >= 0:
            history[event.number] = told(history[event.number], event.values, rungs - 1 - event.rung)
            continue
        design = strategy.propose(history, {each.digest for each in designs})
        designs.append(design)
        history.append(Observation(design.genotype, design.cost, None, rungs - 1, pending=True))
    return designs


def mean_scores(searches: Sequence[Simulated]) -> Mapping[int, float]:
    """Scores at the numbers of finished candidates that all searches have, their means."""
    common = set.intersection(*(set(each.scores) for each in searches)) if searches else set()
    return {at: float(np.mean([each.scores[at] for each in searches])) for at in sorted(common)}
