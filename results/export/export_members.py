"""Export of a whole family, several members at a time, none kept back by another's failure."""

from __future__ import annotations

import logging
import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from results.export.export import TOLERANCE, ExportResult, export_network
from results.member import WEIGHTS, load_member
from results.runtimes.preprocessing import Preprocessing
from search_space.errors import MovinasError

_log = logging.getLogger(__name__)


def export_members(
    folders: Sequence[Path], clip: NDArray[np.uint8], *, workers: int = 1, tolerance: float = TOLERANCE
) -> Iterator[ExportResult]:
    """Exports the members that are in ``folders``, and yields each result as it comes.

    One member's failure is its result and does not keep the others.

    Args:
        folders: member folders, as :func:`~results.member.write_member` wrote them.
        clip: real frames (T, H, W, 3), uint8 RGB.
        workers: processes; with more than one the calling program's main module must be importable.
        tolerance: largest allowed difference, as a share of the largest logit.
    """
    if workers <= 1 or len(folders) <= 1:
        for folder in folders:
            yield export_folder(folder, clip, tolerance)
        return
    # The dearest go first, so that no process is left alone with the largest at the end.
    ordered = sorted(folders, key=_weight, reverse=True)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        min(workers, len(folders)), mp_context=context, initializer=_start_worker
    ) as pool:
        futures = {pool.submit(export_folder, folder, clip, tolerance): folder for folder in ordered}
        for future in as_completed(futures):
            try:
                yield future.result()
            except BrokenProcessPool:
                # The system killed a worker, most often for want of memory; the pool takes all that was left
                # with it.
                name = futures[future].name
                yield ExportResult(
                    name,
                    None,
                    None,
                    0,
                    0.0,
                    f"{name}: its process was killed; export it again with one worker",
                )


def _weight(folder: Path) -> int:
    weights = folder / WEIGHTS
    return weights.stat().st_size if weights.is_file() else 0


def _start_worker() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)


def export_folder(folder: Path, clip: NDArray[np.uint8], tolerance: float = TOLERANCE) -> ExportResult:
    """Loads the member in ``folder`` and exports its step there; a failure is returned with its reason."""
    started = time.monotonic()
    try:
        model, about = load_member(folder)
        return export_network(
            model,
            folder,
            clip,
            name=about.name,
            labels=about.labels,
            accuracy=about.metrics,
            preprocessing=Preprocessing.of(about.input),
            tolerance=tolerance,
        )
    except MovinasError as error:
        _log.warning("export of %s: %s", folder, error)
        return ExportResult(folder.name, None, None, 0, time.monotonic() - started, str(error))
