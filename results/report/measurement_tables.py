"""Every measurement as a table: ``trials.csv`` and ``trials.parquet``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from search_space.files import replacing
from searcher.record import Measurement
from searcher.record.frame import frame


def write_tables(measurements: Iterable[Measurement], folder: Path) -> tuple[Path, Path]:
    """Write ``trials.csv`` and ``trials.parquet`` into ``folder``, and return their paths."""
    table = frame(measurements)
    csv, parquet = folder / "trials.csv", folder / "trials.parquet"
    with replacing(csv) as temporary:
        table.to_csv(temporary, index=False)
    with replacing(parquet) as temporary:
        table.to_parquet(temporary, index=False)
    return csv, parquet
