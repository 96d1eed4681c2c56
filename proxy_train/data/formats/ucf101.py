"""UCF101: ``classInd.txt``, and for each of three official splits a list to train on and one to test on."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from proxy_train.data.formats.annotation_files import parse_index
from proxy_train.data.formats.listing import Listing
from proxy_train.data.formats.request import Request, lines_of
from proxy_train.data.formats.video_index import VideoIndex
from proxy_train.video.video import Video
from search_space.errors import DataError

_NAMES = r"classInd\.txt"
_GROUP = re.compile(r"(.*_g\d+)_c\d+")


def matches(request: Request) -> bool:
    """Return whether there are a classInd.txt and a trainlist."""
    return bool(request.find(_NAMES) and request.find(r"(train|test)list\d\d\.txt"))


def read(request: Request) -> Listing:
    """Return the clips; those of one group, pieces of one recording, never fall into different splits.

    Raises:
        DataError: there is no classInd.txt or no list of the requested split, or a line cannot be read.
    """
    numbers = _classes(request)
    listing = Listing(classes=tuple(sorted(numbers, key=numbers.__getitem__)))
    spelled = Counter(map(str.casefold, numbers))
    numbers |= {name.casefold(): label for name, label in numbers.items() if spelled[name.casefold()] == 1}
    videos = VideoIndex(request.root, request.frame_rate)
    lists = request.find(rf"(train|test)list{request.split:02d}\.txt")
    if not lists:
        raise DataError(
            f"{request.annotations or request.root}: no trainlist{request.split:02d}.txt",
            hint="set data.annotations to the folder of the lists, and data.split to 1, 2 or 3",
        )
    rows: list[tuple[str, str, str, str]] = []
    for path in lists:
        split = "train" if path.name.lower().startswith("train") else "test"
        for number, line in lines_of(path):
            name, _, written = line.rpartition(" ") if re.search(r" [0-9]{1,9}$", line) else (line, "", "")
            rows.append((name.strip(), split, written, f"{path}, line {number}"))
    videos.survey(_find(videos, name) for name, *_ in rows)
    for name, split, written, where in rows:
        _add_clip(listing, videos, name, split, numbers, written, where)
    read = [*lists, *request.find(_NAMES)[:1]]
    videos.leave_out(listing, f"not in split {request.split}", read)
    return listing


def _find(videos: VideoIndex, name: str) -> Video | None:
    return videos.find_path(name) or videos.find(Path(name).stem)


def _add_clip(
    listing: Listing,
    videos: VideoIndex,
    name: str,
    split: str,
    numbers: dict[str, int],
    written: str,
    where: str,
) -> None:
    file = Path(name)
    label = numbers.get(file.parent.name, numbers.get(file.parent.name.casefold()))
    if label is None:
        raise DataError(f"{where}: {name!r}", hint="a line is Class/video.avi, its class from classInd.txt")
    video = _find(videos, name)
    if written and int(written) != label + 1:
        listing.drop(name, f"{where} says class {written}, classInd.txt {label + 1}")
    elif video is None:
        listing.miss(name, "no such video")
    elif name in listing.groups:
        listing.drop(name, "listed before")
    else:
        group = _GROUP.fullmatch(file.stem)
        listing.add(video, label, name, split, group=group[1] if group else "")


def _classes(request: Request) -> dict[str, int]:
    paths = request.find(_NAMES)
    if not paths:
        raise DataError(
            f"{request.annotations or request.root}: no classInd.txt", hint="set data.annotations"
        )
    numbers: dict[str, int] = {}
    for line_number, line in lines_of(paths[0]):
        number, _, name = line.partition(" ")
        where = f"{paths[0]}, line {line_number}"
        # The file counts from 1.
        numbers[name.strip()] = parse_index(number, where, "number", 100_000) - 1
    if sorted(numbers.values()) != list(range(len(numbers))) or not numbers:
        raise DataError(f"{paths[0]}: its numbers are not 1, 2, 3, ...", hint="restore the original file")
    return numbers
