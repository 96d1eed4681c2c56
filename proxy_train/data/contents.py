"""What a data set holds, so that measurements on one are not mixed with those on another."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxy_train.data.dataset import Dataset, VideoItem
from proxy_train.data.labels import output_indices
from search_space.errors import RecordError
from search_space.files import replacing

CONTENTS = "contents.json.gz"
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Entry:
    """A video of a data set, without its place.

    Args:
        split: name of its split.
        labels: names of its classes.
        part: start and end in seconds, each None for that of the video; or what names its frames.
        size: bytes of its file; 0 for frames, and for videos that are made.
    """

    split: str
    labels: tuple[str, ...]
    part: tuple[Any, ...]
    size: int


@dataclass(frozen=True)
class Contents:
    """The videos of a data set with labels and splits; a folder that was moved or copied has the same.

    Args:
        classes: names of the classes, in order.
        fingerprint: digest of the data set's way of making, if it is made.
        videos: the videos by identity.
    """

    classes: tuple[str, ...]
    fingerprint: str
    videos: Mapping[str, Entry]

    @classmethod
    def of(cls, dataset: Dataset) -> Contents:
        """Return the contents of a data set as it is listed."""
        videos = {
            item.id: _entry(item, split, dataset)
            for split, items in sorted(dataset.items.items())
            for item in items
        }
        return cls(tuple(dataset.output_names), dataset.fingerprint, videos)

    @property
    def digest(self) -> str:
        """16 hexadecimal digits that change with a video, its size, label or split, or with the classes."""
        text = json.dumps(self._json(), separators=(",", ":"), sort_keys=True)
        return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16]

    @property
    def counts(self) -> dict[str, int]:
        """The number of videos of each split."""
        counts: dict[str, int] = {}
        for entry in self.videos.values():
            counts[entry.split] = counts.get(entry.split, 0) + 1
        return dict(sorted(counts.items()))

    def write(self, folder: Path) -> None:
        """Write ``contents.json.gz`` into a folder."""
        text = json.dumps(self._json())
        with replacing(folder / CONTENTS) as temporary:
            temporary.write_bytes(gzip.compress(text.encode(), mtime=0))

    @classmethod
    def read(cls, folder: Path) -> Contents | None:
        """Return the contents that a folder's file tells of; None if there is no file.

        Raises:
            RecordError: the file is damaged.
        """
        path = folder / CONTENTS
        try:
            content = json.loads(gzip.decompress(path.read_bytes()))
            videos = {
                str(name): Entry(split, tuple(labels), tuple(part), size)
                for name, (split, labels, part, size) in content["videos"].items()
            }
            return cls(tuple(content["classes"]), content["fingerprint"], videos)
        except FileNotFoundError:
            return None
        except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise RecordError(f"{path} is damaged: {error}", hint="delete it") from error

    def differences(self, now: Contents) -> list[str]:
        """Return what has changed since, in phrases; none if both are the same."""
        before, after = self.videos, now.videos
        both = [name for name in before if name in after]
        changes = {
            "added": [name for name in after if name not in before],
            "removed": [name for name in before if name not in after],
            "relabelled": [name for name in both if before[name].labels != after[name].labels],
            "moved to another split": [name for name in both if before[name].split != after[name].split],
            "of another length or size": [
                name
                for name in both
                if (before[name].part, before[name].size) != (after[name].part, after[name].size)
            ],
        }
        phrases = [_phrase(names, what) for what, names in changes.items() if names]
        if self.classes != now.classes:
            phrases.append(f"{len(self.classes)} classes then and {len(now.classes)} now, or others")
        if self.fingerprint != now.fingerprint:
            phrases.append("another version of the made videos")
        return phrases

    def _json(self) -> dict[str, Any]:
        videos = {
            name: [entry.split, list(entry.labels), list(entry.part), entry.size]
            for name, entry in self.videos.items()
        }
        return {"classes": list(self.classes), "fingerprint": self.fingerprint, "videos": videos}


def _entry(item: VideoItem, split: str, dataset: Dataset) -> Entry:
    names = dataset.output_names
    labels = tuple(names[index] for index in output_indices(item.label, dataset.verbs))
    if item.frames is not None:
        frames = item.frames
        return Entry(split, labels, (item.start, item.end, frames.template, frames.offset, frames.count), 0)
    size = 0 if dataset.fingerprint else dataset.stamps[str(item.path)][1]
    return Entry(split, labels, (item.start, item.end), size)


def _phrase(names: Sequence[str], what: str) -> str:
    shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
    return f"{len(names)} {'video' if len(names) == 1 else 'videos'} {what} ({shown})"
