"""One training by several processes or GPUs at once, which Ray Train starts and connects.

The trainer runs in the process that asks for the training, and every other process receives the training as
text: no object of this project is pickled.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from proxy_train.distributed import Group
from proxy_train.training.training_run import EpochLine, TrainingRun, read_training_log
from search_space.errors import MovinasError, RecordError
from search_space.files import write_text
from search_space.network.allocator import retain_freed_memory
from search_space.termination import restored_handlers
from searcher.cluster.capacity import Capacity
from searcher.cluster.cluster import Cluster

_FAILURE = "failure.txt"
_POLL_SECONDS = 0.5


def train_in_group(
    run: TrainingRun,
    processes: int,
    *,
    cpus: int = 1,
    gpus: bool = False,
    on_epoch: Callable[[EpochLine], None] = lambda _: None,
) -> None:
    """Train to the end, resuming from the run's folder, which all processes must share.

    Args:
        run: training to run; the processes share its batches.
        processes: number of processes.
        cpus: threads of each process.
        gpus: whether each process has a GPU.
        on_epoch: function that receives every finished epoch, in this process, soon afterwards.

    Raises:
        RecordError: a process failed; its message is passed on.
        KeyboardInterrupt: the user pressed Ctrl-C; the processes have ended.
    """
    run.folder.mkdir(parents=True, exist_ok=True)
    (run.folder / _FAILURE).unlink(missing_ok=True)
    with Cluster(Capacity(processes, cpus, float(gpus))) as cluster, _storage() as storage:
        cluster.start()
        from ray import train
        from ray.train.torch import TorchConfig, TorchTrainer

        trainer = TorchTrainer(
            _train_in_process,
            train_loop_config={"run": run.to_json(), "gpus": gpus, "threads": cpus},
            torch_config=TorchConfig(backend="nccl" if gpus else "gloo"),
            scaling_config=train.ScalingConfig(
                num_workers=processes, use_gpu=gpus, resources_per_worker={"CPU": cpus, "GPU": int(gpus)}
            ),
            run_config=train.RunConfig(name="training", storage_path=str(storage)),
        )
        with _following(run, on_epoch), restored_handlers():
            try:
                trainer.fit()
            except SystemExit:
                # Ray Train's answer to Ctrl-C, whose code would be 0 here and is 1 in the end.
                raise KeyboardInterrupt from None
            except Exception as error:  # Ray wraps it; the file has the process's own message
                failure = run.folder / _FAILURE
                if not failure.is_file():
                    raise
                raise RecordError(failure.read_text(encoding="utf-8")) from error


def _train_in_process(config: dict[str, Any]) -> None:
    """Train as one process of Ray Train's group."""
    torch.set_num_threads(int(config["threads"]))
    retain_freed_memory()
    run = TrainingRun.from_json(config["run"])
    # Processes of one machine see all of its GPUs: each needs its own.
    device = "cpu"
    if config["gpus"]:
        from ray.train.torch import get_device

        device = str(get_device())
        torch.cuda.set_device(device)
    try:
        run.finish(run.begin(device=device, group=Group.current()))
    except MovinasError as error:
        write_text(run.folder / _FAILURE, str(error))
        raise


@contextmanager
def _following(run: TrainingRun, on_epoch: Callable[[EpochLine], None]) -> Iterator[None]:
    """Pass on the epochs that the leading process logs while the block runs."""
    logged_before = len(read_training_log(run.folder))
    over = threading.Event()

    def follow() -> None:
        passed_on = logged_before
        while True:
            last = over.wait(_POLL_SECONDS)
            for line in read_training_log(run.folder)[passed_on:]:
                on_epoch(line)
                passed_on += 1
            if last:
                return

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def _storage() -> Iterator[Path]:
    """Yield a temporary folder for the files that Ray Train always writes."""
    folder = Path(tempfile.mkdtemp(prefix="movinas-train-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
