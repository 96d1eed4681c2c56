"""The request to a format's reader, and the search for annotation files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from search_space.errors import DataError

SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validate": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
_ANNOTATION_FOLDERS = re.compile(r"annot|label|split|list|csv|meta|charades$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Request:
    """A data set to read.

    Args:
        root: the folder of its videos.
        annotations: file or folder of its annotations; None looks in ``root``, and in its folders whose names
            tell of annotations, labels, splits or lists (or are Charades).
        split: number of the official split, from 1.
        frame_rate: frames a second of folders of images, if no annotation tells.
        segments: whether to train on the annotated parts of videos that have several, if a format can.
    """

    root: Path
    annotations: Path | None = None
    split: int = 1
    frame_rate: float = 25.0
    segments: bool = False

    def find(self, pattern: str) -> list[Path]:
        """Return annotation files whose whole name fits a regular expression, in any case, sorted by name."""
        fits = re.compile(pattern, re.IGNORECASE)
        paths = [path for path in self._candidates() if fits.fullmatch(path.name)]
        return sorted(paths, key=lambda path: (path.name, str(path)))

    def _candidates(self) -> Iterator[Path]:
        if self.annotations is not None:
            if not self.annotations.exists():
                raise DataError(f"{self.annotations}: no such file or folder", hint="set data.annotations")
            yield from files_in(self.annotations) if self.annotations.is_dir() else (self.annotations,)
            return
        if not self.root.is_dir():
            raise DataError(f"{self.root}: no such folder", hint="set data.root to the folder of your videos")
        yield from files_in(self.root)
        for folder in sorted(self.root.iterdir()):
            if _ANNOTATION_FOLDERS.search(folder.name) and folder.is_dir():
                yield from files_in(folder)


def files_in(folder: Path) -> Iterator[Path]:
    """Return the files of a folder, hidden ones left out."""
    return (path for path in folder.iterdir() if not path.name.startswith(".") and path.is_file())


def split_of(name: str) -> str | None:
    """Return the split that a word in a file's name stands for: ``trainingSet.csv`` is ``train``."""
    words = re.findall(r"[A-Z]?[a-z]+", Path(name).stem)
    return next((SPLITS[word.lower()] for word in words if word.lower() in SPLITS), None)


def read_text(path: Path) -> str:
    """Return an annotation file's text; raise DataError if it cannot be read or is no UTF-8."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}", hint="annotations must be readable") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 at byte {error.start}", hint="save it as UTF-8") from error


def lines_of(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a file that are not empty, stripped, with their numbers from 1."""
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if line.strip():
            yield number, line.strip()
