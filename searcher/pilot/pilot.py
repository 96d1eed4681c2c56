"""The beginning of a search: its pilot, the findings, and the plan for what the settings leave open."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from proxy_train.evaluation.chance import chance_of
from proxy_train.evaluation.content_probe import Probed, probe
from proxy_train.store.prepared_data import PreparedData
from proxy_train.training.training import share_of
from search_space.architecture.architecture import Architecture
from search_space.cost.closed_form import macs
from search_space.errors import SettingsError
from searcher.evaluator.run_data import RunData
from searcher.pilot.curriculum import PilotTask
from searcher.pilot.findings import Attempt, Findings, Length, Verdict
from searcher.pilot.mirrors import mirrored_names
from searcher.pilot.pilot_plan import PilotPlan, PilotTraining
from searcher.pilot.planned import keep_findings, keep_plan, kept_findings, whole_plan, wish_of, with_plan
from searcher.pilot.planner import HOUR, SHARES, epochs_a_candidate, estimate, plan_run
from searcher.pilot.trials import LONG, RATES, Results
from searcher.pilot.verdict import NothingLearns, Setup, judge, updates_to_leave
from searcher.promotion.rung import Rung
from searcher.reliability import TrainingResult, reliability
from searcher.run.session import Session
from searcher.settings.settings import Settings
from searcher.standalone.proxy_validity import spread

_LEAST_UPDATES = 24
"""Updates of the shortest trainings where the settings give no rungs."""
_DOUBLINGS = 3
"""Number of rungs that are assumed where the settings give none."""


def pilot_is_due(session: Session) -> bool:
    """Return whether a pilot comes next: not if it is off, has planned already, or the search has begun."""
    records = session.records
    return session.settings.pilot is not None and records.plan is None and not records.candidates()


def run_pilot(session: Session, data: RunData) -> Findings:
    """Train the pilot of a run, or what is missing of it; write ``pilot.json``.

    Args:
        session: session of the run.
        data: data of the run.

    Raises:
        SettingsError: the videos have changed since an earlier part of the pilot.
        KeyboardInterrupt: the user pressed Ctrl-C; call it in a new session to resume.
    """
    settings, space = session.settings, session.space
    assert settings.pilot is not None, "asked for only where it is due"
    earlier = kept_findings(session.records.channel)
    if earlier is not None and earlier.data != data.dataset.digest:
        raise SettingsError(
            f"the videos of {settings.name!r} have changed since its pilot was trained on them",
            hint="give this run another name, or delete its folder",
        )
    low, high = settings.window(space)
    networks = spread(space, low, high, settings.pilot.networks, settings.seed)
    networks.sort(key=lambda network: macs(network, space.classes))
    store = data.largest_store
    task = task_of(settings, networks, store, (low, high), space.classes)
    plan = PilotPlan(
        session.records,
        task,
        networks,
        PilotTraining(session.run_dir, settings.seed, settings.recipe, session.drop, settings.inherited),
        space.classes,
        session.on_event,
    )
    session.run(plan)
    known = None if earlier is None else earlier.probe
    probed = known or (probe(store, task.chance) if task.chance.tells else None)
    findings = summarise(task, plan.results, probed, setup_of(settings, store), data.dataset.digest)
    keep_findings(session.records, session.run_dir, findings)
    return findings


def settle(session: Session, findings: Findings, say: Callable[[str], None]) -> None:
    """Go on with what a pilot has found: tell it, stop if nothing learns, plan what the settings leave open.

    Args:
        session: session of the run; it continues with the planned settings.
        findings: findings of its pilot.
        say: function that shows a few lines.

    Raises:
        NothingLearns: the evidence is clear that no network learns; has the cause and the remedy.
        SettingsError: the time is too short for a plan; the hint names the least hours.
    """
    verdict, settings = findings.verdict, session.settings
    say(findings.text(with_message=not verdict.stops))
    if verdict.stops:
        planned = f", and give {', '.join(settings.open_keys)} yourself" if settings.open_keys else ""
        raise NothingLearns(
            verdict.message,
            hint=f"{verdict.remedy}; then start it under another name, since this record keeps its pilot. To"
            f" search all the same, set pilot: false{planned}",
        )
    if verdict.message:
        say("  This is not clear enough to stop: the search goes on.")
    wish = wish_of(settings, session.space.cardinality)
    if not settings.open_keys:
        expected = estimate(findings, wish)
        if expected is not None:
            say(f"  {expected.reasons[-1]}")
        return
    plan = whole_plan(plan_run(findings, wish), settings)
    keep_plan(session.records, session.run_dir, plan)
    session.adopt(with_plan(settings, plan))
    say(plan.text())


def task_of(
    settings: Settings,
    networks: list[Architecture],
    store: PreparedData,
    window: tuple[float, float],
    classes: int,
) -> PilotTask:
    """Return what a pilot trains and may spend.

    Args:
        settings: settings of the run.
        networks: networks, the cheapest first.
        store: prepared data.
        window: lowest and highest multiply-adds of the search.
        classes: number of classes of the data set.
    """
    assert settings.pilot is not None, "asked for only where it is due"
    setup, search, confirmation = setup_of(settings, store), settings.search, settings.confirmation
    updates = setup.updates_an_epoch
    if setup.rung_updates:
        # In epochs of all clips: a rung that sees a part of them counts by its updates.
        ends = (setup.rung_updates[0], setup.rung_updates[-1])
        first, last = (max(1, round(end / updates)) for end in ends)
        rungs = search.rungs
    else:
        first = math.ceil(_LEAST_UPDATES / updates)
        rungs = tuple(Rung(epochs=first * 2**number) for number in range(_DOUBLINGS))
        last = rungs[-1].epochs
    confirmed = confirmation.members * confirmation.seeds * max(confirmation.epochs, last)
    epochs = search.trials * search.repeats * epochs_a_candidate(rungs, search.reduction) + confirmed
    timed = settings.hours is not None and bool(settings.open_keys)
    part = SHARES["search"] + SHARES["confirmation"]
    return PilotTask(
        macs=tuple(float(macs(network, classes)) for network in networks),
        window=window,
        seeds=settings.pilot.seeds,
        first=first,
        last=max(first, last),
        chance=chance_of(store, smoothing=settings.recipe.label_smoothing),
        share=settings.pilot.share,
        epochs=None if timed else epochs,
        seconds=part * settings.hours * HOUR * search.workers if timed and settings.hours else None,
    )


def setup_of(settings: Settings, store: PreparedData) -> Setup:
    """Return the settings and the data that a verdict is about."""
    recipe, train = settings.recipe, store.split("train")
    processes = max(1, int(settings.search.gpus_per_trial))

    def updates(share: float) -> int:
        clips = len(share_of(train, share))
        batch = min(recipe.batch_size, clips)
        return max(1, clips // max(1, batch - batch % processes))

    mirrors = recipe.flip and not store.flips_change_labels
    single = store.labels_kind == "single"
    return Setup(
        updates_an_epoch=updates(1.0),
        rungs=tuple(rung.epochs for rung in settings.search.rungs),
        rung_updates=tuple(rung.epochs * updates(rung.share) for rung in settings.search.rungs),
        batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        mirrored=mirrored_names(store.classes) if mirrors and single else (),
        mirrors=mirrors,
        covered=float(np.minimum(1.0, store.frames / np.maximum(1, train.lengths)).mean()),
        side=store.size,
    )


def summarise(task: PilotTask, results: Results, probed: Probed | None, setup: Setup, data: str) -> Findings:
    """Return the findings of a pilot.

    Args:
        task: what was trained.
        results: results of the trainings.
        probed: result of the content probe, if there is one.
        setup: settings and data.
        data: identity of the data.
    """
    every = [(key, result) for key, by in results.by_training.items() for result in by.values()]
    whole = list(results.whole())
    allowed = task.budget(results)
    spent = results.spent(task.costs) / allowed * task.share if math.isfinite(allowed) else 0.0
    return Findings(
        data=data,
        chance=task.chance,
        updates_an_epoch=setup.updates_an_epoch,
        lengths=_lengths(task, results, setup),
        attempts=_attempts(task, results, setup),
        updates_to_leave=updates_to_leave(task, results, setup.updates_an_epoch),
        timing=task.timing(results),
        window=task.window,
        trainings=len(whole) + sum(offset >= LONG for _, offset in results.by_training),
        diverged=sum(result.diverged for _, result in every),
        spent=spent,
        seconds=results.seconds,
        probe=probed,
        verdict=judge(task, results, probed, setup) if every else Verdict("unknown", "nothing was trained"),
    )


def _lengths(task: PilotTask, results: Results, setup: Setup) -> tuple[Length, ...]:
    found = []
    for epochs in sorted({result.epochs for _, _, result in results.whole()}):
        left = task.left_chance(results, epochs)
        trained = [(n, r.accuracy) for n, _, r in results.whole(epochs) if r.accuracy is not None]
        means = [
            float(np.mean([a for n, a in trained if n == network])) for network in {n for n, _ in trained}
        ]
        told = [TrainingResult(str(number), task.macs[number], accuracy) for number, accuracy in trained]
        found.append(
            Length(
                epochs,
                epochs * setup.updates_an_epoch,
                len(left),
                sum(left.values()),
                float(np.median(means)) if means else 0.0,
                reliability(told),
            )
        )
    return tuple(found)


def _attempts(task: PilotTask, results: Results, setup: Setup) -> tuple[Attempt, ...]:
    names = {LONG: "long", **{offset: f"rate x {factor:g}" for factor, offset in RATES.items()}}
    found = []
    for (network, offset), by_epochs in results.by_training.items():
        if offset in names:
            last = by_epochs[max(by_epochs)]
            accuracy = None if last.diverged else last.accuracy
            found.append(
                Attempt(
                    names[offset],
                    task.macs[network],
                    last.epochs * setup.updates_an_epoch,
                    accuracy,
                    last.train_loss,
                    accuracy is not None and task.chance.left_by(accuracy),
                )
            )
    return tuple(found)
