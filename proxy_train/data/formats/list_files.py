"""List files without a header: a line is a path and one label or several, split from the right."""

from __future__ import annotations

import re
from pathlib import Path

from proxy_train.data.formats.listing import Listing
from proxy_train.data.formats.request import SPLITS, Request, lines_of
from proxy_train.data.formats.video_index import VIDEOS
from proxy_train.video.frame_folder import find_frames
from proxy_train.video.video import Video
from search_space.errors import DataError

_NAMES = rf"({'|'.join(SPLITS)})\.(txt|csv)"
_LABEL = re.compile(r"(.*?)[\s,]+(\d+)")


def matches(request: Request) -> bool:
    """Return whether there is a train.txt, or a train.csv without a header."""
    return any(_first_line(path)[-1:].isdigit() for path in _lists(request))


def read(request: Request) -> Listing:
    """Read ``train.txt``, ``val.txt`` and ``test.txt`` (or ``.csv``); ``classes.txt`` names the classes.

    White space or commas stand between path and labels; paths are relative to the root, and may hold both. A
    line with several labels makes the data set one of multiple labels.

    Raises:
        DataError: there is no list, or a line cannot be read; names file and line.
    """
    listing = Listing()
    rows: list[tuple[str, str, Video, list[int]]] = []
    for path in _lists(request):
        for number, line in lines_of(path):
            name, labels = _path_and_labels(line, request.root)
            if not labels or not name:
                raise DataError(f"{path}, line {number}: {line!r}", hint="a line is a path and a class index")
            split = SPLITS[path.stem.lower()]
            rows.append((split, f"{split}:{number}:{name}", _video(request, name), labels))
    if not rows:
        raise DataError(
            f"{request.root}: no train.txt with videos in it", hint="a line is: path label [label ...]"
        )
    if any(len(labels) > 1 for _, _, _, labels in rows):
        listing.kind = "multi"
    listing.classes = _classes(request, max(max(labels) for _, _, _, labels in rows) + 1)
    for split, name, video, labels in rows:
        several = tuple(sorted(set(labels)))
        listing.add(video, several if listing.kind == "multi" else labels[0], name, split)
    return listing


def _lists(request: Request) -> list[Path]:
    paths = request.find(_NAMES)
    # If both spellings of a split exist, text files are meant.
    return sorted(paths, key=lambda path: (path.suffix.lower() != ".txt", path.name.lower() != "train.txt"))


def _first_line(path: Path) -> str:
    return next((line for _, line in lines_of(path)), "")


def _path_and_labels(line: str, root: Path) -> tuple[str, list[int]]:
    """Split a line into path and labels, from the right, until there is no number or a path ends."""
    name, labels = line, list[int]()
    while (match := _LABEL.fullmatch(name)) is not None:
        name, labels = match[1], [int(match[2]), *labels]
        if Path(name).suffix.lower() in VIDEOS or (root / name).exists():
            break
    return name, labels


def _video(request: Request, name: str) -> Video:
    path = request.root / name
    return Video(path, find_frames(path, request.frame_rate) if path.is_dir() else None)


def _classes(request: Request, count: int) -> tuple[str, ...]:
    paths = request.find(r"classes\.txt")
    if not paths:
        return tuple(str(number) for number in range(count))
    names = tuple(line for _, line in lines_of(paths[0]))
    if len(names) < count:
        raise DataError(
            f"{paths[0]}: {len(names)} names, but a label is {count - 1}", hint="labels count from 0"
        )
    return names
