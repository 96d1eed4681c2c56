"""The request to a format's reader, and the search for annotation files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from proxy_train.data.formats.tree import VIDEOS, require_folder
from proxy_train.video.frame_folder import SUFFIXES
from search_space.errors import DataError
from search_space.file_kind import is_file, is_folder, no_file

Column = Literal["path", "label", "labels", "frames", "offset", "split", "-"]
"""The meaning of a list's column; ``-`` is none."""

SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validate": "val",
    "validation": "val",
    "eval": "val",
    "evaluation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
_NO_ANNOTATIONS = tuple(VIDEOS | SUFFIXES)
_ANNOTATION_FOLDERS = re.compile(r"annot|label|split|list|csv|meta|charades$", re.IGNORECASE)


@dataclass(frozen=True)
class Request:
    """A data set to read.

    Args:
        root: the folder of its videos.
        annotations: file or folder of its annotations; None looks in ``root``, and in its folders whose names
            tell of annotations, labels, splits or lists (or are Charades).
        split: number of the official split, from 1.
        frame_rate: frames a second of folders of images, if no annotation tells.
        segments: whether to train on the annotated parts of videos that have several, if a format can.
        columns: meaning of the columns of lists without a header; empty where the lists are to tell it.
    """

    root: Path
    annotations: Path | None = None
    split: int = 1
    frame_rate: float = 25.0
    segments: bool = False
    columns: tuple[Column, ...] = ()

    def find(self, pattern: str) -> list[Path]:
        """Return annotation files whose whole name fits a regular expression, in any case, sorted by name."""
        fits = re.compile(pattern, re.IGNORECASE)
        return [path for path in self._candidates if fits.fullmatch(path.name)]

    @cached_property
    def _candidates(self) -> list[Path]:
        """The files that may be annotations, sorted by name; every format asks for some of them."""
        if self.annotations is not None:
            try:
                kind = no_file(self.annotations)
            except OSError as error:
                raise DataError(
                    f"{self.annotations}: {error.strerror}", hint="set data.annotations"
                ) from error
            if kind not in ("", "a folder"):
                raise DataError(f"{self.annotations}: {kind}", hint="give data.annotations a file")
            paths = _files_in(self.annotations)[0] if kind else [self.annotations]
        else:
            require_folder(self.root)
            paths, folders = _files_in(self.root)
            for folder in filter(_ANNOTATION_FOLDERS.search, folders):
                paths += _files_in(self.root / folder)[0]
        return sorted(paths, key=lambda path: (path.name, str(path)))


def _files_in(folder: Path) -> tuple[list[Path], list[str]]:
    """Return the files of a folder that may be annotations, and the names of its folders, hidden ones left
    out."""
    paths: list[Path] = []
    folders: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                # Videos in the root may be many.
                if entry.name.startswith(".") or entry.name.lower().endswith(_NO_ANNOTATIONS):
                    continue
                if is_folder(entry):
                    folders.append(entry.name)
                elif is_file(entry):
                    paths.append(folder / entry.name)
    except OSError as error:
        raise DataError(
            f"{error.filename or folder}: {error.strerror}", hint="make it readable, or move it elsewhere"
        ) from error
    return paths, sorted(folders)


def split_of(name: str) -> str | None:
    """Return the split that a word in a file's name stands for: ``trainingSet.csv`` is ``train``."""
    words = re.findall(r"[A-Z]?[a-z]+", Path(name).stem)
    return next((SPLITS[word.lower()] for word in words if word.lower() in SPLITS), None)


def read_text(path: Path) -> str:
    """Return an annotation file's text; raise DataError if it cannot be read or is no UTF-8."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}", hint="annotations must be readable") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 at byte {error.start}", hint="save it as UTF-8") from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DataError(f"{path}, line {line}: a zero byte in it", hint="save it as UTF-8 text")
    return text


def lines_of(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a file that are not empty, stripped, with their numbers from 1."""
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if line.strip():
            yield number, line.strip()
