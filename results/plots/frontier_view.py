"""What the plots show, computed once for the picture and the interactive page alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from results.analysis.candidates import Columns, Floats, MeasuredNetwork
from results.analysis.frontier import frontier
from results.analysis.hypervolume import HypervolumeHistory
from results.analysis.measurements import thoroughness
from results.family.family import Family
from results.plots.style import CLOUD_COLORS
from search_space.architecture.published import PUBLISHED
from search_space.cost.closed_form import compute_cost
from searcher.objectives import KNOWN_COSTS, OBJECTIVES, TOP1_SCORE, Score, score_of
from searcher.record import Fidelity, Measurement

# With more points the browser draws on the graphics card instead of sharp vectors, and only those on a
# frontier carry their architecture, so that pages stay small.
MANY = 3000
_MOST_DRAWN = 20_000
# Top-1 on Kinetics-600 of the released checkpoints, percent (the official repository's table of models).
_PUBLISHED_TOP1 = {
    "base": (72.28, 76.69, 78.62, 81.79, 83.48, 84.27),
    "stream": (72.05, 76.45, 78.40, 80.09, 81.49, 82.37),
}


@dataclass(frozen=True, slots=True)
class Cloud:
    """The candidates whose most thorough measurement is of one fidelity.

    Args:
        label: fidelity in words.
        color: colour of the points.
        count: number of all points.
        costs: costs of the points that are drawn.
        accuracies: accuracies of these points, as fractions.
        members: the networks that these points stand for, unless they are too many.
    """

    label: str
    color: str
    count: int
    costs: Floats
    accuracies: Floats
    members: tuple[MeasuredNetwork, ...] = ()


@dataclass(frozen=True, slots=True)
class NamedPoint:
    """A named network's point in the plot.

    Args:
        name: name of the network.
        cost: cost in its own unit.
        accuracy: score, a fraction.
        architecture: text of the architecture, or names of an ensemble's parts.
        trained: whether the accuracy is that of the final training.
    """

    name: str
    cost: float
    accuracy: float
    architecture: str
    trained: bool


@dataclass(frozen=True, slots=True)
class FrontierView:
    """Everything that the frontier plot shows.

    Args:
        title: title over the plot.
        cost: objective that accuracy is drawn against.
        clouds: all measured candidates, from the lowest fidelity to the highest.
        provisional: frontier of the search.
        confirmed: frontier of the confirmation, with spreads.
        family: named members, at the accuracy of their final training where known.
        references: accuracies (fractions) of horizontal lines by label.
        published: released networks, at their accuracy on Kinetics-600.
        score: score that accuracies are.
    """

    title: str
    cost: str = "macs"
    clouds: tuple[Cloud, ...] = ()
    provisional: tuple[MeasuredNetwork, ...] = ()
    confirmed: tuple[MeasuredNetwork, ...] = ()
    family: tuple[NamedPoint, ...] = ()
    references: Mapping[str, float] = field(default_factory=dict)
    published: tuple[NamedPoint, ...] = ()
    score: Score = TOP1_SCORE

    @property
    def _points(self) -> list[MeasuredNetwork | NamedPoint]:
        return [*self.provisional, *self.confirmed, *self.family, *self.published]

    @property
    def costs(self) -> Floats:
        """Cost of every point."""
        costs = [m.value(self.cost) if isinstance(m, MeasuredNetwork) else m.cost for m in self._points]
        return np.concatenate([*(c.costs for c in self.clouds), costs])

    @property
    def accuracies(self) -> Floats:
        """Accuracy of every point."""
        return np.concatenate([*(c.accuracies for c in self.clouds), [m.accuracy for m in self._points]])


def frontier_view(
    measurements: Sequence[Measurement],
    family: Family | None = None,
    trained: Mapping[str, float] | None = None,
    *,
    cost: str = "macs",
    references: Mapping[str, float] | None = None,
    published: bool = False,
) -> FrontierView:
    """Compute what the frontier plot shows.

    Args:
        measurements: measurements of the record.
        family: family whose members are named.
        trained: accuracies (fractions) after the final training by name; the ensemble is shown only with one.
        cost: objective that accuracy is drawn against.
        references: accuracies (fractions) of horizontal lines by label.
        published: whether the released networks are drawn too; their accuracy is that on Kinetics-600.
    """
    searched, confirmed = (
        tuple(
            sorted(
                frontier(measurements, purpose, objectives=("accuracy", cost)), key=lambda m: m.value(cost)
            )
        )
        for purpose in ("search", "confirmation")
    )
    return FrontierView(
        title=f"Accuracy against {OBJECTIVES[cost].words}",
        cost=cost,
        clouds=_clouds(measurements, cost),
        provisional=searched,
        confirmed=confirmed,
        family=tuple(_named(family, trained or {}, cost)) if family else (),
        references=dict(references or {}),
        published=published_networks(cost) if published else (),
        score=score_of(measurement.metrics for measurement in measurements),
    )


def published_networks(cost_name: str = "macs") -> tuple[NamedPoint, ...]:
    """Return the released networks A0 to A5 in both forms, with 600 classes, as measured on Kinetics-600.

    There are none for a cost that has to be measured.
    """
    networks: list[NamedPoint] = []
    if cost_name not in KNOWN_COSTS:
        return ()
    for form, accuracies in _PUBLISHED_TOP1.items():
        for number, accuracy in enumerate(accuracies):
            network = PUBLISHED[f"A{number}-{form}"]
            spent = float(getattr(compute_cost(network, 600), cost_name))
            networks.append(NamedPoint(f"A{number} {form}", spent, accuracy / 100, network.text, True))
    return tuple(networks)


def _clouds(measurements: Sequence[Measurement], cost_name: str) -> tuple[Cloud, ...]:
    latest = Columns.of(measurements, "search").latest()
    fidelities, costs = latest.fidelities, latest.mean(cost_name)
    words = searched_words(fidelities, measurements)
    every = -(-len(latest) // _MOST_DRAWN) or 1
    first = max(0, len(CLOUD_COLORS) - 2 - len(fidelities))
    clouds = []
    for index, fidelity in enumerate(fidelities):
        places = np.flatnonzero(latest.schedule == index)
        drawn = places[::every]
        members = tuple(latest[place] for place in places.tolist()) if len(latest) <= MANY else ()
        clouds.append(
            Cloud(
                words[fidelity.key],
                CLOUD_COLORS[min(first + index, len(CLOUD_COLORS) - 1)],
                len(places),
                costs[drawn],
                latest.accuracy[drawn],
                members,
            )
        )
    return tuple(cloud for cloud in clouds if cloud.count)


def searched_words(fidelities: Iterable[Fidelity], measurements: Iterable[Measurement]) -> dict[str, str]:
    """Return words for the fidelities of a search by key: those of a supernet are no trainings."""
    if any(each.purpose == "supernet" for each in measurements):
        return {each.key: f"in a supernet of {each.epochs} epochs" for each in fidelities}
    return fidelity_words(fidelities)


def fidelity_words(fidelities: Iterable[Fidelity]) -> dict[str, str]:
    """Return words such as ``8 epochs`` by key; the share of the data is named only where it differs."""
    distinct = sorted({f.key: f for f in fidelities}.values(), key=thoroughness)
    words = {}
    for fidelity in distinct:
        parts = [f"{fidelity.epochs} epoch{'s' if fidelity.epochs != 1 else ''}"]
        if len({f.share for f in distinct}) > 1:
            parts.append(f"{100 * fidelity.share:.0f} % of the data")
        if len({f.weights for f in distinct}) > 1:
            parts.append(f"from weights {fidelity.weights}" if fidelity.weights else "from scratch")
        words[fidelity.key] = ", ".join(parts)
    return words


def _named(family: Family, trained: Mapping[str, float], cost_name: str) -> Iterable[NamedPoint]:
    for member in family.members:
        accuracy, spent = trained.get(member.name, member.accuracy), getattr(member, cost_name, None)
        if accuracy is not None and spent is not None:
            text = member.architecture or " + ".join(member.parts)
            yield NamedPoint(member.name, float(spent), accuracy, text, member.name in trained)


@dataclass(frozen=True, slots=True)
class Survival:
    """Numbers of architectures that were measured at each fidelity of the search."""

    labels: tuple[str, ...]
    counts: tuple[int, ...]


def survival(measurements: Sequence[Measurement]) -> Survival:
    """Count the architectures that reached each rung."""
    columns = Columns.of(measurements, "search")
    words = searched_words(columns.fidelities, measurements)
    return Survival(tuple(words[f.key] for f in columns.fidelities), columns.counts())


def time_unit(runs: Iterable[HypervolumeHistory]) -> tuple[float, str]:
    """Return the seconds of a unit that suits the longest of the runs, and the unit's name."""
    longest = max((history.seconds[-1] for history in runs if history.seconds), default=0.0)
    return (3600.0, "hours") if longest >= 2 * 3600 else (60.0, "minutes")
