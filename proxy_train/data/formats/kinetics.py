"""Kinetics-400, -600 and -700: CSV files with a header, trimmed clips named by video and seconds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from proxy_train.data.formats.annotation_files import csv_header, csv_rows, parse_number
from proxy_train.data.formats.listing import Listing
from proxy_train.data.formats.request import SPLITS, Request, split_of
from proxy_train.data.formats.video_index import VideoIndex, plain
from search_space.errors import DataError

_REQUIRED = ("youtube_id", "time_start", "time_end")
# A clip that several splits list is used for measuring, not for training.
_ORDER = ("test", "val", "train")


@dataclass(frozen=True, slots=True)
class _Row:
    split: str
    label: str
    video: str
    start: float
    end: float

    @property
    def names(self) -> tuple[str, ...]:
        """Possible names of the clip's file; file names leave out or round fractions of seconds."""
        spellings = [(math.floor(self.start), math.floor(self.end)), (round(self.start), round(self.end))]
        return tuple(dict.fromkeys(f"{self.video}_{start:06d}_{end:06d}" for start, end in spellings))


def matches(request: Request) -> bool:
    """Return whether a CSV file has the columns of Kinetics."""
    return bool(_files(request))


def read(request: Request) -> Listing:
    """Return the clips; the classes are the sorted labels of all rows, also of missing clips.

    Raises:
        DataError: there is no CSV file with Kinetics' columns, or a row cannot be read.
    """
    rows = [row for path in _files(request) for row in _rows(path)]
    if not rows:
        raise DataError(
            f"{request.annotations or request.root}: no CSV file with columns label, {', '.join(_REQUIRED)}",
            hint="set data.annotations to Kinetics' CSV files",
        )
    spelled: dict[str, str] = {}
    for row in rows:
        if row.label:
            spelled.setdefault(plain(row.label), row.label)
    listing = Listing(classes=tuple(sorted(spelled.values())))
    labels = {plain(name): label for label, name in enumerate(listing.classes)}
    videos = VideoIndex(request.root, request.frame_rate)
    taken: dict[str, _Row] = {}
    for row in sorted(rows, key=lambda row: _ORDER.index(row.split)):
        name = row.names[0]
        if name in taken:
            first = taken[name]
            listing.drop(f"{row.split}:{name}", f"listed before: {first.split}, {first.label or 'no label'}")
            continue
        taken[name] = row
        video = next(filter(None, (videos.find(name, below=row.label) for name in row.names)), None)
        if video is None:
            listing.miss(f"{row.split}:{name}", f"no such video below {request.root}")
        elif row.label:
            listing.add(video, labels[plain(row.label)], name, row.split, group=row.video)
        else:
            listing.add_unlabelled(video, name, row.split)
    videos.leave_out(listing, "in no annotation")
    return listing


def _files(request: Request) -> list[Path]:
    return [path for path in request.find(r".*\.csv") if {*_REQUIRED} <= {*csv_header(path)}]


def _rows(path: Path) -> list[_Row]:
    rows: list[_Row] = []
    for where, row in csv_rows(path, _REQUIRED):
        split = SPLITS.get(row.get("split", "").lower()) or split_of(path.name)
        if split is None:
            raise DataError(
                f"{where}: split is {row.get('split')!r}",
                hint="train, val or test, here or in the file's name",
            )
        start, end = (parse_number(row[column], where, column) for column in ("time_start", "time_end"))
        rows.append(_Row(split, row.get("label", "").strip("\"'"), row["youtube_id"], start, end))
    return rows
