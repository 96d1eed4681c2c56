"""The plots of a run: each as an interactive figure for the page, as a picture, and in words."""

from __future__ import annotations

import html
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import plotly.graph_objects as go

from results import units
from results.analysis.attainment import attainment
from results.analysis.choices import along_frontier, importance, parallel
from results.analysis.frontier import frontier, knee
from results.analysis.hypervolume import HypervolumeHistory, hypervolume_history
from results.analysis.learning_curves import learning_curves
from results.plots.choices_interactive import (
    along_figure,
    attainment_figure,
    curves_figure,
    importance_figure,
    parallel_figure,
)
from results.plots.choices_pictures import (
    draw_along,
    draw_attainment,
    draw_curves,
    draw_importance,
    draw_parallel,
)
from results.plots.frontier_view import FrontierView, frontier_view, survival
from results.plots.interactive import frontier_figure, hypervolume_figure, survival_figure
from results.plots.network_drawing import draw_networks, draw_picture, svg
from results.plots.pictures import Draw, draw_frontier, draw_hypervolume, draw_survival
from results.plots.style import fragment, write_picture
from results.report.run_view import Run
from search_space.architecture.architecture import Architecture
from search_space.errors import MovinasError, SettingsError
from searcher.objectives import DEFAULT_OBJECTIVES, OBJECTIVES

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot in all of its forms.

    Args:
        figure: interactive figure, or HTML that is escaped already.
        draw: function that draws the same as a picture.
        alt: description in words, for readers who cannot see it.
        height: height of the interactive form in pixels.
        size: width and height of the picture in inches.
    """

    figure: go.Figure | str
    draw: Draw
    alt: str
    height: int = 420
    size: tuple[float, float] = (8.4, 5.0)

    def markup(self, identity: str) -> str:
        """Return the HTML of the interactive form, with its description."""
        words = html.escape(self.alt, quote=True)
        if isinstance(self.figure, str):
            return f'<div id="{identity}" class="drawing">{self.figure}</div>'
        inner = fragment(self.figure, identity, self.height)
        return f'<div role="img" aria-label="{words}">{inner}</div>'


def _frontier(run: Run, cost: str = "macs") -> Plot:
    view = frontier_view(
        run.measurements,
        run.family,
        run.trained,
        cost=cost,
        references=run.references,
        published=run.published,
    )
    return Plot(frontier_figure(view), draw_frontier(view), _frontier_words(view), 560, (8.4, 5.6))


def _frontier_words(view: FrontierView) -> str:
    count = sum(cloud.count for cloud in view.clouds)
    words = f"{view.title}: {count} candidates"
    front = view.confirmed or view.provisional
    if front:
        ends = " to ".join(
            f"{units.percent(m.accuracy)} at {units.count(m.value(view.cost))}" for m in (front[0], front[-1])
        )
        which = "confirmed" if view.confirmed else "provisional"
        words += f"; the {which} frontier has {len(front)}, from {ends}"
        bend = knee(front, view.cost)
        if bend is not None:
            words += f", with its knee at {units.count(bend.value(view.cost))}"
    named = ", ".join(f"{m.name} {units.percent(m.accuracy)} at {units.count(m.cost)}" for m in view.family)
    return f"{words}; family: {named}." if named else f"{words}."


def _hypervolume(run: Run, against: str) -> Plot:
    runs = hypervolumes(run)
    last = ", ".join(
        f"{name} {history.hypervolume[-1]:.3f} after {history.evaluations[-1]} evaluations and "
        f"{units.duration(history.seconds[-1])} of training"
        for name, history in runs.items()
        if history.evaluations
    )
    return Plot(
        hypervolume_figure(runs, against),
        draw_hypervolume(runs, against),
        f"Dominated hypervolume against {against}: {last or 'nothing measured'}.",
        380,
        (7, 4),
    )


def hypervolumes(run: Run) -> Mapping[str, HypervolumeHistory]:
    """Return how the hypervolume of each run grew, in one box for all of them."""
    return {
        name: hypervolume_history(
            measurements, objectives=run.objectives, constraints=run.constraints, among=run.measurements
        )
        for name, measurements in (run.runs or {run.name: run.measurements}).items()
    }


def _attainment(run: Run) -> Plot:
    purpose = "confirmation" if any(m.purpose == "confirmation" for m in run.measurements) else "search"
    surfaces = attainment([frontier(measurements, purpose) for measurements in run.runs.values()])
    words = ", ".join(f"{s.label} reach {units.percent(s.accuracies[-1])}" for s in surfaces if s.accuracies)
    return Plot(
        attainment_figure(surfaces, run.score),
        draw_attainment(surfaces, run.score),
        f"Attainment over {len(run.runs)} runs, at the highest cost: {words}.",
    )


def _parallel(run: Run) -> Plot:
    view = parallel(run.measurements)
    return Plot(
        parallel_figure(view),
        draw_parallel(view),
        f"{len(view.values)} of {view.count} candidates as lines over {', '.join(view.names)}.",
        520,
        (10, 5.4),
    )


def _along(run: Run) -> Plot:
    view = along_frontier(run.measurements)
    rises = [
        name
        for name, column in zip(view.table.names, view.table.values.T, strict=True)
        if column[-1] > column[0]
    ]
    return Plot(
        along_figure(view),
        draw_along(view),
        f"Choices of {len(view.members)} frontier members, the cheapest first. Higher in the most expensive "
        f"than in the cheapest: {', '.join(rises) or 'none'}.",
        140 + 22 * len(view.table.names),
        (8.4, 1.6 + 0.24 * len(view.table.names)),
    )


def _importance(run: Run) -> Plot:
    view = importance(run.measurements)
    fits = [f"{model.fit:.2f} for {model.target}" for model in view.models if model.learnt]
    first = f"the most important first: {', '.join(view.names[:5])}. R² on held-out candidates is "
    words = first + " and ".join(fits) + "." if fits else "nothing is drawn."
    return Plot(
        importance_figure(view),
        draw_importance(view),
        f"Importance of choices for accuracy after {view.count} candidates at {view.fidelity}; {words} "
        f"{view.unexplained}".strip(),
        520 if fits else 180,
        (8.4, 6 if fits else 2.4),
    )


def _members(run: Run) -> Plot:
    if run.family:
        wanted = [(m.name, m.architecture) for m in run.family.singles]
    else:
        front = frontier(run.measurements, "confirmation") or frontier(run.measurements)
        wanted = [(m.digest[:8], m.architecture) for m in front[:12]]
    if not wanted:
        raise SettingsError("there is no network to draw", hint="wait until one was measured")
    drawing = draw_networks([(name, Architecture.parse(text)) for name, text in wanted])
    words = "Stages, layers and kernels of " + "; ".join(f"{name}: {text}" for name, text in wanted)
    return Plot(svg(drawing, words), draw_picture(drawing), words)


def _survival(run: Run) -> Plot:
    view = survival(run.measurements)
    words = ", ".join(f"{c} after {w}" for w, c in zip(view.labels, view.counts, strict=True))
    return Plot(
        survival_figure(view),
        draw_survival(view),
        f"Architectures measured at each rung: {words or 'none'}.",
        380,
        (7, 4),
    )


def _curves(run: Run) -> Plot:
    names = {m.digest: m.name for m in run.family.singles} if run.family else {}
    view = learning_curves(run.measurements, names)
    ends = ", ".join(f"{c.name} {units.percent(c.accuracies[-1])}" for c in view.front)
    words = f"Accuracy over epochs of {view.count} candidates; of the frontier: {ends or 'none'}."
    if view.shared:
        words = f"Accuracy over the epochs of the shared weights, in the end: {ends}."
    return Plot(curves_figure(view), draw_curves(view), words)


MAKERS: Mapping[str, Callable[[Run], Plot]] = {
    "frontier": _frontier,
    **{
        f"frontier-{cost}": partial(_frontier, cost=cost)
        for cost in OBJECTIVES
        if cost not in DEFAULT_OBJECTIVES
    },
    "hypervolume": partial(_hypervolume, against="evaluations"),
    "hypervolume-time": partial(_hypervolume, against="time"),
    "attainment": _attainment,
    "survival": _survival,
    "curves": _curves,
    "parallel": _parallel,
    "along": _along,
    "importance": _importance,
    "members": _members,
}
PICTURES = tuple(f"{name}.{suffix}" for name in MAKERS for suffix in ("png", "svg"))
"""The names of all files that ``write_pictures`` may write."""


def wanted_plots(run: Run) -> list[str]:
    """Return the names of the plots that a run has: further objectives and several runs have their own."""
    costs = [f"frontier-{name}" for name in run.objectives if name not in DEFAULT_OBJECTIVES]
    single = len(run.runs) < 2
    return [
        name
        for name in MAKERS
        if (not name.startswith("frontier-") or name in costs) and not (name == "attainment" and single)
    ]


def write_pictures(run: Run, folder: Path) -> tuple[list[Path], list[str]]:
    """Write every plot of a run as PNG and as SVG.

    Args:
        run: run to draw.
        folder: folder of the pictures; created if it does not exist.

    Returns:
        The files, and why any others could not be drawn; one failure keeps no other from being drawn.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    failed = []
    for name in wanted_plots(run):
        files = [folder / f"{name}.{suffix}" for suffix in ("png", "svg")]
        try:
            plot = MAKERS[name](run)
            write_picture(plot.draw, files[0], plot.size, *files[1:])
            written += files
        except MovinasError as error:
            failed.append(f"{name}: {error}")
        except Exception as error:
            # The same boundary as the page's: whatever goes wrong in one plot, the others are drawn.
            _LOG.exception("plot %s failed", name)
            failed.append(f"{name}: {type(error).__name__}: {error}")
    return written, failed
