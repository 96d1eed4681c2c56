"""The batches of an epoch: their clips, order and changes; made while the network computes."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import tee
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from proxy_train.clips.augmentation import Augmentation, mixup
from proxy_train.clips.targets import BatchLabels, on_device
from proxy_train.distributed import Group
from proxy_train.recipe import Recipe
from proxy_train.store.prepared_data import PreparedData
from proxy_train.store.split import FrameRange, Split
from search_space.errors import SettingsError

Item = TypeVar("Item")
AHEAD = 2
"""Number of batches that are made ahead: one would do if all took the same time."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A process's part of a batch.

    Args:
        clips: float32 (part, 3, frames, size, size) in 0..1.
        labels: labels of the part.
        whole: number of clips of all processes together.
    """

    clips: Tensor
    labels: BatchLabels
    whole: int

    def to(self, device: str) -> Batch:
        """Return the batch on a device; nothing waits for the copy, to a GPU from page-locked memory."""
        return Batch(on_device(self.clips, device), self.labels.to(device), self.whole)


@dataclass(frozen=True, slots=True)
class _BatchPlan:
    """The plan of a batch: ranges of frames, the generator of the rest, or one ``apart`` for each clip."""

    ranges: list[FrameRange]
    rng: np.random.Generator
    apart: list[np.random.Generator] = field(default_factory=list)


class Batches:
    """The training batches of a data set by a recipe.

    A single process draws everything from one generator, clip after clip. Of several processes, each makes
    only its own clips; every clip then has a generator of its own, so that their number changes nothing.

    Args:
        data: the data set.
        recipe: batch size and augmentation.
        indices: the clips of the training split to use.
        seed: seed of the training.
        group: the processes; None is a single process, which uses one generator.

    Raises:
        SettingsError: a batch has fewer clips than there are processes.
    """

    def __init__(
        self,
        data: PreparedData,
        recipe: Recipe,
        indices: npt.NDArray[np.int64],
        seed: int,
        group: Group | None,
    ) -> None:
        self._split: Split = data.split("train")
        self._augmentation = Augmentation.of(recipe, data)
        self._recipe, self._indices, self._seed, self._group = recipe, indices, seed, group
        size, parts = min(recipe.batch_size, len(indices)), 1 if group is None else group.size
        self._size = size - size % parts
        if not self._size:
            raise SettingsError(
                f"{size} clips a batch for {parts} processes", hint="train with fewer of them, or more clips"
            )

    def __len__(self) -> int:
        """Return the number of updates in an epoch; clips that fill no batch are left for another shuffle."""
        return len(self._indices) // self._size

    def epoch(self, epoch: int) -> tuple[int, Iterator[Batch]]:
        """Return a seed for everything else that is random in an epoch, and its batches."""
        rng = np.random.default_rng([self._seed, epoch])
        order = rng.permutation(self._indices)
        return int(rng.integers(2**62)), self._make(order, epoch, rng)

    def _make(self, order: npt.NDArray[np.int64], epoch: int, rng: np.random.Generator) -> Iterator[Batch]:
        chosen = [np.sort(part) for part in np.split(order[: len(self) * self._size], len(self))]
        plans = (
            self._plan(chosen, rng) if self._group is None else self._plan_apart(chosen, epoch, self._group)
        )
        # One of the two runs ahead: frames are decoded before their batch is due.
        due, ahead = tee(plans)
        read = self._split.read_all(frames for plan in ahead for frames in plan.ranges)
        for plan in due:
            if plan.apart:
                clips = torch.cat([self._augmentation.changed(read, 1, own) for own in plan.apart])
            else:
                clips = self._augmentation.changed(read, len(plan.ranges), plan.rng)
            indices = np.array([frames.index for frames in plan.ranges])
            labels = BatchLabels(torch.from_numpy(self._split.labels[indices]))
            if self._recipe.mixup > 0:
                mixed = mixup(clips, self._recipe.mixup, plan.rng)
                clips, labels = mixed.clips, BatchLabels(labels.own, labels.own[mixed.partners], mixed.weight)
            yield Batch(clips, labels, self._size)

    def _plan(self, chosen: list[npt.NDArray[np.int64]], rng: np.random.Generator) -> Iterator[_BatchPlan]:
        """Yield the plans of an epoch, with all ranges drawn first: later draws depend on no clip."""
        drawn = [self._augmentation.frame_ranges(self._split, indices, rng) for indices in chosen]
        yield from (_BatchPlan(ranges, rng) for ranges in drawn)

    def _plan_apart(
        self, chosen: list[npt.NDArray[np.int64]], epoch: int, group: Group
    ) -> Iterator[_BatchPlan]:
        """Yield plans whose clips depend on their places in the batch only, not on those beside them."""
        for number, indices in enumerate(chosen):
            seeds, places = [self._seed, epoch, number], group.part(indices)
            own = [np.random.default_rng([*seeds, place]) for place in places.tolist()]
            ranges = [
                self._augmentation.frame_ranges(self._split, indices[place : place + 1], generator)[0]
                for place, generator in zip(places.tolist(), own, strict=True)
            ]
            yield _BatchPlan(ranges, np.random.default_rng([*seeds, 2**31]), own)


class Prefetcher(Generic[Item]):
    """A context manager that makes items in a thread of its own while the last ones are used.

    What a thread raises is raised where its item is asked for. Their order, and what they are, is as if they
    were made in place.

    Args:
        items: iterator over the items, which only the thread advances.
    """

    def __init__(self, items: Iterator[Item]) -> None:
        self._items = items
        self._queue: queue.Queue[Item | BaseException | None] = queue.Queue(AHEAD)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._make, name="batches", daemon=True)

    def __enter__(self) -> Prefetcher[Item]:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        while not self._queue.empty():
            self._queue.get_nowait()
        self._thread.join()

    def __iter__(self) -> Iterator[Item]:
        while True:
            item = self._queue.get()
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item

    def _make(self) -> None:
        try:
            for item in self._items:
                self._put(item)
                if self._ended.is_set():
                    return
            self._put(None)
        except BaseException as error:  # handed to the thread that waits for the item
            self._put(error)

    def _put(self, item: Item | BaseException | None) -> None:
        while not self._ended.is_set():
            try:
                self._queue.put(item, timeout=0.2)
                return
            except queue.Full:
                continue
