"""Videos decoded once into a memory-mapped store that every worker of a machine shares without copying.

A store is a folder: ``meta.json`` and, for each split, ``<split>.npy``, uint8 (videos, frames, side, side,
3). Its name is a digest of all that went into it, so that it is found again. It appears under that name only
when it is whole. Checksums tell whether it still is: files that have changed since they were last found
right are read through before they are used.

Beside the clips of a split, ``<split>.jsonl`` says where they are in their videos. Prepared on demand, the
folder has no clips: each is decoded when it is read.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from proxy_train.data.dataset import Dataset, LeftOut
from proxy_train.data.labels import LabelsKind, class_counts, label_from_json, label_json, target_array
from proxy_train.store.building import building_folder, decode_all, finish, locked
from proxy_train.store.decoding import Clips, Decoded, Plan, checksum
from proxy_train.store.places import Places
from proxy_train.store.split import Split
from search_space.errors import DataError
from search_space.files import write_json
from search_space.progress import ProgressCallback, ignore_progress

_VERSION = 1
_LOG = logging.getLogger(__name__)
_VERIFIED = "verified.json"
_ON_DEMAND = "-videos"


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
        doubtful: videos that are used although something is wrong with them, each with what.
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
    broken: tuple[LeftOut, ...]
    labels_kind: LabelsKind = "single"
    verbs: int = 0
    doubtful: tuple[LeftOut, ...] = ()

    @property
    def identity(self) -> str:
        """A text for what is in it; the same whether clips are stored or decoded on demand."""
        return self.path.name.removesuffix(_ON_DEMAND)

    @property
    def class_counts(self) -> int | tuple[int, int]:
        """The number of classes, or (verbs, nouns)."""
        return class_counts(self.labels_kind, len(self.classes), self.verbs)

    @classmethod
    def open(cls, path: Path) -> PreparedData:
        """Maps a store that ``prepare`` made.

        Raises:
            DataError: there is none, or it is damaged.
        """
        meta = _read_meta(path)
        kind: LabelsKind = meta["labels_kind"]
        outputs = len(meta["classes"])
        data = cls(
            path=path,
            name=meta["name"],
            classes=tuple(meta["classes"]),
            frames=meta["frames"],
            size=meta["size"],
            side=meta["side"],
            fps=meta["fps"],
            splits={name: _open_split(path, name, meta, kind, outputs) for name in meta["splits"]},
            flips_change_labels=meta["flips_change_labels"],
            broken=tuple(LeftOut(*entry) for entry in meta["broken"]),
            labels_kind=kind,
            verbs=meta["verbs"],
            doubtful=tuple(LeftOut(*entry) for entry in meta["doubtful"]),
        )
        if not meta.get("direct") and _stamps(path, meta) != _verified(path):
            data._verify(meta)
        return data

    def _verify(self, meta: Mapping[str, Any]) -> None:
        """Reads every clip, and notes that the files are right as they are now; DataError if not."""
        for name, split in self.splits.items():
            expected = np.array(meta["splits"][name]["checksums"], np.int64)[split.rows]
            for place, (row, length) in enumerate(zip(split.rows, split.lengths, strict=True)):
                if checksum(split.clips[row, :length]) != expected[place]:
                    raise DataError(
                        f"{self.path / name}.npy: damaged at video {split.ids[place]}",
                        hint="prepare the data set again: only what is damaged is decoded",
                    )
        # A cache that cannot be written is read through by every process, and works.
        with suppress(OSError):
            write_json(self.path / _VERIFIED, _stamps(self.path, meta))

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
    progress: ProgressCallback = ignore_progress,
    refuse_broken: bool = False,
    on_demand: bool = False,
) -> PreparedData:
    """Decodes every video once at ``fps`` and ``size`` and opens the store; at once if it is there already.

    Interrupted or killed, it goes on where it was; of a store that was damaged it decodes what is damaged.
    Videos that cannot be read are left out and listed in ``broken``.

    Args:
        frames: of a training clip; each video keeps at least so many if it has them.
        cache: the store is a folder below it.
        refuse_broken: raise for them instead.
        on_demand: keep no frames, only the facts about every video: clips are decoded on
            demand, and are those of the store to the last bit.

    Raises:
        DataError: unreadable videos (if refused), nothing readable in train or val, or no space on the disk.
    """
    dataset.require_trainable()
    facts = json.dumps([_VERSION, dataset.digest, frames, size, fps])
    digest = hashlib.sha256(facts.encode()).hexdigest()[:16]
    name = f"{dataset.name}-f{frames}-s{size}-{fps:g}fps-{digest}"
    path = cache / "prepared" / (name + _ON_DEMAND if on_demand else name)
    data = _whole(path)
    if data is None:
        building = building_folder(path)
        with locked(building):
            data = _whole(path)
            if data is not None:
                shutil.rmtree(building)  # another process has made it while this one waited
            else:
                _take_apart(path, building)
                plan = Plan.of(dataset, frames, size, fps)
                decoded = decode_all(building, dataset, plan, workers, progress, on_demand=on_demand)
                _write_meta(building, dataset, plan, decoded, on_demand=on_demand)
                finish(building, path)
        data = data or PreparedData.open(path)
    if data.broken and refuse_broken:
        raise DataError(_broken_message(data.broken), hint="remove them, or set data.broken to skip")
    return data


def _whole(path: Path) -> PreparedData | None:
    """The store if it is there and right."""
    if not path.exists():
        return None
    try:
        return PreparedData.open(path)
    except DataError as error:
        _LOG.warning("%s; preparing it again", error.message)
        return None


def _take_apart(path: Path, building: Path) -> None:
    """What is right of a damaged store is used again."""
    if path.exists():
        for file in path.iterdir():
            file.replace(building / file.name)
        path.rmdir()


def _write_meta(
    building: Path, dataset: Dataset, plan: Plan, decoded: Sequence[Decoded], *, on_demand: bool
) -> None:
    broken = sorted(entry for chunk in decoded for entry in chunk.broken)
    splits: dict[str, dict[str, Any]] = {
        name: {
            "ids": [item.id for item in items],
            "labels": [label_json(item.label) for item in items],
            "lengths": [length for chunk in decoded if chunk.split == name for length in chunk.lengths],
            "checksums": [value for chunk in decoded if chunk.split == name for value in chunk.checksums],
            "places": Places.write(
                building / f"{name}.jsonl",
                items,
                (place for chunk in decoded if chunk.split == name for place in chunk.places),
            ),
        }
        for name, items in dataset.items.items()
        if items
    }
    for name in ("train", "val"):
        if not any(splits[name]["lengths"]):
            shutil.rmtree(building)
            raise DataError(
                f"{dataset.name}: no readable video in its {name} split: {_broken_message(broken)}"
            )
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
        "direct": on_demand,
        "broken": broken,
        "doubtful": sorted(entry for chunk in decoded for entry in chunk.doubtful),
        "splits": splits,
    }
    write_json(building / "meta.json", meta | {"checksum": _meta_checksum(meta)})
    if not on_demand:
        write_json(building / _VERIFIED, _stamps(building, meta))


def _read_meta(path: Path) -> dict[str, Any]:
    try:
        meta: dict[str, Any] = json.loads((path / "meta.json").read_text(encoding="utf-8"))
        told = meta.pop("checksum", None)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataError(f"{path}: no prepared data there", hint="prepare the data set again") from error
    except (ValueError, AttributeError) as error:
        raise DataError(
            f"{path / 'meta.json'}: damaged: {error}", hint="prepare the data set again"
        ) from error
    if told != _meta_checksum(meta):
        raise DataError(f"{path / 'meta.json'}: damaged, or of another version", hint="prepare it again")
    return meta


def _meta_checksum(meta: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(meta, sort_keys=True).encode())


def _stamps(path: Path, meta: Mapping[str, Any]) -> dict[str, list[int]]:
    """Size and time of every file of clips."""
    stats = {name: (path / f"{name}.npy").stat() for name in meta["splits"]}
    return {name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()}


def _verified(path: Path) -> Any:
    """The stamps of files that have been read through, or None."""
    try:
        return json.loads((path / _VERIFIED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _open_split(path: Path, name: str, meta: Mapping[str, Any], kind: LabelsKind, outputs: int) -> Split:
    part, side = meta["splits"][name], meta["side"]
    lengths = np.array(part["lengths"], np.int64)
    rows = np.flatnonzero(lengths)
    on_demand = meta.get("direct", False)
    clips = (
        np.empty((0, 0, side, side, 3), np.uint8) if on_demand else _map(path / f"{name}.npy", len(lengths))
    )
    # Stores of earlier versions do not say.
    crc = part.get("places")
    if crc is None and on_demand:
        raise DataError(f"{path}: of another version", hint="prepare the data set again")
    return Split(
        clips,
        rows,
        target_array([label_from_json(part["labels"][row]) for row in rows], kind, outputs),
        lengths[rows],
        tuple(part["ids"][row] for row in rows),
        None if crc is None else Places.open(path / f"{name}.jsonl", crc, meta["fps"], side),
    )


def _map(file: Path, count: int) -> Clips:
    try:
        clips: Clips = np.load(file, mmap_mode="r", allow_pickle=False)
        if clips.ndim != 5 or len(clips) != count or clips.dtype != np.uint8:
            raise ValueError(f"{clips.dtype} of shape {clips.shape}")
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{file}: damaged: {error}", hint="prepare the data set again") from error
    return clips


def _broken_message(broken: Sequence[LeftOut]) -> str:
    shown = "; ".join(reason for _, reason in broken[:5])
    return f"{len(broken)} unreadable videos: {shown}{'; ...' if len(broken) > 5 else ''}"
