"""Measurements as a pandas frame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd

from proxy_train.measurement import Measurement

_IDENTITY = ("digest", "purpose", "status", "seed", "fidelity", "epochs", "frames", "size", "share")
_METRICS = ("top1", "top5", "loss", "macs", "parameters", "state_bytes", "activation_bytes")
COLUMNS = (*_IDENTITY, *_METRICS, "seconds", "architecture", "reason")


def frame(measurements: Iterable[Measurement], states: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Return a frame with one row a measurement, in the order of completion.

    The columns are those of ``COLUMNS``, followed by any further metrics by name. A metric that was not
    measured is missing (NaN).

    Args:
        measurements: measurements of one record, or of several.
        states: states of the candidates by digest; if given, a column ``candidate`` holds the state of the
            one that was measured.
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
