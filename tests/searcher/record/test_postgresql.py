"""Records in a real PostgreSQL server, started for the tests in a folder of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from sqlalchemy import Engine, event, text

from search_space.errors import RecordError, SettingsError
from searcher.record import database_lock
from searcher.record.candidate import Decision
from searcher.record.database_lock import DatabaseLock
from searcher.record.records import Records
from searcher.record.storage import FILE, Database, _limits
from searcher.run.session import Session
from searcher.settings.checks import check_settings
from tests.searcher.conftest import ROOT
from tests.searcher.invented import invented
from tests.searcher.postgresql import running
from tests.searcher.recording import IDENTITY, measurement, propose
from tests.searcher.tiny_driver import tiny_settings

pytest.importorskip("psycopg", reason="the extra postgresql is not installed")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of an empty server's database."""
    with running() as found:
        yield found.url


def test_what_is_written_is_read_back_and_no_journal_is_made(tmp_path: Path, server: str) -> None:
    run = tmp_path / "run"
    written = [measurement(0), measurement(1, status="failed"), measurement(2, status="cancelled")]
    with Records.writing(run, IDENTITY, server) as records:
        for number in range(3):
            propose(records, number)
        assert all(records.append(each) for each in written)
        assert not records.append(measurement(0))
        records.close(2, "cancelled")
    read = Records.reading(run)
    assert read.measurements() == written
    assert [each.state for each in read.candidates()] == ["open", "failed", "cancelled"]
    assert read.frame()["status"].tolist() == ["complete", "failed", "cancelled"]
    assert not (run / FILE).exists()
    with Records.writing(run, IDENTITY) as records:
        assert records.measurements() == written, "the folder knows where the record is"


def test_two_runs_of_one_name_in_one_database_do_not_see_each_other(tmp_path: Path, server: str) -> None:
    with (
        Records.writing(tmp_path / "a" / "run", IDENTITY, server) as one,
        Records.writing(tmp_path / "b" / "run", IDENTITY, server) as other,
    ):
        propose(one, 0)
        one.append(measurement(0, top1=0.25))
        assert other.measurements() == [] and other.candidates() == []
        propose(other, 0)
        assert other.append(measurement(0, top1=0.75))
    assert [each.metrics["top1"] for each in Records.reading(tmp_path / "a" / "run").measurements()] == [0.25]
    assert [each.metrics["top1"] for each in Records.reading(tmp_path / "b" / "run").measurements()] == [0.75]


def test_a_second_driver_with_a_copy_of_the_folder_is_refused_by_the_database(
    tmp_path: Path, server: str
) -> None:
    """As on another machine, where the folder's own lock is not seen."""
    with Records.writing(tmp_path / "run", IDENTITY, server):
        shutil.copytree(tmp_path / "run", tmp_path / "copy")
        with (
            pytest.raises(RecordError, match=r"run-[0-9a-f]+ in postgresql://movinas@.* by another process"),
            Records.writing(tmp_path / "copy", IDENTITY),
        ):
            pass
    with Records.writing(tmp_path / "copy", IDENTITY) as records:
        assert records.append(measurement(0))


def test_a_run_whose_checkpoints_are_in_a_store_is_one_run_on_all_machines(
    tmp_path: Path, server: str
) -> None:
    """Database and store are all that a driver on another machine needs."""
    here, there, store = tmp_path / "here" / "shared", tmp_path / "there" / "shared", "s3://bucket/one"
    with Records.writing(here, IDENTITY, server, checkpoints=store) as records:
        records.append(measurement(0))
        with (
            pytest.raises(RecordError, match=f"another process, movinas process {os.getpid()} on "),
            Records.writing(there, IDENTITY, server, checkpoints=store),
        ):
            pass
    shutil.rmtree(here)
    with Records.writing(there, IDENTITY, server, checkpoints=store) as records:
        assert records.measurements() == [measurement(0)]
    with (
        pytest.raises(SettingsError, match="was started with other settings"),
        Records.writing(here, IDENTITY | {"seed": 1}, server, checkpoints=store),
    ):
        pass
    other = tmp_path / "other" / "shared"
    with Records.writing(other, IDENTITY, server, checkpoints="s3://bucket/other") as records:
        assert not records.measurements()


def test_a_driver_takes_its_own_lock_from_a_connection_that_it_has_lost(server: str) -> None:
    with DatabaseLock(Database(server, "own"), server) as lock:
        # The server still counts it as open, as after a cut that took longer than the driver's patience.
        lost, lock._connection = lock._connection, None
        lock.ensure()
        assert lost is not None and lock._connection is not None
        with pytest.raises(RecordError), DatabaseLock(Database(server, "own"), server):
            pass


def test_a_lost_driver_s_lock_is_waited_for_until_the_server_notices(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_lock, "_SILENT_SECONDS", 0.5)
    database = Database(server, "lost")
    with DatabaseLock(database, server) as lost:
        time.sleep(1)
        threading.Timer(1, lost._release).start()
        with DatabaseLock(database, server) as lock:
            assert lock._connection is not None


def _value_rows(storage: optuna.storages.RDBStorage, trial: optuna.trial.FrozenTrial) -> list[Any]:
    rows = "SELECT objective, value, value_type FROM trial_values WHERE trial_id = :trial ORDER BY objective"
    with storage.engine.connect() as connection:
        return list(connection.execute(text(rows), {"trial": trial._trial_id}).mappings())


def test_each_write_of_a_search_is_one_round_trip_and_what_optuna_writes(tmp_path: Path, server: str) -> None:
    with Records.writing(tmp_path / "run", IDENTITY, server) as records:
        assert isinstance(records.storage, optuna.storages.RDBStorage)
        statements = list[str]()

        def count(*given: Any) -> None:
            statements.append(given[2])

        event.listen(Engine, "before_cursor_execute", count)
        try:
            candidate = propose(records, 0)
            records.append(measurement(0))
            records.decide(0, 1, Decision(True, "first"))
            records.decide(0, 1, Decision(False, "better ones came"))
        finally:
            event.remove(Engine, "before_cursor_execute", count)
        assert len(candidate.genotype) >= 8 and len(statements) == 4, statements
        plain = optuna.storages.RDBStorage("postgresql+psycopg://" + server.partition("://")[2])
        for study in (records.name, f"{records.name}/measurements"):
            study_id = plain.get_study_id_from_name(study)
            (ours,) = plain.get_all_trials(study_id)
            theirs = plain.get_trial(plain.create_new_trial(study_id, ours))
            assert theirs.number == 1
            assert _value_rows(plain, ours) == _value_rows(plain, theirs)
            theirs.number, theirs._trial_id = ours.number, ours._trial_id
            assert theirs == ours
        records.close(0, "complete")
        ours = plain.get_trial(records._trial_ids[0])
        assert ours.state == TrialState.COMPLETE and ours.values == [0.5, 1e6] and ours.datetime_complete
        assert "better ones came" in str(ours.user_attrs["rung 1"])
        plain.remove_session()


def test_connections_give_up_in_time_unless_their_address_says_otherwise() -> None:
    assert _limits("postgresql://host/db")["tcp_user_timeout"] == 20_000
    assert "connect_timeout" not in _limits("postgresql://host/db?connect_timeout=99")


_WRITER = """
import sys
from pathlib import Path
from searcher.record.records import Records
from tests.searcher.recording import IDENTITY, measurement
with Records.writing(Path(sys.argv[1]), IDENTITY, sys.argv[2]) as records:
    for number in range(100_000):
        records.append(measurement(number))
        print(number, flush=True)
"""


def test_a_driver_that_is_killed_frees_its_lock_and_loses_nothing_whole(tmp_path: Path, server: str) -> None:
    run = tmp_path / "run"
    command = [sys.executable, "-c", _WRITER, str(run), server]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as writer:
        assert writer.stdout is not None
        seen = [int(writer.stdout.readline()) for _ in range(5)]
        writer.kill()
        seen += [int(line) for line in writer.stdout if line.endswith("\n")]
    with Records.writing(run, IDENTITY) as records:
        found = [int(each.digest, 16) for each in records.measurements()]
        # The last one may have been written and not told of.
        assert found in (seen, [*seen, len(seen)])
        assert records.append(measurement(len(found)))


def test_another_place_a_damaged_pointer_and_a_newer_schema_are_refused(tmp_path: Path, server: str) -> None:
    run = tmp_path / "run"
    with Records.writing(run, IDENTITY, server) as records:
        study_id = records.storage.get_study_id_from_name(records.name)
        records.storage.set_study_user_attr(study_id, "schema", 99)
    with pytest.raises(RecordError, match=r"schema 99, this version reads 1 to 2.*update movinas"):
        Records.reading(run)
    with (
        pytest.raises(SettingsError, match=r"storage is postgresql://elsewhere/db, but this run has"),
        Records.writing(run, IDENTITY, "postgresql://elsewhere/db"),
    ):
        pass
    (run / "record.json").write_text("{}")
    with pytest.raises(RecordError, match=r"record\.json is incomplete: it has no 'url'"):
        Records.reading(run)
    with Records.writing(tmp_path / "journal", IDENTITY):
        pass
    with (
        pytest.raises(SettingsError, match=r"this run has its record in .*record\.journal"),
        Records.writing(tmp_path / "journal", IDENTITY, server),
    ):
        pass


def test_a_database_that_is_not_there_is_named_before_the_run_starts(tmp_path: Path, server: str) -> None:
    settings = tiny_settings(tmp_path).model_copy(
        update={"storage": server.replace("/postgres?", "/nothing?")}
    )
    with pytest.raises(RecordError, match=r'cannot be used: .*"nothing" does not exist.*PGPASSWORD'):
        check_settings(settings)
    check_settings(settings.model_copy(update={"storage": server}))


@pytest.mark.slow
def test_a_whole_search_on_real_workers(tmp_path: Path, server: str) -> None:
    settings = tiny_settings(tmp_path, trials=6).model_copy(update={"storage": server})
    with Session.open(settings, invented(), classes=16) as session:
        session.search()
        confirmed = session.confirm()
        name = session.records.name
    assert {each.state for each in Records.reading(settings.run_dir).candidates()} == {"complete", "pruned"}
    assert confirmed
    study = optuna.load_study(study_name=name, storage=server.replace("postgresql", "postgresql+psycopg"))
    assert len(study.trials) == 6
