"""The check of a data set before anything is spent on it: counts, durations, every broken file by name."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

from proxy_train.data.dataset import Dataset, LeftOut, VideoItem
from proxy_train.data.labels import output_indices
from proxy_train.processes import map_in_processes, run_in_process
from proxy_train.video.video import CRASHES, Video, VideoInfo
from search_space.errors import DataError
from search_space.escapes import escaped
from search_space.files import write_json
from search_space.progress import ProgressCallback, ignore_progress

_CHUNK = 16
_SHOWN = 20  # names a kind of fault in the text; the JSON has all
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Spread:
    """Smallest, middle and largest of some numbers; zeros if there are none."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        """Return the spread of some values."""
        return cls(min(values), median(values), max(values)) if values else cls(0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class DataCheck:
    """The findings of ``check_dataset``.

    Args:
        name: name of the data set.
        labels: kind of the labels.
        counts: number of readable videos by split and class, every class named.
        readable: number of readable videos, or parts of them, by split.
        unlabelled: number of readable videos without a label.
        seconds: durations of the videos or parts, as decoded.
        fps: frames a second of the files.
        sizes: number of files of each (width, height), most frequent first.
        codecs: number of files of each codec.
        variable: number of files whose frames are on show for different times.
        turned: number of files that have to be turned to stand upright.
        mirrored: number of files that are stored as in a mirror.
        stretched: number of files whose pixels are not square.
        broken: videos that cannot be read.
        doubtful: videos that are used in spite of a fault.
        plain: videos that are used and show one colour alone.
        missing: videos that are annotated and do not exist.
        dropped: files and rows that were left out while listing.
        notes: readings of folders and annotations that decide classes, splits or kinds of labels.
        unreadable: number of the broken videos by split, those without a label aside.
    """

    name: str
    labels: str
    counts: Mapping[str, Mapping[str, int]]
    readable: Mapping[str, int]
    unlabelled: int
    seconds: Spread
    fps: Spread
    sizes: Mapping[tuple[int, int], int]
    codecs: Mapping[str, int]
    variable: int
    turned: int
    mirrored: int
    stretched: int
    broken: tuple[LeftOut, ...]
    doubtful: tuple[LeftOut, ...]
    plain: tuple[LeftOut, ...]
    missing: tuple[LeftOut, ...]
    dropped: tuple[LeftOut, ...]
    notes: tuple[str, ...] = ()
    unreadable: Mapping[str, int] = field(default_factory=dict)

    @property
    def videos(self) -> int:
        """The number of readable videos."""
        return sum(self.readable.values())

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

    def json(self) -> dict[str, Any]:
        """Return all findings as JSON values."""
        whole = asdict(self)
        for key in ("broken", "doubtful", "plain", "missing", "dropped"):
            whole[key] = [entry._asdict() for entry in whole[key]]
        whole["sizes"] = {f"{width}x{height}": count for (width, height), count in self.sizes.items()}
        return whole | {"videos": self.videos, "without videos": [list(pair) for pair in self.empty]}

    def write(self, path: Path) -> None:
        """Write ``json`` to a file; raise DataError if that is impossible."""
        try:
            write_json(path, self.json())
        except OSError as error:
            raise DataError(f"{path}: {error.strerror}", hint="give a file that can be written") from error

    def text(self) -> str:
        """Return the findings in words: a table of the classes, and what is broken, with the reasons."""
        lines = [f"{self.name}: {self.videos} readable videos, {len(self.broken)} broken"]
        lines[0] += f", {len(self.missing)} missing" if self.missing else ""
        lines += [f"  read as: {note}" for note in self.notes]
        for split, count in self.readable.items():
            classes = [number for number in self.counts[split].values() if number]
            if classes:
                spread = f"{min(classes)} to {max(classes)} a class"
                lines.append(f"  {split}: {count} videos of {len(classes)} classes, {spread}")
        for split in (split for split, count in self.readable.items() if not count):
            if broken := self.unreadable.get(split):
                then = "finished networks are measured on val" if split == "test" else "nothing is trained"
                lines.append(f"  {split}: none of its {broken} videos can be read: {then}")
        if self.unlabelled:
            lines.append(f"  without labels: {self.unlabelled} videos")
        for what, seen in (("seconds", self.seconds), ("frames a second", self.fps)):
            lines.append(f"  {what}: {seen.low:.4g} to {seen.high:.4g}, median {seen.median:.4g}")
        sizes = [f"{width}x{height} ({count})" for (width, height), count in self.sizes.items()]
        lines.append(f"  sizes: {', '.join(sizes[:8])}{' and others' if len(sizes) > 8 else ''}")
        lines.append(f"  codecs: {', '.join(f'{name} ({count})' for name, count in self.codecs.items())}")
        lines.append(
            f"  variable frame rate: {self.variable}, turned: {self.turned}, "
            f"mirrored: {self.mirrored}, stretched: {self.stretched}"
        )
        lines += [f"  {line}" for line in self._table()]
        lines += [f"  no readable video in {split}: {name}" for split, name in self.empty[:_SHOWN]]
        faults = {
            "left out": self.dropped,
            "missing": self.missing,
            "of one colour": self.plain,
            "used in spite of": self.doubtful,
            "broken": self.broken,
        }
        for what, named in faults.items():
            lines += [f"  {what} {name}: {reason}" for name, reason in named[:_SHOWN]]
            if len(named) > _SHOWN:
                lines.append(f"  {what}: {len(named) - _SHOWN} more")
        return "\n".join(map(escaped, lines))

    def _table(self) -> list[str]:
        """Return one line a class, with its videos in each split that has any."""
        splits = [split for split, count in self.readable.items() if count]
        names = list(next(iter(self.counts.values()), {}))
        if not splits or not names:
            return []
        width = max(len("class"), *(len(escaped(name)) for name in names))
        lines = [f"{'class':{width}}" + "".join(f"{split:>8}" for split in splits)]
        for name in names:
            lines.append(
                f"{escaped(name):{width}}" + "".join(f"{self.counts[split][name]:8}" for split in splits)
            )
        return lines


def check_dataset(
    dataset: Dataset, *, workers: int = 1, progress: ProgressCallback = ignore_progress
) -> DataCheck:
    """Decode every file to its last frame, once: headers lie about lengths, and damage shows only then."""
    items = [*(item for part in dataset.items.values() for item in part), *dataset.unlabelled]
    files: dict[Video, list[VideoItem]] = {}
    for item in items:
        files.setdefault(item.video, []).append(item)
    # Long videos of many parts are few: none may keep the other workers waiting.
    size = max(1, min(_CHUNK, len(files) // (4 * workers)))
    paths = list(files)
    chunks = [tuple(paths[first : first + size]) for first in range(0, len(paths), size)]
    results: dict[Video, VideoInfo | str] = {}
    progress(0, len(files))
    for measured in map_in_processes(_measure, chunks, workers, blame=_measure_apart):
        results.update(measured)
        progress(len(results), len(files))
    return _summary(dataset, files, results)


def _measure(files: tuple[Video, ...]) -> list[tuple[Video, VideoInfo | str]]:
    """Return the facts of each file, or the reason why it could not be decoded."""
    results: list[tuple[Video, VideoInfo | str]] = []
    for file in files:
        try:
            results.append((file, file.measure()))
        except DataError as error:
            results.append((file, error.message))
    return results


def _measure_apart(files: tuple[Video, ...]) -> list[tuple[Video, VideoInfo | str]]:
    """Measure each file in a process of its own, to name those that crash it."""
    return [(run_in_process(_measure, (file,)) or [(file, f"{file.path}: {CRASHES}")])[0] for file in files]


def _summary(
    dataset: Dataset, files: Mapping[Video, list[VideoItem]], results: Mapping[Video, VideoInfo | str]
) -> DataCheck:
    names = dataset.output_names
    counts = {split: dict.fromkeys(names, 0) for split in dataset.items}
    readable = dict.fromkeys(dataset.items, 0)
    unreadable = dict.fromkeys(dataset.items, 0)
    unlabelled = {item.id for item in dataset.unlabelled}
    broken: list[LeftOut] = []
    doubtful: list[LeftOut] = []
    plain: list[LeftOut] = []
    seconds: list[float] = []
    without_label = 0
    for file, items in files.items():
        info = results[file]
        for item in items:
            fault = info if isinstance(info, str) else _past_the_end(item, info)
            if isinstance(info, str) or fault:
                broken.append(LeftOut(item.id, str(fault)))
                if item.id not in unlabelled:
                    unreadable[item.split] += 1
                continue
            start, end = item.start or 0.0, min(info.duration, item.end or info.duration)
            seconds.append(end - start)
            doubtful += [LeftOut(item.id, note) for note in _doubts(item, info)]
            plain += [LeftOut(item.id, "nothing else is seen from beginning to end")] if info.plain else []
            if item.id in unlabelled:
                without_label += 1
                continue
            readable[item.split] += 1
            for output in output_indices(item.label, dataset.verbs):
                counts[item.split][names[output]] += 1
    infos = [info for info in results.values() if not isinstance(info, str)]
    return DataCheck(
        name=dataset.name,
        labels=dataset.labels_kind,
        counts=counts,
        readable=readable,
        unlabelled=without_label,
        seconds=Spread.of(seconds),
        fps=Spread.of([info.fps for info in infos]),
        sizes=_most_common((info.width, info.height) for info in infos),
        codecs=_most_common(info.codec for info in infos),
        variable=sum(info.variable for info in infos),
        turned=sum(info.turned for info in infos),
        mirrored=sum(info.mirrored for info in infos),
        stretched=sum(info.stretched for info in infos),
        broken=tuple(sorted(broken)),
        doubtful=tuple(sorted(doubtful)),
        plain=tuple(sorted(plain)),
        missing=dataset.missing,
        dropped=dataset.dropped,
        notes=dataset.notes,
        unreadable=unreadable,
    )


def _past_the_end(item: VideoItem, info: VideoInfo) -> str:
    if item.start is not None and item.start >= info.duration:
        return f"{item.path}: it starts at {item.start:g} s, the video ends at {info.duration:.2f} s"
    return ""


def _doubts(item: VideoItem, info: VideoInfo) -> Iterable[str]:
    if info.note:
        yield info.note
    # Rounding of annotations is no news.
    if item.end is not None and item.end > info.duration + 0.5:
        yield f"it ends at {item.end:g} s, the video at {info.duration:.2f} s"


def is_report(path: Path) -> bool:
    """Return whether a file is the report of an earlier check: it may be written anew."""
    with path.open("rb") as file:
        if file.read(1) != b"{":  # such as a video, which need not be read to its end
            return False
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return False
    return isinstance(content, dict) and {"counts", "readable", "codecs", "without videos"} <= content.keys()


def _most_common(values: Iterable[Value]) -> dict[Value, int]:
    return dict(Counter(values).most_common())
