"""A helper process of a team: it trains with the worker of its machine, and ends with it.

Started as ``python -m searcher.evaluator.team_member``; one line of JSON on its standard input describes the
training, and the end of that input is the end of the worker.
"""

from __future__ import annotations

import json
import os
import sys
import threading

import torch

from proxy_train.distributed import Group
from search_space.network.allocator import retain_freed_memory
from searcher.evaluator.team import join_group
from searcher.evaluator.video_evaluator import VideoEvaluator
from searcher.plan.job import Job


def main() -> None:
    """Train the stage of a job that standard input names."""
    request = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_the_worker, daemon=True).start()
    torch.set_num_threads(request["threads"])
    retain_freed_memory()
    device = request["device"] if request["device"] == "cpu" else f"cuda:{request['rank']}"
    evaluator = VideoEvaluator(**{**request["arguments"], "device": device})
    join_group(request["rank"], request["size"], request["port"], request["device"])
    job = Job.from_json(request["job"])
    training = evaluator.training(job, request["stage"], Group.current())
    while training.epoch < job.stages[request["stage"]].rungs[-1]:
        training.train_epoch()
        training.save()


def _end_with_the_worker() -> None:
    """End this process at the end of standard input."""
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    main()
