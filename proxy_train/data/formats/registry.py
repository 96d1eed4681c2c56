"""Every format by name, and the detection of a folder's format."""

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
        matches: function that tells whether a root and its annotations are certainly of the format.
        read: function that lists the videos.
        flips_change_labels: whether a mirrored video would have another label.
        every_class_trains: whether a class without training videos is a mistake, not a missing download.
        seconds: default duration that is kept of a video: labels of several actions are those of all of it.
    """

    matches: Callable[[Request], bool]
    read: Callable[[Request], Listing]
    flips_change_labels: bool = False
    every_class_trains: bool = False
    seconds: float = 10.0


FORMATS = {
    "folder": Format(lambda _: False, class_folders.read, every_class_trains=True),
    "list": Format(list_files.matches, list_files.read, every_class_trains=True),
    "kinetics": Format(kinetics.matches, kinetics.read),
    "something-something": Format(
        something_something.matches, something_something.read, flips_change_labels=True
    ),
    "epic-kitchens": Format(epic_kitchens.matches, epic_kitchens.read),
    "charades": Format(charades.matches, charades.read, seconds=40.0),
    "moments-in-time": Format(moments_in_time.matches, moments_in_time.read),
    "ucf101": Format(ucf101.matches, ucf101.read),
    "hmdb51": Format(hmdb51.matches, hmdb51.read),
}


def detect(request: Request) -> str:
    """Return the format whose annotation files exist; ``folder`` if there are none.

    Raises:
        DataError: there are annotation files of several formats, or of none that is known.
    """
    names = [name for name, format_ in FORMATS.items() if format_.matches(request)]
    if len(names) > 1:
        raise DataError(
            f"{request.root} looks like {' and '.join(names)}", hint="say which: data.kind, or FORMAT:FOLDER"
        )
    if not names and list_files.matches_table(request):
        names = ["list"]
    if not names and request.annotations is not None:
        raise DataError(
            f"{request.annotations}: annotations of no format that is known",
            hint=f"say which: data.kind, one of {', '.join(FORMATS)}",
        )
    return names[0] if names else "folder"
