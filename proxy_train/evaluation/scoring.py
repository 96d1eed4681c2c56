"""The scores of videos, one after the other: decoded once ahead of the network, views in full batches.

The views of several videos share a batch, and equal views are computed once. What is held at any time is the
frames of a few videos, however many there are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from proxy_train.data.dataset import VideoItem
from proxy_train.evaluation.evaluation import merge_views
from proxy_train.evaluation.video_views import VideoViews, ViewReader
from proxy_train.store.decoding import Clips
from search_space.errors import DataError
from search_space.network.heads import Head

Logits = npt.NDArray[np.float32]


class ClipClassifier(Protocol):
    """A network, in whatever runtime, that classifies clips."""

    @property
    def batch(self) -> int:
        """Largest number of clips that it takes at a time."""

    def logits(self, clips: Clips) -> Logits:
        """Return the logits (clips, outputs) of clips, uint8 (clips, frames, size, size, 3)."""


@dataclass(frozen=True, slots=True)
class Scored:
    """The scores of a video.

    Args:
        id: identity of the video.
        logits: float32 (outputs,), of several views those of the mean probabilities; None if the video
            cannot be read.
        fault: why it cannot be read, or empty.
    """

    id: str
    logits: Logits | None
    fault: str = ""


def score_videos(
    items: Iterable[VideoItem], reader: ViewReader, classifier: ClipClassifier, head: Head, *, threads: int
) -> Iterator[Scored]:
    """Yield the scores of every video, in order; one that cannot be read has a fault instead.

    Args:
        items: the videos.
        reader: reader of their views.
        classifier: network.
        head: meaning of its outputs.
        threads: number of threads that decode.

    Raises:
        DataError: the network has other outputs than the head.
    """
    batch = _Batch(classifier, head)
    for item, views in _read_ahead(items, reader, threads):
        if isinstance(views, DataError):
            batch.add_fault(item.id, views.message)
        else:
            batch.add(item.id, views)
        yield from batch.finished()
    batch.compute()
    yield from batch.finished()


class _Video:
    """A video whose views are being scored."""

    def __init__(self, identity: str, views: VideoViews | None, fault: str = "") -> None:
        self.id, self.fault = identity, fault
        self.weights = () if views is None else views.weights
        self.logits: list[Logits] = []

    def scored(self, head: Head) -> Scored | None:
        """Return the scores, None while views are missing."""
        if self.fault:
            return Scored(self.id, None, self.fault)
        if len(self.logits) < len(self.weights):
            return None
        return Scored(self.id, merge_views(np.stack(self.logits), self.weights, head))


class _Batch:
    """The views that wait for a full batch, and the videos that wait for their last view."""

    def __init__(self, classifier: ClipClassifier, head: Head) -> None:
        self._classifier, self._head = classifier, head
        self._clips: Clips = np.empty((0,), np.uint8)
        self._owners: list[_Video] = []
        self._videos: deque[_Video] = deque()

    def add_fault(self, identity: str, fault: str) -> None:
        self._videos.append(_Video(identity, None, fault))

    def add(self, identity: str, views: VideoViews) -> None:
        """Take the views of a video; compute whenever a batch is full."""
        video = _Video(identity, views)
        self._videos.append(video)
        shape = (self._classifier.batch, views.length, views.size, views.size, 3)
        if self._clips.shape != shape:
            self.compute()
            self._clips = np.empty(shape, np.uint8)
        for number in range(len(views.cuts)):
            views.write(number, self._clips[len(self._owners)])
            self._owners.append(video)
            if len(self._owners) == shape[0]:
                self.compute()

    def compute(self) -> None:
        """Classify the views that wait."""
        if not self._owners:
            return
        logits = self._classifier.logits(self._clips[: len(self._owners)])
        if logits.shape[1] != self._head.outputs:
            raise DataError(
                f"the network has {logits.shape[1]} outputs, and {self._head.outputs} are expected",
                hint="give weights and labels of the same network",
            )
        for video, row in zip(self._owners, logits, strict=True):
            video.logits.append(row)
        self._owners = []

    def finished(self) -> Iterator[Scored]:
        """Yield the scores of the first videos, as far as they are complete."""
        while self._videos:
            scored = self._videos[0].scored(self._head)
            if scored is None:
                return
            self._videos.popleft()
            yield scored


def _read_ahead(
    items: Iterable[VideoItem], reader: ViewReader, threads: int
) -> Iterator[tuple[VideoItem, VideoViews | DataError]]:
    """Yield the views of every video, or its fault, in order; the next few are decoded meanwhile."""
    waiting: deque[tuple[VideoItem, Future[VideoViews]]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="decoder") as pool:
        try:
            for item in items:
                waiting.append((item, pool.submit(reader.read, item)))
                if len(waiting) > threads + 1:
                    yield _result(*waiting.popleft())
            while waiting:
                yield _result(*waiting.popleft())
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _result(item: VideoItem, future: Future[VideoViews]) -> tuple[VideoItem, VideoViews | DataError]:
    try:
        return item, future.result()
    except DataError as error:
        return item, error
