"""Kinetics-400, -600 and -700: CSV files with a header, trimmed clips named by video and seconds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from proxy_train.data.formats.annotation_files import csv_header, csv_lines, parse_number
from proxy_train.data.formats.listing import Listing
from proxy_train.data.formats.request import SPLITS, Request, split_of
from proxy_train.data.formats.video_index import VideoIndex
from proxy_train.data.labels import plain
from search_space.errors import DataError

_REQUIRED = ("youtube_id", "time_start", "time_end")
_COLUMNS = ("label", *_REQUIRED, "split")
# A clip that several splits list is used for measuring, not for training.
_ORDER = ("test", "val", "train")


class _Row(NamedTuple):
    """A clip.

    Attributes:
        names: possible names of its file; file names leave out or round fractions of seconds.
    """

    split: str
    label: str
    video: str
    names: tuple[str, ...]


def matches(request: Request) -> bool:
    """Return whether a CSV file has the columns of Kinetics."""
    return bool(_files(request))


def read(request: Request) -> Listing:
    """Return the clips; the classes are the sorted labels of all rows, also of missing clips.

    Raises:
        DataError: there is no CSV file with Kinetics' columns, or a row cannot be read.
    """
    files = _files(request)
    rows = [row for path in files for row in _rows(path)]
    if not rows:
        raise DataError(
            f"{request.annotations or request.root}: no CSV file with columns label, {', '.join(_REQUIRED)}",
            hint="set data.annotations to Kinetics' CSV files",
        )
    numbers, classes = _classes(rows)
    listing = Listing(classes=classes)
    videos = VideoIndex(request.root, request.frame_rate)
    videos.survey(videos.find_any(row.names, below=row.label) for row in rows)
    taken: dict[str, _Row] = {}
    for split in _ORDER:
        for row in rows:
            if row.split != split:
                continue
            name = row.names[0]
            first = taken.setdefault(name, row)
            if first is not row:
                before = f"{first.split}, {first.label or 'no label'}"
                listing.drop(f"{split}:{name}", f"listed before: {before}")
                continue
            video = videos.find_any(row.names, below=row.label)
            if video is None:
                listing.miss(f"{split}:{name}", f"no such video below {request.root}")
            elif row.label:
                listing.add(video, numbers[row.label], name, split, group=row.video)
            else:
                listing.add_unlabelled(video, name, split)
    videos.leave_out(listing, "in no annotation", files)
    return listing


def _files(request: Request) -> list[Path]:
    return [path for path in request.find(r".*\.csv") if {*_REQUIRED} <= {*csv_header(path)}]


def _classes(rows: Sequence[_Row]) -> tuple[dict[str, int], tuple[str, ...]]:
    """Return the number of each label however it is spelled, and the classes' names: the first spellings."""
    written = dict.fromkeys(row.label for row in rows if row.label)
    spelled: dict[str, str] = {}
    for label in written:
        spelled.setdefault(plain(label), label)
    classes = tuple(sorted(spelled.values()))
    numbers = {name: number for number, name in enumerate(classes)}
    return {label: numbers[spelled[plain(label)]] for label in written}, classes


def _rows(path: Path) -> Iterator[_Row]:
    of_name = split_of(path.name)
    select: Callable[[list[str]], tuple[str, ...]] | None = None
    for line, columns, fields in csv_lines(path, _REQUIRED):
        if select is None:
            select = itemgetter(*(columns.index(name) if name in columns else -1 for name in _COLUMNS))
        fields.append("")  # of the columns that are not there
        label, video, start, end, word = map(str.strip, select(fields))
        split = SPLITS.get(word.lower()) or of_name
        if split is None:
            raise DataError(
                f"{path}, line {line}: split is {word or None!r}",
                hint="train, val or test, here or in the file's name",
            )
        yield _Row(split, label.strip("\"'"), video, _names(video, start, end, f"{path}, line {line}"))


def _names(video: str, start: str, end: str, where: str) -> tuple[str, ...]:
    if start.isascii() and start.isdigit() and end.isascii() and end.isdigit():
        return (f"{video}_{start.zfill(6)}_{end.zfill(6)}",)
    first, last = parse_number(start, where, "time_start"), parse_number(end, where, "time_end")
    spellings = [(math.floor(first), math.floor(last)), (round(first), round(last))]
    return tuple(dict.fromkeys(f"{video}_{begin:06d}_{until:06d}" for begin, until in spellings))
