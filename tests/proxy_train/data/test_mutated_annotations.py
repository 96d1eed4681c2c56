"""Annotations that were damaged in any way are read, or refused by an error that names the file."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from proxy_train.data.labels import output_indices
from search_space.errors import DataError
from tests.proxy_train.data.test_accounting import unaccounted
from tests.proxy_train.data.test_formats import WRITERS
from tests.proxy_train.data.written_formats import load
from tests.proxy_train.video_files import touch, write_text

MUTATIONS = int(os.environ.get("MOVINAS_MUTATIONS", "40"))
_ODD = [
    *(",", ";", "\t", '"', " ", "\n", "\r\n", "\0", "\\", "/", "..", "]", "}", "-1", "0", "1e999", "nan"),
    *(
        "9" * 30,
        "9" * 5000,
        "²",
        "٣",
        "\ufeff",
        "\\ud800",
        "\u2028",
        "x" * 300,
        "[" * 5000,
        "test",
        "path,label\n",
    ),
]


def write_table(root: Path) -> None:
    """A table with a header, and folders of frames beside files."""
    rows = "videos/1.mp4,run,12,train\nvideos/2.mp4,jump,12,val\nframes,run,5,train\nvideos/3.mp4,,1,test\n"
    write_text(root, annotations__csv=f"path,label,frames,split\n{rows}")
    touch(root, *(f"videos/{at}.mp4" for at in range(1, 5)))
    touch(root / "frames", *(f"{at}.jpg" for at in range(1, 6)))


WRITTEN: dict[str, tuple[str, Callable[[Path], None]]] = {
    **{kind: (kind, writer) for kind, writer in WRITERS.items() if kind != "folder"},
    "table": ("list", write_table),
}


def mutated(text: bytes, chance: random.Random) -> bytes:
    """A text after one to three changes."""
    for _ in range(chance.randint(1, 3)):
        lines, at = text.split(b"\n"), chance.randrange(len(text) + 1)
        line = chance.randrange(len(lines))
        fields = lines[line].split(b",")
        change = chance.randrange(10)
        if change == 0:
            del lines[line]
        elif change == 1:
            lines.insert(line, lines[chance.randrange(len(lines))])
        elif change == 2:
            chance.shuffle(lines)
        elif change == 3:
            chance.shuffle(fields)
            lines[line] = b",".join(fields)
        elif change == 4:
            fields[chance.randrange(len(fields))] = chance.choice(_ODD).encode()
            lines[line] = b",".join(fields)
        text = b"\n".join(lines)
        if change == 5:
            text = text[:at]
        elif change == 6:
            text = text[:at] + chance.choice(_ODD).encode() + text[at:]
        elif change == 7:
            text = text[:at] + text[at + 1 :]
        elif change == 8:
            text = text[:at] + bytes([chance.randrange(256)]) + text[at:]
        elif change == 9:
            text = text.replace(b"\n", b"\r\n") if chance.random() < 0.5 else text.swapcase()
    return text


@pytest.mark.parametrize("name", WRITTEN)
def test_damaged_annotations_are_read_or_refused_by_name(tmp_path: Path, name: str) -> None:
    kind, write = WRITTEN[name]
    root = tmp_path / "videos"
    root.mkdir()
    write(root)
    files = [path for path in sorted(root.rglob("*")) if path.suffix in (".txt", ".csv", ".json")]
    read = 0
    for seed in range(MUTATIONS):
        chance = random.Random(seed)
        path = chance.choice(files)
        whole = path.read_bytes()
        path.write_bytes(mutated(whole, chance))
        try:
            dataset = load(root, kind, trainable=False)
        except DataError as error:
            assert str(root) in str(error), f"seed {seed}"
        else:
            read += 1
            assert unaccounted(dataset, root) == set(), f"seed {seed}"
            assert len(dataset.digest) == 16
            for items in dataset.items.values():
                for item in items:
                    outputs = output_indices(item.label, dataset.verbs)
                    assert all(0 <= output < len(dataset.classes) for output in outputs), f"seed {seed}"
        finally:
            path.write_bytes(whole)
    assert 0 < read < MUTATIONS
