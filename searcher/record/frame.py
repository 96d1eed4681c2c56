"""Measurements as a pandas frame, and what a frame, a plot or a family needs to know of one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

import pandas as pd

_IDENTITY = ("digest", "purpose", "status", "seed", "fidelity", "epochs", "frames", "size", "share")
_METRICS = ("top1", "top5", "loss", "macs", "parameters", "state_bytes", "activation_bytes")
COLUMNS = (*_IDENTITY, *_METRICS, "seconds", "architecture", "reason")


class FidelityLike(Protocol):
    """How thoroughly a network was trained before it was measured."""

    @property
    def key(self) -> str:
        """One word that identifies the fidelity, such as ``e4-f16-s48-p100``."""

    @property
    def epochs(self) -> int:
        """Passes over the training data."""

    @property
    def frames(self) -> int:
        """Frames of a clip."""

    @property
    def size(self) -> int:
        """Height and width of a frame in pixels."""

    @property
    def share(self) -> float:
        """Share of the training data, in (0, 1]."""


class MeasurementLike(Protocol):
    """One entry of the record: an architecture at a fidelity with a seed, and what came out."""

    @property
    def digest(self) -> str:
        """Identity of the architecture."""

    @property
    def architecture(self) -> str:
        """The architecture's one-line text."""

    @property
    def fidelity(self) -> FidelityLike:
        """How thoroughly it was trained."""

    @property
    def seed(self) -> int:
        """Seed of the training."""

    @property
    def purpose(self) -> str:
        """``search``, ``confirmation`` or ``family``."""

    @property
    def status(self) -> str:
        """``complete``, ``pruned``, ``failed`` or ``cancelled``."""

    @property
    def metrics(self) -> Mapping[str, float]:
        """top1 and top5 (fractions), loss, macs, parameters, state_bytes, activation_bytes."""

    @property
    def seconds(self) -> float:
        """What the measurement took."""

    @property
    def reason(self) -> str:
        """Why it failed or was stopped; empty if it was not."""


def frame(measurements: Iterable[MeasurementLike], states: Mapping[str, str] | None = None) -> pd.DataFrame:
    """One row a measurement, in the order of completion.

    The columns are those of ``COLUMNS``, followed by any further metrics by name. A metric that was not
    measured is missing (NaN).

    Args:
        measurements: of one record, or of several.
        states: of candidates by digest; if given, a column ``candidate`` says what became of the one that was
            measured.
    """
    rows = [
        {
            "digest": m.digest,
            "purpose": m.purpose,
            "status": m.status,
            "seed": m.seed,
            "fidelity": m.fidelity.key,
            "epochs": m.fidelity.epochs,
            "frames": m.fidelity.frames,
            "size": m.fidelity.size,
            "share": m.fidelity.share,
            "seconds": m.seconds,
            "architecture": m.architecture,
            "reason": m.reason,
            **{key: float(value) for key, value in m.metrics.items()},
        }
        for m in measurements
    ]
    table = pd.DataFrame(rows)
    further = sorted(set(table.columns) - set(COLUMNS))
    table = table.reindex(columns=[*COLUMNS, *further])
    table = table.astype(dict.fromkeys([*_METRICS, *further, "seconds", "share"], "float64"))
    if states is not None:
        table["candidate"] = table["digest"].map(dict(states)).where(table["purpose"] == "search")
    return table
