"""The family: A0, A1, ... picked from the confirmed frontier, and A6, the ensemble of the two largest."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from results import units
from results.analysis.candidates import MeasuredNetwork
from results.analysis.frontier import pareto
from results.family.scaled import Scaler, source
from search_space.architecture.architecture import Architecture
from search_space.errors import RecordError, SettingsError
from search_space.files import write_json
from search_space.json_files import read_json, to_json
from search_space.space.budgets import ENSEMBLE, MEMBERS, Budget

_FORMAT = "movinas-family-1"
_WORDS = {"macs": "multiply-adds", "latency": "ms of a frame"}
_FAR = 0.25
"""Less than this share of a budget is worth a remark."""


@dataclass(frozen=True, slots=True)
class FamilyMember:
    """A named network of the family.

    Args:
        name: ``A0`` to ``A5`` by rising multiply-adds, or the user's name for its budget; ``A6`` for the
            ensemble.
        architecture: one-line text; empty for the ensemble, whose networks are its ``parts``.
        digest: identity of the architecture; empty for the ensemble.
        macs: multiply-adds of a clip, summed over the parts of an ensemble.
        accuracy: confirmed mean top-1, a fraction; None for the ensemble, which the search does not measure.
        spread: sample standard deviation of the confirmed top-1.
        seeds: trainings behind the mean.
        parameters: trainable parameters, summed over parts.
        state_bytes: bytes of stream state, summed over parts.
        budget: budget that it was picked for, in the unit of ``Family.cost``; None for the ensemble.
        parts: names of the ensemble's members; empty for a single network.
        scaled_from: digest of the confirmed network that it is a compound scaling of; empty for one that was
            itself measured. Its accuracy is not known before it is trained.
        latency_ms: time of a frame in milliseconds, if it was measured.
    """

    name: str
    architecture: str
    digest: str
    macs: int
    accuracy: float | None
    spread: float
    seeds: int
    parameters: int
    state_bytes: int
    budget: float | None = None
    parts: tuple[str, ...] = ()
    scaled_from: str = ""
    latency_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Family:
    """The members by rising cost, the ensemble last; ``notes`` say what is missing, and why.

    ``cost`` is the objective that budgets are of: ``macs`` or ``latency``.
    """

    members: tuple[FamilyMember, ...]
    notes: tuple[str, ...] = ()
    cost: str = "macs"

    @property
    def singles(self) -> tuple[FamilyMember, ...]:
        """Members that are one network each."""
        return tuple(m for m in self.members if not m.parts)

    @property
    def ensemble(self) -> FamilyMember | None:
        """Ensemble of two networks, if the frontier had two for the same clip."""
        return next((m for m in self.members if m.parts), None)

    @property
    def span(self) -> float:
        """Ratio of multiply-adds, largest to smallest single network."""
        return self.singles[-1].macs / self.singles[0].macs if self.singles else 1.0

    def __getitem__(self, name: str) -> FamilyMember:
        """Return the member called ``name``.

        Raises:
            RecordError: there is none.
        """
        for member in self.members:
            if member.name == name:
                return member
        raise RecordError(
            f"the family has no member {name!r}", hint=f"it has {', '.join(m.name for m in self.members)}"
        )

    def write(self, path: Path) -> None:
        """Write ``family.json``, whole or not at all."""
        write_json(path, {"format": _FORMAT, "span": round(self.span, 3), **to_json(self)})

    @classmethod
    def read(cls, path: Path) -> Family:
        """Read what :meth:`write` wrote.

        Raises:
            RecordError: the file is missing, damaged or of another version.
        """
        return read_json(
            path,
            cls,
            error=RecordError,
            hint="remove it and run the same command again",
            missing="a run writes it once its frontier is confirmed",
            format=_FORMAT,
        )


def choose_family(
    members: Sequence[MeasuredNetwork],
    budgets: Mapping[str, float] | None = None,
    *,
    cost: str = "macs",
    scaler: Scaler | None = None,
) -> Family:
    """Choose the family from confirmed members.

    Without ``budgets``, A0 to A5 lie as evenly over log multiply-adds as the frontier allows, from its
    cheapest to its most expensive member; a frontier of fewer than six members gives fewer names. With
    budgets, each name gets the most accurate member within its budget and above the next lower budget's pick.
    No member is used twice and none is dominated, so accuracy rises with cost. ``notes`` say what is
    missing; with a ``scaler`` it is made from the nearest member, and marked.

    Args:
        members: confirmed members of one fidelity, dominated ones among them or not.
        budgets: upper limit of the cost by the network's name.
        cost: objective that budgets limit and that all members have: ``macs`` or ``latency``.
        scaler: scaler that makes networks for budgets in multiply-adds at which the frontier has none.

    Raises:
        SettingsError: there are no members, a budget is not positive, or no budget reaches any member.
    """
    front = sorted(pareto(members, ("accuracy", cost)), key=lambda m: m.value(cost))
    if not front:
        raise SettingsError(
            "there is no confirmed network to pick a family from",
            hint="search longer, or look at the run's failures",
        )
    if budgets is None:
        singles, notes = _spread(front)
    else:
        singles, notes = _by_budget(front, budgets, cost, scaler if cost == "macs" else None)
    ensemble, note = _ensemble(singles)
    family = (*singles, ensemble) if ensemble else tuple(singles)
    return Family(tuple(family), tuple(notes + note), cost)


def _spread(front: Sequence[MeasuredNetwork]) -> tuple[list[FamilyMember], list[str]]:
    count = min(len(MEMBERS), len(front))
    targets = np.geomspace(front[0].macs, front[-1].macs, count)
    logs, aims = [math.log(m.macs) for m in front], [float(aim) for aim in np.log(targets)]
    # Both ends belong to the family whatever lies between: the cheapest network, and the most accurate one.
    middle = [1 + pick for pick in _closest(logs[1:-1], aims[1:-1])]
    picks = [0, *middle, len(front) - 1][:count]
    singles = [
        _member(name, front[pick], float(target))
        for name, pick, target in zip(MEMBERS, picks, targets, strict=False)
    ]
    notes = []
    if count < len(MEMBERS):
        names = f"{MEMBERS[0]} to {MEMBERS[count - 1]}" if count > 1 else f"{MEMBERS[0]} only"
        notes.append(
            f"The confirmed frontier has {count} member{'s' if count > 1 else ''}: the family has {names}"
            f" and no {' or '.join(MEMBERS[count:])}; a longer search finds more."
        )
    return singles, notes


def _closest(values: Sequence[float], targets: Sequence[float]) -> list[int]:
    """Return the indices i_0 < i_1 < ... with the least sum of squared distances of values to targets.

    Both sequences rise; there are at least as many values as targets.
    """
    count, wanted = len(values), len(targets)
    best = np.full((wanted + 1, count + 1), np.inf)
    best[0, :] = 0.0
    taken = np.zeros((wanted + 1, count + 1), dtype=bool)
    for row, column in itertools.product(range(1, wanted + 1), range(1, count + 1)):
        use = best[row - 1, column - 1] + (values[column - 1] - targets[row - 1]) ** 2
        taken[row, column] = use < best[row, column - 1]
        best[row, column] = min(use, best[row, column - 1])
    picks: list[int] = []
    row, column = wanted, count
    while row:
        if taken[row, column]:
            picks.append(column - 1)
            row -= 1
        column -= 1
    return picks[::-1]


def _by_budget(
    front: Sequence[MeasuredNetwork], budgets: Mapping[str, float], cost: str, scaler: Scaler | None
) -> tuple[list[FamilyMember], list[str]]:
    _check_budgets(front, budgets, cost, scaler)
    singles: list[FamilyMember] = []
    notes: list[str] = []
    floor = 0.0
    for name, budget in sorted(budgets.items(), key=lambda item: item[1]):
        band = [m for m in front if floor < m.value(cost) <= budget]
        pick, origin = max(band, key=lambda m: m.value(cost), default=None), ""
        if pick is None and scaler is not None:
            pick, origin = scaler(front, floor, budget), source(front, budget).digest
        if pick is None:
            notes.append(f"No {name}: {_lacking(front, floor, budget, cost)}")
            continue
        if origin:
            notes.append(
                f"{name} is compound-scaled from {origin}: the confirmed frontier has nothing else within "
                f"{units.count(budget)} multiply-adds. Its accuracy is not known before it is trained."
            )
        elif pick.value(cost) < _FAR * budget:
            notes.append(
                f"{name} has {units.count(pick.value(cost))} {_WORDS[cost]}, far below its budget of "
                f"{units.count(budget)}: the confirmed frontier has nothing nearer."
            )
        singles.append(_member(name, pick, float(budget), origin))
        floor = pick.value(cost)
    return singles, notes


def _lacking(front: Sequence[MeasuredNetwork], floor: float, budget: float, cost: str) -> str:
    nearest = min(front, key=lambda m: abs(math.log(m.value(cost) / budget)))
    return (
        "the confirmed frontier has nothing "
        + (f"above {units.count(floor)} and " if floor else "")
        + f"within {units.count(budget)} {_WORDS[cost]}; the nearest member has "
        f"{units.count(nearest.value(cost))}."
    )


def _check_budgets(
    front: Sequence[MeasuredNetwork], budgets: Mapping[str, float], cost: str, scaler: Scaler | None
) -> None:
    """Refuse budgets that are not valid, or that reach no network."""
    for name, limit in budgets.items():
        Budget(name, limit)
    reached = budgets and (scaler is not None or max(budgets.values()) >= front[0].value(cost))
    if not reached:
        raise SettingsError(
            f"no family budget reaches the cheapest confirmed network of {units.count(front[0].value(cost))} "
            f"{_WORDS[cost]}",
            hint="give larger budgets, or search a space of smaller networks",
        )


def _member(name: str, member: MeasuredNetwork, budget: float, origin: str = "") -> FamilyMember:
    return FamilyMember(
        name=name,
        architecture=member.architecture,
        digest=member.digest,
        macs=member.macs,
        accuracy=None if origin else member.accuracy,
        spread=member.spread,
        seeds=member.seeds,
        parameters=member.parameters,
        state_bytes=member.state_bytes,
        budget=budget,
        scaled_from=origin,
        latency_ms=member.metrics.get("latency_ms"),
    )


def _ensemble(singles: Sequence[FamilyMember]) -> tuple[FamilyMember | None, list[str]]:
    """Return the ensemble of the two largest that take the same clip (section 3.3), or why there is none."""
    if len(singles) < 2:
        return None, [f"No {ENSEMBLE}: an ensemble takes two networks, and the family has {len(singles)}."]
    clips = [Architecture.parse(single.architecture).input for single in singles]
    pairs = [
        pair for pair in itertools.combinations(range(len(singles)), 2) if clips[pair[0]] == clips[pair[1]]
    ]
    if not pairs:
        return None, [f"No {ENSEMBLE}: an ensemble takes two networks for the same clip, and there are none."]
    # Largest second part first, then largest first part.
    first, second = (singles[index] for index in max(pairs, key=lambda pair: (pair[1], pair[0])))
    ensemble = FamilyMember(
        name=ENSEMBLE,
        architecture="",
        digest="",
        macs=first.macs + second.macs,
        accuracy=None,
        spread=0.0,
        seeds=0,
        parameters=first.parameters + second.parameters,
        state_bytes=first.state_bytes + second.state_bytes,
        parts=(first.name, second.name),
    )
    return ensemble, []
