"""Networks drawn stage by stage: a box a layer, as tall as it is wide in channels, coloured by its kernel."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from math import log2

from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from results.plots.pictures import Draw
from results.plots.style import GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION
from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import Kernel

_BOX, _GAP, _STAGE_GAP, _TALL, _LABEL = 27.0, 4.0, 20.0, 66.0, 96.0
_ROW = 116.0
_TIME_COLORS = {1: SKY, 3: GREEN, 5: ORANGE, 7: VERMILION, 9: PURPLE}


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of the drawing in pixels from the top left corner, with words in it and for the pointer."""

    x: float
    y: float
    width: float
    height: float
    color: str
    words: str
    tooltip: str


@dataclass(frozen=True, slots=True)
class Label:
    """Words of the drawing; ``x`` is their left end."""

    x: float
    y: float
    words: str
    bold: bool = False


@dataclass(frozen=True, slots=True)
class Drawing:
    """Boxes and labels on a canvas."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    labels: tuple[Label, ...]


def draw_networks(networks: Sequence[tuple[str, Architecture]]) -> Drawing:
    """Draw a row for each network: stem, stages, head.

    Args:
        networks: names and architectures from top to bottom.
    """
    boxes: list[Box] = []
    labels: list[Label] = []
    for row, (name, architecture) in enumerate(networks):
        _draw_row(name, architecture, 30 + row * _ROW, boxes, labels)
    _draw_key(labels, boxes)
    right = max((box.x + box.width for box in boxes), default=0.0)
    return Drawing(max(right + 90, 520.0), 36 + len(networks) * _ROW, tuple(boxes), tuple(labels))


def _draw_key(labels: list[Label], boxes: list[Box]) -> None:
    labels.append(Label(0, 14, "frames of the kernel:"))
    for place, (time, color) in enumerate(_TIME_COLORS.items()):
        boxes.append(Box(130 + 44 * place, 4, 14, 14, color, "", f"{time} frames"))
        labels.append(Label(148 + 44 * place, 14, str(time)))
    labels.append(Label(360, 14, "dot: squeeze-excitation"))


def _draw_row(name: str, network: Architecture, top: float, boxes: list[Box], labels: list[Label]) -> None:
    clip = network.input
    labels.append(Label(0, top + 34, name, bold=True))
    labels.append(Label(0, top + 50, f"{clip.frames} x {clip.size} px"))
    labels.append(Label(0, top + 64, f"{clip.fps:g} fps"))
    x, size = _LABEL, (clip.size + 1) // 2
    boxes.append(_box(x, top, network.stem, GREY, "stem", f"stem: 1x3x3, {network.stem} channels, stride 2"))
    labels.append(Label(x, top + _TALL + 14, str(network.stem)))
    x += _BOX + _STAGE_GAP
    for number, stage in enumerate(network.stages, start=1):
        size = (size + stage.stride - 1) // stage.stride
        labels.append(Label(x, top + _TALL + 14, f"{number}: {stage.width}", bold=True))
        labels.append(Label(x, top + _TALL + 27, f"{size} px"))
        for place, layer in enumerate(stage.layers, start=1):
            tooltip = (
                f"stage {number}, layer {place}: kernel {layer.kernel}, expansion {layer.expansion}, width "
                f"{stage.width}" + (", squeeze-excitation" if layer.squeeze else "")
            )
            color = _TIME_COLORS[layer.kernel.time]
            words = _short(layer.kernel) + (" •" if layer.squeeze else "")
            boxes.append(_box(x, top, layer.expansion, color, words, tooltip))
            x += _BOX + _GAP
        x += _STAGE_GAP - _GAP
    tooltip = f"head: 1x1x1, {network.head} channels, pooling, {network.hidden} features, classifier"
    boxes.append(_box(x, top, network.head, GREY, "head", tooltip))
    labels.append(Label(x, top + _TALL + 14, f"{network.head}, {network.hidden}"))


def _box(x: float, top: float, channels: int, color: str, words: str, tooltip: str) -> Box:
    height = max(14.0, min(_TALL, 7.0 * log2(max(channels, 2)) - 6))
    return Box(x, top + _TALL - height, _BOX, height, color, words, tooltip)


def _short(kernel: Kernel) -> str:
    return f"{kernel.time}·{kernel.space}"


def svg(drawing: Drawing, title: str) -> str:
    """Return the drawing as SVG in the colour of the text around it; ``title`` is read out in its place."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{html.escape(title, quote=True)}" '
        f'viewBox="0 0 {drawing.width:g} {drawing.height:g}" width="{drawing.width:g}" '
        f'height="{drawing.height:g}" font-family="Helvetica, Arial, sans-serif" font-size="11" '
        'fill="currentColor">'
    ]
    for box in drawing.boxes:
        parts.append(
            f'<g><title>{html.escape(box.tooltip)}</title><rect x="{box.x:g}" y="{box.y:g}" rx="3" '
            f'width="{box.width:g}" height="{box.height:g}" fill="{box.color}"></rect>'
            f'<text x="{box.x + box.width / 2:g}" y="{box.y + box.height - 4:g}" text-anchor="middle" '
            f'font-size="9" fill="#000">{html.escape(box.words)}</text></g>'
        )
    for label in drawing.labels:
        weight = ' font-weight="bold"' if label.bold else ""
        parts.append(f'<text x="{label.x:g}" y="{label.y:g}"{weight}>{html.escape(label.words)}</text>')
    return "".join([*parts, "</svg>"])


def draw_picture(drawing: Drawing) -> Draw:
    """Return the drawing for matplotlib."""

    def draw(figure: Figure) -> None:
        figure.set_layout_engine("none")
        figure.set_size_inches(drawing.width / 90, drawing.height / 90)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_xlim(-6, drawing.width)
        axes.set_ylim(drawing.height, 0)
        axes.axis("off")
        for box in drawing.boxes:
            axes.add_patch(
                FancyBboxPatch(
                    (box.x, box.y), box.width, box.height, "round,pad=0,rounding_size=3", color=box.color
                )
            )
            middle = box.x + box.width / 2, box.y + box.height - 7
            axes.text(*middle, box.words, ha="center", va="center", fontsize=6)
        for label in drawing.labels:
            weight = "bold" if label.bold else "normal"
            axes.text(label.x, label.y, label.words, fontsize=7.5, fontweight=weight)

    return draw
