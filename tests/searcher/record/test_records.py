"""The record survives torn lines, second drivers, killed drivers, and other settings."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import optuna
import pytest

from proxy_train.fidelity import Fidelity
from search_space.errors import RecordError, SettingsError
from searcher.record.candidate import Decision
from searcher.record.lease import holder
from searcher.record.records import Records
from searcher.record.storage import FILE
from searcher.testing.domains import SPACE
from tests.searcher.conftest import ROOT
from tests.searcher.recording import IDENTITY, measurement, propose


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    written = [
        measurement(0),
        measurement(1, status="failed"),
        measurement(0, epochs=2),
        measurement(0, epochs=6, seed=1, purpose="confirmation"),
    ]
    with Records.writing(tmp_path / "run", IDENTITY) as records:
        propose(records, 0)
        propose(records, 1)
        assert all(records.append(each) for each in written)
        records.decide(0, 1, Decision(True, "front 1"))
        records.close(0, "complete")
        live = records.candidates()
    read = Records.reading(tmp_path / "run")
    assert read.measurements() == written
    assert read.measurements("confirmation") == written[3:]
    assert [each.state for each in read.candidates()] == ["complete", "failed"]
    assert read.candidates()[0] == live[0]
    assert read.candidates()[0].accuracy == 0.5
    assert list(read.candidates()[0].metrics) == [1, 2]
    assert read.candidates()[0].decisions == {1: Decision(True, "front 1", measured_before=4)}
    assert read.candidates()[1].reason == "the loss is nan"
    assert read.identity == IDENTITY


def test_an_experiment_is_recorded_once(tmp_path: Path) -> None:
    with Records.writing(tmp_path / "run", IDENTITY) as records:
        assert records.append(measurement(0, top1=0.4))
        assert not records.append(measurement(0, top1=0.6))
        assert records.append(measurement(0, seed=1))
        assert records.append(measurement(0, epochs=2))
        assert records.append(measurement(7, status="failed"))
        assert records.append(measurement(7)), "a failure does not stand in the way"
        found = records.find(f"{0:016x}", Fidelity(1, 4, 16), 0)
        assert found is not None and found.metrics["top1"] == 0.4
        assert records.find(f"{0:016x}", Fidelity(1, 4, 16), 2) is None
        assert records.find(f"{0:016x}", Fidelity(1, 4, 16), 0, "family") is None


def test_the_frame_has_a_row_a_measurement(tmp_path: Path) -> None:
    with Records.writing(tmp_path / "run", IDENTITY) as records:
        assert records.frame().empty
        records.append(measurement(0))
        records.append(measurement(1, status="failed"))
        frame = records.frame()
    assert frame["status"].tolist() == ["complete", "failed"]
    assert frame["epochs"].tolist() == [1, 1]
    assert frame["top1"].isna().tolist() == [False, True]
    assert {"digest", "seed", "macs", "seconds", "reason", "parameters"} <= set(frame.columns)


def test_optuna_reads_the_record_without_us(tmp_path: Path) -> None:
    with Records.writing(tmp_path / "run", IDENTITY) as records:
        propose(records, 0)
        records.append(measurement(0))
        records.close(0, "complete")
    backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "run" / FILE))
    study = optuna.load_study(study_name="run", storage=optuna.storages.JournalStorage(backend))
    assert study.best_trials[0].values == [0.5, 1_000_000.0]
    assert set(study.trials[0].params) == {gene.name for gene in SPACE.genes}


@pytest.mark.parametrize(
    "torn", [b'{"op_code":4,"study', b'{"op_code":4}\n{"op', b"\x00\x00\x00\x00\n", b"\n"]
)
def test_a_torn_end_is_cut_off_and_kept(tmp_path: Path, torn: bytes) -> None:
    with Records.writing(tmp_path / "run", IDENTITY) as records:
        records.append(measurement(0))
    path = tmp_path / "run" / FILE
    whole = path.read_bytes()
    if torn.startswith(b'{"op_code":4}\n'):
        torn = torn.removeprefix(b'{"op_code":4}\n')
    path.write_bytes(whole + torn)
    with Records.writing(tmp_path / "run", IDENTITY) as records:
        records.append(measurement(1))
        assert len(records.measurements()) == 2
    assert path.read_bytes().startswith(whole)
    assert (tmp_path / "run" / f"{FILE}.torn-1").read_bytes() == torn
    assert len(Records.reading(tmp_path / "run").measurements()) == 2


def test_a_reader_leaves_a_line_that_is_being_written_alone(tmp_path: Path) -> None:
    with Records.writing(tmp_path / "run", IDENTITY) as records:
        records.append(measurement(0))
    path = tmp_path / "run" / FILE
    path.write_bytes(path.read_bytes() + b'{"op_code":')
    before = path.read_bytes()
    assert len(Records.reading(tmp_path / "run").measurements()) == 1
    assert path.read_bytes() == before


def test_damage_in_the_middle_is_named(tmp_path: Path) -> None:
    with Records.writing(tmp_path / "run", IDENTITY) as records:
        records.append(measurement(0))
    path = tmp_path / "run" / FILE
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"garbage\n" + b"".join(lines[1:]))
    with pytest.raises(RecordError, match="line 2 is damaged"):
        Records.reading(tmp_path / "run")
    with pytest.raises(RecordError, match="line 2"), Records.writing(tmp_path / "run", IDENTITY):
        pass


def test_a_stale_lock_of_a_killed_writer_does_not_block(tmp_path: Path) -> None:
    with Records.writing(tmp_path / "run", IDENTITY) as records:
        records.append(measurement(0))
    (tmp_path / "run" / f"{FILE}.lock").touch()
    with Records.writing(tmp_path / "run", IDENTITY) as records:
        assert records.append(measurement(1))


def test_other_settings_are_refused_by_name(tmp_path: Path) -> None:
    with Records.writing(tmp_path / "run", IDENTITY):
        pass
    other = {"seed": 1, "search": {"rungs": [1, 4], "reduction": 2}}
    expected = r"search\.rungs was \[1, 2\] and is now \[1, 4\]; seed was 0 and is now 1"
    with pytest.raises(SettingsError, match=expected), Records.writing(tmp_path / "run", other):
        pass
    with Records.writing(tmp_path / "run", IDENTITY):
        pass


def test_there_is_no_run_in_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="holds no run"):
        Records.reading(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_may_be_renamed(tmp_path: Path) -> None:
    with Records.writing(tmp_path / "run", IDENTITY) as records:
        records.append(measurement(0))
    (tmp_path / "run").rename(tmp_path / "other")
    assert len(Records.reading(tmp_path / "other").measurements()) == 1
    with Records.writing(tmp_path / "other", IDENTITY) as records:
        assert len(records.measurements()) == 1


def test_a_reader_sees_what_a_driver_adds(tmp_path: Path) -> None:
    with Records.writing(tmp_path / "run", IDENTITY) as records:
        records.append(measurement(0))
        reader = Records.reading(tmp_path / "run")
        records.append(measurement(1))
        reader.refresh()
        assert reader.measurements() == records.measurements()
        assert f"process {os.getpid()}" in (holder(tmp_path / "run") or "")
    assert holder(tmp_path / "run") is None
    assert holder(tmp_path) is None


_WRITER = """
import sys
from pathlib import Path
from searcher.record.records import Records
from tests.searcher.recording import IDENTITY, measurement
with Records.writing(Path(sys.argv[1]), IDENTITY) as records:
    for number in range(100_000):
        records.append(measurement(number))
        print(number, flush=True)
"""


def test_a_second_driver_is_refused_and_a_killed_one_loses_nothing(tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = [sys.executable, "-c", _WRITER, str(run)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as writer:
        assert writer.stdout is not None
        seen = [int(writer.stdout.readline()) for _ in range(20)]
        with pytest.raises(RecordError, match=f"process {writer.pid} on "), Records.writing(run, IDENTITY):
            pass
        assert Records.reading(run).measurements()[:20] == [measurement(number) for number in seen]
        os.kill(writer.pid, signal.SIGKILL)
        seen += [int(line) for line in writer.stdout if line.endswith("\n")]
    assert holder(run) is None
    with Records.writing(run, IDENTITY) as records:
        found = [int(each.digest, 16) for each in records.measurements()]
        # The last one may have been written and not told of.
        assert found in (seen, [*seen, len(seen)])
        assert records.append(measurement(len(found)))
    for line in (run / FILE).read_text().splitlines():
        json.loads(line)


def test_optuna_is_quiet_while_a_record_is_written_and_not_afterwards(tmp_path: Path) -> None:
    before = optuna.logging.get_verbosity()
    with Records.writing(tmp_path / "run", IDENTITY):
        assert optuna.logging.get_verbosity() == optuna.logging.ERROR
    Records.reading(tmp_path / "run")
    assert optuna.logging.get_verbosity() == before != optuna.logging.ERROR
