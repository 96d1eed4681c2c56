"""The engine: runs a plan's jobs on Ray Tune, on this machine's processors or on a cluster.

Ray is loaded only when there is something to train, and leaves nothing behind: on this machine its session
and its result folder are temporary, and a cluster's workers go with their driver. What matters is in the
record and in the jobs' own folders.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from search_space.errors import Stopped
from searcher.cluster.address import ClusterError, resolve
from searcher.cluster.heartbeat import Pulse
from searcher.cluster.machine import sweep, temporary_folder
from searcher.cluster.nodes import Node, alive, room
from searcher.cluster.trackers import Tracker, callbacks
from searcher.plan.job import EvaluatorSpec
from searcher.plan.plan import Plan

if TYPE_CHECKING:
    from searcher.cluster.ray_adapters import Bridge

_LOG = logging.getLogger(__name__)
# Ray's memory grows with every trial, so that long plans take several Tuners; each ends with workers that
# wait for the last of its trainings, so that many workers get more.
_TRIALS_A_TUNER, _TRIALS_A_WORKER = 2000, 16
_OBJECT_STORE_BYTES = 100 * 2**20
_LOOK_SECONDS = 2.0
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000",
    "TUNE_WARN_THRESHOLD_S": "60",
    "TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S": "1000000",
}
# Else ray.init writes a token below the home folder that later clusters of the user stumble over. On a
# cluster of the user's, Ray's own rule holds.
_ALONE = {"RAY_AUTH_MODE": "disabled"}


class Cluster:
    """Workers that run plans; Ray starts, or the cluster is joined, with the first plan that has work.

    Use it as a context manager: at its end all of Ray's processes that it started are gone.

    Args:
        workers: jobs at a time, at most.
        cpus: CPUs of each; so many threads does a worker compute with.
        gpus: GPUs of each, a fraction shares one.
        retries: how often in a row a job is tried again whose worker was lost, from its own checkpoint.
        address: of a cluster to join, ``auto`` or HOST:PORT; by default Ray starts on this machine.
        elastic: as many jobs at a time as the cluster has room for, whatever ``workers`` says.
        stall: seconds without a finished epoch after which a worker counts as hung and is killed.
        patience: seconds that a training waits for space on a full disk, or for a video that is lost.
        pulse: is told how things are, and may ask to stop.
        trackers: follow the trainings, under the run's ``name``.
        mirror: address of the checkpoints, if not the jobs' own folders.
    """

    def __init__(
        self,
        workers: int,
        *,
        cpus: int = 1,
        gpus: float = 0,
        retries: int = 3,
        address: str | None = None,
        elastic: bool = False,
        stall: float | None = None,
        patience: float = 600.0,
        pulse: Pulse | None = None,
        trackers: Sequence[Tracker] = (),
        name: str = "",
        mirror: str | None = None,
    ) -> None:
        self.workers, self.cpus, self.gpus, self.retries = workers, cpus, gpus, retries
        self.address, self.stall, self.patience, self.pulse = address, stall, patience, pulse
        self.elastic = elastic and address is not None
        self.trackers, self.name, self.mirror = tuple(trackers), name, mirror
        self._folder: Path | None = None
        self._joined = False
        self._nodes: tuple[Node, ...] = ()
        self._looked = -_LOOK_SECONDS

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def nodes(self) -> tuple[Node, ...]:
        """The living machines, as they were at most two seconds ago."""
        import ray

        if time.monotonic() - self._looked >= _LOOK_SECONDS:
            self._nodes, self._looked = alive(ray.nodes()), time.monotonic()
        return self._nodes

    def room(self) -> int:
        """How many jobs may be handed out at a time now.

        On a cluster, no more than fit, since a proposal that has to wait is made with less knowledge; but
        one, so that Ray, and whoever enlarges the cluster, sees what is wanted.
        """
        if self.address is None:
            return self.workers
        fitting = max(1, room(self.nodes(), self.cpus, self.gpus))
        return fitting if self.elastic else min(self.workers, fitting)

    def run(self, plan: Plan, evaluator: EvaluatorSpec) -> None:
        """Runs every job of the plan; returns when nothing is left.

        Raises:
            KeyboardInterrupt: Ctrl-C, or with ``Stopped`` a request; what was measured is recorded, and the
                same plan made anew goes on.
            ClusterError: the cluster cannot be joined.
        """
        over = False
        while not over:
            over = self._run_some(plan, evaluator)
        plan.close()
        progress = plan.progress()
        plan.on_event(progress)
        if self.pulse is not None:
            self.pulse.beat(progress, nodes=self._nodes)

    def _run_some(self, plan: Plan, evaluator: EvaluatorSpec) -> bool:
        """Runs one Tuner's share of the plan; answers whether the plan is through."""
        first = plan.next()
        if first is None:
            return True
        self.start()
        from searcher.cluster.ray_adapters import Bridge

        bridge = Bridge(plan, first, self, max(_TRIALS_A_TUNER, _TRIALS_A_WORKER * self.room()))
        self._tune(bridge, evaluator)
        bridge.raise_error()
        if bridge.stopping:
            raise Stopped
        if not bridge.over:
            # Tune returns from Ctrl-C as if it had finished.
            raise KeyboardInterrupt
        return False

    def _tune(self, bridge: Bridge, evaluator: EvaluatorSpec) -> None:
        from ray import tune

        from searcher.cluster.ray_adapters import PlanScheduler, PlanSearcher, Ticker
        from searcher.cluster.worker import TrialWorker

        # Read by Ray at every start: how many trainings may wait for a place at a time.
        os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = "1" if self.address is None else "100000"
        fixed = {"threads": self.cpus, "patience": self.patience, "mirror": self.mirror}
        with _results_folder() as folder:
            tuner = tune.Tuner(
                tune.with_resources(TrialWorker, {"CPU": self.cpus, "GPU": self.gpus}),
                tune_config=tune.TuneConfig(
                    num_samples=-1,
                    search_alg=PlanSearcher(bridge, evaluator, fixed),
                    scheduler=PlanScheduler(bridge),
                    reuse_actors=True,
                    trial_dirname_creator=lambda trial: str(trial.trial_id),
                ),
                run_config=tune.RunConfig(
                    name="jobs",
                    storage_path=str(folder),
                    verbose=0,
                    failure_config=tune.FailureConfig(max_failures=self.retries),
                    callbacks=[Ticker(bridge), *callbacks(self.trackers, self.name)],
                ),
            )
            tuner.fit()

    def start(self) -> None:
        """Starts Ray, or joins the cluster, unless that was done; ``run`` does so by itself.

        Raises:
            ClusterError: the cluster cannot be joined.
        """
        import ray

        if ray.is_initialized():
            return
        for name, value in (_ENVIRONMENT | ({} if self.address else _ALONE)).items():
            os.environ.setdefault(name, value)
        sweep()
        if self.address is None:
            self._start_alone()
        else:
            self._join(resolve(self.address))
        logging.getLogger("ray").setLevel(logging.ERROR)
        # It prints a traceback for every lost worker; they are in the run's log.
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)

    def _start_alone(self) -> None:
        import ray

        self._folder = temporary_folder("ray")
        ray.init(
            address="local",
            num_cpus=self.workers * self.cpus,
            num_gpus=int(-(-self.workers * self.gpus // 1)),
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            object_store_memory=_OBJECT_STORE_BYTES,
            _temp_dir=str(self._folder),
        )

    def _join(self, address: str) -> None:
        import ray

        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:  # Ray has no common class for what goes wrong here
            reason = " ".join(str(error).split())[:300]
            raise ClusterError(
                f"the cluster at {address} cannot be joined: {reason}",
                hint="run this on one of its nodes, with its Ray, its Python and its RAY_AUTH_MODE",
            ) from error
        self._joined = True
        if not self.elastic:
            self._ask_for(self.workers)

    def _ask_for(self, workers: int) -> None:
        """Tells an autoscaler, if the cluster has one, how much is wanted in all."""
        from ray.autoscaler.sdk import request_resources

        bundle = {"CPU": self.cpus, **({"GPU": self.gpus} if self.gpus else {})}
        with suppress(Exception):  # a wish; a cluster of a fixed size need not understand it
            request_resources(bundles=[bundle] * workers)

    def close(self) -> None:
        """Ends all of Ray's processes that this driver started, and removes their files; leaves a cluster."""
        if not self._joined and self._folder is None:
            return
        import ray

        if self._joined and not self.elastic and ray.is_initialized():
            self._ask_for(0)
        ray.shutdown()
        self._joined = False
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


@contextmanager
def _results_folder() -> Iterator[Path]:
    """A place for what Ray insists on writing about trials."""
    folder = temporary_folder("tune")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
