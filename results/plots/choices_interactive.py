"""Interactive figures of choices, curves and several runs (plotly)."""

from __future__ import annotations

import html
import itertools
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from results import units
from results.analysis.attainment import Surface
from results.analysis.candidates import Floats
from results.analysis.choices import Along, Importance, Parallel
from results.analysis.learning_curves import Curve, Curves
from results.plots.style import BLUE, GREY, SCALE, SERIES, VERMILION, style, wrap
from searcher.objectives import TOP1_SCORE, Score


def parallel_figure(view: Parallel) -> go.Figure:
    """Draw an axis for each choice, cost, and accuracy; dragging along an axis keeps some of the lines."""
    dimensions = [
        _dimension(name, values, logarithmic, percent=name == view.names[-1])
        for name, values, logarithmic in zip(view.names, view.values.T, view.logarithmic, strict=True)
    ]
    front = {
        "label": "on the frontier",
        "values": view.front.astype(np.float32),
        "tickvals": [0, 1],
        "ticktext": ["no", "yes"],
        "range": [0, 1],
    }
    figure = go.Figure(
        go.Parcoords(
            dimensions=[*dimensions, front],
            line={
                "color": view.values[:, -1].astype(np.float32),
                "colorscale": SCALE,
                "showscale": True,
                "colorbar": {"title": {"text": view.names[-1]}, "tickformat": ".0%", "thickness": 12},
            },
            labelangle=-30,
            labelfont={"size": 11},
        )
    )
    style(figure, "Parallel coordinates", "", "")
    figure.update_layout(margin={"l": 70, "r": 40, "t": 150, "b": 30})
    return figure


def _dimension(name: str, values: Floats, logarithmic: bool, *, percent: bool) -> dict[str, object]:
    low, high = float(values.min()), float(values.max())
    if logarithmic:
        ticks = units.log_ticks(low, high) or [low, high]
        return {
            "label": name,
            "values": np.log10(values).astype(np.float32),
            "tickvals": [float(np.log10(tick)) for tick in ticks],
            "ticktext": [units.count(tick) for tick in ticks],
        }
    if percent:
        return {"label": name, "values": values.astype(np.float32), "tickformat": ".0%"}
    distinct = np.unique(values)
    ticks = distinct.tolist() if len(distinct) <= 8 else [low, high]
    words = [f"{tick:.3g}" for tick in ticks]
    return {"label": name, "values": values.astype(np.float32), "tickvals": ticks, "ticktext": words}


def along_figure(view: Along) -> go.Figure:
    """Draw choices down and the frontier's members across: how networks change as they may cost more."""
    heads = [f"{units.count(m.macs)}<br>{units.percent(m.accuracy)}" for m in view.members]
    columns = [f"{index}" for index in range(len(heads))]
    figure = go.Figure(
        go.Heatmap(
            x=columns,
            y=list(view.table.names),
            z=relative(view.table.values).T,
            text=[list(row) for row in zip(*view.table.words, strict=True)],
            texttemplate="%{text}" if len(heads) <= 12 else "",
            textfont={"size": 10},
            customdata=[[wrap(m.architecture) for m in view.members]] * len(view.table.names),
            hovertemplate="<b>%{y}: %{text}</b><br>%{customdata}<extra></extra>",
            colorscale=SCALE,
            showscale=False,
            xgap=2,
            ygap=2,
        )
    )
    which = "confirmed" if view.confirmed else "provisional"
    style(figure, f"Choices along the {which} frontier", f"multiply-adds and {view.score.name}", "")
    figure.update_xaxes(tickvals=columns, ticktext=heads, showgrid=False, type="category")
    figure.update_yaxes(autorange="reversed", showgrid=False, title=None, automargin=True, ticks="")
    return figure


def relative(values: Floats) -> Floats:
    """Return every column scaled from 0 at its least to 1 at its most."""
    span = np.ptp(values, axis=0)
    scaled: Floats = (values - values.min(axis=0)) / np.where(span > 0, span, 1)
    return scaled


def importance_figure(view: Importance, most: int = 15) -> go.Figure:
    """Draw by how much R² falls when a choice is shuffled; a model that learnt nothing has words, no bars."""
    figure = go.Figure()
    names = list(view.names[:most])
    for model, color in zip(view.models, (BLUE, VERMILION), strict=True):
        if model.learnt:
            figure.add_trace(
                go.Bar(
                    x=list(model.losses[:most]),
                    y=names,
                    orientation="h",
                    name=f"{model.target} (R² {model.fit:.2f})",
                    marker={"color": color},
                    hovertemplate="%{y}<br>R² falls by %{x:.3f}<extra></extra>",
                )
            )
    style(figure, "Which choices matter", "fall of R² on held-out candidates when shuffled", "")
    if view.unexplained:
        figure.add_annotation(
            text=html.escape(view.unexplained),
            xref="paper",
            yref="paper",
            x=0 if figure.data else 0.5,
            y=1.0 if figure.data else 0.5,
            yanchor="bottom" if figure.data else "middle",
            xanchor="left" if figure.data else "center",
            showarrow=False,
        )
    if figure.data:
        figure.update_yaxes(autorange="reversed", title=None, automargin=True, ticks="")
    else:
        figure.update_xaxes(visible=False)
        figure.update_yaxes(visible=False)
    figure.update_layout(barmode="group", bargap=0.3)
    return figure


def curves_figure(view: Curves) -> go.Figure:
    """Draw accuracy against epochs: the frontier's members in colour, some of the others pale behind them."""
    figure = go.Figure()
    if view.others:
        figure.add_trace(
            go.Scatter(
                x=_joined([curve.epochs for curve in view.others]),
                y=_joined([curve.accuracies for curve in view.others]),
                mode="lines",
                name="other candidates",
                line={"color": GREY, "width": 0.8},
                opacity=0.5,
                hoverinfo="skip",
            )
        )
    for curve, color in zip(view.front, itertools.cycle(SERIES)):
        figure.add_trace(_curve(curve, color))
    style(figure, view.title, "epochs", view.score.axis)
    figure.update_yaxes(tickformat=".0%")
    epochs = sorted({epoch for curve in (*view.front, *view.others) for epoch in curve.epochs})
    figure.update_xaxes(tickvals=epochs)
    return figure


def _curve(curve: Curve, color: str) -> go.Scatter:
    return go.Scatter(
        x=list(curve.epochs),
        y=list(curve.accuracies),
        mode="lines+markers",
        name=html.escape(curve.name),
        line={"color": color, "width": 2},
        hovertemplate=f"<b>{html.escape(curve.name)}</b> %{{y:.1%}} after %{{x}} epochs<br>"
        f"{wrap(curve.architecture)}<extra></extra>",
    )


def _joined(lines: Sequence[Sequence[float]]) -> list[float | None]:
    """Return many lines as one trace, with a gap between each two."""
    return [value for line in lines for value in (*line, None)]


def attainment_figure(surfaces: Sequence[Surface], score: Score = TOP1_SCORE) -> go.Figure:
    """Draw for each cost the accuracy that one, more than half, or all of the runs reach."""
    figure = go.Figure()
    for surface, color in zip(surfaces, SERIES, strict=False):
        figure.add_trace(
            go.Scatter(
                x=list(surface.costs),
                y=list(surface.accuracies),
                mode="lines",
                name=surface.label,
                line={"color": color, "width": 2, "shape": "hv"},
                hovertemplate=f"{surface.label}: %{{y:.1%}}, %{{x:.3s}} multiply-adds<extra></extra>",
            )
        )
    style(figure, "Attainment of the runs", "multiply-adds of a clip", score.axis)
    figure.update_yaxes(tickformat=".0%")
    costs = [cost for surface in surfaces for cost in surface.costs]
    ticks = units.log_ticks(min(costs) / 1.25, max(costs) * 1.25)
    figure.update_xaxes(type="log", tickvals=ticks, ticktext=[units.count(tick) for tick in ticks])
    return figure
