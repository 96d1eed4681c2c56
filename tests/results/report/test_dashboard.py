"""The dashboard's copy of a record, and that it is served to this machine only and changes nothing."""

from __future__ import annotations

import json
import sys
import threading
import urllib.request
from pathlib import Path

import pytest

from proxy_train.fidelity import Fidelity
from proxy_train.measurement import Measurement
from results.analysis.frontier import frontier
from results.family.family import choose_family
from results.report.dashboard import HOST, Dashboard, copied
from search_space.architecture.published import PUBLISHED
from search_space.errors import RecordError, SettingsError
from searcher.record.candidate import Candidate
from searcher.record.records import Records
from searcher.record.storage import FILE

NAMES = ("A0-stream", "A1-stream", "A2-stream")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "searched"
    with Records.writing(folder, {"seed": 0}) as records:
        for number, name in enumerate(NAMES):
            network = PUBLISHED[name]
            candidate = Candidate(number, (number,), network.digest, network.text, 10**6 * (number + 1))
            records.propose(candidate, {}, {})
            metrics = {"top1": 0.5 + 0.1 * number, "macs": 1e6 * (number + 1), "parameters": 5.0}
            for purpose in ("search", "confirmation"):
                fidelity = Fidelity(2 if purpose == "search" else 4, 8, 16)
                records.append(
                    Measurement(network.digest, network.text, fidelity, 0, purpose, "complete", metrics)
                )
            if number < 2:
                records.close(number, "complete" if number else "pruned")
        choose_family(frontier(records.measurements(), "confirmation")).write(folder / "family.json")
    return folder


def test_the_copy_has_what_is_known_of_every_ended_candidate(run: Path) -> None:
    storage = copied(run, Records.reading(run))
    first, second = storage.get_all_trials(0)
    assert (first.state.name, second.state.name) == ("PRUNED", "COMPLETE")
    assert second.values == [0.6, 2e6]
    attributes = second.user_attrs
    assert attributes["architecture"] == PUBLISHED["A1-stream"].text
    assert (attributes["family"], attributes["frontier"]) == ("A1", "confirmed")
    assert (attributes["parameters"], attributes["epochs"], attributes["digest"]) == (
        5.0,
        2,
        PUBLISHED["A1-stream"].digest,
    )
    assert second.params["stage 2 depth"] == len(PUBLISHED["A1-stream"].stages[1].layers)


def test_it_is_served_to_this_machine_and_the_record_stays(run: Path) -> None:
    before = (run / FILE).read_bytes()
    dashboard = Dashboard(run, 0)
    assert dashboard.url.startswith(f"http://{HOST}:") and HOST == "127.0.0.1"
    thread = threading.Thread(target=dashboard.serve)
    thread.start()
    try:
        with urllib.request.urlopen(f"{dashboard.url}api/studies") as answer:
            assert json.load(answer)["study_summaries"][0]["study_name"] == "searched"
        gone = urllib.request.Request(f"{dashboard.url}api/studies/0", method="DELETE", data=b"{}")
        gone.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(gone) as answer:
            assert answer.status == 204
    finally:
        dashboard.stop()
        thread.join(300)
    assert not thread.is_alive()
    assert (run / FILE).read_bytes() == before


def test_it_follows_a_run(run: Path) -> None:
    dashboard = Dashboard(run, 0)
    assert not dashboard.refresh()
    with Records.writing(run, {"seed": 0}) as records:
        records.close(2, "complete")
    assert dashboard.refresh()
    dashboard._server.server_close()


def test_what_is_missing_is_named(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RecordError, match="nowhere"):
        Dashboard(tmp_path / "nowhere", 0)
    open_one = Dashboard(run, 0)
    with pytest.raises(SettingsError, match="port"):
        Dashboard(run, open_one._server.server_port)
    open_one._server.server_close()
    monkeypatch.setitem(sys.modules, "optuna_dashboard", None)
    with pytest.raises(SettingsError, match=r"movinas\[dashboard\]"):
        Dashboard(run, 0)
