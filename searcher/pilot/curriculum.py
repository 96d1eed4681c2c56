"""The order of a pilot's trainings: what comes next, by the results so far and nothing else.

First all networks, once and briefly. If one of them learns, the other seeds follow, then twice the length,
the cheapest networks first, until enough is known or the budget is spent. If none does, what is left of it is
for the reason: a large network for as long as the search would train it, a tenth of the learning rate or ten
times as much where the loss suggests it, and a long training.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from proxy_train.evaluation.chance import Chance
from searcher.pilot.timing import Timing, mean_macs, relative_cost
from searcher.pilot.trials import LONG, RATES, Result, Results, Trial

LONGEST = 10
"""Length of the long training, in lengths of the search's last rung, if the budget allows it."""
_ENOUGH, _LEAST_LONG = 6, 2
_CAUTION = 0.85
"""Part of the budget that the long training may fill: a clock counts more than epochs on a busy machine."""
_UNMOVED = 0.985
_RESTLESS = 1.08
_LARGE_SHARE = 0.45
_LEAST_FOR_RELIABILITY = 4


@dataclass(frozen=True)
class PilotTask:
    """What a pilot trains and what it may spend.

    Args:
        macs: multiply-adds of each network, rising.
        window: lowest and highest multiply-adds of the search.
        seeds: number of whole trainings of a network at each length.
        first: epochs of the shortest trainings.
        last: epochs of the search's last rung.
        chance: chance of the validation split.
        share: share of the search's planned cost that may be spent.
        epochs: epochs that the search plans, of networks of mean cost; None if seconds are planned.
        seconds: seconds of training that are planned, of all workers together.
    """

    macs: tuple[float, ...]
    window: tuple[float, float]
    seeds: int
    first: int
    last: int
    chance: Chance
    share: float
    epochs: float | None = None
    seconds: float | None = None

    @property
    def mean(self) -> float:
        """Multiply-adds of a network of mean cost."""
        return mean_macs(*self.window)

    def timing(self, results: Results, epochs: int | None = None) -> Timing | None:
        """Return the seconds of an epoch by the whole trainings so far, or those of one length."""
        timed = [(n, r) for n, _, r in results.whole(epochs) if r.accuracy is not None]
        if not timed:
            return None
        return Timing.fit([self.macs[n] for n, _ in timed], [r.epoch_seconds for _, r in timed])

    @property
    def costs(self) -> tuple[float, ...]:
        """Cost of an epoch of each network, in epochs of one of mean cost."""
        return tuple(relative_cost(macs, self.mean) for macs in self.macs)

    def budget(self, results: Results) -> float:
        """Return what may be spent, in epochs of a network of mean cost."""
        if self.epochs is not None:
            return self.share * self.epochs
        timing = self.timing(results, self.first)
        if timing is None or self.seconds is None:
            return float("inf")
        return self.share * self.seconds / max(timing.epoch(self.mean), 1e-9)

    def left_chance(self, results: Results, epochs: int) -> dict[int, bool]:
        """Return whether each network that was trained for so long left chance, by the mean of its seeds."""
        found: dict[int, list[float]] = {}
        for network, _, result in results.whole(epochs):
            found.setdefault(network, []).append(result.accuracy or 0.0)
        return {network: self.chance.left_by(float(np.mean(every))) for network, every in found.items()}

    def knows_enough(self, results: Results, epochs: int) -> bool:
        """Return whether most networks left chance at a length, and its reliability can be estimated."""
        left = self.left_chance(results, epochs)
        if not left or 2 * sum(left.values()) < len(self.macs):
            return False
        trainings = len(list(results.whole(epochs)))
        possible = self.seeds > 1 and len(self.macs) >= _LEAST_FOR_RELIABILITY
        return not possible or (len(left) == len(self.macs) and trainings >= len(left) + 2)


class Curriculum:
    """The trainings of a pilot, one after another.

    Args:
        task: what is trained, and what may be spent.

    Attributes:
        given_up: trainings that failed without telling anything.
    """

    def __init__(self, task: PilotTask) -> None:
        self.task = task
        self.given_up: set[Trial] = set()

    def next(self, results: Results, running: Collection[Trial]) -> Trial | None:
        """Return the next training; None if there is none now, and for good if none is running.

        Args:
            results: results so far.
            running: trainings that have begun and not ended.
        """
        for trial in self._wanted(results, running):
            if (
                trial not in running
                and not self.ended(trial, results)
                and self._fits(trial, results, running)
            ):
                return trial
        return None

    def ended(self, trial: Trial, results: Results) -> bool:
        """Return whether a training has nothing more to tell."""
        found = results.of_trial(trial)
        if not found or trial in self.given_up:
            return trial in self.given_up
        last = found[-1]
        # A long training has told what it can once it leaves chance.
        return (
            last.diverged
            or last.epochs == trial.epochs
            or (last.accuracy is not None and self.task.chance.left_by(last.accuracy))
        )

    def _fits(self, trial: Trial, results: Results, running: Collection[Trial]) -> bool:
        costs = self.task.costs
        spent = results.spent(costs, without=trial.offset if trial.offset >= LONG else None)
        spent += sum(other.epochs * costs[other.network] for other in running)
        # Whatever the budget, one training has to tell something.
        return spent == 0 or spent + trial.epochs * costs[trial.network] <= self.task.budget(results) + 1e-9

    def _over(self, stage: Sequence[Trial], results: Results, running: Collection[Trial]) -> bool:
        """Return whether nothing of a stage is running or still to be trained."""
        return not any(
            trial in running or (not self.ended(trial, results) and self._fits(trial, results, running))
            for trial in stage
        )

    def _wanted(self, results: Results, running: Collection[Trial]) -> Iterator[Trial]:
        """Yield the trainings that the results so far call for, those that have ended among them."""
        networks = range(len(self.task.macs))
        first = [Trial(network, self.task.first) for network in networks]
        yield from first
        if not self._over(first, results, running):
            return
        if self._some_left(results, self.task.first):
            yield from self._growing(self.task.first, results, running)
            return
        for stage in self._reasons(results):
            yield stage
            if not self._over([stage], results, running):
                return
            if self._some_left(results, self.task.last):
                yield from self._growing(2 * self.task.first, results, running)
                return

    def _some_left(self, results: Results, epochs: int) -> bool:
        """Return whether a network left chance at a length with its first seed, which stays so."""
        return any(
            offset == 0 and result.accuracy is not None and self.task.chance.left_by(result.accuracy)
            for _, offset, result in results.whole(epochs)
        )

    def _growing(self, length: int, results: Results, running: Collection[Trial]) -> Iterator[Trial]:
        """Yield whole trainings of growing length, the cheapest networks first."""
        task = self.task
        while length <= LONGEST * task.last:
            stage = [
                Trial(network, length, offset)
                for network in range(len(task.macs))
                for offset in range(task.seeds)
            ]
            if length == task.first:
                stage.sort(key=lambda trial: (trial.offset, trial.network))
            yield from stage
            nothing = not any(self.ended(trial, results) for trial in stage)
            if not self._over(stage, results, running) or nothing or task.knows_enough(results, length):
                return
            length *= 2

    def _reasons(self, results: Results) -> Iterator[Trial]:
        """Yield trainings that tell apart why no network left chance."""
        task, first = self.task, [result for _, _, result in results.whole(self.task.first)]
        if not first:
            return
        diverged = all(result.diverged for result in first)
        if restless(first, task.chance.entropy):
            yield from self._at_rates((0.1, 0.01, 0.001), task.first, results)
            if diverged or self._learnt(results):
                return
        large = self._large(results)
        if large is not None:
            yield large
        # Where only one of both can be paid for, the long training tells more.
        spent = sum(r.epochs * task.costs[n] for n, _, r in results.whole())
        least = (1 + _LEAST_LONG) * task.last * task.costs[0]
        left_for_both = _CAUTION * task.budget(results) - spent >= least
        if left_for_both and _unmoved(first, task.chance.entropy):
            yield from self._at_rates((10.0, 100.0), task.last, results)
            if self._learnt(results):
                return
        long = self.long(results)
        if long is not None:
            yield long

    def _at_rates(self, factors: Sequence[float], epochs: int, results: Results) -> Iterator[Trial]:
        """Yield trainings of the cheapest network at other rates, as long as it learns at none of them."""
        for factor in factors:
            trial = Trial(0, epochs, RATES[factor], factor)
            yield trial
            found = results.of_trial(trial)
            calm = not restless(found, self.task.chance.entropy)
            # A lower rate than a calm one, or a higher one than a restless one, helps no more.
            if self._learnt(results) or (found and calm == (factor < 1)):
                return

    def _learnt(self, results: Results) -> bool:
        """Return whether the network left chance at another rate."""
        return any(
            result.accuracy is not None and self.task.chance.left_by(result.accuracy)
            for (_, offset), by_epochs in results.by_training.items()
            if offset in RATES.values()
            for result in by_epochs.values()
        )

    def _large(self, results: Results) -> Trial | None:
        """Return the largest network, for as long as the search would train it, that takes no undue share."""
        task = self.task
        if task.last <= task.first:
            return None
        costs = task.costs
        first = sum(r.epochs * costs[n] for n, _, r in results.whole(task.first))
        most = _LARGE_SHARE * (task.budget(results) - first)
        fitting = [number for number, cost in enumerate(costs) if cost * task.last <= most]
        return Trial(fitting[-1], task.last) if fitting else None

    def long(self, results: Results) -> Trial | None:
        """Return the long training that the rest of the budget allows, measured at doubling lengths.

        It is that of the largest network that can be trained for ten times the last rung, or six times; else
        that of the cheapest, for as long as there is.
        """
        task, costs = self.task, self.task.costs
        rest = _CAUTION * task.budget(results) - results.spent(costs, without=LONG)
        for times in (LONGEST, _ENOUGH):
            for network in reversed(range(len(costs))):
                if times * task.last * costs[network] <= rest:
                    return _long(network, task.last, times * task.last)
        epochs = int(rest / costs[0])
        return _long(0, task.last, epochs) if epochs >= _LEAST_LONG * task.last else None


def _long(network: int, last: int, epochs: int) -> Trial:
    rungs = []
    while last < epochs:
        rungs.append(last)
        last *= 2
    return Trial(network, epochs, LONG, rungs=(*rungs, epochs))


def restless(results: Sequence[Result], entropy: float) -> bool:
    """Return whether the worst epochs of most trainings are well above constant outputs, or diverged."""
    peaks = [
        float("inf") if result.diverged else result.peak_loss
        for result in results
        if result.diverged or result.peak_loss is not None
    ]
    return bool(peaks) and float(np.median(np.array(peaks, dtype=float))) > _RESTLESS * entropy


def _unmoved(results: Sequence[Result], entropy: float) -> bool:
    """Return whether most training losses are still those of constant outputs."""
    losses = [result.train_loss for result in results if result.train_loss is not None]
    return bool(losses) and float(np.median(losses)) > _UNMOVED * entropy
