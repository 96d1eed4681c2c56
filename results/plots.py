"""The plots as interactive figures (plotly): each as a page that needs no network, or for the report."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import plotly.graph_objects as go

from results import units
from results.frontier import FrontierMember
from results.hypervolume import Progress
from results.plot_view import (
    CONFIRMED_COLOR,
    FAMILY_COLOR,
    GRID_COLOR,
    INK,
    PROVISIONAL_COLOR,
    Cloud,
    FrontierView,
    Named,
    Survival,
)

FONT = "Inter, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
CONFIG = {"displaylogo": False, "responsive": True, "modeBarButtonsToRemove": ["select2d", "lasso2d"]}
# Above this many points the browser draws on the graphics card (below it, sharp vectors), and only those on a
# frontier carry their architecture, so that pages stay small.
_MANY = 3000
_MOST_DRAWN = 20_000


def frontier_figure(view: FrontierView) -> go.Figure:
    """Log multiply-adds against accuracy: candidates by rung, both frontiers, spreads, the named family."""
    figure = go.Figure()
    points = sum(len(cloud.members) for cloud in view.clouds)
    for cloud in view.clouds:
        figure.add_trace(_cloud(cloud) if points <= _MANY else _dense_cloud(cloud, -(-points // _MOST_DRAWN)))
    if view.provisional:
        figure.add_trace(_line(view.provisional, "provisional frontier", PROVISIONAL_COLOR, dashed=True))
    if view.confirmed:
        figure.add_trace(
            _line(view.confirmed, "confirmed frontier, mean ± spread", CONFIRMED_COLOR, dashed=False)
        )
    if view.family:
        figure.add_trace(_family(view.family))
    for label, value in view.references.items():
        figure.add_hline(
            y=value,
            line={"color": "#9aa5b1", "width": 1, "dash": "dot"},
            annotation={"text": html.escape(label), "font": {"size": 11, "color": "#7b8794"}},
            annotation_position="top right",
        )
    _style(figure, view.title, "multiply-adds of a clip", "top-1 accuracy")
    figure.update_yaxes(tickformat=".0%")
    figure.update_xaxes(type="log")
    if view.macs:
        low, high = min(view.macs) / 1.25, max(view.macs) * 1.25
        ticks = units.log_ticks(low, high)
        figure.update_xaxes(tickvals=ticks, ticktext=[units.count(tick) for tick in ticks])
    return figure


def progress_figure(progress: Progress) -> go.Figure:
    """Hypervolume against evaluations; of a level stretch only its ends are drawn."""
    volumes = progress.hypervolume
    last = len(volumes) - 1
    drawn = [i for i in range(last + 1) if i in (0, last) or volumes[i] != volumes[i - 1]]
    figure = go.Figure(
        go.Scatter(
            x=[progress.evaluations[i] for i in drawn],
            y=[volumes[i] for i in drawn],
            customdata=[[progress.architectures[i], units.duration(progress.seconds[i])] for i in drawn],
            mode="lines",
            line={"color": CONFIRMED_COLOR, "width": 2.2, "shape": "hv"},
            fill="tozeroy",
            fillcolor="rgba(11, 83, 148, 0.08)",
            hovertemplate="evaluation %{x}<br>hypervolume %{y:.3f}<br>%{customdata[0]} architectures, "
            "%{customdata[1]} of training<extra></extra>",
        )
    )
    _style(figure, "Hypervolume of the search", "evaluations", "dominated hypervolume")
    figure.update_yaxes(rangemode="tozero")
    figure.update_layout(showlegend=False)
    return figure


def survival_figure(survival: Survival) -> go.Figure:
    """How many architectures reached each rung."""
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
    _style(figure, "Rung survival", "trained for", "architectures measured")
    figure.update_layout(showlegend=False)
    return figure


def write_html(figure: go.Figure, path: Path) -> None:
    """Writes one figure as a page that works from a file, without a network."""
    figure.write_html(path, include_plotlyjs=True, full_html=True, config=CONFIG)


def fragment(figure: go.Figure, identity: str, height: int = 480) -> str:
    """The figure as a ``div`` with the id ``identity``, for a page that has plotly.js already."""
    text: str = figure.to_html(
        include_plotlyjs=False, full_html=False, div_id=identity, config=CONFIG, default_height=height
    )
    return text


def _cloud(cloud: Cloud) -> go.Scatter:
    return go.Scatter(
        x=[m.macs for m in cloud.members],
        y=[m.accuracy for m in cloud.members],
        mode="markers",
        name=f"measured, {html.escape(cloud.label)}",
        marker={"color": cloud.color, "size": 7, "line": {"color": "white", "width": 0.6}},
        hovertext=[_hover(m) for m in cloud.members],
        hoverinfo="text",
    )


def _dense_cloud(cloud: Cloud, every: int) -> go.Scattergl:
    """A cloud of thousands: every so manieth point, in single precision."""
    drawn = cloud.members[::every]
    words = html.escape(cloud.label) + (f" (one in {every} drawn)" if every > 1 else "")
    return go.Scattergl(
        x=np.array([m.macs for m in drawn], dtype=np.float32),
        y=np.array([m.accuracy for m in drawn], dtype=np.float32),
        mode="markers",
        name=f"measured, {words}",
        marker={"color": cloud.color, "size": 5},
        hovertemplate="%{y:.1%}, %{x:.3s} multiply-adds<extra></extra>",
    )


def _line(members: Sequence[FrontierMember], name: str, color: str, *, dashed: bool) -> go.Scatter:
    return go.Scatter(
        x=[m.macs for m in members],
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


def _family(family: Sequence[Named]) -> go.Scatter:
    return go.Scatter(
        x=[m.macs for m in family],
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
            f"{', after its final training' if m.trained else ''}<br>{units.count(m.macs)} multiply-adds<br>"
            + _wrap(m.architecture)
            for m in family
        ],
        hoverinfo="text",
    )


def _hover(member: FrontierMember) -> str:
    seeds = f", {member.seeds} seeds" if member.seeds > 1 else ""
    return (
        f"<b>{units.accuracy(member.accuracy, member.spread, member.seeds)}</b>{seeds}<br>"
        f"{units.count(member.macs)} multiply-adds, {units.count(member.parameters)} parameters<br>"
        f"{html.escape(member.fidelity)}<br>{_wrap(member.architecture)}"
    )


def _wrap(text: str, width: int = 56) -> str:
    """Breaks the text of an architecture before its underscores, so that the hover box stays narrow."""
    lines = [""]
    for index, word in enumerate(text.split("_")):
        piece = f"_{word}" if index else word
        if lines[-1] and len(lines[-1]) + len(piece) > width:
            lines.append("")
        lines[-1] += piece
    return "<br>".join(html.escape(line) for line in lines)


def _style(figure: go.Figure, title: str, x: str, y: str) -> None:
    figure.update_layout(
        template="plotly_white",
        title={"text": f"<b>{html.escape(title)}</b>", "font": {"size": 16}, "x": 0.01, "xanchor": "left"},
        font={"family": FONT, "size": 13, "color": INK},
        margin={"l": 64, "r": 24, "t": 56, "b": 56},
        hoverlabel={"align": "left", "font": {"family": FONT, "size": 12}, "bgcolor": "white"},
        legend={"orientation": "h", "yanchor": "top", "y": -0.16, "x": 0, "font": {"size": 12}},
        plot_bgcolor="white",
        paper_bgcolor="white",
    )
    axis = {"gridcolor": GRID_COLOR, "linecolor": "#9aa5b1", "ticks": "outside", "tickcolor": "#9aa5b1"}
    figure.update_xaxes(title={"text": x, "standoff": 8}, showline=True, zeroline=False, **axis)
    figure.update_yaxes(title={"text": y, "standoff": 8}, showline=True, zeroline=False, **axis)
