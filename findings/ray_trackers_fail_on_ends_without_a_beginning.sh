#!/usr/bin/env bash
# Ray Tune 2.60.0 with wandb: a trial that a scheduler stops while it waits for a worker ends the experiment.
#
# A TrialScheduler may stop trials with the controller's stop_trial, pending ones too; Ray then calls on_trial_complete
# of every callback, without on_trial_start before it. WandbLoggerCallback looks the trial up among those that it has
# seen begin, and its KeyError ends the whole experiment. Without the callback the same experiment ends in order.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "ray[tune]==2.60.0" wandb==0.28.1
cd "$folder"
mkdir wandb
export WANDB_MODE=offline WANDB_DIR="$folder/wandb" RAY_AIR_NEW_OUTPUT=0
venv/bin/python - <<'PYTHON'
import ray
from ray import tune
from ray.air.integrations.wandb import WandbLoggerCallback
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler


class OneIsEnough(FIFOScheduler):
    """Runs one trial, and stops all that wait for a worker."""

    def choose_trial_to_run(self, tune_controller):
        if any(trial.status == Trial.RUNNING for trial in tune_controller.get_trials()):
            for trial in tune_controller.get_trials():
                if trial.status == Trial.PENDING:
                    tune_controller.stop_trial(trial)
            return None
        return super().choose_trial_to_run(tune_controller)


def train(config):
    import time

    time.sleep(3)
    tune.report({"score": config["x"]})


ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
ends = {}
for name, callbacks in (("without", []), ("with", [WandbLoggerCallback(project="p", upload_timeout=20)])):
    tuner = tune.Tuner(
        tune.with_resources(train, {"cpu": 1}),
        param_space={"x": tune.grid_search([1, 2, 3])},
        tune_config=tune.TuneConfig(scheduler=OneIsEnough()),
        run_config=tune.RunConfig(name=name, callbacks=callbacks, verbose=0),
    )
    try:
        ends[name] = f"{len(tuner.fit())} trials"
    except Exception as error:
        cause = error
        while cause.__cause__ or cause.__context__:
            cause = cause.__cause__ or cause.__context__
        ends[name] = type(cause).__name__
    print(f"{name} the callback: {ends[name]}", flush=True)
ray.shutdown()
if ends != {"without": "3 trials", "with": "KeyError"}:
    raise SystemExit(f"changed: {ends}")
PYTHON
