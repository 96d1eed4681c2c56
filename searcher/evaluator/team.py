"""One training of a search by several processes of its worker's machine, each with a GPU of its own.

The worker leads; the helpers are started for a stage of a job, build the same training from the same text,
and end with it, or with the worker: they read from a pipe that closes when it dies.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
from torch import distributed

from proxy_train.distributed import Group
from search_space.network.allocator import retain_freed_memory
from searcher.plan.job import Job

# Helpers wait while the worker evaluates, however long that takes: the driver looks after workers that hang.
_PATIENCE = timedelta(days=7)


@contextmanager
def team(
    arguments: Mapping[str, Any], job: Job, stage: int, size: int, device: str
) -> Iterator[Group | None]:
    """The worker's place among ``size`` processes that train a stage of a job, while the block runs.

    Args:
        arguments: of ``searcher.evaluator.video_evaluator.VideoEvaluator``, JSON types.
        job: as it is trained here.
        stage: its place in ``job.stages``.
        size: processes; 1 is no team.
        device: ``cpu``, or ``cuda`` for a GPU each.
    """
    if size == 1:
        yield None
        return
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    about = {"arguments": dict(arguments), "job": job.to_json(), "stage": stage, "size": size, "port": port}
    about |= {"device": device, "threads": torch.get_num_threads()}
    helpers = [_start(about | {"rank": rank}) for rank in range(1, size)]
    try:
        _join(0, size, port, device)
        yield Group.current()
    finally:
        for helper in helpers:
            helper.kill()
            helper.wait()
        if distributed.is_initialized():
            distributed.destroy_process_group()


def _start(about: Mapping[str, Any]) -> subprocess.Popen[str]:
    path = os.pathsep.join(part for part in sys.path if part)
    helper = subprocess.Popen(
        [sys.executable, "-m", "searcher.evaluator.team"],
        stdin=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
    )
    assert helper.stdin is not None
    helper.stdin.write(json.dumps(dict(about)) + "\n")
    helper.stdin.flush()
    return helper


def _join(rank: int, size: int, port: int, device: str) -> None:
    if device != "cpu":
        torch.cuda.set_device(rank)
    distributed.init_process_group(
        "gloo" if device == "cpu" else "nccl",
        init_method=f"tcp://127.0.0.1:{port}",
        rank=rank,
        world_size=size,
        timeout=_PATIENCE,
    )


def _help() -> None:
    """A helper's whole life."""
    from searcher.evaluator.video_evaluator import VideoEvaluator

    about = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_the_worker, daemon=True).start()
    torch.set_num_threads(about["threads"])
    retain_freed_memory()
    device = about["device"] if about["device"] == "cpu" else f"cuda:{about['rank']}"
    evaluator = VideoEvaluator(**{**about["arguments"], "device": device})
    _join(about["rank"], about["size"], about["port"], about["device"])
    job = Job.from_json(about["job"])
    training = evaluator.training(job, about["stage"], Group.current())
    while training.epoch < job.stages[about["stage"]].rungs[-1]:
        training.train_epoch()
        training.save()


def _end_with_the_worker() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    _help()
