"""Which of a root's folders are splits, and which are classes: never guessed without a word."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from proxy_train.data.formats.request import SPLITS
from proxy_train.video.frame_folder import rank_of
from search_space.errors import DataError

_ENDS = (
    "set",
    "sets",
    "data",
    "video",
    "videos",
    "clip",
    "clips",
    "frame",
    "frames",
    "image",
    "images",
    "split",
)
_SHOWN = 5


@dataclass
class Top:
    """The facts of one of a root's folders.

    Args:
        videos: number of videos below it.
        loose: number of videos in it that are in none of its folders.
        folders: names of its folders with videos, each with the names of their folders that have some.
    """

    videos: int = 0
    loose: int = 0
    folders: dict[str, set[str]] = field(default_factory=dict)


@dataclass
class Layout:
    """The meaning of a root's folders.

    Args:
        splits: names of the folders that are splits, each with its split; without any, folders are classes.
        unlabelled: names of the folders whose videos have no label, each with its split.
        left_out: names of the folders that are not read, each with the reason.
        notes: readings that could have been others, for people.
    """

    splits: dict[str, str] = field(default_factory=dict)
    unlabelled: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def split_in(name: str) -> str:
    """Return the split that a folder's name speaks of: ``val_256`` is val; empty if it names none or two."""
    found: set[str] = set()
    for word in re.findall(r"[a-z]+", name.lower()):
        for end in ("", *_ENDS):
            if word.endswith(end) and (split := SPLITS.get(word.removesuffix(end))):
                found.add(split)
    return found.pop() if len(found) == 1 else ""


def reading_turn(name: str) -> int:
    """Return when one of a root's folders is read: splits first, for another way to their videos is none.

    With ``train`` a link to ``raw/train``, the videos are those of ``train`` and not of a class ``raw``.
    """
    return 0 if name.lower() in SPLITS else 1 if split_in(name) else 2


def find_layout(root: Path, tops: Mapping[str, Top]) -> Layout:
    """Tell split folders from class folders.

    Folders that are called ``train``, ``val`` or ``test`` and hold folders are splits. Others with these
    words in their names are splits where they hold the same folders as each other.

    Raises:
        DataError: both readings are as likely.
    """
    exact = {name: SPLITS[name.lower()] for name in tops if name.lower() in SPLITS}
    if any(tops[name].folders for name in exact):
        layout = _split_layout(root, tops, exact)
    elif exact and any(name not in exact and top.videos for name, top in tops.items()):
        layout = _beside_classes(root, tops, exact)
    elif exact and any(top.videos for top in tops.values()):
        raise DataError(
            f"{root}: {_listed(exact)} hold no class folders",
            hint=f"put videos in {next(iter(exact))}/<class>/, or give a list of them (data.kind: list)",
        )
    else:
        layout = _by_what_they_hold(root, tops)
    _refuse_modalities(root, _classes(tops, layout), layout.splits)
    layout.notes += _depth(root, tops, layout)
    return layout


def _split_layout(root: Path, tops: Mapping[str, Top], exact: dict[str, str]) -> Layout:
    """Return the layout of exactly named split folders; others may stand for the splits that are missing."""
    read = ", ".join(f"{name} as {split}" for name, split in exact.items())
    layout = Layout(splits=dict(exact), notes=[f"split folders: {read}"])
    classes = {name for folder in exact for name in tops[folder].folders}
    for name, top in tops.items():
        split = split_in(name)
        if name in exact:
            if exact[name] == "test" and not top.folders and top.loose:
                del layout.splits[name]
                layout.unlabelled[name] = "test"
        elif split and split not in exact.values() and _shared(top, classes):
            _only_one(root, split, [name, *(each for each, of in layout.splits.items() if of == split)])
            layout.splits[name] = split
            layout.notes.append(
                f"{name} is read as the {split} split: it holds the classes of {_listed(exact)}"
            )
        else:
            videos = f": {top.videos} videos in it" if top.videos else ""
            layout.left_out[name] = f"not a split folder beside {', '.join(sorted(exact))}{videos}"
    return layout


def _beside_classes(root: Path, tops: Mapping[str, Top], exact: dict[str, str]) -> Layout:
    """Return the layout of folders that are classes, beside one or several with a split's name."""
    layout = Layout(unlabelled={name: split for name, split in exact.items() if split == "test"})
    named = [name for name in exact if name not in layout.unlabelled and tops[name].videos]
    classes = [name for name, top in tops.items() if top.videos and name not in exact]
    if len(named) > 1 or (named and layout.unlabelled):
        raise DataError(
            f"{root}: {_listed(exact)} may be splits without class folders, or classes as {_listed(classes)}",
            hint="move one or the other into a folder of its own",
        )
    if named:
        layout.notes.append(f"{named[0]} is read as a class, not as a split: it holds no class folders")
    for name in layout.unlabelled:
        layout.notes.append(
            f"{name} is read as videos without a label, not as a class beside {_listed(classes)}"
        )
    return layout


def _by_what_they_hold(root: Path, tops: Mapping[str, Top]) -> Layout:
    """Return the layout of folders none of which is called exactly as a split."""
    filled = {name: top for name, top in tops.items() if top.videos}
    likely = {name: split_in(name) for name in filled if split_in(name)}
    of_train = {name for name, split in likely.items() if split == "train"}
    classes = {folder for name in of_train for folder in filled[name].folders}
    same = {name: split for name, split in likely.items() if _shared(filled[name], classes)}
    if len(set(same.values())) > 1:
        for split in sorted(set(same.values())):
            _only_one(root, split, [name for name, of in same.items() if of == split])
        layout = Layout(splits=same)
        read = ", ".join(f"{name} as {split}" for name, split in same.items())
        layout.notes.append(f"split folders, for they hold the same folders: {read}")
        for name in (name for name in tops if name not in same):
            if likely.get(name) == "test" and not tops[name].folders and "test" not in same.values():
                layout.unlabelled[name] = "test"
            else:
                layout.left_out[name] = f"not a split folder beside {', '.join(sorted(same))}"
        return layout
    if len(likely) > 1 and likely.keys() == filled.keys():
        _refuse_parts(root, filled, set(likely.values()))
    if len(likely) > 1 and likely.keys() == filled.keys() and len(set(likely.values())) > 1:
        raise DataError(
            f"{root}: {_listed(filled)} may be the classes, or splits whose folders are not the same",
            hint="call them train, val and test, each with all classes' folders, or give other names",
        )
    return Layout()


def _refuse_parts(root: Path, tops: Mapping[str, Top], splits: set[str]) -> None:
    """Raise DataError if all folders may be parts of one split: ``train_clean`` and ``train_noisy``."""
    every = [top.folders.keys() for top in tops.values()]
    shared = set(every[0]).intersection(*every)
    if len(splits) == 1 and all(2 * len(shared) >= len(each) > 0 for each in every):
        (split,) = splits
        raise DataError(
            f"{root}: {_listed(tops)} may be the classes, or parts of the {split} split:"
            f" they hold the same folders, {_listed(shared)}",
            hint=f"for the second, put their videos in {split}/<class>/; for classes, give other names",
        )


def _shared(top: Top, classes: set[str]) -> bool:
    """Return whether most folders of a top folder are among some classes."""
    return 2 * len(top.folders.keys() & classes) >= len(top.folders) > 0


def _only_one(root: Path, split: str, names: list[str]) -> None:
    if len(names) > 1:
        raise DataError(
            f"{root}: {_listed(names)} may all be the {split} split",
            hint="leave one of them below the root, or name it exactly so",
        )


def _classes(tops: Mapping[str, Top], layout: Layout) -> dict[str, set[str]]:
    """Return the classes of a layout, each with the names of its folders."""
    apart = layout.unlabelled.keys() | layout.left_out.keys()
    if not layout.splits:
        return {name: {*top.folders} for name, top in tops.items() if top.videos and name not in apart}
    classes: dict[str, set[str]] = {}
    for top in layout.splits:
        for name, folders in tops[top].folders.items():
            classes.setdefault(name, set()).update(folders)
    return classes


def _refuse_modalities(root: Path, classes: Mapping[str, set[str]], splits: Mapping[str, str]) -> None:
    """Raise DataError if what would be classes is several kinds of pictures of the same videos."""
    pictures = {name for name in classes if rank_of(name) == 2}
    shared = {folder for name in pictures for folder in classes[name]}
    if len(classes) < 2 or any(rank_of(name) == 1 for name in classes):
        return
    if shared and all(2 * len(each & shared) >= len(each) > 0 for each in classes.values()):
        name = min(pictures)
        move = f"move {name}'s folders up ({next(iter(splits), '')}/<class>/) and the others out of the root"
        raise DataError(
            f"{root}: {_listed(classes)} may be the classes, or several kinds of pictures of the same videos:"
            f" they hold the same folders, {_listed(shared)}",
            hint=f"for the second, {move if splits else f'set data.root to {root / name}'};"
            " for classes, give other names",
        )


def _depth(root: Path, tops: Mapping[str, Top], layout: Layout) -> list[str]:
    """Return what speaks for classes at another depth."""
    classes = _classes(tops, layout)
    nested = {name: folders for name, folders in classes.items() if folders}
    if len(classes) == 1 and nested:
        (name, folders), *_ = nested.items()
        where = f"give {root / name}" if not layout.splits else f"move {name}'s folders up"
        return [f"all videos are of one class, {name}: if its folders ({_listed(folders)}) are, {where}"]
    if nested and len(nested) == len(classes) and len({frozenset(each) for each in nested.values()}) == 1:
        folders = next(iter(nested.values()))
        return [f"the classes are {_listed(nested)}; each holds the same folders, {_listed(folders)}"]
    return []


def _listed(names: Mapping[str, object] | list[str] | set[str]) -> str:
    shown = sorted(names)
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    return ", ".join(shown[:_SHOWN]) + more
