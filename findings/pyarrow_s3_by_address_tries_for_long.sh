#!/usr/bin/env bash
# pyarrow 26.0.1: a request to an S3 store that does not answer is tried for 100 seconds, if an address names the store.
#
# FileSystem.from_uri("s3://...") tries again, with growing pauses, and nothing tells of it; S3FileSystem(...) gives
# up after three attempts, about ten seconds. No option of an address says how often; a file system built anew from
# the other's options (__reduce__) with a retry_strategy of its own can.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pyarrow==26.0.1
cat > "$folder/lost.py" <<'PYTHON'
import socket
import sys
import time

from pyarrow.fs import FileSystem, S3FileSystem

# A port whose queue is full, and where nobody accepts connections: requests are lost in silence.
server = socket.socket()
server.bind(("127.0.0.1", 0))
server.listen(0)
clients = [socket.socket() for _ in range(4)]
for client in clients:
    client.setblocking(False)
    client.connect_ex(server.getsockname())
port = server.getsockname()[1]
address = f"s3://key:secret@bucket/name?region=us-east-1&scheme=http&endpoint_override=127.0.0.1:{port}"
files, _ = FileSystem.from_uri(address)
if sys.argv[1] == "made":
    files = S3FileSystem(
        access_key="key", secret_key="secret", region="us-east-1", scheme="http", endpoint_override=f"127.0.0.1:{port}"
    )
began = time.monotonic()
try:
    files.open_output_stream("bucket/name").close()
except OSError:
    print(round(time.monotonic() - began))
PYTHON
for how in address made; do
    printf -v "$how" '%s' "$("$folder/venv/bin/python" "$folder/lost.py" "$how")"
    echo "a request, the store given as $how: ${!how} s"
done
if [ "$address" -lt 40 ] || [ "$made" -gt 30 ]; then
    echo "changed: requests to a lost store end soon" >&2
    exit 1
fi
