"""One training of a search by several processes of its worker's machine, each with a GPU of its own.

The worker leads. Its helpers are started for a stage of a job, build the same training from the same text,
and end with the stage, or with the worker: they read from a pipe that closes when it dies.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
from torch import distributed

from proxy_train.distributed import Group
from searcher.plan.job import Job

# Helpers wait while the worker evaluates, however long that takes: the driver kills workers that hang.
_TIMEOUT = timedelta(days=7)


@contextmanager
def team(
    arguments: Mapping[str, Any], job: Job, stage: int, size: int, device: str
) -> Iterator[Group | None]:
    """Start a team that trains a stage of a job while the block runs; yield the worker's place in it.

    Args:
        arguments: arguments of ``searcher.evaluator.video_evaluator.VideoEvaluator``, JSON types only.
        job: job that is trained.
        stage: index of the stage in ``job.stages``.
        size: number of processes; None is yielded for 1, which is not a team.
        device: ``cpu``, or ``cuda`` for a GPU each.
    """
    if size == 1:
        yield None
        return
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    request = {"arguments": dict(arguments), "job": job.to_json(), "stage": stage, "size": size, "port": port}
    request |= {"device": device, "threads": torch.get_num_threads()}
    helpers = [_start_helper(request | {"rank": rank}) for rank in range(1, size)]
    try:
        join_group(0, size, port, device)
        yield Group.current()
    finally:
        for helper in helpers:
            helper.kill()
            helper.wait()
        if distributed.is_initialized():
            distributed.destroy_process_group()


def _start_helper(request: Mapping[str, Any]) -> subprocess.Popen[str]:
    """Start a helper process, and send it its request."""
    path = os.pathsep.join(part for part in sys.path if part)
    helper = subprocess.Popen(
        [sys.executable, "-m", "searcher.evaluator.team_member"],
        stdin=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env=os.environ | {"PYTHONPATH": path},
    )
    assert helper.stdin is not None
    helper.stdin.write(json.dumps(dict(request)) + "\n")
    helper.stdin.flush()
    return helper


def join_group(rank: int, size: int, port: int, device: str) -> None:
    """Join the group of processes that train one network.

    Args:
        rank: rank of this process, 0 for the worker.
        size: number of processes.
        port: port of the worker on this machine.
        device: ``cpu``, or ``cuda`` for a GPU each.
    """
    if device != "cpu":
        torch.cuda.set_device(rank)
    distributed.init_process_group(
        "gloo" if device == "cpu" else "nccl",
        init_method=f"tcp://127.0.0.1:{port}",
        rank=rank,
        world_size=size,
        timeout=_TIMEOUT,
    )
