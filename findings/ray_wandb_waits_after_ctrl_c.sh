#!/usr/bin/env bash
# Ray Tune 2.60.0 with wandb: after Ctrl-C, WandbLoggerCallback waits for its whole upload_timeout, half an hour by
# default, though nothing is uploaded.
#
# Trials that Ctrl-C ends get no on_trial_complete, so that the callback's logging actors are never told that theirs is
# over; at the end of the experiment it waits for them until the timeout. Here it is 20 s. A callback in front of it that
# calls on_trial_complete for the running trials ends at once.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "ray[tune]==2.60.0" wandb==0.28.1
cat > "$folder/search.py" <<'PYTHON'
import os
import signal
import sys
import threading
import time

from ray import tune
from ray.air.integrations.wandb import WandbLoggerCallback
from ray.tune import Callback

TIMEOUT = 20


class Ends(Callback):
    """Tells a tracker of the ends of the trials that run when the experiment ends."""

    def __init__(self, tracker):
        self.tracker, self.running = tracker, {}

    def on_trial_start(self, iteration, trials, trial, **info):
        self.running[trial.trial_id] = trial

    def on_experiment_end(self, trials, **info):
        for trial in self.running.values():
            self.tracker.on_trial_complete(iteration=0, trials=trials, trial=trial)


class Training(tune.Trainable):
    def step(self):
        time.sleep(1)
        if self.iteration == 2:
            open(sys.argv[1] + "/started", "w").close()
        return {"loss": 1.0}


def interrupt():
    while not os.path.exists(sys.argv[1] + "/started"):
        time.sleep(0.1)
    interrupt.at = time.monotonic()
    os.kill(os.getpid(), signal.SIGINT)


tracker = WandbLoggerCallback(project="p", upload_timeout=TIMEOUT)
callbacks = [tracker] if sys.argv[2] == "alone" else [Ends(tracker), tracker]
threading.Thread(target=interrupt, daemon=True).start()
tune.Tuner(
    Training,
    run_config=tune.RunConfig(storage_path=sys.argv[1] + "/results", verbose=0, callbacks=callbacks),
).fit()
with open(sys.argv[1] + "/seconds", "w") as file:
    file.write(str(round(time.monotonic() - interrupt.at)))
PYTHON
export WANDB_MODE=offline RAY_USAGE_STATS_ENABLED=0
for how in alone told; do
    mkdir -p "$folder/$how"
    (cd "$folder/$how" && sed "s#sys.argv\[1\]#'$folder/$how'#g" "$folder/search.py" > search.py \
        && timeout 300 "$folder/venv/bin/python" search.py x "$how" > log 2>&1) || { tail -20 "$folder/$how/log"; exit 1; }
    printf -v "$how" '%s' "$(cat "$folder/$how/seconds")"
    echo "Ctrl-C, callback $how: ended ${!how} s later"
done
if [ "$alone" -lt 20 ] || [ "$told" -ge "$alone" ]; then
    echo "changed: it does not wait for its timeout any more" >&2
    exit 1
fi
