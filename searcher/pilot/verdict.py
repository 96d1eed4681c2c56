"""What a pilot's results come to: networks learn, or why they do not, with the remedy.

A search is stopped on clear evidence only. Networks that leave chance, however few, are enough to search.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from proxy_train.evaluation.content_probe import Probed
from search_space.errors import MovinasError
from searcher.pilot.curriculum import PilotTask, restless
from searcher.pilot.findings import Verdict
from searcher.pilot.trials import LONG, RATES, Result, Results

_MEMORISED = 0.9
"""A training loss below so much of that of constant outputs: clips are learnt by heart if validation stays at
chance."""
_CLEAR, _LONG_ENOUGH = 2, 4
"""Lengths of the last rung after which the lack of learning is evidence, with other evidence and without."""
_TOLERATED, _FALLS_FASTER = 1.5, 0.98
_SMALL_COVER, _SMALL_SIDE = 0.25, 32


class NothingLearns(MovinasError):  # noqa: N818 - it names what happened
    """The finding that no network learns from these data with these settings; the record keeps its pilot."""


@dataclass(frozen=True, slots=True)
class Setup:
    """The settings and the data that a verdict is about.

    Args:
        updates_an_epoch: updates of an epoch of all training clips.
        rungs: epochs of the search's rungs; empty if the pilot chooses them.
        rung_updates: updates at each of them.
        batch_size: clips of an update.
        learning_rate: learning rate of the recipe.
        mirrored: pairs of classes of which one mirrored is the other, by name, if the recipe mirrors clips.
        mirrors: whether the recipe mirrors clips.
        covered: share of a video that a clip covers.
        side: pixels of a clip's side.
    """

    updates_an_epoch: int
    rungs: tuple[int, ...]
    rung_updates: tuple[int, ...]
    batch_size: int
    learning_rate: float
    mirrored: tuple[tuple[str, str], ...]
    mirrors: bool
    covered: float
    side: int

    @property
    def last_updates(self) -> int | None:
        """Updates at the last rung; None if the pilot chooses the rungs."""
        return self.rung_updates[-1] if self.rung_updates else None


def updates_to_leave(task: PilotTask, results: Results, updates_an_epoch: int) -> int | None:
    """Return the updates after which most networks left chance; None if they did at no length.

    Where no whole training left chance, it is those of the long training.
    """
    for epochs in sorted({result.epochs for _, _, result in results.whole()}):
        left = task.left_chance(results, epochs)
        if 2 * sum(left.values()) >= len(left):
            return epochs * updates_an_epoch
    for result in _long(results):
        if result.accuracy is not None and task.chance.left_by(result.accuracy):
            return result.epochs * updates_an_epoch
    return None


def judge(task: PilotTask, results: Results, probed: Probed | None, setup: Setup) -> Verdict:
    """Return what the results of a pilot come to.

    Args:
        task: what was trained.
        results: results of the trainings.
        probed: result of the content probe, if there is one.
        setup: settings and data.
    """
    notes = _notes(probed, setup)
    whole = [result for _, _, result in results.whole()]
    if not task.chance.tells:
        clips = task.chance.clips
        remedy = "give the data set more validation clips"
        return Verdict(
            "unknown",
            f"{clips} validation clips do not tell a fair accuracy from chance",
            remedy,
            notes=notes,
        )
    if not whole:
        return Verdict("unknown", "no training of the pilot succeeded", "see the failures", notes=notes)
    lengths = sorted({result.epochs for result in whole})
    if any(any(task.left_chance(results, epochs).values()) for epochs in lengths):
        return Verdict(notes=(*_rung_notes(task, results, setup), *notes))
    verdict = (
        _of_rate(task, results, setup)
        or _of_flips(task, probed, setup)
        or _of_updates(task, results, setup)
        or _of_silence(task, results, probed, setup)
    )
    hints = (*notes, *_clip_notes(setup))
    return Verdict(verdict.kind, verdict.message, verdict.remedy, verdict.stops, (*verdict.notes, *hints))


def _long(results: Results) -> list[Result]:
    """Return the results of the long training, the shortest first."""
    found = [by for (_, offset), by in results.by_training.items() if offset == LONG]
    return [by[epochs] for by in found for epochs in sorted(by)]


def _of_rate(task: PilotTask, results: Results, setup: Setup) -> Verdict | None:
    """Return the verdict that another learning rate is needed, if the evidence says so."""
    whole = [result for _, _, result in results.whole()]
    calm: list[float] = []
    for factor, offset in RATES.items():
        tried = [
            result for (_, own), by in results.by_training.items() if own == offset for result in by.values()
        ]
        left = [r for r in tried if r.accuracy is not None and task.chance.left_by(r.accuracy)]
        if left:
            rate, updates = setup.learning_rate * factor, left[0].epochs * setup.updates_an_epoch
            high = "high" if factor < 1 else "low"
            return Verdict(
                "rate",
                f"nothing learns: the learning rate is too {high}: at {rate:g} in place of"
                f" {setup.learning_rate:g} a small network leaves chance within {updates} updates",
                f"set recipe.learning_rate to {rate:g}",
                stops=True,
            )
        if factor < 1 and tried and not restless(tried, task.chance.entropy):
            calm.append(factor)
    if len(whole) < _CLEAR or not all(result.diverged for result in whole):
        return None
    lower = setup.learning_rate * max(calm, default=0.001 if _tried(results, 0.001) else 0.1)
    tried_words = f"; at {lower:g} it stays finite" if calm else ""
    return Verdict(
        "diverges",
        f"nothing learns: in all {len(whole)} trainings the loss diverges{tried_words}",
        f"lower recipe.learning_rate, which is {setup.learning_rate:g}, to {lower:g}",
        stops=True,
    )


def _tried(results: Results, factor: float) -> bool:
    return any(offset == RATES[factor] for _, offset in results.by_training)


def _of_flips(task: PilotTask, probed: Probed | None, setup: Setup) -> Verdict | None:
    """Return the verdict that mirrored clips have other labels, if that explains why nothing learns."""
    if not setup.mirrors or probed is None or not probed.finds_content:
        return None
    named = {name for pair in probed.mirrored for name in pair}
    if 2 * len(named) < task.chance.classes:
        return None
    one, other = probed.mirrored[0]
    return Verdict(
        "flips",
        f"nothing learns, and mirrored clips change their labels: those of {one!r} look like {other!r}",
        "set data.flips to false",
        stops=True,
    )


def _of_updates(task: PilotTask, results: Results, setup: Setup) -> Verdict | None:
    """Return the verdict of a long training that left chance."""
    needed = updates_to_leave(task, results, setup.updates_an_epoch)
    if needed is None:
        return None
    last = setup.last_updates
    if last is None or needed <= _TOLERATED * last:
        return Verdict(notes=(f"networks leave chance slowly, after about {needed} updates",))
    return Verdict(
        "few updates",
        f"nothing learns: after {last} updates, the last of search.rungs, no network is better than chance;"
        f" one that was trained on left chance after about {needed}",
        more_updates(setup, needed) + _faster(results, setup),
        stops=_seen_at_the_end(task, results) or needed >= _LONG_ENOUGH * last,
    )


def _of_silence(task: PilotTask, results: Results, probed: Probed | None, setup: Setup) -> Verdict:
    """Return the verdict where nothing that was tried left chance."""
    every = [result for by in results.by_training.values() for result in by.values()]
    longest = max(result.epochs for result in every)
    updates, times = longest * setup.updates_an_epoch, longest / task.last
    losses = [result.train_loss for result in every if result.train_loss is not None]
    memorised = bool(losses) and min(losses) < _MEMORISED * task.chance.entropy
    seen = _seen_at_the_end(task, results) and times >= _CLEAR
    at_chance = f"nothing learns: no network is better than chance after up to {updates} updates"
    if probed is None or probed.finds_content:
        return Verdict(
            "few updates",
            f"{at_chance}, although the labels follow from what the clips show"
            if probed is not None
            else at_chance,
            more_updates(setup, _LONG_ENOUGH * updates) + _faster(results, setup),
            stops=probed is not None and (seen or times >= _LONG_ENOUGH),
        )
    check = (
        "look at some clips with their labels: are annotation file, class folders and splits those of these"
        " videos? If they are, the classes differ in details that need longer trainings"
    )
    evidence = ", and a content probe finds nothing"
    if memorised:
        evidence += "; training clips are learnt by heart"
    if probed.among_own >= probed.threshold:
        evidence = ", and what a content probe learns of the training clips fails on the validation clips"
    return Verdict(
        "labels",
        f"{at_chance}{evidence}: the labels seem to contradict the clips",
        check,
        stops=seen or (memorised and times >= _CLEAR) or times >= _LONG_ENOUGH,
    )


def _seen_at_the_end(task: PilotTask, results: Results) -> bool:
    """Return whether a network other than the cheapest was trained for as long as the last rung."""
    tried = {network for network, _, result in results.whole() if result.epochs >= task.last}
    return bool(tried - {0}) or (bool(tried) and len(task.macs) == 1)


def more_updates(setup: Setup, needed: int) -> str:
    """Return how to give networks so many updates: rungs, or a smaller batch."""
    first = max(1, math.ceil(needed / setup.updates_an_epoch))
    rungs = sorted({first, 2 * first})
    words = f"set search.rungs to {rungs}, and confirmation.epochs to {rungs[-1]} or more"
    last = setup.last_updates
    batch = int(setup.batch_size * last / needed) if last else 0
    if batch >= 8:
        words += f"; or recipe.batch_size to {batch}"
    return words


def _faster(results: Results, setup: Setup) -> str:
    """Return that a higher learning rate lets the training loss fall faster, if it did."""
    losses: dict[float, float] = {}
    by_offset = {0: 1.0, **{offset: factor for factor, offset in RATES.items()}}
    for (_, offset), by_epochs in results.by_training.items():
        for result in by_epochs.values():
            factor = by_offset.get(offset)
            if factor is not None and result.train_loss is not None and not result.diverged:
                losses[factor] = min(result.train_loss, losses.get(factor, math.inf))
    better = [f for f, loss in losses.items() if f > 1 and loss < _FALLS_FASTER * losses.get(1.0, 0.0)]
    if not better:
        return ""
    rate = setup.learning_rate * better[0]
    return f"; or recipe.learning_rate to {rate:g}, at which the training loss falls faster"


def _rung_notes(task: PilotTask, results: Results, setup: Setup) -> Sequence[str]:
    """Return what is to be said of the rungs where networks learn."""
    needed = updates_to_leave(task, results, setup.updates_an_epoch)
    if not setup.rungs:
        return ()
    if needed is None:
        first = setup.rung_updates[0]
        return (f"at {first} updates, the first of search.rungs, most networks are still at chance",)
    if needed > setup.rung_updates[-1]:
        return (
            f"most networks leave chance after {needed} updates, but the last of search.rungs is"
            f" {setup.rung_updates[-1]}: {more_updates(setup, needed)}",
        )
    if needed > setup.rung_updates[0]:
        first = max(1, math.ceil(needed / setup.updates_an_epoch))
        return (
            f"most networks leave chance after {needed} updates, but the first of search.rungs is"
            f" {setup.rung_updates[0]}, where they cannot be compared: begin with {first} epochs",
        )
    return ()


def _notes(probed: Probed | None, setup: Setup) -> tuple[str, ...]:
    """Return what is to be said of mirrored clips."""
    if not setup.mirrors:
        return ()
    pairs = probed.mirrored if probed is not None and probed.mirrored else setup.mirrored
    if not pairs:
        return ()
    shown = ", ".join(f"{one!r} and {other!r}" for one, other in pairs[:3])
    how = "by what their clips show" if probed is not None and probed.mirrored else "by their names"
    return (
        f"{shown} are mirror images of each other {how}, and half of the clips are mirrored in training:"
        " set data.flips to false",
    )


def _clip_notes(setup: Setup) -> tuple[str, ...]:
    """Return hints at clips that may be too short or too small."""
    notes = []
    if setup.covered < _SMALL_COVER:
        notes.append(f"a clip covers {100 * setup.covered:.0f} % of a video: is what matters in it?")
    if setup.side < _SMALL_SIDE:
        notes.append(f"a clip has {setup.side} x {setup.side} pixels: is what matters to be seen in it?")
    return tuple(notes)
