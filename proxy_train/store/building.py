"""Stores while they are made: one process at a time makes one, and resumes the work of a killed one.

The folder is beside the store's own name and takes it when all is done. Every chunk that is decoded is
noted with checksums, so that work of a killed process is used only where it reached the disk.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import numpy as np

from proxy_train.data.dataset import Dataset
from proxy_train.processes import map_in_processes
from proxy_train.store.decoding import (
    CHUNK,
    Clips,
    DecodeChunk,
    Decoded,
    DecodePlan,
    decode_apart,
    decode_chunk,
)
from proxy_train.store.meta import READING
from search_space.errors import DataError
from search_space.files import sync
from search_space.json_files import from_json, to_json
from search_space.progress import ProgressCallback

_LOG = logging.getLogger(__name__)
_JOURNAL = f"decoded-{READING}.jsonl"
"""What earlier versions have begun is begun anew: they may have read videos otherwise."""
_LOCK = "lock"
_TRIES = 100


def building_folder(store: Path) -> Path:
    """Return the folder where this machine makes a store: other machines' processes do not see its locks."""
    return store.parent / f".{store.name}.{socket.gethostname()}.building"


@contextmanager
def locked(building: Path) -> Iterator[None]:
    """Lock the building folder for the block; wait for another process that works in it."""
    handle = _lock(building)
    try:
        yield
    finally:
        handle.close()


def _lock(building: Path) -> IO[str]:
    warned, tries = False, 0
    while True:
        try:
            building.mkdir(parents=True, exist_ok=True)
            handle = (building / _LOCK).open("w", encoding="utf-8")
        except (FileNotFoundError, FileExistsError) as error:
            # The folder has just become the store; or nothing can be made there, however often one tries.
            tries += 1
            if tries > _TRIES:
                raise DataError(
                    f"{building.parent} cannot be written: {error.strerror}", hint="give another cache"
                ) from error
            time.sleep(0.01)
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # What was locked may be the file of a folder that has become the store meanwhile.
            if os.fstat(handle.fileno()).st_ino == (building / _LOCK).stat().st_ino:
                return handle
        except FileNotFoundError:
            pass
        except BlockingIOError:
            if not warned:
                _LOG.warning("another process prepares %s: waiting for it", building.name)
                warned = True
            time.sleep(0.2)
        handle.close()


def finish(building: Path, store: Path) -> None:
    """Turn the folder into the store, on the disk."""
    for path in building.glob("*.npy"):
        sync(path)
    (building / _LOCK).unlink()
    # Another machine may have been faster; its store holds the same.
    with suppress(OSError):
        building.rename(store)
    shutil.rmtree(building, ignore_errors=True)


def decode_all(
    building: Path,
    dataset: Dataset,
    plan: DecodePlan,
    workers: int,
    progress: ProgressCallback,
    *,
    on_demand: bool = False,
) -> list[Decoded]:
    """Decode what no earlier process has; in the end every video is in the folder's ``.npy`` files.

    Args:
        building: folder in which the store is made.
        dataset: the labelled videos.
        plan: the part of every video to keep.
        workers: processes that decode.
        progress: callback that gets the number of videos that are decoded.
        on_demand: make no ``.npy`` files: only the facts about the videos are kept.

    Raises:
        DataError: there is no space on the disk.
    """
    files = {name: building / f"{name}.npy" for name, items in dataset.items.items() if items}
    shapes = {name: (len(dataset.items[name]), plan.keep, plan.side, plan.side, 3) for name in files}
    arrays: dict[str, Clips] = {}
    if not on_demand:
        _require_space(building, shapes)
        arrays = {name: _open_array(path, shapes[name]) for name, path in files.items()}
    chunks = {
        (name, first): DecodeChunk(
            path, first, tuple(dataset.items[name][first : first + CHUNK]), plan, on_demand
        )
        for name, path in files.items()
        for first in range(0, shapes[name][0], CHUNK)
    }
    finished = _read_journal(building, chunks, arrays)
    count = sum(len(chunk.lengths) for chunk in finished.values())
    total = sum(len(chunk.items) for chunk in chunks.values())
    progress(count, total)
    open_chunks = [chunk for key, chunk in chunks.items() if key not in finished]
    with (building / _JOURNAL).open("a", encoding="utf-8") as journal:
        for decoded in map_in_processes(decode_chunk, open_chunks, workers, blame=decode_apart):
            journal.write(_journal_line(decoded))
            journal.flush()
            finished[decoded.split, decoded.first] = decoded
            count += len(decoded.lengths)
            progress(count, total)
    return [finished[key] for key in chunks]


def _open_array(path: Path, shape: tuple[int, ...]) -> Clips:
    """Map the file's clips, and make it if it does not exist. What is never written of it takes no space."""
    with suppress(FileNotFoundError, ValueError, EOFError):
        clips: Clips = np.load(path, mmap_mode="r", allow_pickle=False)
        if clips.shape == shape and clips.dtype == np.uint8:
            return clips
    empty: Clips = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    return empty


def _read_journal(
    building: Path, chunks: Mapping[tuple[str, int], DecodeChunk], arrays: Mapping[str, Clips]
) -> dict[tuple[str, int], Decoded]:
    """Return the chunks that an earlier process decoded and that are whole; keep their lines alone."""
    path = building / _JOURNAL
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    finished: dict[tuple[str, int], Decoded] = {}
    for line in lines:
        try:
            decoded = from_json(json.loads(line), Decoded, where=str(path), error=DataError, hint="")
        except ValueError:
            continue  # a kill tore it
        chunk = chunks.get((decoded.split, decoded.first))
        whole = chunk is not None and len(decoded.lengths) == len(chunk.items)
        if whole and (not arrays or decoded.is_in(arrays[decoded.split])):
            finished[decoded.split, decoded.first] = decoded
    path.write_text("".join(map(_journal_line, finished.values())), encoding="utf-8")
    return finished


def _journal_line(decoded: Decoded) -> str:
    return json.dumps(to_json(decoded)) + "\n"


def _require_space(building: Path, shapes: Mapping[str, tuple[int, ...]]) -> None:
    needed = sum(int(np.prod(shape)) for shape in shapes.values())
    needed -= sum(path.stat().st_blocks * 512 for path in building.glob("*.npy"))
    free = shutil.disk_usage(building).free
    if needed > free:
        raise DataError(
            f"{building.parent}: prepared data needs {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free",
            hint="use a smaller size, fps or data.seconds, or another data.cache",
        )
