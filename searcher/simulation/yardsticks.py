"""Yardsticks to compare strategies on: tables and a synthetic space."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from search_space.errors import RecordError, SettingsError
from searcher.objectives import KNOWN_COSTS, log_cost
from searcher.pareto import hypervolume
from searcher.simulation.nasbench201 import COSTS, DATA_SETS, nasbench201
from searcher.simulation.synthetic import InventedAccuracy, SyntheticDomain
from searcher.simulation.table import Table, TableDomain
from searcher.simulation.video_table import video_table
from searcher.strategies.domain import Design, Domain

_NOISE = 0.005
_SYNTHETIC_RUNGS = 3


class Yardstick(Protocol):
    """A search whose measurements cost nothing.

    Attributes:
        name: name for people.
        domain: designs to choose from.
        rungs: number of rungs, each a longer training than the one before.
        gap: whether scores are missing hypervolume, less being better, or hypervolume.
    """

    name: str
    domain: Domain
    rungs: int
    gap: bool

    def measure(self, design: Design, rung: int, rng: np.random.Generator) -> tuple[float, ...] | None:
        """Return noisy values of the objectives, to minimise; None for a failure."""
        ...

    def seconds(self, design: Design, rung: int) -> float:
        """Return the seconds of the training up to a rung from the one before."""
        ...

    def score(self, designs: Sequence[Design]) -> float:
        """Return the score of a set of designs, without noise."""
        ...


class SyntheticYardstick:
    """The synthetic space: hypervolume of error against log cost, both from 0 to 1, up to the corner (1, 1).

    Args:
        seed: seed of the invented accuracy.
        layerwise: whether every layer has a kernel and an expansion of its own.
        noise: standard deviation of a full training's accuracy.
        rungs: number of rungs; each lower one has three times the noise, and a tenth less accuracy.
    """

    gap = False

    def __init__(
        self, seed: int = 7, *, layerwise: bool = False, noise: float = _NOISE, rungs: int = 1
    ) -> None:
        self.name = f"synthetic {seed}" + (", layer by layer" if layerwise else "")
        self.synthetic = SyntheticDomain(layerwise=layerwise)
        self.domain: Domain = self.synthetic
        self.rungs = rungs
        self._noise = noise
        self._accuracy = InventedAccuracy(seed)
        low, high = self.synthetic.ends
        self._low, self._span = math.log(low), math.log(high / low)

    def _true_accuracies(self, designs: Sequence[Design]) -> list[float]:
        genotypes = np.array([design.genotype for design in designs])
        accuracies: list[float] = self._accuracy(self.synthetic.layers(genotypes)).tolist()
        return accuracies

    def measure(self, design: Design, rung: int, rng: np.random.Generator) -> tuple[float, ...]:
        """Return the error with noise, and the exact log cost."""
        left = self.rungs - 1 - rung
        accuracy = self._true_accuracies([design])[0] * 0.9**left + self._noise * 3**left * rng.normal()
        return 1 - accuracy, math.log(design.cost)

    def seconds(self, design: Design, rung: int) -> float:
        """Return seconds in proportion to the cost of the network, three times as many for each rung."""
        return (0.2 + design.cost / self.synthetic.ends[1]) * 3.0 ** (rung + 1 - self.rungs)

    def score(self, designs: Sequence[Design]) -> float:
        """Return the hypervolume of the designs."""
        if not designs:
            return 0.0
        errors = 1 - np.array(self._true_accuracies(designs))
        costs = [(math.log(design.cost) - self._low) / self._span for design in designs]
        return hypervolume(np.column_stack([costs, errors]), (1, 1))


class TableYardstick:
    """A table: the missing share of the hypervolume of all its rows.

    Logarithms of costs are scaled to [0, 1], errors are 1 - accuracy / best accuracy, by the table's worth of
    each row, or the mean of its repeats at the last rung; the corner is 1 everywhere. A measurement is one
    repeat.

    Args:
        table: table of measurements.
    """

    gap = True

    def __init__(self, table: Table) -> None:
        self.name = table.name
        self.table = table
        self.rows = TableDomain(table)
        self.domain: Domain = self.rows
        self.rungs = table.accuracy.shape[1]
        final = np.nanmean(table.accuracy[:, -1], axis=1) if table.worth is None else table.worth
        logs = np.log(np.maximum(table.costs, 1e-9))
        span = np.ptp(logs, axis=0)
        costs = (logs - logs.min(axis=0)) / np.where(span > 0, span, 1)
        self._points = np.column_stack([costs, 1 - final / final.max()])
        self._corner = [1.0] * self._points.shape[1]
        self._all = hypervolume(self._points, self._corner)

    def measure(self, design: Design, rung: int, rng: np.random.Generator) -> tuple[float, ...] | None:
        """Return the error of a random repeat, and the log costs."""
        row = self.rows.row(design)
        repeats = self.table.accuracy[row, rung]
        repeats = repeats[np.isfinite(repeats)]
        if not len(repeats):
            return None
        costs = self.table.costs[row].tolist()
        return 1 - float(rng.choice(repeats)), *map(log_cost, costs)

    def seconds(self, design: Design, rung: int) -> float:
        """Return the table's seconds from the rung before."""
        seconds = self.table.seconds[self.rows.row(design)]
        return float(seconds[rung] - (seconds[rung - 1] if rung else 0))

    def score(self, designs: Sequence[Design]) -> float:
        """Return the missing share of the hypervolume."""
        points = self._points[[self.rows.row(design) for design in designs]]
        return 1 - hypervolume(points, self._corner) / self._all if len(points) else 1.0


def run_table(run: Path) -> Table:
    """Return a run's candidates at the highest rung that at least half of them were measured at.

    Those that were stopped earlier are left out: accuracies of different rungs do not compare.

    Args:
        run: folder of the run.

    Raises:
        RecordError: the folder holds no run, or it has too few measurements.
    """
    from searcher.record.records import Records
    from searcher.settings.reading import load_settings

    records = Records.reading(run)
    objectives = records.objectives
    # A seed that the space has not is no row: its genotype is that of another network.
    measured = [candidate for candidate in records.candidates() if candidate.metrics and candidate.exact]
    counts = Counter(epochs for candidate in measured for epochs in candidate.metrics)
    rung = max((epochs for epochs, count in counts.items() if 2 * count >= len(measured)), default=0)
    rows = [candidate for candidate in measured if rung in candidate.metrics]
    if len(rows) < 2:
        raise RecordError(f"{run} has measurements of {len(rows)} candidates", hint="continue the run")
    values = np.array([objectives.values(row.metrics[rung]) for row in rows])
    return Table(
        name=f"run {run.name}",
        genes=tuple(load_settings(run / "settings.yaml").space.genes),
        genotypes=np.array([row.genotype for row in rows]),
        digests=[row.digest for row in rows],
        objectives=objectives.names,
        primary=np.array([float(row.macs) for row in rows]),
        accuracy=1 - values[:, :1, None],
        costs=np.exp(values[:, 1:]),
        known=tuple(name in KNOWN_COSTS for name in objectives.names[1:]),
        seconds=np.full((len(rows), 1), float(rung)),
    )


def yardstick(text: str, *, rungs: int = 1) -> Yardstick:
    """Return a yardstick by name.

    Args:
        text: name: ``synthetic`` or ``synthetic-layers``, with another seed than 7 as in ``synthetic:8``;
            ``nasbench201-cifar10`` (``-cifar100``, ``-imagenet``), with another cost than latency as in
            ``nasbench201-cifar10:model_size``; ``video-table``; or the folder of a run.
        rungs: number of rungs of the synthetic space and of the table of video networks; others have one.

    Raises:
        SettingsError: there is no yardstick of that name.
        RecordError: the folder holds no run.
    """
    name, _, option = text.partition(":")
    family, _, data_set = name.partition("-")
    if name in ("synthetic", "synthetic-layers") and (not option or option.isdecimal()):
        return SyntheticYardstick(int(option or 7), layerwise=name != "synthetic", rungs=rungs)
    if family == "nasbench201":
        return TableYardstick(nasbench201(data_set or DATA_SETS[0], option or COSTS[0]))
    if text == "video-table":
        return TableYardstick(video_table(rungs))
    if Path(text).is_dir():
        return TableYardstick(run_table(Path(text)))
    raise SettingsError(
        f"there is nothing to simulate named {text!r}",
        hint=f"use synthetic[-layers][:SEED], nasbench201-{{{'|'.join(DATA_SETS)}}}[:{COSTS[1]}],"
        " video-table, or the folder of a run",
    )
