"""HMDB51: a list for each class and each of 3 splits, ``file.avi 1`` to train on, 2 to test, 0 neither."""

from __future__ import annotations

import re
from pathlib import Path

from proxy_train.data.formats.listing import Listing
from proxy_train.data.formats.request import Request, lines_of
from proxy_train.data.formats.video_index import VideoIndex
from proxy_train.video.video import Video
from search_space.errors import DataError

_NAME = r"(.+)_test_split{}\.txt"


def matches(request: Request) -> bool:
    """Return whether there are ``<class>_test_split<n>.txt`` lists."""
    return bool(request.find(_NAME.format(r"\d")))


def read(request: Request) -> Listing:
    """Return the clips; those cut from one film, whose names start alike, never fall into different splits.

    Raises:
        DataError: there is no list of the requested split, or a line cannot be read.
    """
    lists = request.find(_NAME.format(request.split))
    if not lists:
        raise DataError(
            f"{request.annotations or request.root}: no <class>_test_split{request.split}.txt",
            hint="set data.annotations to the folder of the lists, and data.split to 1, 2 or 3",
        )
    names = [re.sub(r"_test_split\d\.txt", "", path.name, flags=re.IGNORECASE) for path in lists]
    listing = Listing(classes=tuple(sorted(names)))
    videos = VideoIndex(request.root, request.frame_rate)
    rows: list[tuple[str, str, int]] = []
    for path, name in zip(lists, names, strict=True):
        for number, line in lines_of(path):
            file, _, part = line.rpartition(" ")
            if part not in ("0", "1", "2") or not file:
                raise DataError(f"{path}, line {number}: {line!r}", hint="a line is file.avi 0, 1 or 2")
            rows.append((file.strip(), name, int(part)))
    videos.survey(_find(videos, file, name) for file, name, _ in rows)
    for file, name, used in rows:
        _add_clip(listing, videos, file, name, used, request.split)
    videos.leave_out(listing, "in no list", lists)
    return listing


def _find(videos: VideoIndex, file: str, name: str) -> Video | None:
    return videos.find(Path(file).stem, below=name)


def _add_clip(listing: Listing, videos: VideoIndex, file: str, name: str, part: int, split: int) -> None:
    video = _find(videos, file, name)
    identity = f"{name}/{file}"
    if video is None:
        listing.miss(identity, "no such video")
    elif part == 0:
        listing.drop(identity, f"split {split} does not use it")
    elif identity in listing.groups:
        listing.drop(identity, "listed before")
    else:
        film = Path(file).stem.partition(f"_{name}_")[0]
        label, of = listing.classes.index(name), "train" if part == 1 else "test"
        listing.add(video, label, identity, of, group=f"{name}/{film}")
