"""The page that the report is put into: its look, and the few parts that its sections are made of."""

from __future__ import annotations

import html
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from string import Template

from results.plots.style import FONT

_log = logging.getLogger(__name__)

_STYLE = """
:root { --ink: #1f2933; --soft: #616e7c; --line: #e4e7eb; --accent: #0b5394; --wash: #f7f9fb; --bad: #b42318;
        --good: #18794e; --ground: #fff; --alarm: #fef6f5; --grid: #e6e9ee; color-scheme: light dark; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ee; --soft: #a3afbd; --line: #323b47; --accent: #6cb4ee; --wash: #1c232c;
          --bad: #ff9a8f; --good: #6bd3a0; --ground: #14191f; --alarm: #2a1b1b; --grid: #2c3540; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.6 $font; }
main, header > div { max-width: 1120px; margin: 0 auto; padding: 0 28px; }
header { background: var(--wash); border-bottom: 1px solid var(--line); padding: 36px 0 28px; }
header p { margin: 4px 0 0; color: var(--soft); }
h1 { margin: 0; font-size: 28px; letter-spacing: -0.01em; }
h2 { margin: 0 0 14px; font-size: 19px; letter-spacing: -0.005em; }
section { padding: 34px 0 6px; scroll-margin-top: 12px; }
nav { display: flex; flex-wrap: wrap; gap: 4px 18px; margin-top: 18px; font-size: 14px; }
a { color: var(--accent); text-decoration: none; }
a:hover { text-decoration: underline; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(158px, 1fr)); gap: 14px; }
.fact { border: 1px solid var(--line); border-radius: 10px; padding: 14px 16px; }
.fact b { display: block; font-size: 23px; font-weight: 650; line-height: 1.25; letter-spacing: -0.01em; }
.fact span { color: var(--soft); font-size: 13px; }
.wide { overflow-x: auto; border: 1px solid var(--line); border-radius: 10px; }
.tall { max-height: 520px; overflow-y: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14px; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; color: var(--soft); background: var(--wash); position: sticky; top:
0;
     white-space: nowrap; }
th, td { padding: 8px 14px; border-bottom: 1px solid var(--line); vertical-align: top; }
tr:last-child td { border-bottom: 0; }
td.number, th.number { text-align: right; white-space: nowrap; }
th.sortable { cursor: pointer; user-select: none; }
th.sortable:hover { color: var(--ink); }
code, pre { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; font-size: 12.5px; }
td code { word-break: break-all; color: var(--soft); }
pre { background: var(--wash); border: 1px solid var(--line); border-radius: 10px; padding: 14px 16px;
      overflow-x: auto; margin: 0; }
.plot { border: 1px solid var(--line); border-radius: 10px; padding: 8px; margin: 0 0 16px; }
figcaption { color: var(--soft); font-size: 13px; padding: 4px 10px 6px; }
.drawing { overflow-x: auto; padding: 8px; }
.pair { display: grid; grid-template-columns: repeat(auto-fill, minmax(440px, 1fr)); gap: 16px; }
.pair > * { min-width: 0; }
.note { color: var(--soft); margin: 10px 0 0; font-size: 14px; }
.failure { border: 1px solid var(--bad); background: var(--alarm); border-radius: 10px; padding: 12px 16px;
           color: var(--bad); }
.good { color: var(--good); } .bad { color: var(--bad); }
details summary { cursor: pointer; color: var(--accent); margin-bottom: 10px; }
footer { color: var(--soft); font-size: 13px; padding: 36px 0 48px; }
@media print { nav, .modebar { display: none; } .tall { max-height: none; } }
"""

# Sorts a table by the clicked column, by the number in data-value where a cell has one.
_SCRIPT = """
document.querySelectorAll("th.sortable").forEach(function (head) {
  head.addEventListener("click", function () {
    var body = head.closest("table").tBodies[0], column = head.cellIndex;
    var down = head.dataset.down !== "yes";
    head.dataset.down = down ? "yes" : "no";
    var value = function (row) {
      var cell = row.cells[column];
      return cell.dataset.value === undefined ? cell.textContent : Number(cell.dataset.value);
    };
    Array.from(body.rows).sort(function (a, b) {
      var x = value(a), y = value(b), order = x < y ? -1 : x > y ? 1 : 0;
      return down ? -order : order;
    }).forEach(function (row) { body.appendChild(row); });
  });
});
"""

# Plots are drawn for a light page; where the page is dark their words and grids follow it.
_THEME = """
(function () {
  var dark = window.matchMedia("(prefers-color-scheme: dark)");
  var follow = function () {
    if (!window.Plotly) { return; }
    var style = getComputedStyle(document.documentElement);
    var ink = style.getPropertyValue("--ink").trim(), grid = style.getPropertyValue("--grid").trim();
    document.querySelectorAll(".js-plotly-plot").forEach(function (plot) {
      var change = {"font.color": ink};
      Object.keys(plot.layout).forEach(function (key) {
        if (/^[xy]axis/.test(key)) { change[key + ".gridcolor"] = grid; }
      });
      Plotly.relayout(plot, change);
    });
  };
  dark.addEventListener("change", follow);
  if (dark.matches) { window.addEventListener("load", follow); }
})();
"""

_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>$title</title>
<style>$style</style>
<script>$library</script>
</head>
<body>
<header><div><h1>$title</h1><p>$subtitle</p><nav>$links</nav></div></header>
<main>
$sections
<footer>$footer</footer>
</main>
<script>$script</script>
</body>
</html>
""")


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
    """The whole page.

    Args:
        title: plain text.
        subtitle: plain text.
        sections: in order.
        footer: plain text.
        library: the source of plotly.js, inlined once for all plots.
    """
    links = "".join(f'<a href="#{s.identity}">{html.escape(s.title)}</a>' for s in sections)
    parts = "\n".join(
        f'<section id="{s.identity}"><h2>{html.escape(s.title)}</h2>\n{s.body}\n</section>' for s in sections
    )
    return _PAGE.substitute(
        title=html.escape(title),
        subtitle=html.escape(subtitle),
        style=_STYLE.replace("$font", FONT),
        library=library,
        links=links,
        sections=parts,
        footer=html.escape(footer),
        script=_SCRIPT + _THEME,
    )


def text(value: object) -> Cell:
    """A cell of plain text."""
    return Cell(html.escape(str(value)))


def code(value: str) -> Cell:
    """A cell of fixed-width text."""
    return Cell(f"<code>{html.escape(value)}</code>")


def number(words: str, value: float) -> Cell:
    """A cell that shows a number in words and sorts by its value."""
    return Cell(html.escape(words), value)


def table(heads: Sequence[str], rows: Sequence[Sequence[Cell]], *, tall: bool = False) -> str:
    """A table whose columns sort on a click; a tall one scrolls."""
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
    """A row of key figures: words -> figure."""
    boxes = (
        f'<div class="fact"><b>{html.escape(figure)}</b><span>{html.escape(words)}</span></div>'
        for words, figure in items.items()
    )
    return f'<div class="facts">{"".join(boxes)}</div>'


def listing(content: Mapping[str, object] | str) -> str:
    """Settings and the like: a mapping as indented lines, or text as it is."""
    lines = content if isinstance(content, str) else "\n".join(_lines(content, 0))
    return f"<pre>{html.escape(lines)}</pre>"


def _lines(content: Mapping[str, object], depth: int) -> list[str]:
    lines: list[str] = []
    for key, value in content.items():
        margin = "  " * depth
        if isinstance(value, Mapping):
            lines += [f"{margin}{key}:", *_lines(value, depth + 1)]
        elif isinstance(value, list | tuple):
            lines.append(f"{margin}{key}: {', '.join(map(str, value)) or 'none'}")
        else:
            lines.append(f"{margin}{key}: {'not set' if value is None else value}")
    return lines


def note(words: str) -> str:
    """A remark below a plot or a table, of plain text."""
    return f'<p class="note">{html.escape(words)}</p>'


def guarded(title: str, make: Callable[[], str]) -> str:
    """The HTML of one part of the page, or its error in its place."""
    try:
        return make()
    except Exception as error:
        # The boundary that the page promises: whatever goes wrong in one part, the others are still read.
        _log.exception("report: %s failed", title)
        return failure(f"{title} could not be made: {type(error).__name__}: {error}")


def failure(words: str) -> str:
    """What stands in the place of a part that could not be made."""
    return f'<div class="failure">{html.escape(words)}</div>'
