"""Learning curves: accuracy over the epochs at which candidates were measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from results.analysis.candidates import Columns
from results.analysis.frontier import frontier
from search_space.errors import SettingsError
from searcher.evaluator.watched import watched_metric, watched_name
from searcher.objectives import TOP1_SCORE, Score, score_of
from searcher.record import Measurement

_MOST = 300


@dataclass(frozen=True, slots=True)
class Curve:
    """One architecture's accuracies (fractions) at rising epochs."""

    name: str
    architecture: str
    epochs: tuple[int, ...]
    accuracies: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Curves:
    """Curves of the search: those of the frontier, and some of the others; or those of its supernet.

    Args:
        front: curves of the frontier's members, the cheapest first; or of the networks that were watched
            while the supernet was trained.
        others: curves of the rest, or of some of them.
        count: number of candidates that were measured at two rungs or more.
        score: score that accuracies are.
        shared: whether they are of networks with shared weights.
    """

    front: tuple[Curve, ...]
    others: tuple[Curve, ...]
    count: int
    score: Score = TOP1_SCORE
    shared: bool = False

    @property
    def title(self) -> str:
        """Title of their plot."""
        return f"Learning curves of the {'supernet' if self.shared else 'search'}"


def learning_curves(measurements: Sequence[Measurement], names: Mapping[str, str] | None = None) -> Curves:
    """Return the accuracy at each rung of every candidate that was measured at two or more.

    Candidates with shared weights are measured once: their run has the curves of its supernet.

    Args:
        measurements: measurements of the record.
        names: names of family members by digest.

    Raises:
        SettingsError: no candidate was measured twice.
    """
    shared = _of_supernet([m for m in measurements if m.purpose == "supernet" and m.status == "complete"])
    if shared is not None:
        return shared
    columns = Columns.of(measurements, "search")
    reached = np.zeros((columns.digest.max(initial=-1) + 1, max(len(columns.fidelities), 1)), dtype=bool)
    reached[columns.digest, columns.schedule] = True
    several = np.flatnonzero(reached.sum(axis=1) > 1)
    if not len(several):
        raise SettingsError("no candidate was measured at two rungs", hint="give search.rungs two or more")
    # Digests are numbered in order of first appearance.
    first = np.unique(columns.digest, return_index=True)[1]
    on_front = {m.digest: place for place, m in enumerate(frontier(measurements))}
    places = {index: on_front.get(columns.rows[int(first[index])].digest) for index in several.tolist()}
    front = sorted((place, index) for index, place in places.items() if place is not None)
    others = np.array([index for index, place in places.items() if place is None], dtype=np.int64)
    if len(others) > _MOST:
        others = np.sort(np.random.default_rng(0).choice(others, _MOST, replace=False))
    return Curves(
        tuple(_curve(columns, index, names or {}) for _, index in front),
        tuple(_curve(columns, index, names or {}) for index in others.tolist()),
        len(several),
        score_of(row.metrics for row in columns.rows),
    )


def _of_supernet(epochs: Sequence[Measurement]) -> Curves | None:
    """Return the curves of the networks that were watched; None if fewer than two epochs were."""
    epochs = sorted(epochs, key=lambda each: each.fidelity.epochs)
    names = [name for metric in (epochs[-1].metrics if epochs else ()) if (name := watched_name(metric))]
    watched = {name: [each for each in epochs if watched_metric(name) in each.metrics] for name in names}
    if not names or min(map(len, watched.values())) < 2:
        return None
    score = score_of(each.metrics for each in epochs)
    curves = [
        Curve(
            name,
            f"the {name} network that was watched, with the shared weights",
            tuple(each.fidelity.epochs for each in rows),
            tuple(each.metrics[watched_metric(name)] for each in rows),
        )
        for name, rows in watched.items()
    ]
    # A controller's supernet is measured by its most probable network, any other by the largest.
    by_policy = "largest" in watched
    main = Curve(
        "most probable" if by_policy else "largest",
        "the controller's most probable network at the time" if by_policy else epochs[-1].architecture,
        tuple(each.fidelity.epochs for each in epochs),
        tuple(each.metrics["top1"] for each in epochs),
    )
    return Curves((*curves, main), (), 0, score, shared=True)


def _curve(columns: Columns, number: int, names: Mapping[str, str]) -> Curve:
    rows = np.flatnonzero(columns.digest == number)
    accuracies: dict[int, list[float]] = {}
    for row in rows[np.argsort(columns.schedule[rows], kind="stable")].tolist():
        accuracies.setdefault(columns.rows[row].fidelity.epochs, []).append(float(columns.top1[row]))
    first = columns.rows[int(rows[0])]
    return Curve(
        names.get(first.digest, first.digest[:8]),
        first.architecture,
        tuple(accuracies),
        tuple(float(np.mean(values)) for values in accuracies.values()),
    )
