"""The engine: runs a plan's jobs on Ray Tune, on this machine's processors or on a cluster.

Ray is loaded only when there is something to train, and leaves nothing behind: on this machine its session
and its result folder are temporary, and a cluster's workers go with their driver. What matters is in the
record and in the jobs' own folders.
"""

from __future__ import annotations

import logging
import math
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from search_space.errors import Stopped
from searcher.cluster.address import ClusterError, resolve
from searcher.cluster.capacity import Capacity, FaultTolerance
from searcher.cluster.heartbeat import Heartbeat
from searcher.cluster.machine import sweep, temporary_folder
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
        capacity: number and size of the workers, and the cluster they are on.
        faults: what is done about workers that are lost, hang or cannot go on.
        heartbeat: receives the state of the plan, and knows of requests to stop.
        trackers: experiment trackers that follow the trainings.
        name: name of the run, for the trackers.
        mirror: address of the checkpoints in an object store; by default they are in the jobs' own folders.
    """

    def __init__(
        self,
        capacity: Capacity,
        faults: FaultTolerance | None = None,
        *,
        heartbeat: Heartbeat | None = None,
        trackers: Sequence[Tracker] = (),
        name: str = "",
        mirror: str | None = None,
    ) -> None:
        self.capacity = capacity
        self._faults = faults or FaultTolerance()
        self._heartbeat = heartbeat
        self._trackers, self._name, self._mirror = tuple(trackers), name, mirror
        self._folder: Path | None = None
        self._joined = False

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def run(self, plan: Plan, evaluator: EvaluatorSpec) -> None:
        """Run every job of the plan.

        Raises:
            KeyboardInterrupt: on Ctrl-C, or as ``Stopped`` on request; what was measured is recorded, and a
                new plan over the same record resumes.
            ClusterError: the cluster cannot be joined.
        """
        over = False
        while not over:
            over = self._run_some(plan, evaluator)
        plan.close()
        progress = plan.progress()
        plan.on_event(progress)
        if self._heartbeat is not None:
            self._heartbeat.beat(progress, nodes=self.capacity.last_nodes())

    def _run_some(self, plan: Plan, evaluator: EvaluatorSpec) -> bool:
        """Run one Tuner's share of the plan; return whether the plan is finished."""
        first = plan.next()
        if first is None:
            return True
        self.start()
        from searcher.cluster.ray_adapters import Bridge

        most = max(_TRIALS_A_TUNER, _TRIALS_A_WORKER * self.capacity.jobs())
        bridge = Bridge(plan, first, self.capacity, self._faults, most, self._heartbeat)
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

        capacity = self.capacity
        fixed = {
            "threads": capacity.cpus,
            "retry_seconds": self._faults.retry_seconds,
            "mirror": self._mirror,
        }
        # Ray reads at every start how many trainings may wait for a place at a time.
        pending = {"TUNE_MAX_PENDING_TRIALS_PG": "1" if capacity.address is None else "100000"}
        with _results_folder() as folder, _environment(pending):
            tuner = tune.Tuner(
                tune.with_resources(TrialWorker, {"CPU": capacity.cpus, "GPU": capacity.gpus}),
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
                    failure_config=tune.FailureConfig(max_failures=self._faults.retries),
                    callbacks=[Ticker(bridge), *callbacks(self._trackers, self._name)],
                ),
            )
            tuner.fit()

    def start(self) -> None:
        """Start Ray, or join the cluster, unless that was done; ``run`` does so by itself.

        Raises:
            ClusterError: the cluster cannot be joined.
        """
        import ray

        if ray.is_initialized():
            return
        for name, value in (_ENVIRONMENT | ({} if self.capacity.address else _ALONE)).items():
            os.environ.setdefault(name, value)
        sweep()
        if self.capacity.address is None:
            self._start_alone()
        else:
            self._join(resolve(self.capacity.address))
        logging.getLogger("ray").setLevel(logging.ERROR)
        # It prints a traceback for every lost worker; they are in the run's log.
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)

    def _start_alone(self) -> None:
        import ray

        self._folder = temporary_folder("ray")
        ray.init(
            address="local",
            num_cpus=self.capacity.workers * self.capacity.cpus,
            num_gpus=math.ceil(self.capacity.workers * self.capacity.gpus),
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
        if not self.capacity.elastic:
            self._request(self.capacity.workers)

    def _request(self, workers: int) -> None:
        """Request room for workers from the cluster's autoscaler, if it has one."""
        from ray.autoscaler.sdk import request_resources

        capacity = self.capacity
        bundle = {"CPU": capacity.cpus, **({"GPU": capacity.gpus} if capacity.gpus else {})}
        with suppress(Exception):  # a wish; a cluster of a fixed size need not understand it
            request_resources(bundles=[bundle] * workers)

    def close(self) -> None:
        """End all of Ray's processes that this driver started and remove their files, or leave the
        cluster."""
        if not self._joined and self._folder is None:
            return
        import ray

        if self._joined and not self.capacity.elastic and ray.is_initialized():
            self._request(0)
        ray.shutdown()
        self._joined = False
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


@contextmanager
def _results_folder() -> Iterator[Path]:
    """Yield a temporary folder for what Ray insists on writing about trials."""
    folder = temporary_folder("tune")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables while the block runs."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
