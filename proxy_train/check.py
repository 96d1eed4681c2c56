"""A data set looked at before anything is spent on it: counts, durations, and every broken file by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from proxy_train import video
from proxy_train.pool import Progress, each, silent
from proxy_train.video_item import Dataset, VideoItem
from search_space.errors import DataError

_CHUNK = 16


@dataclass(frozen=True, slots=True)
class Spread:
    """Smallest, middle and largest of some numbers; zeros if there are none."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        """Of the values."""
        return cls(min(values), median(values), max(values)) if values else cls(0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class DataCheck:
    """What ``check`` found.

    Args:
        name: of the data set.
        counts: readable videos by split and class, every class named.
        seconds: durations of the videos, as decoded.
        fps: frames a second.
        sizes: (width, height) to how many videos have it, most frequent first.
        broken: videos that cannot be read: id and reason.
        dropped: files that were left out while listing: path and reason.
    """

    name: str
    counts: Mapping[str, Mapping[str, int]]
    seconds: Spread
    fps: Spread
    sizes: Mapping[tuple[int, int], int]
    broken: tuple[tuple[str, str], ...]
    dropped: tuple[tuple[str, str], ...]

    @property
    def videos(self) -> int:
        """How many are readable."""
        return sum(count for of_split in self.counts.values() for count in of_split.values())

    @property
    def empty(self) -> tuple[tuple[str, str], ...]:
        """(split, class) pairs without a readable video, of the splits that have any."""
        return tuple(
            (split, name)
            for split, of_split in self.counts.items()
            if any(of_split.values())
            for name, count in of_split.items()
            if count == 0
        )

    def text(self) -> str:
        """The findings in words, broken files last, each with its reason."""
        lines = [f"{self.name}: {self.videos} readable videos, {len(self.broken)} broken"]
        for split, of_split in self.counts.items():
            found = [count for count in of_split.values() if count]
            if found:
                spread = f"{min(found)} to {max(found)} a class"
                lines.append(f"  {split}: {sum(found)} videos of {len(found)} classes, {spread}")
        for what, seen in (("seconds", self.seconds), ("frames a second", self.fps)):
            lines.append(f"  {what}: {seen.low:.4g} to {seen.high:.4g}, median {seen.median:.4g}")
        sizes = [f"{width}x{height} ({count})" for (width, height), count in self.sizes.items()]
        lines.append(f"  sizes: {', '.join(sizes[:8])}{' and others' if len(sizes) > 8 else ''}")
        lines += [f"  no readable video in {split}: {name}" for split, name in self.empty]
        lines += [f"  left out {path}: {reason}" for path, reason in self.dropped]
        lines += [f"  broken {name}: {reason}" for name, reason in self.broken]
        return "\n".join(lines)


def check(dataset: Dataset, *, workers: int = 1, progress: Progress = silent) -> DataCheck:
    """Decodes every video to its last frame: headers lie about lengths, and damage shows only then."""
    items = [item for part in dataset.items.values() for item in part]
    chunks = [tuple(items[first : first + _CHUNK]) for first in range(0, len(items), _CHUNK)]
    counts = {split: dict.fromkeys(dataset.classes, 0) for split in dataset.items}
    found: list[video.VideoInfo] = []
    broken: list[tuple[str, str]] = []
    done = 0
    progress(0, len(items))
    for results in each(_look, chunks, workers):
        for item, result in results:
            if isinstance(result, str):
                broken.append((item.id, result))
                continue
            for name in dataset.names_of(item.label):
                counts[item.split][name] += 1
            found.append(result)
        done += len(results)
        progress(done, len(items))
    return DataCheck(
        name=dataset.name,
        counts=counts,
        seconds=Spread.of([info.duration for info in found]),
        fps=Spread.of([info.fps for info in found]),
        sizes=dict(Counter((info.width, info.height) for info in found).most_common()),
        broken=tuple(sorted(broken)),
        dropped=dataset.dropped,
    )


def _look(items: tuple[VideoItem, ...]) -> list[tuple[VideoItem, video.VideoInfo | str]]:
    """Each item with what was decoded, or why it could not be."""
    results: list[tuple[VideoItem, video.VideoInfo | str]] = []
    for item in items:
        try:
            results.append((item, video.measure(item.path)))
        except DataError as error:
            results.append((item, error.message))
    return results
