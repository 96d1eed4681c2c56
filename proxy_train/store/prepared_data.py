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
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from proxy_train.data.dataset import Dataset, LeftOut, VideoItem
from proxy_train.data.labels import LabelsKind, class_counts, target_array
from proxy_train.store.building import building_folder, decode_all, finish, locked
from proxy_train.store.clip_origins import ClipOrigins
from proxy_train.store.decoding import Clips, Decoded, DecodePlan, checksum
from proxy_train.store.earlier_reading import is_outdated
from proxy_train.store.meta import READING, SplitMeta, StoreMeta, read_meta, write_meta
from proxy_train.store.split import Split
from search_space.errors import DataError
from search_space.file_kind import obstacle
from search_space.files import write_json
from search_space.progress import ProgressCallback, ignore_progress

Entry = TypeVar("Entry")

_VERSION = 1
_LOG = logging.getLogger(__name__)
_VERIFIED = "verified.json"
_ON_DEMAND = "-videos"


@dataclass(frozen=True)
class PreparedData:
    """A store, opened; pickling it sends its path alone.

    Args:
        path: folder of the store.
        name: name of the data set.
        classes: names of a network's outputs: the classes, by label; for verb_noun the verbs, then the nouns.
        frames: frames of a training clip.
        size: pixels of a training clip's side.
        side: pixels of a stored frame's side.
        fps: frames a second.
        splits: the splits by name.
        flips_change_labels: whether a mirrored clip would have another label.
        broken: videos that are left out because they cannot be read.
        labels_kind: kind of every clip's label.
        verbs: number of verbs among ``classes``; 0 unless labels are verb_noun.
        doubtful: videos that are used in spite of a fault.
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
        """A text for the content; the same whether clips are stored or decoded on demand."""
        return self.path.name.removesuffix(_ON_DEMAND)

    @property
    def class_counts(self) -> int | tuple[int, int]:
        """The number of classes, or (verbs, nouns)."""
        return class_counts(self.labels_kind, len(self.classes), self.verbs)

    @classmethod
    def open(cls, path: Path) -> PreparedData:
        """Map a store that ``prepare`` made.

        Raises:
            DataError: there is none, or it is damaged.
        """
        meta = read_meta(path)
        data = cls(
            path=path,
            name=meta.name,
            classes=meta.classes,
            frames=meta.frames,
            size=meta.size,
            side=meta.side,
            fps=meta.fps,
            splits={name: _open_split(path, name, meta) for name in meta.splits},
            flips_change_labels=meta.flips_change_labels,
            broken=meta.broken,
            labels_kind=meta.labels_kind,
            verbs=meta.verbs,
            doubtful=meta.doubtful,
        )
        if not meta.direct and _stamps(path, meta) != _verified_stamps(path):
            data._verify(meta)
        return data

    def _verify(self, meta: StoreMeta) -> None:
        """Read every clip, and note that the files are right as they are now; raise DataError if not."""
        for name, split in self.splits.items():
            expected = np.array(meta.splits[name].checksums, np.int64)[split.rows]
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
        """Return a split.

        Raises:
            DataError: the data set has none of that name.
        """
        if name not in self.splits or not len(self.splits[name]):
            raise DataError(f"{self.name}: no {name} split", hint=f"it has {', '.join(self.splits)}")
        return self.splits[name]

    def readable(self, dataset: Dataset) -> Dataset:
        """Return the data set, which this store was made of, without the videos that cannot be read."""
        ids = {name: frozenset(split.ids) for name, split in self.splits.items()}
        items = {
            name: tuple(item for item in items if item.id in ids.get(name, ()))
            for name, items in dataset.items.items()
        }
        return replace(dataset, items=items)

    def require_scorable(self, dataset: Dataset) -> None:
        """Require of the videos that can be read what ``Dataset`` requires of those that are listed.

        Raises:
            DataError: without the others, the data set, which this store was made of, could not be trained
                on, or figures would say nothing of a network.
        """
        readable = self.readable(dataset)
        try:
            readable.require_trainable()
            readable.require_scorable()
        except DataError as error:
            raise DataError(
                f"{error.message}, without its {_broken_message(self.broken)}",
                hint=f"replace those files; or {error.hint}",
            ) from error

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
    """Decode every video once at ``fps`` and ``size``, and open the store; at once if it exists already.

    Interrupted or killed, it resumes where it was; of a damaged store it decodes what is damaged. Videos that
    cannot be read are left out and listed in ``broken``. The nine parameters are independent of each other.

    Args:
        dataset: the labelled videos.
        frames: frames of a training clip; each video keeps at least this many if it has them.
        size: pixels of a training clip's side.
        fps: frames a second.
        cache: folder below which the store's folder is made.
        workers: processes that decode.
        progress: callback that gets the number of videos that are decoded.
        refuse_broken: raise for videos that cannot be read.
        on_demand: keep no frames, only the facts about every video: clips are decoded when they are read,
            and are those of the store to the last bit.

    Raises:
        DataError: unreadable videos (if refused), nothing readable in train or val, or no space on the disk.
    """
    dataset.require_trainable()
    path = _store_path(dataset, frames, size, fps, cache.expanduser() / "prepared", workers)
    path = path.with_name(path.name + _ON_DEMAND) if on_demand else path
    data = _open_if_whole(path)
    if data is None:
        why = obstacle(path.parent.absolute())
        if why:
            raise DataError(f"the cache {path.parent} cannot be written: {why}", hint="give another cache")
        building = building_folder(path)
        with locked(building):
            data = _open_if_whole(path)
            if data is not None:
                shutil.rmtree(building)  # another process has made it while this one waited
            else:
                _take_apart(path, building)
                plan = DecodePlan.of(dataset, frames, size, fps)
                decoded = decode_all(building, dataset, plan, workers, progress, on_demand=on_demand)
                _write_facts(building, dataset, plan, decoded, on_demand=on_demand)
                finish(building, path)
        data = data or PreparedData.open(path)
    if data.broken and refuse_broken:
        raise DataError(_broken_message(data.broken), hint="remove them, or set data.broken to skip")
    return data


def _store_path(dataset: Dataset, frames: int, size: int, fps: float, folder: Path, workers: int) -> Path:
    """Return the folder of a store; its name is another one if an earlier version's store is outdated."""

    def named(version: int) -> Path:
        facts = json.dumps([version, dataset.digest, frames, size, fps])
        digest = hashlib.sha256(facts.encode()).hexdigest()[:16]
        return folder / f"{dataset.name}-f{frames}-s{size}-{fps:g}fps-{digest}"

    def forms(path: Path) -> tuple[Path, Path]:
        return path, path.with_name(path.name + _ON_DEMAND)

    usual, other = named(_VERSION), named(READING)
    if any(path.exists() for path in forms(other)):
        return other
    videos = [item.video for items in dataset.items.values() for item in items]
    return other if any(is_outdated(path, videos, workers) for path in forms(usual)) else usual


def _open_if_whole(path: Path) -> PreparedData | None:
    """Return the store if it exists and is right."""
    if not path.exists():
        return None
    try:
        return PreparedData.open(path)
    except DataError as error:
        _LOG.warning("%s; preparing it again", error.message)
        return None


def _take_apart(path: Path, building: Path) -> None:
    """Move the files of a damaged store to where a store is made, to use again what is right."""
    if path.exists():
        for file in path.iterdir():
            file.replace(building / file.name)
        path.rmdir()


def _write_facts(
    building: Path, dataset: Dataset, plan: DecodePlan, decoded: Sequence[Decoded], *, on_demand: bool
) -> None:
    broken = tuple(sorted(video for chunk in decoded for video in chunk.broken))
    splits = {
        name: _split_meta(building, name, items, [chunk for chunk in decoded if chunk.split == name])
        for name, items in dataset.items.items()
        if items
    }
    for name in ("train", "val"):
        if not any(splits[name].lengths):
            shutil.rmtree(building)
            raise DataError(
                f"{dataset.name}: no readable video in its {name} split: {_broken_message(broken)}",
                hint="replace those files",
            )
    meta = StoreMeta(
        name=dataset.name,
        digest=dataset.digest,
        classes=dataset.classes,
        frames=plan.frames,
        size=plan.size,
        side=plan.side,
        fps=plan.fps,
        flips_change_labels=dataset.flips_change_labels,
        labels_kind=dataset.labels_kind,
        verbs=dataset.verbs,
        direct=on_demand,
        broken=broken,
        doubtful=tuple(sorted(video for chunk in decoded for video in chunk.doubtful)),
        splits=splits,
        reading=READING,
    )
    write_meta(building, meta)
    if not on_demand:
        write_json(building / _VERIFIED, _stamps(building, meta))


def _split_meta(
    building: Path, name: str, items: Sequence[VideoItem], decoded: Sequence[Decoded]
) -> SplitMeta:
    """Return the facts of a split, and write the origins of its clips."""

    def joined(entries: Callable[[Decoded], list[Entry]]) -> tuple[Entry, ...]:
        return tuple(entry for chunk in decoded for entry in entries(chunk))

    return SplitMeta(
        ids=tuple(item.id for item in items),
        labels=tuple(item.label for item in items),
        lengths=joined(lambda chunk: chunk.lengths),
        checksums=joined(lambda chunk: chunk.checksums),
        places=ClipOrigins.write(building / f"{name}.jsonl", items, joined(lambda chunk: chunk.places)),
    )


def _stamps(path: Path, meta: StoreMeta) -> dict[str, list[int]]:
    """Return size and time of every file of clips."""
    stats = {name: (path / f"{name}.npy").stat() for name in meta.splits}
    return {name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()}


def _verified_stamps(path: Path) -> Any:
    """Return the stamps of files that have been read through, or None."""
    try:
        return json.loads((path / _VERIFIED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _open_split(path: Path, name: str, meta: StoreMeta) -> Split:
    part = meta.splits[name]
    lengths = np.array(part.lengths, np.int64)
    rows = np.flatnonzero(lengths)
    if part.places is None and meta.direct:
        raise DataError(f"{path}: of another version", hint="prepare the data set again")
    return Split(
        clips=(
            np.empty((0, 0, meta.side, meta.side, 3), np.uint8)
            if meta.direct
            else _map_clips(path / f"{name}.npy", len(lengths))
        ),
        rows=rows,
        labels=target_array([part.labels[row] for row in rows], meta.labels_kind, len(meta.classes)),
        lengths=lengths[rows],
        ids=tuple(part.ids[row] for row in rows),
        origins=(
            None
            if part.places is None
            else ClipOrigins.open(path / f"{name}.jsonl", part.places, meta.fps, meta.side)
        ),
    )


def _map_clips(file: Path, count: int) -> Clips:
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
