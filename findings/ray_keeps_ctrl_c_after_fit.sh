#!/usr/bin/env bash
# Ray 2.60.0: after fit() of Ray Train or Ray Tune has returned, Ctrl-C does not end the program.
#
# fit() sets a handler of SIGINT and leaves it there. Train's then calls a controller that has ended, every time; Tune's
# puts the earlier handler back only when it is called, so that each finished fit() swallows one Ctrl-C. No
# KeyboardInterrupt is raised, and the program goes on. Restoring the handler (signal.getsignal before fit()) helps.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "ray[train,tune]==2.60.0"
cat > "$folder/fit.py" <<'PYTHON'
import os
import signal
import sys
import time

import ray
from ray import train, tune
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

_, what, how, folder = sys.argv


def nothing(config=None):
    return {}


ray.init(num_cpus=2, include_dashboard=False)
before = signal.getsignal(signal.SIGINT)
if what == "train":
    scaling = train.ScalingConfig(num_workers=1)
    DataParallelTrainer(nothing, scaling_config=scaling, run_config=train.RunConfig(storage_path=folder)).fit()
else:
    tune.Tuner(nothing, run_config=tune.RunConfig(storage_path=folder, verbose=0)).fit()
if how == "restored":
    signal.signal(signal.SIGINT, before)
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(5)
    print("went on")
except KeyboardInterrupt:
    print("KeyboardInterrupt")
PYTHON
export RAY_USAGE_STATS_ENABLED=0
for what in train tune; do
    for how in left restored; do
        seen=$(timeout 200 "$folder/venv/bin/python" "$folder/fit.py" "$what" "$how" "$folder/$what-$how" 2> "$folder/errors" | tail -1)
        echo "$what, Ctrl-C after fit(), handler $how: $seen"
        expected=$([ "$how" = left ] && echo "went on" || echo KeyboardInterrupt)
        if [ "$seen" != "$expected" ]; then
            tail -5 "$folder/errors" >&2
            echo "changed: Ctrl-C is otherwise after fit()" >&2
            exit 1
        fi
    done
done
