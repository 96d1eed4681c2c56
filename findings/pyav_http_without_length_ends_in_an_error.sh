#!/usr/bin/env bash
# PyAV 18.1.0 (FFmpeg in it): a video that comes whole over HTTP without a length ends in an error, not at its end.
#
# An answer without Content-Length ends where its connection does (RFC 9112, section 6.3). FFmpeg hands over all of it,
# and then EIO, "Input/output error", where the same bytes with a length end in order: a live stream that its sender
# closed cannot be told from one that was cut, and what the decoder still holds is not handed over.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet av==18.1.0 numpy==2.4.6
cat > "$folder/play.py" <<'PYTHON'
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import av
import numpy as np

path, with_length = sys.argv[1] + "/film.ts", sys.argv[2] == "length"
with av.open(path, "w", format="mpegts") as container:
    stream = container.add_stream("mpeg2video", rate=25)
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
    for level in range(50):
        picture = np.full((48, 64, 3), 4 * level, np.uint8)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
    container.mux(stream.encode())
body = open(path, "rb").read()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Connection", "close")
        if with_length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass


server = HTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
frames, end = 0, "the end"
try:
    with av.open(f"http://127.0.0.1:{server.server_port}/") as container:
        for frame in container.decode(video=0):
            frames += 1
except av.error.OSError as error:
    end = error.strerror
print(f"{frames} frames, then {end}")
PYTHON
length=$("$folder/venv/bin/python" "$folder/play.py" "$folder" length)
none=$("$folder/venv/bin/python" "$folder/play.py" "$folder" none)
echo "with a length: $length"
echo "without one: $none"
if [[ "$length" != *"then the end" ]] || [[ "$none" != *"then Input/output error" ]]; then
    echo "changed: without a length the end is in order, too, or with one it is not" >&2
    exit 1
fi
