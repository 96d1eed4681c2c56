"""A table for a terminal or a pipe of any width, in which no column is lost and no figure is cut.

Columns that do not fit beside the others go into a further block below, which repeats the first ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

_GAP = "  "
_INDENT = "    "


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Args:
        head: heading.
        right: whether its cells are aligned to the right, as numbers are.
        listed: whether its cells are lists with commas, which may be broken over several lines.
    """

    head: str
    right: bool = True
    listed: bool = False


class FittingTable:
    """A table that is laid out for the width that it is shown at.

    Args:
        title: line above the table.
        columns: columns from left to right.
        keys: number of columns that are repeated in every block.
        notes: sentences below the table.
    """

    def __init__(
        self, title: str, columns: Sequence[Column], *, keys: int = 1, notes: Sequence[str] = ()
    ) -> None:
        self.title, self.columns, self.keys, self.notes = title, tuple(columns), keys, tuple(notes)
        self._rows: list[tuple[str, ...]] = []
        self._details: list[str] = []

    def add_row(self, *cells: str, detail: str = "") -> None:
        """Add a row.

        Args:
            cells: words of the columns.
            detail: long text, such as an architecture, that has a line of its own below the row.
        """
        if len(cells) != len(self.columns):
            raise ValueError(f"{len(cells)} cells for {len(self.columns)} columns")
        self._rows.append(cells)
        self._details.append(detail)

    def text(self, width: int) -> str:
        """Return the table as lines of at most ``width`` characters, but for details and notes."""
        return "\n".join(self._lines(width))

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        lines = self._lines(options.max_width)
        yield Text(next(lines), style="bold")
        for line in lines:
            # Without options of its own, so that the console says whether it may be wrapped.
            yield Text(line)

    def _lines(self, width: int) -> Iterator[str]:
        yield self.title
        for number, block in enumerate(self._blocks(width)):
            yield ""
            yield from self._block(block, width, self._details if number == 0 else [""] * len(self._rows))
        yield ""
        yield from self.notes

    def _width(self, column: int, most: int) -> int:
        """Return the width of a column; one of lists gets narrower if it has to."""
        cells = [row[column] for row in self._rows]
        if not self.columns[column].listed:
            return max(len(self.columns[column].head), *map(len, cells), 0)
        parts = [f"{part}," for cell in cells for part in cell.split(", ")]
        least = max(len(self.columns[column].head), *map(len, parts), 0)
        return min(max(len(self.columns[column].head), *map(len, cells), 0), max(least, most))

    def _blocks(self, width: int) -> list[list[int]]:
        """Return the numbers of the columns of each block."""
        keys = list(range(self.keys))
        taken = sum(self._width(key, width) + len(_GAP) for key in keys)
        blocks, block, used = list[list[int]](), list[int](), taken
        for column in range(self.keys, len(self.columns)):
            wide = self._width(column, width - taken)
            if block and used + wide > width:
                blocks.append(keys + block)
                block, used = [], taken
            block.append(column)
            used += wide + len(_GAP)
        return [*blocks, keys + block]

    def _block(self, block: Sequence[int], width: int, details: Sequence[str]) -> Iterator[str]:
        taken = sum(self._width(key, width) + len(_GAP) for key in range(self.keys))
        widths = [self._width(column, width - taken) for column in block]
        yield self._line([self.columns[column].head for column in block], block, widths)
        yield "─" * (sum(widths) + len(_GAP) * (len(widths) - 1))
        for row, detail in zip(self._rows, details, strict=True):
            cells = [
                self._cell_lines(row[column], column, wide)
                for column, wide in zip(block, widths, strict=True)
            ]
            for place in range(max(map(len, cells))):
                line = [parts[place] if place < len(parts) else "" for parts in cells]
                yield self._line(line, block, widths)
            if detail:
                yield _INDENT + detail

    def _cell_lines(self, cell: str, column: int, width: int) -> list[str]:
        if self.columns[column].listed:
            return _broken(cell, width)
        return [cell]

    def _line(self, cells: Sequence[str], block: Sequence[int], widths: Sequence[int]) -> str:
        aligned = (
            cell.rjust(width) if self.columns[column].right else cell.ljust(width)
            for cell, column, width in zip(cells, block, widths, strict=True)
        )
        return _GAP.join(aligned).rstrip()


def _broken(cell: str, width: int) -> list[str]:
    """Return a list with commas over several lines, of which none is longer than ``width`` if it can be."""
    lines = [""]
    for part in cell.split(", "):
        joined = f"{lines[-1]}, {part}" if lines[-1] else part
        # Every line but the last ends with a comma.
        if len(joined) + 1 > width and lines[-1]:
            lines[-1] += ","
            lines.append(part)
        else:
            lines[-1] = joined
    return lines
