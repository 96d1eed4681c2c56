"""Every format by name, and which of them a folder is of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from proxy_train.data.formats import (
    charades,
    class_folders,
    epic_kitchens,
    hmdb51,
    kinetics,
    list_files,
    moments_in_time,
    something_something,
    ucf101,
)
from proxy_train.data.formats.listing import Listing
from proxy_train.data.formats.request import Request
from search_space.errors import DataError


@dataclass(frozen=True, slots=True)
class Format:
    """A data set format.

    Args:
        found: whether a root and its annotations are unmistakably of it.
        read: lists the videos.
        flips_change_labels: a mirrored video would have another label.
        every_class_trains: a class without training videos is a mistake, not a missing download.
        seconds: how much of a video is kept unless settings say: labels of several actions are those of all.
    """

    found: Callable[[Request], bool]
    read: Callable[[Request], Listing]
    flips_change_labels: bool = False
    every_class_trains: bool = False
    seconds: float = 10.0


FORMATS = {
    "folder": Format(lambda _: False, class_folders.read, every_class_trains=True),
    "list": Format(list_files.found, list_files.read, every_class_trains=True),
    "kinetics": Format(kinetics.found, kinetics.read),
    "something-something": Format(
        something_something.found, something_something.read, flips_change_labels=True
    ),
    "epic-kitchens": Format(epic_kitchens.found, epic_kitchens.read),
    "charades": Format(charades.found, charades.read, seconds=40.0),
    "moments-in-time": Format(moments_in_time.found, moments_in_time.read),
    "ucf101": Format(ucf101.found, ucf101.read),
    "hmdb51": Format(hmdb51.found, hmdb51.read),
}


def detect(request: Request) -> str:
    """Return the format whose annotation files are there; ``folder`` if none are.

    Raises:
        DataError: there are those of several formats.
    """
    found = [name for name, format_ in FORMATS.items() if format_.found(request)]
    if len(found) > 1:
        raise DataError(
            f"{request.root} looks like {' and '.join(found)}", hint="say which: data.kind, or FORMAT:FOLDER"
        )
    if not found and request.annotations is not None:
        raise DataError(
            f"{request.annotations}: annotations of no format that is known",
            hint=f"say which: data.kind, one of {', '.join(FORMATS)}",
        )
    return found[0] if found else "folder"
