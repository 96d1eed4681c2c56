"""The scores of an evaluation on disk: append-only parts in Parquet, and a header that says of what.

Every part is whole or absent. Another evaluation of the same network, weights, videos and views resumes; one
of anything else is refused with what differs.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from proxy_train.evaluation.scoring import Scored
from search_space.errors import RecordError
from search_space.files import replacing, write_json
from search_space.json_files import read_json, to_json

HEADER, PARTS = "header.json", "scores"
_FORMAT = "movinas-scores-1"
_LOCK = ".lock"
__all__ = ["HEADER", "PARTS", "ScoreHeader", "ScoreRecord", "Scored", "is_header"]
_HINT = "give another folder, or remove this one"
_SCHEMA = pa.schema([("id", pa.string()), ("fault", pa.string()), ("logits", pa.list_(pa.float32()))])


@dataclass(frozen=True, slots=True)
class ScoreHeader:
    """The identity of scores: whatever they depend on.

    Args:
        network: digest of the architecture, or of an export's file.
        weights: digest of the weights.
        runtime: name of what computes: ``pytorch``, or an export's runtime.
        data: name of the data set.
        data_digest: digest of its videos, labels and splits.
        split: name of the split.
        videos: number of its videos that are scored.
        clip: shape of the clips, as FRAMESxSIZExFPS.
        side: pixels of the short side of the frames that clips are cut from.
        views: views of a video, as CLIPSxCROPS or ``whole``.
        stream: whether clips are fed frame by frame.
        outputs: number of the network's outputs in each group.
        kind: meaning of the outputs, as ``Head.kind``.
    """

    network: str
    weights: str
    runtime: str
    data: str
    data_digest: str
    split: str
    videos: int
    clip: str
    side: int
    views: str
    stream: bool
    outputs: tuple[int, ...]
    kind: str


class ScoreRecord:
    """The scores of one evaluation, open for appending; made by :meth:`open`.

    Args:
        folder: folder of the header and the parts.

    Attributes:
        ids: identities of the videos that have scores. Those that could not be read are not among them: a
            disk that failed once would leave them out for ever.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._parts = sorted((folder / PARTS).glob("part-*.parquet"))
        self.ids: set[str] = set()
        for part in self._parts:
            table = _read(part, ["id", "fault"])
            self.ids.update(_scored(table["id"].to_pylist(), table["fault"].to_pylist()))

    @classmethod
    @contextmanager
    def open(cls, folder: Path, header: ScoreHeader) -> Iterator[ScoreRecord]:
        """Open the scores in a folder, which is made if it does not exist, for the block.

        Raises:
            RecordError: the folder holds scores of something else, or another process writes into it.
        """
        (folder / PARTS).mkdir(parents=True, exist_ok=True)
        with (folder / _LOCK).open("w", encoding="utf-8") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise RecordError(
                    f"{folder}: another process evaluates into it", hint="wait for it, or give another folder"
                ) from error
            if (folder / HEADER).is_file():
                _require_same(folder, header)
            else:
                write_json(folder / HEADER, {"format": _FORMAT, **to_json(header)})
            yield cls(folder)

    def append(self, scores: Sequence[Scored]) -> None:
        """Write a part with the scores of some videos."""
        if not scores:
            return
        ids = [scored.id for scored in scores]
        columns: list[list[Any]] = [
            ids,
            [scored.fault for scored in scores],
            [None if scored.logits is None else scored.logits.astype(np.float32) for scored in scores],
        ]
        table = pa.Table.from_arrays(
            [pa.array(column, kind.type) for column, kind in zip(columns, _SCHEMA, strict=True)],
            schema=_SCHEMA,
        )
        # Not their number: a damaged part may have been removed.
        last = int(self._parts[-1].stem.removeprefix("part-")) if self._parts else -1
        path = self.folder / PARTS / f"part-{last + 1:05d}.parquet"
        with replacing(path) as temporary:
            pq.write_table(table, temporary)
        self._parts.append(path)
        self.ids.update(_scored(ids, columns[1]))

    def scores(self) -> Iterator[Scored]:
        """Yield everything that is recorded, part by part; of a video tried again the last counts."""
        for part in self._parts:
            table = _read(part)
            logits = table["logits"].combine_chunks()
            for row, (name, fault) in enumerate(
                zip(table["id"].to_pylist(), table["fault"].to_pylist(), strict=True)
            ):
                values = logits[row].values
                yield Scored(name, None if values is None else values.to_numpy(), fault or "")


def _scored(ids: Sequence[str], faults: Sequence[str | None]) -> Iterator[str]:
    """Yield the identities of videos without a fault."""
    return (name for name, fault in zip(ids, faults, strict=True) if not fault)


def is_header(path: Path) -> bool:
    """Return whether a file is the header of scores: its folder may be written into."""
    try:
        _header(path)
    except RecordError:
        return False
    return True


def _header(path: Path) -> ScoreHeader:
    return read_json(path, ScoreHeader, error=RecordError, hint=_HINT, format=_FORMAT)


def _require_same(folder: Path, header: ScoreHeader) -> None:
    found = _header(folder / HEADER)
    for entry in fields(ScoreHeader):
        there, here = getattr(found, entry.name), getattr(header, entry.name)
        if there != here:
            raise RecordError(
                f"{folder} holds scores of other {entry.name.replace('_', ' ')}: {there} there, {here} here",
                hint=_HINT,
            )


def _read(part: Path, columns: list[str] | None = None) -> pa.Table:
    try:
        return pq.read_table(part, columns=columns)
    except (OSError, pa.ArrowException) as error:
        raise RecordError(
            f"{part} is damaged: {error}", hint="remove it: its videos are scored again"
        ) from error
