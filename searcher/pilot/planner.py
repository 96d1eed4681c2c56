"""A search for a time: rungs, candidates, confirmation and family from a pilot's findings.

Everything here follows from the findings, the hours and the workers, and nothing is timed: the same findings
give the same plan on any machine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from search_space.errors import SettingsError
from searcher.pilot.findings import Findings
from searcher.pilot.timing import Timing, mean_macs
from searcher.promotion.halving import SURPLUS
from searcher.promotion.rung import Rung
from searcher.reliability import LEAST_RELIABILITY

SHARES: Mapping[str, float] = {"search": 0.55, "confirmation": 0.20, "family": 0.20}
"""Parts of the time; the rest is for preparing, exporting and waiting."""
LEAST_TRIALS, MOST_TRIALS = 24, 240
_LEAST_MEMBERS, _MOST_MEMBERS, _MOST_SEEDS = 4, 10, 5
_RELIABLE = 0.6
_LONGER = 1.5
_LONGEST_CONFIRMATION = 3
HOUR = 3600.0


@dataclass(frozen=True)
class Wish:
    """What a plan has to keep to; values that are None are planned.

    Args:
        hours: hours of the whole run; None plans no time, only lengths that networks learn in.
        workers: number of trainings at a time.
        reduction: one in so many candidates is promoted at each rung.
        family_members: number of networks of the family.
        most_trials: most candidates that the space has.
        rungs: rungs of the search.
        trials: number of candidates.
        startup: number of first candidates.
        repeats: trainings of each candidate.
        epochs: epochs of the confirmation.
        seeds: trainings of each of its members.
        members: most members of the confirmation.
        family_epochs: epochs of the final trainings.
    """

    hours: float | None
    workers: int
    reduction: int = 3
    family_members: int = 6
    most_trials: int = 10**9
    rungs: tuple[Rung, ...] | None = None
    trials: int | None = None
    startup: int | None = None
    repeats: int | None = None
    epochs: int | None = None
    seeds: int | None = None
    members: int | None = None
    family_epochs: int | None = None


@dataclass(frozen=True)
class RunPlan:
    """The plan of a run; ``plan.json`` of its folder.

    Args:
        hours: hours that it was made for; None if for none.
        workers: number of trainings at a time.
        settings: values by dotted key, such as ``search.trials``.
        seconds: expected seconds of each part, on all workers together.
        reasons: the plan in a few plain sentences.
    """

    hours: float | None
    workers: int
    settings: Mapping[str, Any]
    seconds: Mapping[str, float] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()

    def text(self) -> str:
        """Return a few lines for a terminal."""
        plural = "" if self.hours == 1 else "s"
        head = "Plan" if self.hours is None else f"Plan for {self.hours:g} hour{plural}"
        return "\n".join([f"{head}:", *(f"  {reason}" for reason in self.reasons)])


def epochs_a_candidate(rungs: Sequence[Rung], reduction: int) -> float:
    """Return the expected epochs of a candidate, those on parts of clips and pixels counting less."""
    total, share, before = 0.0, 1.0, 0
    for rung in rungs:
        total += (rung.epochs - before) * share * rung.share * rung.frames * rung.size**2
        before, share = rung.epochs, share * min(1.0, SURPLUS / reduction)
    return total


def plan_run(findings: Findings, wish: Wish) -> RunPlan:
    """Plan a run.

    Args:
        findings: findings of the pilot.
        wish: time, workers, and what is given.

    Returns:
        Values for all that is not given.

    Raises:
        SettingsError: the time is too short; the hint names the least hours. Or nothing was timed.
    """
    if findings.timing is None:
        raise SettingsError(
            "the pilot timed no training, so that nothing can be planned",
            hint="give search.rungs, search.trials, confirmation and family yourself",
        )
    planner = _Planner(findings, wish, findings.timing)
    if wish.hours is not None:
        planner.require_time()
    return planner.plan()


@dataclass(frozen=True)
class _Schedule:
    """The numbers of a plan."""

    rungs: tuple[Rung, ...]
    trials: int
    repeats: int
    epochs: int
    seeds: int
    members: int
    family_epochs: int


class _Planner:
    """The arithmetic of a plan.

    Args:
        findings: findings of the pilot.
        wish: time, workers, and what is given.
        timing: seconds of an epoch.
    """

    def __init__(self, findings: Findings, wish: Wish, timing: Timing) -> None:
        self._findings, self._wish = findings, wish
        self._epoch = max(timing.epoch(mean_macs(*findings.window)), 1e-9)
        self._first = max(1, math.ceil(self._first_updates() / findings.updates_an_epoch))

    def _first_updates(self) -> int:
        """Return the updates of the first rung: most networks have left chance, and are told apart."""
        lengths = self._findings.lengths
        for length in lengths:
            told = length.reliability is None or length.reliability.value >= LEAST_RELIABILITY
            if 2 * length.left >= length.networks and told:
                return length.updates
        tried = [length.updates for length in lengths] + [each.updates for each in self._findings.attempts]
        # Where nothing has left chance yet, at least twice as many are needed.
        return self._findings.updates_to_leave or 2 * max(tried, default=self._findings.updates_an_epoch)

    @property
    def _time(self) -> float:
        """Seconds of all workers that are left after the pilot."""
        assert self._wish.hours is not None, "asked for only where there is a time"
        return max(0.0, self._wish.hours * HOUR * self._wish.workers - self._findings.seconds)

    def _part(self, name: str) -> float:
        return SHARES[name] * self._time / self._epoch

    def _may_train(self, epochs: int) -> bool:
        """Return whether rungs may begin at a length: a confirmation that is given is longer."""
        return self._wish.epochs is None or epochs <= self._wish.epochs

    def _rungs(self, first: int, count: int) -> tuple[Rung, ...]:
        if self._wish.rungs is not None:
            return self._wish.rungs
        last = first * 2 ** (count - 1)
        while self._wish.epochs is not None and last > max(self._wish.epochs, first):
            last //= 2
        if self._wish.epochs is not None and first > self._wish.epochs:
            raise SettingsError(
                f"confirmation.epochs is {self._wish.epochs}, but most networks need {first} to leave chance",
                hint=f"set it to {2 * first} or more, or leave it out",
            )
        return tuple(Rung(epochs=first * 2**number) for number in range(count) if first * 2**number <= last)

    def _candidate(self, rungs: Sequence[Rung], repeats: int = 1) -> float:
        return repeats * epochs_a_candidate(rungs, self._wish.reduction)

    def require_time(self) -> None:
        """Raise SettingsError if not even the smallest plan fits the time."""
        wish, rungs = self._wish, self._rungs(self._first, 1)
        last = rungs[-1].epochs
        trials = wish.trials or min(LEAST_TRIALS, wish.most_trials)
        needed = {
            "search": trials * self._candidate(rungs, wish.repeats or 1),
            "confirmation": (wish.members or _LEAST_MEMBERS) * (wish.seeds or 2) * (wish.epochs or last),
            "family": wish.family_members * (wish.family_epochs or last),
        }
        least = max(needed[name] / share for name, share in SHARES.items()) * self._epoch
        if least <= self._time:
            return
        hours = (least + self._findings.seconds) / HOUR / wish.workers
        raise SettingsError(
            f"hours is {wish.hours:g}: too little for {trials} candidates that learn anything, at"
            f" {self._epoch:.2g} s an epoch and {last} epochs",
            hint=f"give --hours {_rounded_up(hours):g} or more, more workers, or a space of cheaper networks",
        )

    def plan(self) -> RunPlan:
        """Return the plan."""
        wish = self._wish
        rungs, trials, repeats = self._search_with_repeats()
        epochs, seeds, members = self._confirmation(rungs[-1].epochs)
        family = self._family(rungs[-1].epochs, epochs)
        schedule = _Schedule(rungs, trials, repeats, epochs, seeds, members, family)
        startup = min(trials, max(8, min(40, trials // 3)))
        values: dict[str, Any] = {}
        if wish.rungs is None:
            values["search.rungs"] = [rung.epochs for rung in rungs]
        if wish.trials is None and wish.hours is not None:
            values["search.trials"] = trials
        if wish.startup is None and wish.hours is not None:
            values["search.startup"] = startup
        if wish.repeats is None and wish.hours is not None:
            values["search.repeats"] = repeats
        given = {"epochs": wish.epochs, "seeds": wish.seeds, "members": wish.members}
        for name, value in given.items():
            if value is None and (wish.hours is not None or name == "epochs"):
                values[f"confirmation.{name}"] = getattr(schedule, name)
        if wish.family_epochs is None:
            values["family.epochs"] = schedule.family_epochs
        seconds = self._seconds(schedule)
        return RunPlan(wish.hours, wish.workers, values, seconds, self._reasons(schedule, seconds))

    def _search_with_repeats(self) -> tuple[tuple[Rung, ...], int, int]:
        """Return the rungs, the number of candidates, and the trainings of each.

        The less reliable one training is, the more of them are wanted, as long as enough candidates are left.
        """
        wish = self._wish
        wanted = 1 if wish.hours is None else self._seeds_wanted() - 1
        least = min(LEAST_TRIALS, wish.most_trials)
        for repeats in range(wish.repeats or wanted, 0, -1):
            rungs, trials = self._search(repeats)
            if wish.repeats or (wish.trials is None and trials >= least):
                return rungs, trials, repeats
        rungs, trials = self._search(1)
        return rungs, trials, 1

    def _search(self, repeats: int) -> tuple[tuple[Rung, ...], int]:
        """Return the rungs and the number of candidates."""
        wish = self._wish
        if wish.hours is None:
            return self._rungs(self._first, 3), wish.trials or 48
        budget = self._part("search")

        def affordable(rungs: Sequence[Rung]) -> int:
            last = rungs[-1].epochs
            confirmed = (wish.members or _LEAST_MEMBERS) * (wish.seeds or 2) * (wish.epochs or last)
            final = wish.family_members * (wish.family_epochs or last)
            if confirmed > self._part("confirmation") or final > self._part("family"):
                return 0
            return min(int(budget / self._candidate(rungs, repeats)), wish.most_trials)

        least = wish.trials or min(LEAST_TRIALS, wish.most_trials)
        rungs = next(
            (tried for count in (3, 2) if affordable(tried := self._rungs(self._first, count)) >= least),
            self._rungs(self._first, 1),
        )
        enough, first = wish.trials or min(MOST_TRIALS // 2, wish.most_trials), self._first
        # Beyond some candidates, longer trainings say more than further candidates.
        while (
            wish.rungs is None
            and self._may_train(2 * first)
            and affordable(longer := self._rungs(2 * first, len(rungs))) >= enough
        ):
            first, rungs = 2 * first, longer
        return rungs, wish.trials or max(1, affordable(rungs))

    def _confirmation(self, last: int) -> tuple[int, int, int]:
        """Return epochs, seeds and members of the confirmation."""
        wish = self._wish
        epochs = wish.epochs or max(last, math.ceil(_LONGER * last))
        seeds = wish.seeds or self._seeds_wanted()
        if wish.hours is None:
            return epochs, seeds, wish.members or 8
        budget = self._part("confirmation")
        if wish.epochs is None and budget / epochs < _LEAST_MEMBERS * seeds:
            epochs = last
        trainings = max(1, int(budget / epochs))
        members = wish.members or max(1, min(_MOST_MEMBERS, trainings // seeds))
        if wish.seeds is None:
            if wish.members is None and members < _LEAST_MEMBERS:
                members = min(_LEAST_MEMBERS, max(1, trainings // 2))
            seeds = max(2, min(_MOST_SEEDS, trainings // members))
        if wish.epochs is None:
            longest = int(budget / (members * seeds))
            epochs = max(epochs, min(longest, _LONGEST_CONFIRMATION * last))
        return epochs, seeds, members

    def _seeds_wanted(self) -> int:
        """Return the seeds that the reliability of the longest trainings calls for."""
        told = [length.reliability for length in self._findings.lengths if length.reliability is not None]
        if not told or told[-1].value >= _RELIABLE:
            return 2
        return 3 if told[-1].value >= LEAST_RELIABILITY else 4

    def _family(self, last: int, confirmation: int) -> int:
        """Return the epochs of the final trainings."""
        wish = self._wish
        if wish.family_epochs is not None:
            return wish.family_epochs
        if wish.hours is None:
            return 2 * confirmation
        return max(last, _two_digits(self._part("family") / wish.family_members))

    def _seconds(self, schedule: _Schedule) -> dict[str, float]:
        """Return the expected seconds of each part on all workers together."""
        return {
            "pilot": self._findings.seconds,
            "search": schedule.trials * self._candidate(schedule.rungs, schedule.repeats) * self._epoch,
            "confirmation": schedule.members * schedule.seeds * schedule.epochs * self._epoch,
            "family": self._wish.family_members * schedule.family_epochs * self._epoch,
        }

    def _reasons(self, schedule: _Schedule, seconds: Mapping[str, float]) -> tuple[str, ...]:
        """Return the plan in words."""
        wish, found = self._wish, self._findings
        hours = {name: spent / HOUR / wish.workers for name, spent in seconds.items()}
        epochs = ", ".join(str(rung.epochs) for rung in schedule.rungs)
        updates = ", ".join(str(rung.epochs * found.updates_an_epoch) for rung in schedule.rungs)
        why = "as given" if wish.rungs is not None else self._why_first()
        repeated = f", the mean of {schedule.repeats} trainings each" if schedule.repeats > 1 else ""
        promoted = f", one in {wish.reduction} promoted at each rung" if len(schedule.rungs) > 1 else ""
        reliability = [length.reliability for length in found.lengths if length.reliability is not None]
        told = f"; reliability of the pilot's: {reliability[-1].text()}" if reliability else ""
        whole = sum(hours.values())
        return (
            f"rungs at {epochs} epochs ({updates} updates): {why}",
            f"search: {schedule.trials} candidates{repeated}{promoted}, {_hours(hours['search'])}",
            f"confirmation: {schedule.members} networks x {schedule.seeds} seeds x {schedule.epochs} epochs,"
            f" {_hours(hours['confirmation'])}{told}",
            f"family: {wish.family_members} networks x {schedule.family_epochs} epochs,"
            f" {_hours(hours['family'])}",
            f"in all {_hours(whole)} on {wish.workers} worker{'s' * (wish.workers > 1)},"
            f" at {self._epoch:.2g} s an epoch of a network of mean cost",
        )

    def _why_first(self) -> str:
        updates = self._first * self._findings.updates_an_epoch
        if self._findings.updates_to_leave:
            return f"most networks have left chance after {updates}"
        return "no network has left chance yet, so that this is a guess"


def estimate(findings: Findings, wish: Wish) -> RunPlan | None:
    """Return what settings that leave nothing open will take; None if nothing was timed."""
    if findings.timing is None or wish.rungs is None:
        return None
    return plan_run(findings, replace(wish, hours=None))


def _hours(hours: float) -> str:
    if hours < 1 / 30:
        return f"{HOUR * hours:.0f} s"
    return f"{60 * hours:.0f} min" if hours < 1.5 else f"{hours:.1f} h"


def _rounded_up(hours: float) -> float:
    """Return hours rounded up to two digits."""
    scale = float(10 ** (1 - math.floor(math.log10(max(hours, 1e-6)))))
    return math.ceil(hours * scale) / scale


def _two_digits(number: float) -> int:
    """Return a whole number rounded down to two digits."""
    scale = 10 ** max(0, math.floor(math.log10(max(number, 1))) - 1)
    return int(number // scale * scale)
