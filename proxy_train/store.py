"""Videos decoded once into a memory-mapped store that every worker of a machine shares without copying.

A store is a folder: ``meta.json`` and, for each split, ``<split>.npy``, uint8 (videos, frames, side, side,
3). Its name is a digest of all that went into it, so that it is found again. It appears under that name only
when it is whole.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from proxy_train import video
from proxy_train.atomic import write_json
from proxy_train.labels import LabelsKind, Targets, class_counts, label_from_json, label_json, target_array
from proxy_train.pool import Progress, each, silent
from proxy_train.video_item import Dataset, VideoItem
from search_space.errors import DataError

_VERSION = 1
_CHUNK = 16


@dataclass(frozen=True, slots=True)
class Split:
    """The prepared clips of one split, broken videos left out.

    Args:
        clips: mapped read-only, shape (videos, frames, side, side, 3); broken videos have rows in it too.
        rows: where each clip is in ``clips``.
        labels: of each clip: int64 (clips,); or for multi float32 (clips, classes) of zeros and ones; or for
        verb_noun int64 (clips, 2). See ``PreparedData.labels_kind``.
        lengths: frames of each clip.
        ids: of each clip's video.
    """

    clips: npt.NDArray[np.uint8]
    rows: npt.NDArray[np.int64]
    labels: Targets
    lengths: npt.NDArray[np.int64]
    ids: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class PreparedData:
    """A store, opened; pickling it sends its path alone.

    Args:
        path: its folder.
        name: of the data set.
        classes: names of a network's outputs: the classes, by label; for verb_noun the verbs, then the nouns.
        frames: of a training clip.
        size: pixels of a training clip's side; stored frames are ``side`` pixels wide.
        fps: frames a second.
        splits: by name.
        flips_change_labels: mirroring is not allowed.
        broken: videos left out, each with the reason.
        labels_kind: of every clip's label.
        verbs: how many of ``classes`` are verbs; 0 unless labels are verb_noun.
    """

    path: Path
    name: str
    classes: tuple[str, ...]
    frames: int
    size: int
    side: int
    fps: float
    splits: Mapping[str, Split]
    flips_change_labels: bool
    broken: tuple[tuple[str, str], ...]
    labels_kind: LabelsKind = "single"
    verbs: int = 0

    @property
    def class_counts(self) -> int | tuple[int, int]:
        """The number of classes, or (verbs, nouns)."""
        return class_counts(self.labels_kind, len(self.classes), self.verbs)

    @classmethod
    def open(cls, path: Path) -> PreparedData:
        """Maps a store that ``prepare`` made; raises DataError if there is none."""
        try:
            meta: dict[str, Any] = json.loads((path / "meta.json").read_text())
        except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError) as error:
            raise DataError(f"{path}: no prepared data there", hint="prepare the data set again") from error
        kind: LabelsKind = meta.get("labels_kind", "single")
        outputs = len(meta["classes"])
        return cls(
            path=path,
            name=meta["name"],
            classes=tuple(meta["classes"]),
            frames=meta["frames"],
            size=meta["size"],
            side=meta["side"],
            fps=meta["fps"],
            splits={
                name: _open_split(path, name, part, kind, outputs) for name, part in meta["splits"].items()
            },
            flips_change_labels=meta["flips_change_labels"],
            broken=tuple((file, reason) for file, reason in meta["broken"]),
            labels_kind=kind,
            verbs=meta.get("verbs", 0),
        )

    def split(self, name: str) -> Split:
        """The split, or DataError if the data set has none of that name."""
        if name not in self.splits or not len(self.splits[name]):
            raise DataError(f"{self.name}: no {name} split", hint=f"it has {', '.join(self.splits)}")
        return self.splits[name]

    def __reduce__(self) -> tuple[Any, ...]:
        return (PreparedData.open, (self.path,))


def prepare(
    dataset: Dataset,
    *,
    frames: int,
    size: int,
    fps: float,
    cache: Path,
    workers: int = 1,
    progress: Progress = silent,
    refuse_broken: bool = False,
) -> PreparedData:
    """Decodes every video once at ``fps`` and ``size`` and opens the store; at once if it is there already.

    Videos that cannot be read are left out and listed in ``broken``.

    Args:
        frames: of a training clip; each video keeps at least so many if it has them.
        cache: the store is a folder below it.
        refuse_broken: raise for them instead.

    Raises:
        DataError: unreadable videos (if refused), nothing readable in train or val, or no space on the disk.
    """
    digest = hashlib.sha256(json.dumps([_VERSION, dataset.digest, frames, size, fps]).encode()).hexdigest()[
        :16
    ]
    path = cache / "prepared" / f"{dataset.name}-f{frames}-s{size}-{fps:g}fps-{digest}"
    if not (path / "meta.json").is_file():
        plan = _Plan.of(dataset, frames, size, fps)
        _require_space(path.parent, plan.bytes_a_video * sum(map(len, dataset.items.values())))
        with _building(path) as building:
            _decode_all(building, dataset, plan, workers, progress)
    data = PreparedData.open(path)
    if data.broken and refuse_broken:
        raise DataError(_broken_message(data.broken), hint="remove them, or set data.broken to skip")
    return data


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is kept of every video: ``keep`` frames of ``side`` pixels."""

    frames: int
    size: int
    side: int
    fps: float
    keep: int

    @classmethod
    def of(cls, dataset: Dataset, frames: int, size: int, fps: float) -> _Plan:
        keep = max(frames, math.floor(dataset.seconds * fps + 1e-6))
        return cls(frames, size, size + round(size * dataset.margin), fps, keep)

    @property
    def bytes_a_video(self) -> int:
        return self.keep * self.side * self.side * 3


@dataclass(frozen=True, slots=True)
class _Chunk:
    file: Path
    first: int
    items: tuple[VideoItem, ...]
    plan: _Plan


def _decode_all(building: Path, dataset: Dataset, plan: _Plan, workers: int, progress: Progress) -> None:
    lengths: dict[str, npt.NDArray[np.int64]] = {}
    chunks: list[_Chunk] = []
    for name, items in dataset.items.items():
        if not items:
            continue
        shape = (len(items), plan.keep, plan.side, plan.side, 3)
        # Never written parts (of short or broken videos) are holes that take no space.
        np.lib.format.open_memmap(building / f"{name}.npy", mode="w+", dtype=np.uint8, shape=shape)
        lengths[name] = np.zeros(len(items), np.int64)
        chunks += [
            _Chunk(building / f"{name}.npy", first, tuple(items[first : first + _CHUNK]), plan)
            for first in range(0, len(items), _CHUNK)
        ]
    total, done = sum(len(chunk.items) for chunk in chunks), 0
    broken: list[tuple[str, str]] = []
    progress(0, total)
    for split, first, counts, reasons in each(_decode_chunk, chunks, workers):
        lengths[split][first : first + len(counts)] = counts
        broken += reasons
        done += len(counts)
        progress(done, total)
    _write_meta(building, dataset, plan, lengths, sorted(broken))


def _decode_chunk(chunk: _Chunk) -> tuple[str, int, list[int], list[tuple[str, str]]]:
    clips = np.lib.format.open_memmap(chunk.file, mode="r+")
    lengths: list[int] = []
    broken: list[tuple[str, str]] = []
    for index, item in enumerate(chunk.items, chunk.first):
        try:
            decoded = _decode(item, chunk.plan)
        except DataError as error:
            broken.append((item.id, error.message))
            lengths.append(0)
            continue
        clips[index, : len(decoded)] = decoded
        lengths.append(len(decoded))
    return chunk.file.stem, chunk.first, lengths, broken


def _decode(item: VideoItem, plan: _Plan) -> npt.NDArray[np.uint8]:
    """The middle ``plan.keep`` frames of an item."""
    start, seconds = item.start or 0.0, plan.keep / plan.fps
    end = item.end if item.end is not None else video.probe(item.path).duration
    if end - start > seconds:
        start += (end - start - seconds) / 2
    return video.read_frames(item.path, start, item.end, plan.fps, plan.side, limit=plan.keep)


def _write_meta(
    building: Path,
    dataset: Dataset,
    plan: _Plan,
    lengths: Mapping[str, npt.NDArray[np.int64]],
    broken: list[tuple[str, str]],
) -> None:
    for name in ("train", "val"):
        if not lengths[name].any():
            raise DataError(
                f"{dataset.name}: no readable video in its {name} split: {_broken_message(broken)}"
            )
    splits = {
        name: {
            "ids": [item.id for item in dataset.items[name]],
            "labels": [label_json(item.label) for item in dataset.items[name]],
            "lengths": counts.tolist(),
        }
        for name, counts in lengths.items()
    }
    meta = {
        "name": dataset.name,
        "digest": dataset.digest,
        "classes": list(dataset.classes),
        "frames": plan.frames,
        "size": plan.size,
        "side": plan.side,
        "fps": plan.fps,
        "flips_change_labels": dataset.flips_change_labels,
        "labels_kind": dataset.labels_kind,
        "verbs": dataset.verbs,
        "broken": broken,
        "splits": splits,
    }
    write_json(building / "meta.json", meta)


def _open_split(path: Path, name: str, part: Mapping[str, Any], kind: LabelsKind, outputs: int) -> Split:
    lengths = np.array(part["lengths"], np.int64)
    rows = np.flatnonzero(lengths)
    return Split(
        np.load(path / f"{name}.npy", mmap_mode="r", allow_pickle=False),
        rows,
        target_array([label_from_json(part["labels"][row]) for row in rows], kind, outputs),
        lengths[rows],
        tuple(part["ids"][row] for row in rows),
    )


@contextmanager
def _building(path: Path) -> Iterator[Path]:
    """A folder of this process's own that takes the name ``path`` when the block ends well."""
    prefix = f".{path.name}.{socket.gethostname()}."
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f"{prefix}*"):
        if not _alive(int(left.name.removeprefix(prefix))):
            shutil.rmtree(left, ignore_errors=True)
    building = path.parent / f"{prefix}{os.getpid()}"
    building.mkdir(exist_ok=True)
    try:
        yield building
        # Another process may have been faster; its store holds the same.
        with suppress(OSError):
            building.rename(path)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _require_space(folder: Path, needed: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(
            f"{folder}: prepared data needs {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free",
            hint="use a smaller size, fps or data.seconds, or another data.cache",
        )


def _broken_message(broken: tuple[tuple[str, str], ...] | list[tuple[str, str]]) -> str:
    shown = "; ".join(reason for _, reason in broken[:5])
    return f"{len(broken)} unreadable videos: {shown}{'; ...' if len(broken) > 5 else ''}"
