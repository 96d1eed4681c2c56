"""Dataclasses as JSON, checked when read: one reader for every file that the project writes.

The fields of a dataclass are the keys of its JSON form. What is read is checked against their types, so that
a damaged or hand-edited file is refused with the place of the first wrong value. Keys that no field has are
ignored: files say some things for people only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from search_space.errors import MovinasError
from search_space.file_kind import no_file

T = TypeVar("T")

_ADAPTERS: dict[Any, TypeAdapter[Any]] = {}


def to_json(value: Any, kind: Any = None) -> Any:
    """Return the JSON form of a dataclass instance, or of any other value whose type ``kind`` is given.

    Args:
        value: the value.
        kind: type of the value, if ``type(value)`` does not say it, such as ``tuple[Measurement, ...]``.
    """
    return _adapter(kind or type(value)).dump_python(value, mode="json")


def from_json(content: object, kind: type[T], *, where: str, error: type[MovinasError], hint: str) -> T:
    """Return an instance of ``kind`` from its JSON form.

    Args:
        content: dictionaries, lists, strings and numbers.
        kind: a dataclass, or any type that pydantic can check.
        where: name of the file or line, for the error.
        error: the type of error to raise.
        hint: the remedy, for the error.

    Raises:
        MovinasError: of type ``error``, names the first missing or wrong value.
    """
    try:
        value: T = _validated(content, kind)
    except ValidationError as wrong:
        first = wrong.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        if first["type"] == "missing":
            raise error(f"{where} is incomplete: it has no {place!r}", hint=hint) from wrong
        cause = first.get("ctx", {}).get("error")
        if isinstance(cause, MovinasError):
            raise error(f"{where} is damaged: {place or 'it'}: {cause.message}", hint=hint) from wrong
        value_text = repr(first["input"])[:80]
        raise error(
            f"{where} is damaged: {place or 'it'} is {value_text}: {first['msg']}", hint=hint
        ) from wrong
    return value


def read_json(
    path: Path,
    kind: type[T],
    *,
    error: type[MovinasError],
    hint: str,
    missing: str = "",
    format: str | None = None,
) -> T:
    """Read a JSON file as an instance of ``kind``.

    Args:
        path: the file.
        kind: a dataclass, or any type that pydantic can check.
        error: the type of error to raise.
        hint: the remedy for a damaged file or one of another version.
        missing: the remedy if there is no such file; by default ``hint``.
        format: the value that the file's key ``format`` must have, if any.

    Raises:
        MovinasError: of type ``error``, if the file is missing, damaged, incomplete or of another version.
    """
    try:
        kind_of_place = no_file(path)
        content = None if kind_of_place else path.read_bytes()
    except OSError as refused:
        raise error(f"{path} cannot be read: {refused.strerror}", hint=hint) from refused
    if content is None:
        what = "does not exist" if kind_of_place == "no such file" else f"is {kind_of_place}"
        raise error(f"{path} {what}", hint=missing or hint)
    value = _parsed(content, path, error, hint)
    if format is not None:
        if not isinstance(value, Mapping):
            raise error(f"{path} holds a {type(value).__name__}, not a mapping", hint=hint)
        if "format" not in value:
            raise error(f"{path} says nothing of its format, which has to be {format!r}", hint=hint)
        if value["format"] != format:
            raise error(f"{path} has the format {value['format']!r}, not {format!r}", hint=hint)
    return from_json(value, kind, where=str(path), error=error, hint=hint)


def _parsed(content: bytes, path: Path, error: type[MovinasError], hint: str) -> Any:
    """Return what a JSON file holds, or say what it is instead."""
    try:
        text = content.decode()
    except UnicodeDecodeError as binary:
        raise error(f"{path} is no text: byte {binary.start} is no UTF-8", hint=hint) from binary
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as damage:
        begin = text.strip().partition("\n")[0][:40]
        if not begin:
            raise error(f"{path} is empty", hint=hint) from damage
        what = "is damaged" if begin[0] in "{[" else f"is no JSON, for it begins with {begin!r}"
        raise error(f"{path} {what}: {damage}", hint=hint) from damage


def _validated(content: object, kind: type[T]) -> T:
    try:
        text = json.dumps(content, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        # Names of files need not be text. Pydantic's parser refuses what stands for their bytes in JSON; from
        # dictionaries and lists it takes that, but numbers in quotes as well.
        lenient: T = _adapter(kind).validate_python(content)
        return lenient
    strict: T = _adapter(kind).validate_json(text, strict=True)
    return strict


def _adapter(kind: Any) -> TypeAdapter[Any]:
    # Making one takes milliseconds, using it microseconds.
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]
