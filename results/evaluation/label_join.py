"""The join of a data set's classes with a network's outputs, by name, whatever the order of either.

Names count as the same however case, quotes, brackets and underscores are written.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search_space.errors import DataError
from searcher.standalone.judged_videos import JudgedVideos, plain

_SHOWN = 3
_FORMS = "one name a line, a CSV file of numbers and names, or JSON: a list, or numbers by name"


@dataclass(frozen=True, slots=True)
class OutputNames:
    """Names of a network's outputs.

    Args:
        names: name of each output.
        numbers: number of the output by its name in plain spelling, further names included.
        source: where they are from, for messages.
    """

    names: tuple[str, ...]
    numbers: Mapping[str, int]
    source: str

    @classmethod
    def of(cls, names: Sequence[str], source: str) -> OutputNames:
        """Return the names of outputs in their order.

        Raises:
            DataError: two are the same name.
        """
        return cls.of_pairs([(name, number) for number, name in enumerate(names)], source)

    @classmethod
    def of_labels(cls, labels: Sequence[str], source: str) -> OutputNames:
        """Return the labels that a member or an export has; a verb and a noun may be the same word."""
        numbers: dict[str, int] = {}
        for number, label in enumerate(labels):
            numbers.setdefault(plain(label), number)
        return cls(tuple(labels), numbers, source)

    @classmethod
    def of_pairs(cls, pairs: Sequence[tuple[str, int]], source: str) -> OutputNames:
        """Return the names of outputs, each with its number from 0; an output may have several names.

        Raises:
            DataError: numbers do not run from 0 without a gap, or a name is that of two outputs.
        """
        numbers: dict[str, int] = {}
        first: dict[int, str] = {}
        for name, number in pairs:
            known = numbers.setdefault(plain(name), number)
            if known != number:
                raise DataError(
                    f"{source}: {name!r} is the name of the outputs {known} and {number}",
                    hint="give each output a name of its own",
                )
            first.setdefault(number, name)
        missing = sorted(set(range(len(first))) - first.keys())
        if missing or not first:
            begin = f"numbers begin at {min(first)}" if first and min(first) == 1 else "numbers have gaps"
            raise DataError(
                f"{source}: {begin if first else 'no name'}: output {[*missing, 0][0]} has no name",
                hint="outputs are counted from 0; name all of them",
            )
        return cls(tuple(first[number] for number in range(len(first))), numbers, source)

    @classmethod
    def read(cls, path: Path) -> OutputNames:
        """Read a file of names: a name a line, CSV of numbers and names, or JSON.

        Raises:
            DataError: it cannot be read, or says nothing of outputs.
        """
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"--labels {path} cannot be read: {error}", hint=_FORMS) from error
        where = f"--labels {path}"
        if path.suffix == ".json":
            return cls.of_pairs(_json_pairs(text, where), where)
        if path.suffix in (".csv", ".tsv"):
            return cls.of_pairs(_csv_pairs(text, where, "\t" if path.suffix == ".tsv" else ","), where)
        lines = text.rstrip("\n").split("\n")
        empty = next((number for number, line in enumerate(lines, 1) if not line.strip()), None)
        if empty is not None:
            raise DataError(f"{where}, line {empty}: no name", hint=_FORMS)
        return cls.of([line.strip() for line in lines], where)


@dataclass(frozen=True, slots=True)
class LabelJoin:
    """A data set's classes as outputs of a network.

    Args:
        names: name of each output; of a verb and a noun those of the verbs, then of the nouns.
        outputs: number of the output of each class; -1 for classes that no judged video has.
        groups: number of outputs of each group.
        by_name: whether names were compared; otherwise the order is taken to be the same.
        note: the join in a sentence.
    """

    names: tuple[str, ...]
    outputs: tuple[int, ...]
    groups: tuple[int, ...]
    by_name: bool
    note: str


def join_labels(videos: JudgedVideos, names: OutputNames | None) -> LabelJoin:
    """Join the classes of judged videos with a network's outputs.

    Args:
        videos: judged videos.
        names: names of the outputs; None if nobody knows them: their order is that of the data set's classes.

    Raises:
        DataError: a judged video has a class that no output has, or verbs and nouns have other names.
    """
    classes, data = videos.dataset.classes, videos.dataset.name
    if names is None:
        note = f"outputs are taken to be in the order of {data}'s {len(classes)} classes: none has a name"
        return LabelJoin(classes, tuple(range(len(classes))), videos.groups, False, note)
    if videos.kind == "verb-noun":
        if [plain(name) for name in names.names] != [plain(name) for name in classes]:
            raise DataError(
                f"{names.source} names its {len(names.names)} outputs otherwise than {data} its classes",
                hint="verbs and nouns have the data set's own numbers: leave --labels out",
            )
        return LabelJoin(classes, tuple(range(len(classes))), videos.groups, True, "names are the same")
    found = [names.numbers.get(plain(name), -1) for name in classes]
    unknown = sorted(index for index in videos.classes_of() if found[index] < 0)
    if unknown:
        raise DataError(
            f"{data} has {len(unknown)} classes that none of {len(names.names)} outputs of {names.source} "
            f"has: {_quoted([classes[index] for index in unknown])}; outputs are {_quoted(names.names)}",
            hint="give the names of the outputs, in their order, with --labels FILE",
        )
    moved = sum(output not in (-1, index) for index, output in enumerate(found))
    note = f"{sum(output >= 0 for output in found)} of {len(classes)} classes joined by name with "
    note += f"{len(names.names)} outputs" + (f", {moved} of them at another number" if moved else "")
    return LabelJoin(names.names, tuple(found), (len(names.names),), True, note)


def require_agreement(given: OutputNames, own: OutputNames) -> None:
    """Refuse names that contradict those that a network has itself: others are fine, others' order is not.

    Args:
        given: names that the user gives.
        own: names of the network.

    Raises:
        DataError: they are not as many, or the same names in another order.
    """
    if len(given.names) != len(own.names):
        raise DataError(
            f"{given.source} names {len(given.names)} outputs, and {own.source} has {len(own.names)}",
            hint="it knows its names: leave --labels out",
        )
    moved = [n for n, at in given.numbers.items() if own.numbers.get(n, at) != at]
    if moved and given.numbers.keys() == own.numbers.keys():
        name = moved[0]
        raise DataError(
            f"{given.source}: {name!r} is output {given.numbers[name]}, and {own.source} has it as output "
            f"{own.numbers[name]}",
            hint="it knows its names: leave --labels out",
        )


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:_SHOWN])) + (", ..." if len(names) > _SHOWN else "")


def _json_pairs(text: str, where: str) -> list[tuple[str, int]]:
    try:
        content: Any = json.loads(text)
    except ValueError as error:
        raise DataError(f"{where} is no JSON: {error}", hint=_FORMS) from error
    if isinstance(content, list) and all(isinstance(name, str) for name in content):
        return [(name, number) for number, name in enumerate(content)]
    if isinstance(content, dict):
        pairs = [_pair(str(key), str(value)) for key, value in content.items()]
        if all(pairs):
            return [pair for pair in pairs if pair is not None]
    raise DataError(f"{where} is neither a list of names nor numbers by name", hint=_FORMS)


def _csv_pairs(text: str, where: str, delimiter: str) -> list[tuple[str, int]]:
    rows = [row for row in csv.reader(text.splitlines(), delimiter=delimiter) if any(map(str.strip, row))]
    pairs: list[tuple[str, int]] = []
    for line, row in enumerate(rows, 1):
        pair = _pair(row[0], row[1]) if len(row) >= 2 else None
        if pair is not None:
            pairs.append(pair)
        elif line > 1:  # the first line may name the columns
            raise DataError(f"{where}, line {line}: {row} is no number and name", hint=_FORMS)
    return pairs


def _pair(one: str, two: str) -> tuple[str, int] | None:
    """Return name and number of two fields of which one is the number."""
    one, two = one.strip(), two.strip()
    if two.isascii() and two.isdigit():
        return one, int(two)
    if one.isascii() and one.isdigit():
        return two, int(one)
    return None
