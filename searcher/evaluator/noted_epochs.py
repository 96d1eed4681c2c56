"""Loss and seconds of a job's epochs, noted beside its checkpoint, so that an interruption loses none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from proxy_train.training.epoch_progress import EpochReport
from search_space.files import replacing

_FILE = "epochs.json"


def note_epoch(folder: Path, report: EpochReport) -> None:
    """Note loss and seconds of an epoch, in place of what an interrupted attempt noted for it.

    Args:
        folder: folder of the training.
        report: report of the epoch.
    """
    noted = {**_read(folder), str(report.epoch): [report.loss, report.seconds]}
    with replacing(folder / _FILE, durable=False) as temporary:
        temporary.write_text(json.dumps(noted), encoding="utf-8")


def noted_epochs(folder: Path, epochs: int, evaluation: float) -> dict[str, float]:
    """Return what was noted, in figures for a record; nothing if an epoch is missing.

    Args:
        folder: folder of the training.
        epochs: number of epochs that are finished; what was noted for later ones does not count.
        evaluation: seconds of an evaluation.

    Returns:
        ``train_loss`` and ``peak_loss``, the mean losses of the last and of the worst epoch;
        ``epoch_seconds``, the mean seconds of an epoch with its part of the evaluation.
    """
    noted = {int(epoch): values for epoch, values in _read(folder).items() if int(epoch) <= epochs}
    if len(noted) < epochs:
        return {}
    return {
        "train_loss": noted[epochs][0],
        "peak_loss": max(loss for loss, _ in noted.values()),
        "epoch_seconds": (sum(seconds for _, seconds in noted.values()) + evaluation) / epochs,
    }


def _read(folder: Path) -> Mapping[str, list[float]]:
    try:
        noted: dict[str, list[float]] = json.loads((folder / _FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return noted
