"""A user's own videos: class folders, with or without split folders above them, or list files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from proxy_train.video_item import Dataset, VideoItem
from search_space.errors import DataError

SUFFIXES = frozenset({".mp4", ".avi", ".mkv", ".webm", ".mov", ".m4v"})
_SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}
_SHARE = 15  # percent of the videos for val, and again for test, where no folder says
MARGIN = 0.125  # of the clip's side, kept around it for random crops


def load_folder(root: Path, *, flips_change_labels: bool, seconds: float) -> Dataset:
    """Reads ``root/[split/]<class>/<video>``; class indices follow the sorted folder names.

    Without split folders, and for a missing val folder, videos are split by a hash of their name: always the
    same way, and a video that is added moves no other one, except that no class is left without a val video
    if it has two.

    Raises:
        DataError: no folder, no videos, or a class that training has not.
    """
    top = _folders(root)
    splits = {path: _SPLITS[path.name.lower()] for path in top if path.name.lower() in _SPLITS}
    dropped = [
        (str(path), f"not a split folder beside {', '.join(sorted(p.name for p in splits))}") for path in top
    ]
    dropped = [entry for entry in dropped if splits and Path(entry[0]) not in splits]
    class_folders = [(split, path) for part, split in splits.items() for path in _folders(part)] or [
        ("", path) for path in top
    ]
    videos: list[tuple[str, str, Path]] = []
    for split, path in class_folders:
        for file in sorted(path.rglob("*")):
            if file.is_file() and file.suffix.lower() in SUFFIXES:
                videos.append((split, path.name, file))
            elif file.is_file() and not file.name.startswith("."):
                dropped.append((str(file), f"not a video: suffix {file.suffix or 'missing'}"))
    if not videos:
        raise DataError(
            f"{root}: no video in it", hint=f"put videos in root/<class>/, ending in {_suffixes()}"
        )
    classes = tuple(sorted({name for _, name, _ in videos}))
    items = [
        VideoItem(file, None, None, classes.index(name), str(file.relative_to(root)), split)
        for split, name, file in videos
    ]
    _check_train_classes(root, items, classes)
    return Dataset(
        root.name, _split(items), classes, flips_change_labels, MARGIN, tuple(dropped), seconds=seconds
    )


def load_lists(root: Path, *, flips_change_labels: bool, seconds: float) -> Dataset:
    """Reads ``train.txt``, ``val.txt`` and ``test.txt`` below ``root``: a line is a path and a class index.

    White space or a comma stands between them; the line is split from the right, so that paths may hold
    spaces. Paths are relative to ``root``. ``classes.txt``, if there, names the classes, one a line.

    Raises:
        DataError: no train.txt, or a line that cannot be read, by file and line number.
    """
    items: list[VideoItem] = []
    for split in ("train", "val", "test"):
        path = root / f"{split}.txt"
        if path.is_file():
            items += _read_list(path, root, split)
    if not items:
        raise DataError(f"{root}: no train.txt with videos in it", hint="a line is: path label")
    count = max(item.label for item in items) + 1
    names = root / "classes.txt"
    classes = tuple(names.read_text().split("\n")) if names.is_file() else tuple(str(i) for i in range(count))
    classes = tuple(name.strip() for name in classes if name.strip())
    if len(classes) < count:
        raise DataError(
            f"{names}: {len(classes)} names, but a label is {count - 1}", hint="labels count from 0"
        )
    _check_train_classes(root, items, classes)
    return Dataset(root.name, _split(items), classes, flips_change_labels, MARGIN, seconds=seconds)


def _read_list(path: Path, root: Path, split: str) -> Iterable[VideoItem]:
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip():
            continue
        parts = line.strip().rsplit("," if "," in line else None, 1)
        if len(parts) != 2 or not parts[1].strip().isdigit():
            raise DataError(
                f"{path}, line {number}: {line.strip()!r}", hint="a line is a path and a class index"
            )
        name = parts[0].strip()
        yield VideoItem(root / name, None, None, int(parts[1]), f"{split}:{number}:{name}", split)


def _split(items: list[VideoItem]) -> dict[str, tuple[VideoItem, ...]]:
    """Fills in the split of items that have none, and takes val from train where there is none."""
    has_val = any(item.split == "val" for item in items)
    hashed = [item for item in items if item.split == "" or (item.split == "train" and not has_val)]
    chosen: dict[str, str] = {}
    for label in {item.label for item in hashed}:
        of_class = sorted((item for item in hashed if item.label == label), key=lambda item: _bucket(item.id))
        for item in of_class:
            chosen[item.id] = _hashed_split(_bucket(item.id)[0], with_test=item.split == "")
        # Few videos may all fall on one side; the ends of the order have the best claim to either.
        if len(of_class) > 1 and all(chosen[item.id] != "val" for item in of_class):
            chosen[of_class[0].id] = "val"
        if all(chosen[item.id] != "train" for item in of_class):
            chosen[of_class[-1].id] = "train"
    placed = [replace(item, split=chosen.get(item.id, item.split)) for item in items]
    names = ("train", "val", "test")
    return {name: tuple(item for item in placed if item.split == name) for name in names}


def _bucket(name: str) -> tuple[int, str]:
    return int(hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()[:8], 16) % 100, name


def _hashed_split(bucket: int, *, with_test: bool) -> str:
    if bucket < _SHARE:
        return "val"
    return "test" if with_test and bucket < 2 * _SHARE else "train"


def _check_train_classes(root: Path, items: list[VideoItem], classes: tuple[str, ...]) -> None:
    trained = {item.label for item in items if item.split in ("", "train")}
    missing = sorted(classes[label] for label in {item.label for item in items} - trained)
    if missing:
        raise DataError(
            f"{root}: no training video of class {', '.join(missing)}", hint="add some, or remove the class"
        )


def _folders(root: Path) -> list[Path]:
    if not root.is_dir():
        raise DataError(f"{root}: no such folder", hint="set data.root to the folder of your videos")
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))


def _suffixes() -> str:
    return ", ".join(sorted(SUFFIXES))
