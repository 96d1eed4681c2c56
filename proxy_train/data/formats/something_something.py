"""Something-Something V2: JSON lists, ``<id>.webm``, 174 templates as classes; mirroring changes labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from proxy_train.data.formats.annotation_files import load_json, parse_index
from proxy_train.data.formats.listing import Listing
from proxy_train.data.formats.request import Request
from proxy_train.data.formats.video_index import VideoIndex
from search_space.errors import DataError

_PREFIX = r"(something-something-v2-)?"
_SPLITS = ("train", "validation", "test")


def matches(request: Request) -> bool:
    """Return whether there are a labels.json and a train.json or validation.json, or their new names."""
    return bool(_file(request, "labels")) and any(_file(request, split) for split in _SPLITS)


def read(request: Request) -> Listing:
    """Return the videos; the class is the number of the template in labels.json, brackets left out.

    Raises:
        DataError: there is no labels.json, a file is no such JSON, or a number is used twice.
    """
    path = _file(request, "labels")
    if path is None:
        raise DataError(
            f"{request.annotations or request.root}: no labels.json",
            hint="set data.annotations to its folder",
        )
    numbers = _numbers(path)
    names = {number: template for template, number in numbers.items()}
    listing = Listing(classes=tuple(names.get(number, str(number)) for number in range(max(names) + 1)))
    videos = VideoIndex(request.root, request.frame_rate)
    rows: list[tuple[dict[str, Any], str]] = []
    for split in _SPLITS:
        source = _file(request, split)
        entries = [] if source is None else load_json(source, list)
        for place, entry in enumerate(entries):
            if not isinstance(entry, dict) or "id" not in entry:
                raise DataError(f"{source}: entry {place} has no id", hint="an entry is {id, template, ...}")
            rows.append((entry, "val" if split == "validation" else split))
    videos.survey(videos.find(str(entry["id"])) for entry, _ in rows)
    for entry, split in rows:
        _add_video(listing, videos, entry, split, numbers)
    files = (_file(request, part) for part in ("labels", *_SPLITS))
    videos.leave_out(listing, "in no annotation", [file for file in files if file is not None])
    return listing


def _add_video(
    listing: Listing, videos: VideoIndex, entry: dict[str, Any], split: str, numbers: dict[str, int]
) -> None:
    name = str(entry["id"])
    video = videos.find(name)
    template = entry.get("template")
    label = None if template is None else numbers.get(_without_brackets(str(template)))
    if video is None:
        listing.miss(f"{split}:{name}", "no such video")
    elif template is None:
        listing.add_unlabelled(video, name, split)
    elif label is None:
        listing.drop(f"{split}:{name}", f"labels.json has no template {template!r}")
    elif name in listing.groups:
        listing.drop(f"{split}:{name}", "listed before")
    else:
        listing.add(video, label, name, split)


def _numbers(path: Path) -> dict[str, int]:
    numbers: dict[str, int] = {}
    for template, value in load_json(path, dict).items():
        number = parse_index(str(value), f"{path}: {template!r}", "its number", 100_000)
        if number in numbers.values():
            raise DataError(f"{path}: {number} is the number of two templates", hint="numbers are unique")
        numbers[_without_brackets(template)] = number
    if not numbers:
        raise DataError(f"{path}: no template in it", hint="it maps each template to its number")
    return numbers


def _without_brackets(template: str) -> str:
    return template.replace("[", "").replace("]", "")


def _file(request: Request, part: str) -> Path | None:
    paths = request.find(rf"{_PREFIX}{part}\.json")
    return paths[0] if paths else None
