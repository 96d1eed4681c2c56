"""The page that the report is put into, and the few parts that its sections are made of.

``page.html``, ``page.css`` and ``page.js`` beside this module are its frame, look and script.
"""

from __future__ import annotations

import html
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from string import Template

import yaml

from results.plots.style import FONT

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the page: an anchor, a heading and its HTML, which is escaped already."""

    identity: str
    title: str
    body: str


@dataclass(frozen=True, slots=True)
class Cell:
    """A table cell: HTML that is escaped already, and the number to sort by if it shows one."""

    body: str
    value: float | None = None


def page(title: str, subtitle: str, sections: Sequence[Section], footer: str, library: str) -> str:
    """Return the whole page.

    Args:
        title: plain text of the title.
        subtitle: plain text below the title.
        sections: sections in their order.
        footer: plain text at the end.
        library: source of plotly.js, which is inlined once for all plots.
    """
    links = "".join(f'<a href="#{s.identity}">{html.escape(s.title)}</a>' for s in sections)
    parts = "\n".join(
        f'<section id="{s.identity}"><h2>{html.escape(s.title)}</h2>\n{s.body}\n</section>' for s in sections
    )
    return Template(_data("page.html")).substitute(
        title=html.escape(title),
        subtitle=html.escape(subtitle),
        font=FONT,
        style=_data("page.css"),
        library=library,
        links=links,
        sections=parts,
        footer=html.escape(footer),
        script=_data("page.js"),
    )


def _data(name: str) -> str:
    """Return a file that is installed beside this module."""
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def text(value: object) -> Cell:
    """Return a cell of plain text."""
    return Cell(html.escape(str(value)))


def code(value: str) -> Cell:
    """Return a cell of fixed-width text."""
    return Cell(f"<code>{html.escape(value)}</code>")


def number(words: str, value: float) -> Cell:
    """Return a cell that shows a number in words and sorts by its value."""
    return Cell(html.escape(words), value)


def table(heads: Sequence[str], rows: Sequence[Sequence[Cell]], *, tall: bool = False) -> str:
    """Return a table whose columns sort on a click; a tall one scrolls."""
    numeric = [any(row[column].value is not None for row in rows) for column in range(len(heads))]
    head = "".join(
        f'<th class="sortable{" number" if right else ""}">{html.escape(name)}</th>'
        for name, right in zip(heads, numeric, strict=True)
    )
    body = "\n".join(
        "<tr>" + "".join(_cell(cell, right) for cell, right in zip(row, numeric, strict=True)) + "</tr>"
        for row in rows
    )
    return (
        f'<div class="wide{" tall" if tall else ""}"><table><thead><tr>{head}</tr></thead>\n'
        f"<tbody>{body}</tbody></table></div>"
    )


def _cell(cell: Cell, right: bool) -> str:
    value = f' data-value="{cell.value:.12g}"' if cell.value is not None else ""
    kind = ' class="number"' if right else ""
    return f"<td{kind}{value}>{cell.body}</td>"


def facts(items: Mapping[str, str]) -> str:
    """Return a row of key figures from figures by their words."""
    boxes = (
        f'<div class="fact"><b>{html.escape(figure)}</b><span>{html.escape(words)}</span></div>'
        for words, figure in items.items()
    )
    return f'<div class="facts">{"".join(boxes)}</div>'


def listing(content: Mapping[str, object] | str) -> str:
    """Return settings and the like as HTML: a mapping as YAML, or text as it is."""
    words = (
        content
        if isinstance(content, str)
        else yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True)
    )
    return f"<pre>{html.escape(words)}</pre>"


def note(words: str) -> str:
    """Return a remark of plain text below a plot or a table."""
    return f'<p class="note">{html.escape(words)}</p>'


def guarded(title: str, make: Callable[[], str]) -> str:
    """Return the HTML of one part of the page, or its error in its place."""
    try:
        return make()
    except Exception as error:
        # The boundary that the page promises: whatever goes wrong in one part, the others can be read.
        _LOG.exception("report: %s failed", title)
        return failure(f"{title} could not be made: {type(error).__name__}: {error}")


def failure(words: str) -> str:
    """Return what stands in the place of a part that could not be made."""
    return f'<div class="failure">{html.escape(words)}</div>'
