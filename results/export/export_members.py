"""Export of a whole family, several members at a time, none kept back by another's failure."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from results.export.export import STEP, ExportResult, export_network
from results.member import WEIGHTS, load_member, read_member
from results.runtimes.registry import runtime_named
from results.runtimes.sidecar import Sidecar, sidecar_of
from search_space.errors import MovinasError
from search_space.files import sha256
from search_space.spawning import spawn_context

_LOG = logging.getLogger(__name__)


def export_members(
    folders: Sequence[Path], clip: NDArray[np.uint8], *, workers: int = 1, tolerance: float | None = None
) -> Iterator[ExportResult]:
    """Export the steps of the members in ``folders``, and yield each result once it is known.

    What an earlier call exported is kept as :func:`kept_export` says. One member's failure is its result and
    does not keep the others from being exported.

    Args:
        folders: member folders, as :func:`~results.member.write_member` wrote them.
        clip: real frames (T, H, W, 3), uint8 RGB, that exports are compared on.
        workers: number of processes.
        tolerance: largest difference that is allowed, as a share of the largest logit; by default that of
            the precision.
    """
    kept = {folder: None if tolerance is not None else kept_export(folder) for folder in folders}
    yield from (result for result in kept.values() if result is not None)
    folders = [folder for folder, result in kept.items() if result is None]
    if workers <= 1 or len(folders) <= 1:
        for folder in folders:
            yield export_folder(folder, clip, tolerance)
        return
    # The largest go first, so that no process is left alone with the largest at the end.
    ordered = sorted(folders, key=_weight, reverse=True)
    with ProcessPoolExecutor(
        min(workers, len(folders)), mp_context=spawn_context(), initializer=_start_worker
    ) as pool:
        futures = {pool.submit(export_folder, folder, clip, tolerance): folder for folder in ordered}
        for future in as_completed(futures):
            try:
                yield future.result()
            except BrokenProcessPool:
                # The system killed a worker, most often for want of memory; the pool takes all that was left
                # with it.
                name = futures[future].name
                yield ExportResult.failed(
                    name, f"{name}: its process was killed; export it again with one worker"
                )


def kept_export(folder: Path) -> ExportResult | None:
    """Return the export of a member's step that stands in its folder, if it would be made the same again.

    It would be if the same programs made it of the same weights, and neither it nor its sidecar is damaged.
    """
    path = folder / STEP.file_name
    try:
        member, sidecar = read_member(folder), Sidecar.read(sidecar_of(path))
        told = (sidecar.weights_sha256, sidecar.labels, sidecar.accuracy, sidecar.sha256, sidecar.runtime)
        same = told == (member.weights_sha256, member.labels, member.metrics, sha256(path), STEP.runtime)
    except (MovinasError, OSError):
        return None
    programs = runtime_named(STEP.runtime).versions()
    if not same or sidecar.versions != programs or sidecar.check.tolerance != STEP.allowed:
        return None
    return ExportResult(member.name, path, sidecar.check, path.stat().st_size, 0.0)


def _weight(folder: Path) -> int:
    weights = folder / WEIGHTS
    return weights.stat().st_size if weights.is_file() else 0


def _start_worker() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)


def export_folder(folder: Path, clip: NDArray[np.uint8], tolerance: float | None = None) -> ExportResult:
    """Export the step of the member in ``folder``; a failure is returned with its reason."""
    started = time.monotonic()
    try:
        model, member = load_member(folder)
        # What stands there is damaged or of other weights, else it were kept: a user would take it for these.
        for path in (folder / STEP.file_name, sidecar_of(folder / STEP.file_name)):
            path.unlink(missing_ok=True)
        return export_network(
            model,
            folder,
            clip,
            name=member.name,
            labels=member.labels,
            accuracy=member.metrics,
            target=replace(STEP, tolerance=tolerance),
            weights_sha256=member.weights_sha256,
        )
    except MovinasError as error:
        _LOG.warning("export of %s: %s", folder, error)
        return ExportResult.failed(folder.name, str(error), time.monotonic() - started)
