"""Small font files, made on the spot: letters that are boxes of a width of their own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen

UNITS = 900


def write_font(path: Path, widths: Mapping[str, int], family: str = "Made") -> Path:
    """A font whose letters are boxes of so many parts of 900 of the height, each on a field of 900."""
    names = {letter: f"glyph{ord(letter):x}" for letter in widths}
    builder = FontBuilder(UNITS, isTTF=True)
    builder.setupGlyphOrder([".notdef", *names.values()])
    builder.setupCharacterMap({ord(letter): name for letter, name in names.items()})
    boxes = {".notdef": UNITS, **{names[letter]: width for letter, width in widths.items()}}
    builder.setupGlyf({name: _box(width) for name, width in boxes.items()})
    builder.setupHorizontalMetrics(dict.fromkeys(boxes, (UNITS, 0)))
    builder.setupHorizontalHeader(ascent=UNITS, descent=0)
    builder.setupNameTable({"familyName": family, "styleName": "Regular"})
    builder.setupOS2(sTypoAscender=UNITS, usWinAscent=UNITS)
    builder.setupPost()
    path.parent.mkdir(parents=True, exist_ok=True)
    builder.save(path)
    return path


def _box(width: int) -> object:
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    pen.lineTo((0, 600))
    pen.lineTo((width, 600))
    pen.lineTo((width, 0))
    pen.closePath()
    return pen.glyph()
