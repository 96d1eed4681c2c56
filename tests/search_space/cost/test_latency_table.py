"""Latency tables: which operations networks have, what follows from their times, and what is refused."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import BASE
from search_space.architecture.published import published
from search_space.cost.latency_table import (
    KINDS,
    LatencyTable,
    Operation,
    TimedNetwork,
    frame_operations,
    space_operations,
)
from search_space.cost.operators import operators
from search_space.errors import SpaceError
from search_space.space.space import SearchSpace

SPACE = SearchSpace.from_yaml("quickstart")


WRITTEN = """{
"format": "movinas-latency-1", "space": "quickstart", "options": "Options(causal=True)", "classes": 600,
"device": "a phone", "runtime": "onnx", "threads": 4, "constant": 0.25, "reference": 0.5,
"factors": {"stem": 1.5}, "operations": {"expand 24-80-43": 0.125, "stem 8-64": 1},
"calibration": [["stream_8x64x8", 2.5]], "held_out": []}"""


def invented(operation: Operation) -> float:
    """A time that grows with what there is to do."""
    return 0.01 + 1e-6 * float(np.prod(operation.shape[:-1])) * operation.shape[-1]


def table() -> LatencyTable:
    times = {operation: invented(operation) for operation in space_operations(SPACE.choices, SPACE.classes)}
    return LatencyTable(
        SPACE.name, repr(SPACE.choices.options), SPACE.classes, "here", "pytorch", 1, operations=times
    )


def truth(texts: list[str], noise: float = 0.0) -> list[TimedNetwork]:
    """Networks that take what a fitted table could say, within a noise."""
    factors = dict(zip(KINDS, np.linspace(0.5, 2.0, len(KINDS)), strict=True))
    rng = np.random.default_rng(1)
    found = []
    for text in texts:
        operations = frame_operations(Architecture.parse(text), SPACE.classes)
        spent = 0.3 + sum(factors[each.kind] * invented(each) for each in operations)
        found.append(TimedNetwork(text, spent * (1 + noise * rng.uniform(-1, 1))))
    return found


def test_operations_are_those_that_multiply() -> None:
    for name in ("A0-stream", "A3-stream"):
        architecture = published(name)
        kinds = {"spatial": "spatial", "temporal": "temporal", "reduce": "squeeze", "expand": "expand"}
        listed = [kinds[each.name] for each in operators(architecture, 600) if each.name in kinds]
        listed += ["skip" for each in operators(architecture, 600) if each.name == "skip"]
        found = [each.kind for each in frame_operations(architecture, 600) if each.kind in {*listed}]
        assert sorted(found) == sorted(listed)


def test_a_space_s_operations_are_all_that_its_networks_have() -> None:
    known, seen = set(space_operations(SPACE.choices, SPACE.classes)), set[Operation]()
    rng = np.random.default_rng(0)
    for _ in range(300):
        seen |= set(frame_operations(SPACE.sample(rng), SPACE.classes))
    assert seen <= known
    assert len(seen) > 0.8 * len(known)
    assert all(Operation.parse(each.text) == each for each in known)


def test_a_fit_finds_what_networks_take(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    texts = [architecture.text for architecture in SPACE.sample_distinct(rng, 80)]
    networks = truth(texts)
    fitted = replace(table().fitted(networks[:30]), held_out=tuple(networks[30:]))
    assert fitted.median_error < 0.03
    noisy = replace(fitted.fitted(truth(texts, noise=0.1)[:30]))
    assert noisy.median_error < 0.06
    # The fit matters: without it the constants are missing.
    plain = replace(fitted, constant=0.0, factors=dict.fromkeys(KINDS, 1.0))
    assert plain.median_error > 0.2
    assert "held-out" in fitted.text() and f"{100 * fitted.median_error:.1f} %" in fitted.text()
    fitted.write(tmp_path / "table.json")
    assert LatencyTable.read(tmp_path / "table.json") == fitted


@pytest.mark.parametrize(("number", "place"), [(1, 1), (2, 2), (3, 3), (10, 9), (50, 45)])
def test_at_least_nine_of_ten_errors_are_within_the_error_of_nine_of_ten(number: int, place: int) -> None:
    known = replace(table(), constant=1.0, factors=dict.fromkeys(KINDS, 1.0))
    predicted = known.predict(SPACE.smallest())
    # The first errs by 1 %, the second by 2 %, ...
    timed = [
        TimedNetwork(SPACE.smallest().text, predicted / (1 + percent / 100))
        for percent in range(1, number + 1)
    ]
    told = replace(known, held_out=tuple(reversed(timed))).text()
    assert f"{place}.0 % (9 of 10), {number}.0 % (largest)" in told


def test_networks_that_a_table_does_not_know_are_refused() -> None:
    known = table().fitted(truth([SPACE.smallest().text, SPACE.largest().text]))
    with pytest.raises(SpaceError, match="has no stem"):
        known.predict(replace(SPACE.smallest(), stem=48))
    with pytest.raises(SpaceError, match="other options"):
        known.predict(replace(SPACE.smallest(), options=BASE))
    base = SearchSpace.from_yaml("a0")
    with pytest.raises(SpaceError, match="are of streams"):
        space_operations(base.choices, base.classes)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "does not exist"),
        ("", "table.json is empty"),
        ("name: a space\nstem: 8\n", "table.json is no JSON, for it begins with 'name: a space'"),
        ('{"format": "movinas-lat', "table.json is damaged"),
        (b"\x89PNG\r\n", "table.json is no text: byte 0 is no UTF-8"),
        ('{"name": "a space"}', "table.json says nothing of its format, which has to be 'movinas-latency-1'"),
        ("[]", "holds a list, not a mapping"),
        (json.dumps({"format": "movinas-latency-9"}), "movinas-latency-9"),
        (json.dumps({"format": "movinas-latency-1"}), "is incomplete: it has no 'space'"),
        (json.dumps(json.loads(WRITTEN) | {"operations": {"expand": 1}}), "damaged: operations.expand"),
    ],
)
def test_files_that_are_no_tables_are_refused(
    content: str | bytes | None, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "table.json"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SpaceError, match=words) as refused:
        LatencyTable.read(path)
    assert refused.value.hint == "make it with movinas latency-table SPACE"


def test_places_that_are_no_files_are_called_what_they_are(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "self").symlink_to("self")
    told = {"": "is a folder", "pipe": "is a named pipe", "self": "is a link to self, which leads nowhere"}
    for name, words in told.items():
        with pytest.raises(SpaceError, match=words) as refused:
            LatencyTable.read(tmp_path / name)
        assert str(tmp_path / name) in refused.value.message and refused.value.hint


def test_tables_that_are_written_already_are_read(tmp_path: Path) -> None:
    (tmp_path / "table.json").write_text(WRITTEN)
    found = LatencyTable.read(tmp_path / "table.json")
    assert found.operations == {Operation("expand", (24, 80, 43)): 0.125, Operation("stem", (8, 64)): 1.0}
    assert (found.device, found.threads, found.constant, found.reference) == ("a phone", 4, 0.25, 0.5)
    assert found.factors == {"stem": 1.5} and found.held_out == ()
    assert found.calibration == (TimedNetwork("stream_8x64x8", 2.5),)
    found.write(tmp_path / "again.json")
    assert json.loads((tmp_path / "again.json").read_text()) == json.loads(WRITTEN)
