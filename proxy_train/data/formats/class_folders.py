"""Folders a class, ``root/[split/]<class>/``, of video files or of folders of frames."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from proxy_train.data.formats.list_files import may_be_list
from proxy_train.data.formats.listing import Listing
from proxy_train.data.formats.modalities import doubt, doubtful, find_files_beside, find_no_pictures
from proxy_train.data.formats.request import Request
from proxy_train.data.formats.split_folders import Layout, Top, find_layout, reading_turn
from proxy_train.data.formats.tree import VIDEOS, Contents, require_folder, walk
from proxy_train.data.labels import require_distinct
from proxy_train.video.frame_folder import rank_of, sort_images
from proxy_train.video.video import Video
from search_space.errors import DataError

_LIST = "looks like a list of videos; folders are read, and no lists (data.kind: list reads lists)"


@dataclass(frozen=True, slots=True)
class _Place:
    """The class and the split that a folder's videos have by where they are.

    Args:
        split: name of the split; empty if folders do not tell.
        name: name of the class; empty for videos without a label.
        reason: why its videos are not used, or empty.
    """

    split: str = ""
    name: str = ""
    reason: str = ""


def read(request: Request) -> Listing:
    """Return the videos below class folders, whose sorted names give the classes; folders may be nested.

    Raises:
        DataError: there is no folder or no video, a folder cannot be read, or its folders can be read in
            several ways.
    """
    root = request.root
    require_folder(root)
    every = sorted(walk(root, reading_turn), key=lambda contents: contents.below)
    layout = find_layout(root, _tops(every))
    listing = Listing()
    listing.notes += layout.notes
    labelled: list[tuple[str, str, Video]] = []
    beside: set[str] = set()
    above = 2 if layout.splits else 1
    no_pictures, (no_files, doubted) = find_no_pictures(every, above), find_files_beside(every, above)
    for contents in every:
        if contents.below and contents.below[0] in layout.left_out:
            continue  # named as a whole
        no_picture = no_pictures.get(contents.below, "")
        if contents.is_video and not no_picture and len(contents.below) > above:
            no_picture = no_files.get(contents.below, "")
        place = _Place(reason=no_picture) if no_picture else _place(_holder(contents), layout)
        files = contents if place.reason else _without(contents, no_files, listing)
        videos = list(_videos(files, listing, request.frame_rate, beside)) if not place.reason else []
        if place.name:
            labelled += [(place.split, place.name, video) for video in videos]
        else:
            for video in videos:
                listing.add_unlabelled(video, str(video.path.relative_to(root)), place.split)
        _leave_out(contents, place.reason, listing)
    labelled = _without_depth_alone(labelled, beside, listing)
    if not labelled:
        raise DataError(
            f"{root}: no video in it" if not listing.unlabelled else f"{root}: no video in a class folder",
            hint=f"put videos in root/<class>/, ending in {', '.join(sorted(VIDEOS))}",
        )
    second_ways = {contents.below: contents.reason for contents in every if contents.is_second_way}
    for name, reason in layout.left_out.items():
        listing.drop(str(root / name), second_ways.get((name,), reason))
    for path in _empty(every, layout, {(split, name) for split, name, _ in labelled}):
        listing.drop(str(root / path), "no video in it: it is no class")
    by_name = {str(root.joinpath(*key)): reason for key, reason in doubted.items()}
    listing.notes += doubtful(_doubts(labelled, root, above, by_name))
    classes = {name for _, name, _ in labelled}
    require_distinct(classes, str(root), "call a class's folders alike, or give the classes other names")
    listing.classes = tuple(sorted(classes))
    numbers = {name: number for number, name in enumerate(listing.classes)}
    for split, name, video in labelled:
        listing.add(video, numbers[name], str(video.path.relative_to(root)), split)
    return listing


def _empty(every: list[Contents], layout: Layout, known: set[tuple[str, str]]) -> list[Path]:
    """Return the folders that would be classes if they held a video, and that no other split has either."""
    depth = 2 if layout.splits else 1
    classes, unread = {name for _, name in known}, layout.left_out.keys() | layout.unlabelled
    found: list[Path] = []
    for contents in every:
        below = contents.below
        if len(below) != depth or below[-1] in classes or contents.is_video or contents.reason:
            continue
        if below[0] in layout.splits or (depth == 1 and below[0] not in unread):
            found.append(Path(*below))
    return found


def _tops(every: list[Contents]) -> dict[str, Top]:
    """Return the facts of the root's folders that tell splits from classes."""
    tops: dict[str, Top] = {}
    for contents in every:
        if not contents.below:
            continue
        top = tops.setdefault(contents.below[0], Top())
        count, holder = contents.is_video + len(contents.videos), _holder(contents)
        top.videos += count
        if len(holder) > 1 and count:
            top.folders.setdefault(holder[1], set()).update(holder[2:3])
        elif holder:
            top.loose += count
    return tops


def _holder(contents: Contents) -> tuple[str, ...]:
    """Return the names of the folders that hold a folder's videos; frames are a video of the one above."""
    return contents.below[:-1] if contents.is_video else contents.below


def _place(holder: tuple[str, ...], layout: Layout) -> _Place:
    """Return what videos are by the folders that hold them."""
    if not holder:
        return _Place(reason="outside the class folders")
    top = holder[0]
    if top in layout.unlabelled:
        return _Place(layout.unlabelled[top])
    if not layout.splits:
        return _Place("", top)
    split = layout.splits[top]
    return (
        _Place(split, holder[1]) if len(holder) > 1 else _Place(split, reason=f"in no class folder of {top}")
    )


def _videos(contents: Contents, listing: Listing, frame_rate: float, beside: set[str]) -> Iterator[Video]:
    """Yield a folder's videos; add to ``beside`` how images beside frames are called that are no pictures."""
    folder = contents.folder
    if contents.is_video:
        images = sort_images(folder, frame_rate)
        listing.leave_images(contents.folder, images.others)
        if images.frames and rank_of(images.frames.template) > 0:
            beside.update(_spelling(other) for other in images.others if rank_of(_spelling(other)) == 0)
        yield Video(folder, images.frames)
    for name in contents.videos:
        yield Video(folder / name)


def _without(contents: Contents, no_files: Mapping[tuple[str, ...], str], listing: Listing) -> Contents:
    """Leave out a folder's video files that are no pictures by their names."""
    if not no_files:
        return contents
    kept: list[str] = []
    for name in contents.videos:
        reason = no_files.get((*contents.below, name))
        if reason is None:
            kept.append(name)
        else:
            listing.drop(str(contents.folder / name), reason)
    return replace(contents, videos=kept)


def _doubts(
    labelled: list[tuple[str, str, Video]], root: Path, above: int, by_name: Mapping[str, str]
) -> dict[str, str]:
    """Return the videos that are used and may be no pictures, with what says so."""
    folders: dict[str, str] = {}
    told: dict[str, str] = {}
    for _, _, video in labelled:
        path = str(video.path)
        folder = path[: path.rfind("/")]
        if folder not in folders:
            folders[folder] = doubt(video.path.relative_to(root).parts[above:-1])
        by_images = "" if video.files is None else doubt((), video.files)
        reason = by_images or folders[folder] or by_name.get(path, "")
        if reason:
            told[path] = reason
    return told


def _without_depth_alone(
    labelled: list[tuple[str, str, Video]], beside: set[str], listing: Listing
) -> list[tuple[str, str, Video]]:
    """Leave out the videos whose only frames are called as images that are no pictures in other folders."""
    kept: list[tuple[str, str, Video]] = []
    for entry in labelled:
        video = entry[2]
        if video.files is None or _spelling(video.files.template) not in beside:
            kept.append(entry)
        else:
            reason = f"its images are called {video.files.template}, as those beside other videos' frames"
            listing.drop(str(video.path), reason)
    return kept


def _spelling(template: str) -> str:
    """Return how images are called, without numbers, suffix and case: ``depth_%`` of ``depth_%04d.png``."""
    return re.sub("%0?[0-9]*d", "%", Path(template).stem).casefold()


def _leave_out(contents: Contents, reason: str, listing: Listing) -> None:
    folder = contents.folder
    if reason:
        paths = [folder] if contents.is_video else [folder / name for name in contents.videos]
        for path in paths:
            listing.drop(str(path), reason)
    lists = [folder / name for name in contents.others if may_be_list(folder / name)]
    for path in lists:
        listing.drop(str(path), _LIST)
    listing.leave_files(contents, lists)
    listing.leave_rest(contents)
