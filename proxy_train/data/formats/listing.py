"""The findings of a format's reader: labelled videos, and everything that it leaves out, with the reason."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from proxy_train.data.dataset import LeftOut, VideoItem
from proxy_train.data.formats.tree import Contents
from proxy_train.data.labels import Label, LabelsKind
from proxy_train.video.video import Video
from search_space.file_kind import no_file

_SHARE = 15  # percent of the videos for val, and again for test, if annotations do not tell
_SHOWN = 4  # names of files of a kind; more of them are counted
_HIDDEN = "hidden: its name begins with a dot"
# Tables of other programs, which may hold what a user takes for the labels.
_TABLES = frozenset({".xlsx", ".xls", ".xlsm", ".ods", ".numbers", ".parquet", ".feather", ".arrow"})


@dataclass
class Listing:
    """The videos of a data set; a format's reader fills it.

    Args:
        classes: names of a network's outputs, verbs before nouns.
        kind: kind of all labels.
        verbs: number of verbs among ``classes``.
        groups: group of each item by its id: pieces of one recording, which stay in one split.
        notes: readings that decide classes, splits or kinds of labels, for people.
    """

    classes: tuple[str, ...] = ()
    kind: LabelsKind = "single"
    verbs: int = 0
    items: list[VideoItem] = field(default_factory=list)
    dropped: list[LeftOut] = field(default_factory=list)
    missing: list[LeftOut] = field(default_factory=list)
    unlabelled: list[VideoItem] = field(default_factory=list)
    groups: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(
        self,
        video: Video,
        label: Label,
        name: str,
        split: str,
        start: float | None = None,
        end: float | None = None,
        *,
        group: str = "",
    ) -> None:
        """Add a video, or a part of one; an empty ``split`` is filled in by ``split_items``."""
        self.items.append(VideoItem(video.path, start, end, label, name, split, video.files))
        self.groups[name] = group or name

    def add_unlabelled(
        self, video: Video, name: str, split: str, start: float | None = None, end: float | None = None
    ) -> None:
        """Add a video whose label is not public."""
        self.unlabelled.append(VideoItem(video.path, start, end, (), name, split, video.files))

    def miss(self, name: str, reason: str) -> None:
        """Leave out a video that is annotated and does not exist."""
        self.missing.append(LeftOut(name, reason))

    def drop(self, name: str, reason: str) -> None:
        """Leave out a file or a row."""
        self.dropped.append(LeftOut(name, reason))

    def note(self, reading: str) -> None:
        """Tell a reading of the data that could have been another one."""
        self.notes.append(reading)

    def leave_images(self, folder: Path, others: Mapping[str, int]) -> None:
        """Leave out the images of a folder of frames that are no frames, given by their spelling."""
        spelled = list(others.items())
        for name, count in spelled[:_SHOWN]:
            what = f"{count} images beside" if count > 1 else "an image beside"
            self.drop(str(folder / name), f"{what} the frames of a video")
        if len(spelled) > _SHOWN:
            more = spelled[_SHOWN:]
            names = f"{more[0][0]} and {len(more) - 1} others"
            self.drop(str(folder / names), f"{sum(dict(more).values())} images beside the frames of a video")

    def leave_files(self, contents: Contents, read: Collection[Path] = ()) -> None:
        """Leave out the files of a folder that are neither videos nor images nor annotations that are read.

        Many of one kind are counted.

        Args:
            contents: the folder.
            read: the annotations that are read.
        """
        names = {path.name for path in read}
        kinds: dict[str, list[str]] = {}
        for name in contents.others:
            # Annotations may be given by another way to the same folder.
            if name not in names or not any(_same(contents.folder / name, path) for path in read):
                kinds.setdefault(_no_video(name), []).append(name)
        for reason, alike in kinds.items():
            many = [f"{alike[0]} and {len(alike) - 1} others"]
            for name in alike if len(alike) <= _SHOWN else many:
                self.drop(str(contents.folder / name), reason)

    def leave_rest(self, contents: Contents) -> None:
        """Leave out what a folder holds that is neither a video nor a video's frames."""
        folder = contents.folder
        for name in contents.hidden:
            self.drop(str(folder / name), _HIDDEN)
        for name in contents.no_files:
            self.drop(str(folder / name), no_file(folder / name))
        for name in contents.previews:
            self.drop(str(folder / name), "a preview beside the frames of a video")
        images = [] if contents.is_video else contents.images
        reason = contents.reason or "an image outside a folder of a video's frames"
        if images and len(images) <= _SHOWN:
            for name in images:
                self.drop(str(folder / name), reason)
        elif images or contents.reason:
            self.drop(str(folder), f"{len(images)} images: {reason}" if images else reason)


def _no_video(name: str) -> str:
    """Return why a file that no reader reads is left out."""
    if name.startswith("."):
        return _HIDDEN
    suffix = Path(name).suffix
    told = f"not a video: suffix {suffix or 'missing'}"
    tables = "; lists and tables are read as .csv, .tsv or .txt"
    return told + (tables if suffix.lower() in _TABLES else "")


def _same(path: Path, other: Path) -> bool:
    return path == other or os.path.realpath(path) == os.path.realpath(other)


def split_items(items: list[VideoItem], groups: Mapping[str, str]) -> dict[str, tuple[VideoItem, ...]]:
    """Fill in the split of items that have none, and take val from train if there is none.

    A hash of the group's name decides: always the same way, and a video that is added moves no other one,
    except that no class is left without a val video if it has two groups.
    """
    has_val = any(item.split == "val" for item in items)
    hashed = [item for item in items if item.split == "" or (item.split == "train" and not has_val)]
    of_label: dict[Label | None, list[VideoItem]] = {}
    for item in hashed:
        # Only single labels are few enough to give each a val video.
        of_label.setdefault(item.label if isinstance(item.label, int) else None, []).append(item)
    chosen: dict[str, str] = {}
    for members in of_label.values():
        with_test = {groups[item.id]: item.split == "" for item in members}
        buckets = {group: _bucket(group) for group in with_test}
        order = sorted(buckets, key=buckets.__getitem__)
        for group in order:
            chosen[group] = _hashed_split(buckets[group][0], with_test=with_test[group])
        # Few videos may all fall on one side; the ends of the order have the best claim to either.
        if len(order) > 1 and all(chosen[group] != "val" for group in order):
            chosen[order[0]] = "val"
        if all(chosen[group] != "train" for group in order):
            chosen[order[-1]] = "train"
    placed: dict[str, list[VideoItem]] = {"train": [], "val": [], "test": []}
    for item in items:
        split = item.split
        if split == "" or (split == "train" and not has_val):
            split = chosen[groups[item.id]]
        placed[split].append(item if split == item.split else replace(item, split=split))
    return {name: tuple(part) for name, part in placed.items()}


def _bucket(name: str) -> tuple[int, str]:
    try:
        text = name.encode(errors="surrogateescape")
    except UnicodeEncodeError:  # from annotations, not from names of files
        text = name.encode(errors="backslashreplace")
    return int(hashlib.sha256(text).hexdigest()[:8], 16) % 100, name


def _hashed_split(bucket: int, *, with_test: bool) -> str:
    if bucket < _SHARE:
        return "val"
    return "test" if with_test and bucket < 2 * _SHARE else "train"
