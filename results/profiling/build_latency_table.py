"""The making of latency tables: every operation of a space is timed, then whole networks."""

from __future__ import annotations

import os
import platform
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from results.inference.runners import ExportRunner, Runner
from results.inference.torch_runner import TorchRunner
from results.profiling.operations import operation_call
from results.profiling.step_profile import Subject, prepared
from search_space.architecture.architecture import Architecture
from search_space.cost.latency_table import LatencyTable, Operation, TimedNetwork, space_operations
from search_space.cost.stopwatch import PYTORCH, SteadyStopwatch, torch_threads
from search_space.errors import SettingsError, SpaceError
from search_space.network.model import build
from search_space.progress import ProgressCallback, ignore_progress
from search_space.space.space import SearchSpace

CALIBRATION, HELD_OUT = 30, 50
_WRITE_SECONDS = 10.0
_SEED = 0


@dataclass(frozen=True)
class TimingEffort:
    """Amount of measurements behind a table.

    Args:
        calibration: number of networks that the table is fitted on.
        held_out: number of other networks, for its error.
        calls: number of timed calls of an operation; a network gets three times as many.
    """

    calibration: int = CALIBRATION
    held_out: int = HELD_OUT
    calls: int = 31


def build_table(
    space: SearchSpace,
    path: Path,
    *,
    runtime: str = PYTORCH,
    threads: int = 1,
    effort: TimingEffort = TimingEffort(),
    operations: ProgressCallback = ignore_progress,
    networks: ProgressCallback = ignore_progress,
) -> LatencyTable:
    """Time all that is not in the table yet, fit it, and write it.

    Args:
        space: space of stream networks.
        path: file of the table; an existing one of the same space, device, runtime and threads is
            continued, and an empty file is written over.
        runtime: ``pytorch``, or a name of ``runtimes.registry.RUNTIMES``.
        threads: number of threads of the runtime.
        effort: amount of measurements.
        operations: receives the number of timed operations.
        networks: receives the number of timed networks.

    Raises:
        SpaceError: the space's networks cannot stream, or the file is another table.
        ExportError: the runtime is not installed, or cannot take an operation.
    """
    wanted = space_operations(space.choices, space.classes)
    empty = LatencyTable(
        space.name, repr(space.choices.options), space.classes, processor(), runtime, threads
    )
    table = _existing(path, empty)
    with torch_threads(threads):
        watch = SteadyStopwatch(threads, table.reference)
        table = replace(table, reference=watch.reference)
        timing = _Timing(space, path, watch, effort)
        table = _with_operations(table, wanted, timing, operations)
        table = _with_networks(table, timing, networks)
    table.write(path)
    return table


def processor() -> str:
    """Return the processor's name and the number of processors."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        models = [
            line
            for line in info.read_text(encoding="utf-8", errors="replace").splitlines()
            if line.startswith("model name")
        ]
        name = models[0].partition(":")[2].strip() if models else name
    return f"{name}, {os.cpu_count() or 1} CPUs"


def _existing(path: Path, empty: LatencyTable) -> LatencyTable:
    """Read the table that a path has, or return the empty one; refuse a table of something else."""
    if not path.exists() or (path.is_file() and path.stat().st_size == 0):
        return empty
    table = LatencyTable.read(path)
    for key, value in table.subject.items():
        if value != empty.subject[key]:
            raise SpaceError(
                f"{path} is a table of {key} {value}, not {empty.subject[key]}",
                hint="give another --output, or remove the file",
            )
    return table


def _with_operations(
    table: LatencyTable, wanted: Sequence[Operation], timing: _Timing, report: ProgressCallback
) -> LatencyTable:
    """Return the table with the time of each operation by itself."""
    known, options = dict(table.operations), timing.space.choices.options
    missing = [operation for operation in wanted if operation not in known]
    # Not in the order of their sizes: what slows the machine for a while then slows all kinds.
    random.Random(_SEED).shuffle(missing)
    written = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch, torch.inference_mode():
        for operation in missing:
            call = operation_call(operation, options, table.runtime, table.threads, Path(scratch))
            known[operation] = timing.watch.milliseconds(call, timing.effort.calls)
            report(len(known), len(wanted))
            if time.monotonic() - written > _WRITE_SECONDS:
                replace(table, operations=known).write(timing.path)
                written = time.monotonic()
    return replace(table, operations=known)


@dataclass(frozen=True)
class _Timing:
    """Space, file, stopwatch and effort of a table."""

    space: SearchSpace
    path: Path
    watch: SteadyStopwatch
    effort: TimingEffort


def _with_networks(table: LatencyTable, timing: _Timing, report: ProgressCallback) -> LatencyTable:
    """Return the table fitted on networks spread over the costs, with its error on others."""
    space, effort, rng = timing.space, timing.effort, np.random.default_rng(_SEED)
    drawn = space.sample_distinct(rng, effort.calibration + effort.held_out)
    if len(drawn) < effort.calibration + effort.held_out:
        raise SettingsError(
            f"{space.name} holds only {len(drawn)} networks to measure", hint="give a larger space"
        )
    texts = [architecture.text for architecture in drawn]
    # Both parts are to be spread over the costs alike.
    rng.shuffle(texts)
    milliseconds = dict((*table.calibration, *table.held_out))
    for number, text in enumerate(texts, start=1):
        if text not in milliseconds:
            milliseconds[text] = _network_milliseconds(Architecture.parse(text), table, timing.watch, effort)
            partly = [TimedNetwork(text, milliseconds[text]) for text in texts if text in milliseconds]
            replace(table, calibration=tuple(partly)).write(timing.path)
        report(number, len(texts))
    timed = [TimedNetwork(text, milliseconds[text]) for text in texts]
    fitted = table.fitted(timed[: effort.calibration])
    return replace(fitted, held_out=tuple(timed[effort.calibration :]))


def _network_milliseconds(
    architecture: Architecture, table: LatencyTable, watch: SteadyStopwatch, effort: TimingEffort
) -> float:
    """Return the time of a frame of a whole network, in milliseconds."""
    size = architecture.input.size
    frame: NDArray[np.float32] = np.random.default_rng(0).random((1, 3, size, size), dtype=np.float32)
    with tempfile.TemporaryDirectory() as scratch:
        runner = _network_runner(architecture, table, Path(scratch))
        state = runner.initial_state()

        def step() -> None:
            nonlocal state
            _, state = runner.run(frame, state)

        return watch.milliseconds(step, 3 * effort.calls)


def _network_runner(architecture: Architecture, table: LatencyTable, scratch: Path) -> Runner[Any]:
    """Return what runs the network's step in the table's runtime."""
    if table.runtime == PYTORCH:
        return TorchRunner(build(architecture, table.classes, seed=0))
    subject = Subject((architecture,), table.classes, None)
    file = prepared(subject, table.runtime, "float32", scratch)
    return ExportRunner(file, threads=table.threads)
