"""EPIC-KITCHENS-100: many labelled segments in each long video, a verb and a noun each."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

from proxy_train.data.formats.annotation_files import csv_header, csv_rows, parse_index, parse_number
from proxy_train.data.formats.listing import Listing
from proxy_train.data.formats.request import Request
from proxy_train.data.formats.video_index import VideoIndex
from proxy_train.data.labels import VerbNoun
from proxy_train.video.video import Video
from search_space.errors import DataError

VERBS, NOUNS = 97, 300
_MOST_NAMES = 100_000
_VERBS, _NOUNS = r"EPIC_100_verb_classes\.csv", r"EPIC_100_noun_classes.*\.csv"
_SEGMENT = ("narration_id", "video_id", "start_timestamp", "stop_timestamp", "start_frame", "stop_frame")
_LABELS = ("verb", "verb_class", "noun", "noun_class")
_TIME = re.compile(r"([0-9]{1,4}):([0-9]{2}):([0-9]{2}(?:\.[0-9]+)?)")
_FILES = {
    "train": r"EPIC_100_train\.csv",
    "val": r"EPIC_100_validation\.csv",
    "test": r"EPIC_100_test.*\.csv",
}


def matches(request: Request) -> bool:
    """Return whether there is an EPIC_100_train.csv or EPIC_100_validation.csv."""
    return any(request.find(_FILES[split]) for split in ("train", "val"))


def read(request: Request) -> Listing:
    """Return the segments of videos, or of folders of frames from 1, whose rate the annotations tell.

    Raises:
        DataError: there are no annotations, a column is missing, or a row cannot be read.
    """
    files = {split: path for split, pattern in _FILES.items() for path in request.find(pattern)[:1]}
    if not files:
        raise DataError(
            f"{request.annotations or request.root}: no EPIC_100_train.csv",
            hint="set data.annotations to its folder",
        )
    listing = Listing(kind="verb_noun", verbs=VERBS)
    videos = VideoIndex(request.root, request.frame_rate)
    names: tuple[Counter[tuple[int, str]], Counter[tuple[int, str]]] = (Counter(), Counter())
    labelled = {split: split != "test" or {*_LABELS} <= {*csv_header(path)} for split, path in files.items()}
    tables = {
        split: list(csv_rows(path, _SEGMENT + (_LABELS if labelled[split] else ())))
        for split, path in files.items()
    }
    videos.survey(videos.find(row["video_id"]) for rows in tables.values() for _, row in rows)
    for split, rows in tables.items():
        rates = _frame_rates(rows)
        for where, row in rows:
            _add_segment(listing, videos, where, row, split, rates, names if labelled[split] else None)
    named = [path for pattern in (_VERBS, _NOUNS) for path in request.find(pattern)[:1]]
    videos.leave_out(listing, "in no annotation", [*files.values(), *named])
    listing.classes = (
        *_names(request, _VERBS, names[0], VERBS),
        *_names(request, _NOUNS, names[1], NOUNS),
    )
    return listing


def _add_segment(
    listing: Listing,
    videos: VideoIndex,
    where: str,
    row: dict[str, str],
    split: str,
    rates: dict[str, float],
    names: tuple[Counter[tuple[int, str]], Counter[tuple[int, str]]] | None,
) -> None:
    name, recording = row["narration_id"], row["video_id"]
    start, end = (_seconds(row[column], where, column) for column in ("start_timestamp", "stop_timestamp"))
    video = videos.find(recording)
    if names is not None:
        verb = parse_index(row["verb_class"], where, "verb_class", VERBS)
        noun = parse_index(row["noun_class"], where, "noun_class", NOUNS)
        names[0][verb, row["verb"]] += 1
        names[1][noun, row["noun"]] += 1
    if video is None:
        listing.miss(f"{split}:{name}", f"no video {recording}")
    elif end <= start:
        listing.drop(f"{split}:{name}", f"it ends at {end:g} s, before its start at {start:g} s")
    elif name in listing.groups:
        listing.drop(f"{split}:{name}", "listed before")
    elif names is None:
        listing.add_unlabelled(_numbered_from_one(video, rates.get(recording)), name, split, start, end)
    else:
        video = _numbered_from_one(video, rates.get(recording))
        listing.add(video, VerbNoun(verb, noun), name, split, start, end, group=recording)


def _numbered_from_one(video: Video, rate: float | None) -> Video:
    """Return the frames counted from 1 even if the first ones are missing: times would shift otherwise."""
    files = video.files
    if files is None:
        return video
    count = files.offset + files.count - 1
    return Video(video.path, replace(files, offset=1, count=count, fps=rate or files.fps))


def _frame_rates(rows: list[tuple[str, dict[str, str]]]) -> dict[str, float]:
    """Return each video's frames a second, from its latest segment: rounding matters least there."""
    latest: dict[str, tuple[float, float]] = {}
    for where, row in rows:
        seconds = _seconds(row["stop_timestamp"], where, "stop_timestamp")
        if seconds > latest.get(row["video_id"], (0.0, 0.0))[0]:
            frame = parse_number(row["stop_frame"], where, "stop_frame")
            latest[row["video_id"]] = (seconds, frame)
    return {video: frame / seconds for video, (seconds, frame) in latest.items()}


def _seconds(text: str, where: str, column: str) -> float:
    match = _TIME.fullmatch(text)
    if match is None:
        raise DataError(f"{where}: {column} is {text!r}", hint="it must be hours:minutes:seconds")
    return int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3])


def _names(request: Request, pattern: str, seen: Counter[tuple[int, str]], count: int) -> list[str]:
    """Return the names of the classes: from the data set's list, else each one's most frequent word."""
    names: dict[int, str] = {}
    for (number, word), _ in reversed(seen.most_common()):
        names[number] = word
    for path in request.find(pattern)[:1]:
        for where, row in csv_rows(path, ("id", "key")):
            number = parse_index(row["id"], where, "id", _MOST_NAMES)
            # Later versions of the list have further names, for other tasks.
            if number < count:
                names[number] = row["key"]
    written = [names.get(number, str(number)) for number in range(count)]
    times = Counter(written)
    # Without the data set's list a word may be the most frequent one of several classes.
    return [name if times[name] == 1 else f"{name} ({number})" for number, name in enumerate(written)]
