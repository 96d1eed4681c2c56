#!/usr/bin/env bash
# PyAV 18.1.0: pictures that a codec context gives at the end of a stream have a time of NaN, and no error.
#
# A decoder holds pictures back to bring them in order. codec_context.decode(None) gives them when no packet follows,
# with a right pts and without a time base, so that frame.time is not None, as it is for pictures without a stamp, but
# NaN: every comparison with it is false. Pictures that come by packets have their time.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet av==18.1.0 numpy==2.3.5
"$folder/venv/bin/python" - <<'PYTHON'
import io
import math

import av
import numpy as np

file = io.BytesIO()
with av.open(file, "w", format="mp4") as container:
    stream = container.add_stream("libx264", rate=10)
    stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
    for level in range(20):
        picture = np.full((64, 64, 3), 10 * level, np.uint8)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
    container.mux(stream.encode())
file.seek(0)
with av.open(file) as container:
    stream = container.streams.video[0]
    packets = [packet for packet in container.demux(stream) if packet.size]
    early = [frame for packet in packets for frame in stream.codec_context.decode(packet)]
    late = stream.codec_context.decode(None)
print("by packets:", [frame.time for frame in early][-2:])
print("at the end:", [(frame.pts, frame.time, frame.time_base) for frame in late])
assert not any(math.isnan(frame.time) for frame in early)
if not late or not all(frame.pts and frame.time is not None and math.isnan(frame.time) for frame in late):
    raise SystemExit("changed: they have a time, or none")
PYTHON
