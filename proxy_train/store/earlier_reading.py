"""Stores of earlier versions: which of them hold pictures that would be others today.

Version 0.1.0 did not mirror pictures, ignored the shape of pixels and parts that are joined, and took the
first picture track. A store of such videos is left as it is and not used; all others go on being used.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from PIL import Image

from proxy_train.processes import map_in_processes, run_in_process
from proxy_train.store.decoding import CHUNK
from proxy_train.store.meta import READING, read_meta, write_meta
from proxy_train.video.video import Video
from search_space.errors import DataError

_LOG = logging.getLogger(__name__)


def is_outdated(store: Path, videos: Iterable[Video], workers: int) -> bool:
    """Return whether a store is of an earlier version that read one of its videos otherwise.

    One that holds what it would hold today is marked, so that its videos are looked at only once.

    Args:
        store: folder of the store; it need not exist.
        videos: its videos.
        workers: processes that look at them.
    """
    try:
        meta = read_meta(store)
    except DataError:
        return False  # there is none, or it is damaged and made anew
    if meta.reading >= READING:
        return False
    files = list(dict.fromkeys(videos))
    chunks = [tuple(files[first : first + CHUNK]) for first in range(0, len(files), CHUNK)]
    if any(map_in_processes(_any_other, chunks, workers, blame=_any_other_apart)):
        _LOG.warning("%s: of an earlier version, which showed some of its videos otherwise; not used", store)
        return True
    # A cache that cannot be written is looked through by every process, and works.
    with suppress(OSError):
        write_meta(store, replace(meta, reading=READING))
    return False


def _any_other(videos: Sequence[Video]) -> bool:
    return any(map(was_read_otherwise, videos))


def _any_other_apart(videos: Sequence[Video]) -> bool:
    """Answer for each video in a process of its own; one that kills its decoder is in no store."""
    return any(run_in_process(was_read_otherwise, video) for video in videos)


def was_read_otherwise(video: Video) -> bool:
    """Return whether version 0.1.0 made other pictures of a video, or of other times; if in doubt, it did."""
    path, files = video.path, video.files
    try:
        with video.opened() as opened:
            first = next(opened.shown(0.0))
            orientation = first.picture.orientation
            if orientation.mirrored or orientation.askew or first.picture.aspect != 1:
                return True
            if files is not None:
                with Image.open(path / files.name(0)) as image:
                    return orientation.turned or image.mode.startswith("I")
            file = opened.file
            assert file is not None
            stream = file.stream
            in_avi = file.container.format.name == "avi" and bool(stream.codec_context.has_b_frames)
            start = float((stream.start_time or 0) * (stream.time_base or 0))
            late = abs((first.picture.frame.time or start) - start) > 1e-3
            return file.joins_parts or in_avi or late or stream is not file.container.streams.video[0]
    except (DataError, OSError, StopIteration):
        return False  # it was left out, and is
