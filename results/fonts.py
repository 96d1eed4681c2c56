"""Fonts that have the letters of a text: judged by their own character maps, never by their names."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from search_space.errors import DataError

Letters = frozenset[int]
"""Code points that a font needs glyphs for."""

_SUFFIXES = {".ttf", ".otf", ".ttc", ".otc"}
_FANCY = ("bold", "italic", "oblique", "light", "thin", "black", "condensed", "mono", "serif")
_SECONDS = 20.0


def one_line(text: str, most: int) -> str:
    """Return a text without control characters, on one line, of at most ``most`` characters."""
    # Thousands of characters would be looked at one by one, to be thrown away.
    plain = "".join(
        " " if unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"} else c for c in text[: 8 * most]
    )
    words = unicodedata.normalize("NFC", " ".join(plain.split()))
    return words if len(words) <= most else f"{words[: most - 1].rstrip()}…"


def letters(text: str) -> Letters:
    """Return the code points of a text that have to be drawn: no spaces, joiners or variation selectors."""
    return frozenset(
        ord(c)
        for c in unicodedata.normalize("NFC", text)
        if not c.isspace() and unicodedata.category(c) != "Cf" and not 0xFE00 <= ord(c) <= 0xFE0F
    )


def is_from_right(text: str) -> bool:
    """Return whether any of a text is written from right to left."""
    return any(unicodedata.bidirectional(c) in {"R", "AL"} for c in text)


def spelled(text: str, missing: Letters) -> str:
    """Return a text with the code points of letters that no font has, as a terminal without them shows it."""
    return "".join(
        c.encode("ascii", "backslashreplace").decode() if ord(c) in missing else c
        for c in unicodedata.normalize("NFC", text)
    )


def missing_letters(font: Path | BinaryIO, wanted: Letters) -> Letters:
    """Return those of some letters that a font has no glyphs for.

    Raises:
        DataError: the file is no font whose letters have outlines.
    """
    # matplotlib takes a second to load, and most labels need no other font.
    from matplotlib.ft2font import FT2Font

    try:
        face = FT2Font(font)
        outlines = face.scalable
        missing = frozenset(letter for letter in wanted if not face.get_char_index(letter))
    except (OSError, RuntimeError, ValueError) as error:
        raise DataError(
            f"{font} cannot be used as a font: {error}", hint="give a .ttf, .otf or .ttc file"
        ) from error
    if not outlines:
        raise DataError(f"{font} has pictures of letters, no outlines", hint="give another font")
    return missing


def find_fonts(texts: Iterable[Letters]) -> dict[Letters, Path]:
    """Return a font of this machine for each of some sets of letters that one has, the plainest first."""
    wanted, found = set(texts) - {frozenset()}, dict[Letters, Path]()
    for font in _fonts() if wanted else ():
        try:
            missing = missing_letters(font, frozenset().union(*wanted))
        except DataError:
            continue  # a damaged font of this machine is no matter of the user's
        found |= {each: font for each in wanted if not each & missing}
        wanted -= found.keys()
        if not wanted:
            break
    return found


def bundled_font() -> Path:
    """Return the font that comes with matplotlib, which has the letters of Europe and the Near East."""
    from matplotlib import get_data_path

    return Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"


def _fonts() -> Iterator[Path]:
    """Yield the font that is always there, then this machine's, in the same order every time."""
    yield bundled_font()
    paths = {
        path for path in (*_configured_fonts(), *_fonts_in_folders()) if path.suffix.lower() in _SUFFIXES
    }
    # What emoji fonts have are pictures in colours, which are not drawn as letters are.
    letters_only = (path for path in paths if "emoji" not in path.name.lower())
    yield from sorted(letters_only, key=lambda path: (_fanciness(path.stem.lower()), str(path)))


def _fanciness(name: str) -> int:
    return sum(word in name for word in _FANCY)


def _configured_fonts() -> list[Path]:
    """Return the fonts that fontconfig knows; none where it is not installed."""
    program = shutil.which("fc-list")
    if program is None:
        return []
    try:
        told = subprocess.run(
            [program, "--format", "%{file}\n"], capture_output=True, timeout=_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return [Path(os.fsdecode(line)) for line in told.stdout.splitlines()]


def _fonts_in_folders() -> Iterator[Path]:
    """Yield the files in the folders that systems keep fonts in."""
    home = Path.home()
    data = os.environ.get("XDG_DATA_HOME") or home / ".local/share"
    folders = {
        "darwin": ("/System/Library/Fonts", "/Library/Fonts", home / "Library/Fonts"),
        "win32": (
            Path(os.environ.get("WINDIR", "C:/Windows")) / "Fonts",
            home / "AppData/Local/Microsoft/Windows/Fonts",
        ),
    }.get(sys.platform, ("/usr/share/fonts", "/usr/local/share/fonts", Path(data) / "fonts", home / ".fonts"))
    for folder in folders:
        for place, _, names in os.walk(folder):
            yield from (Path(place) / name for name in names)
