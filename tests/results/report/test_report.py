"""Plots, page and tables: all is there, nothing comes from a network, no failure takes the rest with it."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from PIL import Image

from proxy_train.measurement import Measurement
from results.analysis.frontier import frontier
from results.analysis.hypervolume import hypervolume_history
from results.export.export import ExportResult
from results.family.choice import choose_family
from results.family.outcome import MemberOutcome
from results.plots import interactive as plots
from results.plots import pictures as plots_static
from results.plots import style as plot_style
from results.plots.frontier_view import frontier_view, survival
from results.report import plots as report_plots
from results.report import sections as report_sections
from results.report.measurement_tables import write_confirmed, write_tables
from results.report.report import report, write_report
from results.report.run_view import Run
from results.runtimes.sidecar import Check
from searcher.plan.measured_reliability import measured_reliabilities
from searcher.record.frame import COLUMNS, frame
from tests.results.synthetic import fidelity, measured, measurement, whole_run

PLOTS = tuple(
    f"plot-{name}"
    for name in (
        *("frontier", "hypervolume", "hypervolume-time", "survival", "curves"),
        *("parallel", "along", "importance", "members"),
    )
)
VOID = {"meta", "link", "br", "img", "hr", "input"}


class Page(HTMLParser):
    """Collects what a browser would load, the ids, the visible text, and checks that tags close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self.scripts = 0
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "a":
            self.links.append(values.get("href") or "")
        else:
            self.loaded += [
                value for key, value in attrs if key in {"src", "href", "srcset", "data"} and value
            ]
        self.ids += [values["id"] or ""] if "id" in values else []
        self.scripts += tag == "script"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in {"script", "style"}:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words)


@pytest.fixture(scope="module")
def run() -> Run:
    rows = whole_run()
    family = choose_family(frontier(rows, "confirmation"))
    outcomes = {}
    for index, member in enumerate(family.members):
        check = Check(16, 1e-7 * (index + 1), 2.0, 1e-4, 0.5, 0.7)
        export = ExportResult(member.name, Path("step.onnx"), check, 123_456, 3.0)
        outcomes[member.name] = MemberOutcome(
            f"family/{member.name}", {"top1": 0.8, "stream_top1": 0.79}, export
        )
    outcomes["A0"] = replace(
        outcomes["A0"], export=ExportResult("A0", None, None, 0, 1.0, "it differs by <0.1> & more")
    )
    return Run(
        "a <run> & more",
        rows,
        settings={"search": {"trials": 48, "rungs": [2, 4, 8]}, "label": "</pre><script>alert(1)</script>"},
        environment={"torch": "2.13"},
        profile="smallest 0.5 M",
        family=family,
        outcomes=outcomes,
        next_commands=["movinas stream runs/x/family/A2 video.mp4"],
        references={"order-blind at most <50 %>": 0.5},
        seconds=421,
    )


def test_page_is_whole_and_self_contained(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(run, path)
    assert path.stat().st_size < 6_000_000
    page = Page(path.read_text(encoding="utf-8"))
    assert page.open == []
    assert page.loaded == ["data:,"]
    assert set(PLOTS) <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    sections = {link[1:] for link in page.links if link.startswith("#")}
    assert len(sections) == 14
    assert sections <= set(page.ids)
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_page_shows_what_was_found(run: Run) -> None:
    page = Page(report(run))
    assert run.family is not None
    for member in run.family.members:
        assert member.name in page.text
        assert f"family/{member.name}/" in page.links
    for words in (
        "7 min 1 s",
        "movinas stream",
        "smallest 0.5 M",
        "rungs:\n  - 2\n  - 4\n  - 8\n",
        "computes the same",
        "2.13",
    ):
        assert words in page.text
    assert "loss is NaN in epoch 1 <b>&</b>" in page.text
    assert "it differs by <0.1> & more" in page.text
    assert "could not be made" not in page.text


def test_page_and_table_show_the_chance_of_every_confirmed_candidate(run: Run, tmp_path: Path) -> None:
    candidates = run.confirmed()
    assert len(candidates) == 12 and sum(each.on_frontier for each in candidates) > 1
    part, family = report_sections.frontier_part(run), report_sections.family_part(run)
    shown = {each.digest: f'data-value="{each.chance:.12g}">' for each in candidates}
    assert all(cell in part for cell in shown.values())
    assert part.count("<td>confirmed</td>") == sum(each.on_frontier for each in candidates)
    assert run.family is not None
    assert all(shown[member.digest] in family for member in run.family.singles)
    table = pd.read_csv(write_confirmed(candidates, tmp_path))
    assert table["chance"].tolist() == pytest.approx([each.chance for each in candidates])
    assert table["trainings"].tolist() == [3] * 12 and table["on_frontier"].sum() > 1
    assert [str(each).split() for each in table["ties"].fillna("")] == [
        list(each.ties) for each in candidates
    ]
    searched = replace(run, measurements=[row for row in run.measurements if row.purpose == "search"])
    assert "<table>" not in report_sections.frontier_part(searched)


def test_page_shows_how_reliable_the_trainings_are(run: Run) -> None:
    (found,) = measured_reliabilities(run.measurements)
    assert found.purpose == "confirmation" and found.reliability.trainings == 36
    summary, search = report_sections.summary_part(run), report_sections.search_part(run)
    assert f"<b>{found.reliability.text()}</b><span>reliability (confirmation, 16 epochs)</span>" in summary
    for cell in (found.kind, found.reliability.text(), "12</td>", "36</td>"):
        assert cell in search
    assert "mostly noise" not in summary + search
    rng = np.random.default_rng(0)
    luck = [
        replace(row, metrics={**row.metrics, "top1": float(rng.uniform(0.1, 0.9))})
        for row in run.measurements
    ]
    noisy = replace(run, measurements=luck)
    assert "mostly noise" in report_sections.summary_part(noisy)
    assert "mostly noise" in report_sections.search_part(noisy)
    once = replace(run, measurements=[row for row in run.measurements if row.seed == 0])
    assert "eliab" not in report_sections.summary_part(once) + report_sections.search_part(once)


def test_everything_given_is_escaped(run: Run) -> None:
    text = report(run)
    page = Page(text)
    # One for plotly.js, one for each plot but the drawing, one that sorts tables.
    assert page.scripts == 1 + len(PLOTS)
    assert "</pre><script>alert(1)</script>" in page.text
    assert "a <run> & more" in page.text
    assert "order-blind at most <50 %>" not in text


@pytest.mark.parametrize("name", ["frontier_figure", "hypervolume_figure", "survival_figure"])
def test_a_failing_plot_does_not_kill_the_page(run: Run, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> go.Figure:
        raise RuntimeError("no <ink> left")

    monkeypatch.setattr(report_plots, name, fail)
    page = Page(report(run))
    failed = {"frontier_figure": 1, "hypervolume_figure": 2, "survival_figure": 1}[name]
    assert page.text.count("could not be made: RuntimeError: no <ink> left") == failed
    assert "The plot " in page.text
    assert sum(identity in page.ids for identity in PLOTS) == len(PLOTS) - failed
    assert "All candidates" in page.text
    assert page.open == []


def test_a_failing_part_does_not_kill_the_page(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> str:
        raise KeyError("macs")

    monkeypatch.setattr(report_sections, "frontier", fail)
    page = Page(report(run))
    assert page.text.count("could not be made: KeyError: 'macs'") == 2
    assert "computes the same" in page.text


@pytest.mark.parametrize("rows", [[], [measurement("a", fidelity(2), status="failed", reason="no memory")]])
def test_a_run_without_results_has_a_page_too(rows: list[Measurement]) -> None:
    page = Page(report(Run("empty", rows)))
    assert "could not be made" not in page.text
    assert "Nothing has been measured yet." in page.text


def test_page_of_a_long_search_stays_small() -> None:
    rows = [measured(str(index), 0.5 + (index % 97) / 200, 1e6 + index * 1000) for index in range(5000)]
    text = report(Run("long", rows))
    assert len(text.encode()) < 6_000_000
    assert "The best 500 of 5000" in text


def test_frontier_figure_has_every_series(run: Run) -> None:
    view = frontier_view(run.measurements, run.family, run.trained)
    figure = plots.frontier_figure(view)
    series = {trace.name: trace for trace in figure.data}
    assert [name for name in series if name.startswith("measured")] == [
        "measured, 2 epochs",
        "measured, 4 epochs",
        "measured, 8 epochs",
    ]
    shown = sum(len(trace.x) for name, trace in series.items() if name.startswith("measured"))
    assert shown == 48
    confirmed = series["confirmed frontier, mean ± spread"]
    assert list(confirmed.error_y.array) == [m.spread for m in view.confirmed]
    assert "stream_16x48x8" in confirmed.hovertext[0]
    named = series["family, trained"]
    assert run.family is not None
    assert [re.sub("<.*?>", "", text) for text in named.text] == [m.name for m in run.family.members]
    assert figure.layout.xaxis.type == "log"


def test_ensemble_is_drawn_only_once_it_was_evaluated(run: Run) -> None:
    assert "A6" not in [m.name for m in frontier_view(run.measurements, run.family).family]
    assert "A6" in [m.name for m in frontier_view(run.measurements, run.family, {"A6": 0.8}).family]


def test_survival_counts_architectures_of_every_rung() -> None:
    shown = survival(whole_run())
    assert shown.labels == ("2 epochs", "4 epochs", "8 epochs")
    assert shown.counts == (48, 24, 12)


def test_pictures_and_pages_are_written(run: Run, tmp_path: Path) -> None:
    view = frontier_view(run.measurements, run.family, run.trained, references=run.references)
    plots_static.write_frontier(view, tmp_path / "frontier.png")
    draw = plots_static.draw_hypervolume({"run": hypervolume_history(run.measurements)})
    plot_style.write_picture(draw, tmp_path / "hypervolume.png")
    plots_static.write_frontier(frontier_view([]), tmp_path / "empty.png")
    for name in ("frontier", "hypervolume"):
        pixels = np.asarray(Image.open(tmp_path / f"{name}.png").convert("RGB"))
        assert pixels.shape[0] > 600
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 50
    plot_style.write_html(plots.frontier_figure(view), tmp_path / "frontier.html")
    page = Page((tmp_path / "frontier.html").read_text(encoding="utf-8"))
    assert page.loaded == []
    assert (tmp_path / "frontier.html").stat().st_size < 6_000_000


def test_tables_hold_every_measurement(tmp_path: Path) -> None:
    rows = whole_run()
    csv, parquet = write_tables(rows, tmp_path)
    for table in (pd.read_csv(csv), pd.read_parquet(parquet)):
        assert tuple(table.columns) == COLUMNS
        assert len(table) == len(rows)
        assert table["digest"].astype(str).tolist() == [m.digest for m in rows]
        assert table["top1"].iloc[0] == pytest.approx(rows[0].metrics["top1"])
    assert bool(np.isnan(frame(rows)["macs"].iloc[-1]))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["trials.csv", "trials.parquet"]


def test_networks_that_were_known_before_are_told_from_what_was_searched(tmp_path: Path) -> None:
    rows = whole_run()
    known = {rows[0].digest: "published A0, scaled by phi -1.25"}
    csv, parquet = write_tables(rows, tmp_path, known)
    for table in (pd.read_csv(csv), pd.read_parquet(parquet)):
        assert table["origin"].tolist() == [known.get(row.digest, "searched") for row in rows]
    run = Run("run", rows, origins=known)
    told = report_sections.candidates_part(run)
    assert told.count(known[rows[0].digest]) == 1 and ">origin</th>" in told and ">searched<" in told
    assert "origin" not in report_sections.candidates_part(replace(run, origins={}))


def test_tables_of_an_empty_record_have_their_columns(tmp_path: Path) -> None:
    write_tables([], tmp_path)
    assert tuple(pd.read_parquet(tmp_path / "trials.parquet").columns) == COLUMNS


def test_tables_keep_further_metrics() -> None:
    one = measurement("a", fidelity(2), {"top1": 0.5, "macs": 10.0, "stream_top1": 0.4})
    table = frame([one])
    assert list(table.columns[-1:]) == ["stream_top1"]
    assert table["stream_top1"].tolist() == [0.4]
