"""One training by several processes or GPUs at once, which Ray Train starts and connects.

The trainer is built where the training is asked for, inside of whatever job that is, and every process gets
the training as text: nothing of ours is pickled.
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
from search_space.network.allocator import retain_freed_memory
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
    """Trains to the end; goes on from the run's folder, which all processes must see.

    Args:
        run: what to train; a batch is shared by the processes.
        processes: how many.
        cpus: threads of each.
        gpus: one for each process.
        on_epoch: told of every finished epoch, here, soon after it.

    Raises:
        RecordError: a process failed; the message is its own.
    """
    run.folder.mkdir(parents=True, exist_ok=True)
    (run.folder / _FAILURE).unlink(missing_ok=True)
    with Cluster(Capacity(processes, cpus, float(gpus))) as cluster, _storage() as storage:
        cluster.start()
        from ray import train
        from ray.train.torch import TorchConfig, TorchTrainer

        trainer = TorchTrainer(
            _work,
            train_loop_config={"run": run.to_json(), "gpus": gpus, "threads": cpus},
            torch_config=TorchConfig(backend="nccl" if gpus else "gloo"),
            scaling_config=train.ScalingConfig(
                num_workers=processes, use_gpu=gpus, resources_per_worker={"CPU": cpus, "GPU": int(gpus)}
            ),
            run_config=train.RunConfig(name="training", storage_path=str(storage)),
        )
        with _following(run, on_epoch):
            try:
                trainer.fit()
            except Exception as error:  # whatever Ray wraps it in, the process's own words are in the file
                failure = run.folder / _FAILURE
                if not failure.is_file():
                    raise
                raise RecordError(failure.read_text()) from error


def _work(config: dict[str, Any]) -> None:
    """One process, inside of Ray Train's process group."""
    torch.set_num_threads(int(config["threads"]))
    retain_freed_memory()
    run = TrainingRun.from_json(config["run"])
    # Processes of one machine see all of its GPUs: each has to be told its own.
    device = "cpu"
    if config["gpus"]:
        from ray.train.torch import get_device

        device = str(get_device())
        torch.cuda.set_device(device)
    try:
        run.finish(run.begin(device=device, group=Group.current()))
    except MovinasError as error:
        (run.folder / _FAILURE).write_text(str(error))
        raise


@contextmanager
def _following(run: TrainingRun, on_epoch: Callable[[EpochLine], None]) -> Iterator[None]:
    """Tells of the epochs that the leading process logs, while the block runs."""
    known = len(read_training_log(run.folder))
    over = threading.Event()

    def look() -> None:
        told = known
        while True:
            last = over.wait(_POLL_SECONDS)
            for line in read_training_log(run.folder)[told:]:
                on_epoch(line)
                told += 1
            if last:
                return

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def _storage() -> Iterator[Path]:
    """A place for what Ray Train insists on writing."""
    folder = Path(tempfile.mkdtemp(prefix="movinas-train-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
