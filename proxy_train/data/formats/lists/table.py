"""The rows of a list of videos: columns by a header, by the settings, or by what the numbers are."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from proxy_train.data.formats.request import SPLITS, Column, lines_of
from proxy_train.data.formats.tree import VIDEOS
from search_space.errors import DataError

_HEADERS: dict[Column, str] = {
    # The first ones are preferred where a header has several.
    "path": "path file_path video_path clip_path frame_dir file filename file_name video video_name"
    " video_file clip clip_name folder name video_id id",
    "label": "label class class_name label_name tag category action target class_id label_id class_index",
    "labels": "labels tags classes",
    "frames": "frames num_frames n_frames total_frames frame_count",
    "offset": "offset frame_offset",
    "split": "split subset partition set",
}
_SEPARATORS = r"[\s,;]+"
_LAST = re.compile(rf"(.*?){_SEPARATORS}([^\s,;]+)", re.DOTALL)
_FIRST = re.compile(rf"([^\s,;]+){_SEPARATORS}(.*)", re.DOTALL)
FILE = re.compile(
    rf"(.*\.(?:{'|'.join(suffix[1:] for suffix in sorted(VIDEOS))})\"?){_SEPARATORS}(.+)",
    re.IGNORECASE | re.DOTALL,
)
"""A line whose path is a file's: the path, and what follows it."""

# Where a path ends that any number of labels follow: the first that fits.
_PATH_FIRST = (
    re.compile(rf"(\"[^\"]*\"){_SEPARATORS}(.+)", re.DOTALL),
    FILE,
    re.compile(rf"(.*?)((?:{_SEPARATORS}[0-9][0-9.]*)+)", re.DOTALL),
    _FIRST,
)
_NUMBER = re.compile(r"([0-9]{1,9})(\.0+)?")


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a list.

    Args:
        where: file and line, for messages.
        line: number of the line.
        path: path of the video as it is written.
        labels: its labels as they are written, numbers or names; none if the list has no labels.
        frames: number of frames that are meant; None is all of them.
        offset: number of frames before those that are meant.
        split: name of its split; empty if the list does not tell.
    """

    where: str
    line: int
    path: str
    labels: tuple[str, ...] = ()
    frames: int | None = None
    offset: int = 0
    split: str = ""


@dataclass
class Table:
    """A list of videos.

    Args:
        path: the file.
        split: name of the split that its name tells; empty if a column tells it, or nothing does.
        rows: its rows.
        reading: its columns in words.
    """

    path: Path
    split: str
    rows: list[Row] = field(default_factory=list)
    reading: str = ""


def number(text: str) -> int | None:
    """Return a number from 0, perhaps written by a program that knows only floats; None for other text."""
    match = _NUMBER.fullmatch(text)
    return int(match[1]) if match else None


@dataclass(frozen=True, slots=True)
class Header:
    """The first line of a list that names its columns.

    Args:
        separator: character between columns; a space is any white space.
        names: names of the columns as they are written.
        roles: meaning of each column; ``-`` is none.
    """

    separator: str
    names: tuple[str, ...]
    roles: tuple[Column, ...]

    @classmethod
    def of(cls, line: str) -> Header | None:
        """Return the header that a line is, or None: it has to name a path and what is known of it."""
        line = re.sub("^# *", "", line)  # the mark of a comment, not a column
        for separator in ("\t", ";", ",", " "):
            fields = line.split() if separator == " " else next(_reader(line, separator), [])
            roles = tuple(_role(name) for name in fields)
            if "path" in roles and {*roles} & {"label", "labels", "frames", "split"}:
                return cls(separator, tuple(name.strip() for name in fields), roles)
        return None


def _reader(line: str, separator: str, *, strict: bool = False) -> Iterator[list[str]]:
    # A quote may follow a space: "a.mp4", "high jump".
    return csv.reader([line], delimiter=separator, skipinitialspace=True, strict=strict)


def _role(name: str) -> Column:
    plain = re.sub(r"[\s.-]+", "_", name.strip().lower())
    return next((role for role, names in _HEADERS.items() if plain in names.split()), "-")


def headed_rows(path: Path, header: Header) -> Iterator[tuple[int, list[str]]]:
    """Yield the fields of the rows below a header, with their lines' numbers.

    Raises:
        DataError: a row has another number of fields than the header.
    """
    lines = list(lines_of(path))[1:]
    for at, line in lines:
        if header.separator == " ":
            fields = peel(line, header.roles) or line.split()
        else:
            try:
                fields = next(_reader(line, header.separator, strict=True), [])
            except csv.Error as error:
                raise DataError(f"{path}, line {at}: {error}", hint="quotes must be closed") from error
        if len(fields) != len(header.names):
            raise DataError(
                f"{path}, line {at}: {len(fields)} fields, {len(header.names)} columns",
                hint="correct the line; quote names that hold a separator",
            )
        yield at, [field.strip() for field in fields]


def peel(line: str, roles: Sequence[Column]) -> list[str] | None:
    """Return the fields of a line whose path may hold separators; None if it has fewer fields.

    A last column of labels holds any number of them. Before it, the path of a folder holds separators only in
    quotes, or if nothing but numbers follows.
    """
    path = roles.index("path") if "path" in roles else 0
    left: list[str] = []
    right: list[str] = []
    for _ in range(path):
        if (match := _FIRST.fullmatch(line)) is None:
            return None
        left, line = [*left, match[1]], match[2]
    if roles[-1] == "labels":
        match = next(filter(None, (ends.fullmatch(line) for ends in _PATH_FIRST)), None)
        return None if match is None else [*left, unquoted(match[1]), *_rest(match[2], len(roles) - 1 - path)]
    for _ in range(len(roles) - 1 - path):
        if (match := _LAST.fullmatch(line)) is None:
            return None
        line, right = match[1], [match[2], *right]
    return [*left, unquoted(line), *right]


def _rest(text: str, count: int) -> list[str]:
    """Return as many fields as given; the last one is all that is left of the text."""
    fields: list[str] = []
    rest = text.strip(" \t,;")
    while len(fields) < count - 1:
        match = _FIRST.fullmatch(rest)
        first, rest = (match[1], match[2]) if match else (rest, "")
        fields.append(first)
    return [*fields, rest]


def unquoted(text: str) -> str:
    """Return a field without the quotes around it."""
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] == '"':
        return text[1:-1].replace('""', '"')
    return text


def row_of(where: str, line: int, fields: Sequence[str], roles: Sequence[Column]) -> Row:
    """Return a row by the meaning of its fields.

    Raises:
        DataError: a number is none, or a split has no name that is known; names file and line.
    """
    found: dict[str, str] = {}
    labels: list[str] = []
    for role, text in zip(roles, fields, strict=True):
        if role == "label" and text:
            labels.append(text)
        elif role == "labels":
            labels += re.split(r"[\s,;|]+", text.strip("[]()")) if text.strip("[]() ") else []
        else:
            found[role] = text
    numbers: dict[str, int | None] = {}
    for role in ("frames", "offset"):
        numbers[role] = number(found[role]) if role in found else None
        if role in found and numbers[role] is None:
            raise DataError(f"{where}: {role} is {found[role]!r}", hint="it must be a number from 0")
    split = found.get("split", "")
    if "split" in found and split.lower() not in SPLITS:
        raise DataError(f"{where}: split is {split!r}", hint="it must be train, val or test")
    return Row(
        where,
        line,
        found.get("path", ""),
        tuple(labels),
        numbers["frames"],
        numbers["offset"] or 0,
        SPLITS[split.lower()] if split else "",
    )
