#!/usr/bin/env bash
# PyAV 18.1.0: VideoFrame.rotation of a mirrored picture is a turn that shows it wrong.
#
# The display matrix of an MP4 or MOV file has eight right-angled forms. rotation gives the angle alone: -180 for a
# picture that is mirrored left and right (the same as for half a turn), 0 for one that is mirrored top and bottom (the
# same as for none), and a quarter for the two that swap rows and columns. Turning by it shows four of the eight wrong.
# The matrix itself is in frame.side_data; where its determinant is negative, the picture is mirrored beside the turn.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet av==18.1.0 numpy
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import struct
import sys

import av
import numpy as np

path = f"{sys.argv[1]}/a.mp4"
with av.open(path, "w") as container:
    stream = container.add_stream("libx264", rate=10)
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
    picture = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
    container.mux([*stream.encode(picture), *stream.encode()])
content = bytearray(open(path, "rb").read())
at = content.index(b"tkhd") + 44
matrices = {
    "as it is": (1, 0, 0, 1),
    "mirrored top and bottom": (1, 0, 0, -1),
    "half a turn": (-1, 0, 0, -1),
    "mirrored left and right": (-1, 0, 0, 1),
}
found = {}
for name, (a, b, c, d) in matrices.items():
    one = 1 << 16
    content[at : at + 36] = struct.pack(">9i", a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    with open(path, "wb") as file:
        file.write(content)
    with av.open(path) as container:
        frame = next(container.decode(video=0))
        matrix = struct.unpack("=9i", bytes(frame.side_data["DISPLAYMATRIX"])) if name != "as it is" else None
    found[name] = abs(frame.rotation)
    print(f"{name}: rotation {frame.rotation}, matrix {None if matrix is None else [v >> 16 for v in matrix[:5]]}")
if found != {"as it is": 0, "mirrored top and bottom": 0, "half a turn": 180, "mirrored left and right": 180}:
    raise SystemExit(f"changed: {found}")
PYTHON
