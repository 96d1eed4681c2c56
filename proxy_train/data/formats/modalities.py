"""Optical flow, depth and masks in folders of their own, told by name from the videos' pictures."""

from __future__ import annotations

import os
from collections.abc import Sequence

from proxy_train.data.formats.tree import Contents
from proxy_train.video.frame_folder import rank_of


def find_no_pictures(every: Sequence[Contents], above: int) -> dict[tuple[str, ...], str]:
    """Return the folders whose videos are no pictures, each with the reason.

    Such a folder is called ``flow``, ``depth`` or the like, or is below one. A folder ``rgb``, ``frames`` or
    the like beside that one holds a video's frames, or a video or a folder of the same name: ``flow/clip1``
    beside ``rgb/clip1``.

    Args:
        every: the folders of a data set, in sorted order.
        above: number of levels of folders whose names are those of splits and classes.
    """
    beside: dict[tuple[str, ...], list[str]] = {}
    for contents in every:
        if len(contents.below) > above and rank_of(contents.below[-1]) != 1:
            beside.setdefault(contents.below[:-1], []).append(contents.below[-1])
    pairs = {
        (*parent, name): [(*parent, other) for other in names if rank_of(other) == 2]
        for parent, names in beside.items()
        for name in names
        if rank_of(name) == 0
    }
    held: dict[tuple[str, ...], set[str]] = {way: set() for way, others in pairs.items() if others}
    held |= {other: set() for others in pairs.values() for other in others}
    for contents in every if held else ():
        below = contents.below
        for length in range(above + 1, len(below) + 1):
            if (names := held.get(below[:length])) is not None:
                names.update(below[length:], (os.path.splitext(name)[0] for name in contents.videos))  # noqa: PTH122
    videos = {contents.below for contents in every if contents.is_video and contents.below in held}
    found: dict[tuple[str, ...], str] = {}
    for contents in every:
        below = contents.below
        others = pairs.get(below, ())
        pictures = next((each for each in others if each in videos or held[each] & held[below]), None)
        if below and below[:-1] in found:
            found[below] = found[below[:-1]]
        elif pictures is not None:
            found[below] = f"no pictures by the name of {below[-1]}; those are in {pictures[-1]}"
    return found
