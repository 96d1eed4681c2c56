#!/usr/bin/env bash
# PyAV 18.1.0: a Theora video with a repeated picture cannot be decoded.
#
# Theora writes a picture that equals the one before it as a packet of no bytes. PyAV hands such packets to the decoder,
# which takes an empty one for the end: the next raises ArgumentError 22, and container.decode ends there. FFmpeg's own
# tools leave them out: the file below plays for a second. Leaving out packets of size 0 that have a dts decodes all.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet av==18.1.0 imageio-ffmpeg==0.8.1
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import subprocess
import sys

import av
import imageio_ffmpeg

path = f"{sys.argv[1]}/a.ogv"
parts = ["-f", "lavfi", "-i", "color=red:s=64x48:r=10:d=0.5", "-f", "lavfi", "-i", "testsrc2=s=64x48:r=10:d=0.5"]
command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *parts, "-filter_complex", "[0][1]concat=n=2:v=1"]
subprocess.run([*command, "-c:v", "libtheora", path], check=True)
seen = 0
try:
    with av.open(path) as container:
        for _ in container.decode(video=0):
            seen += 1
except av.error.ArgumentError as error:
    print(f"after {seen} picture: {error}")
with av.open(path) as container:
    packets = [packet for packet in container.demux(video=0) if packet.size or packet.dts is None]
    left = sum(len(packet.decode()) for packet in packets)
print(f"without the empty packets: {left} pictures")
if (seen, left) != (1, 6):
    raise SystemExit(f"changed: {seen} pictures with the empty packets, {left} without")
PYTHON
