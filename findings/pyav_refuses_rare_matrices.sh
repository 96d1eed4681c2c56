#!/usr/bin/env bash
# PyAV 18.1.0: pictures of some valid colour matrices cannot be converted to RGB; the error names neither.
#
# H.264, VP9 and others tag each picture with the matrix of its colours. PyAV hands the tag to libswscale's newer
# interface, which refuses BT.2020 with constant luminance, YCgCo, SMPTE 2085, the two that follow the primaries, and
# ICtCp: to_ndarray and reformat raise OSError 95, "Operation not supported", in the middle of a video that plays
# everywhere. Other tags pass. Naming a matrix in the call (src_colorspace) converts them all.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet av==18.1.0 numpy
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys

import av
import numpy as np

noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
converted = ["bt709", "smpte170m", "bt2020nc"]
others = ["bt2020c", "YCgCo", "smpte2085", "chroma-derived-nc", "chroma-derived-c", "ICtCp"]
refused = []
for name in converted + others:
    path = f"{sys.argv[1]}/{name}.mp4"
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"x264-params": f"colormatrix={name}"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.mux([*stream.encode(av.VideoFrame.from_ndarray(noise, format="rgb24")), *stream.encode()])
    with av.open(path) as container:
        frame = next(container.decode(video=0))
        assert frame.to_ndarray(format="rgb24", src_colorspace="ITU601").shape == (48, 64, 3)
        try:
            frame.to_ndarray(format="rgb24")
        except OSError as error:
            refused.append(name)
            print(f"{name} (matrix {int(frame.colorspace)}): {error.strerror}")
        else:
            print(f"{name} (matrix {int(frame.colorspace)}): converted")
if refused != others:
    raise SystemExit(f"changed: refused are {refused}")
PYTHON
