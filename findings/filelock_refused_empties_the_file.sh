#!/usr/bin/env bash
# filelock 3.20.3: a process that is refused a lock empties the file that another process holds.
#
# A lock file is a natural place for the holder's name. Up to 3.20.3, FileLock opens the file with O_TRUNC before it
# tries the lock, so that an attempt that ends in Timeout has erased what the holder wrote. 4.0.0 and later leave it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
cat > "$folder/refused.py" <<'PYTHON'
import subprocess
import sys
from pathlib import Path

from filelock import FileLock

path = Path(sys.argv[1])
with FileLock(path):
    path.write_text("held by process 12")
    attempt = "import sys, filelock\ntry:\n    filelock.FileLock(sys.argv[1], timeout=0).acquire()\nexcept filelock.Timeout:\n    print('refused')"
    refused = subprocess.run([sys.executable, "-c", attempt, path], capture_output=True, text=True, check=True)
    assert refused.stdout.strip() == "refused", refused
    print(repr(path.read_text()))
PYTHON
for version in 3.20.3 4.2.12; do
    "$folder/venv/bin/pip" install --quiet "filelock==$version"
    found=$("$folder/venv/bin/python" "$folder/refused.py" "$folder/lock-$version")
    echo "filelock $version: after an attempt that was refused the file holds $found"
    case "$version $found" in
        "3.20.3 ''" | "4.2.12 'held by process 12'") ;;
        *)
            echo "changed: $version left $found" >&2
            exit 1
            ;;
    esac
done
