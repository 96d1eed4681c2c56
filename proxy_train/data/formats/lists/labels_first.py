"""Lists without a header whose lines begin with the label: ``jump,clips/a.mp4``."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from proxy_train.data.formats.lists.fields import ASK, DECIMAL, FIELD, NEARLY, Count, is_file, path_and_rest
from proxy_train.data.formats.lists.table import Row, Table, unquoted
from search_space.errors import DataError

_SEPARATOR = re.compile(r"[\s,;]+")
_SAMPLE = 20  # lines that tell most lists apart, so that those of hundreds of thousands are not read twice
_NUMBERS_LAST = re.compile(r"(.*?)[\s,;]+[0-9]{1,9}", re.DOTALL)


def labels_first(table: Table, lines: Sequence[tuple[int, str]], count: Count) -> Table | None:
    """Return a list whose lines are a label and a path; None unless that is the only likely reading.

    A path in the first place is what lists usually have, and is looked for first.

    Args:
        table: the list, without rows.
        lines: its lines, each with its number.
        count: function that tells the number of a path's images.

    Raises:
        DataError: both orders are as likely, or no path is there by which to tell.
    """
    texts = [text for _, text in lines]
    for some in (texts[:_SAMPLE], texts):
        if not some or sum(_ends_with_path(text, count) for text in some) < NEARLY * len(some):
            return None
    usual = sum(_begins_with_path(text, count) for text in texts)
    found = {text: pair for text in texts if (pair := _label_and_path(text, count)) is not None}
    if usual > (1 - NEARLY) * len(texts):
        if found and usual >= NEARLY * len(texts) and all(map(_looks_like_path, texts)):
            raise DataError(
                f"{table.path}: {texts[0]!r} may be a path and a label, or the other way round",
                hint="say which it is: data.columns, [path, label] or [label, path]",
            )
        return None
    if not found:
        if table.split == "test":
            return None  # paths alone
        raise DataError(
            f"{table.path}, line {lines[0][0]}: {texts[0]!r} may be a label and a path, or a path alone, and"
            " there is no such file",
            hint="if it is a label and a path, say so: data.columns, [label, path]",
        )
    separator = Counter(separator for _, separator, _ in found.values()).most_common(1)[0][0]
    for at, text in lines:
        label, _, path = found.get(text) or text.partition(separator)
        table.rows.append(Row(f"{table.path}, line {at}", at, unquoted(path), (unquoted(label),)))
    _refuse_further_columns(table)
    table.reading = "label, path: each line ends with what is there, and begins with nothing that is"
    return table


def _begins_with_path(text: str, count: Count) -> bool:
    """Return whether a line is a path, or begins with one that something follows."""
    if count(unquoted(text)) is not None:
        return True
    if (parts := path_and_rest(text, count)) is not None:
        path, rest = map(unquoted, parts)
        # A word alone may well be some video's name: it is no path beside what is written as one.
        return _looks_like_path(path) or not _looks_like_path(rest) or count(rest) is None
    match = _NUMBERS_LAST.fullmatch(text)
    return match is not None and count(unquoted(match[1])) is not None


def _ends_with_path(text: str, count: Count) -> bool:
    """Return whether a line ends with a path that something is before."""
    match = _SEPARATOR.search(text)
    return match is not None and (is_file(unquoted(text)) or _label_and_path(text, count) is not None)


def _label_and_path(text: str, count: Count) -> tuple[str, str, str] | None:
    """Split a line before the longest path that is there: label, separator and path; None without one."""
    for match in _SEPARATOR.finditer(text):
        label, path = text[: match.start()], text[match.end() :]
        if label and path and count(unquoted(path)) is not None:
            return label, match[0], unquoted(path)
    return None


def _looks_like_path(text: str) -> bool:
    """Return whether the last field of a line is written as a path is, and not as a label."""
    last = unquoted(_SEPARATOR.split(text)[-1])
    return is_file(last) or "/" in last


def _refuse_further_columns(table: Table) -> None:
    """Raise DataError if lines have a column of numbers beside their label: it is no part of the label."""
    rows = [FIELD.findall(row.labels[0]) for row in table.rows]
    shortest = min(map(len, rows))
    if shortest < 2:
        return
    for at in range(shortest):
        if sum(DECIMAL.fullmatch(fields[at]) is not None for fields in rows) >= NEARLY * len(rows):
            raise DataError(
                f"{table.rows[0].where}: {len(rows[0]) + 1} fields, and {rows[0][at]!r} may be a label, a"
                " number of frames, an offset or a duration",
                hint=ASK,
            )
