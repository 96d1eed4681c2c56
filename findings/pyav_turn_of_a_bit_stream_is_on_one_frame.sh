#!/usr/bin/env bash
# PyAV 18.1.0: a turn that H.264's bit stream asks for is handed on with the first frame alone.
#
# A display orientation message (SEI) holds until it is cancelled or the next key frame. frame.rotation and
# frame.side_data have it for the frame that carries the message; the frames after it have a rotation of 0 and no side
# data. A container's matrix, in contrast, comes with every frame. Who turns each frame by its own rotation turns one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet av==18.1.0 numpy==2.3.5
cd "$folder"
venv/bin/python - <<'PYTHON'
import av
import numpy as np

with av.open("plain.ts", "w") as container:
    stream = container.add_stream("libx264", rate=10, options={"bf": "0"})
    stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
    for level in range(4):
        picture = np.full((64, 96, 3), 40 * level, np.uint8)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
    container.mux(stream.encode())
with av.open("plain.ts") as given, av.open("turned.ts", "w") as turned:
    stream = given.streams.video[0]
    note = av.BitStreamFilterContext("h264_metadata=display_orientation=insert:rotate=90", stream)
    track = turned.add_stream_from_template(stream)
    for packet in given.demux(stream):
        for noted in note.filter(packet if packet.size else None):
            noted.stream = track
            turned.mux(noted)
with av.open("turned.ts") as container:
    seen = [(frame.key_frame, frame.rotation, len(frame.side_data)) for frame in container.decode(video=0)]
print("key frame, rotation, side data:", seen)
if [bool(rotation) for _, rotation, _ in seen] != [True, False, False, False]:
    raise SystemExit("changed: the turn is on other frames")
PYTHON
