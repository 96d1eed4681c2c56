"""Folders a class, ``root/[split/]<class>/``, of video files or of folders of frames."""

from __future__ import annotations

from pathlib import Path

from proxy_train.data.formats.listing import Listing
from proxy_train.data.formats.request import SPLITS, Request
from proxy_train.data.formats.video_index import VIDEOS, Contents, walk
from proxy_train.video.frame_folder import find_frames
from proxy_train.video.video import Video
from search_space.errors import DataError


def read(request: Request) -> Listing:
    """Return the videos below class folders, whose sorted names give the classes; folders may be nested.

    Raises:
        DataError: there is no folder or no video.
    """
    root = request.root
    top = _folders(root)
    splits = {path: SPLITS[path.name.lower()] for path in top if path.name.lower() in SPLITS}
    listing = Listing()
    for path in top:
        if splits and path not in splits:
            names = ", ".join(sorted(part.name for part in splits))
            listing.drop(str(path), f"not a split folder beside {names}")
    class_folders = [(split, path) for part, split in splits.items() for path in _folders(part)]
    videos: list[tuple[str, str, Video]] = []
    for split, path in class_folders or [("", path) for path in top]:
        for contents in walk(path):
            if contents.is_video:
                frames = find_frames(contents.folder, request.frame_rate)
                videos.append((split, path.name, Video(contents.folder, frames)))
            videos += [(split, path.name, Video(contents.folder / name)) for name in contents.videos]
            _drop_others(contents, listing)
    if not videos:
        raise DataError(
            f"{root}: no video in it",
            hint=f"put videos in root/<class>/, ending in {', '.join(sorted(VIDEOS))}",
        )
    listing.classes = tuple(sorted({name for _, name, _ in videos}))
    numbers = {name: number for number, name in enumerate(listing.classes)}
    for split, name, video in videos:
        listing.add(video, numbers[name], str(video.path.relative_to(root)), split)
    return listing


def _drop_others(contents: Contents, listing: Listing) -> None:
    for name in contents.others:
        listing.drop(str(contents.folder / name), f"not a video: suffix {Path(name).suffix or 'missing'}")
    if not contents.is_video:
        for name in contents.images:
            listing.drop(str(contents.folder / name), "an image outside a folder of a video's frames")


def _folders(root: Path) -> list[Path]:
    if not root.is_dir():
        raise DataError(f"{root}: no such folder", hint="set data.root to the folder of your videos")
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
