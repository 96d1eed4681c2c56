"""Every claim's run, small, on files in the data set's own layout: from data to verdict, and resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import movinas
from results.reproduction.claim import all_claims
from search_space.architecture.parts import ClipShape
from search_space.architecture.published import published
from search_space.network.model import build
from search_space.network.weights import save_weights
from tests.results.evaluation.coloured_videos import COLOURS
from tests.results.reproduction.released_layouts import WRITERS

Call = Callable[..., tuple[int, str, str]]
ON_DATA = [claim.id for claim in all_claims().values() if claim.data is not None]
QUICK = ("kinetics600-a0-stream", "epic-kitchens-100-a0")
SMALL = ("--clip", "2x32x4", "--side", "36")


@pytest.fixture(scope="module")
def layouts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    roots = {name: tmp_path_factory.mktemp(name) for name in WRITERS}
    for name, write in WRITERS.items():
        write(roots[name])
    return roots


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Run the command in this process: exit status, output and errors."""

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["movinas", "reproduce", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            movinas.main()
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return run


def words(name: str, layouts: dict[str, Path], folder: Path) -> list[object]:
    """Return what a small run of a claim is called with; the weights to judge are random."""
    claim = all_claims()[name]
    assert claim.data is not None
    given: list[object] = [name, "--data", f"{claim.data.format}:{layouts[claim.data.format]}"]
    given += ["--output", folder / "run", "--cache", folder / "cache", *SMALL]
    if claim.training:
        return [*given, "--epochs", 1]
    for network in claim.networks:
        weights = folder / f"{network}.safetensors"
        folder.mkdir(exist_ok=True)
        if not weights.exists():
            architecture = published(network).with_input(ClipShape(2, 32, 4))
            save_weights(build(architecture, len(COLOURS), seed=0), weights)
        given += ["--weights", weights]
    return given


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in ON_DATA]
)
def test_every_claim_runs_from_data_to_verdict(
    name: str, layouts: dict[str, Path], tmp_path: Path, call: Call
) -> None:
    given = words(name, layouts, tmp_path)
    status, out, err = call(*given)
    assert status == 0, err
    verdict: dict[str, Any] = json.loads((tmp_path / "run" / "verification.json").read_text())
    assert verdict["state"] == "not the claim's setting" and "not the claim's setting" in out
    differences = " ".join(verdict["differences"])
    assert "clips: 2x32x4" in differences and "short side: 36" in differences and "videos: " in differences
    claim = all_claims()[name]
    assert ("epochs: 1, and not 240" in differences) == (claim.training is not None)
    assert 0 <= verdict["measured"]["low"] <= verdict["measured"]["value"] <= verdict["measured"]["high"] <= 1
    assert verdict["measured"]["value"] == verdict["figures"][claim.metric]
    assert len(verdict["networks"]) == len(claim.networks)
    page = (tmp_path / "run" / "verification.html").read_text()
    for text in ("not the claim&#x27;s setting", claim.text(), "What had to be assumed", claim.source[:30]):
        assert text in page
    trained = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*.safetensors")}
    assert call(*given)[0] == 0
    again = json.loads((tmp_path / "run" / "verification.json").read_text())
    assert again["measured"] == verdict["measured"]
    assert trained == {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*.safetensors")}
    status, _, err = call(*given, "--views", "2x1")
    assert status == 2 and "holds a run with other views" in err
    status, out, _ = call("--output", tmp_path)
    assert status == 0 and f"{name} " in out


@pytest.mark.slow
def test_a_killed_run_is_resumed(layouts: dict[str, Path], tmp_path: Path) -> None:
    given = [*words("epic-kitchens-100-a0", layouts, tmp_path)[:-1], 30]
    command = [sys.executable, "-m", "movinas", "reproduce", *map(str, given)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    process = subprocess.Popen(command, env=environment)
    log = tmp_path / "run" / "training" / "A0-base" / "checkpoint" / "epochs.jsonl"
    while not list(log.parent.glob("*.jsonl")) or epochs(log.parent) < 3:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = epochs(log.parent)
    subprocess.run(command, env=environment, check=True)
    assert 3 <= before < 30 and epochs(log.parent) == 30, "no epoch was trained twice"
    assert json.loads((tmp_path / "run" / "verification.json").read_text())["measured"]


def epochs(folder: Path) -> int:
    return sum(len(path.read_text().splitlines()) for path in folder.glob("*.jsonl"))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["epic-kitchens-100-a9"], ["no claim 'epic-kitchens-100-a9'", "epic-kitchens-100-a6"]),
        (["kinetics600-a6", "--weights", "one"], ["1 --weights for 2 networks"]),
        (["kinetics600-a0-base", "--data", "ucf101:/videos"], ["kinetics:FOLDER"]),
        (["--data", "kinetics:/videos"], ["without a claim"]),
        (
            ["abstract-flops", "--clip", "2x32x4", "--weights", "w"],
            ["--clip, --weights: of no use for abstract"],
        ),
        (["abstract-flops", "--data", "kinetics:/videos"], ["--data: of no use"]),
        (["kinetics600-a0-base", "--epochs", "3", "--trained", "w"], ["--trained, --epochs: of no use"]),
        (
            ["epic-kitchens-100-a0", "--trained", "w", "--weights", "w"],
            ["--weights: of no use for --trained"],
        ),
        (["epic-kitchens-100-a0", "--views", "0x1"], ["0 clips and 1 crops"]),
        (["epic-kitchens-100-a0", "--side", "32"], ["frames of 32 pixels for clips of 172"]),
        (["epic-kitchens-100-a0", "--device", "gpu"], ["--device gpu"]),
    ],
)
def test_what_does_not_fit_is_refused(
    given: list[str], expected: list[str], tmp_path: Path, call: Call
) -> None:
    status, _, err = call(*given, "--output", tmp_path / "run")
    assert status == 2 and not (tmp_path / "run").exists()
    for text in expected:
        assert text in err


def test_a_checkpoint_of_another_network_is_refused(
    layouts: dict[str, Path], tmp_path: Path, call: Call
) -> None:
    given = words("kinetics600-a0-base", layouts, tmp_path)
    save_weights(build(published("A1-base"), len(COLOURS), seed=0), tmp_path / "A0-base.safetensors")
    status, _, err = call(*given)
    assert status == 2 and "weights" in err and not (tmp_path / "run" / "verification.json").exists()


def test_without_data_it_says_what_is_missing(tmp_path: Path, call: Call) -> None:
    status, out, _ = call("kinetics600-a3-base", "--output", tmp_path / "run")
    assert status == 0 and "not run" in out
    verdict = json.loads((tmp_path / "run" / "verification.json").read_text())
    assert verdict["state"] == "not run" and verdict["measured"] is None
    assert len(verdict["missing"]) == 2 and "Kinetics-600: --data kinetics:FOLDER" in verdict["missing"]


def test_wrong_weights_bind_nobody_and_a_verdict_stays(
    layouts: dict[str, Path], tmp_path: Path, call: Call
) -> None:
    given, right = words("kinetics600-a0-stream", layouts, tmp_path), tmp_path / "A0-stream.safetensors"
    kept = right.read_bytes()
    save_weights(build(published("A1-stream"), len(COLOURS), seed=0), right)
    assert call(*given)[0] == 2
    right.write_bytes(kept)
    status, _, err = call(*given)
    assert status == 0, err
    file = tmp_path / "run" / "verification.json"
    verdict = file.read_bytes()
    assert "the weights that were given are the released checkpoint" in verdict.decode()
    status, out, _ = call("kinetics600-a0-stream", "--output", tmp_path / "run")
    assert status == 0 and "nothing was run" in out and "measured" in out and file.read_bytes() == verdict


def test_what_another_program_wrote_stays(layouts: dict[str, Path], tmp_path: Path, call: Call) -> None:
    for name in ("evaluation.json", "run.json", "wrong.csv"):
        given = words("kinetics600-a0-stream", layouts, tmp_path / name)
        (tmp_path / name / "run").mkdir()
        (tmp_path / name / "run" / name).write_text("mine")
        status, _, err = call(*given)
        assert status == 2 and f"holds {name}, which this command did not write" in err
        assert (tmp_path / name / "run" / name).read_text() == "mine"
