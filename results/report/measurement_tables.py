"""Every measurement as a table: ``trials.csv`` and ``trials.parquet``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from search_space.files import replacing
from searcher.record import Measurement
from searcher.record.frame import frame


def write_tables(
    measurements: Iterable[Measurement], folder: Path, origins: Mapping[str, str] | None = None
) -> tuple[Path, Path]:
    """Write ``trials.csv`` and ``trials.parquet`` into ``folder``, and return their paths.

    Args:
        measurements: measurements of a record.
        folder: folder of the files.
        origins: where networks come from that the search began with, in words, by digest; if there are any,
            a column ``origin`` has it, and ``searched`` for all others.
    """
    table = frame(measurements)
    if origins:
        table["origin"] = [origins.get(digest, "searched") for digest in table["digest"]]
    csv, parquet = folder / "trials.csv", folder / "trials.parquet"
    with replacing(csv) as temporary:
        table.to_csv(temporary, index=False)
    with replacing(parquet) as temporary:
        table.to_parquet(temporary, index=False)
    return csv, parquet
