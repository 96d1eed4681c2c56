"""Labels as a video shows them: in a font that has their letters, or else by their numbers."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path

from PIL import ImageDraw, ImageFont, features
from PIL.ImageFont import FreeTypeFont

from results.fonts import (
    Letters,
    bundled_font,
    find_fonts,
    is_from_right,
    letters,
    missing_letters,
    one_line,
    spelled,
)
from search_space.errors import DataError

HEIGHT = 18
"""Height of the letters in pixels."""
_MOST_LETTERS = 120
_NAMED = 3


class LabelPen:
    """A pen that draws labels, each in the first font that has all of its letters: the one that is given, the
    one that everything else is drawn in, one of this machine.

    Args:
        labels: label of each class.
        file: font of the user's own.

    Raises:
        DataError: the file is no font.
    """

    def __init__(self, labels: Sequence[str] = (), file: Path | None = None) -> None:
        self.font = _default_font()
        texts = {label: one_line(label, _MOST_LETTERS) for label in labels}
        wanted = {label: letters(text) for label, text in texts.items()}
        fonts = self._fonts(wanted, file)
        if not features.check("raqm"):
            fonts = {label: font for label, font in fonts.items() if not is_from_right(texts[label])}
        self._shown = {label: (texts[label], font) for label, font in fonts.items()}
        self._numbered = [label for label in texts if label not in fonts]
        if self._numbered:
            common = _opened(bundled_font())
            for number, label in enumerate(labels):
                if label not in fonts:
                    missing = missing_letters(bundled_font(), wanted[label])
                    missing |= {letter for letter in wanted[label] if is_from_right(chr(letter))}
                    self._shown[label] = f"{number} {spelled(texts[label], missing)}", common

    @property
    def note(self) -> str:
        """Sentence on labels that are shown by their numbers; empty if there are none."""
        if not self._numbered:
            return ""
        names = ", ".join(repr(one_line(label, 40)) for label in self._numbered[:_NAMED])
        more = ", ..." if len(self._numbered) > _NAMED else ""
        return (
            f"{len(self._numbered)} of {len(self._shown)} labels have their number before them in the "
            f"video, as nothing here can write {names}{more}: install a font with these letters, or give "
            "--font FILE"
        )

    def write(
        self, page: ImageDraw.ImageDraw, place: tuple[float, float], label: str, words: str, width: float
    ) -> None:
        """Write a label, shortened until it fits, and words after it.

        Args:
            page: page to write on.
            place: left end and upper end of the line in pixels.
            label: one of the labels.
            words: words of plain letters after it.
            width: most pixels that both may take.
        """
        text, font = self._shown.get(label) or (one_line(label, _MOST_LETTERS), self.font)
        left, baseline = place[0], place[1] + self.font.getmetrics()[0]
        room = width - page.textlength(words, self.font)
        if page.textlength(text, font) > room:
            words = f"…{words}"
            text = _shortened(text, font, room - page.textlength("…", self.font))
        page.text((left, baseline), text, "white", font=font, anchor="ls")
        left += page.textlength(text, font)
        page.text((left, baseline), words, "white", font=self.font, anchor="ls")

    def _fonts(self, wanted: Mapping[str, Letters], file: Path | None) -> dict[str, FreeTypeFont]:
        """Return the font of every label that one has the letters of."""
        every = frozenset[int]().union(*wanted.values())
        fonts: dict[str, FreeTypeFont] = {}
        if file is not None:
            missing, given = missing_letters(file, every), _opened(file)
            fonts = {label: given for label, needed in wanted.items() if not needed & missing}
        # Every font has plain letters, and most labels have no others.
        missing = frozenset(letter for letter in every if letter > 0x7E)
        if missing and isinstance(self.font.path, BytesIO):
            missing = missing_letters(BytesIO(self.font.path.getvalue()), missing)
        fonts = {label: self.font for label, needed in wanted.items() if not needed & missing} | fonts
        found = find_fonts(needed for label, needed in wanted.items() if label not in fonts)
        opened = {path: _opened(path) for path in set(found.values())}
        return fonts | {
            label: opened[found[needed]]
            for label, needed in wanted.items()
            if label not in fonts and needed in found
        }


def _default_font() -> FreeTypeFont:
    font = ImageFont.load_default(HEIGHT)
    assert isinstance(font, FreeTypeFont), "Pillow has no other of a given height"
    return font


def _opened(path: Path) -> FreeTypeFont:
    """Open a font.

    Raises:
        DataError: Pillow cannot read it.
    """
    try:
        return ImageFont.truetype(path, HEIGHT)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be used as a font: {error}", hint="give another font") from error


def _shortened(text: str, font: FreeTypeFont, width: float) -> str:
    """Return as much of the beginning of a text as fits; a letter keeps the marks that are set on it."""
    while text and font.getlength(text) > width:
        text = text[:-1].rstrip()
        while text and unicodedata.combining(text[-1]):
            text = text[:-1]
    return text
