"""The facts of prepared data: ``meta.json``, under a checksum of its own."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxy_train.data.dataset import LeftOut
from proxy_train.data.labels import Label, LabelsKind
from search_space.errors import DataError
from search_space.files import write_json
from search_space.json_files import from_json, to_json

META = "meta.json"
READING = 2
"""The way in which pictures and times are read; 1 is that of version 0.1.0."""


@dataclass(frozen=True, slots=True)
class SplitMeta:
    """The facts of one split, an entry a video each.

    Args:
        ids: identity of each video.
        labels: label of each video, of the data set's kind.
        lengths: frames that are kept of each video; 0 if it cannot be read.
        checksums: CRC-32 of each video's frames.
        places: CRC-32 of the file of the clips' origins; None in stores of earlier versions, which have none.
    """

    ids: tuple[str, ...]
    labels: tuple[Label, ...]
    lengths: tuple[int, ...]
    checksums: tuple[int, ...]
    places: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreMeta:
    """The facts of prepared data; see ``PreparedData``.

    Args:
        digest: digest of the data set.
        direct: whether clips are read on demand; stores of earlier versions do not say, and keep frames.
        reading: way in which videos were read, see ``READING``; stores of earlier versions do not say.
        splits: facts of each split by its name.
    """

    name: str
    digest: str
    classes: tuple[str, ...]
    frames: int
    size: int
    side: int
    fps: float
    flips_change_labels: bool
    labels_kind: LabelsKind
    verbs: int
    direct: bool = False
    broken: tuple[LeftOut, ...]
    doubtful: tuple[LeftOut, ...]
    splits: Mapping[str, SplitMeta]
    reading: int = 1


def write_meta(folder: Path, meta: StoreMeta) -> None:
    """Write the facts of the prepared data of a folder."""
    content = to_json(meta)
    write_json(folder / META, content | {"checksum": _checksum(content)})


def read_meta(folder: Path) -> StoreMeta:
    """Return the facts of the prepared data of a folder.

    Raises:
        DataError: there is no prepared data, or its facts are damaged.
    """
    path, hint = folder / META, "prepare the data set again"
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        written = content.pop("checksum", None)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataError(f"{folder}: no prepared data there", hint=hint) from error
    except (ValueError, AttributeError) as error:
        raise DataError(f"{path}: damaged: {error}", hint=hint) from error
    if written != _checksum(content):
        raise DataError(f"{path}: damaged, or of another version", hint=hint)
    return from_json(content, StoreMeta, where=str(path), error=DataError, hint=hint)


def _checksum(content: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(content, sort_keys=True).encode())
