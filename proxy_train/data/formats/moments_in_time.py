"""Moments in Time: CSV files without a header, ``class/file.mp4,label,positives,negatives``."""

from __future__ import annotations

from pathlib import Path

from proxy_train.data.formats.annotation_files import parse_index
from proxy_train.data.formats.listing import Listing
from proxy_train.data.formats.request import Request, lines_of, split_of
from proxy_train.data.formats.tree import VIDEOS
from proxy_train.data.formats.video_index import VideoIndex
from proxy_train.video.video import Video
from search_space.errors import DataError

_CATEGORIES = r"moments_categories\.txt"


def matches(request: Request) -> bool:
    """Return whether there is a moments_categories.txt."""
    return bool(request.find(_CATEGORIES))


def read(request: Request) -> Listing:
    """Return the videos, with classes numbered as in ``moments_categories.txt``.

    Raises:
        DataError: there are no categories or no list of videos, or a line cannot be read.
    """
    numbers = _categories(request)
    names = {number: name for name, number in numbers.items()}
    listing = Listing(classes=tuple(names.get(number, str(number)) for number in range(max(names) + 1)))
    videos = VideoIndex(request.root, request.frame_rate)
    lists = [path for path in request.find(r".*\.csv") if split_of(path.name) is not None]
    if not lists:
        raise DataError(
            f"{request.annotations or request.root}: no trainingSet.csv", hint="set data.annotations"
        )
    rows: list[tuple[str, str, str]] = []
    for path in lists:
        split = split_of(path.name) or ""
        for number, line in lines_of(path):
            file, *fields = line.rsplit(",", 3)
            if Path(file).suffix.lower() not in VIDEOS or len(fields) != 3:
                hint = "a line is class/file.mp4,label,positives,negatives"
                raise DataError(f"{path}, line {number}: {line!r}", hint=hint)
            rows.append((f"{split}/{file}", split, fields[0]))
    videos.survey(_find(videos, name, split) for name, split, _ in rows)
    for name, split, word in rows:
        _add_video(listing, videos, name, split, numbers.get(word.strip()), word)
    videos.leave_out(listing, "in no annotation", [*lists, *request.find(_CATEGORIES)[:1]])
    return listing


def _find(videos: VideoIndex, name: str, split: str) -> Video | None:
    file = name.partition("/")[2]
    # training/ and validation/ can hold files of one name: the folder of the split comes first.
    folders = {
        "train": ("training/", "train/"),
        "val": ("validation/", "val/"),
        "test": ("testing/", "test/"),
    }
    candidates = (videos.find_path(folder + file) for folder in (*folders[split], ""))
    return next(filter(None, candidates), None)


def _add_video(
    listing: Listing, videos: VideoIndex, name: str, split: str, label: int | None, word: str
) -> None:
    video = _find(videos, name, split)
    if video is None:
        listing.miss(name, "no such video")
    elif label is None:
        listing.drop(name, f"moments_categories.txt has no {word.strip()!r}")
    elif name in listing.groups:
        listing.drop(name, "listed before")
    else:
        listing.add(video, label, name, split)


def _categories(request: Request) -> dict[str, int]:
    paths = request.find(_CATEGORIES)
    if not paths:
        raise DataError(
            f"{request.annotations or request.root}: no moments_categories.txt", hint="set data.annotations"
        )
    numbers: dict[str, int] = {}
    for line_number, line in lines_of(paths[0]):
        name, _, number = line.rpartition(",")
        numbers[name.strip()] = parse_index(
            number.strip(), f"{paths[0]}, line {line_number}", "index", 100_000
        )
    if not numbers:
        raise DataError(f"{paths[0]}: no category in it", hint="a line is label,index")
    return numbers
