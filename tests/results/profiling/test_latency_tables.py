"""The making of latency tables: operations in their runtimes, and going on after an interruption."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import movinas
from results.profiling import build_latency_table as table_building
from results.profiling.build_latency_table import TimingEffort, build_table
from results.profiling.operations import operation_call
from results.runtimes.registry import RUNTIMES
from search_space.architecture.parts import STREAM
from search_space.architecture.published import published
from search_space.cost.latency_table import KINDS, LatencyTable, Operation, frame_operations, space_operations
from search_space.cost.stopwatch import SteadyStopwatch
from search_space.errors import SpaceError
from search_space.space.space import SearchSpace
from tests.results.synthetic import require_extra

TINY = SearchSpace.from_dict(
    {
        "name": "tiny",
        "options": "stream",
        "input": {"frames": 4, "size": 16, "fps": 8},
        "granularity": "stage",
        "stem": 8,
        "stages": [
            {
                "width": [8, 16],
                "stride": 2,
                "depth": [1, 2],
                "kernel": ["1x3x3", "3x3x3"],
                "expansion": {"also": [16, 24]},
            }
        ],
        "head": 32,
        "hidden": 16,
    },
    "tiny",
).with_classes(5)
SMALL = TimingEffort(calibration=4, held_out=3, calls=2)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("kind", "runtime"),
    [
        *((kind, "pytorch") for kind in KINDS),
        # Those with more than one input; an export takes a second.
        *((kind, "onnxruntime") for kind in ("temporal", "squeeze", "project")),
        *(pytest.param(kind, runtime, marks=pytest.mark.slow) for runtime in RUNTIMES for kind in KINDS),
    ],
)
def test_operations_run_in_their_runtimes(kind: str, runtime: str, tmp_path: Path) -> None:
    wanted = {
        "stem": (8, 16),
        "expand": (8, 24, 9),
        "spatial": (16, 5, 2, 9),
        "temporal": (16, 5, 7),
        "squeeze": (24, 6),
        "project": (24, 16, 6),
        "skip": (8, 16, 2, 9),
        "head": (16, 32, 24, 5, 4),
    }[kind]
    require_extra(runtime)
    call = operation_call(Operation(kind, wanted), STREAM, runtime, 1, tmp_path)
    found = call()
    output = next(iter(found.values())) if isinstance(found, dict) else found
    outputs, size = {
        "stem": (8, 8),
        "expand": (24, 9),
        "spatial": (16, 5),
        "temporal": (16, 7),
        "squeeze": (24, 6),
        "project": (16, 6),
        "skip": (16, 5),
        "head": (5, 1),
    }[kind]
    assert np.asarray(output).size == outputs * size**2


def test_an_interrupted_table_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, total = tmp_path / "table.json", len(space_operations(TINY.choices, TINY.classes))
    monkeypatch.setattr(table_building, "_WRITE_SECONDS", 0.0)

    class InterruptedHereError(Exception):
        pass

    def stop(done: int, of: int) -> None:
        assert of == total
        if done == 5:
            raise InterruptedHereError

    with pytest.raises(InterruptedHereError):
        build_table(TINY, path, effort=SMALL, operations=stop)
    begun = LatencyTable.read(path)
    assert len(begun.operations) == 4
    seen: list[int] = []
    whole: list[tuple[int, int]] = []
    table = build_table(
        TINY,
        path,
        effort=SMALL,
        operations=lambda done, _: seen.append(done),
        networks=lambda done, of: whole.append((done, of)),
    )
    assert seen == list(range(5, total + 1))
    assert whole == [(done, 7) for done in range(1, 8)]
    assert begun.operations.items() <= table.operations.items()
    assert table == LatencyTable.read(path)
    assert table.reference == begun.reference > 0
    assert len(table.calibration) == 4 and len(table.held_out) == 3
    assert all(table.predict(TINY.sample(np.random.default_rng(seed))) > 0 for seed in range(3))
    again = build_table(TINY, path, effort=SMALL, operations=stop)
    assert again == table
    with pytest.raises(SpaceError, match="is a table of threads 1, not 2"):
        build_table(TINY, path, threads=2, effort=SMALL)


def test_a_stopwatch_takes_out_what_slows_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    now, slow = [0], [1]
    watch = SteadyStopwatch(1, reference=2.0)
    watch._clock = lambda: now[0]

    def work() -> None:
        now[0] += 6_000_000 * slow[0]

    def reference() -> float:
        return watch._spent(lambda: now.__setitem__(0, now[0] + 2_000_000 * slow[0]))

    monkeypatch.setattr(watch, "_work", reference)
    assert watch.milliseconds(work, 5) == pytest.approx(6.0)
    slow[0] = 3
    assert watch.milliseconds(work, 5) == pytest.approx(6.0)


def test_the_command_says_how_good_a_table_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(table_building, "CALIBRATION", 4)
    monkeypatch.setattr(TimingEffort, "__init__", _small(TimingEffort.__init__))
    monkeypatch.setattr(SearchSpace, "from_yaml", classmethod(lambda _cls, _source: TINY))
    path = tmp_path / "table.json"
    path.touch()  # an empty file holds nothing to go on with, and nothing to lose
    monkeypatch.setattr(
        sys, "argv", ["movinas", "latency-table", "tiny", "--output", str(path), "--networks", "3"]
    )
    with pytest.raises(SystemExit) as ended:
        movinas.main()
    assert not ended.value.code
    told = capsys.readouterr().out
    assert "held-out" in told and "% (median)" in told
    assert len(LatencyTable.read(path).held_out) == 3


def _small(made: object) -> object:
    def init(self: TimingEffort, **given: int) -> None:
        for name, value in ({"calibration": 4, "held_out": 3, "calls": 2} | given).items():
            object.__setattr__(self, name, value)

    return init


def test_published_networks_have_operations() -> None:
    assert {each.kind for each in frame_operations(published("A0-stream"), 600)} == set(KINDS)
