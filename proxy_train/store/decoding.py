"""The part of each video that a store keeps, decoded chunk by chunk in worker processes."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from proxy_train.data.dataset import Dataset, LeftOut, VideoItem
from proxy_train.processes import run_in_process
from proxy_train.video.frame_files import stamp
from proxy_train.video.reading import CRASHES, measure_video, probe_video, read_stream
from search_space.errors import DataError

Clips = npt.NDArray[np.uint8]
Place = tuple[float, bool | None, int, int]
CHUNK = 16


@dataclass(frozen=True, slots=True)
class Plan:
    """What is kept of every video: ``keep`` frames of ``side`` pixels.

    Training clips of ``frames`` frames and ``size`` pixels are cut from it, at ``fps`` frames a second.
    """

    frames: int
    size: int
    side: int
    fps: float
    keep: int

    @classmethod
    def of(cls, dataset: Dataset, frames: int, size: int, fps: float) -> Plan:
        """For clips of that input."""
        keep = max(frames, math.floor(dataset.seconds * fps + 1e-6))
        return cls(frames, size, size + round(size * dataset.margin), fps, keep)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Videos of a split from ``first`` on, to be decoded into a ``.npy`` file unless read ``on_demand``."""

    file: Path
    first: int
    items: tuple[VideoItem, ...]
    plan: Plan
    on_demand: bool = False


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of a video: frames from ``begin`` (seconds) on, and what is doubtful about it, or ''."""

    frames: Clips
    begin: float
    doubt: str


@dataclass(frozen=True, slots=True)
class Decoded:
    """What became of a chunk.

    Args:
        split: whose.
        first: index of its first video.
        lengths: frames of each video; 0 if it cannot be read.
        checksums: CRC-32 of each video's frames.
        broken: id and reason of those that cannot be read.
        doubtful: id and fault of those that are used all the same.
        places: of each video: seconds at which what is kept begins; whether a seek into it leads to the same
            frames (None: nobody has tried); size and time of the file.
    """

    split: str
    first: int
    lengths: list[int]
    checksums: list[int]
    broken: list[LeftOut]
    doubtful: list[LeftOut]
    places: list[Place]

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Decoded:
        """The inverse of ``dataclasses.asdict``."""
        broken, doubtful = (
            [LeftOut(name, reason) for name, reason in value[key]] for key in ("broken", "doubtful")
        )
        places = [(begin, steady, size, time) for begin, steady, size, time in value["places"]]
        return cls(
            value["split"], value["first"], value["lengths"], value["checksums"], broken, doubtful, places
        )

    def is_in(self, clips: Clips) -> bool:
        """Whether the clips are there as they were decoded."""
        parts = zip(self.lengths, self.checksums, strict=True)
        return all(
            checksum(clips[index, :length]) == expected
            for index, (length, expected) in enumerate(parts, self.first)
        )


def checksum(clip: Clips) -> int:
    """CRC-32 of a clip's bytes."""
    return zlib.crc32(np.ascontiguousarray(clip).data)


def decode_chunk(chunk: Chunk) -> Decoded:
    """Decodes a chunk's videos into its file; those that cannot be read are named."""
    clips = None if chunk.on_demand else np.lib.format.open_memmap(chunk.file, mode="r+")
    done = Decoded(chunk.file.stem, chunk.first, [], [], [], [], [])
    for index, item in enumerate(chunk.items, chunk.first):
        _, size, time = stamp(item.path)
        try:
            kept = decode(item, chunk.plan)
        except DataError as error:
            done.broken.append(LeftOut(item.id, error.message))
            kept = Kept(np.empty((0, chunk.plan.side, chunk.plan.side, 3), np.uint8), 0.0, "")
        if kept.doubt:
            done.doubtful.append(LeftOut(item.id, kept.doubt))
        if clips is not None:
            clips[index, : len(kept.frames)] = kept.frames
        done.lengths.append(len(kept.frames))
        done.checksums.append(checksum(kept.frames))
        done.places.append(
            (kept.begin, _is_steady(item, chunk.plan, kept) if chunk.on_demand else None, size, time)
        )
    return done


def _is_steady(item: VideoItem, plan: Plan, kept: Kept) -> bool:
    """Whether frames that a seek leads to are those that come when a video is decoded in a row.

    Not so where an index is wrong, time stamps are missing, or key frames need what was before them.
    """
    at = len(kept.frames) // 2
    found = read_stream(
        item.path, plan.fps, plan.side, start=kept.begin, end=item.end, files=item.frames, first=at
    )
    try:
        return not len(kept.frames) or np.array_equal(next(found), kept.frames[at])
    except (DataError, StopIteration):
        return False


def decode_apart(chunk: Chunk) -> Decoded:
    """``decode_chunk`` with each video in a process of its own: those that kill it are named."""
    done = Decoded(chunk.file.stem, chunk.first, [], [], [], [], [])
    for index, item in enumerate(chunk.items, chunk.first):
        found = run_in_process(decode_chunk, Chunk(chunk.file, index, (item,), chunk.plan, chunk.on_demand))
        if found is None:
            why = LeftOut(item.id, f"{item.path}: {CRASHES}")
            found = Decoded(chunk.file.stem, index, [0], [0], [why], [], [(0.0, None, -1, -1)])
        done.lengths.extend(found.lengths)
        done.checksums.extend(found.checksums)
        done.broken.extend(found.broken)
        done.doubtful.extend(found.doubtful)
        done.places.extend(found.places)
    return done


def decode(item: VideoItem, plan: Plan) -> Kept:
    """The middle ``plan.keep`` frames of an item.

    Raises:
        DataError: it cannot be read.
    """
    told = probe_video(item.path, item.frames).duration
    if told:
        begin, expected = _middle(item, plan, told)
        frames = _read(item, plan, begin)
        if abs(len(frames) - expected) <= 1 and len(frames):
            return Kept(frames, begin, "")
    # The header is wrong about the length, or says nothing.
    measured = measure_video(item.path, item.frames)
    begin, _ = _middle(item, plan, measured.duration)
    frames = _read(item, plan, begin)
    if not len(frames):
        begins = item.start or 0.0
        raise DataError(f"{item.path}: no frame from {begins:g} s on: it ends at {measured.duration:.2f} s")
    return Kept(frames, begin, measured.note)


def _middle(item: VideoItem, plan: Plan, duration: float) -> tuple[float, int]:
    """Where the frames to keep begin, in seconds, and how many there should be."""
    start = item.start or 0.0
    end = duration if item.end is None else min(item.end, max(duration, start))
    begin = start + max(0.0, end - start - plan.keep / plan.fps) / 2
    return begin, min(plan.keep, math.ceil((end - begin) * plan.fps - 1e-3))


def _read(item: VideoItem, plan: Plan, begin: float) -> Clips:
    sampled = read_stream(item.path, plan.fps, plan.side, start=begin, end=item.end, files=item.frames)
    frames = [frame for frame, _ in zip(sampled, range(plan.keep), strict=False)]
    return np.stack(frames) if frames else np.empty((0, plan.side, plan.side, 3), np.uint8)
