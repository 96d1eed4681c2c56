"""How all plots look: colours that the colour-blind can tell apart, readable on white and on dark alike."""

from __future__ import annotations

import html
import logging
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
import plotly.graph_objects as go
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, fontManager
from matplotlib.text import Text

from results.fonts import bundled_font, find_fonts, letters, missing_letters, spelled
from search_space.files import replacing

_LOG = logging.getLogger(__name__)

# Okabe and Ito (2008): eight colours that stay apart for every common kind of colour-blindness.
BLUE, VERMILION, GREEN, ORANGE = "#0072b2", "#d55e00", "#009e73", "#e69f00"
SKY, PURPLE, GREY = "#56b4e9", "#cc79a7", "#7f8c9b"
SERIES = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, GREY)
# A ramp for the rungs, whose ends both stand out from white and from the page's dark ground.
CLOUD_COLORS = ("#b4c2d3", "#9fb0c5", "#8a9db6", "#768aa6", "#637796", "#516584")
PROVISIONAL_COLOR, CONFIRMED_COLOR, FAMILY_COLOR, PUBLISHED_COLOR = GREY, BLUE, VERMILION, GREEN
INK, SOFT, AXIS_COLOR, GRID_COLOR = "#1f2933", "#616e7c", "#9aa5b1", "#e6e9ee"
SCALE = "Cividis"
"""Scale of continuous values: made for the colour-blind, and monotone in lightness."""

FONT = "Inter, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
CONFIG = {
    "displaylogo": False,
    "responsive": True,
    # A report is made offline and stays there.
    "showSendToCloud": False,
    "modeBarButtonsToRemove": ["select2d", "lasso2d"],
}

_STATIC: Any = {
    "font.family": ["DejaVu Sans"],
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": AXIS_COLOR,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "xtick.color": "#52606d",
    "ytick.color": "#52606d",
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "movinas",
}
# What a picture says of who wrote it, by its suffix; with a date two pictures of one record would differ.
_STAMPS: Mapping[str, Any] = {
    ".png": {"Software": "movinas"},
    ".svg": {"Date": None, "Creator": "movinas"},
}
_HEAD = 4096  # bytes at a picture's beginning that hold it
_DOTS_PER_INCH = 180
_CLEAR = "rgba(0,0,0,0)"


def style(figure: go.Figure, title: str, x: str, y: str) -> None:
    """Give an interactive figure its fonts, axes and titles; the page behind it shows through."""
    figure.update_layout(
        template="plotly_white",
        title={"text": f"<b>{html.escape(title)}</b>", "font": {"size": 16}, "x": 0.01, "xanchor": "left"},
        font={"family": FONT, "size": 13, "color": INK},
        margin={"l": 64, "r": 24, "t": 56, "b": 56},
        hoverlabel={"align": "left", "font": {"family": FONT, "size": 12, "color": INK}, "bgcolor": "white"},
        legend={"orientation": "h", "yanchor": "top", "y": -0.16, "x": 0, "font": {"size": 12}},
        modebar={"bgcolor": _CLEAR, "color": AXIS_COLOR, "activecolor": BLUE},
        plot_bgcolor=_CLEAR,
        paper_bgcolor=_CLEAR,
    )
    axis = {"gridcolor": GRID_COLOR, "linecolor": AXIS_COLOR, "ticks": "outside", "tickcolor": AXIS_COLOR}
    figure.update_xaxes(title={"text": x, "standoff": 8}, showline=True, zeroline=False, **axis)
    figure.update_yaxes(title={"text": y, "standoff": 8}, showline=True, zeroline=False, **axis)


def write_html(figure: go.Figure, path: Path) -> None:
    """Write one figure as a page that works from a file, without a network."""
    figure.write_html(path, include_plotlyjs=True, full_html=True, config=CONFIG)


def fragment(figure: go.Figure, identity: str, height: int = 480) -> str:
    """Return the figure as a ``div`` with the id ``identity``, for a page that has plotly.js already."""
    text: str = figure.to_html(
        include_plotlyjs=False, full_html=False, div_id=identity, config=CONFIG, default_height=height
    )
    return text


def is_picture(path: Path) -> bool:
    """Return whether a file is a picture that ``write_picture`` wrote: it may be written anew."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    return b"Software\0movinas" in head or b"<dc:title>movinas</dc:title>" in head


def write_picture(
    draw: Callable[[Figure], None], path: Path, size: tuple[float, float] = (8.4, 5.6), *more: Path
) -> None:
    """Draw a picture; the suffix of ``path`` (png, svg, pdf) decides the format.

    Args:
        draw: function that fills an empty figure.
        path: file of the picture.
        size: width and height in inches.
        more: further files that the same picture is written to.
    """
    with matplotlib.rc_context(_STATIC):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        _give_letters(figure)
        for file in (path, *more):
            with replacing(file, durable=False) as temporary:
                figure.savefig(
                    temporary, dpi=_DOTS_PER_INCH, facecolor="white", metadata=_STAMPS.get(file.suffix)
                )


def _give_letters(figure: Figure) -> None:
    """Give words that the common font cannot write a font of this machine beside it, or spell them."""
    texts = {text: letters(text.get_text()) for text in figure.findobj(Text) if isinstance(text, Text)}
    every = missing_letters(bundled_font(), frozenset[int]().union(*texts.values()))
    lacking = {text: needed & every for text, needed in texts.items() if needed & every}
    found = find_fonts(lacking.values())
    for text, missing in lacking.items():
        if missing in found:
            fontManager.addfont(found[missing])
            family = FontProperties(fname=found[missing]).get_name()
            text.set_fontfamily([*_STATIC["font.family"], family])
        else:
            _say_spelled(text.get_text())
            text.set_text(spelled(text.get_text(), missing))


@cache
def _say_spelled(words: str) -> None:
    """Say once that no font here has the letters of some words."""
    _LOG.warning("no font here can write %r, which pictures spell: install one with these letters", words)


def frame(axes: Axes, title: str, x: str = "", y: str = "") -> None:
    """Give a picture's axes their title and grid."""
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold", pad=12)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(color=GRID_COLOR, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def wrap(text: str, width: int = 56) -> str:
    """Break the text of an architecture before its underscores, so that the hover box stays narrow."""
    lines = [""]
    for index, word in enumerate(text.split("_")):
        piece = f"_{word}" if index else word
        if lines[-1] and len(lines[-1]) + len(piece) > width:
            lines.append("")
        lines[-1] += piece
    return "<br>".join(html.escape(line) for line in lines)
