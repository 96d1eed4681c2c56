"""YAML with the line of every entry, so that errors can name it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from search_space.errors import SpaceError

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A mapping read from a file, with the line on which each entry stands.

    Attributes:
        source: name of the document in messages, such as a file's path.
        data: plain dictionaries, lists and scalars.
        lines: line of each entry, from 1, by its path (keys and list positions); empty for data from Python.
    """

    source: str
    data: dict[str, Any]
    lines: Mapping[Path, int]

    def place(self, path: Path) -> str:
        """Return the place of an entry, ``file.yaml, line 7: stages[1].kernel``, as far as it is known."""
        line = next((self.lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in self.lines), None)
        where = f"{self.source}, line {line}" if line else self.source
        return f"{where}: {path_text(path)}" if path else where


def path_text(path: Sequence[str | int]) -> str:
    """Return a path as text, such as ``stages[1].kernel``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def read_yaml(text: str, source: str) -> Document:
    """Parse YAML with the safe loader.

    Raises:
        SpaceError: the text is no YAML or no mapping, or has a key twice; names file and line.
    """
    try:
        node = yaml.compose(text, yaml.SafeLoader)
        lines: dict[Path, int] = {}
        if node is not None:
            _collect_lines(node, (), source, lines)
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{source}, line {mark.line + 1}" if mark else source
        problem = getattr(error, "problem", None) or "it cannot be parsed"
        raise SpaceError(f"{where}: no valid YAML: {problem}", hint="correct the syntax") from error
    if not isinstance(data, dict):
        raise SpaceError(
            f"{source}: holds {type(data).__name__}, not a mapping",
            hint="write keys and values, such as name: a2",
        )
    return Document(source, data, lines)


def _collect_lines(node: yaml.Node, path: Path, source: str, lines: dict[Path, int]) -> None:
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if name in seen:
                twice = f"{path_text((*path, name))} is given twice, first on line {seen[name]}"
                raise SpaceError(f"{source}, line {line}: {twice}", hint="keep one of the two")
            seen[name] = line
            lines[(*path, name)] = line
            _collect_lines(value, (*path, name), source, lines)
    elif isinstance(node, yaml.SequenceNode):
        for i, item in enumerate(node.value):
            lines[(*path, i)] = item.start_mark.line + 1
            _collect_lines(item, (*path, i), source, lines)
