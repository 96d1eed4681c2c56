"""Dataclasses as JSON files: what is written is read back, and what is wrong is named by its place."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from search_space.architecture.json_fields import ArchitectureJson, ArchitectureText
from search_space.architecture.published import published
from search_space.errors import NetworkError
from search_space.files import write_json
from search_space.json_files import from_json, read_json, to_json


@dataclass(frozen=True, slots=True)
class Part:
    name: str
    sizes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Whole:
    network: ArchitectureText
    described: ArchitectureJson
    parts: tuple[Part, ...]
    facts: Mapping[str, str | int | float]
    folder: Path
    share: float = 1.0


A0 = published("A0-stream")
WHOLE = Whole(A0, A0, (Part("a", (1, 2)),), {"seed": 0, "rate": 0.5, "device": "cpu"}, Path("/runs/a"), 1)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "whole.json"
    write_json(path, {"format": "whole-1", "for people": "a note", **to_json(WHOLE)})
    found = read_json(path, Whole, error=NetworkError, hint="write it again", format="whole-1")
    assert found == WHOLE
    assert type(found.facts["seed"]) is int


def test_numbers_that_are_none_stay_so() -> None:
    again = json.loads(json.dumps(to_json({"top1": math.nan}, dict[str, float])))
    assert math.isnan(from_json(again, dict[str, float], where="line", error=NetworkError, hint="")["top1"])


def test_names_of_files_that_are_no_text_are_kept(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9 \xff")
    whole = replace(WHOLE, parts=(Part(name, (1,)),), folder=Path(name))
    write_json(tmp_path / "whole.json", to_json(whole))
    assert read_json(tmp_path / "whole.json", Whole, error=NetworkError, hint="") == whole
    write_json(tmp_path / "whole.json", to_json(whole) | {"share": "much"})
    with pytest.raises(NetworkError, match="damaged: share is 'much'"):
        read_json(tmp_path / "whole.json", Whole, error=NetworkError, hint="")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"network": "nonsense"},
            r"whole\.json is damaged: network: cannot read 'nonsense'.*text form",
        ),
        ({"parts": [{"name": "a", "sizes": [1, "2"]}]}, r"damaged: parts\.0\.sizes\.1 is '2'"),
        ({"share": None}, "damaged: share is None"),
        ({"facts": 3}, "damaged: facts is 3"),
        ({"format": "whole-2"}, "has the format 'whole-2', not 'whole-1'"),
    ],
)
def test_what_is_wrong_is_named_by_its_place(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / "whole.json"
    write_json(path, {"format": "whole-1", **to_json(WHOLE), **change})
    with pytest.raises(NetworkError, match=message + r".*\(write it again\)"):
        read_json(path, Whole, error=NetworkError, hint="write it again", format="whole-1")


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    path = tmp_path / "whole.json"
    with pytest.raises(NetworkError, match=r"whole\.json does not exist \(make one\)"):
        read_json(path, Whole, error=NetworkError, hint="write it again", missing="make one")
    content = to_json(WHOLE)
    del content["folder"]
    write_json(path, content)
    with pytest.raises(NetworkError, match="incomplete: it has no 'folder'"):
        read_json(path, Whole, error=NetworkError, hint="write it again")
    path.write_text("{")
    with pytest.raises(NetworkError, match="is damaged"):
        read_json(path, Whole, error=NetworkError, hint="write it again")
    path.write_text("[]")
    with pytest.raises(NetworkError, match="holds a list, not a mapping"):
        read_json(path, Whole, error=NetworkError, hint="write it again", format="whole-1")
