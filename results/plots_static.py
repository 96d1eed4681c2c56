"""The plots as pictures, for papers and README files (matplotlib)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator, PercentFormatter

from results import units
from results.frontier import FrontierMember
from results.hypervolume import Progress
from results.plot_view import (
    CONFIRMED_COLOR,
    FAMILY_COLOR,
    GRID_COLOR,
    INK,
    PROVISIONAL_COLOR,
    FrontierView,
)

_STYLE: Any = {
    "font.family": ["DejaVu Sans"],
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": "#9aa5b1",
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "xtick.color": "#52606d",
    "ytick.color": "#52606d",
    "legend.frameon": False,
    "svg.fonttype": "none",
}
_DOTS_PER_INCH = 180


def write_frontier(view: FrontierView, path: Path) -> None:
    """Draws the frontier plot; the suffix of ``path`` (png, svg, pdf) says the format."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(8.4, 5.6), layout="constrained")
        axes = figure.add_subplot()
        _frame(axes, view.title)
        _clouds(axes, view)
        _fronts(axes, view)
        _family(axes, view)
        for label, value in view.references.items():
            axes.axhline(value, color="#9aa5b1", linewidth=1, linestyle=(0, (2, 2)), zorder=1)
            axes.annotate(
                label,
                (1, value),
                (-4, 3),
                xycoords=("axes fraction", "data"),
                textcoords="offset points",
                ha="right",
                fontsize=8,
                color="#7b8794",
            )
        _logarithmic(axes, view)
        if axes.get_legend_handles_labels()[0]:
            figure.legend(loc="outside lower center", ncols=3, fontsize=8.5, handlelength=1.8)
        figure.savefig(path, dpi=_DOTS_PER_INCH, facecolor="white")


def write_progress(progress: Progress, path: Path) -> None:
    """Draws hypervolume against evaluations."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.add_subplot()
        _frame(axes, "Hypervolume of the search")
        axes.step(
            progress.evaluations, progress.hypervolume, where="post", color=CONFIRMED_COLOR, linewidth=1.8
        )
        axes.set_xlabel("evaluations")
        axes.set_ylabel("dominated hypervolume")
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
        figure.savefig(path, dpi=_DOTS_PER_INCH, facecolor="white")


def _frame(axes: Axes, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold", pad=12)
    axes.grid(color=GRID_COLOR, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _clouds(axes: Axes, view: FrontierView) -> None:
    for cloud in view.clouds:
        axes.scatter(
            [m.macs for m in cloud.members],
            [m.accuracy for m in cloud.members],
            s=26,
            color=cloud.color,
            edgecolors="white",
            linewidths=0.5,
            label=f"measured, {cloud.label}",
            zorder=2,
        )


def _fronts(axes: Axes, view: FrontierView) -> None:
    if view.provisional:
        axes.step(
            *_xy(view.provisional),
            where="post",
            color=PROVISIONAL_COLOR,
            linewidth=1.2,
            linestyle=(0, (4, 2)),
            label="provisional frontier",
            zorder=3,
        )
    if view.confirmed:
        macs, accuracies = _xy(view.confirmed)
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


def _xy(members: tuple[FrontierMember, ...]) -> tuple[list[int], list[float]]:
    return [m.macs for m in members], [m.accuracy for m in members]


def _family(axes: Axes, view: FrontierView) -> None:
    if not view.family:
        return
    axes.scatter(
        [m.macs for m in view.family],
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
            (member.macs, member.accuracy),
            (0, 9),
            textcoords="offset points",
            ha="center",
            fontsize=9.5,
            fontweight="bold",
            color=FAMILY_COLOR,
            zorder=7,
        )


def _logarithmic(axes: Axes, view: FrontierView) -> None:
    axes.set_xscale("log")
    axes.set_xlabel("multiply-adds of a clip")
    axes.set_ylabel("top-1 accuracy")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    if view.macs:
        low, high = min(view.macs) / 1.25, max(view.macs) * 1.25
        axes.set_xlim(low, high)
        axes.xaxis.set_major_locator(FixedLocator(units.log_ticks(low, high)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: units.count(value)))
        # Room for the names above the highest points.
        axes.set_ylim(max(0.0, min(view.accuracies) - 0.06), min(1.08, max(view.accuracies) + 0.08))
