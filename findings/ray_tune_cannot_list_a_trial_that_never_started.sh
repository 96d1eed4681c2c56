#!/usr/bin/env bash
# Ray 2.60.0: Tuner.fit() raises RuntimeError when a trial was added to the experiment and ended before its start.
#
# A scheduler may end a trial that still waits (TuneController.stop_trial), for instance since the experiment is to
# end. Tune finishes the experiment in order; then fit() lists its results, and a trial gets its folder's name only
# at its start: "Should not access `trial_fs_path` without setting `trial_dir_name`". Results of all other trials are
# lost to the caller. Trial.init_local_path() in the scheduler's on_trial_add helps.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "ray[tune]==2.60.0"
cat > "$folder/fit.py" <<'PYTHON'
import sys

import ray
from ray import tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler

_, how, folder = sys.argv


class TwoOnly(FIFOScheduler):
    """Ends every trial after the second before its start."""

    def on_trial_add(self, tune_controller, trial):
        super().on_trial_add(tune_controller, trial)
        if how == "named":
            trial.init_local_path()

    def choose_trial_to_run(self, tune_controller):
        waiting = [trial for trial in tune_controller.get_trials() if trial.status == Trial.PENDING]
        if not waiting:
            return None
        if waiting[0].trial_id.endswith(("00000", "00001")):
            return waiting[0]
        for trial in waiting:
            tune_controller.stop_trial(trial)
        return None


def train(config):
    tune.report({"score": 1.0})


ray.init(num_cpus=1, include_dashboard=False)
tuner = tune.Tuner(
    train,
    tune_config=tune.TuneConfig(num_samples=4, scheduler=TwoOnly()),
    run_config=tune.RunConfig(storage_path=folder, verbose=0),
)
try:
    results = tuner.fit()
    print("results of", len(results), "trials")
except RuntimeError as error:
    print("RuntimeError:", error)
PYTHON
export RAY_USAGE_STATS_ENABLED=0
# Trials then wait in the experiment, and not for an actor that was requested already.
export TUNE_MAX_PENDING_TRIALS_PG=1
for how in unnamed named; do
    seen=$(timeout 200 "$folder/venv/bin/python" "$folder/fit.py" "$how" "$folder/$how" 2> "$folder/errors" | tail -1)
    echo "a trial that never started, folder $how: $seen"
    case "$how $seen" in
        "unnamed RuntimeError: Should not access"* | "named results of 4 trials") ;;
        *)
            tail -5 "$folder/errors" >&2
            echo "changed: trials that never started are listed otherwise" >&2
            exit 1
            ;;
    esac
done
