"""The data set that every format is read into: labelled videos by split."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from proxy_train.data.labels import Label, LabelsKind, class_counts, label_json, output_indices
from proxy_train.video.frame_files import FrameFiles, stamp
from proxy_train.video.video import Video
from search_space.errors import DataError
from search_space.files import write_json


class LeftOut(NamedTuple):
    """A video, file or row that is not used, or is used in spite of a fault.

    Attributes:
        name: identity of the video, or path of the file.
        reason: the fault, for people.
    """

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class VideoItem:
    """A video, or a part of one, with its label.

    Args:
        path: the video file, or the folder of its frames.
        start: seconds from the beginning of the video; None is the beginning.
        end: seconds from the beginning of the video; None is the end.
        label: class index, class indices, or a verb and a noun: see ``Dataset.labels_kind``.
        id: name that is unique within the data set and stable between runs.
        split: name of the split that it belongs to, such as ``train``.
        frames: names of the frames if ``path`` is a folder of them.
    """

    path: Path
    start: float | None
    end: float | None
    label: Label
    id: str
    split: str
    frames: FrameFiles | None = None

    @property
    def video(self) -> Video:
        """The video that the item is, or is a part of."""
        return Video(self.path, self.frames)


@dataclass(frozen=True)
class Dataset:
    """Labelled videos by split.

    Args:
        name: name of the data set, for people.
        items: the videos of each split, by its name.
        classes: names of a network's outputs, in order: the classes, by label; for verb_noun the verbs and
            then the nouns.
        flips_change_labels: whether a mirrored clip would have another label: augmentation must not mirror.
        margin: fraction by which clips are kept wider than the network's input, for random crops.
        dropped: files and rows that were left out while listing.
        fingerprint: digest of the files' contents; if empty, their sizes and times stand for them.
        seconds: duration that is kept of each video, around its middle.
        labels_kind: kind of every item's label.
        verbs: number of verbs among ``classes``; 0 unless labels are verb_noun.
        missing: videos that are annotated and do not exist.
        unlabelled: videos whose labels are not public; their ``label`` is ().
        notes: readings of folders and annotations that decide classes, splits or kinds of labels, for people.
        every_class_trains: whether a class without training videos is a mistake, not a missing download.
    """

    name: str
    items: Mapping[str, tuple[VideoItem, ...]]
    classes: tuple[str, ...]
    flips_change_labels: bool
    margin: float = 0.0
    dropped: tuple[LeftOut, ...] = ()
    fingerprint: str = ""
    seconds: float = 10.0
    labels_kind: LabelsKind = "single"
    verbs: int = 0
    missing: tuple[LeftOut, ...] = ()
    unlabelled: tuple[VideoItem, ...] = ()
    notes: tuple[str, ...] = ()
    every_class_trains: bool = False

    @property
    def class_counts(self) -> int | tuple[int, int]:
        """The number of classes, or (verbs, nouns)."""
        return class_counts(self.labels_kind, len(self.classes), self.verbs)

    @property
    def output_names(self) -> tuple[str, ...]:
        """The ``classes`` under different names: a word can be a verb and a noun."""
        if self.labels_kind != "verb_noun":
            return self.classes
        words = ("verb" if index < self.verbs else "noun" for index in range(len(self.classes)))
        return tuple(f"{word} {name}" for word, name in zip(words, self.classes, strict=True))

    def require_trainable(self) -> None:
        """Raise DataError unless there are two classes, and videos to train on and to validate with.

        Of single labels, each class has to have a training video if ``every_class_trains``.
        """
        for split in ("train", "val"):
            if not self.items.get(split):
                raise DataError(f"data set {self.name}: no video in its {split} split", hint=_NO_SPLIT)
        if len(self.classes) < 2:
            raise DataError(
                f"data set {self.name}: {len(self.classes)} class",
                hint="; ".join(("training needs two or more", *self.notes)),
            )
        if self.every_class_trains and self.labels_kind == "single":
            occurring = (
                index for items in self.items.values() for item in items for index in self._outputs(item)
            )
            missing = set(occurring) - self._trained
            if missing:
                raise DataError(
                    f"data set {self.name}: no training video of class {self._named(missing)}",
                    hint="add some, or remove the class",
                )

    def require_scorable(self) -> None:
        """Raise DataError if a split's labels would teach a network nothing, or figures say nothing."""
        trained = self._trained
        for split in ("train", "val", "test"):
            items = self.items.get(split, ())
            counts = Counter(index for item in items for index in self._outputs(item))
            where = f"data set {self.name}: its {split} split"
            if items and not counts:
                raise DataError(
                    f"{where} has {len(items)} videos and no label",
                    hint=f"move videos with labels into {split}: nothing is learnt or measured without",
                )
            if items and trained.isdisjoint(counts):
                raise DataError(
                    f"{where} has no class that a training video has: {self._named(counts)}",
                    hint="give all splits the same classes",
                )
            # Of several labels, a class that all videos have or none has is always ranked right; of one
            # label, the accuracy on the only class of a test split is still its recall.
            decides = split != "test" or self.labels_kind == "multi"
            if decides and items and set(counts.values()) == {len(items)}:
                raise DataError(
                    f"{where} has {self._named(counts)} in every video, and no other class",
                    hint=f"add videos of other classes to {split}: every network would be right",
                )

    @property
    def _trained(self) -> set[int]:
        return {index for item in self.items["train"] for index in self._outputs(item)}

    def _outputs(self, item: VideoItem) -> tuple[int, ...]:
        return output_indices(item.label, self.verbs)

    def _named(self, indices: Iterable[int]) -> str:
        names = [self.output_names[index] for index in sorted(indices)]
        return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")

    @cached_property
    def stamps(self) -> Mapping[str, tuple[str, int, int]]:
        """The stamp of each file and folder of frames by its path, as it was when first asked for."""
        paths = dict.fromkeys(str(item.path) for items in self.items.values() for item in items)
        return {path: stamp(Path(path)) for path in paths}

    @property
    def digest(self) -> str:
        """16 hexadecimal digits that change when a file, a label or a split changes."""
        content: Any = self.fingerprint or [
            _identity(item, split, self.stamps[str(item.path)])
            for split, items in sorted(self.items.items())
            for item in items
        ]
        facts = [self.name, self.classes, self.margin, self.seconds, content]
        if self.labels_kind != "single":
            facts.append([self.labels_kind, self.verbs])
        text = json.dumps(facts, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def write_report(self, folder: Path, broken: Sequence[LeftOut] = ()) -> None:
        """Write ``classes.json``, the class map, and ``left_out.json``, what is not used and why.

        Args:
            folder: the folder; it is made if it does not exist.
            broken: videos that could not be decoded, as in ``PreparedData.broken``.
        """
        folder.mkdir(parents=True, exist_ok=True)
        names = list(self.classes)
        split = self.verbs if self.labels_kind == "verb_noun" else len(names)
        map_: dict[str, Any] = {"data set": self.name, "labels": self.labels_kind}
        if self.labels_kind == "verb_noun":
            map_ |= {"verbs": dict(enumerate(names[:split])), "nouns": dict(enumerate(names[split:]))}
        else:
            map_ |= {"classes": dict(enumerate(names))}
        write_json(folder / "classes.json", map_)
        left_out = {
            "data set": self.name,
            "read as": list(self.notes),
            "used": {name: len(items) for name, items in self.items.items()},
            "missing": [video._asdict() for video in self.missing],
            "left out while listing": [entry._asdict() for entry in self.dropped],
            "unreadable": [video._asdict() for video in broken],
            "without a label": [item.id for item in self.unlabelled],
        }
        write_json(folder / "left_out.json", left_out)


_NO_SPLIT = "add videos, or give train and val folders, or more videos per class to split"


def _identity(item: VideoItem, split: str, stamped: tuple[str, int, int]) -> list[Any]:
    facts = [item.id, split, label_json(item.label), item.start, item.end, *stamped]
    if item.frames is not None:
        facts.append(item.frames.facts())
    return facts
