"""Frames to video files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av

from proxy_train.video.picture import Frame


def write_video(
    path: Path, frames: Frame | Sequence[Frame], *, crf: int, fps: int, comment: str = ""
) -> None:
    """Write RGB frames as an H.264 mp4 file, yuv420p, with a key frame every 16 frames.

    Args:
        path: the file.
        frames: uint8 (height, width, 3) each.
        crf: H.264's rate factor; more is coarser.
        fps: frames a second.
        comment: comment in the file's metadata.
    """
    # Macroblock trees make x264 write other bytes from run to run.
    options = {"crf": str(crf), "g": "16", "preset": "veryfast", "x264-params": "mbtree=0"}
    with av.open(path, "w", format="mp4") as container:
        container.metadata["comment"] = comment
        stream = container.add_stream("libx264", rate=fps, options=options)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
