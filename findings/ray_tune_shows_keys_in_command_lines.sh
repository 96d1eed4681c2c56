#!/usr/bin/env bash
# Ray 2.60.0: Tune puts the driver's AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN into the command lines of its workers.
#
# They are in the runtime environment of every trial's actor, which Ray passes to the worker's process as
# --serialized-runtime-env-context: every user of the machine can read it while the worker starts. Taking the names out of
# ray.tune.execution.class_cache.ENV_VARS_TO_PROPAGATE helps; nodes then need the keys in their own environment.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "ray[tune]==2.60.0"
cat > "$folder/show.py" <<'PYTHON'
import os
import sys
import threading
import time
from pathlib import Path

import ray
from ray import tune
from ray.tune.execution import class_cache

_, how, folder = sys.argv
seen = set()


def look():
    while True:
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                seen.add(b"planted-key" in path.read_bytes())
            except OSError:
                continue
        time.sleep(0.02)


if how == "kept":
    names = class_cache.ENV_VARS_TO_PROPAGATE
    class_cache.ENV_VARS_TO_PROPAGATE = {name for name in names if not name.startswith("AWS_")}
os.environ["AWS_SECRET_ACCESS_KEY"] = "planted-key"
ray.init(num_cpus=1, include_dashboard=False)
threading.Thread(target=look, daemon=True).start()
tune.Tuner(lambda config: {}, run_config=tune.RunConfig(storage_path=folder, verbose=0)).fit()
print("shown" if True in seen else "hidden")
PYTHON
export RAY_USAGE_STATS_ENABLED=0 RAY_AUTH_MODE=disabled
for how in given kept; do
    mkdir -p "$folder/results-$how"
    seen=$(timeout 200 "$folder/venv/bin/python" "$folder/show.py" "$how" "$folder/results-$how" 2> "$folder/errors" | tail -1)
    echo "Tune, keys $how: $seen in a command line"
    expected=$([ "$how" = given ] && echo shown || echo hidden)
    if [ "$seen" != "$expected" ]; then
        tail -5 "$folder/errors" >&2
        echo "changed: Tune passes keys on otherwise" >&2
        exit 1
    fi
done
