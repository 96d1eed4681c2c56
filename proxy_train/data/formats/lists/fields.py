"""The fields of a list's line without a header, and where a path ends in it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from proxy_train.data.formats.lists.table import FILE, unquoted
from proxy_train.data.formats.tree import VIDEOS

LAST = re.compile(r"(.+?)[\s,;]+([^\s,;]+)", re.DOTALL)
FIELD = re.compile(r'"[^"]*"|[^\s,;]+')
DECIMAL = re.compile(r'"?[-+]?(\d+\.?\d*|\.\d+)"?', re.ASCII)
ASK = (
    "say which it is: data.columns, such as [path, frames, label], or a first line such as: path frames label"
)
# This share of the rows decides: lists are made by programs, and a few folders differ from their lists.
NEARLY = 0.9
Count = Callable[[str], int | None]
"""A function from a path as a list writes it to the number of its images: 0 for a file, None for nothing."""


def is_file(path: str) -> bool:
    return Path(path).suffix.lower() in VIDEOS


def path_and_rest(text: str, count: Count) -> tuple[str, str] | None:
    """Split a line where the path of a file or of a folder that is there ends; None if none does."""
    match = FILE.fullmatch(text)
    if match is not None:
        return match[1], match[2]
    path = text
    while (match := LAST.fullmatch(path)) is not None:
        path = match[1]
        if count(unquoted(path)) is not None:
            return path, text[len(path) :].lstrip(" \t,;")
    return None
