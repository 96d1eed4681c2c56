"""The page of what was found on a card: one file that needs no other."""

from __future__ import annotations

from typing import Any

from benchmarks.gpu.given import Facts
from results.report.page import Cell, Section, facts, failure, note, number, page, table, text


def gpu_page(found: Facts) -> str:
    """Return the page of what ``benchmarks.gpu.command`` wrote as JSON."""
    parts = found["parts"]
    rows = [
        [text(name), text(part["question"]), text(part["status"]), _number(part["seconds"])]
        for name, part in parts.items()
    ]
    summary = facts({key: str(value) for key, value in found["machine"].items()}) + table(
        ["part", "question", "outcome", "seconds"], rows
    )
    if found["quick"]:
        summary = failure("A trial of the script on small clips: its figures say nothing.") + summary
    sections = [Section("summary", "Summary", summary)]
    sections += [Section(name, name.capitalize(), _part(part)) for name, part in parts.items()]
    return page("movinas on a GPU", str(found["machine"]["device"]), sections, "python -m benchmarks.gpu", "")


def _part(part: Facts) -> str:
    body = note(part["question"])
    if "reason" in part:
        body += failure(part["reason"])
    for name, value in part.get("facts", {}).items():
        if name == "wrong" or value == {}:
            continue
        if isinstance(value, list) and value and isinstance(value[0], dict):
            body += _rows(value)
        elif isinstance(value, dict):
            body += _rows([{name: key} | _flat(value[key]) for key in value])
        else:
            body += note(f"{name}: {_words(value)}")
    return body


def _flat(value: Any) -> Facts:
    """Return the columns of a value: those of a part's own facts, or one."""
    return dict(value) if isinstance(value, dict) else {"": value}


def _rows(rows: list[Facts]) -> str:
    heads = list(dict.fromkeys(key for row in rows for key in row))
    return table(heads, [[_cell(row.get(head, "")) for head in heads] for row in rows])


def _cell(value: Any) -> Cell:
    return _number(value) if isinstance(value, int | float) else text(_words(value))


def _number(value: float) -> Cell:
    return number(f"{value:.4g}", float(value))


def _words(value: Any) -> str:
    """Return a value in words: a spread as its median and ends, a list with commas."""
    if isinstance(value, dict) and "median" in value:
        return f"{value['median']:g} ({value['least']:g} to {value['most']:g}, {value['rounds']} rounds)"
    if isinstance(value, dict):
        return "; ".join(f"{key} {_words(each)}" for key, each in value.items())
    return ", ".join(map(_words, value)) if isinstance(value, list) else str(value)
