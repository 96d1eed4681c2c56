"""Charades: videos with any number of 157 actions, each with its seconds; several labels a video."""

from __future__ import annotations

import re

from proxy_train.data.formats.annotation_files import csv_rows, parse_index, parse_number
from proxy_train.data.formats.listing import Listing
from proxy_train.data.formats.request import Request, lines_of
from proxy_train.data.formats.video_index import VideoIndex
from proxy_train.video.video import Video
from search_space.errors import DataError

CLASSES = 157
_CLASSES = r"Charades_v1_classes\.txt"
_ACTION = re.compile(r"c(\d{3}) (\S+) (\S+)")
Action = tuple[int, float, float]


def matches(request: Request) -> bool:
    """Return whether there is a Charades_v1_train.csv or Charades_v1_test.csv."""
    return bool(request.find(r"Charades_v1_(train|test)\.csv"))


def read(request: Request) -> Listing:
    """Return the videos, each labelled with the set of its actions, perhaps none.

    With ``request.segments``, training takes each action's time range instead, labelled with every action
    that overlaps it. Ranges end with the video at the latest.

    Raises:
        DataError: there are no annotations, a column is missing, or a row cannot be read.
    """
    files = request.find(r"Charades_v1_(train|test)\.csv")
    if not files:
        raise DataError(
            f"{request.annotations or request.root}: no Charades_v1_train.csv",
            hint="set data.annotations to its folder",
        )
    listing = Listing(classes=_classes(request), kind="multi")
    videos = VideoIndex(request.root, request.frame_rate)
    tables = {path: list(csv_rows(path, ("id", "actions", "length"))) for path in files}
    videos.survey(videos.find(row["id"]) for rows in tables.values() for _, row in rows)
    for path, rows in tables.items():
        split = "train" if "train" in path.name.lower() else "test"
        for where, row in rows:
            name = row["id"]
            actions = _actions(listing, where, row)
            video = videos.find(name)
            if video is None:
                listing.miss(f"{split}:{name}", f"no such video below {request.root}")
            elif name in listing.groups:
                listing.drop(f"{split}:{name}", "listed before")
            elif request.segments and split == "train":
                _add_segments(listing, video, name, actions)
            else:
                listing.add(video, _labels(actions), name, split)
    videos.leave_out(listing, "in no annotation", [*files, *request.find(_CLASSES)[:1]])
    return listing


def _actions(listing: Listing, where: str, row: dict[str, str]) -> list[Action]:
    """Return the actions of a row, their ends clipped to the video; drop those that lie past it."""
    length = parse_number(row["length"], where, "length") if row["length"] else float("inf")
    actions: list[Action] = []
    for text in filter(None, row["actions"].split(";")):
        match = _ACTION.fullmatch(text.strip())
        if match is None:
            raise DataError(f"{where}: action {text!r}", hint="write it as c092 11.90 21.20")
        label = parse_index(match[1], where, "action", CLASSES)
        start, end = (parse_number(match[part], where, "action") for part in (2, 3))
        if start >= min(end, length):
            listing.drop(
                f"{row['id']}: {text.strip()}", f"nothing of it lies within the video's {length:g} s"
            )
        else:
            actions.append((label, start, min(end, length)))
    return actions


def _add_segments(listing: Listing, video: Video, name: str, actions: list[Action]) -> None:
    if not actions:
        listing.add(video, (), name, "train")
    for number, (_, start, end) in enumerate(actions):
        overlapping = [action for action in actions if action[1] < end and action[2] > start]
        listing.add(video, _labels(overlapping), f"{name}:{number}", "train", start, end, group=name)


def _labels(actions: list[Action]) -> tuple[int, ...]:
    return tuple(sorted({label for label, _, _ in actions}))


def _classes(request: Request) -> tuple[str, ...]:
    """Return the names of the classes, from Charades_v1_classes.txt if it exists."""
    names = {number: f"c{number:03d}" for number in range(CLASSES)}
    for path in request.find(_CLASSES)[:1]:
        for number, line in lines_of(path):
            code, _, name = line.partition(" ")
            where = f"{path}, line {number}"
            names[parse_index(code.removeprefix("c"), where, "class", CLASSES)] = name.strip() or code
    return tuple(names[number] for number in range(CLASSES))
