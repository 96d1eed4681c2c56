#!/usr/bin/env bash
# pyarrow 26.0.1: a file of one byte in a new folder of an S3 store is six requests; one would do.
#
# S3 has no folders, but FileSystem.create_dir looks for the bucket and writes an empty object for each level;
# open_output_stream then announces a multipart upload, sends its part and completes it, however small the file.
# S3FileSystem(allow_delayed_open=True), and no create_dir, makes it one. Over a network each is a round trip.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill "${server:-}" 2> /dev/null || true; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pyarrow==26.0.1 moto==5.2.5 flask flask-cors
port=$("$folder/venv/bin/python" -c 'import socket; print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
"$folder/venv/bin/python" -m moto.server -H 127.0.0.1 -p "$port" > /dev/null 2> "$folder/log" &
server=$!
cat > "$folder/write.py" <<'PYTHON'
import sys
import time
import urllib.request
from pathlib import Path

from pyarrow.fs import S3FileSystem

port, log = sys.argv[1], Path(sys.argv[2])
for _ in range(300):
    try:
        urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}/bucket", method="PUT")).read()
        break
    except OSError:
        time.sleep(0.2)


def store(**options):
    return S3FileSystem(
        access_key="a", secret_key="b", region="us-east-1", scheme="http",
        endpoint_override=f"127.0.0.1:{port}", **options,
    )


def write(files, path, folder):
    before = len(log.read_text().splitlines())
    if folder:
        files.create_dir(path.rpartition("/")[0], recursive=True)
    with files.open_output_stream(path) as file:
        file.write(b"1")
    time.sleep(0.5)
    return [line.split('"')[1].split()[0] for line in log.read_text().splitlines()[before:]]


files = store()
# The first request of a process asks what kind of server it is.
files.create_dir("bucket/before")
usual, least = write(files, "bucket/run/one/state", True), write(store(allow_delayed_open=True), "bucket/run/two/state", False)
print("as usual:", *usual)
print("with allow_delayed_open and no folder:", *least)
assert (len(usual), least) == (6, ["PUT"]), "this has changed"
PYTHON
"$folder/venv/bin/python" "$folder/write.py" "$port" "$folder/log"
