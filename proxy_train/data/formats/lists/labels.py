"""The classes of lists: numbers or names, one or several a video."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from proxy_train.data.formats.lists.table import Row, number
from proxy_train.data.formats.request import Request, lines_of
from proxy_train.data.labels import require_distinct
from search_space.errors import DataError

CLASSES = r"classes\.txt"
"""The name of the file that names the classes of lists."""

_MOST = 100_000
_SHOWN = 5


@dataclass(frozen=True)
class Labels:
    """The classes of a list's videos.

    Args:
        classes: names of the classes, by number.
        kind: whether videos have one class or any number.
        numbers: number of each label as it is written.
        notes: readings that could have been others, for people.
    """

    classes: tuple[str, ...]
    kind: Literal["single", "multi"]
    numbers: dict[str, int]
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, request: Request, rows: Sequence[Row]) -> Labels:
        """Return the classes of the rows of all lists.

        Raises:
            DataError: a label is neither a number nor a name that ``classes.txt`` has; names file and line.
        """
        kind: Literal["single", "multi"] = "multi" if any(len(row.labels) > 1 for row in rows) else "single"
        written = dict.fromkeys(label for row in rows for label in row.labels)
        values = {label: number(label) for label in written}
        if not written:
            raise DataError(
                f"{request.root}: its lists have no labels", hint="a line is a path and a class index"
            )
        if all(value is None for value in values.values()):
            return _named(request, rows, kind, sorted(written))
        for row in rows:
            for label in row.labels:
                value = values[label]
                if value is None or value >= _MOST:
                    raise DataError(
                        f"{row.where}: label is {label!r}",
                        hint=f"it must be a class index below {_MOST:,}, as in other lines",
                    )
        return _numbered(request, kind, {label: value or 0 for label, value in values.items()})

    def label(self, row: Row) -> int | tuple[int, ...]:
        """Return the label of a row."""
        several = tuple(sorted({self.numbers[label] for label in row.labels}))
        return several if self.kind == "multi" else several[0]


def _named(
    request: Request, rows: Sequence[Row], kind: Literal["single", "multi"], names: list[str]
) -> Labels:
    """Return classes that are written by name; in the order of ``classes.txt`` if it exists."""
    paths = request.find(CLASSES)
    if paths:
        listed = [line for _, line in lines_of(paths[0])]
        unknown = next((row for row in rows if not {*row.labels} <= {*listed}), None)
        if unknown is not None:
            raise DataError(
                f"{unknown.where}: label is {' '.join(unknown.labels)!r}",
                hint=f"{paths[0]} has no such class",
            )
        names = list(dict.fromkeys(listed))
    else:
        hint = f"spell them alike, or, for several classes, list them in {request.root / 'classes.txt'}"
        require_distinct(names, rows[0].where.rpartition(", line ")[0], hint)
    return Labels(tuple(names), kind, {name: at for at, name in enumerate(names)})


def _numbered(request: Request, kind: Literal["single", "multi"], numbers: dict[str, int]) -> Labels:
    """Return classes that are written by number, with the names of ``classes.txt`` if it exists."""
    count = max(numbers.values()) + 1
    paths = request.find(CLASSES)
    if not paths:
        classes = tuple(str(at) for at in range(count))
    else:
        classes = tuple(line for _, line in lines_of(paths[0]))
        if len(classes) < count:
            raise DataError(
                f"{paths[0]}: {len(classes)} names, but a label is {count - 1}", hint="labels count from 0"
            )
        twice = next((name for name, times in Counter(classes).items() if times > 1), None)
        if twice is not None:
            first, second = [at for at, name in enumerate(classes) if name == twice][:2]
            raise DataError(
                f"{paths[0]}: {twice!r} is the name of label {first} and of label {second}",
                hint="give each class a name of its own",
            )
    unused = [classes[at] for at in sorted({*range(len(classes))} - {*numbers.values()})]
    notes = []
    if unused:
        more = f" and {len(unused) - _SHOWN} more" if len(unused) > _SHOWN else ""
        notes.append(f"labels count from 0; no video has label {', '.join(unused[:_SHOWN])}{more}")
    return Labels(classes, kind, numbers, notes)
