"""The part of each video that a store keeps, decoded chunk by chunk in worker processes."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from proxy_train.data.dataset import Dataset, LeftOut, VideoItem
from proxy_train.processes import run_in_process
from proxy_train.video.frame_files import stamp
from proxy_train.video.video import CRASHES
from search_space.errors import DataError

Clips = npt.NDArray[np.uint8]
CHUNK = 16


@dataclass(frozen=True, slots=True)
class DecodePlan:
    """The part that is kept of every video: ``keep`` frames of ``side`` pixels.

    Training clips of ``frames`` frames and ``size`` pixels are cut from it, at ``fps`` frames a second.
    """

    frames: int
    size: int
    side: int
    fps: float
    keep: int

    @classmethod
    def of(cls, dataset: Dataset, frames: int, size: int, fps: float) -> DecodePlan:
        """Return the plan for training clips of that shape."""
        keep = max(frames, math.floor(dataset.seconds * fps + 1e-6))
        return cls(frames, size, size + round(size * dataset.margin), fps, keep)


@dataclass(frozen=True, slots=True)
class DecodeChunk:
    """Videos of a split from ``first`` on, to be decoded into a ``.npy`` file unless read ``on_demand``."""

    file: Path
    first: int
    items: tuple[VideoItem, ...]
    plan: DecodePlan
    on_demand: bool = False


@dataclass(frozen=True, slots=True)
class KeptFrames:
    """The kept frames of a video.

    Args:
        frames: uint8 (frames, side, side, 3).
        begin: seconds at which they begin.
        doubt: fault of a video that is used all the same, or empty.
    """

    frames: Clips
    begin: float
    doubt: str


class KeptPart(NamedTuple):
    """The part that is kept of a video.

    Attributes:
        begin: seconds at which it begins.
        seek_is_exact: whether a seek into it leads to the same frames; None if that is unknown.
        size: bytes of the file.
        modified: nanoseconds at which the file was changed last.
    """

    begin: float
    seek_is_exact: bool | None
    size: int
    modified: int


@dataclass(frozen=True, slots=True)
class Decoded:
    """The outcome of a chunk.

    Args:
        split: name of its split.
        first: index of its first video.
        lengths: frames of each video; 0 if it cannot be read.
        checksums: CRC-32 of each video's frames.
        broken: videos that cannot be read.
        doubtful: videos that are used in spite of a fault.
        places: the part that is kept of each video.
    """

    split: str
    first: int
    lengths: list[int]
    checksums: list[int]
    broken: list[LeftOut]
    doubtful: list[LeftOut]
    places: list[KeptPart]

    @classmethod
    def empty(cls, chunk: DecodeChunk) -> Decoded:
        """Return an outcome without a video."""
        return cls(chunk.file.stem, chunk.first, [], [], [], [], [])

    def extend(self, other: Decoded) -> None:
        """Append the videos of another outcome."""
        self.lengths.extend(other.lengths)
        self.checksums.extend(other.checksums)
        self.broken.extend(other.broken)
        self.doubtful.extend(other.doubtful)
        self.places.extend(other.places)

    def is_in(self, clips: Clips) -> bool:
        """Return whether the clips hold the videos as they were decoded."""
        parts = zip(self.lengths, self.checksums, strict=True)
        return all(
            checksum(clips[index, :length]) == expected
            for index, (length, expected) in enumerate(parts, self.first)
        )


def checksum(clip: Clips) -> int:
    """Return the CRC-32 of a clip's bytes."""
    return zlib.crc32(np.ascontiguousarray(clip).data)


def decode_chunk(chunk: DecodeChunk) -> Decoded:
    """Decode a chunk's videos into its file; the outcome names those that cannot be read."""
    clips = None if chunk.on_demand else np.lib.format.open_memmap(chunk.file, mode="r+")
    decoded = Decoded.empty(chunk)
    for index, item in enumerate(chunk.items, chunk.first):
        _, size, modified = stamp(item.path)
        try:
            kept = decode(item, chunk.plan)
        except DataError as error:
            decoded.broken.append(LeftOut(item.id, error.message))
            kept = KeptFrames(_no_frames(chunk.plan), 0.0, "")
        if kept.doubt:
            decoded.doubtful.append(LeftOut(item.id, kept.doubt))
        if clips is not None:
            clips[index, : len(kept.frames)] = kept.frames
        decoded.lengths.append(len(kept.frames))
        decoded.checksums.append(checksum(kept.frames))
        exact = _seek_is_exact(item, chunk.plan, kept) if chunk.on_demand else None
        decoded.places.append(KeptPart(kept.begin, exact, size, modified))
    return decoded


def _seek_is_exact(item: VideoItem, plan: DecodePlan, kept: KeptFrames) -> bool:
    """Return whether a seek leads to the frames that come when the video is decoded in a row.

    It does not where an index is wrong, time stamps are missing, or key frames need what was before them.
    """
    middle = len(kept.frames) // 2
    stream = item.video.frames(plan.fps, plan.side, start=kept.begin, end=item.end, first=middle)
    try:
        return not len(kept.frames) or np.array_equal(next(stream), kept.frames[middle])
    except (DataError, StopIteration):
        return False


def decode_apart(chunk: DecodeChunk) -> Decoded:
    """Decode each video of a chunk in a process of its own; the outcome names those that crash it."""
    decoded = Decoded.empty(chunk)
    for index, item in enumerate(chunk.items, chunk.first):
        alone = DecodeChunk(chunk.file, index, (item,), chunk.plan, chunk.on_demand)
        result = run_in_process(decode_chunk, alone)
        if result is None:
            crash = LeftOut(item.id, f"{item.path}: {CRASHES}")
            result = Decoded(chunk.file.stem, index, [0], [0], [crash], [], [KeptPart(0.0, None, -1, -1)])
        decoded.extend(result)
    return decoded


def decode(item: VideoItem, plan: DecodePlan, *, square: bool = True) -> KeptFrames:
    """Return the middle ``plan.keep`` frames of an item.

    Args:
        item: the video, or a part of one.
        plan: the part that is kept.
        square: cut each frame to its centre square; otherwise frames are whole, the smaller side of
            ``plan.side`` pixels.

    Raises:
        DataError: it cannot be read.
    """
    with item.video.opened() as opened:
        announced = opened.header().duration
        if announced:
            begin, expected = _middle(item, plan, announced)
            frames = _kept(
                item.video.frames(
                    plan.fps, plan.side, start=begin, end=item.end, square=square, opened=opened
                ),
                plan,
            )
            if abs(len(frames) - expected) <= 1 and len(frames):
                return KeptFrames(frames, begin, "")
    # The header is wrong about the length, or says nothing.
    measured = item.video.measure()
    begin, _ = _middle(item, plan, measured.duration)
    stream = item.video.frames(plan.fps, plan.side, start=begin, end=item.end, square=square)
    frames = _kept(stream, plan)
    if not len(frames):
        start = item.start or 0.0
        raise DataError(f"{item.path}: no frame from {start:g} s on: it ends at {measured.duration:.2f} s")
    return KeptFrames(frames, begin, measured.note)


def _middle(item: VideoItem, plan: DecodePlan, duration: float) -> tuple[float, int]:
    """Return the seconds at which the frames to keep begin, and their expected number."""
    start = item.start or 0.0
    end = duration if item.end is None else min(item.end, max(duration, start))
    begin = start + max(0.0, end - start - plan.keep / plan.fps) / 2
    return begin, min(plan.keep, math.ceil((end - begin) * plan.fps - 1e-3))


def _kept(stream: Iterator[Clips], plan: DecodePlan) -> Clips:
    frames = list(islice(stream, plan.keep))
    return np.stack(frames) if frames else _no_frames(plan)


def _no_frames(plan: DecodePlan) -> Clips:
    return np.empty((0, plan.side, plan.side, 3), np.uint8)
