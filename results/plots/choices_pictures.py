"""Pictures of choices and of several runs, with matplotlib; the same as the interactive ones."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator, PercentFormatter

from results import units
from results.analysis.attainment import Surface
from results.analysis.candidates import Floats
from results.analysis.choices import Along, Importance, Parallel
from results.analysis.learning_curves import Curves
from results.plots.choices_interactive import relative
from results.plots.pictures import Draw
from results.plots.style import BLUE, GREY, SCALE, SERIES, VERMILION, frame
from searcher.objectives import TOP1_SCORE, Score


def draw_parallel(view: Parallel) -> Draw:
    """Draw an axis for each choice, cost, and accuracy; the frontier's lines are thick."""

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        frame(axes, "Parallel coordinates")
        shown = np.where(view.logarithmic, np.log10(np.maximum(view.values, 1e-9)), view.values)
        scaled = relative(shown)
        places = np.arange(scaled.shape[1])
        order = np.lexsort((view.values[:, -1], view.front))
        lines = [np.column_stack([places, scaled[row]]) for row in order.tolist()]
        drawn = LineCollection(
            lines, cmap=SCALE.lower(), linewidths=np.where(view.front[order], 2.2, 0.5).tolist(), alpha=0.75
        )
        drawn.set_array(view.values[order, -1])
        axes.add_collection(drawn)
        axes.set_xlim(-0.2, len(places) - 0.8)
        axes.set_ylim(-0.08, 1.08)
        axes.set_xticks(places, view.names, rotation=40, ha="right")
        axes.set_yticks([])
        axes.grid(visible=True, axis="x")
        for place, (name, values) in enumerate(zip(view.names, view.values.T, strict=True)):
            _ends(axes, place, values, percent=name == view.names[-1])
        figure.colorbar(drawn, ax=axes, label=view.names[-1], format=PercentFormatter(1.0, decimals=0))

    return draw


def _ends(axes: Axes, place: int, values: Floats, *, percent: bool) -> None:
    words = units.percent if percent else units.count
    axes.text(place, -0.02, words(float(values.min())), ha="center", va="top", fontsize=7)
    axes.text(place, 1.02, words(float(values.max())), ha="center", va="bottom", fontsize=7)


def draw_along(view: Along) -> Draw:
    """Draw choices down and the frontier's members across."""

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        which = "confirmed" if view.confirmed else "provisional"
        frame(axes, f"Choices along the {which} frontier", f"multiply-adds and {view.score.name}")
        shades = relative(view.table.values).T
        axes.imshow(shades, aspect="auto", cmap=SCALE.lower(), vmin=0, vmax=1)
        axes.grid(visible=False)
        heads = [f"{units.count(m.macs)}\n{units.percent(m.accuracy)}" for m in view.members]
        axes.set_xticks(range(len(heads)), heads, fontsize=8)
        axes.set_yticks(range(len(view.table.names)), view.table.names, fontsize=8)
        if len(heads) > 12:
            return
        for (row, column), shade in np.ndenumerate(shades):
            color = "white" if shade < 0.55 else "black"
            words = view.table.words[column][row]
            axes.text(column, row, words, ha="center", va="center", fontsize=6.5, color=color)

    return draw


def draw_importance(view: Importance, most: int = 15) -> Draw:
    """Draw by how much R² falls when a choice is shuffled; a model that learnt nothing has words, no bars."""

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        frame(axes, "Which choices matter", "fall of R² on held-out candidates when shuffled")
        names = view.names[:most]
        places = np.arange(len(names))
        learnt = [model for model in view.models if model.learnt]
        for model, offset, color in zip(view.models, (-0.2, 0.2), (BLUE, VERMILION), strict=True):
            if model.learnt:
                words = f"{model.target} (R² {model.fit:.2f})"
                axes.barh(places + offset, model.losses[:most], 0.38, color=color, label=words)
        if not learnt:
            axes.axis("off")
            axes.text(0.5, 0.5, view.unexplained, ha="center", va="center", transform=axes.transAxes)
            return
        axes.set_xlabel(f"{axes.get_xlabel()}\n{view.unexplained}".strip())
        axes.set_yticks(places, names, fontsize=8.5)
        axes.invert_yaxis()
        axes.legend(fontsize=8.5)

    return draw


def draw_curves(view: Curves) -> Draw:
    """Draw accuracy against epochs: the frontier's members in colour, some of the others pale behind them."""

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        frame(axes, view.title, "epochs", view.score.axis)
        for curve in view.others:
            axes.plot(curve.epochs, curve.accuracies, color=GREY, linewidth=0.7, alpha=0.5)
        for curve, color in zip(view.front, itertools.cycle(SERIES)):
            axes.plot(curve.epochs, curve.accuracies, "o-", color=color, label=curve.name)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        epochs = sorted({epoch for curve in (*view.front, *view.others) for epoch in curve.epochs})
        axes.set_xticks(epochs)
        if view.front:
            figure.legend(loc="outside lower center", ncols=5, fontsize=8.5)

    return draw


def draw_attainment(surfaces: Sequence[Surface], score: Score = TOP1_SCORE) -> Draw:
    """Draw for each cost the accuracy that one, more than half, or all of the runs reach."""

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        frame(axes, "Attainment of the runs", "multiply-adds of a clip", score.axis)
        for surface, color in zip(surfaces, SERIES, strict=False):
            axes.step(surface.costs, surface.accuracies, where="post", color=color, label=surface.label)
        axes.set_xscale("log")
        costs = [cost for surface in surfaces for cost in surface.costs]
        ticks = units.log_ticks(min(costs) / 1.25, max(costs) * 1.25)
        axes.xaxis.set_major_locator(FixedLocator(ticks))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: units.count(value)))
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.legend(fontsize=8.5)

    return draw
