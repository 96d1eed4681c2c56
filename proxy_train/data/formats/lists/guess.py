"""The meaning of the numbers in a list without a header: labels, or numbers of frames."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from proxy_train.data.formats.lists.table import Row, Table, unquoted
from proxy_train.data.formats.request import Column, lines_of
from proxy_train.data.formats.tree import VIDEOS
from search_space.errors import DataError

_NUMBER = re.compile(r"(.*?)[\s,;]+([0-9]{1,9})", re.DOTALL)
_FILE = re.compile(
    rf"(.*\.(?:{'|'.join(suffix[1:] for suffix in sorted(VIDEOS))})\"?)[\s,;]+(.+)", re.IGNORECASE | re.DOTALL
)
_ASK = (
    "say which it is: data.columns, such as [path, frames, label], or a first line such as: path frames label"
)
# This share of the rows decides: lists are made by programs, and a few folders differ from their lists.
_NEARLY = 0.9
Count = Callable[[str], int | None]
"""A function from a path as a list writes it to the number of its images: 0 for a file, None for nothing."""


@dataclass(slots=True)
class _Line:
    where: str
    line: int
    text: str
    path: str
    numbers: list[int]
    sure: bool
    images: int | None


def guessed(lists: Mapping[Path, str], count: Count) -> list[Table]:
    """Return lists without a header, whose columns are told by what stands in them.

    Args:
        lists: the lists, each with its split.
        count: function that tells the number of a path's images.

    Raises:
        DataError: a line cannot be read, or its numbers may be labels and numbers of frames alike.
    """
    found: list[tuple[Table, list[_Line], set[int]]] = []
    for path, split in lists.items():
        lines = [_line(f"{path}, line {at}", at, text, count) for at, text in lines_of(path)]
        lengths = {len(line.numbers) for line in lines if line.sure}
        found.append((Table(path, split), lines, lengths or {len(line.numbers) for line in lines}))
    # Where lines differ in how many numbers they have, these are labels, in the shorter lists too.
    several = any(len(lengths) > 1 for _, _, lengths in found)
    return [_table(table, lines, lengths, count, several=several) for table, lines, lengths in found]


def _table(table: Table, lines: list[_Line], lengths: set[int], count: Count, *, several: bool) -> Table:
    if not lines:
        return table
    if not any(line.numbers for line in lines):
        return _without_numbers(table, lines, count)
    if len(lengths) == 1:
        (length,) = lengths
        for line in lines:
            if not line.sure:
                _take_numbers(line, length)
    for line in lines:
        if not line.numbers or not line.path:
            raise DataError(f"{line.where}: {line.text!r}", hint="a line is a path and a class index")
    columns = _columns(table, lines, several=several) if len(lengths) == 1 else ()
    if columns:
        table.reading = ", ".join(columns)
        table.rows = [_counted(line, columns) for line in lines]
        return table
    table.rows = [Row(each.where, each.line, each.path, tuple(map(str, each.numbers))) for each in lines]
    most = max(lines, key=lambda line: len(line.numbers))
    table.reading = "path, label"
    if len(most.numbers) > 1:
        table.reading = f"path, any number of labels ({most.path} has {len(most.numbers)})"
    return table


def _line(where: str, at: int, text: str, count: Count) -> _Line:
    """Split a line into path and numbers, from the right, until there is no number or a path ends."""
    name, numbers = text, list[int]()
    while (match := _NUMBER.fullmatch(name)) is not None:
        name, numbers = match[1], [int(match[2]), *numbers]
        path = unquoted(name)
        images = count(path)
        if images is not None or _is_file(path):
            return _Line(where, at, text, path, numbers, True, images)
    return _Line(where, at, text, unquoted(name), numbers, False, None)


def _is_file(path: str) -> bool:
    return Path(path).suffix.lower() in VIDEOS


def _take_numbers(line: _Line, length: int) -> None:
    """Read as many numbers of a line as others have: the rest may be the name of a folder that is missing."""
    name, numbers = line.text, list[int]()
    while len(numbers) < length and (match := _NUMBER.fullmatch(name)) is not None:
        name, numbers = match[1], [int(match[2]), *numbers]
    line.path, line.numbers = unquoted(name), numbers


def _columns(table: Table, lines: Sequence[_Line], *, several: bool) -> tuple[Column, ...]:
    """Return the columns if some are numbers of frames; nothing if there is one column, of labels.

    Raises:
        DataError: it cannot be told.
    """
    length = len(lines[0].numbers)
    folders = [line for line in lines if line.images]
    if folders and length <= 2 and _nearly(folders, lambda line: _about(line.numbers[0], line.images or 0)):
        if length == 2:
            return ("path", "frames", "label")
        if len(folders) > 1 and _nearly(folders, lambda line: line.numbers[0] == line.images):
            if table.split == "test":
                return ("path", "frames")
            raise DataError(
                f"{table.path}: the number of each line is how many images its folder has, and no label",
                hint="a line is: path frames label",
            )
    if length == 3 and folders and _is_stretch(folders):
        return ("path", "offset", "frames", "label")
    if length > 1 and not several:
        first = lines[0]
        raise DataError(
            f"{table.path}: every line has {length} numbers, such as {first.text!r}: they may be labels, or"
            " numbers of frames and a label",
            hint=_ASK,
        )
    return ()


def _is_stretch(folders: Sequence[_Line]) -> bool:
    """Return whether two numbers are the images before a stretch and those of it, and not its two ends."""
    inside = _nearly(folders, lambda line: line.numbers[0] + line.numbers[1] <= (line.images or 0) + 1)
    to_the_end = _nearly(folders, lambda line: _about(line.numbers[0] + line.numbers[1], line.images or 0))
    return inside and (to_the_end or any(line.numbers[0] >= line.numbers[1] for line in folders))


def _about(written: int, images: int) -> bool:
    # Lists for optical flow have one less.
    return abs(written - images) <= 1 < images


def _nearly(lines: Sequence[_Line], holds: Callable[[_Line], bool]) -> bool:
    return sum(map(holds, lines)) >= _NEARLY * len(lines)


def _counted(line: _Line, columns: Sequence[Column]) -> Row:
    found = dict(zip(columns[1:], line.numbers, strict=True))
    labels = (str(found["label"]),) if "label" in found else ()
    return Row(line.where, line.line, line.path, labels, found.get("frames"), found.get("offset", 0))


def _without_numbers(table: Table, lines: Sequence[_Line], count: Count) -> Table:
    """Return a list of paths and the names of their classes, or of paths alone."""
    for line in lines:
        match = _FILE.fullmatch(line.text) or re.fullmatch(r"(.+)[\s,;]+([^\s,;]+)", line.text, re.DOTALL)
        if table.split == "test" and _is_file(unquoted(line.text)):
            table.rows.append(Row(line.where, line.line, unquoted(line.text)))
        elif match is None:
            raise DataError(f"{line.where}: {line.text!r}", hint="a line is a path and a class index")
        else:
            labels = (unquoted(match[2]),)
            table.rows.append(Row(line.where, line.line, unquoted(match[1]), labels))
    head, *rest = table.rows
    if head.labels and count(head.path) is None and any(count(row.path) is not None for row in rest):
        raise DataError(
            f"{head.where}: {lines[0].text!r} is no video's path and label",
            hint="if it names the columns, call them path and label",
        )
    table.reading = "path, label" if any(row.labels for row in table.rows) else "path"
    return table
