"""Checkpoints in an object store: copies that are whole, and a search whose workers share no folder."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path

import pytest
from pyarrow.fs import S3FileSystem

from search_space.architecture.architecture import Architecture
from search_space.errors import SettingsError
from searcher.cluster.checkpoint_mirror import Mirror
from searcher.cluster.worker import TrialWorker
from searcher.run.session import Session
from searcher.settings.checks import check_settings
from tests.searcher.invented import invented
from tests.searcher.object_store import store
from tests.searcher.searching import search
from tests.searcher.tiny_driver import tiny_settings


def test_a_folder_comes_back_as_it_was_pushed(tmp_path: Path) -> None:
    mirror = Mirror(f"file://{tmp_path}/store")
    one, other = tmp_path / "one", tmp_path / "other"
    (one / "before").mkdir(parents=True)
    (one / "state").write_text("1")
    (one / "before" / "weights").write_bytes(b"\x00" * 3_000_000)
    (one / ".state.123.tmp").write_text("half")
    mirror.push(one, "job")
    (one / "state").write_text("22")
    mirror.push(one, "job")
    other.mkdir()
    (other / "old").write_text("of an earlier training here")
    Mirror(f"file://{tmp_path}/store").pull("job", other)
    found = {str(path.relative_to(other)): path.stat().st_size for path in other.rglob("*") if path.is_file()}
    assert found == {"state": 2, "before/weights": 3_000_000}
    mirror.drop("job")
    mirror.drop("never there")
    mirror.pull("job", other)
    assert not list(other.iterdir())


def test_what_nobody_needs_is_removed_after_an_interruption_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop, ending = Mirror.drop, threading.Event()

    def slowly(mirror: Mirror, name: str) -> None:
        assert ending.wait(60)
        drop(mirror, name)

    monkeypatch.setattr(Mirror, "drop", slowly)
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "state").write_text("1")
    settings = tiny_settings(tmp_path).model_copy(update={"checkpoints": f"file://{tmp_path}/store"})
    Mirror(str(settings.mirror())).push(tmp_path / "here", "job")
    pushed = next((tmp_path / "store").rglob("state"))
    with pytest.raises(KeyboardInterrupt), Session.open(settings, invented(), classes=16) as session:
        session.drop(tmp_path / "job")
        assert pushed.exists()
        threading.Timer(0.2, ending.set).start()
        raise KeyboardInterrupt
    assert not pushed.exists()


def test_a_small_file_takes_an_object_store_one_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Making its folders and announcing its parts would take five more, each the time of a round trip."""
    log, here = tmp_path / "log", tmp_path / "here"
    here.mkdir()
    for name, value in {
        "ACCESS_KEY_ID": "someone",
        "SECRET_ACCESS_KEY": "key",
        "REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    with store(log) as address:
        host = address.removeprefix("http://")
        mirror = Mirror(f"s3://bucket/run?scheme=http&endpoint_override={host}")
        mirror.check()
        before = len(log.read_text().splitlines())
        (here / "state").write_text("1")
        mirror.push(here, "job")
        told = log.read_text().splitlines()[before:]
        (here / "before").mkdir()
        (here / "before" / "weights").write_bytes(b"\x00" * 12_000_000)
        mirror.push(here, "job")
        mirror.pull("job", tmp_path / "other")
        mirror.drop("job")
        mirror.drop("job")
        mirror.pull("job", tmp_path / "empty")
    asked = [line.split('"')[1].split()[0] for line in told]
    knows = "allow_delayed_open" in S3FileSystem(region="us-east-1").__reduce__()[1][0]
    assert asked == (["PUT"] if knows else ["POST", "PUT", "POST"])
    assert all("/bucket/run/job/state" in line for line in told)
    other = tmp_path / "other"
    assert (other / "state").read_text() == "1" and (other / "before/weights").stat().st_size == 12_000_000
    assert not list((tmp_path / "empty").iterdir())


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("nothing://bucket", "write s3://bucket"),
        ("relative/folder", "write s3://"),
        ("file:///proc/no", "cannot be written"),
    ],
)
def test_a_store_that_cannot_be_used_is_named_before_the_run_starts(
    tmp_path: Path, address: str, told: str
) -> None:
    settings = tiny_settings(tmp_path).model_copy(update={"checkpoints": address})
    with pytest.raises(SettingsError, match=f"checkpoints is '{address}'.*{told}"):
        check_settings(settings)


def test_a_worker_goes_on_from_the_store_and_leaves_nothing_here(tmp_path: Path) -> None:
    with search(tmp_path / "run", trials=1, startup=1, rungs=[1, 2, 4]) as plan:
        job = plan.next()
    assert job is not None
    log = tmp_path / "log"
    config = {
        "job": job.to_json(), "evaluator": invented(log).to_json(), "threads": 1, "retry_seconds": 0.0,
        "mirror": f"file://{tmp_path}/store",
    }  # fmt: skip
    # The second rung was not told of to the record, so that it is measured again, and not trained.
    for steps in (2, 3):
        worker = TrialWorker(config)
        told = [worker.step() for _ in range(steps)]
        assert all("epoch" in each for each in told), told
        assert worker._copy is not None
        folder = worker._copy.folder
        worker.stop()
        assert not folder.exists()
    assert [line.split()[1] for line in log.read_text().splitlines()] == ["1", "2", "3", "4"]
    assert not job.folder.exists(), "nothing is shared but the store"
    assert (tmp_path / "store" / job.folder.name / "weights.safetensors").is_file()


@pytest.mark.slow
def test_a_whole_search_over_a_store(tmp_path: Path) -> None:
    """Weights come to the driver; checkpoints of candidates that are held for good go."""
    settings = tiny_settings(tmp_path, trials=8).model_copy(
        update={"checkpoints": f"file://{tmp_path}/store"}
    )
    with Session.open(settings, invented(tmp_path / "log"), classes=16) as session:
        session.search()
        confirmed = session.confirm()
        (outcome,) = session.train([session.job(Architecture.parse(confirmed[0].architecture))])
        candidates = session.records.candidates()
    assert outcome.job.weights.read_bytes() == b"weights"
    stored = {path.name for path in Path(f"{tmp_path}/store/tiny-{settings.digest}").iterdir()}
    kept = {name.partition("-")[0] for name in stored if name.endswith("-search")}
    assert kept == {each.digest for each in candidates if each.state == "complete"}
    assert max(Counter((tmp_path / "log").read_text().splitlines()).values()) == 1
