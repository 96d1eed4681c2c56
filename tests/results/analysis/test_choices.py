"""What was chosen and what matters: named numbers of architectures, importance, curves, drawings."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure

from proxy_train.measurement import Measurement
from results.analysis.choices import along_frontier, choice_table, choices, importance, parallel
from results.analysis.frontier import latest
from results.analysis.learning_curves import learning_curves
from results.plots.choices_interactive import importance_figure
from results.plots.choices_pictures import draw_importance
from results.plots.network_drawing import draw_networks, svg
from results.report.plots import write_pictures
from results.report.run_view import Run
from search_space.architecture.architecture import Architecture
from search_space.architecture.published import PUBLISHED
from search_space.errors import SettingsError
from tests.results.synthetic import fidelity, measured, measurement, whole_run


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_published_network_is_named_numbers(name: str) -> None:
    network = PUBLISHED[name]
    found = {choice.name: choice for choice in choices(network)}
    assert len(found) == 4 + 6 * len(network.stages) + 1
    assert found["size"].value == network.input.size
    depths = [found[f"stage {number} depth"].value for number in range(1, len(network.stages) + 1)]
    assert sum(depths) == len(network.layers)


def test_a_choice_that_never_differs_is_no_column() -> None:
    members = latest(whole_run())
    table = choice_table(members)
    assert "size" not in table.names and "stage 2 width" in table.names
    assert table.values.shape == (len(members), len(table.names))
    widths = [Architecture.parse(m.architecture).stages[1].width for m in members]
    assert table.values[:, table.names.index("stage 2 width")].tolist() == widths


def planted(count: int = 120) -> list[Measurement]:
    """Accuracy follows the width of stage 2 alone; multiply-adds are noise."""
    rng = np.random.default_rng(0)
    rows = []
    for index in range(count):
        one = measured(str(index), 0.0, float(10 ** rng.uniform(6, 7)))
        width = Architecture.parse(one.architecture).stages[1].width
        rows.append(measured(str(index), width / 50 + rng.normal(0, 0.01), one.metrics["macs"]))
    return rows


def test_importance_finds_the_choice_that_was_planted() -> None:
    found = importance(planted())
    # Expansion is a ratio to the width, so that it knows of it.
    assert found.names[0] in ("stage 2 width", "stage 2 expansion")
    assert "stage 2 width" in found.names[:2]
    assert found.plain.losses[0] > 5 * max(found.plain.losses[2:])
    assert min(model.fit for model in found.models) > 0.8 and found.unexplained == ""
    assert importance(planted()) == found


def test_importance_of_noise_is_said_to_mean_nothing() -> None:
    rng = np.random.default_rng(1)
    rows = [
        measured(str(i), float(rng.uniform(0.2, 0.8)), float(10 ** rng.uniform(6, 7))) for i in range(120)
    ]
    assert max(model.fit for model in importance(rows).models) < 0.15


@pytest.mark.parametrize(("fits", "bars"), [((0.5, 0.4), 2), ((0.5, -0.1), 1), ((0.0, -0.1), 0)])
def test_a_model_that_learnt_nothing_has_words_and_no_bars(
    fits: tuple[float, float], bars: int, tmp_path: Path
) -> None:
    found = importance(planted())
    plain, at_cost = (replace(model, fit=fit) for model, fit in zip(found.models, fits, strict=True))
    view = replace(found, plain=plain, at_cost=at_cost)
    assert view.unexplained.count("R²") == 2 - bars
    figure = importance_figure(view)
    assert len(figure.data) == bars
    words = [annotation.text for annotation in figure.layout.annotations]
    assert words == ([view.unexplained] if bars < 2 else [])
    drawn = Figure()
    draw_importance(view)(drawn)
    assert len(drawn.axes[0].containers) == bars
    texts = [drawn.axes[0].get_xlabel(), *(text.get_text() for text in drawn.axes[0].texts)]
    assert any("Nothing was learnt" in text for text in texts) == (bars < 2)


@pytest.mark.parametrize(
    ("make", "words"), [(importance, "matter"), (along_frontier, "longer"), (parallel, "two")]
)
def test_too_few_candidates_are_said_to_be(make: object, words: str) -> None:
    assert callable(make)
    with pytest.raises(SettingsError, match=words):
        make([measured("a", 0.5, 1e6)])


def test_along_the_frontier_members_are_in_order() -> None:
    found = along_frontier(whole_run())
    assert found.confirmed
    assert [m.macs for m in found.members] == sorted(m.macs for m in found.members)
    assert len(found.table.words) == len(found.members)


def test_parallel_coordinates_keep_the_frontier_of_many() -> None:
    rng = np.random.default_rng(0)
    rows = [measured(str(i), float(rng.uniform(0, 1)), float(10 ** rng.uniform(5, 7))) for i in range(3000)]
    found = parallel(rows)
    assert found.count == 3000 and len(found.values) < 1600
    assert found.values[found.front, -1].max() == max(row.metrics["top1"] for row in rows)
    assert found.values.shape[1] == len(found.names) <= 14


def test_learning_curves_are_of_who_went_on() -> None:
    rows = whole_run()
    found = learning_curves(rows, {})
    assert found.count == 24 and len(found.front) + len(found.others) == 24
    assert {curve.epochs for curve in found.front} == {(2, 4, 8)}
    with pytest.raises(SettingsError, match="two rungs"):
        learning_curves([measurement("a", fidelity(2), {"top1": 0.5, "macs": 1.0})])


def test_the_curves_of_shared_weights_are_of_the_networks_that_were_watched() -> None:
    def epoch(number: int) -> Measurement:
        scores = {"top1": 0.1 * number, "smallest_watched": 0.05 * number, "middle_watched": 0.08 * number}
        return replace(measurement("big", fidelity(number), {**scores, "macs": 1e7}), purpose="supernet")

    rows = [epoch(number) for number in (2, 1, 3)]
    found = learning_curves([*rows, measurement("a", fidelity(3), {"top1": 0.5, "macs": 1.0})])
    assert found.title == "Learning curves of the supernet"
    assert {curve.name: curve.accuracies for curve in found.front} == {
        "smallest": (0.05, 0.1, pytest.approx(0.15)),
        "middle": (0.08, 0.16, 0.24),
        "largest": (0.1, 0.2, pytest.approx(0.3)),
    }
    assert all(curve.epochs == (1, 2, 3) for curve in found.front)
    assert learning_curves(whole_run()).title == "Learning curves of the search"


def test_drawings_have_a_box_for_every_layer() -> None:
    drawing = draw_networks([("A0 <&>", PUBLISHED["A0-stream"]), ("A5", PUBLISHED["A5-base"])])
    layers = sum(len(PUBLISHED[name].layers) for name in ("A0-stream", "A5-base"))
    assert len(drawing.boxes) == layers + 2 * 2 + 5
    assert all(box.x >= 0 and box.x + box.width <= drawing.width for box in drawing.boxes)
    root = ElementTree.fromstring(svg(drawing, 'it "is"'))
    assert root.get("aria-label") == 'it "is"'
    names = [title.text or "" for title in root.iter("{http://www.w3.org/2000/svg}title")]
    assert any(re.search(r"stage 5, layer 18: kernel .x.x., expansion \d+", name) for name in names)


def test_every_plot_is_a_picture(tmp_path: Path) -> None:
    rows = whole_run()
    run = Run("both", rows, runs={"one": rows, "other": whole_run(1)})
    written, failed = write_pictures(run, tmp_path)
    assert failed == []
    assert {path.stem for path in written} == {
        *("frontier", "hypervolume", "hypervolume-time", "attainment", "survival", "curves"),
        *("parallel", "along", "importance", "members"),
    }
    for path in written:
        # Of these candidates nothing is learnt, which is said in a few words.
        assert path.stat().st_size > (1000 if path.stem == "importance" else 5000)
    assert b"<svg" in (tmp_path / "frontier.svg").read_bytes()[:2000]
