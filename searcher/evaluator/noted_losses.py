"""The training losses of a job, noted beside its checkpoint, so that an interruption loses none of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from proxy_train.training.training import EpochReport
from search_space.files import replacing

_FILE = "losses.json"


def note_loss(folder: Path, report: EpochReport) -> None:
    """Note the mean loss of an epoch, in place of what an interrupted attempt noted for it.

    Args:
        folder: folder of the training.
        report: report of the epoch.
    """
    losses = {**_read(folder), str(report.epoch): report.loss}
    with replacing(folder / _FILE, durable=False) as temporary:
        temporary.write_text(json.dumps(losses), encoding="utf-8")


def noted_losses(folder: Path, epochs: int) -> dict[str, float]:
    """Return ``train_loss``, that of the last epoch, and ``peak_loss``, that of the worst; empty if unknown.

    Args:
        folder: folder of the training.
        epochs: number of epochs that are finished; what was noted for later ones does not count.
    """
    losses = {int(epoch): loss for epoch, loss in _read(folder).items() if int(epoch) <= epochs}
    if len(losses) < epochs:
        return {}
    return {"train_loss": losses[epochs], "peak_loss": max(losses.values())}


def _read(folder: Path) -> Mapping[str, float]:
    try:
        losses: dict[str, float] = json.loads((folder / _FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return losses
