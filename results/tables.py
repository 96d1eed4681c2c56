"""Every measurement as a table: ``trials.csv`` and ``trials.parquet``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from results.measurements import MeasurementLike
from results.writing import replacing

_IDENTITY = ("digest", "purpose", "status", "seed", "fidelity", "epochs", "frames", "size", "share")
_METRICS = ("top1", "top5", "loss", "macs", "parameters", "state_bytes", "activation_bytes")
COLUMNS = (*_IDENTITY, *_METRICS, "seconds", "architecture", "reason")


def frame(measurements: Iterable[MeasurementLike]) -> pd.DataFrame:
    """One row a measurement, in the record's order.

    The columns are those of ``COLUMNS``, followed by any further metrics by name. A metric that was not
    measured is missing (NaN).
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
    numbers = [*_METRICS, *further, "seconds", "share"]
    return table.astype(dict.fromkeys(numbers, "float64"))


def write_tables(measurements: Iterable[MeasurementLike], folder: Path) -> tuple[Path, Path]:
    """Writes ``trials.csv`` and ``trials.parquet`` into ``folder`` and returns their paths."""
    table = frame(measurements)
    csv, parquet = folder / "trials.csv", folder / "trials.parquet"
    with replacing(csv) as temporary:
        table.to_csv(temporary, index=False)
    with replacing(parquet) as temporary:
        table.to_parquet(temporary, index=False)
    return csv, parquet
