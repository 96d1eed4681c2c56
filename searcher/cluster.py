"""The engine: runs a plan's jobs on Ray Tune, here on this machine's processors.

Ray is loaded only when there is something to train, and leaves nothing behind: its session and its result
folder are temporary, and what matters is in the record and in the jobs' own folders.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from searcher.jobs import EvaluatorSpec
from searcher.plan import Plan

_LOG = logging.getLogger(__name__)
_TRIALS_A_TUNER = 300
_OBJECT_STORE_BYTES = 100 * 2**20
_PREFIX = "movinas-"
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Else ray.init writes a token below the home folder that later clusters of the user stumble over.
    "RAY_AUTH_MODE": "disabled",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000",
    "TUNE_MAX_PENDING_TRIALS_PG": "1",
    "TUNE_WARN_THRESHOLD_S": "60",
}


class Cluster:
    """Workers that run plans; Ray starts with the first plan that has something to do.

    Use it as a context manager: at its end all of Ray's processes are gone.

    Args:
        workers: jobs at a time.
        cpus: CPUs of each; so many threads does a worker compute with.
        gpus: GPUs of each, a fraction shares one.
        retries: how often a job whose worker was lost is tried again, from its own checkpoint.
    """

    def __init__(self, workers: int, *, cpus: int = 1, gpus: float = 0, retries: int = 2) -> None:
        self.workers, self.cpus, self.gpus, self.retries = workers, cpus, gpus, retries
        self._folder: Path | None = None

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def run(self, plan: Plan, evaluator: EvaluatorSpec) -> None:
        """Runs every job of the plan; returns when nothing is left.

        Raises:
            KeyboardInterrupt: Ctrl-C; what was measured is recorded, and the same plan made anew goes on.
        """
        over = False
        while not over:
            over = self._run_some(plan, evaluator)
        plan.finish()
        plan.on_event(plan.progress())

    def _run_some(self, plan: Plan, evaluator: EvaluatorSpec) -> bool:
        """Runs one Tuner's share of the plan; answers whether the plan is through."""
        first = plan.next()
        if first is None:
            return True
        self.start()
        from ray import tune

        from searcher.ray_adapters import Bridge, PlanScheduler, PlanSearcher, Ticker
        from searcher.worker import TrialWorker

        bridge = Bridge(plan, first, self.workers, _TRIALS_A_TUNER)
        resources = {"CPU": self.cpus, "GPU": self.gpus}
        with _results_folder() as folder:
            tuner = tune.Tuner(
                tune.with_resources(TrialWorker, resources),
                tune_config=tune.TuneConfig(
                    num_samples=-1,
                    search_alg=PlanSearcher(bridge, evaluator, self.cpus),
                    scheduler=PlanScheduler(bridge),
                    reuse_actors=True,
                    trial_dirname_creator=lambda trial: str(trial.trial_id),
                ),
                run_config=tune.RunConfig(
                    name="jobs",
                    storage_path=str(folder),
                    verbose=0,
                    failure_config=tune.FailureConfig(max_failures=self.retries),
                    callbacks=[Ticker(bridge)],
                ),
            )
            tuner.fit()
        bridge.raise_error()
        if not bridge.over:
            # Tune returns from Ctrl-C as if it had finished.
            raise KeyboardInterrupt
        return False

    def start(self) -> None:
        """Starts Ray, unless it runs already; ``run`` does so by itself."""
        import ray

        if ray.is_initialized():
            return
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        _sweep()
        self._folder = _temporary_folder("ray")
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
        for name in ("ray", "ray.tune"):
            logging.getLogger(name).setLevel(logging.ERROR)

    def close(self) -> None:
        """Ends all of Ray's processes that this driver started, and removes their files."""
        if self._folder is None:
            return
        import ray

        ray.shutdown()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder = None


@contextmanager
def _results_folder() -> Iterator[Path]:
    """A place for what Ray insists on writing about trials."""
    folder = _temporary_folder("tune")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _temporary_folder(kind: str) -> Path:
    # Sockets live in it, and their paths may have about 100 characters: the usual folder can be too deep.
    parent = Path("/tmp") if os.access("/tmp", os.W_OK) else None
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{kind}-{os.getpid()}-", dir=parent))


def _sweep() -> None:
    """Removes what drivers that were killed have left behind."""
    for folder in Path("/tmp").glob(f"{_PREFIX}*"):
        owner = folder.name.split("-")[2]
        if owner.isdigit() and not Path("/proc", owner).exists() and Path("/proc/self").exists():
            shutil.rmtree(folder, ignore_errors=True)
