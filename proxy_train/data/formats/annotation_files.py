"""Annotation files with a header or of JSON, and errors that name file and line."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from proxy_train.data.formats.request import read_text
from search_space.errors import DataError


def csv_header(path: Path) -> list[str]:
    """Return the fields of a CSV file's first line, stripped; none if it cannot be read as such."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            return [field.strip() for field in next(csv.reader(file), [])]
    except csv.Error:
        return []
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}", hint="annotations must be readable") from error


def csv_rows(path: Path, required: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the rows of a CSV file by column, each with ``file, line n`` for messages.

    Raises:
        DataError: a required column is missing, or a row has another number of fields than the header.
    """
    for line, columns, fields in csv_lines(path, required):
        yield f"{path}, line {line}", dict(zip(columns, map(str.strip, fields), strict=True))


def csv_lines(path: Path, required: Sequence[str]) -> Iterator[tuple[int, list[str], list[str]]]:
    """Yield the rows of a CSV file: number of the line, the columns' names, and the fields, not stripped.

    Raises:
        DataError: as ``csv_rows``.
    """
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    try:
        columns = [field.strip() for field in next(reader, [])]
        missing = [name for name in required if name not in columns]
        if missing:
            raise DataError(f"{path}: no column {', '.join(missing)}", hint=f"it has {', '.join(columns)}")
        for fields in reader:
            if not fields:
                continue
            if len(fields) != len(columns):
                raise DataError(
                    f"{path}, line {reader.line_num}: {len(fields)} fields, {len(columns)} columns",
                    hint="correct the line",
                )
            yield reader.line_num, columns, fields
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}", hint="quotes must be closed") from error


def parse_number(text: str, where: str, column: str) -> float:
    """Return a number of a row; raise DataError if it is none."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{where}: {column} is {text!r}", hint="it must be a number")
    return value


def parse_index(text: str, where: str, column: str, count: int) -> int:
    """Return a class index of a row; raise DataError unless it is below ``count``."""
    # Longer numbers are slow to read, and a superscript is a digit to Python.
    if not (text.isascii() and text.isdigit()) or len(text) > 18 or int(text) >= count:
        raise DataError(f"{where}: {column} is {text!r}", hint=f"it must be from 0 to {count - 1}")
    return int(text)


def load_json(path: Path, kind: type) -> Any:
    """Return the content of a JSON file; raise DataError unless its outermost value is of ``kind``."""
    try:
        value = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise DataError(f"{path}, line {error.lineno}: not JSON: {error.msg}", hint="correct it") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON that can be read: {error}", hint="correct it") from error
    if not isinstance(value, kind):
        raise DataError(f"{path}: holds a {type(value).__name__}", hint=f"it must be a {kind.__name__}")
    return value
