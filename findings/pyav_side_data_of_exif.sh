#!/usr/bin/env bash
# PyAV 18.1.0: VideoFrame.side_data raises ValueError for every picture that carries EXIF.
#
# FFmpeg 8 hands a JPEG's EXIF on as side data of the frame, of a kind that PyAV's list of kinds does not have. The
# mapping is built of all kinds at once, so that no other kind can be asked for either, not even the display matrix
# that FFmpeg makes of the EXIF's orientation: "31 is not a valid Type". Motion JPEG videos and still images alike.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet av==18.1.0 pillow==12.0.0
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys

import av
from PIL import Image

path = f"{sys.argv[1]}/a.jpg"
exif = Image.Exif()
exif[274] = 6
Image.new("RGB", (64, 48)).save(path, exif=exif)
with av.open(path) as container:
    frame = next(container.decode(video=0))
print(f"rotation {frame.rotation}")
try:
    kinds = [data.type.name for data in frame.side_data]
except ValueError as error:
    print(f"side_data: ValueError: {error}")
else:
    raise SystemExit(f"changed: side_data is {kinds}")
PYTHON
