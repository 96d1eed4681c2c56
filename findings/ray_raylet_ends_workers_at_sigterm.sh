#!/usr/bin/env bash
# Ray 2.60.0: at SIGTERM a raylet kills its workers within milliseconds; `ray start --block` drains the node first.
#
# An actor's own handler of SIGTERM runs, but nothing of what it starts ends in time once the raylet got SIGTERM, too, as
# all processes of a step of Slurm do. SIGTERM to `ray start --block` alone leaves the actor alive for up to 30 s. A raylet
# that is started with SIGTERM blocked (env --block-signal=TERM) outlives it; its workers inherit that, and have to
# unblock it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "ray==2.60.0"
cat > "$folder/end.py" <<'PYTHON'
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import ray

_, how, folder = sys.argv
start = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"]
if how == "blocked":
    start = ["env", "--block-signal=TERM", *start]
log, processes = Path(folder, how), []
with open(os.devnull, "w") as nowhere:
    own = ["--head", "--port=26379", "--num-cpus=1", "--include-dashboard=false", f"--temp-dir={folder}/{how}-ray"]
    node = subprocess.Popen([*start, *own], stdout=nowhere, stderr=nowhere, start_new_session=True)
for _ in range(60):
    try:
        ray.init(address="127.0.0.1:26379", log_to_driver=False)
        break
    except Exception:
        time.sleep(1)


@ray.remote(num_cpus=1)
class Actor:
    def processes(self):
        return os.getpid(), os.getppid()

    def work(self, path):
        signal.signal(signal.SIGTERM, lambda number, frame: None)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
        while True:
            Path(path).write_text(str(time.time()))
            time.sleep(0.05)


actor = Actor.remote()
own, raylet = ray.get(actor.processes.remote())
actor.work.remote(str(log))
time.sleep(3)
told = time.time()
for pid in {"raylet": [raylet], "start": [node.pid], "blocked": [node.pid, raylet, own]}[how]:
    os.kill(pid, signal.SIGTERM)
time.sleep(8)
print("lived" if float(log.read_text()) > told + 5 else "died")
os.killpg(node.pid, signal.SIGKILL)
for pid in (own, raylet):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
os._exit(0)
PYTHON
export RAY_USAGE_STATS_ENABLED=0 RAY_AUTH_MODE=disabled
for how in raylet start blocked; do
    seen=$(timeout 150 "$folder/venv/bin/python" "$folder/end.py" "$how" "$folder" 2> "$folder/errors" | tail -1)
    echo "SIGTERM, $how: the actor $seen"
    expected=$([ "$how" = raylet ] && echo died || echo lived)
    if [ "$seen" != "$expected" ]; then
        tail -5 "$folder/errors" >&2
        echo "changed: Ray ends nodes otherwise at SIGTERM" >&2
        exit 1
    fi
done
