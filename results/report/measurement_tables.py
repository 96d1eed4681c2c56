"""Measurements as tables: all in ``trials.csv`` and ``trials.parquet``, confirmed candidates in one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from search_space.files import replacing
from searcher.plan.confirmation import Confirmed
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
    # pyarrow cannot open paths of every file system's names.
    with replacing(parquet) as temporary, temporary.open("wb") as file:
        table.to_parquet(file, index=False)
    return csv, parquet


def write_confirmed(candidates: Sequence[Confirmed], folder: Path) -> Path:
    """Write ``confirmed.csv`` into ``folder``, and return its path; the cheapest candidate comes first.

    Its columns are ``digest``, ``macs``, ``top1`` (mean, a fraction), ``spread`` (sample standard deviation;
    missing for one training), ``trainings``, ``on_frontier``, ``chance`` (to be on the frontier of the true
    means), ``ties`` (digests with spaces between them) and ``architecture``.
    """
    table = pd.DataFrame(
        {
            "digest": [candidate.digest for candidate in candidates],
            "macs": [candidate.macs for candidate in candidates],
            "top1": [candidate.mean for candidate in candidates],
            "spread": [candidate.std for candidate in candidates],
            "trainings": [candidate.count for candidate in candidates],
            "on_frontier": [candidate.on_frontier for candidate in candidates],
            "chance": [candidate.chance for candidate in candidates],
            "ties": [" ".join(candidate.ties) for candidate in candidates],
            "architecture": [candidate.architecture for candidate in candidates],
        }
    )
    path = folder / "confirmed.csv"
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False)
    return path
