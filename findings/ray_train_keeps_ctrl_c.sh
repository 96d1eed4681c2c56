#!/usr/bin/env bash
# Ray Train 2.60.0: after a trainer's fit() has returned, Ctrl-C does not end the program any more.
#
# fit() sets a handler of SIGINT that aborts the training, and leaves it there when the training is over. A later Ctrl-C
# then calls a controller that has ended: no KeyboardInterrupt is raised, and the program goes on. A program that trains
# in turn can only be killed. Restoring the handler after fit() (signal.getsignal before it) helps.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "ray[train]==2.60.0"
cat > "$folder/train.py" <<'PYTHON'
import os
import signal
import sys
import time

import ray
from ray import train
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer


def nothing():
    pass


ray.init(num_cpus=2, include_dashboard=False)
before = signal.getsignal(signal.SIGINT)
DataParallelTrainer(
    nothing,
    scaling_config=train.ScalingConfig(num_workers=1),
    run_config=train.RunConfig(storage_path=sys.argv[1]),
).fit()
if sys.argv[2] == "restored":
    signal.signal(signal.SIGINT, before)
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(5)
    print("went on")
except KeyboardInterrupt:
    print("KeyboardInterrupt")
PYTHON
export RAY_USAGE_STATS_ENABLED=0
for how in left restored; do
    printf -v "$how" '%s' "$(timeout 200 "$folder/venv/bin/python" "$folder/train.py" "$folder/$how" "$how" 2> "$folder/errors" | tail -1)"
    echo "Ctrl-C after fit(), handler $how: ${!how}"
done
if [ "$left" != "went on" ] || [ "$restored" != "KeyboardInterrupt" ]; then
    tail -5 "$folder/errors" >&2
    echo "changed: Ctrl-C is as before after fit()" >&2
    exit 1
fi
