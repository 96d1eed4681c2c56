"""Tables of a run: what is confirmed, who cannot be told apart, and every objective of the search."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from proxy_train.fidelity import Fidelity
from results.commands.terminal import Terminal
from results.pipeline import _eligible
from results.report.run_files import draw_frontier
from results.text.run_tables import confirmed_table
from search_space.architecture.architecture import Architecture
from search_space.errors import RecordError
from searcher.plan.confirmation import Confirmed, choose_members, confirmed
from searcher.plan.job import Job
from searcher.plan.job_plan import JobPlan
from searcher.record.records import Records
from searcher.run.overview import overview
from tests.searcher.invented import invented
from tests.searcher.searching import THREE, finished, settings_of
from tests.searcher.serial import run_serially


def printed(run: Path) -> str:
    text = StringIO()
    draw_frontier(run, Terminal(Console(file=text, width=200)))
    return text.getvalue()


def confirm(folder: Path, **changes: Any) -> Records:
    """A search of invented trainings, and its confirmation."""
    settings = settings_of(folder, **changes)
    finished(folder, invented(timed=True), **changes)
    with Records.writing(settings.run_dir, settings.identity()) as records:
        chosen = choose_members(records.candidates(), 6, records.objectives)
        networks = [Architecture.parse(each.architecture) for each in chosen]
        jobs = [
            Job.from_json(_job(folder, network, seed).to_json()) for network in networks for seed in (1, 2, 3)
        ]
        run_serially(JobPlan(records, "confirmation", 16, jobs), invented(timed=True))
        return records


def _job(folder: Path, network: Architecture, seed: int) -> Job:
    clip = network.input
    place = folder / "jobs" / f"{network.digest}-{seed}"
    return Job(network, Fidelity(6, clip.frames, clip.size), seed, "confirmation", place)


def test_a_confirmed_frontier_has_spreads_and_names_who_cannot_be_told_apart(tmp_path: Path) -> None:
    records = confirm(tmp_path)
    text = printed(tmp_path / "tiny")
    found = confirmed(records)
    assert "Confirmed frontier" in text and "cannot be told from" in text and "±" in text
    assert text.count("reliability (confirmation, 6 epochs): ") == 1
    assert all(each.digest in text for each in found)
    lines = {each.digest: next(line for line in text.splitlines() if each.digest in line) for each in found}
    front = [each for each in found if each.on_frontier]
    assert {digest for digest, line in lines.items() if "*" in line} == {each.digest for each in front}
    assert all(f"{each.digest}  {each.architecture}\n" in text for each in front)


def test_a_member_that_cannot_be_told_from_another_names_it_by_its_multiply_adds() -> None:
    one = Confirmed("a" * 16, "text", 1_230_000, 0.5, 0.02, 3, True, ("b" * 16,), {}, 0.87)
    other = Confirmed("b" * 16, "text", 2_340_000, 0.51, 0.02, 3, True, ("a" * 16,), {}, 0.999)
    text = StringIO()
    Console(file=text, width=120).print(confirmed_table((one, other)))
    first, second = (next(line for line in text.getvalue().splitlines() if key * 16 in line) for key in "ab")
    assert "chance" in text.getvalue() and " 87 % " in first and " > 99 % " in second
    assert first.count("2.34 M") == 1 and second.count("2.34 M") == 1
    assert first.count("1.23 M") == 1 and second.count("1.23 M") == 1


def test_all_objectives_of_a_search_are_shown_and_its_limits_kept(tmp_path: Path) -> None:
    changes: dict[str, Any] = {**THREE, "objectives": ["accuracy", "macs", "latency", "state_bytes"]}
    finished(tmp_path, invented(timed=True), **changes)
    text = printed(tmp_path / "tiny")
    assert "Frontier so far" in text and "latency" in text and "state bytes" in text and " ms" in text
    far = overview(tmp_path / "tiny")
    assert far.objectives == ("accuracy", "macs", "latency", "state_bytes") and 0 < far.hypervolume < 1
    records = confirm(tmp_path, **changes)
    text = printed(tmp_path / "tiny")
    assert "Confirmed frontier" in text and "latency" in text and " ms" in text
    found = {each.digest: each for each in confirmed(records)}
    assert any(each.latest["latency_ms"] > 5 for each in records.candidates()), "it is soft in the search"
    assert all(each.metrics["latency_ms"] <= 5 for each in found.values() if each.on_frontier)
    eligible = _eligible(records, tmp_path)
    assert eligible and all(found[each.digest].metrics["latency_ms"] <= 5 for each in eligible)


def test_there_is_no_family_without_a_network_that_keeps_the_limits(tmp_path: Path) -> None:
    records = confirm(tmp_path, objectives=["accuracy", "latency"], constraints={"latency_ms": 0.5})
    assert not any(each.on_frontier for each in confirmed(records))
    with pytest.raises(
        RecordError, match=r"no confirmed network .* keeps search\.constraints latency_ms 0\.5"
    ):
        _eligible(records, tmp_path)
    with Records.writing(tmp_path / "empty", {}) as empty, pytest.raises(RecordError, match="let its search"):
        _eligible(empty, tmp_path)
