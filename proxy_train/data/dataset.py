"""The one record that every data format is read into."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from proxy_train.data.labels import Label, LabelsKind, class_counts, label_json
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
    """A stretch of a video with its label.

    Args:
        path: the video file, or the folder of its frames.
        start: seconds from the beginning of the video; None is the beginning.
        end: seconds from the beginning of the video; None is the end.
        label: class index, class indices, or a verb and a noun: see ``Dataset.labels_kind``.
        id: unique within its data set, stable between runs.
        split: the part of the data set it belongs to, such as ``train``.
        frames: how ``path`` names its frames if it is a folder of them.
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
        """The video that the item is a stretch of."""
        return Video(self.path, self.frames)


@dataclass(frozen=True)
class Dataset:
    """Labelled videos by split.

    Args:
        name: for people.
        items: split name to its videos.
        classes: names of a network's outputs, in order: the classes, by label; for verb_noun the verbs and
        then the nouns.
        flips_change_labels: a mirrored clip would have another label, so that augmentation must not mirror.
        margin: how much wider than the network's input clips are kept, as a fraction, for random crops.
        dropped: files and rows that were left out while listing, each with the reason.
        fingerprint: stands for the files' contents; empty derives it from their sizes and times.
        seconds: how much of each video is kept, around its middle.
        labels_kind: of every item's label.
        verbs: how many of ``classes`` are verbs; 0 unless labels are verb_noun.
        missing: videos that are annotated and not there, by name, with what was looked for.
        unlabelled: videos whose labels are not public; their ``label`` is ().
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

    @property
    def class_counts(self) -> int | tuple[int, int]:
        """The number of classes, or (verbs, nouns)."""
        return class_counts(self.labels_kind, len(self.classes), self.verbs)

    @property
    def output_names(self) -> tuple[str, ...]:
        """``classes``, told apart: a word can be a verb and a noun."""
        if self.labels_kind != "verb_noun":
            return self.classes
        words = ("verb" if index < self.verbs else "noun" for index in range(len(self.classes)))
        return tuple(f"{word} {name}" for word, name in zip(words, self.classes, strict=True))

    def require_trainable(self) -> None:
        """Raises DataError unless there are two classes, and videos to train on and to validate with."""
        for split in ("train", "val"):
            if not self.items.get(split):
                raise DataError(f"data set {self.name}: no video in its {split} split", hint=_NO_SPLIT)
        if len(self.classes) < 2:
            raise DataError(
                f"data set {self.name}: {len(self.classes)} class", hint="training needs two or more"
            )

    @property
    def digest(self) -> str:
        """16 hex digits that change when a file, a label or a split changes."""
        content: Any = self.fingerprint or [
            _identity(item, split) for split, items in sorted(self.items.items()) for item in items
        ]
        facts = [self.name, self.classes, self.margin, self.seconds, content]
        if self.labels_kind != "single":
            facts.append([self.labels_kind, self.verbs])
        text = json.dumps(facts, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def write_report(self, folder: Path, broken: Sequence[LeftOut] = ()) -> None:
        """Writes ``classes.json``, the class map, and ``left_out.json``: what is not used, by name and why.

        Args:
            folder: made if it is not there.
            broken: videos that could not be decoded, as ``PreparedData.broken`` has them.
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
            "used": {name: len(items) for name, items in self.items.items()},
            "missing": [video._asdict() for video in self.missing],
            "left out while listing": [entry._asdict() for entry in self.dropped],
            "unreadable": [video._asdict() for video in broken],
            "without a label": [item.id for item in self.unlabelled],
        }
        write_json(folder / "left_out.json", left_out)


_NO_SPLIT = "add videos, or give train and val folders, or more videos per class to split"


def _identity(item: VideoItem, split: str) -> list[Any]:
    facts = [item.id, split, label_json(item.label), item.start, item.end, *stamp(item.path)]
    if item.frames is not None:
        facts.append([item.frames.template, item.frames.offset, item.frames.count, item.frames.fps])
    return facts
