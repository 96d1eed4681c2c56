"""The meaning of the numbers in a list without a header: labels, or numbers of frames."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from proxy_train.data.formats.lists.fields import (
    ASK,
    DECIMAL,
    FIELD,
    LAST,
    NEARLY,
    Count,
    is_file,
    path_and_rest,
)
from proxy_train.data.formats.lists.labels_first import labels_first
from proxy_train.data.formats.lists.table import Row, Table, unquoted
from proxy_train.data.formats.request import Column, lines_of
from search_space.errors import DataError

_NUMBER = re.compile(r"(.*?)[\s,;]+([0-9]{1,9})", re.DOTALL)


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
    written = {path: list(lines_of(path)) for path in lists}
    turned = {
        path: table
        for path, split in lists.items()
        if (table := labels_first(Table(path, split), written[path], count)) is not None
    }
    found: list[tuple[Table, list[_Line], set[int]]] = []
    for path, split in lists.items():
        if path in turned:
            continue
        lines = [_line(f"{path}, line {at}", at, text, count) for at, text in written[path]]
        lengths = {len(line.numbers) for line in lines if line.sure}
        found.append((Table(path, split), lines, lengths or {len(line.numbers) for line in lines}))
    # Where lines differ in how many numbers they have, these are labels, in the shorter lists too.
    several = any(len(lengths) > 1 for _, _, lengths in found)
    if several and _counts_before_labels([line for _, lines, _ in found for line in lines if line.sure]):
        return [*turned.values(), *(_counted_labels(table, lines) for table, lines, _ in found)]
    tables = (_table(table, lines, lengths, count, several=several) for table, lines, lengths in found)
    return [*turned.values(), *tables]


def _counts_before_labels(lines: Sequence[_Line]) -> bool:
    """Return whether the first of a varying number of numbers is how many images each folder has.

    Raises:
        DataError: it nearly is, and labels are as likely.
    """
    folders = [line for line in lines if line.images]
    if not folders or not _nearly(folders, _begins_with_count):
        return False
    if len(folders) > 1 and _nearly(folders, _begins_with_exact_count):
        return True
    raise DataError(
        f"{folders[0].where}: {folders[0].text!r}: its first number may be a label, or the number of frames,"
        f" for its folder has {folders[0].images} images",
        hint="say which it is: data.columns, [path, labels] or [path, frames, labels]",
    )


def _counted_labels(table: Table, lines: Sequence[_Line]) -> Table:
    """Return a list of paths, their numbers of frames, and any number of labels."""
    for line in lines:
        if not line.numbers or not line.path:
            raise DataError(f"{line.where}: {line.text!r}", hint="a line is: path frames [label ...]")
        frames, *labels = line.numbers
        table.rows.append(Row(line.where, line.line, line.path, tuple(map(str, labels)), frames))
    table.reading = "path, frames, any number of labels: the first number is how many images a folder has"
    return table


def _table(table: Table, lines: list[_Line], lengths: set[int], count: Count, *, several: bool) -> Table:
    if not lines:
        return table
    _refuse_further_columns(lines, count)
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
        if images is not None or is_file(path):
            return _Line(where, at, text, path, numbers, True, images)
    return _Line(where, at, text, unquoted(name), numbers, False, None)


def _refuse_further_columns(lines: Sequence[_Line], count: Count) -> None:
    """Raise DataError if lines have a column of numbers beside their label: it is no part of the label."""
    parts = {line.where: path_and_rest(line.text, count) for line in lines if not line.sure}
    rows = [(line, FIELD.findall(part[1])) for line in lines if (part := parts.get(line.where)) is not None]
    shortest = min((len(fields) for _, fields in rows), default=0)
    if shortest < 2:
        return
    for at in (*range(shortest), *range(-shortest, 0)):
        numbers = sum(DECIMAL.fullmatch(fields[at]) is not None for _, fields in rows)
        if numbers >= NEARLY * len(rows):
            line, fields = rows[0]
            raise DataError(
                f"{line.where}: {line.text!r}: {len(fields)} fields after the path, and {fields[at]!r} may be"
                " a label, a number of frames, an offset or a duration",
                hint="say what each is: data.columns, such as [path, frames, label] or [path, label, -],"
                " or a first line with names; quote a label that holds separators",
            )


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
    if folders and length <= 2 and _nearly(folders, _begins_with_count):
        if length == 2:
            return ("path", "frames", "label")
        if len(folders) > 1 and _nearly(folders, _begins_with_exact_count):
            if table.split == "test":
                return ("path", "frames")
            raise DataError(
                f"{table.path}: the number of each line is how many images its folder has, and no label",
                hint="a line is: path frames label",
            )
    if length == 3 and folders and _is_stretch(folders) and not _nearly(folders, _begins_with_exact_count):
        return ("path", "offset", "frames", "label")
    if length > 1 and not several:
        first = lines[0]
        raise DataError(
            f"{table.path}: every line has {length} numbers, such as {first.text!r}: they may be labels, or"
            " numbers of frames and a label",
            hint=ASK,
        )
    return ()


def _is_stretch(folders: Sequence[_Line]) -> bool:
    """Return whether two numbers are the images before a stretch and those of it, and not its two ends."""
    inside = _nearly(folders, lambda line: line.numbers[0] + line.numbers[1] <= (line.images or 0) + 1)
    to_the_end = _nearly(folders, lambda line: _about(line.numbers[0] + line.numbers[1], line.images or 0))
    return inside and (to_the_end or any(line.numbers[0] >= line.numbers[1] for line in folders))


def _begins_with_count(line: _Line) -> bool:
    return _about(line.numbers[0], line.images or 0)


def _begins_with_exact_count(line: _Line) -> bool:
    return line.numbers[0] == line.images


def _about(written: int, images: int) -> bool:
    # Lists for optical flow have one less.
    return abs(written - images) <= 1 < images


def _nearly(lines: Sequence[_Line], holds: Callable[[_Line], bool]) -> bool:
    return sum(map(holds, lines)) >= NEARLY * len(lines)


def _counted(line: _Line, columns: Sequence[Column]) -> Row:
    found = dict(zip(columns[1:], line.numbers, strict=True))
    labels = (str(found["label"]),) if "label" in found else ()
    return Row(line.where, line.line, line.path, labels, found.get("frames"), found.get("offset", 0))


def _without_numbers(table: Table, lines: Sequence[_Line], count: Count) -> Table:
    """Return a list of paths and the names of their classes, or of paths alone."""
    for line in lines:
        if table.split == "test" and is_file(unquoted(line.text)):
            table.rows.append(Row(line.where, line.line, unquoted(line.text)))
            continue
        match = LAST.fullmatch(line.text)
        parts = path_and_rest(line.text, count) or (match and match.groups())
        if parts is None:
            raise DataError(f"{line.where}: {line.text!r}", hint="a line is a path and a class index")
        path, label = map(unquoted, parts)
        table.rows.append(Row(line.where, line.line, path, (label,)))
    head, *rest = table.rows
    no_video = count(head.path) is None and not is_file(head.path)
    if head.labels and no_video and any(count(row.path) is not None for row in rest):
        raise DataError(
            f"{head.where}: {lines[0].text!r} is no video's path and label",
            hint="if it names the columns, call them path and label",
        )
    table.reading = "path, label" if any(row.labels for row in table.rows) else "path"
    return table
