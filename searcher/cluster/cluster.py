"""The engine: it runs a plan's jobs on Ray Tune, on this machine or on a cluster.

Ray is loaded only when there is something to train, and leaves nothing behind: on this machine its session
and its result folder are temporary, and a cluster's workers end with their driver. Results are in the record
and in the jobs' own folders.
"""

from __future__ import annotations

import logging
import math
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search_space.errors import Stopped
from search_space.termination import on_termination, restored_handlers
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
# Ray's memory grows with every trial, so that long plans need several Tuners. At the end of each, workers
# wait for its last training, so that many workers get longer ones.
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
# Otherwise ray.init writes a token below the home folder, and later clusters of the user refuse to start
# without it. A cluster of the user's keeps Ray's own rule.
_LOCAL_ENVIRONMENT = {"RAY_AUTH_MODE": "disabled"}

# Tune logs a traceback for every lost worker, which the run's log has too.
_LOG_LEVELS = {"ray": logging.ERROR, "ray.tune": logging.CRITICAL}


class Cluster:
    """Workers that run plans; Ray starts, or the cluster is joined, with the first plan that has work.

    Use it as a context manager: at its end, all of Ray's processes that it started have ended, and
    environment and log levels are as before.

    Args:
        capacity: number and size of the workers, and the cluster they are on.
        faults: reaction to workers that are lost, hang or cannot continue.
        heartbeat: heartbeat of the driver, which receives the plan's progress and knows of requests to stop.
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
        self._held = ExitStack()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def run(self, plan: Plan, evaluator: EvaluatorSpec) -> None:
        """Run every job of the plan.

        Raises:
            KeyboardInterrupt: the user pressed Ctrl-C or, as ``Stopped``, requested a stop; measurements are
                recorded, and a new plan over the same record resumes.
            ClusterError: the cluster cannot be joined.
        """
        finished = False
        while not finished:
            finished = self._run_tuner(plan, evaluator)
        plan.close()
        progress = plan.progress()
        plan.on_event(progress)
        if self._heartbeat is not None:
            self._heartbeat.beat(progress, nodes=self.capacity.last_nodes())

    def _run_tuner(self, plan: Plan, evaluator: EvaluatorSpec) -> bool:
        """Run one Tuner's share of the plan; return whether the plan is finished."""
        first = plan.next()
        if first is None:
            return True
        self.start()
        from searcher.cluster.ray_adapters import Bridge

        trials = max(_TRIALS_A_TUNER, _TRIALS_A_WORKER * self.capacity.jobs())
        bridge = Bridge(plan, first, self.capacity, self._faults, trials, self._heartbeat)
        self._tune(bridge, evaluator)
        bridge.raise_error()
        if bridge.terminated:
            raise KeyboardInterrupt
        if bridge.stopping:
            raise Stopped
        if not bridge.over:
            # Tune returns from Ctrl-C as if it had finished.
            raise KeyboardInterrupt
        return False

    def _tune(self, bridge: Bridge, evaluator: EvaluatorSpec) -> None:
        """Run a Tuner over the jobs of the bridge."""
        from ray import tune

        from searcher.cluster.ray_adapters import PlanScheduler, PlanSearcher, Ticker
        from searcher.cluster.worker import TrialWorker

        capacity = self.capacity
        _keep_keys_back()
        fixed = {
            "threads": capacity.cpus,
            "retry_seconds": self._faults.retry_seconds,
            "mirror": self._mirror,
        }
        # Ray reads at every start how many trainings may wait for a worker at a time.
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
                    # Otherwise workers on other machines look for the results' folder, which is this one's.
                    checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                    callbacks=[Ticker(bridge), *callbacks(self._trackers, self._name)],
                ),
            )
            with restored_handlers(), on_termination(bridge.terminate):
                tuner.fit()

    def start(self) -> None:
        """Start Ray, or join the cluster, unless that was done; ``run`` does so itself.

        Raises:
            ClusterError: the cluster cannot be joined.
        """
        import ray

        if ray.is_initialized():
            return
        variables = _ENVIRONMENT | ({} if self.capacity.address else _LOCAL_ENVIRONMENT)
        self._held.enter_context(
            _environment({name: value for name, value in variables.items() if name not in os.environ})
        )
        self._held.enter_context(_restored_log_levels())
        sweep()
        with restored_handlers():
            if self.capacity.address is None:
                self._start_locally()
            else:
                self._join(resolve(self.capacity.address))
        # Afterwards, since ray.init sets levels of its own.
        for name, level in _LOG_LEVELS.items():
            logging.getLogger(name).setLevel(level)

    def _start_locally(self) -> None:
        """Start Ray on this machine."""
        import ray

        self._folder = temporary_folder("ray")
        with _own_sessions():
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
        """Join a cluster, and request capacity from its autoscaler."""
        import ray

        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:  # Ray has no common class of these errors
            reason = " ".join(str(error).split())[:300]
            raise ClusterError(
                f"the cluster at {address} cannot be joined: {reason}",
                hint="run this on one of its nodes, with its Ray, its Python and its RAY_AUTH_MODE",
            ) from error
        self._joined = True
        if not self.capacity.elastic:
            self._request(self.capacity.workers)

    def _request(self, workers: int) -> None:
        """Request capacity for workers from the cluster's autoscaler, if it has one."""
        from ray.autoscaler.sdk import request_resources

        capacity = self.capacity
        bundle = {"CPU": capacity.cpus, **({"GPU": capacity.gpus} if capacity.gpus else {})}
        with suppress(Exception):  # a cluster of fixed size may refuse it
            request_resources(bundles=[bundle] * workers)

    def close(self) -> None:
        """Leave the cluster, or end Ray's processes that this driver started and remove their files."""
        if self._joined or self._folder is not None:
            self._end_session()
        self.capacity.close()
        self._held.close()

    def _end_session(self) -> None:
        """Disconnect from Ray; end the session that this driver started."""
        import ray

        if self._joined and not self.capacity.elastic and ray.is_initialized():
            self._request(0)
        ray.shutdown()
        self._joined = False
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


@contextmanager
def _own_sessions() -> Iterator[None]:
    """Start the processes of the block in sessions of their own.

    A batch system's SIGTERM goes to the driver's whole group. Ray's servers would die of it at once, and the
    driver would wait for them for a minute. They end with the driver in any case: Ray asks the kernel for it.
    """
    original = subprocess.Popen.__init__

    def start(self: subprocess.Popen[Any], *arguments: Any, **options: Any) -> None:
        original(self, *arguments, **{"start_new_session": True, **options})

    subprocess.Popen.__init__ = start  # type: ignore[method-assign]
    try:
        yield
    finally:
        subprocess.Popen.__init__ = original  # type: ignore[method-assign]


def _keep_keys_back() -> None:
    """Have Tune leave the keys of object stores to the environment of each node.

    It would put the driver's into the command lines of all workers, which every user of a machine can read.
    """
    from ray.tune.execution import class_cache

    class_cache.ENV_VARS_TO_PROPAGATE = {
        name for name in class_cache.ENV_VARS_TO_PROPAGATE if not name.startswith("AWS_")
    }


@contextmanager
def _results_folder() -> Iterator[Path]:
    """Yield a temporary folder for the files that Ray always writes about trials."""
    folder = temporary_folder("tune")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _restored_log_levels() -> Iterator[None]:
    """Restore the levels of Ray's loggers at the end of the block."""
    before = {name: logging.getLogger(name).level for name in _LOG_LEVELS}
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


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
