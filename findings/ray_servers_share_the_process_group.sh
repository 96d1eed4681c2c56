#!/usr/bin/env bash
# Ray 2.60.0: the servers that ray.init() starts belong to the program's own process group.
#
# Signals to a group, as timeout, batch systems and service managers send SIGTERM, reach Ray's control service and
# raylet together with the program, so that a program that wants to end in order has lost them before it can.
# With subprocess's start_new_session they have groups of their own.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet ray==2.60.0
cat > "$folder/groups.py" <<'PYTHON'
import os
import subprocess
import sys

import ray

if sys.argv[1] == "apart":
    start = subprocess.Popen.__init__
    subprocess.Popen.__init__ = lambda self, *given, **more: start(self, *given, **{"start_new_session": True, **more})
ray.init(num_cpus=1, include_dashboard=False)
found = {}
for pid in filter(str.isdecimal, os.listdir("/proc")):
    try:
        command = open(f"/proc/{pid}/cmdline").read().split("\0")[0]
        if os.path.basename(command) in ("gcs_server", "raylet"):
            found[os.path.basename(command)] = os.getpgid(int(pid)) == os.getpgid(0)
    except OSError:
        pass
print("shared" if found and all(found.values()) else "own" if found and not any(found.values()) else found)
PYTHON
export RAY_USAGE_STATS_ENABLED=0
for how in usual apart; do
    printf -v "$how" '%s' "$(timeout 200 "$folder/venv/bin/python" "$folder/groups.py" "$how" 2> "$folder/errors" | tail -1)"
    echo "Ray's servers, started as $how: ${!how}"
done
if [ "$usual" != shared ] || [ "$apart" != own ]; then
    tail -5 "$folder/errors" >&2
    echo "changed: they have groups of their own, or did not start" >&2
    exit 1
fi
