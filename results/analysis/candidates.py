"""Candidates as columns: all measurements averaged over seeds at once; a network is made on demand.

A long search leaves a hundred thousand measurements. Objects for all of them take longer than the frontier.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter, itemgetter
from typing import overload

import numpy as np
from numpy.typing import NDArray

from results.analysis.measurements import thoroughness
from search_space.errors import SettingsError
from searcher.objectives import DEFAULT_OBJECTIVES, OBJECTIVES
from searcher.record import Fidelity, Measurement

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class MeasuredNetwork:
    """One architecture as measured at one fidelity: a point of the plot.

    Args:
        architecture: one-line text of the architecture.
        digest: identity of the architecture.
        macs: multiply-adds of one clip.
        accuracy: mean top-1 over the seeds, a fraction.
        spread: sample standard deviation over the seeds, a fraction; 0 for one seed, which does not tell it.
        seeds: number of trainings behind the mean.
        fidelity: key of a fidelity of the schedule that it was measured at.
        parameters: trainable parameters.
        state_bytes: bytes of stream state.
        metrics: means over the seeds of all that was measured, by the record's names.
    """

    architecture: str
    digest: str
    macs: int
    accuracy: float
    spread: float
    seeds: int
    fidelity: str
    parameters: int
    state_bytes: int
    metrics: Mapping[str, float] = field(default_factory=dict, compare=False)

    def value(self, objective: str) -> float:
        """Return an objective in its own unit; NaN if it was not measured."""
        if objective in ("accuracy", "macs", "parameters", "state_bytes"):
            return float(getattr(self, objective))
        return float(self.metrics.get(OBJECTIVES[objective].metric, np.nan))


@dataclass(frozen=True, slots=True)
class Columns:
    """The successful measurements of one purpose or of all, in the record's order.

    Args:
        rows: measurements.
        top1: accuracy of each row, a fraction.
        macs: multiply-adds of each row.
        schedule: index of each row's schedule in ``fidelities``.
        fidelities: a fidelity of each schedule, from the cheapest to the most thorough.
        digest: number of each row's architecture, counted in order of first appearance.
    """

    rows: Sequence[Measurement]
    top1: Floats
    macs: Floats
    schedule: Indices
    fidelities: tuple[Fidelity, ...]
    digest: Indices

    @classmethod
    def of(cls, measurements: Iterable[Measurement], purpose: str | None = None) -> Columns:
        """Return the columns of those that have an accuracy: finished, or stopped after being evaluated.

        Args:
            measurements: measurements of any purpose and status; a ``MeasurementSet`` has its columns ready.
            purpose: purpose of those that count; by default all.
        """
        if isinstance(measurements, MeasurementSet):
            return measurements.columns(purpose)
        rows = [m for m in measurements if m.status == "complete"]
        if purpose is not None:
            rows = [row for row in rows if row.purpose == purpose]
        top1, macs = _metric(rows, "top1"), _metric(rows, "macs")
        valid = np.isfinite(top1) & (macs > 0)
        if not valid.all():
            rows = [row for row, keep in zip(rows, valid.tolist(), strict=True) if keep]
            top1, macs = top1[valid], macs[valid]
        schedule, fidelities = _schedules(rows)
        return cls(rows, top1, macs, schedule, fidelities, _numbered([row.digest for row in rows]))

    def values(self, objective: str) -> Floats:
        """Return an objective of every row in its own unit; NaN where it was not measured."""
        if objective in DEFAULT_OBJECTIVES:
            return self.top1 if objective == "accuracy" else self.macs
        return _metric(self.rows, OBJECTIVES[objective].metric)

    def at(self, schedule: int) -> Candidates:
        """Return the architectures that were measured at one schedule."""
        return Candidates(self, np.flatnonzero(self.schedule == schedule))

    def latest(self) -> Candidates:
        """Return every architecture at the most thorough schedule that it reached."""
        best = np.full(self.digest.max(initial=-1) + 1, -1)
        np.maximum.at(best, self.digest, self.schedule)
        return Candidates(self, np.flatnonzero(self.schedule == best[self.digest]))

    def counts(self) -> tuple[int, ...]:
        """Return the number of architectures that were measured at each schedule."""
        return tuple(len(np.unique(self.digest[self.schedule == k])) for k in range(len(self.fidelities)))


class MeasurementSet(Sequence[Measurement]):
    """Measurements that do not change, with their columns worked out once: a page asks for them often.

    Args:
        measurements: the measurements, in the record's order.
    """

    def __init__(self, measurements: Iterable[Measurement]) -> None:
        self._measurements = tuple(measurements)
        self._columns: dict[str | None, Columns] = {}

    def columns(self, purpose: str | None = None) -> Columns:
        """Return the columns of the measurements of a purpose, or of all."""
        if purpose not in self._columns:
            self._columns[purpose] = Columns.of(self._measurements, purpose)
        return self._columns[purpose]

    def __iter__(self) -> Iterator[Measurement]:
        return iter(self._measurements)

    def __len__(self) -> int:
        return len(self._measurements)

    @overload
    def __getitem__(self, index: int) -> Measurement: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Measurement]: ...
    def __getitem__(self, index: int | slice) -> Measurement | Sequence[Measurement]:
        return self._measurements[index]


def _metric(rows: Sequence[Measurement], name: str) -> Floats:
    metrics = [row.metrics for row in rows]
    try:
        return np.fromiter(map(itemgetter(name), metrics), np.float64, len(rows))
    except KeyError:
        return np.array([row.get(name, np.nan) for row in metrics], dtype=np.float64)


def _numbered(names: Sequence[str]) -> Indices:
    if len(set(names)) == len(names):
        return np.arange(len(names))
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], dtype=np.int64)


def _schedules(rows: Sequence[Measurement]) -> tuple[Indices, tuple[Fidelity, ...]]:
    """Return the number of each row's schedule, and a fidelity of each: epochs, shares, inherited weights.

    The clip is not part of it: every network is trained on the one that it is made for.
    """
    fidelities = [row.fidelity for row in rows]
    if not fidelities:
        return np.empty(0, dtype=np.int64), ()
    code = np.zeros(len(fidelities), dtype=np.int64)
    for name in ("epochs", "share", "width"):
        values = np.fromiter(map(attrgetter(name), fidelities), np.float64, len(fidelities))
        distinct = np.unique(values)
        code = code * len(distinct) + np.searchsorted(distinct, values)
    if any(fidelity.weights or fidelity.teacher for fidelity in fidelities):
        origins = np.array([f"{fidelity.weights}-{fidelity.teacher}" for fidelity in fidelities])
        distinct_origins, origin = np.unique(origins, return_inverse=True)
        code = code * len(distinct_origins) + origin
    codes = np.unique(code)
    first = [fidelities[int(np.argmax(code == number))] for number in codes]
    order = sorted(range(len(first)), key=lambda index: thoroughness(first[index]))
    rank = np.empty(len(first), dtype=np.int64)
    rank[order] = np.arange(len(first))
    return rank[np.searchsorted(codes, code)], tuple(first[index] for index in order)


class Candidates(Sequence[MeasuredNetwork]):
    """Architectures averaged over their seeds, in order of first appearance.

    Args:
        columns: columns that hold the measurements.
        picked: indices of the rows that count; those of one architecture have one schedule.
    """

    def __init__(self, columns: Columns, picked: Indices) -> None:
        self._columns = columns
        self._rows = _without_repeats(columns, picked)
        first, code = _groups(columns.digest[self._rows])
        self._code, self.seeds = code, np.bincount(code, minlength=len(first))
        self._first = self._rows[first]
        self.accuracy = self.mean("accuracy")
        squares = np.bincount(code, (columns.top1[self._rows] - self.accuracy[code]) ** 2, len(first))
        self.spread = np.sqrt(squares / np.maximum(self.seeds - 1, 1))
        self.macs = columns.macs[self._first]
        self.schedule = columns.schedule[self._first]
        self._by_code = np.argsort(code, kind="stable")
        self._ends = np.cumsum(self.seeds)

    @property
    def fidelities(self) -> tuple[Fidelity, ...]:
        """A fidelity of each schedule, from the cheapest to the most thorough."""
        return self._columns.fidelities

    def mean(self, objective: str) -> Floats:
        """Return an objective of every architecture in its own unit; NaN where it was not measured."""
        values = self._columns.values(objective)[self._rows]
        return np.bincount(self._code, values, len(self.seeds)) / np.maximum(self.seeds, 1)

    def __len__(self) -> int:
        return len(self._first)

    @overload
    def __getitem__(self, index: int) -> MeasuredNetwork: ...
    @overload
    def __getitem__(self, index: slice) -> list[MeasuredNetwork]: ...
    def __getitem__(self, index: int | slice) -> MeasuredNetwork | list[MeasuredNetwork]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        first = self._columns.rows[int(self._first[index])]
        end = int(self._ends[index])
        repeats = self._by_code[end - int(self.seeds[index]) : end]
        metrics = [self._columns.rows[row].metrics for row in self._rows[repeats].tolist()]
        shared = set(metrics[0]).intersection(*metrics)
        return MeasuredNetwork(
            architecture=first.architecture,
            digest=first.digest,
            macs=int(self.macs[index]),
            accuracy=float(self.accuracy[index]),
            spread=float(self.spread[index]),
            seeds=int(self.seeds[index]),
            fidelity=self.fidelities[int(self.schedule[index])].key,
            parameters=int(first.metrics.get("parameters", 0)),
            state_bytes=int(first.metrics.get("state_bytes", 0)),
            metrics={
                name: float(np.mean([row[name] for row in metrics])) for name in metrics[0] if name in shared
            },
        )


def _groups(numbers: Indices) -> tuple[Indices, Indices]:
    """Return where each number is first, and for each place the index of its number among them."""
    if (np.diff(numbers) > 0).all():
        return np.arange(len(numbers)), np.arange(len(numbers))
    _, first, code = np.unique(numbers, return_index=True, return_inverse=True)
    return first, code


def _without_repeats(columns: Columns, picked: Indices) -> Indices:
    """Return the rows of which no two have one architecture and seed: the last, at the first one's place."""
    if len(_groups(columns.digest[picked])[0]) == len(picked):
        return picked
    last: dict[tuple[int, int], int] = {}
    for row, digest in zip(picked.tolist(), columns.digest[picked].tolist(), strict=True):
        last[digest, columns.rows[row].seed] = row
    return np.array(list(last.values()), dtype=np.int64)


def objective_values(members: Sequence[MeasuredNetwork], objectives: Sequence[str]) -> Floats:
    """Return objectives to minimise, (members, objectives): 1 - accuracy, and costs in their own units.

    Raises:
        SettingsError: an objective is unknown, named twice, or was measured of none; at least two are needed.
    """
    check_objectives(objectives)
    columns = []
    for name in objectives:
        if isinstance(members, Candidates):
            values = members.mean(name)
        else:
            values = np.array([member.value(name) for member in members], dtype=np.float64)
        check_measured(name, values)
        columns.append(1.0 - values if name == "accuracy" else values)
    return np.column_stack(columns)


def check_objectives(objectives: Sequence[str]) -> None:
    """Refuse objectives that a frontier cannot have.

    Raises:
        SettingsError: an objective is unknown or named twice, or there are fewer than two.
    """
    unknown = [name for name in objectives if name not in OBJECTIVES]
    if unknown or len(set(objectives)) != len(objectives) or len(objectives) < 2:
        raise SettingsError(
            f"objectives {', '.join(objectives)}",
            hint=f"give two or more different ones of {', '.join(OBJECTIVES)}",
        )


def check_measured(objective: str, values: Floats) -> None:
    """Refuse an objective that no measurement has.

    Raises:
        SettingsError: no measurement has the objective.
    """
    if len(values) and np.isnan(values).all():
        raise SettingsError(
            f"no measurement has the objective {objective}",
            hint=f"search for it, or choose among {', '.join(OBJECTIVES)}",
        )
