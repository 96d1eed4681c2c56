"""The videos of a split scored by this process, by several, or on a Ray cluster; resumed where it was."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import torch

from proxy_train.data.dataset import VideoItem
from proxy_train.evaluation.scoring import ClipClassifier, Scored, score_videos
from proxy_train.evaluation.video_views import ViewReader
from proxy_train.processes import map_in_processes, run_in_process
from proxy_train.video.video import CRASHES
from search_space.network.allocator import retain_freed_memory
from search_space.network.heads import Head
from search_space.progress import ProgressCallback, ignore_progress
from searcher.cluster.capacity import Capacity
from searcher.cluster.cluster import Cluster
from searcher.cluster.machine import cpus
from searcher.standalone.score_record import ScoreRecord

_GROUP = 16
_FLUSH_SECONDS = 15.0


class OpenClassifier(Protocol):
    """What opens a network, in any process: a value that can be compared and sent."""

    def __call__(self, threads: int, worker: int) -> ClipClassifier:
        """Open the network.

        Args:
            threads: number of threads that it may compute with.
            worker: number of the process, which decides on a GPU.
        """

    def __hash__(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Scoring:
    """The scoring of videos by one network.

    Args:
        open_classifier: what opens the network.
        reader: reader of the videos' views.
        head: meaning of the network's outputs.
        processes: number of processes.
        gpu: whether each process computes on a GPU of its own.
        address: address of a Ray cluster, whose machines find videos and weights at the same paths; by
            default this machine works.
    """

    open_classifier: OpenClassifier
    reader: ViewReader
    head: Head
    processes: int = 1
    gpu: bool = False
    address: str | None = None

    @property
    def threads(self) -> int:
        """Number of threads of each process."""
        return max(1, cpus() // self.processes)


@dataclass(frozen=True, slots=True)
class _Group:
    """Some videos to score in one go."""

    scoring: Scoring
    items: tuple[VideoItem, ...]


def score_all(
    scoring: Scoring,
    items: Sequence[VideoItem],
    record: ScoreRecord,
    *,
    progress: ProgressCallback = ignore_progress,
    check: Callable[[Scored], None] = lambda _: None,
) -> None:
    """Score the videos that the record lacks; whatever ends it, what was scored is recorded.

    Args:
        scoring: network and views.
        items: the videos.
        record: record that scores are appended to.
        progress: callback that gets the number of videos that are scored.
        check: function that receives every new score, and may raise to end the work.

    Raises:
        MovinasError: the network does not fit, or the cluster cannot be joined.
    """
    left = [item for item in items if item.id not in record.ids]
    done = len(items) - len(left)
    waiting: list[Scored] = []
    flushed = time.monotonic()
    if not left:
        return
    progress(done, len(items))
    try:
        with closing(_scores(scoring, left)) as scores:
            for scored in scores:
                waiting.append(scored)
                done += 1
                progress(done, len(items))
                if time.monotonic() - flushed > _FLUSH_SECONDS:
                    record.append(waiting)
                    waiting, flushed = [], time.monotonic()
                check(scored)
    finally:
        record.append(waiting)


def _scores(scoring: Scoring, items: Sequence[VideoItem]) -> Generator[Scored]:
    """Yield the scores of videos as they come."""
    if scoring.address is None and scoring.processes == 1:
        retain_freed_memory()
        threads = torch.get_num_threads()
        classifier = scoring.open_classifier(threads, 0)
        yield from score_videos(items, scoring.reader, classifier, scoring.head, threads=threads)
        return
    groups = [_Group(scoring, tuple(items[first : first + _GROUP])) for first in range(0, len(items), _GROUP)]
    if scoring.address is not None:
        yield from _on_cluster(scoring, groups)
        return
    for scores in map_in_processes(_score_group, groups, scoring.processes, blame=_score_apart):
        yield from scores


def _score_group(group: _Group) -> list[Scored]:
    """Score some videos in a worker process."""
    scoring = group.scoring
    torch.set_num_threads(scoring.threads)
    classifier = _opened(scoring.open_classifier, scoring.threads)
    scores = score_videos(group.items, scoring.reader, classifier, scoring.head, threads=scoring.threads)
    return list(scores)


@lru_cache(maxsize=1)
def _opened(open_classifier: OpenClassifier, threads: int) -> ClipClassifier:
    retain_freed_memory()
    # Workers of a pool are numbered from 1.
    identity = getattr(multiprocessing.current_process(), "_identity", ())
    return open_classifier(threads, identity[0] - 1 if identity else 0)


def _score_apart(group: _Group) -> list[Scored]:
    """Score each video of a group in a process of its own; those that crash it have that as their fault."""
    scores: list[Scored] = []
    for item in group.items:
        result = run_in_process(_score_group, _Group(group.scoring, (item,)))
        scores += [Scored(item.id, None, f"{item.path}: {CRASHES}")] if result is None else result
    return scores


def _on_cluster(scoring: Scoring, groups: Sequence[_Group]) -> Iterator[Scored]:
    """Yield the scores of groups that a Ray cluster works on."""
    capacity = Capacity(scoring.processes, scoring.threads, float(scoring.gpu), address=scoring.address)
    with Cluster(capacity) as cluster:
        cluster.start()
        import ray

        score = ray.remote(num_cpus=scoring.threads, num_gpus=float(scoring.gpu))(_score_group)
        waiting, ahead = list(reversed(groups)), 2 * scoring.processes
        running = [score.remote(waiting.pop()) for _ in range(min(ahead, len(waiting)))]
        while running:
            finished, running = ray.wait(running, num_returns=1)
            if waiting:
                running.append(score.remote(waiting.pop()))
            for scores in ray.get(finished):
                yield from scores
