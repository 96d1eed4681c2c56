"""The plots as pictures, for papers and README files (matplotlib)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator, PercentFormatter

from results import units
from results.analysis.candidates import MeasuredNetwork
from results.analysis.hypervolume import HypervolumeHistory
from results.plots.frontier_view import FrontierView, Survival, time_unit
from results.plots.style import (
    AXIS_COLOR,
    CONFIRMED_COLOR,
    FAMILY_COLOR,
    PROVISIONAL_COLOR,
    PUBLISHED_COLOR,
    SERIES,
    SOFT,
    frame,
    write_picture,
)
from searcher.objectives import OBJECTIVES

Draw = Callable[[Figure], None]


def write_frontier(view: FrontierView, path: Path) -> None:
    """Draw the frontier plot; the suffix of ``path`` (png, svg, pdf) decides the format."""
    write_picture(draw_frontier(view), path)


def draw_frontier(view: FrontierView) -> Draw:
    """Draw accuracy against the logarithm of a cost."""

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        frame(axes, view.title, OBJECTIVES[view.cost].words, view.score.axis)
        _clouds(axes, view)
        _fronts(axes, view)
        _family(axes, view)
        _published(axes, view)
        for label, value in view.references.items():
            _reference(axes, label, value)
        _logarithmic(axes, view)
        if axes.get_legend_handles_labels()[0]:
            figure.legend(loc="outside lower center", ncols=3, fontsize=8.5, handlelength=1.8)

    return draw


def _reference(axes: Axes, label: str, value: float) -> None:
    axes.axhline(value, color=AXIS_COLOR, linewidth=1, linestyle=(0, (2, 2)), zorder=1)
    axes.annotate(
        label,
        (1, value),
        (-4, 3),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        ha="right",
        fontsize=8,
        color=SOFT,
    )


def draw_hypervolume(runs: Mapping[str, HypervolumeHistory], against: str = "evaluations") -> Draw:
    """Draw hypervolume against evaluations, or against training time."""

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        seconds, unit = time_unit(runs.values())
        words = "evaluations" if against == "evaluations" else f"{unit} of training, summed over workers"
        frame(axes, f"Hypervolume against {against}", words, "dominated hypervolume")
        for (name, history), color in zip(runs.items(), itertools.cycle(SERIES)):
            drawn = history.changes
            x = history.evaluations if against == "evaluations" else [s / seconds for s in history.seconds]
            axes.step(
                [x[i] for i in drawn],
                [history.hypervolume[i] for i in drawn],
                where="post",
                color=color,
                linewidth=1.8,
                label=name,
            )
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
        if len(runs) > 1:
            axes.legend(fontsize=8.5)

    return draw


def draw_survival(survival: Survival) -> Draw:
    """Draw the number of architectures that reached each rung."""

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        frame(axes, "Rung survival", "trained for", "architectures measured")
        bars = axes.bar(list(survival.labels), list(survival.counts), width=0.5, color=CONFIRMED_COLOR)
        axes.bar_label(bars, padding=3)
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))

    return draw


def _clouds(axes: Axes, view: FrontierView) -> None:
    for cloud in view.clouds:
        # A line of markers draws thousands of points many times faster than a scatter.
        axes.plot(
            cloud.costs,
            cloud.accuracies,
            "o",
            markersize=5.5 if cloud.members else 2.5,
            color=cloud.color,
            markeredgecolor="white",
            markeredgewidth=0.5 if cloud.members else 0,
            label=f"measured, {cloud.label}",
            rasterized=not cloud.members,
            zorder=2,
        )


def _fronts(axes: Axes, view: FrontierView) -> None:
    if view.provisional:
        axes.step(
            *_xy(view.provisional, view.cost),
            where="post",
            color=PROVISIONAL_COLOR,
            linewidth=1.2,
            linestyle=(0, (4, 2)),
            label="provisional frontier",
            zorder=3,
        )
    if view.confirmed:
        macs, accuracies = _xy(view.confirmed, view.cost)
        axes.step(macs, accuracies, where="post", color=CONFIRMED_COLOR, linewidth=1.6, zorder=4)
        axes.errorbar(
            macs,
            accuracies,
            yerr=[m.spread for m in view.confirmed],
            fmt="o",
            markersize=4.5,
            color=CONFIRMED_COLOR,
            capsize=3,
            elinewidth=1.1,
            label="confirmed frontier, mean ± spread",
            zorder=5,
        )


def _xy(members: tuple[MeasuredNetwork, ...], cost: str) -> tuple[list[float], list[float]]:
    return [m.value(cost) for m in members], [m.accuracy for m in members]


def _family(axes: Axes, view: FrontierView) -> None:
    if not view.family:
        return
    axes.scatter(
        [m.cost for m in view.family],
        [m.accuracy for m in view.family],
        s=58,
        marker="D",
        # Hollow, so that the confirmed mean and its bar stay to be seen behind.
        facecolors="none",
        edgecolors=FAMILY_COLOR,
        linewidths=1.7,
        label="family" + (", trained" if all(m.trained for m in view.family) else ""),
        zorder=6,
    )
    for member in view.family:
        axes.annotate(
            member.name,
            (member.cost, member.accuracy),
            (0, 9),
            textcoords="offset points",
            ha="center",
            fontsize=9.5,
            fontweight="bold",
            color=FAMILY_COLOR,
            zorder=7,
        )


def _published(axes: Axes, view: FrontierView) -> None:
    if not view.published:
        return
    axes.plot(
        [m.cost for m in view.published],
        [m.accuracy for m in view.published],
        "s",
        markersize=5,
        color=PUBLISHED_COLOR,
        label="released networks, on Kinetics-600",
        zorder=3,
    )
    for network in view.published:
        axes.annotate(
            network.name,
            (network.cost, network.accuracy),
            (0, 6 if network.name.endswith("base") else -11),
            textcoords="offset points",
            ha="center",
            fontsize=7.5,
            color=PUBLISHED_COLOR,
        )


def _logarithmic(axes: Axes, view: FrontierView) -> None:
    axes.set_xscale("log")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    if len(view.costs):
        low, high = float(min(view.costs)) / 1.25, float(max(view.costs)) * 1.25
        axes.set_xlim(low, high)
        axes.xaxis.set_major_locator(FixedLocator(units.log_ticks(low, high)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: units.count(value)))
        # Room for the names above the highest points.
        axes.set_ylim(max(0.0, min(view.accuracies) - 0.06), min(1.08, max(view.accuracies) + 0.08))
