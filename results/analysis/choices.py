"""Which choices a search made, and which of them matter: architectures as named numbers."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from results.analysis.candidates import Candidates, Columns, Floats, MeasuredNetwork
from results.analysis.frontier import frontier
from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import Stage
from search_space.errors import ArchitectureError, SettingsError
from searcher.objectives import Score, score_of
from searcher.record import Measurement

_LOG = logging.getLogger(__name__)
_MOST_LINES = 800
_MOST_FITTED = 400
_FEWEST_FITTED = 20
_FOLDS, _REPEATS, _TREES = 3, 3, 40


@dataclass(frozen=True, slots=True)
class Choice:
    """One thing that a space chooses, as a number and in words."""

    name: str
    value: float
    words: str


def choices(architecture: Architecture) -> tuple[Choice, ...]:
    """Return what was chosen: clip, stem and head, and of each stage depth, width, expansion and kernels.

    Numbers of a stage are means over its layers: expansion as a ratio to the stage's width, kernels as frames
    and pixels a side, squeeze-excitation as a share.
    """
    clip = architecture.input
    chosen = [
        Choice("frames", clip.frames, str(clip.frames)),
        Choice("size", clip.size, str(clip.size)),
        Choice("fps", clip.fps, f"{clip.fps:g}"),
        Choice("stem width", architecture.stem, str(architecture.stem)),
    ]
    for number, stage in enumerate(architecture.stages, start=1):
        chosen += _stage(f"stage {number}", stage)
    return (*chosen, Choice("head width", architecture.head, str(architecture.head)))


def _stage(name: str, stage: Stage) -> list[Choice]:
    layers = stage.layers
    kernels = Counter(str(layer.kernel) for layer in layers)
    words = ", ".join(f"{count} of {kernel}" if count > 1 else kernel for kernel, count in kernels.items())
    expansion = float(np.mean([layer.expansion for layer in layers])) / stage.width
    squeeze = float(np.mean([layer.squeeze for layer in layers]))
    return [
        Choice(f"{name} depth", len(layers), str(len(layers))),
        Choice(f"{name} width", stage.width, str(stage.width)),
        Choice(f"{name} expansion", expansion, f"{expansion:.1f}"),
        Choice(f"{name} kernel, time", float(np.mean([layer.kernel.time for layer in layers])), words),
        Choice(f"{name} kernel, space", float(np.mean([layer.kernel.space for layer in layers])), words),
        Choice(f"{name} squeeze", squeeze, f"{squeeze:.0%}"),
    ]


@dataclass(frozen=True, slots=True)
class ChoiceTable:
    """Architectures as rows of named numbers; a choice that is the same in all of them is left out.

    Args:
        names: names of the choices.
        values: numbers (architectures, choices).
        words: the same in words.
        members: networks that the rows stand for.
    """

    names: tuple[str, ...]
    values: Floats
    words: tuple[tuple[str, ...], ...]
    members: tuple[MeasuredNetwork, ...]


def choice_table(members: Sequence[MeasuredNetwork]) -> ChoiceTable:
    """Return the choices of networks with as many stages as the first one; others are left out.

    So are those whose text this version cannot read: a record may be of a newer one.

    Raises:
        SettingsError: no architecture can be read.
    """
    rows: list[tuple[MeasuredNetwork, tuple[Choice, ...]]] = []
    for member in members:
        try:
            row = choices(Architecture.parse(member.architecture))
        except ArchitectureError as error:
            _LOG.warning("choices of %s: %s", member.digest, error)
            continue
        if not rows or len(row) == len(rows[0][1]):
            rows.append((member, row))
    if not rows:
        raise SettingsError("no architecture can be read", hint="was the record made by a newer version?")
    values = np.array([[choice.value for choice in row] for _, row in rows])
    differ = np.flatnonzero((values != values[0]).any(axis=0)).tolist()
    return ChoiceTable(
        tuple(rows[0][1][index].name for index in differ),
        values[:, differ],
        tuple(tuple(row[index].words for index in differ) for _, row in rows),
        tuple(member for member, _ in rows),
    )


@dataclass(frozen=True, slots=True)
class Along:
    """The choices of the frontier's members, the cheapest first."""

    members: tuple[MeasuredNetwork, ...]
    table: ChoiceTable
    confirmed: bool

    @property
    def score(self) -> Score:
        """Score that the members' accuracies are."""
        return score_of(member.metrics for member in self.members)


def along_frontier(measurements: Sequence[Measurement], most: int = 24) -> Along:
    """Return the choices along the confirmed frontier, or the provisional one; of many members some, evenly.

    Raises:
        SettingsError: there are fewer than two members.
    """
    confirmed = frontier(measurements, "confirmation")
    members = confirmed or frontier(measurements)
    if len(members) < 2:
        raise SettingsError(
            f"the frontier has {len(members)} member{'s' if len(members) != 1 else ''}",
            hint="a longer search finds more to compare",
        )
    if len(members) > most:
        members = [members[index] for index in np.linspace(0, len(members) - 1, most).round().astype(int)]
    table = choice_table(members)
    return Along(table.members, table, bool(confirmed))


@dataclass(frozen=True, slots=True)
class Parallel:
    """Candidates as lines over choices, costs and accuracy.

    Args:
        names: names of the axes; the last is the score.
        values: numbers (candidates, axes); costs as they are.
        logarithmic: whether the logarithm of each axis is drawn.
        front: whether each candidate is on the frontier.
        count: number of all candidates, of which some are drawn.
    """

    names: tuple[str, ...]
    values: Floats
    logarithmic: tuple[bool, ...]
    front: NDArray[np.bool_]
    count: int


def parallel(measurements: Sequence[Measurement], most_axes: int = 14) -> Parallel:
    """Return every candidate at the most thorough fidelity that it reached; of many, the frontier and some.

    Axes are the choices that vary the most between networks of the frontier and the rest, then costs.

    Raises:
        SettingsError: there are fewer than two candidates.
    """
    latest = Columns.of(measurements, "search").latest()
    digests = {m.digest for m in frontier(measurements)}
    picked = _pick_spread(latest, _MOST_LINES)
    members = [latest[index] for index in picked.tolist()]
    picked_digests = {m.digest for m in members}
    members += [m for m in frontier(measurements) if m.digest not in picked_digests]
    if len(members) < 2:
        raise SettingsError(f"{len(members)} candidates were measured", hint="two can be compared")
    table = choice_table(members)
    members = list(table.members)
    # Expansions and squeezes are the finest grain; where axes are too many they go first.
    order = sorted(range(len(table.names)), key=lambda i: (_grain(table.names[i]), i))[: most_axes - 3]
    kept = sorted(order)
    costs = {
        "multiply-adds": [float(m.macs) for m in members],
        "parameters": [float(m.parameters) for m in members],
    }
    columns = [*table.values[:, kept].T, *costs.values(), [m.accuracy for m in members]]
    return Parallel(
        (*(table.names[i] for i in kept), *costs, score_of(m.metrics for m in measurements).name),
        np.column_stack(columns),
        (*(False for _ in kept), True, True, False),
        np.array([m.digest in digests for m in members]),
        len(latest),
    )


def _grain(name: str) -> int:
    ends = ("width", "depth", "time", "space", "expansion", "squeeze")
    return next(
        (place for place, end in enumerate(ends) if name.startswith("stage") and name.endswith(end)), 0
    )


def _pick_spread(candidates: Candidates, most: int) -> NDArray[np.int64]:
    """Return the indices of at most ``most`` candidates, the same ones every time."""
    if len(candidates) <= most:
        return np.arange(len(candidates))
    drawn: NDArray[np.int64] = np.sort(np.random.default_rng(0).choice(len(candidates), most, replace=False))
    return drawn


@dataclass(frozen=True, slots=True)
class Importance:
    """Importance of choices for accuracy: what two models lose when a choice is shuffled.

    Args:
        names: names of the choices, the most important first.
        plain: model of accuracy as it is.
        at_cost: model of what is left of accuracy once multiply-adds have explained what they can.
        count: number of candidates that the models were fitted to.
        fidelity: key of the fidelity that they were measured at.
    """

    names: tuple[str, ...]
    plain: Explained
    at_cost: Explained
    count: int
    fidelity: str

    @property
    def models(self) -> tuple[Explained, Explained]:
        """Both models."""
        return self.plain, self.at_cost

    @property
    def unexplained(self) -> str:
        """Sentence on the models that learnt nothing; empty if both learnt something."""
        targets = [f"{model.target} (R² {model.fit:.2f})" for model in self.models if not model.learnt]
        return f"Nothing was learnt about {' or '.join(targets)}." if targets else ""


@dataclass(frozen=True, slots=True)
class Explained:
    """Model of accuracy, judged on candidates that it was not fitted to.

    Args:
        target: target of the model, in words.
        losses: fall of R² when a choice is shuffled, for each name of the :class:`Importance`.
        fit: R² of the model; 1 explains everything, 0 and below nothing.
    """

    target: str
    losses: tuple[float, ...]
    fit: float

    @property
    def learnt(self) -> bool:
        """Whether the model explains anything, so that its losses mean anything."""
        return self.fit > 0


def importance(measurements: Sequence[Measurement]) -> Importance:
    """Return the permutation importance of random forests (Breiman 2001), measured on held-out candidates.

    Candidates of one fidelity are used: the most thorough one with enough of them.

    Raises:
        SettingsError: no fidelity has enough candidates.
    """
    columns = Columns.of(measurements, "search")
    counts = columns.counts()
    enough = [index for index, count in enumerate(counts) if count >= _FEWEST_FITTED]
    if not enough:
        raise SettingsError(
            f"at most {max(counts, default=0)} candidates were measured at one fidelity",
            hint=f"{_FEWEST_FITTED} say which choices matter",
        )
    chosen = columns.at(enough[-1])
    members = [chosen[index] for index in _pick_spread(chosen, _MOST_FITTED).tolist()]
    table = choice_table(members)
    accuracies = np.array([m.accuracy for m in table.members])
    logs = np.log([float(m.macs) for m in table.members])
    left: Floats = accuracies - np.polyval(np.polyfit(logs, accuracies, 2), logs)
    plain, fit = _permuted(table.values, accuracies)
    at_cost, fit_at_cost = _permuted(table.values, left)
    # Losses of a model that learnt nothing order nothing.
    learnt = [losses for losses, r2 in ((plain, fit), (at_cost, fit_at_cost)) if r2 > 0] or [plain]
    order = np.argsort(-np.max(learnt, axis=0), kind="stable").tolist()
    return Importance(
        tuple(table.names[index] for index in order),
        Explained("accuracy", tuple(plain[order].tolist()), fit),
        Explained("accuracy at equal multiply-adds", tuple(at_cost[order].tolist()), fit_at_cost),
        len(accuracies),
        columns.fidelities[enough[-1]].key,
    )


def _permuted(inputs: Floats, targets: Floats) -> tuple[Floats, float]:
    """Return by how much R² falls when each column is shuffled, and R² itself, on held-out rows.

    scikit-learn's ``permutation_importance`` predicts once for each column and repeat, which takes five times
    as long.
    """
    from sklearn.ensemble import RandomForestRegressor

    rng = np.random.default_rng(0)
    rows = rng.permutation(len(targets))
    width = inputs.shape[1]
    lost, errors = np.zeros(width), 0.0
    total = max(float(np.sum((targets - targets.mean()) ** 2)), 1e-12)
    for fold in range(_FOLDS):
        test = rows[fold::_FOLDS]
        train = np.setdiff1d(rows, test)
        forest = RandomForestRegressor(
            _TREES, min_samples_leaf=2, max_features=0.5, random_state=fold, n_jobs=1
        )
        forest.fit(inputs[train], targets[train])
        # All shuffled copies in one call: a forest's call costs more than its rows.
        copies = np.tile(inputs[test], (1 + _REPEATS * width, 1, 1))
        for copy in range(_REPEATS * width):
            copies[1 + copy, :, copy % width] = rng.permutation(inputs[test, copy % width])
        predicted = forest.predict(copies.reshape(-1, width)).reshape(len(copies), len(test))
        squares = np.sum((predicted - targets[test]) ** 2, axis=1)
        errors += float(squares[0])
        lost += (squares[1:].reshape(_REPEATS, width).mean(axis=0) - squares[0]) / total
    return lost, 1 - errors / total
