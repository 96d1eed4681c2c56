"""Decoded frames are freed as they pass, though frames that were asked for side data refer to themselves."""

from __future__ import annotations

import gc
from pathlib import Path

import av
import numpy as np
import pytest

from proxy_train.video.picture import Presentation

FRAMES = 400


def alive() -> int:
    return sum(isinstance(each, av.VideoFrame) for each in gc.get_objects())


@pytest.mark.parametrize("codec", ["mpeg4", "mjpeg"])
def test_few_frames_are_alive_at_a_time(codec: str, tmp_path: Path) -> None:
    """Every picture of Motion JPEG is a key frame, of MPEG-4 one in twelve: more than are kept."""
    path = tmp_path / "video.avi"
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=10)
        assert isinstance(stream, av.VideoStream)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for number in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), number % 256, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    gc.collect()
    most = seen = 0
    gc.disable()
    # What lives already is not listed: after thousands of tests that would take minutes.
    gc.freeze()
    assert alive() == 0
    try:
        with av.open(path) as container:
            presentation = Presentation(container.streams.video[0])
            for frame in container.decode(video=0):
                presentation.of(frame)
                seen += 1
                most = max(most, alive())
    finally:
        gc.enable()
    assert seen == FRAMES and most < 24
