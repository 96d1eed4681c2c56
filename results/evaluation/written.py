"""The files of an evaluation: figures, predictions, confusion and the most wrong predictions."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from matplotlib.figure import Figure
from numpy.typing import NDArray

from results.evaluation.evaluation import FORMAT, Evaluated
from results.plots.style import write_picture
from search_space.files import replacing, write_json, write_text

EVALUATION, PREDICTIONS, WRONG = "evaluation.json", "predictions.parquet", "wrong.csv"
FILES = (EVALUATION, PREDICTIONS, WRONG)
MOST_WRONG = 1000
_MOST_NAMES = 40


def write_evaluation(evaluated: Evaluated, folder: Path) -> None:
    """Write ``evaluation.json``, ``predictions.parquet``, ``wrong.csv``, and of each group of outputs
    ``confusion.csv`` and ``confusion.png``, or ``verb_confusion.csv`` and so on."""
    rows = list(_rows(evaluated))
    _write_predictions(rows, evaluated, folder / PREDICTIONS)
    wrong = sorted((row for row in rows if not row["right"]), key=lambda row: (-row["loss"], row["id"]))
    _write_csv(folder / WRONG, [{k: v for k, v in row.items() if k != "right"} for row in wrong[:MOST_WRONG]])
    for group, matrix in evaluated.assessment.confusion.items():
        names, stem = _names(evaluated)[group], "confusion" if group == "class" else f"{group}_confusion"
        _write_confusion(matrix, names, folder / f"{stem}.csv")
        # Thousands of classes are a picture of dust: it shows those that videos have.
        seen = np.flatnonzero(matrix.sum(0) + matrix.sum(1))
        draw = partial(_draw, matrix=matrix[np.ix_(seen, seen)], names=[names[index] for index in seen])
        side = min(16.0, max(5.0, 1.8 + 0.28 * min(len(seen), _MOST_NAMES)))
        write_picture(draw, folder / f"{stem}.png", (side + 1.2, side))
    # Last: where it is, everything is.
    write_json(folder / EVALUATION, evaluated.to_json())


def wrongest(evaluated: Evaluated, count: int) -> list[str]:
    """Return a line for each of the most wrong predictions, the worst first."""
    rows = sorted(_rows(evaluated), key=lambda row: (-row["loss"], row["id"]))
    return [
        f"{row['path']}{_part(row)}: {row['label']}, taken for {row['predicted']} "
        f"({100 * row['probability']:.0f} %, the right one {100 * row['label_probability']:.1f} %)"
        for row in [row for row in rows if not row["right"]][:count]
    ]


def _part(row: Mapping[str, Any]) -> str:
    return "" if row["start"] is None else f" at {row['start']:g} s"


def _names(evaluated: Evaluated) -> dict[str, tuple[str, ...]]:
    """Return the names of the outputs of each group."""
    groups, names = evaluated.join.groups, evaluated.join.names
    if len(groups) == 1:
        return {"class": names}
    return {"verb": names[: groups[0]], "noun": names[groups[0] :]}


def _rows(evaluated: Evaluated) -> Iterator[dict[str, Any]]:
    """Yield a row for each video: what it is, what it was taken for, and how sure the network was."""
    predictions = evaluated.predictions
    items = {item.id: item for item in evaluated.evaluation.videos.items}
    names, losses = list(_names(evaluated).values()), predictions.losses()
    groups, several = predictions.probabilities, predictions.head.kind == "multi-label"
    for row, identity in enumerate(predictions.ids):
        item, label = items[identity], predictions.labels[row]
        best = [int(part[row].argmax()) for part in groups]
        wanted = (
            [int(index) for index in np.atleast_1d(label)] if not several else np.flatnonzero(label).tolist()
        )
        if several:
            labels = "; ".join(names[0][index] for index in wanted)
            own = float(groups[0][row, wanted].min()) if wanted else 0.0
            right = best[0] in wanted
        else:
            labels = " ".join(group[index] for group, index in zip(names, wanted, strict=True))
            own = float(np.prod([part[row, index] for part, index in zip(groups, wanted, strict=True)]))
            right = best == wanted
        yield {
            "id": identity,
            "path": str(item.path),
            "start": item.start,
            "end": item.end,
            "label": labels,
            "predicted": " ".join(group[index] for group, index in zip(names, best, strict=True)),
            "probability": float(
                np.prod([part[row, index] for part, index in zip(groups, best, strict=True)])
            ),
            "label_probability": own,
            "loss": float(losses[row]),
            "right": right,
        }


def _write_predictions(rows: list[dict[str, Any]], evaluated: Evaluated, path: Path) -> None:
    logits = evaluated.predictions.logits.astype(np.float32)
    table = pa.Table.from_pylist(rows)
    flat = pa.array(logits.reshape(-1), pa.float32())
    column = pa.FixedSizeListArray.from_arrays(flat, logits.shape[1])
    table = table.append_column("logits", column)
    kept = {b"format": FORMAT.encode(), b"outputs": "\n".join(evaluated.join.names).encode()}
    with replacing(path) as temporary:
        pq.write_table(table.replace_schema_metadata(kept), temporary)


def _write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    text = io.StringIO()
    names = ["id", "path", "start", "end", "label", "predicted", "probability", "label_probability", "loss"]
    writer = csv.DictWriter(text, names)
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def _write_confusion(matrix: NDArray[np.int64], names: tuple[str, ...], path: Path) -> None:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["label \\ predicted", *names])
    for name, row in zip(names, matrix.tolist(), strict=True):
        writer.writerow([name, *row])
    write_text(path, text.getvalue())


def _draw(figure: Figure, matrix: NDArray[np.int64], names: list[str]) -> None:
    """Draw shares of each class's videos by what they were taken for."""
    axes = figure.add_subplot()
    shares = matrix / np.maximum(1, matrix.sum(1, keepdims=True))
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    axes.set_xlabel("taken for")
    axes.set_ylabel("label")
    if len(names) <= _MOST_NAMES:
        axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
        axes.set_yticks(range(len(names)), names, fontsize=7)
    figure.colorbar(image, ax=axes, label="share of the label's videos", fraction=0.046)
