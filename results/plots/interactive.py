"""The plots as interactive figures (plotly): each as a page that needs no network, or for the report."""

from __future__ import annotations

import html
import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from results import units
from results.analysis.candidates import MeasuredNetwork
from results.analysis.hypervolume import HypervolumeHistory
from results.plots.frontier_view import Cloud, FrontierView, NamedPoint, Survival, time_unit
from results.plots.style import (
    AXIS_COLOR,
    CONFIRMED_COLOR,
    FAMILY_COLOR,
    PROVISIONAL_COLOR,
    PUBLISHED_COLOR,
    SERIES,
    SOFT,
    style,
    wrap,
)
from searcher.objectives import OBJECTIVES


def frontier_figure(view: FrontierView) -> go.Figure:
    """Draw accuracy against a cost: candidates by rung, both frontiers, spreads, the named family."""
    figure = go.Figure()
    for cloud in view.clouds:
        figure.add_trace(_cloud(cloud) if cloud.members else _dense_cloud(cloud))
    if view.provisional:
        figure.add_trace(
            _line(view.provisional, view.cost, "provisional frontier", PROVISIONAL_COLOR, dashed=True)
        )
    if view.confirmed:
        figure.add_trace(
            _line(
                view.confirmed, view.cost, "confirmed frontier, mean ± spread", CONFIRMED_COLOR, dashed=False
            )
        )
    if view.family:
        figure.add_trace(_family(view.family, OBJECTIVES[view.cost].words))
    if view.published:
        figure.add_trace(_published(view.published, OBJECTIVES[view.cost].words))
    for label, value in view.references.items():
        figure.add_hline(
            y=value,
            line={"color": AXIS_COLOR, "width": 1, "dash": "dot"},
            annotation={"text": html.escape(label), "font": {"size": 11, "color": SOFT}},
            annotation_position="top right",
        )
    style(figure, view.title, OBJECTIVES[view.cost].words, view.score.axis)
    figure.update_yaxes(tickformat=".0%")
    figure.update_xaxes(type="log")
    if len(view.costs):
        low, high = float(min(view.costs)) / 1.25, float(max(view.costs)) * 1.25
        ticks = units.log_ticks(low, high)
        figure.update_xaxes(tickvals=ticks, ticktext=[units.count(tick) for tick in ticks])
    return figure


def hypervolume_figure(runs: Mapping[str, HypervolumeHistory], against: str = "evaluations") -> go.Figure:
    """Draw hypervolume against evaluations or time; of a level stretch only the ends are drawn.

    Args:
        runs: histories of the runs by name.
        against: ``evaluations``, or ``time`` of training, summed over the workers.
    """
    figure = go.Figure()
    seconds, unit = time_unit(runs.values())
    for (name, history), color in zip(runs.items(), itertools.cycle(SERIES)):
        drawn = history.changes
        x = history.evaluations if against == "evaluations" else [s / seconds for s in history.seconds]
        figure.add_trace(
            go.Scatter(
                x=[x[i] for i in drawn],
                y=[history.hypervolume[i] for i in drawn],
                customdata=[
                    [history.evaluations[i], history.architectures[i], units.duration(history.seconds[i])]
                    for i in drawn
                ],
                mode="lines",
                name=html.escape(name),
                line={"color": color, "width": 2.2, "shape": "hv"},
                hovertemplate="evaluation %{customdata[0]}<br>hypervolume %{y:.3f}<br>%{customdata[1]} "
                "architectures, %{customdata[2]} of training<extra></extra>",
            )
        )
    words = "evaluations" if against == "evaluations" else f"{unit} of training, summed over workers"
    style(figure, f"Hypervolume against {against}", words, "dominated hypervolume")
    figure.update_yaxes(rangemode="tozero")
    figure.update_layout(showlegend=len(runs) > 1)
    return figure


def survival_figure(survival: Survival) -> go.Figure:
    """Draw the number of architectures that reached each rung."""
    figure = go.Figure(
        go.Bar(
            x=list(survival.labels),
            y=list(survival.counts),
            text=[str(count) for count in survival.counts],
            textposition="outside",
            cliponaxis=False,
            marker={"color": CONFIRMED_COLOR},
            width=0.5,
            hovertemplate="%{y} architectures measured after %{x}<extra></extra>",
        )
    )
    style(figure, "Rung survival", "trained for", "architectures measured")
    figure.update_layout(showlegend=False)
    return figure


def _cloud(cloud: Cloud) -> go.Scatter:
    return go.Scatter(
        x=cloud.costs.tolist(),
        y=[m.accuracy for m in cloud.members],
        mode="markers",
        name=f"measured, {html.escape(cloud.label)}",
        marker={"color": cloud.color, "size": 7, "line": {"color": "white", "width": 0.6}},
        hovertext=[_hover(m) for m in cloud.members],
        hoverinfo="text",
    )


def _dense_cloud(cloud: Cloud) -> go.Scattergl:
    """Draw a cloud of thousands, in single precision, perhaps thinned out."""
    every = round(cloud.count / len(cloud.costs))
    words = html.escape(cloud.label) + (f" (one in {every} drawn)" if every > 1 else "")
    return go.Scattergl(
        x=cloud.costs.astype(np.float32),
        y=cloud.accuracies.astype(np.float32),
        mode="markers",
        name=f"measured, {words}",
        marker={"color": cloud.color, "size": 5},
        hovertemplate="%{y:.1%}, %{x:.3s}<extra></extra>",
    )


def _line(
    members: Sequence[MeasuredNetwork], cost: str, name: str, color: str, *, dashed: bool
) -> go.Scatter:
    return go.Scatter(
        x=[m.value(cost) for m in members],
        y=[m.accuracy for m in members],
        mode="lines" if dashed else "lines+markers",
        name=name,
        line={
            "color": color,
            "width": 1.6 if dashed else 2,
            "shape": "hv",
            "dash": "dash" if dashed else "solid",
        },
        marker={"color": color, "size": 7},
        error_y={
            "type": "data",
            "array": [m.spread for m in members],
            "visible": not dashed,
            "thickness": 1.2,
            "width": 4,
            "color": color,
        },
        hovertext=[_hover(m) for m in members],
        hoverinfo="text",
    )


def _family(family: Sequence[NamedPoint], unit: str) -> go.Scatter:
    return go.Scatter(
        x=[m.cost for m in family],
        y=[m.accuracy for m in family],
        mode="markers+text",
        name="family" + (", trained" if all(m.trained for m in family) else ""),
        text=[f"<b>{html.escape(m.name)}</b>" for m in family],
        textposition="top center",
        textfont={"color": FAMILY_COLOR, "size": 13},
        cliponaxis=False,
        marker={
            # Hollow, so that the confirmed mean and its bar stay to be seen behind.
            "symbol": "diamond-open",
            "size": 11,
            "color": FAMILY_COLOR,
            "line": {"color": FAMILY_COLOR, "width": 2.2},
        },
        hovertext=[
            f"<b>{html.escape(m.name)}</b> {units.percent(m.accuracy)}"
            f"{', after its final training' if m.trained else ''}<br>{units.count(m.cost)} {unit}<br>"
            + wrap(m.architecture)
            for m in family
        ],
        hoverinfo="text",
    )


def _published(networks: Sequence[NamedPoint], unit: str) -> go.Scatter:
    return go.Scatter(
        x=[m.cost for m in networks],
        y=[m.accuracy for m in networks],
        mode="markers+text",
        name="released networks, on Kinetics-600",
        text=[html.escape(m.name) for m in networks],
        textposition=["top center" if m.name.endswith("base") else "bottom center" for m in networks],
        textfont={"color": PUBLISHED_COLOR, "size": 11},
        marker={"symbol": "square", "size": 7, "color": PUBLISHED_COLOR},
        hovertext=[
            f"<b>{html.escape(m.name)}</b> {units.percent(m.accuracy)} on Kinetics-600<br>"
            f"{units.count(m.cost)} {unit}<br>{wrap(m.architecture)}"
            for m in networks
        ],
        hoverinfo="text",
    )


def _hover(member: MeasuredNetwork) -> str:
    seeds = f", {member.seeds} seeds" if member.seeds > 1 else ""
    return (
        f"<b>{units.accuracy(member.accuracy, member.spread, member.seeds)}</b>{seeds}<br>"
        f"{units.count(member.macs)} multiply-adds, {units.count(member.parameters)} parameters<br>"
        f"{html.escape(member.fidelity)}<br>{wrap(member.architecture)}"
    )
