"""The figure that a search maximises has its own name wherever people read it, for each kind of labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from rich.console import Console
from typer.testing import CliRunner

from movinas import app
from proxy_train.evaluation.evaluation import Metrics
from results.analysis.attainment import attainment
from results.analysis.choices import along_frontier, parallel
from results.analysis.frontier import frontier
from results.analysis.learning_curves import learning_curves
from results.family.card import card
from results.family.choice import choose_family
from results.family.member_folders import write_plan
from results.family.outcome import MemberOutcome
from results.member import Member
from results.plots import choices_interactive, choices_pictures, interactive, pictures
from results.plots.frontier_view import frontier_view
from results.report.report import report
from results.report.run_view import Run
from results.text.fitting_table import FittingTable
from results.text.run_tables import confirmed_table, family_table, members_table, provisional_table
from search_space.architecture.architecture import Architecture
from searcher.objectives import score_of
from searcher.plan.job import Job
from searcher.plan.job_plan import JobOutcome
from searcher.plan.provisional_frontier import FrontierPoint
from searcher.standalone.proxy_validity import summarise
from searcher.standalone.relative_fidelity import RelativeFidelity
from tests.proxy_train.data.written_formats import EPIC_HEAD, epic_row
from tests.proxy_train.video_files import write_text, write_videos
from tests.results.synthetic import LABELS, architecture, fidelity, measurement, whole_run

MORE: dict[str, dict[str, float]] = {
    "top-1": {},
    "mAP": {"mean_ap": 0.5},
    "action top-1": {"verb_top1": 0.7, "noun_top1": 0.6},
}
AXES = {
    "top-1": "top-1 accuracy",
    "mAP": "mean average precision (mAP)",
    "action top-1": "action top-1 accuracy",
}


def run_of(name: str) -> Run:
    """A finished run over labels of the kind that has a score of that name."""
    rows = [
        replace(row, metrics={**row.metrics, **MORE[name]}) if row.metrics else row for row in whole_run()
    ]
    family = choose_family(frontier(rows, "confirmation"))
    outcomes = {
        member.name: MemberOutcome("", {"top1": 0.8, "stream_top1": 0.7, **MORE[name]})
        for member in family.members
    }
    return Run("a run", rows, family=family, outcomes=outcomes)


@pytest.fixture(scope="module", params=list(MORE))
def named(request: pytest.FixtureRequest) -> tuple[str, Run]:
    return request.param, run_of(request.param)


def words_of(table: FittingTable) -> str:
    text = StringIO()
    Console(file=text, width=200).print(table)
    return text.getvalue()


def others(name: str, text: str) -> list[str]:
    """The names of other scores in a text; ``top-1`` is part of the actions' own."""
    left = text.replace("action top-1", "actions")
    return [other for other in MORE if other != name and other in (text if "action" in other else left)]


@pytest.mark.parametrize("name", MORE)
def test_the_name_follows_from_the_figures_of_an_evaluation(name: str) -> None:
    measured = Metrics(0.4, 0.9, 1.0, 10, MORE[name]).by_name
    assert score_of([{}, measured]) == score_of([measured])
    assert score_of([measured]).name == name and score_of([measured]).axis == AXES[name]
    assert score_of([]).name == "top-1"


def test_every_table_has_it(named: tuple[str, Run]) -> None:
    name, run = named
    assert run.family is not None
    front = frontier(run.measurements)
    points = [FrontierPoint(m.digest, m.architecture, m.macs, m.accuracy, 8, m.metrics) for m in front]
    tables = (
        confirmed_table(run.confirmed()),
        provisional_table(points),
        members_table(front),
        family_table(run.family, run.outcomes, run.score),
        family_table(run.family, {}, run.score),
    )
    for table in tables:
        text = words_of(table)
        assert f" {name} " in text and not others(name, text), text


def test_every_section_of_the_page_has_it(named: tuple[str, Run]) -> None:
    name, run = named
    page = report(run)
    for words in (
        f"best {name} of the family, trained",
        f"confirmed {name}",
        f"trained {name}",
        f"Accuracies are {name} on the evaluation videos",
        AXES[name],
        f"multiply-adds and {name}",
    ):
        assert words in page
    # The library of the figures stands before the body.
    told = page.partition("<body")[2]
    assert len(told) > 10_000 and not others(name, told)
    assert f"best {name} so far" in report(replace(run, outcomes={}))


def drawn(draw: Callable[[Figure], None]) -> str:
    figure = Figure()
    draw(figure)
    return "\n".join(
        words
        for axes in figure.axes
        for words in (
            axes.get_xlabel(),
            axes.get_ylabel(),
            *(tick.get_text() for tick in axes.get_xticklabels()),
        )
    )


def test_every_plot_has_it(named: tuple[str, Run]) -> None:
    name, run = named
    rows, score = run.measurements, run.score
    view, curves, along, lines = (
        frontier_view(rows), learning_curves(rows), along_frontier(rows), parallel(rows)
    )  # fmt: skip
    surfaces = attainment([frontier(rows), frontier(whole_run(1))])
    interactive_axes = (
        interactive.frontier_figure(view).layout.yaxis.title.text,
        choices_interactive.curves_figure(curves).layout.yaxis.title.text,
        choices_interactive.attainment_figure(surfaces, score).layout.yaxis.title.text,
    )
    assert set(interactive_axes) == {AXES[name]}
    assert choices_interactive.along_figure(along).layout.xaxis.title.text == f"multiply-adds and {name}"
    (parcoords,) = choices_interactive.parallel_figure(lines).data
    assert parcoords.line.colorbar.title.text == name
    percents = [axis.label for axis in parcoords.dimensions if axis.tickformat == ".0%"]
    assert percents == [name]
    for draw in (
        pictures.draw_frontier(view),
        choices_pictures.draw_curves(curves),
        choices_pictures.draw_attainment(surfaces, score),
    ):
        assert AXES[name] in drawn(draw) and not others(name, drawn(draw).replace(AXES[name], ""))
    for draw in (choices_pictures.draw_along(along), choices_pictures.draw_parallel(lines)):
        assert name in drawn(draw) and not others(name, drawn(draw))


def test_every_card_has_it(named: tuple[str, Run], tmp_path: Path) -> None:
    name, run = named
    metrics = {"top1": 0.5, "top5": 0.9, "stream_top1": 0.4, "confirmed_top1": 0.3, **MORE[name]}
    member = Member("A0", (architecture(),), LABELS, metrics, {}, (), "abc", {})
    text = card(member)
    for words in (f"{name}, whole clips", f"{name}, frame by frame", f"{name} in the confirmation"):
        assert f"| {words}" in text
    assert ("verb top-1" in text) == (name == "action top-1")
    front = [replace(frontier(run.measurements)[0], architecture=architecture().text)]
    list(write_plan(tmp_path, choose_family(front), "", LABELS, run.score))
    assert f"| {name} in the confirmation, mean |" in (tmp_path / "A0" / "card.md").read_text()


@pytest.mark.parametrize("name", MORE)
def test_a_study_of_cheap_training_has_it(name: str) -> None:
    outcomes = []
    for number in range(6):
        network = architecture(16 + 8 * number)
        for epochs in (1, 4):
            found = measurement(
                "x", fidelity(epochs), {"top1": number / 10, **MORE[name]}, purpose="validity"
            )
            job = Job(network, fidelity(epochs), 0, "validity", Path("x"))
            outcomes.append(JobOutcome(job, replace(found, digest=network.digest)))
    text = summarise(outcomes, RelativeFidelity(1), RelativeFidelity(4), 16).text()
    assert f"6 networks by their {name}," in text and not others(name, text)


def several_labels(root: Path) -> str:
    rows = {split: "".join(f"{split}{n}.mp4{' 0' * (n != 1)}{' 1' * (n != 2)}\n" for n in range(4))
            for split in ("train", "val")}  # fmt: skip
    write_text(root, train__txt=rows["train"], val__txt=rows["val"])
    write_videos(root, *(f"{split}{n}.mp4" for split in rows for n in range(4)))
    return f"list:{root}"


def verbs_and_nouns(root: Path) -> str:
    pairs = (("wash", "pan"), ("take", "cup"), ("wash", "cup"), ("take", "pan"))
    for number, split in enumerate(("train", "validation"), 1):
        rows = [
            epic_row(f"P01_0{number}_{n}", f"P01_0{number}", "00:00:00.00", "00:00:00.80", "1,5", *pair)
            for n, pair in enumerate(pairs)
        ]
        write_text(root, **{f"EPIC_100_{split}__csv": EPIC_HEAD + "".join(rows)})
    write_videos(root, "P01/videos/P01_01.mp4", "P01/videos/P01_02.mp4")
    return f"epic-kitchens:{root}"


@pytest.mark.parametrize(
    ("written", "name", "metric"),
    [(several_labels, "mAP", "mean_ap"), (verbs_and_nouns, "action top-1", "verb_top1")],
)
def test_a_training_ends_with_it(
    written: Callable[[Path], str], name: str, metric: str, tmp_path: Path
) -> None:
    network = Architecture.parse("stream_2x16x4_s8_w16s2-33e32-a_w16s2-33e32-a_h64x32")
    words: list[Any] = ["train", network.text, "--data", written(tmp_path / "videos"), "--epochs", 1]
    words += ["--output", tmp_path / "out", "--cache", tmp_path / "cache"]
    told = CliRunner().invoke(app, list(map(str, words)))
    assert told.exit_code == 0, told.output
    last = " ".join(told.output.split()).rpartition(f"{tmp_path / 'out'}: ")[2]
    assert last.startswith(f"{name} ") and last.endswith("val split")
    assert metric in (tmp_path / "out" / "member.json").read_text()
