"""The main job, whole and real: videos, Ray workers, training, a kill, the family, exports, the report."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from unittest import mock

import pandas as pd
import pytest
import yaml

import movinas
from proxy_train.measurement import Measurement
from results.family.family import Family
from results.runtimes.sidecar import Sidecar
from search_space.errors import RecordError
from searcher.record.records import Records

# A search, a confirmation and a family: minutes on a quiet machine, many on a busy one.
pytestmark = [pytest.mark.timeout(6000), pytest.mark.long]
MOVINAS = [sys.executable, "-m", "movinas"]
TRIALS = 6
SETTINGS = {
    "name": "tiny",
    "seed": 3,
    "data": {"kind": "moving-digits", "preset": "tiny"},
    "space": "quickstart",
    "search": {"trials": TRIALS, "startup": 4, "rungs": [1, 2], "reduction": 2, "macs": {"high": 5.0e6}},
    "confirmation": {"epochs": 2, "seeds": 1, "members": 3},
    "family": {"epochs": 2},
}


def command(*words: str | Path) -> str:
    """Runs a command to its end, here, as ``movinas`` would; what it printed."""
    printed = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with (
        mock.patch.object(sys, "argv", ["movinas", *map(str, words)]),
        contextlib.redirect_stdout(printed),
        pytest.raises(SystemExit) as ended,
    ):
        movinas.main()
    printed.seek(0)
    told = printed.read()
    assert not ended.value.code, told
    return told


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("main-job")
    content = json.loads(json.dumps(SETTINGS))
    content["output"] = str(folder / "runs")
    content["data"]["cache"] = str(folder / "cache")
    content["search"]["workers"] = min(2, os.cpu_count() or 1)
    (folder / "settings.yaml").write_text(yaml.safe_dump(content))
    return folder / "settings.yaml"


@pytest.fixture(scope="module")
def killed(settings: Path) -> list[Measurement]:
    """What was in the record when the search was killed without warning."""
    run = settings.parent / "runs" / "tiny"
    process = subprocess.Popen(
        [*MOVINAS, "search", str(settings)], stdout=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + 3000
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if len(Records.reading(run).measurements()) >= 3:
                break
        except RecordError:
            pass
        time.sleep(0.2)
    process.kill()
    process.wait()
    found = Records.reading(run).measurements()
    assert found, "killed before anything was measured, or it never started"
    return found


@pytest.fixture(scope="module")
def run(settings: Path, killed: list[Measurement]) -> Path:
    """A run that was killed in its search, and went on to its end."""
    done = subprocess.run(
        [*MOVINAS, "search", str(settings)], capture_output=True, text=True, timeout=3000, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "What to type next" in done.stdout
    return settings.parent / "runs" / "tiny"


def test_after_a_kill_nothing_is_lost_or_repeated(run: Path, killed: list[Measurement]) -> None:
    measured = Records.reading(run).measurements()
    assert measured[: len(killed)] == killed
    counts = Counter((each.key, each.purpose) for each in measured)
    assert set(counts.values()) == {1}
    assert len(Records.reading(run).candidates()) == TRIALS
    searched = {each.digest for each in measured if each.purpose == "search"}
    assert len(searched) == TRIALS


def test_a_finished_run_is_answered_from_its_record(run: Path, settings: Path) -> None:
    def stands() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in (run / "family").glob("*/step.onnx")}

    before, exports = Records.reading(run).measurements(), stands()
    assert exports
    command("search", settings)
    assert Records.reading(run).measurements() == before and stands() == exports


def test_the_folder_holds_all_there_is_to_see(run: Path) -> None:
    resolved = yaml.safe_load((run / "settings.yaml").read_text())
    assert resolved["search"]["trials"] == TRIALS and resolved["recipe"]["learning_rate"] > 0
    assert json.loads((run / "environment.json").read_text())["torch"]
    table = pd.read_parquet(run / "trials.parquet")
    assert len(table) == len(pd.read_csv(run / "trials.csv")) == len(Records.reading(run).measurements())
    assert table.loc[table.status == "complete", "macs"].between(1e5, 5e6).all()
    assert (run / "frontier.png").read_bytes().startswith(b"\x89PNG")
    for page in ("frontier.html", "report.html"):
        text = (run / page).read_text()
        assert "plotly" in text and "could not be made" not in text
        # The scripts inside may name addresses; the page itself must load nothing from any.
        assert not re.search(r'<(script|link|img)[^>]+(src|href)="http', text)
        assert (run / page).stat().st_size < 6 * 2**20


def test_every_member_is_there_and_streams_as_pytorch_does(run: Path) -> None:
    family = Family.read(run / "family.json")
    assert family.singles
    for member in family.members:
        folder = run / "family" / member.name
        for name in ("architecture.json", "weights.safetensors", "recipe.yaml", "step.onnx", "card.md"):
            assert (folder / name).stat().st_size > 0, folder / name
        check = Sidecar.read(folder / "step.onnx.json").check
        assert check.passed and check.frames >= 16
        about = json.loads((folder / "member.json").read_text())["metrics"]
        assert about["top1"] == pytest.approx(about["stream_top1"], abs=0.02)
        card = (folder / "card.md").read_text()
        for word in ("multiply-adds", "parameters", "stream state", "a frame in"):
            assert word in card


def test_the_other_commands_work_on_the_run(run: Path, settings: Path, tmp_path: Path) -> None:
    told = command("status", run)
    assert "no driver is working on it" in told and "search:" in told
    told = command("frontier", run)
    assert "Confirmed frontier" in told and "cannot be told from" in told
    member = run / "family" / Family.read(run / "family.json").singles[0].name
    video = next((settings.parent / "cache").rglob("test/*/*.mp4"))
    lines = command("stream", member / "step.onnx", video, "--json").splitlines()
    by_torch = command("stream", member, video, "--json").splitlines()
    assert len(lines) == len(by_torch) == 8  # two seconds at four frames a second
    ours, theirs = (json.loads(each[-1])["top"][0] for each in (lines, by_torch))
    assert ours["label"] == theirs["label"]
    assert ours["probability"] == pytest.approx(theirs["probability"], abs=1e-4)
    assert "differs from PyTorch by" in command("export", member, video)
    assert "they agree" in command("profile", member)
    trained = tmp_path / "own"
    data = f"moving-digits:{SETTINGS['data']['preset']}"  # type: ignore[index]
    cache = settings.parent / "cache"
    text = json.loads((member / "member.json").read_text())["architectures"][0]
    told = command("train", text, "--output", trained, "--data", data, "--cache", cache, "--epochs", "1")
    assert "top-1" in told and (trained / "weights.safetensors").is_file()


def test_three_commands_lead_from_a_search_to_a_streaming_network(
    run: Path, settings: Path, tmp_path: Path
) -> None:
    largest = Family.read(run / "family.json").singles[-1]
    command("family", run, "--budget", f"phone={largest.macs}")
    family = Family.read(run / "family.json")
    assert [member.name for member in family.members] == ["phone"]
    assert family["phone"].digest == largest.digest
    member, cache = run / "family" / "phone", settings.parent / "cache"
    video = next(cache.rglob("test/*/*.mp4"))
    data = f"moving-digits:{SETTINGS['data']['preset']}"  # type: ignore[index]
    told = command("export", member, video, "--int8", "--data", data, "--clips", "20", "--cache", cache)
    assert "on 20 videos; in PyTorch" in told
    about = Sidecar.read(member / "step.int8.onnx.json")
    assert about.accuracy["videos"] == 20 and 0 <= about.accuracy["export_top1"] <= 1
    assert about.accuracy["top1"] == json.loads((member / "member.json").read_text())["metrics"]["top1"]
    seen = tmp_path / "seen.mp4"
    assert len(command("stream", member / about.file, video, "--output", seen).splitlines()) == 8
    assert seen.stat().st_size > 1000
