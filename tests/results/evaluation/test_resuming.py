"""Evaluations that are interrupted or killed resume, and several processes or a cluster score the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from results.commands.terminal import Terminal
from results.evaluation.evaluation import Evaluation, evaluate_network
from results.evaluation.subject import Subject
from search_space.errors import RecordError
from search_space.network.heads import Head
from search_space.progress import ProgressCallback
from searcher.standalone import video_scoring
from searcher.standalone.judged_videos import DataSettings, JudgedVideos, Views
from searcher.standalone.score_record import PARTS, ScoreRecord
from searcher.standalone.video_scoring import Scoring, score_all


@pytest.fixture
def evaluation(member: Path, videos: Path, tmp_path: Path) -> Evaluation:
    settings = DataSettings.model_validate({"kind": "folder", "root": videos, "cache": tmp_path})
    return Evaluation(
        (Subject.open(str(member)),), JudgedVideos.open(settings), tmp_path / "out", Views(2, 3)
    )


class Impatient(Terminal):
    """Presses Ctrl-C when some videos are scored."""

    def __init__(self, patience: int) -> None:
        super().__init__()
        self.patience = patience

    @contextmanager
    def bar(self, title: str) -> Iterator[ProgressCallback]:
        def report(done: int, total: int) -> None:
            if done >= self.patience:
                raise KeyboardInterrupt

        yield report


def test_what_was_scored_before_ctrl_c_is_not_scored_again(evaluation: Evaluation, tmp_path: Path) -> None:
    for patience in (7, 30):
        with pytest.raises(KeyboardInterrupt):
            evaluate_network(evaluation, Impatient(patience))
    resumed = evaluate_network(evaluation, Terminal())
    assert resumed.scored_now == 20
    assert len(list((tmp_path / "out" / PARTS).glob("*.parquet"))) == 3
    whole = evaluate_network(replace(evaluation, folder=tmp_path / "whole"), Terminal())
    assert whole.scored_now == 50
    assert np.array_equal(resumed.predictions.logits, whole.predictions.logits)
    assert resumed.assessment.to_json() == whole.assessment.to_json()


def test_two_at_once_are_refused_and_a_damaged_part_is_named(evaluation: Evaluation, tmp_path: Path) -> None:
    evaluate_network(evaluation, Terminal())
    header = evaluation.header(evaluation.subjects[0], Head("single-label", evaluation.join().groups))
    with (
        ScoreRecord.open(evaluation.folder, header),
        pytest.raises(RecordError, match="another process evaluates"),
    ):
        evaluate_network(evaluation, Terminal())
    part = next((evaluation.folder / PARTS).glob("*.parquet"))
    part.write_bytes(part.read_bytes()[:-20])
    with pytest.raises(RecordError, match=r"part-00000.parquet is damaged.*remove it"):
        evaluate_network(evaluation, Terminal())
    part.unlink()
    assert evaluate_network(evaluation, Terminal()).scored_now == 50


def test_a_new_part_takes_no_other_s_place(evaluation: Evaluation, tmp_path: Path) -> None:
    for patience in (7, 30):
        with pytest.raises(KeyboardInterrupt):
            evaluate_network(evaluation, Impatient(patience))
    parts = tmp_path / "out" / PARTS
    kept = (parts / "part-00001.parquet").read_bytes()
    (parts / "part-00000.parquet").unlink()
    assert evaluate_network(evaluation, Terminal()).scored_now == 50 - 23
    assert (parts / "part-00001.parquet").read_bytes() == kept


def test_a_video_that_could_not_be_read_is_tried_again(evaluation: Evaluation, tmp_path: Path) -> None:
    subject = evaluation.subjects[0]
    head = Head("single-label", evaluation.join().groups)
    first = evaluation.videos.items[0]
    scoring = Scoring(subject.opened(head), evaluation.videos.reader(subject.clip, evaluation.views), head)
    with ScoreRecord.open(tmp_path / "out", evaluation.header(subject, head)) as record:
        score_all(scoring, [replace(first, path=tmp_path / "unmounted.mp4")], record)
        assert record.ids == set() and next(record.scores()).fault
    found = evaluate_network(evaluation, Terminal())
    assert found.unreadable == {} and found.scored_now == 50 and first.id in found.predictions.ids


@pytest.mark.slow
def test_a_killed_process_is_resumed(member: Path, videos: Path, tmp_path: Path) -> None:
    script = "import movinas, searcher.standalone.video_scoring as s; s._FLUSH_SECONDS = 0; movinas.main()"
    words = ["evaluate", member, "--data", videos, "--views", "10x3", "--output", tmp_path / "out"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    process = subprocess.Popen([sys.executable, "-c", script, *map(str, words)], env=environment)
    parts = tmp_path / "out" / PARTS
    while not parts.is_dir() or len(list(parts.glob("part-*.parquet"))) < 5:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = len(list(parts.glob("part-*.parquet")))
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, words), "--json"],
        env=environment,
        capture_output=True,
        check=True,
    )
    assert b'"clips": 50' in done.stdout
    assert f'"scored in this call": {50 - before}'.encode() in done.stdout and before < 50


@pytest.mark.slow
@pytest.mark.parametrize("way", ["processes", "ray"])
def test_several_processes_score_the_same(way: str, evaluation: Evaluation, tmp_path: Path) -> None:
    one = evaluate_network(evaluation, Terminal())
    subject, videos = evaluation.subjects[0], evaluation.videos
    head = Head("single-label", evaluation.join().groups)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    items = (*videos.items, replace(videos.items[0], path=broken, id="broken"))
    scoring = Scoring(subject.opened(head), videos.reader(subject.clip, evaluation.views), head, 2)
    if way == "ray":
        groups = [video_scoring._Group(scoring, items[first : first + 17]) for first in (0, 17, 34)]
        found = {scored.id: scored for scored in video_scoring._on_cluster(scoring, groups)}
    else:
        with ScoreRecord.open(tmp_path / "two", evaluation.header(subject, head)) as record:
            score_all(scoring, items, record)
            found = {scored.id: scored for scored in record.scores()}
    assert len(found) == 51 and "broken.mp4" in found["broken"].fault
    for name, logits in zip(one.predictions.ids, one.predictions.logits, strict=True):
        scored = found[name].logits
        assert scored is not None and np.allclose(scored, logits, atol=1e-5)
