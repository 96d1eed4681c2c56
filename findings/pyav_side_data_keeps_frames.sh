#!/usr/bin/env bash
# PyAV 18.1.0: a frame that was asked for its side data is not freed when it goes.
#
# frame.side_data makes a container that refers to the frame, which refers to it. The picture, megabytes of it, then
# stays until Python's garbage collector runs, and that counts objects, not bytes: a loop that only looks whether a
# frame has a display matrix keeps hundreds of pictures. frame.rotation makes no such circle.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet av==18.1.0 numpy==2.3.5
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import gc
import sys

import av
import numpy as np

path = f"{sys.argv[1]}/a.mp4"
with av.open(path, "w") as container:
    stream = container.add_stream("mpeg4", rate=10)
    stream.width = stream.height = 64
    stream.pix_fmt = "yuv420p"
    for number in range(40):
        picture = np.full((64, 64, 3), number, np.uint8)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
    container.mux(stream.encode())


def kept(look):
    """Return how many frames are alive after all of them have gone."""
    gc.collect()
    gc.disable()
    with av.open(path) as container:
        for frame in container.decode(video=0):
            look(frame)
    del frame
    alive = sum(isinstance(each, av.VideoFrame) for each in gc.get_objects())
    gc.enable()
    return alive


found = {"nothing": kept(lambda frame: None), "rotation": kept(lambda frame: frame.rotation)}
found["side_data"] = kept(lambda frame: len(frame.side_data))
for name, alive in found.items():
    print(f"asked for {name}: {alive} of 40 frames are kept")
if found != {"nothing": 0, "rotation": 0, "side_data": 40}:
    raise SystemExit("changed")
PYTHON
